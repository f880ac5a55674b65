"""Settings of a score, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eventseg.errors import TrainingError
from eventseg.evaluation.settings import WIDEST, StressName, check_stress
from eventseg.training.layout import BEST

Values = Literal["auto", "logits", "probabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRequest:
    """Score request; omitted fields follow from the predictions and the data.

    Parameters
    ----------
    labels : str
        Label set to score against.
    classes : str, optional
        Class table that truth and prediction are merged into first; by default that of the
        predictions.
    split : str
        Part of the data.
    split_file : str
        Split file (CSV) in whose part all are scored; by default the split of the run, where it has
        one of its own, or of the data.
    window : str, optional
        Window of the events, such as ``50ms``: callables see it, and samples whose recording does
        not cover it are left out. By default that of the run or of the prediction folder; label
        maps of another project are scored on all samples.
    network_classes : str, optional
        Class table of predictions that do not name their classes; by default that of the labels.
    values : {"auto", "logits", "probabilities"}
        Meaning of the numbers in ``.npy`` files and of those that a callable returns; by default
        probabilities where they are from 0 to 1 and sum to 1.
    allow_missing : bool
        Whether samples without a prediction are left out instead of being an error.
    boundary : tuple of int
        Widths in pixels of the band around boundaries in which boundary IoU, boundary F and trimap
        mIoU are scored; empty for none.
    baselines : bool
        Whether the majority class, the position priors, the nearest training frame and, of runs
        and callables, the events 50 ms late are scored too.
    teacher : str, optional
        Label set to score as the frame teacher; by default none.
    diagnosis : bool
        Whether cheap mistakes that would explain a low score are looked for.
    stress : tuple of str
        Stress axes of runs and functions, each a curve of the score as the input becomes worse:
        ``drop``, ``shot``, ``hot``, ``leak``, ``shift``, ``window``, ``rate``, ``threshold``,
        ``night``, ``frame``.
    stress_samples : int
        Most samples of a stressed score, spread evenly over the part.
    seed : int
        Random seed of the stress and of the draws of intervals and tests.
    checkpoint : str
        Checkpoint in a run folder.
    unsafe_pickle : bool
        Whether a published checkpoint that holds more than plain values is read: it can run any
        code on loading.
    device : str
        Device that computes.
    batch_size : int
        Samples of a forward pass.
    workers : int
        Threads that read files of predictions, and processes that load samples of a run.
    """

    labels: str = "truth"
    classes: str | None = None
    split: str = "test"
    split_file: str = ""
    window: str | None = None
    network_classes: str | None = None
    values: Values = "auto"
    allow_missing: bool = False
    boundary: tuple[int, ...] = (2,)
    baselines: bool = True
    teacher: str | None = None
    diagnosis: bool = True
    stress: tuple[StressName, ...] = ()
    stress_samples: int = 200
    seed: int = 0
    checkpoint: str = BEST
    unsafe_pickle: bool = False
    device: str = "auto"
    batch_size: int = 4
    workers: int = 0

    def __post_init__(self) -> None:
        """Refuse widths out of range and numbers below their least."""
        for width in self.boundary:
            if not isinstance(width, int) or not 1 <= width <= WIDEST:
                raise TrainingError(
                    f"boundaries of {width!r} pixels; allowed are 1 to {WIDEST}, such as 1,2,4,8"
                )
        check_stress(self.stress, samples=self.stress_samples)
        for name, least in (("seed", 0), ("workers", 0), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name} is {getattr(self, name)}; give {least} or more")
