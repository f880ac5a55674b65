"""Texts that a person may have edited: plain ones, TOML and CSV; values that JSON can hold."""

from __future__ import annotations

import codecs
import csv
import io
import math
import tomllib
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """Read a text file that a person may have edited: with any byte order mark and line ends.

    Parameters
    ----------
    path : Path
        UTF-8, with a byte order mark or without, or UTF-16 with one.

    Returns
    -------
    str
        Without the mark, and with line ends of LF.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no such text; the message names the remedy.
    """
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text ({error}); save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as :func:`read_text` does, with the same errors."""
    return tomllib.loads(read_text(path))


def read_csv(path: Path) -> dict[int, list[str]]:
    """Read the rows of a CSV file by the number of their line, from 1; blank lines are left out.

    Raises
    ------
    OSError, ValueError
        As :func:`read_text`, and a file that is no CSV.
    """
    table = csv.reader(io.StringIO(read_text(path), newline=""))
    rows: dict[int, list[str]] = {}
    try:
        for row in table:
            if any(cell.strip() for cell in row):
                rows[table.line_num] = row
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error
    return rows


def finite(value: Any) -> Any:
    """Return a value for JSON, which has no NaN and no infinities: they are None.

    >>> finite({"low": float("nan"), "scores": (1.5, float("inf"))})
    {'low': None, 'scores': [1.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, which is in the plural but for one.

    >>> counted(1, "recording"), counted(0, "sample"), counted(1200, "class")
    ('1 recording', '0 samples', '1,200 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{plural}"
