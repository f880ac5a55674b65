"""Merges: the class of one table that each class of another becomes."""

from __future__ import annotations

from eventseg.errors import LabelError
from eventseg.labels.tables import (
    IGNORED,
    NO_CLASS,
    PAGE,
    VOID_NAMES,
    ClassTable,
    Merge,
    described,
    load_class_table,
    plain_name,
    table_of,
)


def merge_of(
    source: ClassTable | str, target: ClassTable | str, *, reading: str | None = None
) -> tuple[int, ...]:
    """Return the class of one table that each class of another becomes.

    By the merge that the target's file has of the source, found by the source's name. Without one,
    by the names of the classes: a class becomes the target's class of its name, or that whose merge
    of any table lists it; void becomes ignored where the target has no such class.

    Parameters
    ----------
    source, target : ClassTable or str
        Tables, or arguments of :func:`load_class_table`.
    reading : str, optional
        Which merge where the target has several, such as ``ess``; by default the first in its
        file.

    Returns
    -------
    tuple of int (classes of the source,)
        Id in the target, or 255 for ignored. Between tables of the same names every class stays.

    Raises
    ------
    LabelError
        The target has no such merge and does not name all classes, or the merge does not fit the
        source's classes.
    """
    source, target = (
        table if isinstance(table, ClassTable) else load_class_table(table)
        for table in (source, target)
    )
    if source.names == target.names and reading is None:
        return tuple(range(len(source)))
    own, packaged = source.name, table_of(source.names).name
    merged = {merge.source for merge in target.merges}
    name = own if own in merged or not packaged else packaged
    found = [merge for merge in target.merges if merge.source == name]
    chosen = next((merge for merge in found if reading in (None, merge.reading)), None)
    if chosen is None and reading is None:
        by_names = _merge_by_names(source, target)
        lacking = [one for one, new in zip(source.names, by_names, strict=True) if new is None]
        if not lacking:
            return tuple(new for new in by_names if new is not None)
        unnamed = f"and no class for {', '.join(lacking[:3])}{', ...' if lacking[3:] else ''}; "
    else:
        unnamed = ""
    if chosen is None:
        known = ", ".join(f"{m.source} {m.reading}".strip() for m in target.merges) or "none"
        asked = f"{name or 'a table without a name'} {reading or ''}".strip()
        raise LabelError(
            f"{target.name or 'the class table'} has no merge of {asked}, its merges are {known}; "
            f"{unnamed}write a .toml table with the merge: {described(target)}"
        )
    return _ids_of(chosen, source, target)


def groups_of(
    source: ClassTable | str, target: ClassTable | str, *, reading: str | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the ids of one table that become each class of another, by the class's name.

    Parameters and errors are those of :func:`merge_of`.
    """
    names = (load_class_table(target) if isinstance(target, str) else target).names
    merge = merge_of(source, target, reading=reading)
    return {
        name: tuple(old for old, new in enumerate(merge) if new == i)
        for i, name in enumerate(names)
    }


def _merge_by_names(source: ClassTable, target: ClassTable) -> list[int | None]:
    """Return the target's id of each class of the source by its name, None where none is known."""
    ids: dict[str, int | None] = {plain_name(name): i for i, name in enumerate(target.names)}
    own = set(ids)
    read: set[str] = set()
    for merge in target.merges:
        if merge.source in read:  # another reading of the same table
            continue
        read.add(merge.source)
        for group, members in merge.groups:
            new = IGNORED if group == NO_CLASS else target.names.index(group)
            for member in map(plain_name, members):
                if member not in own and ids.setdefault(member, new) != new:
                    ids[member] = None  # tables differ in what the name means
    for name in VOID_NAMES - own:
        ids[name] = IGNORED
    return [ids.get(plain_name(name)) for name in source.names]


def _ids_of(merge: Merge, source: ClassTable, target: ClassTable) -> tuple[int, ...]:
    where = f"merge of {merge.source} into {target.name or 'a class table'}"
    ids: dict[str, int] = {}
    for group, members in merge.groups:
        for member in members:
            if member not in source.names:
                raise LabelError(
                    f"{where}: {group} holds {member!r}, no class of {merge.source}: "
                    f"{described(source)}"
                )
            if member in ids:
                raise LabelError(
                    f"{where}: {member!r} is named twice; name each class once ({PAGE})"
                )
            ids[member] = IGNORED if group == NO_CLASS else target.names.index(group)
    lacking = [name for name in source.names if name not in ids]
    if lacking:
        raise LabelError(
            f"{where} lacks {', '.join(lacking)}; put what has no class in 'ignored' ({PAGE})"
        )
    return tuple(ids[name] for name in source.names)
