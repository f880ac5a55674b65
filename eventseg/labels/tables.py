"""Class tables from TOML files: classes with names and colours, and merges from other tables.

A file of a user looks as those in ``eventseg/class_tables``::

    name = "two"
    classes = [
        { id = 0, name = "ground", colour = [128, 64, 128] },
        { id = 1, name = "the rest", colour = [70, 70, 70] },
    ]

    [merge.evsegnet6]
    ground = ["flat"]
    "the rest" = ["background", "object", "vegetation", "human"]
    ignored = ["vehicle"]
"""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from eventseg.errors import LabelError, known_names
from eventseg.files.texts import read_toml

IGNORED = 255
"""The label of pixels that belong to no class: neither trained on nor scored."""

FOLDER = Path(__file__).with_name("class_tables")
TABLES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
"""Names of the tables that come with the package."""

_KEYS = {"name", "classes", "ignored", "merge"}
_CLASS_KEYS = {"id", "name", "colour", "instances"}
NO_CLASS = "ignored"
"""Name in merges for pixels of no class; no class may have it."""

PAGE = "docs/classes.md"
"""Page about class tables, which every message about classes names."""

SHOWN = 12
"""Classes that a message shows of a longer table."""

VOID = "void"
"""Name of the class that ``TABLE+void`` adds after those of a table, and ``void+TABLE`` before."""

VOID_NAMES = frozenset({"void", "unlabeled", "unlabelled", "ignore", "ignored"})
"""Names of a class for pixels of no class; in tables that lack it they are ignored."""

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge of the classes of another table into those of the table that holds it.

    Parameters
    ----------
    source : str
        Name of the other table.
    reading : str
        Name of this way to merge where there are several, otherwise empty.
    groups : tuple of (str, tuple of str)
        Class of the holding table, or ``ignored``, and the classes of the other that become it.
    """

    source: str
    reading: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Classes by id: the first has id 0. Tables of equal names and colours are equal.

    Parameters
    ----------
    names : tuple of str (K,)
    colours : tuple of (red, green, blue) (K,)
        Each 0 to 255.
    name : str
        Name of the table, empty for one that comes from no file.
    instances : tuple of bool (K,)
        Whether things of a class can be counted; empty where unknown.
    ignored_ids : tuple of int
        Values that mean ignored in files of this table, beside 255.
    merges : tuple of Merge
        Merges of other tables into this one.

    Raises
    ------
    LabelError
        A colour that no picture can have, or not one for each class.
    """

    names: tuple[str, ...]
    colours: tuple[Rgb, ...]
    name: str = field(default="", compare=False)
    instances: tuple[bool, ...] = field(default=(), compare=False)
    ignored_ids: tuple[int, ...] = field(default=(), compare=False)
    merges: tuple[Merge, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        # Manifests and checkpoints of others hold tables too, not only files of tables.
        if len(self.colours) != len(self.names):
            raise LabelError(f"{len(self.names)} classes have {len(self.colours)} colours ({PAGE})")
        for name, colour in zip(self.names, self.colours, strict=True):
            if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
                raise LabelError(
                    f"colour of class {name!r} must be three numbers from 0 to 255, got "
                    f"{list(colour)} ({PAGE})"
                )

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)


def described(table: ClassTable) -> str:
    """Return a table for a message: its name, its classes by id, and the page about tables.

    Examples
    --------
    >>> described(ClassTable(("ground", "sky"), ((0, 0, 9), (9, 0, 0)), "two"))
    'class table two has 0 ground, 1 sky and 255 for ignored (docs/classes.md)'
    """
    shown = [f"{i} {name}" for i, name in enumerate(table.names)]
    if len(shown) > SHOWN + 1:
        shown[SHOWN - 1 : -1] = ["..."]
    name = f"class table {table.name or table_of(table.names).name}".rstrip()
    return f"{name} has {', '.join(shown)} and {IGNORED} for ignored ({PAGE})"


