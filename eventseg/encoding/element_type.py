"""Element types of tensors: float32, or the smaller ones of stored data sets.

float16    half the bytes; whole numbers are exact up to 2048, 11 bits of other values are kept, and
values stop at 65504
uint8      a quarter of the bytes, for counts alone; they stop at 255

Values are rounded before any normalisation, so that a tensor that is read from a file, encoded live
or normalised elsewhere comes from the same numbers.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ElementType = Literal["float32", "float16", "uint8"]

LARGEST: dict[ElementType, float] = {"float16": 65504.0, "uint8": 255.0}
"""Value at which an element type stops."""


def rounded(tensor: NDArray[np.float32], dtype: ElementType) -> NDArray[Any]:
    """Return raw channels in an element type.

    Parameters
    ----------
    tensor : float32 (...)
    dtype : {"float32", "float16", "uint8"}

    Returns
    -------
    float32, float16 or uint8 (...)
    """
    if dtype == "float32":
        return tensor
    limit = np.float32(LARGEST[dtype])
    return np.clip(tensor, -limit if dtype == "float16" else 0, limit).astype(dtype)


def round_to(tensor: NDArray[np.float32], dtype: ElementType) -> None:
    """Round raw channels to the values of an element type, in place, as float32."""
    if dtype != "float32":
        tensor[...] = rounded(tensor, dtype)
