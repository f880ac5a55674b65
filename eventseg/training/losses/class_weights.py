"""Class weights from how often classes occur in the training labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventseg.errors import TrainingError
from eventseg.labels.maps import IGNORED, Labels

Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LabelCounts:
    """Pixels of each class, and labelled pixels of the images that show it, int64 (K,)."""

    pixels_of_class: NDArray[np.int64]
    pixels_of_images_with_class: NDArray[np.int64]


def count_labels(maps: Iterable[Labels], *, classes: int) -> LabelCounts:
    """Count the pixels of each class over label maps; ignored pixels count nowhere.

    Parameters
    ----------
    maps : iterable of uint8 (H, W)
        255 is ignored.
    classes : int
        Number of classes K.

    Raises
    ------
    TrainingError
        A label that is no class.
    """
    pixels = np.zeros(classes, np.int64)
    around = np.zeros(classes, np.int64)
    for labels in maps:
        found = np.bincount(labels.ravel(), minlength=256)
        found[IGNORED] = 0
        if found[classes:].any():
            raise TrainingError(
                f"labels hold class {classes + int(np.flatnonzero(found[classes:])[0])}; allowed "
                f"are 0 to {classes - 1} and {IGNORED} for ignored"
            )
        pixels += found[:classes]
        around += (found[:classes] > 0) * found.sum()
    return LabelCounts(pixels, around)


def median_frequency(
    pixels_of_class: ArrayLike, *, pixels_of_images_with_class: ArrayLike
) -> Weights:
    """Return ``median(f) / f`` with f = pixels of a class / pixels of the images that show it.

    Eigen and Fergus 2015, arXiv 1411.4734, as SegNet uses it. The median is over
    the classes that occur; one that does not has the weight 0.

    Parameters
    ----------
    pixels_of_class : int (K,)
        Pixels of each class, without ignored ones.
    pixels_of_images_with_class : int (K,)
        Labelled pixels of all images that show the class.

    Returns
    -------
    float64 (K,)

    Raises
    ------
    TrainingError
        No labelled pixel at all.
    """
    pixels = _counts(pixels_of_class)
    around = np.asarray(pixels_of_images_with_class, np.float64)
    frequency = np.divide(pixels, around, out=np.zeros_like(pixels), where=pixels > 0)
    median = np.median(frequency[pixels > 0])
    weights: Weights = np.zeros_like(pixels)
    np.divide(median, frequency, out=weights, where=pixels > 0)
    return weights


def enet_weights(pixels_of_class: ArrayLike, *, c: float = 1.02) -> Weights:
    """Return ``1 / ln(c + p)`` with p = the class's share of the labelled pixels.

    Paszke et al. 2016 (ENet), arXiv 1606.02147, with c = 1.02; CGNet has 1.10. A
    class that does not occur has the weight 0.

    Parameters
    ----------
    pixels_of_class : int (K,)
        Pixels of each class, without ignored ones.
    c : float
        Above 1; the largest weight is ``1 / ln c``.

    Returns
    -------
    float64 (K,)
        From 0 to ``1 / ln c``.

    Raises
    ------
    TrainingError
        No labelled pixel at all, or a constant that is not above 1.
    """
    if not c > 1:
        raise TrainingError(f"the constant of 1 / ln(c + p) must be above 1, got {c}")
    pixels = _counts(pixels_of_class)
    weights: Weights = np.where(pixels > 0, 1 / np.log(c + pixels / pixels.sum()), 0)
    return weights


def _counts(pixels_of_class: ArrayLike) -> Weights:
    pixels = np.asarray(pixels_of_class, np.float64)
    if not pixels.sum() > 0:
        raise TrainingError("class weights need labels, but every pixel is ignored")
    return pixels
