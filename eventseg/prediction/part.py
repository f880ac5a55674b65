"""Job of predicting some consecutive samples of an input into a prediction folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.jobs.job import Tick
from eventseg.device import choose_own_device, set_threads
from eventseg.encoding.settings import Encoding
from eventseg.labels.files import read_labels, write_labels
from eventseg.labels.maps import ClassTable, Labels
from eventseg.prediction.checkpoint_file import CheckpointFile
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.layout import label_file, probability_file
from eventseg.prediction.loading import load_trained
from eventseg.prediction.open_input import open_input
from eventseg.prediction.prediction import labels_of, write_probabilities
from eventseg.prediction.predictor import Predictor, predictor
from eventseg.prediction.settings import PredictionSettings


@dataclass(frozen=True, slots=True)
class PartJob:
    """Some consecutive samples of an input.

    Parameters
    ----------
    file : CheckpointFile
        Checkpoint of the network.
    classes : ClassTable, optional
        Classes of a published network, where its file does not name them.
    input : Path
        Recording, data set, image folder or pictures.
    start, stop : int
        Samples from one number to before another.
    out : Path
        The prediction folder.
    settings : PredictionSettings
    encoding : Encoding, optional
        Encoding of the training data, for checkpoints that hold none.
    device : str
    threads : int
        Threads of the network where a process of its own does the job.
    """

    file: CheckpointFile
    classes: ClassTable | None
    input: Path
    start: int
    stop: int
    out: Path
    settings: PredictionSettings
    encoding: Encoding | None
    device: str
    threads: int


@dataclass(frozen=True, eq=False, slots=True)
class PartResult:
    """Samples of a part, the pixels of each class, int64 (K,), and how many were predicted anew."""

    samples: tuple[PredictedSample, ...]
    pixels: NDArray[np.int64]
    predicted: int


def predict_part_alone(job: PartJob, tick: Tick) -> PartResult:
    """Predict a part in a process that does nothing else, with the network of its last one."""
    set_threads(job.threads)
    key = (job.file, job.file.sha256, job.classes, job.settings.test_time, job.device)
    if _loaded.get("key") != key:
        trained = load_trained(job.file, classes=job.classes)
        device = str(choose_own_device(job.device))
        chosen = predictor(trained, test_time=job.settings.test_time, device=device)
        _loaded.update(key=key, predictor=chosen)
    return predict_part(job, tick, predictor=_loaded["predictor"])


_loaded: dict[str, Any] = {}
"""Network that this process has loaded, for the next part."""


def predict_part(job: PartJob, tick: Tick, *, predictor: Predictor) -> PartResult:
    """Predict the samples of a part that the folder lacks; ticks in samples.

    Parameters
    ----------
    job : PartJob
    tick : callable
    predictor : Predictor
        The network of the job's checkpoint.
    """
    trained, settings = predictor.trained, job.settings
    opened = open_input(job.input, trained.inputs, settings, encoding=job.encoding)
    try:
        ids = opened.ids[job.start : job.stop]
        done = np.array([_is_done(job.out, name, settings.probabilities) for name in ids], np.bool_)
        samples = []
        pixels = np.zeros(256, np.int64)
        for number, (sample, x) in enumerate(opened.samples(job.start, job.stop, done), start=1):
            path = label_file(job.out, sample.id)
            labels: Labels
            if x is None:
                labels = read_labels(path, table=trained.classes)
            else:
                probabilities = predictor(x)
                labels = labels_of(probabilities)
                # The labels come last and stand for the sample.
                if settings.probabilities:
                    write_probabilities(probability_file(job.out, sample.id), probabilities)
                write_labels(path, labels, trained.classes)
            pixels += np.bincount(labels.ravel(), minlength=256)
            samples.append(sample)
            tick(number)
    finally:
        opened.close()
    return PartResult(tuple(samples), pixels[: len(trained.classes)], int((~done).sum()))


def _is_done(out: Path, name: str, probabilities: bool) -> bool:
    return label_file(out, name).is_file() and (
        not probabilities or probability_file(out, name).is_file()
    )
