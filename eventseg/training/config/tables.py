"""Frozen dataclasses from TOML tables and back: every key known, every value of its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from eventseg.errors import EventsegError, TrainingError, known_names, near_names
from eventseg.events import SensorSize

Settings = TypeVar("Settings")

PAIRS = tuple[tuple[str, float], ...]
"""The type that TOML has as a table of numbers, such as the terms of a loss."""

LISTED = "docs/settings.md and eventseg train --print-config list all"
"""Places that list the settings, for messages."""


def _hints_of(kind: Any) -> dict[str, Any]:
    """Return the types of a dataclass's entries, read once: that takes long."""
    return _read_hints(kind)


_read_hints = cache(get_type_hints)


def from_table(kind: type[Settings], table: Mapping[str, Any], *, where: str = "") -> Settings:
    """Return the dataclass that a table holds; omitted entries keep their defaults.

    Parameters
    ----------
    kind : type
        A dataclass of numbers, strings, booleans, sizes (``"352x224"``), tuples, mappings,
        literals and other such dataclasses.
    table : mapping
        As :mod:`tomllib` reads it.
    where : str
        Name of the table, for messages.

    Raises
    ------
    TrainingError
        An unknown key (the nearest known one is named), a missing one, or a value of another
        type or out of its range.
    """
    hints = _hints_of(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            place, near = f" in [{where}]" if where else "", _near_paths(key, kind)
            raise TrainingError(
                f"unknown setting {key!r}{place}"
                f"{known_names(key, list(known), listed=LISTED, near=near)}"
            )
    for name, field in known.items():
        if name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise TrainingError(f"setting {_path(where, name)} is missing")
    values = {
        key: _value(hints[key], value, where=_path(where, key)) for key, value in table.items()
    }
    try:
        return kind(**values)
    except EventsegError as error:
        raise TrainingError(f"{where}: {error}" if where else str(error)) from error


def to_table(settings: Any) -> dict[str, Any]:
    """Return a dataclass as the table that :func:`from_table` reads; None is left out."""
    hints = _hints_of(type(settings))
    found = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: _plain(value, hints[name]) for name, value in found.items() if value is not None}


def _plain(value: Any, hint: Any) -> Any:
    if is_dataclass(value):
        return to_table(value)
    if isinstance(value, SensorSize):
        return str(value)
    if hint == PAIRS or isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(item, None) for item in value]
    return value


def _value(hint: Any, value: Any, *, where: str) -> Any:
    """Return a value of TOML as the type a field has, or raise."""
    if get_origin(hint) is UnionType:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    origin, args = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return from_table(hint, _of_type(value, Mapping, "a table", where), where=where)
    if origin is Literal:
        if value not in args:
            raise TrainingError(
                f"{where} {value!r} is none of {', '.join(repr(one) for one in args)}"
            )
        return value
    if hint is SensorSize:
        return _size(value, where)
    if hint == PAIRS:
        table = _of_type(value, Mapping, "a table of numbers", where)
        return tuple(
            (key, _value(float, one, where=f"{where}.{key}")) for key, one in table.items()
        )
    if origin is tuple:
        items = _of_type(value, (list, tuple), "a list", where)
        kinds = [args[0]] * len(items) if args[-1] is Ellipsis else list(args)
        if len(kinds) != len(items):
            raise TrainingError(f"{where} must hold {len(kinds)} values, got {len(items)}")
        return tuple(
            _value(one, item, where=f"{where}[{i}]")
            for i, (one, item) in enumerate(zip(kinds, items, strict=True))
        )
    if origin is not None:
        return dict(_of_type(value, Mapping, "a table", where))
    return _scalar(hint, value, where)


def _scalar(hint: type, value: Any, where: str) -> Any:
    expected = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    # A boolean is an int to Python and never meant as one.
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise TrainingError(f"{where} must be {expected[hint]}, got {value!r}")
    return value


def _size(value: Any, where: str) -> SensorSize:
    width, cross, height = str(value).partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise TrainingError(f"{where} must be WIDTHxHEIGHT, such as 352x224, got {value!r}")
    return SensorSize(height=int(height), width=int(width))


def _of_type(value: Any, kind: Any, expected: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise TrainingError(f"{where} must be {expected}, got {value!r}")
    return value


def _near_paths(key: str, kind: type) -> list[str]:
    """Return the settings below a dataclass that a key may have meant, as paths.

    A name or the initials of a name (lr) that a nested table has is the only one.
    """
    paths = {path: path.rpartition(".")[2] for path in setting_paths(kind)}
    for path, name in paths.items():
        if key in (name, "".join(word[0] for word in name.split("_") if "_" in name)):
            return [path]
    near = near_names(key, paths.values())
    return [next(path for path, last in paths.items() if last == name) for name in near]


def setting_paths(kind: type) -> list[str]:
    """Return the paths of all settings below a dataclass and of the tables that hold them."""
    hints = _hints_of(kind)
    paths = [field.name for field in fields(kind)]
    for name in list(paths):
        if is_dataclass(hints[name]) and isinstance(hints[name], type):
            paths += [f"{name}.{path}" for path in setting_paths(hints[name])]
    return paths


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
