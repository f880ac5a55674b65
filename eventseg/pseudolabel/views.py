"""Choice of views: scales, flips and batch that fit the frame, the teacher and the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from eventseg.device import free_memory
from eventseg.errors import LabelError
from eventseg.events import SensorSize
from eventseg.pseudolabel.settings import EXACT, Arithmetic, TestTimeAugmentation
from eventseg.pseudolabel.teacher import Teacher, has_fixed_input
from eventseg.pseudolabel.tiles import training_frame

LARGEST_SCALE = 4.0
"""Cityscapes has about 42 pixels a degree, a DAVIS346 behind a 56 degree lens about 6; networks
train on half to twice of it. Only frames enlarged 2 to 4 times show objects as large."""

CPU_SECONDS = 3.0
"""Most seconds a frame that the choice spends on a CPU."""

CPU_FLOPS = 16e9
"""Operations a second of a teacher on one processor core: SegFormer-B0 on a quiet core."""

PROBE = (128, 256)
"""Height and width of the picture on which a teacher's operations are counted."""

BYTES_PER_PIXEL = 4_000
"""Memory of a forward pass for each pixel of a view; SegFormer-B0 takes 700 to 900."""

SHARE_OF_MEMORY = 0.5
LARGEST_BATCH = 8
SMALLEST_TILE = 256 * 256


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """Views of each frame that teachers get, and frames of a batch.

    Parameters
    ----------
    test_time : TestTimeAugmentation
        Scales, flip and largest tile; nothing is left to choose.
    batch : int
        Frames at once.
    lines : tuple of str
        Sentences that state the choice and its reasons.
    """

    test_time: TestTimeAugmentation
    batch: int
    lines: tuple[str, ...]


def plan_views(
    teachers: Sequence[Teacher],
    frame: SensorSize,
    *,
    test_time: TestTimeAugmentation,
    batch: int | None = None,
    needs_agreement: bool = False,
    arithmetic: Arithmetic = EXACT,
) -> ViewPlan:
    """Choose the views that are not given.

    Scales are the half, three quarters and the whole of the largest factor, at most 4, at which
    the frame has no more pixels than those that the teacher was trained on. On a CPU one view of
    the middle scale is taken, or of the smallest where that is expected to last more than 3 seconds
    a frame; with exact arithmetic the richest choice of 3 seconds. The choice follows from
    the teacher, the frame and the kind of device alone, so that it is the same on another day.
    Memory bounds the batch and, where one tile does not fit, the tile.

    Parameters
    ----------
    teachers : sequence of Teacher
    frame : SensorSize
        Size of the frames.
    test_time : TestTimeAugmentation
        Given scales, flip and tile; each that is None is chosen.
    batch : int, optional
        Given number of frames at once.
    needs_agreement : bool
        Whether a filter compares the views, so that several are needed on a CPU too.
    arithmetic : {"exact", "float32", "bfloat16"}
        Arithmetic of the teachers.

    Raises
    ------
    LabelError
        No teacher, or a batch below 1.
    """
    if not teachers or (batch is not None and batch < 1):
        raise LabelError(f"labels need a teacher and a batch of 1 or more, got {batch}")
    trained = min((training_frame(teacher) for teacher in teachers), key=math.prod)
    lines: list[str] = []
    chosen = test_time
    if test_time.scales is None:
        fixed = all(has_fixed_input(teacher) for teacher in teachers)
        scales = (1.0,) if fixed else scales_for(frame, trained)
        flips = (True, False) if test_time.flip is None else (test_time.flip,)
        richest = replace(test_time, scales=scales, flip=flips[0])
        chosen = richest
        if teachers[0].device.type == "cpu" and not needs_agreement:
            chosen, seconds = _affordable(
                teachers, frame, scales, flips, test_time, arithmetic=arithmetic
            )
            if chosen != richest:
                lines.append(_what_more_buys(chosen, richest, seconds))
    elif test_time.flip is None:
        chosen = replace(test_time, flip=True)
    chosen, batch = _fit_memory(teachers, frame, chosen, trained, batch)
    assert chosen.scales is not None
    largest = max(chosen.scales)
    first = (
        f"views of {frame.width}x{frame.height} frames: {chosen}, {batch} "
        f"frame{'s' * (batch > 1)} at once"
    )
    pixels = frame.height * frame.width * largest**2
    in_parts = not all(has_fixed_input(teacher) for teacher in teachers)
    if in_parts and pixels > _tile_pixels(chosen, trained):
        first += (
            f"; {round(frame.width * largest)}x{round(frame.height * largest)} is shown in tiles "
            f"of {_tile_pixels(chosen, trained) / 1e6:.2g} million pixels"
        )
    first += f" (trained on about {trained[1]}x{trained[0]})"
    return ViewPlan(chosen, batch, (first, *lines))


