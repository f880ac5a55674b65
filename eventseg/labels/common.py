"""One class table for label maps of several, so that a colour means one class in all pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventseg.errors import LabelError
from eventseg.labels.maps import ClassTable, Labels, merge_labels, merge_of


@dataclass(frozen=True, slots=True)
class CommonTable:
    """One class table that label maps of several tables are merged into.

    Parameters
    ----------
    classes : ClassTable
    merges : tuple of tuple of int
        Class of each class of each table, 255 for ignored.
    """

    classes: ClassTable
    merges: tuple[tuple[int, ...], ...]

    def labels(self, labels: Labels, table: int) -> Labels:
        """Return a label map of a table, by its number, in the common classes."""
        return merge_labels(labels, self.merges[table])


def common_table(tables: Sequence[ClassTable]) -> CommonTable | None:
    """Return the table among some that all others merge into, the one of most classes first.

    None where there is none: then their label maps cannot be compared.

    Examples
    --------
    >>> tables = [load_class_table("cityscapes19"), load_class_table("evsegnet6")]
    >>> common_table(tables).classes.name
    'evsegnet6'
    """
    for target in sorted(tables, key=len, reverse=True):
        try:
            return CommonTable(target, tuple(merge_of(table, target) for table in tables))
        except LabelError:
            continue
    return None


def union_table(tables: Sequence[ClassTable]) -> CommonTable:
    """Return a table with every class of some once, by its name, in the colour of the first.

    Examples
    --------
    >>> union_table([load_class_table("evsegnet6"), load_class_table("camvid11")]).merges[0]
    (0, 1, 2, 3, 4, 5)
    """
    colours: dict[str, tuple[int, int, int]] = {}
    for table in tables:
        for name, colour in zip(table.names, table.colours, strict=True):
            colours.setdefault(name, colour)
    places = {name: i for i, name in enumerate(colours)}
    merges = tuple(tuple(places[name] for name in table.names) for table in tables)
    return CommonTable(ClassTable(tuple(colours), tuple(colours.values())), merges)
