"""Label sets by the shards of a job array, and the merge of shards of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import SHARDS, Shard, read_shards, shard_kind
from eventseg.dataset.layout import MANIFEST, PARTIAL_LABELS
from eventseg.dataset.merge import merge_dataset
from eventseg.dataset.shards import KIND as DATASET
from eventseg.dataset.summary import DatasetSummary
from eventseg.errors import DatasetError, EventsegError, OutputError
from eventseg.files.texts import counted
from eventseg.files.whole import temporary_files
from eventseg.images import read_image, write_image
from eventseg.labels.maps import ClassTable
from eventseg.labels.sets import LabelSets
from eventseg.prediction.predict_into import PredictionSummary
from eventseg.prediction.shards import KIND as PREDICTIONS
from eventseg.prediction.shards import merge_predictions
from eventseg.pseudolabel.confidence import LabelFilters
from eventseg.pseudolabel.label_jobs import label_workers
from eventseg.pseudolabel.label_set import LabelSummary, complete_set
from eventseg.pseudolabel.label_set_folder import (
    SETTINGS,
    LabelSetFolder,
    check_set_name,
    read_settings,
)
from eventseg.pseudolabel.raw_labels import plan_labels, predict_raw_labels
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.target import LabelTarget, open_target
from eventseg.pseudolabel.teacher import Teacher
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.layouts import open_layout

KIND = "labels"
"""Word for a label set in the records of shards."""

EGO = "ego.png"
"""Pixels of the ego vehicle in the folder of a shard, where they are no range of rows."""


@dataclass(frozen=True, slots=True)
class LabelledShard:
    """Result of one shard: its data, its frames and how many this call labelled."""

    path: Path
    name: str
    shard: Shard
    frames: int
    labelled: int

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "data": str(self.path),
            "labels": self.name,
            "shard": str(self.shard),
            "frames": self.frames,
            "labelled": self.labelled,
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        return [
            f"{self.path}: shard {self.shard} of label set {self.name} done, "
            f"{counted(self.frames, 'frame')}",
            f"  when all {self.shard.of} are done: eventseg merge {self.path}",
        ]


def label_shard(
    path: str | Path,
    teachers: Sequence[Teacher],
    *,
    shard: Shard | str,
    name: str,
    classes: ClassTable,
    recipe: LabelRecipe = PRESETS["default"],
    batch: int | None = None,
    jobs: int = 1,
    tries: int = TRIES,
    threads: int | None = None,
    device: str | None = None,
    progress: Report = no_report,
    say: Callable[[str], None] | None = None,
) -> LabelledShard:
    """Label one shard of a job array: about ``1/N`` of the frames, in whole batches.

    Every shard gets the same data, teachers and settings. Filters see all frames, so that
    :func:`merge_shards` does them.

    Parameters
    ----------
    path, teachers, name, classes, recipe, batch, jobs, tries, threads, device, progress, say
        As for :func:`eventseg.pseudolabel.label_dataset`.
    shard : Shard or str
        ``2/5`` for the second of five, or ``slurm`` for that of the environment.

    Raises
    ------
    EventsegError
        As :func:`eventseg.pseudolabel.label_dataset`.
    OutputError
        The set is complete, or another process writes into the data outside of shards.
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
    check_set_name(name)
    with (
        open_target(path, shared=True) as target,
        label_workers(
            teachers, jobs=jobs, tries=tries, threads=threads, device=device, folder=target.root
        ) as workers,
    ):
        plan = plan_labels(target, teachers, classes=classes, recipe=recipe, batch=batch)
        folder = LabelSetFolder(target, name, plan.settings, shared=True)
        if folder.whole:
            raise OutputError(
                f"{target.path} holds the complete label set {name}; to label by shards give "
                "another --labels"
            )
        shard.check_array(folder.partial)
        folder.begin_shared()
        place = shard.folder(folder.partial)
        try:
            # Marks the set as one of shards, should this one be killed before its record.
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {place}: {error.strerror or error}") from error
        for line in plan.lines:
            if say is not None:
                say(line)
        frames = len(target.frames)
        shares = shard.parts([-(-frames // plan.batch)])
        start, stop = 0, 0
        if shares:
            ((_, first, last),) = shares
            start, stop = first * plan.batch, min(last * plan.batch, frames)
        predict = predict_raw_labels if workers is None else workers.predict
        labelled = predict(plan, folder, start=start, stop=stop, report=progress, say=say)
        ego = plan.recipe.filters.ego
        if ego is not None and ego.mask is not None:
            write_image(place / EGO, ego.mask.astype(np.uint8) * 255)
        shard.write(
            folder.partial,
            {
                "kind": KIND,
                "frames": frames,
                "batch": plan.batch,
                "start": start,
                "stop": stop,
                "sets": LabelSets({name: classes}).to_dict(),
            },
        )
    return LabelledShard(target.path, name, shard, stop - start, labelled)


def merge_shards(
    path: Path, *, labels: str | None = None, progress: Report = no_report
) -> tuple[DatasetSummary | PredictionSummary | LabelSummary, ...]:
    """Complete what a job array has made in a folder, whatever its shards hold.

    Parameters
    ----------
    path : Path
        Output of :func:`eventseg.prediction.shards.predict_shard` or
        :func:`eventseg.dataset.shards.encode_shard`, or data of :func:`label_shard`.
    labels : str, optional
        Only this label set; by default all that shards have made.
    progress : callable
        Called in the stages ``measure`` and ``filter`` of label sets.

    Raises
    ------
    DatasetError
        Shards that are missing, contradict each other or lack files; the message names those to
        run again.
    OutputError
        The folder cannot be written, or a shard is still running.
    """
    kind = shard_kind(path)
    if kind is None and (
        labels is not None or (path / MANIFEST).is_file() or open_layout(path) is not None
    ):
        return _merge_sets(path, labels, progress=progress)
    if labels is not None:
        raise DatasetError(f"{path} holds shards of {kind}, not of label sets; leave --labels out")
    if kind == PREDICTIONS:
        folder = merge_predictions(path)
        return (PredictionSummary(folder, len(folder), ()),)
    if kind not in (DATASET, None):
        raise DatasetError(f"{path} holds shards of {kind!r}, not of {DATASET} or {PREDICTIONS}")
    return merge_dataset(path)


def _merge_sets(path: Path, labels: str | None, *, progress: Report) -> tuple[LabelSummary, ...]:
    with open_target(path) as target:
        found = sorted(
            folder.parent.name for folder in target.root.glob(f"{PARTIAL_LABELS}/*/{SHARDS}")
        )
        if not found or (labels is not None and labels not in found):
            others = f" but of {', '.join(found)}" if found else ""
            raise DatasetError(
                f"{path} holds no shards of {labels or 'label sets'}{others}; run pseudolabel "
                "with --shard 1/N to N/N first"
            )
        merged, errors = [], []
        for name in found if labels is None else [labels]:
            try:
                merged.append(_merge_set(target, name, progress=progress))
            except DatasetError as error:
                errors.append(error)
        if errors and merged:
            names = ", ".join(one.name for one in merged)
            raise DatasetError(f"{'; '.join(map(str, errors))}; merged: label sets {names}")
        if errors:
            raise errors[0]
        return tuple(merged)


def _merge_set(target: LabelTarget, name: str, *, progress: Report) -> LabelSummary:
    """Complete one label set of shards, in a folder that is locked."""
    partial = target.root / PARTIAL_LABELS / name
    settings = read_settings(partial / SETTINGS)
    if settings is not None:
        label_set = LabelSetFolder(target, name, settings, shared=True)
        if label_set.whole:  # a merge was stopped before it removed the shards
            classes = target.read_sets().tables[name]
            label_set.remove_partial()
            samples = sum(len(frame.samples) for frame in target.frames)
            return LabelSummary(target.path, name, classes, len(target.frames), samples)
    shards = read_shards(partial, kind=KIND)
    place, first = shards[0]
    again = f"remove {partial} and run all shards again"
    try:
        if settings is None:
            raise ValueError(f"{SETTINGS} is missing")
        if not settings["teachers"]:
            raise ValueError(f"{SETTINGS} names no teacher")
        classes = LabelSets.from_dict(first["sets"]).tables[name]
        ego = read_image(place / EGO) if (place / EGO).is_file() else None
        filters = LabelFilters.from_dict(settings, ego=ego)
        end = 0
        for folder, table in shards:
            for key in ("frames", "batch", "sets"):
                if table[key] != first[key]:
                    raise DatasetError(
                        f"shards {place.name} and {folder.name} of label set {name} differ in "
                        f"{key}{_values(first[key], table[key])}; {again}"
                    )
            start, stop = int(table["start"]), int(table["stop"])
            if start < stop:
                if start != end:
                    raise ValueError(f"frames from {end} on are in no shard, or twice")
                end = stop
        if end != int(first["frames"]):
            raise ValueError(f"frames from {end} on are in no shard")
    except DatasetError:
        raise
    except (
        AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, EventsegError
    ) as error:  # fmt: skip
        raise DatasetError(f"{partial} contradicts itself ({error}); {again}") from error
    if end != len(target.frames):
        raise DatasetError(
            f"{target.path} has {len(target.frames)} frames, its shards of label set {name} saw "
            f"{end}: the data have changed; {again}"
        )
    label_set = LabelSetFolder(target, name, settings, shared=True)
    missing = [frame.key for frame in target.frames if not label_set.has_raw_labels(frame)]
    if missing:
        raise DatasetError(
            f"{partial} lacks {len(missing)} files of its shards, such as "
            f"labels/{missing[0]}.png; run the shards again that wrote them"
        )
    for path in temporary_files(partial):
        path.unlink()
    return complete_set(label_set, classes, filters, progress=progress)


def _values(one: object, other: object) -> str:
    return f": {one} and {other}" if isinstance(one, int) else ""
