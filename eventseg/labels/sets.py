"""Label sets: the classes of each and how it was made, as a manifest holds them.

A data set folder has them in its manifest. A folder of labelled pictures belongs to somebody else
and stays as it is: its sets lie in ``label_sets/`` within it, in the same layout, ``labels/SET``
and ``confidence/SET`` beside the file ``label_sets.toml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from eventseg.errors import DatasetError, EventsegError
from eventseg.files.texts import read_toml
from eventseg.files.whole import write_whole
from eventseg.labels.table_files import class_rows, merge_rows
from eventseg.labels.tables import TABLES, ClassTable, parsed_merges, table_of

FOLDER = "label_sets"
"""Where the label sets of a folder of labelled pictures lie within it."""

FILE = "label_sets.toml"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Label sets by name.

    Parameters
    ----------
    tables : mapping of str to ClassTable
        Classes of each set.
    settings : mapping of str to mapping
        How each set was made, of those that a teacher made.
    """

    tables: Mapping[str, ClassTable] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def without(self, name: str) -> LabelSets:
        """Return all sets but one."""
        return LabelSets(
            {each: table for each, table in self.tables.items() if each != name},
            {each: made for each, made in self.settings.items() if each != name},
        )

    def with_set(self, name: str, table: ClassTable, settings: Mapping[str, Any]) -> LabelSets:
        """Return these sets and one more, which takes the place of one of its name."""
        others = self.without(name)
        return LabelSets(
            {**others.tables, name: table},
            {**others.settings, **({name: settings} if settings else {})},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the sets as TOML holds them."""
        return {
            name: {
                **({"settings": settings} if (settings := self.settings.get(name)) else {}),
                **_entries(table),
            }
            for name, table in self.tables.items()
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> LabelSets:
        """Return the sets that a TOML table holds.

        Raises
        ------
        KeyError, TypeError, ValueError
            An entry is missing or of another kind.
        LabelError
            A colour or a merge that no table can have.
        """
        return cls(
            {name: _table(labels) for name, labels in table.items()},
            {
                name: dict(labels["settings"])
                for name, labels in table.items()
                if "settings" in labels
            },
        )


def read_label_sets(root: Path) -> LabelSets:
    """Return the label sets in a folder; none where it has no file that lists them.

    Raises
    ------
    DatasetError
        The file cannot be read, or is of another schema version.
    """
    path = root / FILE
    try:
        table = read_toml(path)
        if table.get("schema") != SCHEMA:
            raise DatasetError(
                f"{path} has schema {table.get('schema')!r}, this version reads {SCHEMA}; label "
                "again or use the version of eventseg that made it"
            )
        return LabelSets.from_dict(table.get("labels", {}))
    except FileNotFoundError:
        return LabelSets()
    except KeyError as error:
        raise DatasetError(f"{path} lacks {error}") from error
    except DatasetError:
        raise
    except (OSError, RecursionError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    except (AttributeError, OverflowError, TypeError, ValueError, EventsegError) as error:
        raise DatasetError(f"{path} lists no label sets: {error}") from error


def write_label_sets(root: Path, sets: LabelSets) -> None:
    """Write the file that lists the label sets of a folder.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    text = tomli_w.dumps({"schema": SCHEMA, "tool": "eventseg", "labels": sets.to_dict()})
    write_whole(root / FILE, lambda file: file.write(text.encode(errors="replace")))


def _entries(table: ClassTable) -> dict[str, Any]:
    """Return a class table as TOML holds it; one of the package is known by its name."""
    if table.name in TABLES and table_of(table.names) == table:
        table = ClassTable(table.names, table.colours, table.name)
    merges = merge_rows(table)
    return {
        # By its name other tables merge it.
        **({"table": table.name} if table.name else {}),
        "classes": class_rows(table),
        **({"merge": merges} if merges else {}),
    }


def _table(entries: Mapping[str, Any]) -> ClassTable:
    """Return the class table of :func:`_entries`."""
    rows = entries["classes"]
    names = tuple(str(row["name"]) for row in rows)
    table = ClassTable(
        names,
        tuple(_colour(row["colour"]) for row in rows),
        str(entries.get("table", "")),
        tuple(bool(row.get("instances", False)) for row in rows),
        merges=tuple(parsed_merges(entries.get("merge", {}), names, where="merge")),
    )
    known = table_of(names)
    return known if table.name in ("", known.name) and known == table else table


def _colour(values: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = map(int, values)
    return red, green, blue
