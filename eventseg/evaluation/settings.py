"""Settings of an evaluation, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.training.layout import BEST

ProtocolName = Literal["clean", "paper"]

ConditionName = Literal[
    "speed",
    "turn",
    "light",
    "gray",
    "rate",
    "age",
    "distance",
    "class",
    "recording",
    "scenario",
]

StressName = Literal[
    "drop", "shot", "hot", "leak", "shift", "window", "rate", "threshold", "night", "frame"
]

WIDEST = 100
"""Largest width of the band around boundaries in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """Evaluation request; omitted fields follow from the run and the protocol.

    Parameters
    ----------
    windows : tuple of str
        Window lengths such as ``50ms``, each scored by itself; by default those trained on.
    labels : str, optional
        Label set to score against; by default the one that the run learnt.
    classes : str, optional
        Class table that truth and prediction are merged into first; by default the run's.
    protocol : {"clean", "paper"}
        Protocol: one pass at native size (``clean``), or six passes at 352x224 as EV-SegNet
        published (``paper``).
    split : str
        Part of the data, such as ``train``, ``val`` or ``test``.
    split_file : str
        Split file, CSV with the columns id or recording, and split; by default that of the run
        where it was trained with a split of its own, else the split of the data.
    scales : tuple of float, optional
        Scales whose probabilities are averaged, such as 0.75,1,1.5; by default those of the
        protocol.
    flip : bool, optional
        Whether mirrored views are averaged too; by default as the protocol has it.
    size : SensorSize, optional
        Size that is scored at; by default that of the protocol.
    input_size : SensorSize, optional
        Size that inputs are brought to for the network; its probabilities are brought back to the
        size that is scored at. By default the size of its training.
    teacher : str, optional
        Label set to score as the frame teacher; by default none.
    baselines : bool
        Whether the majority class, the position priors, the nearest training frame and the network
        with a wrong clock are scored too.
    by : tuple of str
        Conditions that the network's scores are given by too: ``speed``, ``turn`` and ``light``
        by vehicle signals, mean ``gray`` value of the frame, event ``rate``, ``age`` of the
        labels, ``class``, ``recording``, and of simulated drives ``distance`` of the pixels
        and ``scenario``.
    boundary : tuple of int
        Widths in pixels of the band around boundaries in which boundary IoU and trimap mIoU are
        scored.
    calibration : bool
        Whether expected calibration error and negative log-likelihood are scored, before and
        after a temperature that the part val fits.
    flicker : bool
        Whether changes of the prediction between consecutive samples are counted where the truth
        does not change, of simulated drives along the true optical flow too.
    time : bool
        Whether reading, encoding, copying, network and argmax are timed, one sample after the
        other.
    stress : tuple of str
        Stress axes, each a curve of the network's score as its input becomes worse: events
        dropped (``drop``), noise added (``shot``, ``hot`` pixels, ``leak``), time ``shift``,
        length of the ``window``, ``rate`` of the motion, contrast ``threshold`` and ``night`` of
        simulated drives, frozen ``frame``.
    stress_samples : int
        Most samples of a stressed score, spread evenly over the part.
    seed : int
        Random seed of the stress.
    adabn : bool
        Whether the network is scored too with batch-norm statistics estimated on the scored inputs,
        which are seen without labels (AdaBN); its weights stay.
    checkpoint : str
        Checkpoint in the run folder.
    network_classes : str, optional
        Class table of a published checkpoint, where the number of its classes does not tell it.
    unsafe_pickle : bool
        Whether a published checkpoint that holds more than plain values is read: it can run any
        code on loading.
    device : str
        Device that computes.
    batch_size : int
        Samples of a forward pass.
    workers : int
        Processes that load samples; 0 loads in the process that computes.
    """

    windows: tuple[str, ...] = ()
    labels: str | None = None
    classes: str | None = None
    protocol: ProtocolName = "clean"
    split: str = "test"
    split_file: str = ""
    scales: tuple[float, ...] | None = None
    flip: bool | None = None
    size: SensorSize | None = None
    input_size: SensorSize | None = None
    teacher: str | None = None
    baselines: bool = True
    by: tuple[ConditionName, ...] = ()
    boundary: tuple[int, ...] = ()
    calibration: bool = False
    flicker: bool = False
    time: bool = False
    stress: tuple[StressName, ...] = ()
    stress_samples: int = 200
    seed: int = 0
    adabn: bool = False
    checkpoint: str = BEST
    network_classes: str | None = None
    unsafe_pickle: bool = False
    device: str = "auto"
    batch_size: int = 4
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse unknown conditions and widths out of range."""
        known = get_args(ConditionName)
        for name in self.by:
            if name not in known:
                raise TrainingError(f"unknown condition {name!r}; choose from {', '.join(known)}")
        check_stress(self.stress, samples=self.stress_samples)
        for width in self.boundary:
            if not isinstance(width, int) or not 1 <= width <= WIDEST:
                raise TrainingError(
                    f"boundaries of {width!r} pixels; allowed are 1 to {WIDEST}, such as 1,2,4,8"
                )


def check_stress(names: tuple[str, ...], *, samples: int) -> None:
    """Refuse unknown stress axes and a number of samples below 1.

    Raises
    ------
    TrainingError
        Names what is allowed.
    """
    known = get_args(StressName)
    for name in names:
        if name not in known:
            raise TrainingError(f"unknown stress {name!r}; choose from {', '.join(known)}")
    if samples < 1:
        raise TrainingError(f"stress_samples is {samples}; give 1 or more")
