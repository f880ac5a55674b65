"""Instance-level IoU (iIoU) of Cityscapes: small things weigh as much as large ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.labels.tables import IGNORED
from eventseg.metrics.confusion import Ids, confusion_matrix

CITYSCAPES_MEAN_PIXELS = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}
"""Mean pixels of an instance in the training images of Cityscapes, as its scripts use them."""

RULE_IIOU = (
    "every instance weighs as much as one of its class's mean size; true pixels of no instance, "
    "such as crowds, count neither as found nor as missed; mean over the classes with instances, "
    "and over those that have none in the truth but are predicted, which score 0"
)


@dataclass(frozen=True, eq=False, slots=True)
class InstanceCounts:
    """Pixel counts of instances behind the iIoU; counts of several images add up.

    Parameters
    ----------
    instances : int64 (K,)
        Number of instances of each class.
    pixels : int64 (K,)
        Pixels of these instances.
    found : float64 (K,)
        Sum over the instances of the share of their pixels that is predicted as their class.
    false : int64 (K,)
        Pixels of other classes that are predicted as this one.
    images, image_pixels : int
        Number of images, and of all their pixels.
    """

    instances: NDArray[np.int64]
    pixels: NDArray[np.int64]
    found: NDArray[np.float64]
    false: NDArray[np.int64]
    images: int
    image_pixels: int

    def __add__(self, other: Self) -> InstanceCounts:
        """Return the counts of both."""
        return InstanceCounts(
            self.instances + other.instances,
            self.pixels + other.pixels,
            self.found + other.found,
            self.false + other.false,
            self.images + other.images,
            self.image_pixels + other.image_pixels,
        )


def instance_counts(truth: Ids, instances: Ids, prediction: Ids, *, classes: int) -> InstanceCounts:
    """Return the instance counts of one image.

    Parameters
    ----------
    truth, prediction : integer (H, W)
        Class ids; pixels whose truth is 255 are dropped.
    instances : integer (H, W)
        Which thing a pixel belongs to, another number for each thing of the image; 0 where a
        class is not counted, as for roads or for a crowd that is labelled as one.
    classes : int
        Number K of classes.

    Raises
    ------
    LabelError
        Arrays of other types or shapes, or ids outside the classes.
    """
    instances = np.asarray(instances)
    matrix = confusion_matrix(truth, prediction, classes=classes)
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if instances.shape != truth.shape or not np.issubdtype(instances.dtype, np.integer):
        raise LabelError(
            f"instances are {instances.dtype} {instances.shape}; give integers {truth.shape}"
        )
    countable = (truth != IGNORED) & (instances != 0)
    owner = truth[countable].astype(np.int64)
    # A thing is what has one number and one class, so that merged tables cannot join two.
    _, number = np.unique(instances[countable], return_inverse=True)
    keys, index, size = np.unique(number * classes + owner, return_inverse=True, return_counts=True)
    right = np.bincount(index[prediction[countable] == owner], minlength=len(keys))
    of_class = keys % classes
    return InstanceCounts(
        np.bincount(of_class, minlength=classes).astype(np.int64),
        np.bincount(owner, minlength=classes).astype(np.int64),
        np.bincount(of_class, right / size, minlength=classes).astype(np.float64),
        matrix.sum(0) - np.diag(matrix),
        1,
        truth.size,
    )


@dataclass(frozen=True, slots=True)
class InstanceScores:
    """The iIoU of each class (K,), nan where it is not scored, and its mean over the others."""

    iiou: tuple[float, ...]
    mean: float

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as JSON holds them, None for nan."""
        return {
            "iiou": [None if math.isnan(value) else value for value in self.iiou],
            "mean": None if math.isnan(self.mean) else self.mean,
        }


def instance_scores(
    counts: InstanceCounts,
    *,
    mean_pixels: NDArray[np.float64] | None = None,
    countable: Sequence[bool] = (),
) -> InstanceScores:
    """Return the instance-level IoU of each class.

    iIoU = iTP / (iTP + FP + iFN), where each pixel of iTP and iFN weighs the mean size of the
    class's instances over the size of its own, and FP is plain pixels (Cordts et al., CVPR 2016,
    section 4.1).

    Parameters
    ----------
    counts : InstanceCounts
        Sum of the counts of all images.
    mean_pixels : float64 (K,), optional
        Mean size of an instance of each class in pixels, such as
        :data:`CITYSCAPES_MEAN_PIXELS`; by default that of the counted instances.
    countable : sequence of bool (K,), optional
        Classes whose objects are labelled one by one. One of them without an instance in the
        truth scores 0 where it is predicted, as in Cityscapes' scripts. By default only classes
        with instances are scored.

    Returns
    -------
    InstanceScores
        nan for a class without instances that is not countable or not predicted.

    Raises
    ------
    LabelError
        Mean sizes or countable classes of another number, or a mean size not above 0 where there
        are instances.
    """
    some = counts.instances > 0
    if mean_pixels is None:
        mean_pixels = counts.pixels / np.maximum(counts.instances, 1)
    if np.shape(mean_pixels) != some.shape or not np.all(mean_pixels[some] > 0):
        raise LabelError(
            f"mean sizes {np.asarray(mean_pixels).tolist()}: give {len(some)}, above 0 where a "
            "class has instances"
        )
    if len(countable) not in (0, len(some)):
        raise LabelError(f"{len(countable)} countable classes are told of {len(some)}; tell all")
    # iTP + iFN is the mean size times the number of instances.
    weight = mean_pixels[some] * counts.instances[some] + counts.false[some]
    iiou = np.full(some.shape, np.nan)
    iiou[some] = mean_pixels[some] * counts.found[some] / weight
    if len(countable):
        iiou[~some & np.asarray(countable, np.bool_) & (counts.false > 0)] = 0
    scored = ~np.isnan(iiou)
    mean = float(iiou[scored].mean()) if scored.any() else math.nan
    return InstanceScores(tuple(iiou.tolist()), mean)
