"""What teachers say about frames: labels in the classes asked for, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.labels.maps import IGNORED
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.test_time import TestTime, passes, to_pictures

Merge = Literal["probabilities", "labels"]


@dataclass(frozen=True, eq=False, slots=True)
class Voice:
    """A teacher and what each of its classes becomes.

    Parameters
    ----------
    teacher : Teacher
    merge : tuple of int
        New id of each class of the teacher, 255 for none; see
        :func:`eventseg.labels.maps.merge_of`.
    """

    teacher: Teacher
    merge: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Guess:
    """Labels of frames and how sure they are.

    Parameters
    ----------
    labels : uint8 (N, H, W)
        255 where nobody knows or teachers or passes disagree.
    confidence : uint8 (N, H, W)
        ``round(255 p)``, p the probability of the label's class (mean of all teachers) before any
        pixel was ignored for a disagreement; 0 where the likeliest is no class at all.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


@torch.inference_mode()
def guess(
    voices: Sequence[Voice],
    frames: NDArray[np.uint8],
    *,
    classes: int,
    test_time: TestTime,
    merge: Merge = "probabilities",
    agreement: float = 0.0,
) -> Guess:
    """Label frames.

    Each teacher averages its class probabilities over all passes. Merging ``probabilities`` adds
    up those of the classes that become one and then takes the largest; merging ``labels`` takes
    the largest and then replaces it, so that mass split among, say, car, truck and bus is lost.

    Parameters
    ----------
    voices : sequence of Voice
        Of several teachers, the first gives the label; pixels where another gives a different
        one are ignored.
    frames : uint8 (N, H, W) or (N, H, W, 3)
        Gray or RGB.
    classes : int
        Number of classes after merging.
    test_time : TestTime
        Scales and flip.
    merge : {"probabilities", "labels"}
        What is merged.
    agreement : float
        Least share, 0 to 1, of each teacher's passes that must give its label.

    Returns
    -------
    Guess
    """
    first: Tensor | None = None
    total: Tensor | float = 0.0
    agreed: Tensor | bool = True
    for voice in voices:
        merged, labels, share = _one(
            voice, frames, classes=classes, test_time=test_time, merge=merge, share=agreement > 0
        )
        merged, labels = merged.cpu(), labels.cpu()
        first = labels if first is None else first
        total = total + merged
        agreed = agreed & (labels == first)
        if share is not None:
            # Shares are multiples of one in so many passes; the slack covers their rounding.
            agreed = agreed & (share.cpu() >= agreement - 1e-6)
    assert first is not None  # there is a teacher
    assert isinstance(total, Tensor)
    mean = (total / len(voices)).gather(1, first[:, None])[:, 0]
    known = first < classes
    confidence = torch.where(known, (mean.clamp(0.0, 1.0) * 255.0).round(), 0.0)
    kept = torch.where(known & agreed, first, IGNORED)
    return Guess(kept.to(torch.uint8).numpy(), confidence.to(torch.uint8).numpy())


def _one(
    voice: Voice,
    frames: NDArray[np.uint8],
    *,
    classes: int,
    test_time: TestTime,
    merge: Merge,
    share: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return merged probabilities, labels and the share of passes that agree with them.

    Of the ``classes + 1`` merged ones the last is what becomes no class.
    """
    teacher = voice.teacher
    becomes = torch.tensor(
        [classes if new == IGNORED else new for new in voice.merge], device=teacher.device
    )
    one_hot = functional.one_hot(becomes, classes + 1).float()

    def decide(probabilities: Tensor) -> tuple[Tensor, Tensor]:
        merged = torch.einsum("nchw,ck->nkhw", probabilities, one_hot)
        if merge == "labels":
            return merged, becomes[probabilities.argmax(1)]
        return merged, merged.argmax(1)

    total: Tensor | None = None
    votes: list[Tensor] = []
    for probabilities in passes(
        teacher, to_pictures(frames, device=teacher.device), test_time=test_time
    ):
        total = probabilities if total is None else total + probabilities
        if share:
            votes.append(decide(probabilities)[1].to(torch.uint8))
    assert total is not None  # test time has a pass
    merged, labels = decide(total / test_time.passes)
    if not share:
        return merged, labels, None
    same = sum((vote == labels).float() for vote in votes)
    assert isinstance(same, Tensor)
    return merged, labels, same / len(votes)
