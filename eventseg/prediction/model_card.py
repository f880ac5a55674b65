"""Model card of an exported network, written from its run: data, recipe, scores, time, licences."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.manifest import Manifest
from eventseg.errors import OutputError
from eventseg.files.texts import read_text
from eventseg.files.whole import write_whole
from eventseg.html import markdown, markdown_text
from eventseg.networks import TrainedNetwork, parameter_count
from eventseg.networks.weights import load_file
from eventseg.prediction.checkpoint_file import CheckpointFile
from eventseg.prediction.fast import bench_file
from eventseg.prediction.layout import RUN

METRICS = "metrics.csv"
"""In a run folder: scores by epoch."""

WORST_CLASSES = 3
LOW_IOU = 30.0
"""IoU in percent below which a class is named among the known failures."""


def write_card(
    path: Path,
    found: CheckpointFile,
    trained: TrainedNetwork,
    *,
    file: str,
    output: str,
    numbers: str,
    size: tuple[int, int] | None,
    difference: float,
    changed: float,
) -> Path:
    """Write the model card of an exported network.

    Parameters
    ----------
    path : Path
    found : CheckpointFile
    trained : TrainedNetwork
    file : str
        Name of the exported file.
    output : str
        ``logits`` or ``labels``.
    numbers : str
    size : (int, int), optional
        Fixed height and width.
    difference, changed : float
        Results of the comparison with eager.
    """
    inputs, classes = trained.inputs, trained.classes
    folder = found.path.parent
    run, config = _json(folder / RUN), _toml(folder / "config.toml")
    scores = _scores_of(found.path)
    any_size = "any height and width" if size is None else f"{size[1]}x{size[0]} pixels"
    compared = (
        [] if math.isnan(difference) else [f"logits differ by {difference:.1e} of the largest"]
    )
    compared.append(f"{changed:.3%} of the labels differ")
    encoding = inputs.encoding
    lines = [
        f"# {trained.blueprint.name} of {markdown_text(found.name)}",
        "",
        f"`{file}` returns {output} of {len(classes)} classes at {any_size}, in {numbers}. "
        f"Compared with the trained network: {', '.join(compared)}.",
        "",
        "## Input",
        "",
        f"float32 (batch, {inputs.channels}, height, width): {inputs.kind}, windows "
        f"{', '.join(inputs.event_windows) or '-'}.",
    ]
    if encoding is not None:
        channels = ", ".join(channel.name for channel in encoding.channels)
        lines += [
            f"Representation `{encoding.representation}`, normalisation `{encoding.normalise}`, "
            f"divisor n - {encoding.ddof}, filters {', '.join(encoding.filters) or 'none'}, rows "
            f"{encoding.rows[0]} to {encoding.rows[1] - 1} of a sensor of {encoding.sensor}.",
            f"Channels: {channels}. The metadata of the file hold all of this.",
        ]
    rows = []
    for k, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True)):
        iou = scores.get(f"val_iou_{name}")
        shown = "-" if iou is None else f"{iou:.1f}"
        rows.append([str(k), name, str(tuple(map(int, colour))), shown])
    header = ("id", "class", "colour", "IoU on the validation part, %")
    lines += ["", "## Classes", "", *markdown(header, rows).splitlines()]
    lines += ["", *_scores(scores), "", "## Training", "", *_training(trained, run, config, found)]
    lines += ["", "## Time", "", *_times(found)]
    lines += ["", "## Licences", "", *_licences(found, config)]
    lines += ["", "## Known failures", "", *_failures(scores, inputs.kind)]
    content = "\n".join(lines) + "\n"
    write_whole(path, lambda opened: opened.write(content.encode()))
    return path


def _scores(row: dict[str, float]) -> list[str]:
    if not row:
        return ["No scores: the checkpoint is of no epoch of a run folder."]
    of_truth = row.get("val_miou_truth", math.nan)
    miou = row["val_miou"] if math.isnan(of_truth) else of_truth
    return [
        f"Mean IoU {miou:.1f} %, accuracy {row['val_accuracy']:.1f} % on the validation part, at "
        f"epoch {row['epoch']:.0f}; `eventseg evaluate` scores a test part."
    ]


def _training(
    trained: TrainedNetwork, run: dict[str, Any], config: dict[str, Any], found: CheckpointFile
) -> list[str]:
    lines = [
        f"{parameter_count(trained.network):,} parameters; weights from: {trained.source or '-'}.",
        f"Checkpoint sha256 {found.sha256}.",
    ]
    if not run:
        return lines
    labels = config.get("labels", {})
    optimiser = config.get("optimiser", {})
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    lines += [
        f"Labels `{labels.get('set', '-')}` in classes `{labels.get('classes', '-')}`; "
        f"{config.get('iterations') or config.get('epochs')} "
        f"{'updates' if config.get('iterations') else 'epochs'} of {config.get('batch_size')} "
        f"samples, {optimiser.get('kind', 'optimiser')} at {optimiser.get('learning_rate', '-')}, "
        f"protocol {config.get('protocol')}, seed {run['seed']}. All settings: `config.toml`.",
        f"Made with {versions}.",
        "",
        "Data, sha256 of each recording:",
        "",
        *(f"- `{name}` {digest}" for name, digest in run.get("inputs", {}).items()),
    ]
    return lines


def _times(found: CheckpointFile) -> list[str]:
    machines: dict[str, Any] = {}
    with contextlib.suppress(OutputError):  # a user without a home folder
        machines = _json(bench_file(found.path)).get("machines", {})
    lines = []
    for measured in machines.values():
        if measured.get("checkpoint_sha256") != found.sha256:  # of an earlier training in its place
            continue
        chosen = next(
            (row for row in measured["rows"] if row["setting"] == measured["recommended"]), None
        )
        if chosen is not None:
            together = chosen["times_ms"]["together"]
            lines.append(
                f"- {measured['machine']}: {together['p50']:.1f} ms from events to labels, p99 "
                f"{together['p99']:.1f} ms; {measured['input']}, {measured['date']}"
            )
    return lines or ["Not measured: `eventseg bench RUN`."]


def _licences(found: CheckpointFile, config: dict[str, Any]) -> list[str]:
    label_set = config.get("labels", {}).get("set")
    if found.data is None or not (found.data / MANIFEST).is_file() or label_set is None:
        return ["Licences of data and labels are not known here: ask who trained it."]
    try:
        manifest = Manifest.read(found.data / MANIFEST)
    except (ValueError, OSError):
        return ["Licences of data and labels are not known here: ask who trained it."]
    if label_set == "truth":
        return ["Labels are exact truth of simulated recordings, without a teacher."]
    teachers = manifest.label_settings.get(label_set, {}).get("teachers", ())
    if not teachers:
        return [f"It is not recorded who made the labels `{label_set}`: ask before you publish."]
    return [
        f"Labels `{label_set}` by teacher {teacher['name']} (sha256 {teacher['sha256']}); licence "
        f"of its weights: {teacher.get('licence') or 'unknown, ask who made them'}."
        for teacher in teachers
    ]


def _failures(row: dict[str, float], kind: str) -> list[str]:
    lines = []
    ious = {
        name.removeprefix("val_iou_"): value
        for name, value in row.items()
        if name.startswith("val_iou_") and not math.isnan(value)
    }
    worst = sorted(ious, key=ious.__getitem__)[:WORST_CLASSES]
    low = [f"{name} ({ious[name]:.0f} %)" for name in worst if ious[name] < LOW_IOU]
    if low:
        lines.append(f"- Classes it hardly finds, by IoU: {markdown_text(', '.join(low))}.")
    absent = [
        name.removeprefix("val_iou_")
        for name, value in row.items()
        if name.startswith("val_iou_") and math.isnan(value)
    ]
    if absent:
        lines.append(
            f"- Classes without a pixel to validate on: {markdown_text(', '.join(absent))}."
        )
    if kind == "events":
        lines.append("- Nothing moves, no events: pixels without events are guesses by context.")
    lines.append(
        "- Other cameras, window lengths, scenes or light than those of the training are untested."
    )
    return lines


def _scores_of(checkpoint: Path) -> dict[str, float]:
    """Return the scores of the epoch whose network a checkpoint of a run holds, if it tells."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(checkpoint.with_name(METRICS)))))
        epoch = _epoch_of(load_file(checkpoint, values=False))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    by_epoch = {row["epoch"]: row for row in rows if row.get("epoch")}
    row = by_epoch.get(str(epoch), {})
    return {name: _number(value) for name, value in row.items()}


def _epoch_of(held: Any) -> int | None:
    """Return the epoch that a checkpoint states; ``last.pt`` holds all until its own."""
    if not isinstance(held, Mapping):
        return None
    if "training" in held:
        return len(json.loads(held["training"]["history"]))
    epoch = held.get("epoch")
    return epoch if isinstance(epoch, int) else None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (OSError, ValueError):
        return {}
