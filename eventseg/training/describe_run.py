"""Description of a run folder or of a checkpoint: network, input, classes, epochs, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventseg.errors import EventsegError, TrainingError
from eventseg.files.texts import counted
from eventseg.networks import TrainedNetwork, parameter_count
from eventseg.networks.checkpoints import load_without_values
from eventseg.training.config.config import TrainConfig, load_config
from eventseg.training.layout import BEST, CONFIG, METRICS, RUN
from eventseg.training.run import open_run
from eventseg.training.run_record import read_run, recorded_config


def describe_run(path: str | Path) -> dict[str, Any]:
    """Return the contents of a run folder for JSON.

    Raises
    ------
    TrainingError
        No run folder, or one whose files are damaged.
    CheckpointError
        Its checkpoint cannot be read.
    """
    root = Path(path)
    if not (root / RUN).is_file() and (root / CONFIG).is_file():
        try:
            config = load_config(root / CONFIG)
        except EventsegError as error:
            raise TrainingError(f"{root / CONFIG}: {error}") from error
        return _without_epoch(root, config, {})
    if not (root / METRICS).is_file():
        record = read_run(root / RUN)
        return _without_epoch(root, recorded_config(record, root / RUN), record)
    run, record = open_run(root), read_run(root / RUN)
    return {
        "path": str(root),
        "data": str(run.data),
        "labels": run.config.labels.set,
        "protocol": run.config.protocol,
        "seed": run.config.seed,
        "device": record["device"],
        "epochs": len(run.history),
        "best_epoch": run.best.epoch,
        "val_miou": run.best.val_miou,
        "val_iou": dict(zip(run.class_names, run.best.val_iou, strict=True)),
        "checkpoints": sorted(file.name for file in root.glob("*.pt")),
        "evaluations": sorted(file.parent.name for file in root.glob("*/scores.json")),
        **(_network(load_without_values(root / BEST)) if (root / BEST).is_file() else {}),
    }


def describe_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the contents of a checkpoint of eventseg for JSON.

    Raises
    ------
    CheckpointError
        No such file, or none of eventseg.
    """
    return {"path": str(path), **_network(load_without_values(path))}


def run_lines(info: dict[str, Any]) -> list[str]:
    """Return a description of a run or a checkpoint as lines for people."""
    lines = [info["path"]]
    if info.get("epochs") == 0:
        windows = f", windows {', '.join(info['windows'])}" if info["windows"] else ""
        if info["data"] is None:
            return [
                *lines,
                f"  {info['network']}, input {info['input']}{windows}",
                f"  to be trained with labels {info['labels']}, seed {info['seed']}",
                f"  settings alone: there is no {RUN}, as the training was stopped before it "
                "began; go on with train --resume",
            ]
        return [
            *lines,
            f"  {info['network']}, {info['parameters']:,} parameters, "
            f"input {info['input']}{windows}",
            f"  to be trained on {info['data']}, labels {info['labels']}, seed {info['seed']}, "
            f"{info['device']}",
            f"  no epoch has ended, so that there is no {METRICS}; checkpoints "
            f"{', '.join(info['checkpoints']) or 'none'}; wait for it, or go on with train "
            "--resume",
        ]
    if "network" in info:
        windows = f", windows {', '.join(info['windows'])}" if info["windows"] else ""
        lines += [
            f"  {info['network']}, {info['parameters']:,} parameters, input {info['input']} "
            f"({info['channels']} channels{windows})",
            f"  {len(info['classes'])} classes: {', '.join(info['classes'])}",
        ]
        encoding = info["encoding"]
        if encoding is not None:
            row0, row1 = encoding["rows"]
            sensor = f"{encoding['sensor']['width']}x{encoding['sensor']['height']}"
            lines.append(
                f"  {encoding['representation']}, {encoding['normalise']}, rows {row0}-{row1 - 1} "
                f"of {sensor}, filters {', '.join(encoding['filters']) or 'none'}"
            )
    if "data" in info:
        iou = [f"{name} {value:.1f}" for name, value in info["val_iou"].items() if value == value]
        lines += [
            f"  trained on {info['data']}, labels {info['labels']}, seed {info['seed']}, "
            f"{info['device']}",
            f"  {counted(info['epochs'], 'epoch')}, best {info['best_epoch']} with val mIoU "
            f"{info['val_miou']:.2f} %",
            f"  val IoU, %: {', '.join(iou)}",
            f"  checkpoints {', '.join(info['checkpoints']) or 'none'}",
            *(f"  {name}" for name in info["evaluations"]),
        ]
    return lines


def _without_epoch(root: Path, config: TrainConfig, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a run whose first epoch has not ended: its settings.

    The record is empty where the training was stopped before it wrote one.
    """
    sees_events = config.input.kind in ("events", "both")
    return {
        "path": str(root),
        "data": record.get("data"),
        "labels": config.labels.set,
        "protocol": config.protocol,
        "seed": config.seed,
        "device": record.get("device"),
        "epochs": 0,
        "best_epoch": None,
        "val_miou": None,
        "val_iou": {},
        "checkpoints": sorted(file.name for file in root.glob("*.pt")),
        "evaluations": [],
        "network": config.network.name,
        "parameters": record.get("parameters"),
        "input": config.input.kind,
        "windows": list(config.input.windows) if sees_events else [],
    }


def _network(trained: TrainedNetwork) -> dict[str, Any]:
    inputs = trained.inputs
    return {
        "network": trained.blueprint.name,
        "parameters": parameter_count(trained.network),
        "input": inputs.kind,
        "channels": inputs.channels,
        "windows": list(inputs.windows) if inputs.kind in ("events", "both") else [],
        "input_size": None if inputs.size is None else list(inputs.size),
        "classes": list(trained.classes.names),
        "encoding": None if inputs.encoding is None else inputs.encoding.to_dict(),
    }
