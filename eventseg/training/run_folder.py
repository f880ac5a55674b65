"""Run folders: which are free for a run, which can go on, and what differs there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eventseg.errors import OutputError, TrainingError
from eventseg.files.whole import write_whole
from eventseg.training.config.config import TrainConfig, load_config, to_toml, with_absolute_paths
from eventseg.training.config.tables import to_table
from eventseg.training.distributed import world
from eventseg.training.layout import CONFIG, RUN
from eventseg.training.run_record import changed_code, differing_data, read_run

NEUTRAL = ("workers", "input.encode", "input.live")
"""Settings that change nothing in the result, so that a run may continue with others."""


def check_run_folder(root: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that a folder is free for a run, or holds one that can continue; nothing is read else.

    Settings of :data:`NEUTRAL` may differ: they change nothing in the result.

    Parameters
    ----------
    root : Path
        The run folder.
    config : TrainConfig
    resume : bool
        Whether a run that is there shall continue.

    Raises
    ------
    OutputError
        It is a file, or holds something else.
    TrainingError
        A run is there already and shall not continue, or has other settings.
    """
    if root.exists() and not root.is_dir():
        raise OutputError(f"{root} is a file; give a folder")
    if not (root / CONFIG).is_file():
        if root.is_dir() and any(root.iterdir()):
            raise OutputError(f"{root} holds files but no run; give a folder that is new")
        return
    for path, (before, now) in _differences(root, config).items():
        if path not in NEUTRAL:
            raise TrainingError(
                f"{root} holds a run with other settings ({path} = {before} there, {path} = {now} "
                "asked); give another folder with --out"
            )
    if not resume:
        raise TrainingError(f"{root} holds a run; go on with --resume, or give another folder")


def claim_run(
    root: Path, config: TrainConfig, described: Mapping[str, Any], *, resume: bool
) -> None:
    """Make the folder of a run, or check that the run in it can continue.

    Parameters
    ----------
    root, config, resume
        As for :func:`check_run_folder`.
    described : mapping
        From :func:`eventseg.training.run_record.describe_run`.

    Raises
    ------
    OutputError
        It cannot be written, or holds something else.
    TrainingError
        A run is there already and shall not continue, or has other settings, data or code.
    """
    check_run_folder(root, config, resume=resume)
    if not (root / CONFIG).is_file():
        write_whole(root / CONFIG, lambda file: file.write(to_toml(config).encode()))
        return
    if (root / RUN).is_file():
        run = read_run(root / RUN)
        if other := differing_data(run, described):
            raise TrainingError(
                f"{root} holds a run on other data: {other} differ from those in {RUN}; go on "
                "with the data it began with, or give another folder with --out"
            )
        if changed := changed_code(run, described):
            raise TrainingError(
                f"{changed} has changed since the run in {root} began; restore the file as it "
                "was, or give another folder with --out"
            )


def resume_notes(root: Path, config: TrainConfig, *, device: torch.device) -> list[str]:
    """Return the differences from a folder's run that do not change its result, one a line."""
    if not (root / CONFIG).is_file():
        return []
    notes = [
        f"{path} was {before} and is {now}"
        for path, (before, now) in _differences(root, config).items()
        if path in NEUTRAL
    ]
    if (root / RUN).is_file():
        run = read_run(root / RUN)
        before = run.get("resumed", [run])[-1]["device"]
        if before != str(device):
            notes.append(f"device was {before} and is {device}")
        processes = run.get("resumed", [run])[-1].get("processes", 1)
        if processes != world():
            notes.append(f"processes were {processes} and are {world()}")
    return notes


def write_run(root: Path, config: TrainConfig, described: Mapping[str, Any]) -> None:
    """Write ``run.json``; for a run that continues, add command, device and what differs."""
    if (root / RUN).is_file():
        run = read_run(root / RUN)
        names = ("command", "device", "threads", "processes", "versions", "arithmetic")
        again = {name: described[name] for name in names}
        again["settings"] = {path: now for path, (_, now) in _differences(root, config).items()}
        described = {**run, "resumed": [*run.get("resumed", ()), again]}
    text = json.dumps(described, indent=2) + "\n"
    write_whole(root / RUN, lambda file: file.write(text.encode()))


def _differences(root: Path, config: TrainConfig) -> dict[str, tuple[str, str]]:
    """Return the settings that differ from those of the run in a folder: before and now."""
    # Runs of before may hold paths as they were given.
    there = with_absolute_paths(load_config(root / CONFIG))
    before, now = (_by_path(to_table(each)) for each in (there, config))
    missing = "nothing"
    return {
        path: (before.get(path, missing), now.get(path, missing))
        for path in {**before, **now}
        if before.get(path) != now.get(path)
    }


def _by_path(table: Mapping[str, Any], *, parent: str = "") -> dict[str, str]:
    """Return the values of a table as text, by path such as ``optimiser.learning_rate``."""
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= _by_path(value, parent=f"{parent}{name}.")
        else:
            found[f"{parent}{name}"] = json.dumps(value)
    return found
