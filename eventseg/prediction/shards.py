"""Prediction folders by the shards of a job array: one shard, and the merge."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import SHARDS, Shard, read_shards, remove_shards, was_merged
from eventseg.dataset.jobs.workers import open_workers
from eventseg.device import thread_count
from eventseg.errors import DatasetError, OutputError
from eventseg.files.locks import locked
from eventseg.files.texts import counted
from eventseg.files.whole import TEMPORARY, temporary_files
from eventseg.prediction.folder import (
    PredictionFolder,
    open_predictions,
    read_predicted,
    write_predicted,
)
from eventseg.prediction.folder_state import complete_folder
from eventseg.prediction.inputs import PredictedSample
from eventseg.prediction.layout import MANIFEST, SAMPLES, UNFINISHED, label_file, probability_file
from eventseg.prediction.manifest import PredictionManifest, difference
from eventseg.prediction.plan import PredictionPlan, plan_prediction, run_parts
from eventseg.recordings.progress import Report, no_report

KIND = "predictions"
"""Word for a prediction folder in the records of shards."""


@dataclass(frozen=True, slots=True)
class PredictedShard:
    """Result of one shard: its folder, its samples and how many this call predicted."""

    path: Path
    shard: Shard
    samples: int
    predicted: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "predictions": str(self.path),
            "shard": str(self.shard),
            "samples": self.samples,
            "predicted": self.predicted,
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        return [
            f"{self.path}: shard {self.shard} done, {counted(self.samples, 'sample')}",
            f"  when all {self.shard.of} are done: eventseg merge {self.path}",
        ]


def predict_shard(
    network: str | Path,
    inputs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    shard: Shard | str,
    jobs: int = 1,
    tries: int = TRIES,
    threads: int | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> PredictedShard:
    """Predict one shard of a job array: about ``1/N`` of the samples of all inputs.

    Every shard gets the same network, inputs and settings. :func:`merge_predictions` completes
    the folder.

    Parameters
    ----------
    network, inputs, out, jobs, tries, threads, progress
        As for :func:`eventseg.prediction.predict_into`.
    shard : Shard or str
        ``2/5`` for the second of five, or ``slurm`` for that of the environment.
    **settings
        All other parameters of :func:`eventseg.prediction.predict_into` that determine the
        predictions.

    Raises
    ------
    EventsegError
        As :func:`eventseg.prediction.predict_into`.
    OutputError
        The folder is complete, or another process writes all of it.
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
    plan = plan_prediction(network, inputs, out, progress=progress, **settings)
    root = plan.root
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {root}: {error.strerror or error}") from error
    with ExitStack() as stack:
        stack.enter_context(locked(root, doing="predicting", shared=True))
        _claim(plan)
        shard.check_array(root)
        workers = min(jobs, max(1, len(plan.ids)))
        pool = stack.enter_context(open_workers(workers=workers, tries=tries))
        share = shard.parts(plan.counts)
        # Each process has a piece of each input of the shard.
        pieces = [
            (number, lo + (hi - lo) * i // workers, lo + (hi - lo) * (i + 1) // workers)
            for number, lo, hi in share
            for i in range(workers)
            if (hi - lo) * i // workers < (hi - lo) * (i + 1) // workers
        ]
        results = run_parts(
            plan,
            pieces,
            pool=pool,
            threads=max(1, thread_count(threads) // workers),
            here=workers == 1,
            progress=progress,
        )
        samples = [sample for result in results for sample in result.samples]
        pixels = np.zeros(len(plan.trained.classes), np.int64)
        for result in results:
            pixels += result.pixels
        place = shard.folder(root)
        write_predicted(place / SAMPLES, samples)
        plan.manifest.write(place / MANIFEST)
        shard.write(
            root,
            {
                "kind": KIND,
                "counts": plan.counts,
                "parts": [list(part) for part in share],
                "pixels": pixels.tolist(),
            },
        )
    predicted = sum(result.predicted for result in results)
    return PredictedShard(root, shard, len(samples), predicted, plan.notes)


def _claim(plan: PredictionPlan) -> None:
    """Mark the folder as being predicted into, or name what is there already."""
    root = plan.root
    if (root / MANIFEST).is_file():
        raise OutputError(
            f"{root} holds complete predictions; to predict by shards give another --out"
        )
    if (root / UNFINISHED).is_file():
        differs = difference(PredictionManifest.read(root / UNFINISHED), plan.manifest)
        if differs:
            raise DatasetError(
                f"{root} holds predictions made otherwise: {differs}; predict as before or give "
                "another --out"
            )
    elif any(path.suffix != TEMPORARY for path in root.iterdir()):
        raise OutputError(f"{root} holds files but no predictions; give a folder that is new")
    else:
        plan.manifest.write(root / UNFINISHED)


def merge_predictions(root: Path) -> PredictionFolder:
    """Complete predictions that the shards of a job array have made.

    Raises
    ------
    DatasetError
        Shards that are missing, contradict each other or lack files; the message names those to
        run again.
    OutputError
        The folder cannot be written, or a shard is still running.
    """
    with locked(root, doing="writing shards"):
        if was_merged(root):
            remove_shards(root)
            return open_predictions(root)
        shards = read_shards(root, kind=KIND)
        first = PredictionManifest.read(shards[0][0] / MANIFEST)
        found: list[tuple[int, int, list[PredictedSample]]] = []
        try:
            counts = [int(count) for count in shards[0][1]["counts"]]
            pixels = np.zeros(len(first.classes), np.int64)
            for path, table in shards:
                manifest = PredictionManifest.read(path / MANIFEST)
                differs = difference(first, manifest)
                if manifest.version != first.version:
                    differs = f"version was {first.version}, now {manifest.version}"
                if differs or table["counts"] != counts:
                    raise DatasetError(
                        f"shards {shards[0][0].name} and {path.name} differ: "
                        f"{differs or 'samples of the inputs'}; run one of them again"
                    )
                pixels += np.array(table["pixels"], np.int64)
                rows = list(read_predicted(path / SAMPLES))
                for number, start, stop in table["parts"]:
                    found.append((int(number), int(start), rows[: stop - start]))
                    rows = rows[stop - start :]
                if rows:
                    raise ValueError(f"{path.name} has {len(rows)} samples of no part")
        except DatasetError:
            raise
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{root / SHARDS} contradicts itself ({error}); remove it and run all shards again"
            ) from error
        found.sort(key=lambda part: part[:2])
        samples = _joined(root, found, counts)
        _check_files(root, samples, probabilities=bool(first.settings.get("probabilities")))
        for path in temporary_files(root):
            path.unlink()
        complete_folder(root, first, samples, pixels=pixels.tolist())
        remove_shards(root)
    return open_predictions(root)


def _joined(
    root: Path, parts: Sequence[tuple[int, int, list[PredictedSample]]], counts: Sequence[int]
) -> list[PredictedSample]:
    """Return the samples of all inputs from their parts, which must leave nothing out."""
    samples: list[PredictedSample] = []
    ends = [0] * len(counts)
    for number, start, rows in parts:
        if not 0 <= number < len(counts) or start != ends[number]:
            raise DatasetError(f"{root}: samples of input {number + 1} are in no shard, or twice")
        ends[number] += len(rows)
        samples += rows
    if ends != list(counts):
        raise DatasetError(
            f"{root}: its shards have {sum(ends)} of {sum(counts)} samples; run all shards again"
        )
    return samples


def _check_files(root: Path, samples: Sequence[PredictedSample], *, probabilities: bool) -> None:
    files = [label_file(root, sample.id) for sample in samples]
    if probabilities:
        files += [probability_file(root, sample.id) for sample in samples]
    missing = [path for path in files if not path.is_file()]
    if missing:
        shown = ", ".join(str(path.relative_to(root)) for path in missing[:5])
        raise DatasetError(
            f"{root} lacks {len(missing)} files of its shards, such as {shown}; run the shards "
            "again that wrote them"
        )
