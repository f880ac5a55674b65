"""Arithmetic of teachers: as their own library computes, or faster at nearly the same labels.

``exact`` enlarges the class scores of a network to the size of the view, takes probabilities and
shrinks those to the frame. ``float32`` shrinks or enlarges the scores themselves to the frame,
before the softmax, and lets a network leave out work that changes its result by rounding alone:
the head of SegFormer becomes one small product a level (:mod:`.segformer_head`). ``bfloat16`` does
so too and multiplies rounded numbers, for which newer processors have units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from eventseg.device.environment import bfloat16_units
from eventseg.labels.maps import ClassTable
from eventseg.pseudolabel.settings import EXACT, Arithmetic
from eventseg.pseudolabel.teacher import Teacher, has_fixed_input

Scores = Callable[[Tensor], Tensor]
"""Class scores before the softmax, float32 (N, C, h, w), of pictures (N, 3, H, W)."""


@dataclass(frozen=True, eq=False, slots=True)
class FasterTeacher:
    """A teacher with faster arithmetic; it gives scores, which are resized before the softmax.

    Parameters
    ----------
    teacher : Teacher
        Teacher whose scores these are.
    """

    teacher: Teacher
    _scores: Scores = field(kw_only=True, repr=False)

    @property
    def name(self) -> str:
        """Name of the teacher."""
        return self.teacher.name

    @property
    def digest(self) -> str:
        """Digest of the teacher: the weights are the same."""
        return self.teacher.digest

    @property
    def classes(self) -> ClassTable:
        """Classes of the teacher."""
        return self.teacher.classes

    @property
    def licence(self) -> str:
        """Licence of the teacher."""
        return self.teacher.licence

    @property
    def device(self) -> torch.device:
        """Device of the teacher."""
        return self.teacher.device

    @property
    def multiple(self) -> int:
        """Multiple of the teacher."""
        return self.teacher.multiple

    @property
    def fixed_input(self) -> bool:
        """Whether the teacher resizes every picture to one size."""
        return has_fixed_input(self.teacher)

    @property
    def training_frame(self) -> tuple[int, int] | None:
        """Training frame of the teacher, where it states one."""
        stated: tuple[int, int] | None = getattr(self.teacher, "training_frame", None)
        return stated

    def probabilities(self, pictures: Tensor) -> Tensor:
        """Return class probabilities (N, C, H, W) of RGB pictures (N, 3, H, W), 0 to 255."""
        return self.probabilities_at(pictures, (int(pictures.shape[2]), int(pictures.shape[3])))

    def probabilities_at(self, pictures: Tensor, size: tuple[int, int]) -> Tensor:
        """Return class probabilities (N, C, h, w) of pictures at another size, such as a frame's.

        Parameters
        ----------
        pictures : float32 (N, 3, H, W)
            RGB from 0 to 255.
        size : (int, int)
            Height and width of the result.
        """
        scores = self._scores(pictures)
        if tuple(scores.shape[2:]) != size:
            scores = functional.interpolate(scores, size=size, mode="bilinear", antialias=True)
        return scores.softmax(1)


def with_arithmetic(
    teachers: Sequence[Teacher], arithmetic: Arithmetic | None
) -> tuple[tuple[Teacher, ...], Arithmetic]:
    """Return teachers that compute in some way, and the way.

    Parameters
    ----------
    teachers : sequence of Teacher
        One whose scores are not known (masks of queries, a teacher of a user's own) stays as it
        is.
    arithmetic : {"exact", "float32", "bfloat16"}, optional
        By default ``exact`` on a GPU; on a CPU ``bfloat16`` where the processor has units for it,
        else ``float32``.

    Returns
    -------
    tuple of Teacher
    str
        ``exact`` also where no teacher can be made faster.
    """
    if arithmetic is None:
        on_cpu = all(teacher.device.type == "cpu" for teacher in teachers)
        arithmetic = ("bfloat16" if bfloat16_units() else "float32") if on_cpu else EXACT
    if arithmetic == EXACT:
        return tuple(teachers), EXACT
    faster = tuple(_faster(teacher, arithmetic) for teacher in teachers)
    changed = any(new is not old for new, old in zip(faster, teachers, strict=True))
    return faster, arithmetic if changed else EXACT


def _faster(teacher: Teacher, arithmetic: Arithmetic) -> Teacher:
    make: Callable[[bool], Scores | None] | None = getattr(teacher, "fast_scores", None)
    scores = None if make is None else make(arithmetic == "bfloat16")
    return teacher if scores is None else FasterTeacher(teacher, _scores=scores)
