"""Lines of four numbers read by expressions: slow, obvious, and apart from the kernel."""

from __future__ import annotations

import re

NUMBER = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?0*[0-9]{1,3}))?")
SEPARATORS = re.compile(rb"[ \t\r,;]+")
MOST_DECIMALS, MOST_DIGITS, MOST = 9, 18, 2**63 - 1


def number(word: bytes) -> tuple[int, int] | None:
    """Return the digits of a number as an integer and how many are decimals; None for no number."""
    found = NUMBER.fullmatch(word)
    if found is None or not (found[2] or found[3]):
        return None
    decimals = found[3] or b""
    while decimals and int(found[2] + decimals) >= 10**MOST_DIGITS:
        decimals = decimals[:-1]
    value = int(found[2] + decimals or b"0")
    places = len(decimals) - int(found[4] or 0)
    if value > MOST - 100 or places < -18:
        return None
    if places > MOST_DECIMALS:
        value //= 10 ** (places - MOST_DECIMALS)
        places = MOST_DECIMALS
    return (-value if found[1] == b"-" else value), places


def rows(content: bytes, *, numbered: bool = False) -> tuple[list[list[tuple[int, int]]], int]:
    """Return the first four numbers of each line, and the number of damaged lines.

    Of numbered lines they are those behind the first one.
    """
    found, unread = [], 0
    for line in content.split(b"\n"):
        words = [word for word in SEPARATORS.split(line) if word]
        if not words or words[0].startswith(b"#"):
            continue
        numbers = [number(word) for word in words[: 4 + numbered]]
        if len(numbers) < 4 + numbered or None in numbers:
            unread += 1
        else:
            found.append(numbers[numbered:])
    return found, unread
