"""The kernel of lines of four numbers against its twin, at every length of a number."""

from __future__ import annotations

import naive_text
import numpy as np
import pytest

from eventseg.recordings.table.text_lines import PADDING, parse_lines


def parsed(content: bytes, *, numbered: bool = False) -> tuple[list[list[tuple[int, int]]], int]:
    stored = np.frombuffer(content + bytes(PADDING), np.uint8)
    rows = content.count(b"\n") + 1
    table, decimals = np.zeros((4, rows), np.int64), np.zeros((4, rows), np.int8)
    n, unread = parse_lines(stored, len(content), table, decimals, numbered)
    pairs = np.stack([table[:, :n].T, decimals[:, :n].T], axis=2)
    return [[tuple(pair) for pair in row] for row in pairs.tolist()], unread


def word(rng: np.random.Generator, *, odd: float) -> str:
    """A number of any length, with or without sign and decimals, or now and then an odd one."""
    digits = "".join(map(str, rng.integers(0, 10, rng.integers(1, 19))))
    kind = rng.random()
    if kind < odd:
        return str(
            rng.choice(["-", "+5", "1e3", "2.5E-2", ".5", "7.", "", "x", "1-2", "9" * 20, "#"])
        )
    if kind < 0.6:
        return digits[: rng.integers(1, 9)]
    if kind < 0.8:
        return "-" + digits
    if kind < 0.85:
        digits += "".join(map(str, rng.integers(0, 10, 6)))
    if odd and kind > 0.95:
        return f"{digits[0]}.{digits[1:]}e{rng.integers(-120, 120) // rng.choice([1, 10]):+03d}"
    cut = int(rng.integers(0, len(digits)))
    return digits[:cut] + "." + digits[cut:]


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("odd", [0.0, 0.05])
def test_lines_equal_their_twin(odd: float, numbered: bool) -> None:
    rng = np.random.default_rng(3)
    lines = []
    for _ in range(3_000):
        separator = str(rng.choice([",", " ", "\t", ";", ", "] if odd else [","]))
        end = str(rng.choice(["\n", "\r\n", " \n", ",5\n"] if odd else ["\n", "\r\n"]))
        lines.append(separator.join(word(rng, odd=odd) for _ in range(4 + numbered)) + end)
    content = "".join(lines).encode()
    assert parsed(content, numbered=numbered) == naive_text.rows(content, numbered=numbered)


def test_lines_that_are_cut_anywhere_equal_their_twin() -> None:
    content = b"12345678,1,-2,1\n1.5,2,3,0\r\n123456789012345678,0.25,7,1"
    for stop in range(len(content) + 1):
        part = content[:stop]
        assert parsed(part) == naive_text.rows(part), stop
        assert parsed(part, numbered=True) == naive_text.rows(part, numbered=True), stop
