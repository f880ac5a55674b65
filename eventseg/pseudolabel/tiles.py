"""Tiles: pictures larger than a teacher's training frames are shown to it in overlapping parts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eventseg.pseudolabel.teacher import Teacher, has_fixed_input

TRAINING_FRAMES: dict[str, tuple[int, int]] = {
    "cityscapes19": (1024, 2048),
    "cityscapes10": (1024, 2048),
    "camvid11": (360, 480),
    "dsec11": (440, 640),
    "evsegnet6": (200, 346),
}
"""Height and width of the frames of the data set that a class table belongs to."""

OVERLAP = 0.25
"""Least share of a tile that it has in common with the next."""


def training_frame(teacher: Teacher) -> tuple[int, int]:
    """Return height and width of the frames that a teacher was trained on.

    A teacher may state it as ``training_frame``; else it follows from the class table, and is
    that of Cityscapes for a table that is not known.
    """
    stated: tuple[int, int] | None = getattr(teacher, "training_frame", None)
    if stated is not None:
        return stated
    # A table may have one more class: ``cityscapes19+void``.
    tables = [name for name in teacher.classes.name.split("+") if name in TRAINING_FRAMES]
    return TRAINING_FRAMES[tables[0] if tables else "cityscapes19"]


def tile_size(teacher: Teacher, size: tuple[int, int], *, most: int | None) -> tuple[int, int]:
    """Return height and width of the parts in which a picture is shown.

    A picture of no more pixels than the training frames is shown whole, whatever its shape; to a
    teacher that resizes pictures itself, every one is, since its parts would be enlarged.

    Parameters
    ----------
    teacher : Teacher
    size : (int, int)
        Height and width of the picture.
    most : int, optional
        Largest number of pixels of a part; by default those of a training frame.
    """
    if has_fixed_input(teacher):
        return size
    height, width = training_frame(teacher)
    if (size[0] > size[1]) != (height > width):
        height, width = width, height
    allowed = min(height * width, most or height * width)
    if math.prod(size) <= allowed:
        return size
    shrink = math.sqrt(allowed / (height * width))
    multiple = teacher.multiple
    sides = (max(multiple, int(shrink * side) // multiple * multiple) for side in (height, width))
    rows, columns = sides
    return min(rows, size[0]), min(columns, size[1])


def tile_starts(length: int, side: int) -> list[int]:
    """Return the first pixels of evenly spread tiles that cover a length and overlap.

    Parameters
    ----------
    length : int
        Pixels to cover.
    side : int
        Pixels of a tile, at most ``length``.
    """
    if side >= length:
        return [0]
    step = max(1, int(side * (1 - OVERLAP)))
    gaps = math.ceil((length - side) / step)
    return [round(i * (length - side) / gaps) for i in range(gaps + 1)]


def tiled_probabilities(teacher: Teacher, pictures: Tensor, *, most: int | None = None) -> Tensor:
    """Return a teacher's probabilities, averaged where tiles overlap.

    Parameters
    ----------
    teacher : Teacher
    pictures : float32 (N, 3, H, W)
        RGB from 0 to 255; height and width are multiples of the teacher's.
    most : int, optional
        Largest number of pixels of a tile; by default those of a training frame.

    Returns
    -------
    float32 (N, C, H, W)
    """
    height, width = int(pictures.shape[2]), int(pictures.shape[3])
    rows, columns = tile_size(teacher, (height, width), most=most)
    if (rows, columns) == (height, width):
        return teacher.probabilities(pictures)
    total = pictures.new_zeros(len(pictures), len(teacher.classes), height, width)
    count = torch.zeros(height, width, device=pictures.device)
    for top in tile_starts(height, rows):
        for left in tile_starts(width, columns):
            part = (slice(top, top + rows), slice(left, left + columns))
            total[:, :, *part] += teacher.probabilities(pictures[:, :, *part])
            count[part] += 1
    return total.div_(count)
