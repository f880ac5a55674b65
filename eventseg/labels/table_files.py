"""Class tables as TOML, as :func:`eventseg.labels.load_class_table` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w

from eventseg.files.whole import write_whole
from eventseg.labels.tables import TABLES, ClassTable


def write_class_table(path: Path, table: ClassTable) -> None:
    """Write the classes of a table and its merges.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    content = encoded_class_table(table)
    write_whole(path, lambda file: file.write(content))


def encoded_class_table(table: ClassTable) -> bytes:
    """Return the classes of a table and its merges as the bytes of a TOML file.

    A table that comes with the package goes by the name of the file: its own name is taken.
    """
    named = {"name": table.name} if table.name and table.name not in TABLES else {}
    ignored = {"ignored": list(table.ignored_ids)} if table.ignored_ids else {}
    merges = merge_rows(table)
    text = tomli_w.dumps(
        {
            **named,
            **ignored,
            "classes": class_rows(table),
            **({"merge": merges} if merges else {}),
        }
    )
    return text.encode()


def class_rows(table: ClassTable) -> list[dict[str, Any]]:
    """Return the classes of a table as TOML holds them."""
    instances = table.instances or (False,) * len(table)
    return [
        {"id": i, "name": name, "colour": list(colour), **({"instances": True} if counted else {})}
        for i, (name, colour, counted) in enumerate(
            zip(table.names, table.colours, instances, strict=True)
        )
    ]


def merge_rows(table: ClassTable) -> dict[str, Any]:
    """Return the merges of a table as TOML holds them: groups by source, or by reading."""
    merges: dict[str, Any] = {}
    for merge in table.merges:
        groups = {name: list(members) for name, members in merge.groups}
        if merge.reading:
            merges.setdefault(merge.source, {})[merge.reading] = groups
        else:
            merges[merge.source] = groups
    return merges
