"""Name of the folder of an audit's report."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from eventseg.errors import LabelError
from eventseg.evaluation.audit.maps import Pair, common_classes
from eventseg.evaluation.request import classes_word


def audit_folder_name(
    pair: Pair,
    data: Path,
    *,
    of_sets: bool,
    split: str = "all",
    confidence: Path | None = None,
    against: Literal["truth", "teacher"] = "truth",
) -> str:
    """Return the usual name of an audit's folder: one of its own for each question.

    ``audit-DATA-LABELS-OTHER``, and after it only what differs from the usual.

    Parameters
    ----------
    pair : Pair
    data : Path
        Data set or folder whose labels are audited.
    of_sets : bool
        Whether `data` has label sets; a plain folder is named once, with the classes of its files.
    split : str
    confidence : Path, optional
        Folder of confidence PNGs.
    against : {"truth", "teacher"}
        Words for the other labels.
    """
    parts = ["audit", *([data.resolve().name] if of_sets else []), pair.labels.name]
    parts.append(pair.other.name)
    if split != "all":
        parts.append(split)
    if not of_sets or not _is_usual(pair):
        parts.append(classes_word(pair.classes.names))
    if confidence is not None:
        parts.append(f"confidence-{confidence.resolve().name}")
    if against == "teacher":
        parts.append("against")
    return "-".join(parts)


def _is_usual(pair: Pair) -> bool:
    """Return whether the classes are those that follow from the two sets."""
    try:
        usual = common_classes(pair.labels.classes, pair.other.classes)
    except LabelError:
        return False
    return usual.names == pair.classes.names