def scales_for(frame: SensorSize, trained: tuple[int, int]) -> tuple[float, ...]:
    """Return three scales whose largest gives a frame at most as many pixels as in training.

    Parameters
    ----------
    frame : SensorSize
        Size of the frames.
    trained : (int, int)
        Height and width of the frames that the teacher was trained on.
    """
    limit = math.sqrt(math.prod(trained) / (frame.height * frame.width))
    step = 4 if limit >= 1 else 16
    largest = min(LARGEST_SCALE, max(0.25, math.floor(limit * step) / step))
    return (0.5 * largest, 0.75 * largest, largest)


def operations_per_pixel(teacher: Teacher) -> float:
    """Return the floating-point operations of a teacher for each pixel of a picture."""
    picture = torch.zeros(1, 3, *PROBE, device=teacher.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        teacher.probabilities(picture)
    return float(counter.get_total_flops()) / math.prod(PROBE)


def _affordable(
    teachers: Sequence[Teacher],
    frame: SensorSize,
    scales: tuple[float, ...],
    flips: tuple[bool, ...],
    test_time: TestTimeAugmentation,
    *,
    arithmetic: Arithmetic,
) -> tuple[TestTimeAugmentation, float]:
    """Return the richest views within the budget of a CPU, else the cheapest, and the seconds."""
    costs = [
        (operations_per_pixel(teacher), math.prod(PROBE) if has_fixed_input(teacher) else None)
        for teacher in teachers
    ]

    def seconds_of(views: TestTimeAugmentation) -> float:
        assert views.scales is not None
        pixels = [frame.height * frame.width * scale**2 for scale in views.scales]
        operations = sum(cost * (fixed or p) for p in pixels for cost, fixed in costs)
        return (1 + bool(views.flip)) * operations / CPU_FLOPS

    groups = list(dict.fromkeys((scales, scales[len(scales) // 2 :][:1], scales[:1])))
    if arithmetic != EXACT:  # one view, unless a flip is asked for
        groups, flips = groups[1:] or groups, flips[-1:]
    options = [replace(test_time, scales=group, flip=flip) for group in groups for flip in flips]
    for option in options:
        if seconds_of(option) <= CPU_SECONDS:
            return option, seconds_of(option)
    return options[-1], seconds_of(options[-1])


def _what_more_buys(
    chosen: TestTimeAugmentation, richest: TestTimeAugmentation, seconds: float
) -> str:
    def work(views: TestTimeAugmentation) -> float:
        assert views.scales is not None
        return (1 + bool(views.flip)) * sum(scale**2 for scale in views.scales)

    assert richest.scales is not None
    options = f"--scales {','.join(f'{scale:g}' for scale in richest.scales)}"
    options += " --flip" if richest.flip else " --no-flip"
    return (
        f"chosen for a CPU: {_about(seconds)} a frame on one core; {options} takes "
        f"{work(richest) / work(chosen):.1f} times as long and averages {richest.passes} views; "
        "a GPU takes all"
    )


def _about(seconds: float) -> str:
    return f"about {seconds:.1f} s" if seconds >= 0.1 else "less than 0.1 s"


def _tile_pixels(test_time: TestTimeAugmentation, trained: tuple[int, int]) -> int:
    return min(math.prod(trained), test_time.tile_pixels or math.prod(trained))


def _fit_memory(
    teachers: Sequence[Teacher],
    frame: SensorSize,
    test_time: TestTimeAugmentation,
    trained: tuple[int, int],
    batch: int | None,
) -> tuple[TestTimeAugmentation, int]:
    """Return the views with a smaller tile where one does not fit, and the batch."""
    assert test_time.scales is not None
    device = teachers[0].device
    largest = frame.height * frame.width * max(test_time.scales) ** 2
    free = free_memory(device)
    budget = math.inf if free is None else SHARE_OF_MEMORY * free / BYTES_PER_PIXEL
    tile = float(_tile_pixels(test_time, trained))
    shown = min(largest, tile) * (batch or 1)
    in_parts = not all(has_fixed_input(teacher) for teacher in teachers)
    while in_parts and shown > budget and tile > SMALLEST_TILE:
        tile /= 2
        shown = min(largest, tile) * (batch or 1)
        test_time = replace(test_time, tile_pixels=max(SMALLEST_TILE, int(tile)))
    if batch is None:
        most = LARGEST_BATCH if device.type != "cpu" else 1
        batch = int(max(1, min(most, budget / min(largest, tile))))
    return test_time, batch
