"""Which class table a teacher's outputs are in: told, found by names, or by their number."""

from __future__ import annotations

from collections.abc import Sequence

from eventseg.errors import LabelError
from eventseg.labels.maps import ClassTable, load_class_table

KNOWN = ("cityscapes19", "camvid11", "dsec11", "evsegnet6", "cityscapes10")
"""Tables that teachers are compared with."""

SHOWN = 3
"""Class names that an error shows."""


def table_by_names(
    names: Sequence[str], *, teacher: str, told: ClassTable | None = None
) -> ClassTable:
    """Return the table of a teacher that names its classes.

    Parameters
    ----------
    names : sequence of str
        Its class names by id; case, ``_`` and ``-`` do not count.
    teacher : str
        Its name, for errors.
    told : ClassTable, optional
        What the user says it is; only the number of classes is compared then.

    Raises
    ------
    LabelError
        The names are of no known table, or their number is not that of the one told.
    """
    if told is not None:
        return _of_number(len(names), told, teacher=teacher)
    plain = [_plain(name) for name in names]
    for known in KNOWN:
        table = load_class_table(known)
        if plain == [_plain(name) for name in table.names]:
            return table
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise LabelError(
        f"the {len(names)} classes of teacher {teacher} ({shown}) are those of no known table "
        f"({', '.join(KNOWN)}): say which they are with --teacher-classes TABLE"
    )


def table_by_number(count: int, *, teacher: str, told: ClassTable | None = None) -> ClassTable:
    """Return the table of a teacher whose file does not name its classes.

    Parameters
    ----------
    count : int
        Its number of classes: 19 are those of Cityscapes.
    teacher : str
        Its name, for errors.
    told : ClassTable, optional
        What the user says it is.

    Raises
    ------
    LabelError
        No table or more than one has so many classes, or not the one told.
    """
    if told is not None:
        return _of_number(count, told, teacher=teacher)
    fitting = [name for name in KNOWN if len(load_class_table(name)) == count]
    if len(fitting) == 1:
        return load_class_table(fitting[0])
    which = f"fits {' and '.join(fitting)}" if fitting else f"is none of {', '.join(KNOWN)}"
    raise LabelError(
        f"teacher {teacher} has {count} classes without names, which {which}: say which they are "
        "with --teacher-classes TABLE"
    )


def _of_number(count: int, told: ClassTable, *, teacher: str) -> ClassTable:
    if len(told) != count:
        raise LabelError(
            f"teacher {teacher} has {count} classes, the table told has {len(told)} "
            f"({', '.join(told.names[:SHOWN])}, ...): give its own table with --teacher-classes"
        )
    return told


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
