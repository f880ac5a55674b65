"""Pixels of each class in label maps by split, and warnings about labels that teach nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eventseg.labels.maps import IGNORED, ClassTable, Labels

SHOWN = 8
"""Classes that a warning names."""

UNUSED = ("gap", "other")
"""Splits that neither train nor score."""


def _no_pixels() -> NDArray[np.int64]:
    return np.zeros(256, np.int64)


@dataclass(slots=True)
class LabelCounts:
    """Counts over label maps.

    Parameters
    ----------
    pixels : int64 (256,)
        Pixels of each value.
    maps : int
        Number of label maps.
    uniform : int
        Label maps that hold one value only, ignored or a class.
    ignored : int
        Label maps that are ignored completely.
    """

    pixels: NDArray[np.int64] = field(default_factory=_no_pixels)
    maps: int = 0
    uniform: int = 0
    ignored: int = 0

    def add(self, labels: Labels) -> None:
        """Count a label map."""
        counts = np.bincount(labels.ravel(), minlength=256)
        self.pixels += counts
        self.maps += 1
        self.uniform += int(np.count_nonzero(counts) == 1)
        self.ignored += int(counts[IGNORED] == labels.size)


def total_counts(splits: Mapping[str, LabelCounts]) -> LabelCounts:
    """Return the counts of all splits together."""
    total = LabelCounts()
    for counts in splits.values():
        total.pixels = total.pixels + counts.pixels
        total.maps += counts.maps
        total.uniform += counts.uniform
        total.ignored += counts.ignored
    return total


def label_warnings(splits: Mapping[str, LabelCounts], classes: ClassTable | None) -> list[str]:
    """Return the faults of labels that make them teach or measure little, one line each.

    That all pixels are ignored, or of one class; label maps of which that is true; classes that
    never occur, and classes to test that do not occur in training.

    Parameters
    ----------
    splits : mapping of str to LabelCounts
    classes : ClassTable, optional
        None where the classes are unknown: then none of them can be missed.
    """
    total = total_counts(splits)
    values = np.flatnonzero(total.pixels)
    if not len(values):
        return []
    if len(values) == 1:
        value = int(values[0])
        what = "ignored (255)" if value == IGNORED else _class(value, classes)
        return [f"every pixel of all {total.maps:,} label maps is {what}: nothing can be learnt"]
    warnings = []
    if total.ignored:
        warnings.append(f"{total.ignored:,} of {total.maps:,} label maps are ignored completely")
    if total.uniform > total.ignored:
        warnings.append(
            f"{total.uniform - total.ignored:,} of {total.maps:,} label maps hold a single class"
        )
    if classes is None:
        return warnings
    never = [i for i in range(len(classes)) if total.pixels[i] == 0]
    if never:
        warnings.append(f"{_some(never, classes)} never occur{'s' * (len(never) == 1)}")
    train = splits.get("train")
    for name, counts in splits.items():
        if name == "train" or name in UNUSED or train is None or not train.maps:
            continue
        untaught = [i for i in range(len(classes)) if counts.pixels[i] and not train.pixels[i]]
        if untaught:
            occurs = "occurs" if len(untaught) == 1 else "occur"
            warnings.append(f"{_some(untaught, classes)} {occurs} in {name} and not in train")
    return warnings


def _class(value: int, classes: ClassTable | None) -> str:
    named = classes is not None and value < len(classes)
    return f"{value} {classes.names[value]}" if classes is not None and named else str(value)


def _some(ids: list[int], classes: ClassTable) -> str:
    names = [classes.names[i] for i in ids[:SHOWN]]
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"class{'es' * (len(ids) > 1)} {', '.join(names)}{more}"
