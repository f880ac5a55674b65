"""The checksum of TensorFlow's files: CRC-32C (Castagnoli), one tensor at a time.

A register r that takes in a zero bit becomes B(r), and B is linear over bits (exclusive or). So
the registers of equal parts of the data can run side by side as one NumPy array, and two of them
be joined: the left one is moved on by the length of the right one, a power of B, and added.
Checksum and masking: RFC 3720, appendix B.4, and the record format of TensorFlow and LevelDB.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Word = NDArray[np.uint32]

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, lowest bit first."""

MASK = 0xA282EAD8
LONGEST_BITS = 48
"""Data may hold fewer than 2^48 bytes."""


def crc32c(data: bytes | NDArray[np.uint8]) -> int:
    """Return the CRC-32C of bytes.

    Parameters
    ----------
    data : bytes or uint8 (n,)

    Returns
    -------
    int
        From 0 to 2^32 - 1.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    shifts, low, high = _tables()
    values = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    length = len(values)
    # About as many rows as columns: a step of Python runs over one column of all rows.
    row_bits = max(2, (length.bit_length() + 2) // 2)
    rows = max(1, -(-length >> row_bits))
    # Zeros in front leave a register of zeros as it is.
    padded = np.zeros(rows << row_bits, np.uint8)
    padded[len(padded) - length :] = values
    register = np.zeros(rows, np.uint32)
    for column in np.ascontiguousarray(padded.view("<u4").reshape(rows, -1).T):
        register ^= column
        register = low[register & 0xFFFF] ^ high[register >> 16]
    while len(register) > 1:
        if len(register) % 2:
            register = np.append(np.uint32(0), register)
        register = _apply(shifts[row_bits], register[::2]) ^ register[1::2]
        row_bits += 1
    # The standard starts from ones, which is the same as adding them, moved on by the data.
    ones = np.full(1, 0xFFFFFFFF, np.uint32)
    for bit in range(length.bit_length()):
        if length >> bit & 1:
            ones = _apply(shifts[bit], ones)
    return int(register[0] ^ ones[0]) ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | NDArray[np.uint8]) -> int:
    """Return the checksum as TensorFlow stores it: turned by 15 bits, plus a constant."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF


def _apply(matrix: Word, registers: Word) -> Word:
    """Return the images of registers under a linear map, given the images of the 32 bits."""
    bits = registers[:, None] >> np.arange(32, dtype=np.uint32) & np.uint32(1)
    images: Word = np.bitwise_xor.reduce(bits * matrix, axis=1)
    return images


@cache
def _tables() -> tuple[list[Word], Word, Word]:
    """Return moves by 1, 2, 4, ... bytes, and moves by a word of its lower and upper half."""
    power = np.uint32(1) << np.arange(32, dtype=np.uint32) >> np.uint32(1)
    power[0] = POLYNOMIAL
    for _ in range(3):  # from a bit to eight
        power = _apply(power, power)
    shifts = [power]
    while len(shifts) < LONGEST_BITS:
        shifts.append(_apply(shifts[-1], shifts[-1]))
    halves = np.arange(1 << 16, dtype=np.uint32)
    return shifts, _apply(shifts[2], halves), _apply(shifts[2], halves << np.uint32(16))
