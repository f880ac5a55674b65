"""Votes of teachers on frames: labels in the classes of a table, with confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.events import SensorSize
from eventseg.labels.maps import IGNORED
from eventseg.pseudolabel.settings import Merge, TestTimeAugmentation
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.test_time import passes, to_pictures
from eventseg.pseudolabel.views import plan_views


@dataclass(frozen=True, eq=False, slots=True)
class TeacherVote:
    """A teacher and the merge of its classes.

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
class PredictedLabels:
    """Labels of frames and their confidence.

    Parameters
    ----------
    labels : uint8 (N, H, W)
        Label of each pixel; 255 where it is of no class or teachers or passes disagree.
    confidence : uint8 (N, H, W)
        ``round(255 p)``, p the probability of the label's class (mean of all teachers) before any
        pixel was ignored for a disagreement; 0 where the likeliest is no class at all.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


@torch.inference_mode()
def predict_labels(
    teacher_votes: Sequence[TeacherVote],
    frames: NDArray[np.uint8],
    *,
    classes: int,
    test_time: TestTimeAugmentation,
    merge: Merge = "probabilities",
    agreement: float = 0.0,
) -> PredictedLabels:
    """Label frames.

    Each teacher averages its class probabilities over all passes. Merging ``probabilities`` adds
    up those of the classes that become one and then takes the largest; merging ``labels`` takes
    the largest and then replaces it, so that mass split among, say, car, truck and bus is lost.

    Parameters
    ----------
    teacher_votes : sequence of TeacherVote
        Teachers with their merges. The first gives the label; pixels where another gives a
        different one are ignored.
    frames : uint8 (N, H, W) or (N, H, W, 3)
        Gray or RGB.
    classes : int
        Number of classes after merging.
    test_time : TestTimeAugmentation
        Scales and flip; open settings are chosen by
        :func:`eventseg.pseudolabel.views.plan_views`.
    merge : {"probabilities", "labels"}
        Step of merging.
    agreement : float
        Least share, 0 to 1, of each teacher's passes that must give its label.

    Returns
    -------
    PredictedLabels
    """
    if test_time.scales is None:
        size = SensorSize(int(frames.shape[1]), int(frames.shape[2]))
        test_time = plan_views(
            [vote.teacher for vote in teacher_votes],
            size,
            test_time=test_time,
            batch=len(frames),
            needs_agreement=agreement > 0,
        ).test_time
    first: Tensor | None = None
    total: Tensor | float = 0.0
    agreed: Tensor | bool = True
    for teacher_vote in teacher_votes:
        merged, labels, share = _one(
            teacher_vote,
            frames,
            classes=classes,
            test_time=test_time,
            merge=merge,
            share=agreement > 0,
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
    mean = (total / len(teacher_votes)).gather(1, first[:, None])[:, 0]
    known = first < classes
    confidence = torch.where(known, (mean.clamp(0.0, 1.0) * 255.0).round(), 0.0)
    kept = torch.where(known & agreed, first, IGNORED)
    return PredictedLabels(kept.to(torch.uint8).numpy(), confidence.to(torch.uint8).numpy())


def _one(
    teacher_vote: TeacherVote,
    frames: NDArray[np.uint8],
    *,
    classes: int,
    test_time: TestTimeAugmentation,
    merge: Merge,
    share: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return merged probabilities, labels and the share of passes that agree with them.

    Of the ``classes + 1`` merged ones the last is what becomes no class.
    """
    teacher = teacher_vote.teacher
    becomes = torch.tensor(
        [classes if new == IGNORED else new for new in teacher_vote.merge], device=teacher.device
    )
    one_hot = functional.one_hot(becomes, classes + 1).float()

    def decide(probabilities: Tensor) -> tuple[Tensor, Tensor]:
        merged = torch.einsum("nchw,ck->nkhw", probabilities, one_hot)
        # The indices of `max` are those of `argmax`, in a fifth of its time on a CPU.
        if merge == "labels":
            return merged, becomes[probabilities.max(1).indices]
        return merged, merged.max(1).indices

    total: Tensor | None = None
    pass_labels: list[Tensor] = []
    for probabilities in passes(
        teacher, to_pictures(frames, device=teacher.device), test_time=test_time
    ):
        total = probabilities if total is None else total + probabilities
        if share:
            pass_labels.append(decide(probabilities)[1].to(torch.uint8))
    assert total is not None  # test time has a pass
    merged, labels = decide(total / test_time.passes)
    if not share:
        return merged, labels, None
    same = sum((vote == labels).float() for vote in pass_labels)
    assert isinstance(same, Tensor)
    return merged, labels, same / len(pass_labels)
