"""Specification of weights for other input channels, in loops over single numbers."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray


def naive_inflated(
    theirs: NDArray[np.float64], shape: tuple[int, ...], *, before: int, channels: int
) -> NDArray[np.float64]:
    """Return each number as the mean over the input channels that it stands for."""
    result = np.zeros(shape)
    for place in itertools.product(*map(range, shape)):
        axes = []
        factor = 1.0
        for axis, k in enumerate(place):
            if theirs.shape[axis] == shape[axis]:
                axes.append([k])
                continue
            fixed = shape[axis] - channels
            if k < fixed:
                axes.append([k])
                continue
            axes.append(list(range(fixed, fixed + before)))
            if theirs.ndim > 1 and axis == 1:
                factor *= before / channels
        places = list(itertools.product(*axes))
        result[place] = factor * sum(theirs[p] for p in places) / len(places)
    return result