def load_class_table(name_or_path: str | Path) -> ClassTable:
    """Return a table of the package by its name, or one of a user's TOML file.

    Parameters
    ----------
    name_or_path : str or Path
        One of :data:`TABLES`, or a file that ends in ``.toml``. ``TABLE+void`` is the table with
        one more class, for pixels of none, after its own, ``void+TABLE`` with it before them.

    Raises
    ------
    LabelError
        No such table, or a file that is no class table.

    Examples
    --------
    >>> load_class_table("evsegnet6").names[0]
    'flat'
    """
    if str(name_or_path) in TABLES:
        return _packaged(str(name_or_path))
    text = str(name_or_path)
    if text.endswith(f"+{VOID}"):
        return with_void(load_class_table(text.removesuffix(f"+{VOID}")))
    if text.startswith(f"{VOID}+"):
        return with_void(load_class_table(text.removeprefix(f"{VOID}+")), first=True)
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise LabelError(
            f"no class table {str(name_or_path)!r}{known_names(text, TABLES)}, or a .toml file of "
            f"your own, see {PAGE}"
        )
    return _read(path)


def with_void(table: ClassTable, *, first: bool = False) -> ClassTable:
    """Return a table with one more class, for pixels of none: black, the last or the first.

    Networks that were trained with the unlabelled pixels as a class have such outputs.

    Raises
    ------
    LabelError
        The table has such a class already, or 255 classes.
    """
    if VOID_NAMES & set(table.names) or len(table) == IGNORED:
        raise LabelError(f"no class {VOID!r} can be added: {described(table)}")
    parts = [(table.names, table.colours, table.instances or (False,) * len(table))]
    parts.insert(0 if first else 1, ((VOID,), ((0, 0, 0),), (False,)))
    (names0, colours0, counted0), (names1, colours1, counted1) = parts
    name = f"{VOID}+{table.name}" if first else f"{table.name}+{VOID}"
    return ClassTable((*names0, *names1), (*colours0, *colours1), name, (*counted0, *counted1))


def plain_name(name: str) -> str:
    """Return the name of a class without case, ``_``, ``-`` and repeated blanks."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def table_of(names: Sequence[str]) -> ClassTable:
    """Return the table that has these names; one that is unknown gets evenly spread hues."""
    for known in map(_packaged, TABLES):
        if known.names == tuple(names):
            return known
    hues = [colorsys.hsv_to_rgb(i / max(1, len(names)), 0.7, 0.85) for i in range(len(names))]
    return ClassTable(
        tuple(names), tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues)
    )


def table_entries(table: ClassTable) -> dict[str, Any]:
    """Return a table as plain values, with name and merges where it is none of the package's."""
    plain: dict[str, Any] = {"names": table.names, "colours": table.colours}
    if table_of(table.names) == table and table_of(table.names).name:
        return plain
    merges = [[merge.source, merge.reading, merge.groups] for merge in table.merges]
    return {
        **plain,
        **({"name": table.name} if table.name else {}),
        **({"merges": merges} if merges else {}),
    }


def table_of_entries(entries: Mapping[str, Any]) -> ClassTable:
    """Return the table of :func:`table_entries`; one of the package has its merges.

    Raises
    ------
    KeyError, TypeError, ValueError
        An entry is missing or of another kind.
    """
    kept = ClassTable(
        tuple(map(str, entries["names"])),
        tuple((int(r), int(g), int(b)) for r, g, b in entries["colours"]),
        str(entries.get("name", "")),
        merges=tuple(
            Merge(
                str(source),
                str(reading),
                tuple((str(name), tuple(map(str, old))) for name, old in groups),
            )
            for source, reading, groups in entries.get("merges", ())
        ),
    )
    known = table_of(kept.names)
    return known if known.name and known == kept else kept


@cache
def _packaged(name: str) -> ClassTable:
    return _read(FOLDER / f"{name}.toml")


def _read(path: Path) -> ClassTable:
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        raise LabelError(f"cannot read class table {path}: {error} ({PAGE})") from error
    try:
        return _parsed(table, path)
    except LabelError as error:
        raise LabelError(f"class table {error} ({PAGE})") from error


