"""Text, default and allowed values of each setting, as its dataclass has them.

The section ``Parameters`` of a dataclass's docstring is the one place of a setting's text and its
field that of the default: ``--help`` and the page of settings are made from both.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from eventseg.events import SensorSize

ENTRY = re.compile(r"(\w+(?:, \w+)*)(?: : (.+))?")
"""First line of an entry of a docstring: names, and after a colon their type."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Parameters
    ----------
    path : str
        Such as ``optimiser.learning_rate``.
    hint : type
        Type of the field.
    type_text : str
        Type as the docstring writes it.
    default : object
    text : str
        Description in sentences, without markup.
    """

    path: str
    hint: Any
    type_text: str
    default: Any
    text: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the allowed values, where they are words."""
        return get_args(self.hint) if get_origin(self.hint) is Literal else ()

    @property
    def default_text(self) -> str:
        """Return the default as it is written on the command line; empty for none."""
        return _written(self.default)


def describe_settings(kind: type, *, where: str = "") -> dict[str, Setting]:
    """Return all settings of a dataclass, and of those in it, by path.

    Parameters
    ----------
    kind : type
        A dataclass; every field needs an entry in its docstring.
    where : str
        Path of the dataclass itself.

    Examples
    --------
    >>> from eventseg.training.config.optimisation import OptimiserSpec
    >>> describe_settings(OptimiserSpec)["learning_rate"].default_text
    '0.001'
    """
    hints, entries = get_type_hints(kind), parameter_entries(inspect.getdoc(kind) or "")
    found: dict[str, Setting] = {}
    for field in fields(kind):
        path = f"{where}.{field.name}" if where else field.name
        hint, default = hints[field.name], _default(field)
        if is_dataclass(hint) and isinstance(hint, type):
            for name, setting in describe_settings(hint, where=path).items():
                # The field may hold other values than the dataclass's own defaults.
                value = getattr(default, name.removeprefix(f"{path}."), setting.default)
                found[name] = replace(setting, default=value)
        else:
            type_text, text = entries[field.name]
            found[path] = Setting(path, hint, type_text, default, text)
    return found


def parameter_entries(docstring: str) -> dict[str, tuple[str, str]]:
    """Return type and description of each entry of a docstring's section ``Parameters``."""
    lines = iter(docstring.splitlines())
    for line in lines:
        if line.strip() == "Parameters" and next(lines, "").strip("- ") == "":
            break
    found: dict[str, tuple[str, list[str]]] = {}
    body: list[str] = []
    for line in lines:
        if set(line.strip()) == {"-"}:  # the last name was the title of the next section
            found.popitem()
            break
        match = ENTRY.fullmatch(line)
        if match is not None:
            body = []
            found |= dict.fromkeys(match[1].split(", "), (match[2] or "", body))
        elif line.startswith(" "):
            body.append(line.strip())
    return {name: (text or "", _plain(" ".join(body))) for name, (text, body) in found.items()}


def _plain(text: str) -> str:
    """Return text without the markup of docstrings: roles, quoted code and emphasis."""
    text = re.sub(r":\w+:`~?([^`]+)`", lambda match: match[1].rpartition(".")[2], text)
    return re.sub(r"`{1,2}([^`]+)`{1,2}", r"\1", text)


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return None if field.default_factory is MISSING else field.default_factory()


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, SensorSize):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ",".join(f"{key}={_written(item)}" for key, item in value.items())
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return ",".join(key if one == 1 else f"{key}={_written(one)}" for key, one in value)
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return str(value)
