"""Class table of a network that is given, found by class names, or by their number."""

from __future__ import annotations

from collections.abc import Sequence

from eventseg.errors import LabelError
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.labels.tables import PAGE, VOID_NAMES, described, plain_name, with_void

KNOWN = ("cityscapes19", "camvid11", "dsec11", "evsegnet6", "cityscapes10")
"""Tables that networks and teachers are compared with."""

SHOWN = 3
"""Class names that an error shows."""


def table_by_names(
    names: Sequence[str], *, teacher: str, class_table: ClassTable | None = None
) -> ClassTable:
    """Return the table of a teacher that names its classes.

    Parameters
    ----------
    names : sequence of str
        Its class names by id; case, ``_`` and ``-`` do not count, and neither does their order.
        One may be void, for pixels of no class.
    teacher : str
        Its name, for errors.
    class_table : ClassTable, optional
        Table given by the user. Where its names are the teacher's in another order, the
        teacher's order holds; otherwise only the number of classes is compared.

    Raises
    ------
    LabelError
        The names are of no known table, or their number is not that of the given table.
    """
    if class_table is not None:
        return _in_order(class_table, names) or _of_number(
            len(names), class_table, owner=f"teacher {teacher}", option="--teacher-classes"
        )
    for known in KNOWN:
        table = _in_order(load_class_table(known), names)
        if table is not None:
            return table
    shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    raise LabelError(
        f"the {len(names)} classes of teacher {teacher} ({shown}) are those of no known table "
        f"({', '.join(KNOWN)}): say which they are with --teacher-classes TABLE"
    )


def table_by_number(
    count: int,
    *,
    owner: str,
    class_table: ClassTable | None = None,
    void_first: bool = False,
    data: ClassTable | None = None,
    option: str = "--teacher-classes",
) -> ClassTable:
    """Return the table of a network whose file does not name its classes.

    Parameters
    ----------
    count : int
        Its number of classes: 19 are those of Cityscapes, 20 the same and void.
    owner : str
        The network in words, such as ``teacher NAME``, for errors.
    class_table : ClassTable, optional
        Table given by the user.
    void_first : bool
        Whether the class void, where there is one, is the first and not the last.
    data : ClassTable, optional
        Table of the data that the network is used on: taken where several known tables have so
        many classes and it is one of them.
    option : str
        Option that gives the table, for errors.

    Raises
    ------
    LabelError
        No table or more than one has so many classes, or the given one has another number.
    """
    if class_table is not None:
        return _of_number(count, class_table, owner=owner, option=option)
    fitting = [name for name in KNOWN if len(load_class_table(name)) == count]
    if data is not None and data.name in fitting:
        fitting = [data.name]
    if len(fitting) == 1:
        return load_class_table(fitting[0])
    if not fitting and count == len(load_class_table("cityscapes19")) + 1:
        return with_void(load_class_table("cityscapes19"), first=void_first)
    which = f"fits {' and '.join(fitting)}" if fitting else f"is none of {', '.join(KNOWN)}"
    raise LabelError(
        f"{owner} has {count} classes without names, which {which}: say which they are "
        f"with {option} TABLE, or TABLE+void or void+TABLE where one output is void ({PAGE})"
    )


def _of_number(count: int, class_table: ClassTable, *, owner: str, option: str) -> ClassTable:
    if len(class_table) != count:
        raise LabelError(
            f"{owner} has {count} classes, the given table has {len(class_table)}: give its own "
            f"table with {option}; {described(class_table)}"
        )
    return class_table


def _in_order(table: ClassTable, names: Sequence[str]) -> ClassTable | None:
    """Return a table with its classes in a teacher's order, or None where their names differ."""
    place = {plain_name(name): i for i, name in enumerate(table.names)}
    plain = [plain_name(name) for name in names]
    if plain == list(place):
        return table
    void = [name for name in plain if name in VOID_NAMES and name not in place]
    if len(void) > 1 or sorted(plain) != sorted([*place, *void]):
        return None
    ids = [place.get(name) for name in plain]
    return ClassTable(
        tuple("void" if i is None else table.names[i] for i in ids),
        tuple((0, 0, 0) if i is None else table.colours[i] for i in ids),
        instances=tuple(
            i is not None and bool(table.instances) and table.instances[i] for i in ids
        ),
    )