def _parsed(table: Mapping[str, Any], path: Path) -> ClassTable:
    """Return the table that the contents of a file hold."""
    _check_keys(table, _KEYS, needed={"classes"}, where=str(path))
    rows = table["classes"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= IGNORED:
        raise LabelError(f"{path}: classes must be a list of 1 to {IGNORED} tables")
    for i, row in enumerate(rows):
        _check_class(row, where=f"{path}: classes[{i}]")
    rows = sorted(rows, key=lambda row: int(row["id"]))
    ids = [row["id"] for row in rows]
    if ids != list(range(len(ids))):
        wrong = next(value for i, value in enumerate(ids) if value != i)
        raise LabelError(f"{path}: id {wrong} is given twice or leaves a gap; give 0, 1, 2 ...")
    names = [row["name"] for row in rows]
    if len({*names, NO_CLASS}) <= len(names):
        raise LabelError(f"{path}: names of classes must differ, and none be {NO_CLASS!r}")
    name = table.get("name", path.stem)
    if not isinstance(name, str) or (name in TABLES and path.parent != FOLDER):
        raise LabelError(
            f"{path}: name {name!r} must be a word that is none of {', '.join(TABLES)}"
        )
    return ClassTable(
        tuple(names),
        tuple((row["colour"][0], row["colour"][1], row["colour"][2]) for row in rows),
        name,
        tuple(row.get("instances", False) for row in rows),
        _ignored_ids(table.get("ignored", []), len(rows), where=f"{path}: ignored"),
        tuple(parsed_merges(table.get("merge", {}), names, where=f"{path}: merge")),
    )


def _check_class(value: object, *, where: str) -> None:
    row = _table(value, where=where)
    _check_keys(row, _CLASS_KEYS, needed={"id", "name", "colour"}, where=where)
    if type(row["id"]) is not int or not 0 <= row["id"] < IGNORED:
        raise LabelError(f"{where}: id {row['id']!r} is no integer from 0 to {IGNORED - 1}")
    if not isinstance(row["name"], str) or not row["name"]:
        raise LabelError(f"{where}: name {row['name']!r} is no word")
    colour = row["colour"]
    if (
        not isinstance(colour, list)
        or len(colour) != 3
        or not all(type(value) is int and 0 <= value <= 255 for value in colour)
    ):
        raise LabelError(f"{where}: colour {colour!r} is not [red, green, blue], each 0 to 255")
    if not isinstance(row.get("instances", False), bool):
        raise LabelError(f"{where}: instances {row['instances']!r} is neither true nor false")


def _ignored_ids(values: object, classes: int, *, where: str) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(v in range(classes, IGNORED) for v in values):
        raise LabelError(f"{where}: {values!r} is no list of ids from {classes} to {IGNORED - 1}")
    return tuple(values)


def parsed_merges(table: object, names: Sequence[str], *, where: str) -> list[Merge]:
    """Return the merges of a table in TOML, checked as far as the table itself tells."""
    merges = []
    for source, body in _table(table, where=where).items():
        place = f"{where}.{source}"
        body = _table(body, where=place)
        # Several readings are tables of their own, a single one is the table of groups itself.
        several = bool(body) and all(isinstance(groups, dict) for groups in body.values())
        for reading, groups in (body if several else {"": body}).items():
            spot = f"{place}.{reading}" if reading else place
            for group, members in groups.items():
                if group not in (*names, NO_CLASS):
                    raise LabelError(f"{spot}: {group!r} is no class of this table")
                if not isinstance(members, list) or not all(isinstance(m, str) for m in members):
                    raise LabelError(f"{spot}: {group} is no list of names of classes")
            pairs = tuple((group, tuple(members)) for group, members in groups.items())
            merges.append(Merge(source, reading, pairs))
    return merges


def _table(value: object, *, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise LabelError(f"{where} is {value!r}, not a table")
    return value


def _check_keys(
    table: Mapping[str, Any], allowed: set[str], *, needed: set[str], where: str
) -> None:
    if needed - table.keys():
        raise LabelError(f"{where}: {', '.join(sorted(needed - table.keys()))} is missing")
    if table.keys() - allowed:
        wrong = ", ".join(sorted(table.keys() - allowed))
        raise LabelError(f"{where}: {wrong} is unknown; allowed are {', '.join(sorted(allowed))}")
