"""Words of lines that people read: a number with its noun."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, which is in the plural but for one.

    >>> counted(1, "recording"), counted(0, "sample"), counted(1200, "class")
    ('1 recording', '0 samples', '1,200 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{plural * (number != 1)}"
