"""Class tables written as TOML files, as :func:`eventseg.labels.load_class_table` reads them."""

from __future__ import annotations

from pathlib import Path

import tomli_w

from eventseg.files import write_whole
from eventseg.labels.tables import TABLES, ClassTable


def write_class_table(path: Path, table: ClassTable) -> None:
    """Write the classes of a table, without its merges.

    A table that comes with the package goes by the name of the file: its own name is taken.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    instances = table.instances or (False,) * len(table)
    rows = [
        {"id": i, "name": name, "colour": list(colour), **({"instances": True} if counted else {})}
        for i, (name, colour, counted) in enumerate(
            zip(table.names, table.colours, instances, strict=True)
        )
    ]
    named = {"name": table.name} if table.name and table.name not in TABLES else {}
    ignored = {"ignored": list(table.ignored_ids)} if table.ignored_ids else {}
    text = tomli_w.dumps({**named, **ignored, "classes": rows})
    write_whole(path, lambda file: file.write(text.encode()))
