"""Changes of an image's brightness, contrast, colour and sharpness."""

from __future__ import annotations

import numpy as np

from eventseg.augmentation.settings import Draw
from eventseg.encoding.settings import Tensor

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in gray: ITU-R BT.601, as Pillow and OpenCV have them."""


def change_image(image: Tensor, happens: Draw) -> Tensor:
    """Return the image with the drawn changes: add, multiply, contrast, saturation, blur.

    In this order; values stay from 0 to 1.

    Parameters
    ----------
    image : float32 (1 or 3, H, W)
        Values from 0 to 1.
    happens : Draw
        Its image settings are used; an image without change is returned as it is.

    Returns
    -------
    float32 (1 or 3, H, W)
    """
    gain, offset = _linear(happens)
    if (gain, offset) != (1, 0):
        image = np.clip(image * np.float32(gain) + np.float32(offset), 0, 1)
    if happens.saturation != 1 and len(image) == 3:
        gray = np.tensordot(LUMA, image, axes=1)
        image = np.clip(gray + np.float32(happens.saturation) * (image - gray), 0, 1)
    if happens.blur_px > 0:
        from scipy import ndimage  # loaded here: few trainings blur, and all would wait for it

        sigma = (0, happens.blur_px, happens.blur_px)
        image = ndimage.gaussian_filter(image, sigma, mode="nearest")
    return image


def _linear(happens: Draw) -> tuple[float, float]:
    """Return gain and offset of add, multiply and contrast about middle gray in one."""
    gain = happens.multiply * happens.contrast
    offset = (happens.add * happens.multiply - 0.5) * happens.contrast + 0.5
    return gain, offset
