"""Label maps and class probabilities: merging into another class table, checks, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.labels.merges import groups_of as groups_of
from eventseg.labels.merges import merge_of as merge_of
from eventseg.labels.tables import IGNORED as IGNORED
from eventseg.labels.tables import PAGE, described
from eventseg.labels.tables import ClassTable as ClassTable
from eventseg.labels.tables import load_class_table as load_class_table
from eventseg.labels.tables import table_of as table_of

if TYPE_CHECKING:
    from torch import Tensor

Labels = NDArray[np.uint8]
Real = TypeVar("Real", bound=np.floating[Any])

CITYSCAPES_19 = load_class_table("cityscapes19")
"""The training classes of Cityscapes by training id, in the colours of its scripts."""

EVSEGNET_6 = load_class_table("evsegnet6")
"""The classes of EV-SegNet's labels of DDD17; its background is construction and sky."""

EVSEGNET_6_OF_CITYSCAPES_19 = merge_of(CITYSCAPES_19, EVSEGNET_6)
"""EV-SegNet's class of each training class of Cityscapes."""

SHOWN_IDS = 8
"""Class ids that a message lists."""


def merge_labels(labels: Labels, merge: Sequence[int]) -> Labels:
    """Return labels in the classes of another table; ignored pixels stay so.

    Parameters
    ----------
    labels : uint8 (H, W)
    merge : sequence of int
        New id of each old one, 255 for ignored; see :func:`eventseg.labels.tables.merge_of`.

    Raises
    ------
    LabelError
        A label that `merge` does not name.
    """
    unknown = unknown_labels(labels, len(merge))
    if unknown:
        raise LabelError(
            f"labels hold {shown_ids(unknown)}; the merge is of the {len(merge)} classes "
            f"0 to {len(merge) - 1} and {IGNORED} for ignored ({PAGE})"
        )
    lookup = np.full(256, IGNORED, np.uint8)
    lookup[: len(merge)] = merge
    return lookup[labels]


@overload
def merge_probabilities(
    probabilities: NDArray[Real], merge: Sequence[int], *, classes: int
) -> NDArray[Real]: ...
@overload
def merge_probabilities(probabilities: Tensor, merge: Sequence[int], *, classes: int) -> Tensor: ...
def merge_probabilities(probabilities: Any, merge: Sequence[int], *, classes: int) -> Any:
    """Return the probabilities of the classes of another table: sums over those merged.

    The most probable merged class need not be the one that the most probable class merges into:
    a bus that may as well be a truck is a vehicle, though sky is more probable than either.

    Parameters
    ----------
    probabilities : float (C, H, W) or (N, C, H, W)
        An array, or a tensor on any device.
    merge : sequence of int (C,)
        New id of each old one. The probability of classes that become 255 is dropped, so that a
        pixel's sum may be below 1; nothing is scaled up.
    classes : int
        Number K of new classes.

    Returns
    -------
    float (K, H, W) or (N, K, H, W)
        Of the same type; summed in the order of the old classes.

    Raises
    ------
    LabelError
        An array of another shape or type, or a new id that is no class.
    """
    shape, array = tuple(probabilities.shape), isinstance(probabilities, np.ndarray)
    real = (
        np.issubdtype(probabilities.dtype, np.floating)
        if array
        else probabilities.is_floating_point()
    )
    if not real:
        raise LabelError(f"probabilities are {probabilities.dtype}; give floats from 0 to 1")
    if len(shape) not in (3, 4) or shape[-3] != len(merge):
        raise LabelError(
            f"probabilities of shape {shape} do not fit a merge of {len(merge)} classes; "
            f"give ({len(merge)}, H, W) or (N, {len(merge)}, H, W)"
        )
    wrong = [new for new in merge if not (0 <= new < classes or new == IGNORED)]
    if wrong:
        raise LabelError(f"merge into {wrong[0]}: allowed are 0 to {classes - 1} and {IGNORED}")
    new_shape = (*shape[:-3], classes, *shape[-2:])
    merged = (
        np.zeros(new_shape, probabilities.dtype) if array else probabilities.new_zeros(new_shape)
    )
    for old, new in enumerate(merge):
        if new != IGNORED:
            merged[..., new, :, :] += probabilities[..., old, :, :]
    return merged


def paint_labels(labels: Labels, classes: ClassTable) -> NDArray[np.uint8]:
    """Return a picture of labels in the colours of their classes; ignored pixels are black.

    Returns
    -------
    uint8 (H, W, 3)

    Raises
    ------
    LabelError
        A label outside the table.
    """
    unknown = unknown_labels(labels, len(classes))
    if unknown:
        raise LabelError(f"labels hold {shown_ids(unknown)}; {described(classes)}")
    lookup = np.zeros((256, 3), np.uint8)
    lookup[: len(classes)] = classes.colours
    return lookup[labels]


def shown_ids(ids: Sequence[int]) -> str:
    """Return class ids for a message: the first ones, and the number of the others.

    Examples
    --------
    >>> shown_ids([6, 7]), shown_ids(range(6, 200))
    ('6, 7', '6, 7, 8, 9, 10, 11, 12, 13 and 186 more')
    """
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS + 1 else ""
    return ", ".join(map(str, ids[:SHOWN_IDS] if more else ids)) + more


def unknown_labels(labels: Labels, classes: int) -> list[int]:
    """Return the labels that are neither one of so many classes nor ignored, sorted."""
    # Compared as 8-bit values, many times quicker than counting, and mostly there are none.
    wrong = (labels >= min(classes, IGNORED)) & (labels != IGNORED)
    return np.unique(labels[wrong]).tolist() if wrong.any() else []
