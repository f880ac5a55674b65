"""Parser of lines of four numbers: their digits as integers, and how many are decimals."""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled

MOST_DECIMALS = 9
"""Most decimals of a number that are kept, counted behind its exponent."""

MOST_DIGITS = np.uint64(18)
"""Digits of a number that always fit into 64 bits."""

PADDING = 2
"""Zeros behind the lines, which end their last number."""

DIGIT_0, DIGIT_9, MINUS, POINT = 48, 57, 45, 46

MOST_TENTH = np.iinfo(np.int64).max // 10 - 1
"""Largest integer that takes one more digit."""

LEAST_FULL = 10**17
"""Smallest integer of as many digits as always fit, which takes no decimal more."""

POWERS = 10 ** np.arange(19, dtype=np.int64)
"""Powers of ten."""


@compiled
def _plain_lines(
    content: NDArray[np.uint8],
    place: int,
    n: int,
    table: NDArray[np.int64],
    decimals: NDArray[np.int8],
    numbered: bool,
) -> tuple[int, int]:
    """Parse lines of four numbers without exponents and repeated separators, as most are.

    Many at a call: to hand arrays to a function takes as long as to parse half a line.

    Returns
    -------
    int, int
        Place of the first other line, of which nothing is kept, and lines parsed until there.
    """
    # An unsigned place needs no look at whether it counts from the end, and none is needed at the
    # end of the lines: the zeros behind it are no digits and end no number.
    at, row, one = np.uint64(place), np.uint64(n), np.uint64(1)
    while True:
        line = at
        if numbered:
            while content[at] >= DIGIT_0 and content[at] <= DIGIT_9:
                at += one
            byte = content[at]
            if at - line - one >= MOST_DIGITS:  # too many, or none
                return np.int64(line), np.int64(row)
            if byte != 44 and byte != 32 and byte != 9 and byte != 59:
                return np.int64(line), np.int64(row)
            at += one
        for column in range(4):
            begin, value, sign = at, np.int64(0), np.int64(1)
            while True:
                digit = np.int64(content[at]) - DIGIT_0
                if digit < 0 or digit > 9:
                    break
                value = value * 10 + digit
                at += one
            if at == begin and content[at] == MINUS:  # asked so late, it costs others no time
                at += one
                begin, sign = at, np.int64(-1)
                while True:
                    digit = np.int64(content[at]) - DIGIT_0
                    if digit < 0 or digit > 9:
                        break
                    value = value * 10 + digit
                    at += one
            digits = at - begin
            if content[at] == POINT:
                at += one
                begin = at
                while True:
                    digit = np.int64(content[at]) - DIGIT_0
                    if digit < 0 or digit > 9:
                        break
                    value = value * 10 + digit
                    at += one
                after = at - begin
                digits += after
                if after > MOST_DECIMALS:
                    return np.int64(line), np.int64(row)
                decimals[column, row] = after
            if digits - one >= MOST_DIGITS:  # too many, or none
                return np.int64(line), np.int64(row)
            table[column, row] = value * sign
            byte = content[at]
            at += one
            if column < 3:
                if byte != 44 and byte != 32 and byte != 9 and byte != 59:
                    return np.int64(line), np.int64(row)
            else:
                if byte == 13:
                    byte = content[at]
                    at += one
                if byte != 10:
                    return np.int64(line), np.int64(row)
        row += one


@compiled
def parse_lines(
    content: NDArray[np.uint8],
    size: int,
    table: NDArray[np.int64],
    decimals: NDArray[np.int8],
    numbered: bool,
) -> tuple[int, int]:
    """Parse lines of four numbers or more.

    Parameters
    ----------
    content : uint8 (B,)
        Lines; the last one may lack its end. Behind them are :data:`PADDING` bytes.
    size : int
        Bytes of the lines.
    table : int64 (4, N)
        Receives the digits of each number as an integer.
    decimals : int8 (4, N)
        Zeros; receives how many of them are decimals.
    numbered : bool
        Lines begin with one more number, which is skipped.

    Returns
    -------
    int, int
        Lines parsed, and lines that are neither empty, nor comments, nor four numbers.
    """
    n, unread, place = 0, 0, 0
    while True:
        place, n = _plain_lines(content, place, n, table, decimals, numbered)
        if place >= size:
            return n, unread
        column = -1 if numbered else 0
        sound = True
        empty = True
        comment = False
        while place < size and content[place] != 10:
            byte = content[place]
            if byte == 32 or byte == 9 or byte == 13 or byte == 44 or byte == 59:
                place += 1
                continue
            if empty and byte == 35:
                comment = True
            empty = False
            if comment or not sound or column >= 4:
                place += 1
                continue
            negative = byte == 45
            if byte == 45 or byte == 43:
                place += 1
            value, after, exponent = np.int64(0), 0, 0
            dot, some, fits = False, False, True
            while place < size:
                byte = content[place]
                if 48 <= byte <= 57:
                    some = True
                    if dot:
                        # An exponent may make them digits of the integer, so that how many
                        # decimals are kept is decided behind it.
                        if value < LEAST_FULL:
                            value = value * 10 + np.int64(byte - 48)
                            after += 1
                    elif value > MOST_TENTH:
                        fits = False
                    else:
                        value = value * 10 + np.int64(byte - 48)
                elif byte == 46 and not dot:
                    dot = True
                else:
                    break
                place += 1
            if some and place < size and (content[place] == 101 or content[place] == 69):
                place += 1
                down = place < size and content[place] == 45
                if place < size and (content[place] == 45 or content[place] == 43):
                    place += 1
                some = False
                while place < size and 48 <= content[place] <= 57 and exponent < 100:
                    exponent = exponent * 10 + (content[place] - 48)
                    some = True
                    place += 1
                if down:
                    exponent = -exponent
            ended = place >= size or (
                content[place] == 32
                or content[place] == 9
                or content[place] == 13
                or content[place] == 44
                or content[place] == 59
                or content[place] == 10
            )
            after -= exponent
            if not some or not fits or not ended or after < -18:
                sound = False
                continue
            if after > MOST_DECIMALS:
                value //= POWERS[min(after - MOST_DECIMALS, 18)]
                after = MOST_DECIMALS
            if column >= 0:
                table[column, n] = -value if negative else value
                decimals[column, n] = after
            column += 1
        place += 1
        if sound and column == 4:
            n += 1
            continue
        decimals[:, n] = 0  # of a number before the one that is none
        if not comment and not empty:
            unread += 1
