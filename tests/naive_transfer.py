"""Specification of weights for other input channels, in loops over single numbers."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray


def naive_inflated(
    theirs: NDArray[np.float64], shape: tuple[int, ...], *, before: int, channels: int
) -> NDArray[np.float64]:
    """Return each number as the mean over the input channels that it stands for, or as its own."""
    result = np.zeros(shape)
    for place in itertools.product(*map(range, shape)):
        axes = []
        factor = 1.0
        for axis, k in enumerate(place):
            fixed = shape[axis] - channels
            summed = theirs.ndim > 1 and axis == 1
            if theirs.shape[axis] == shape[axis] or k < fixed:
                axes.append([k])
            elif fixed > 0 and channels >= before:
                turn = (k - fixed) % before
                axes.append([fixed + turn])
                if summed:
                    factor /= sum(other % before == turn for other in range(channels))
            else:
                axes.append(list(range(fixed, fixed + before)))
                if summed:
                    factor *= before / channels
        places = list(itertools.product(*axes))
        result[place] = factor * sum(theirs[p] for p in places) / len(places)
    return result
