"""A run made again from its ``run.json``, and whether it came to the same scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from eventseg.device import choose_device
from eventseg.errors import TrainingError
from eventseg.files.texts import read_csv
from eventseg.recordings.progress import no_report
from eventseg.sources.source import open_source
from eventseg.training.distributed import world
from eventseg.training.epoch_tables import check_has_epoch
from eventseg.training.initial import check_initial_file
from eventseg.training.layout import METRICS, RUN
from eventseg.training.parts import parts_of
from eventseg.training.progress import TrainingProgress
from eventseg.training.run_record import (
    changed_code,
    describe_run,
    differing_data,
    read_run,
    recorded_config,
)
from eventseg.training.trainer import train


@dataclass(frozen=True, slots=True)
class Reproduced:
    """Comparison of a run with its repetition.

    Parameters
    ----------
    path : Path
        The new run folder.
    difference : str
        Where its ``metrics.csv`` first differs from the old one; empty where they are equal.
    versions : dict of str to (str, str)
        Packages that are of another version now: then, now.
    """

    path: Path
    difference: str
    versions: dict[str, tuple[str, str]]


def reproduce(
    run: str | Path,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    progress: Callable[[TrainingProgress], None] = no_report,
) -> Reproduced:
    """Train again as a ``run.json`` says and compare ``metrics.csv`` line by line.

    With the same settings, data, device, precision and number of threads.

    Parameters
    ----------
    run : path
        A ``run.json``, or the run folder that holds it.
    data : path, optional
        The data, by default where it was.
    out : path, optional
        Folder of the new run, by default that of the old one with ``-reproduced`` after it.
    progress : callable
        As for :func:`eventseg.training.trainer.train`.

    Raises
    ------
    TrainingError
        No ``run.json``, no whole ``metrics.csv`` beside it to compare with, a run in `out`, data
        that is not what the run was trained on, or another number of processes.
    """
    path = Path(run) / RUN if Path(run).is_dir() else Path(run)
    held, root = read_run(path), path.resolve().parent
    check_has_epoch(root)  # what the new run is compared with, hours from now
    _lines(root / METRICS)
    config = recorded_config(held, path)
    if chosen := held.get("arithmetic"):  # what a probe would choose depends on the hour
        config = replace(config, amp=chosen["amp"], memory_format=chosen["memory_format"])
    processes = held.get("processes", 1)
    if processes != world():
        raise TrainingError(
            f"{path} is of {processes} processes and this is one of {world()}; start as many with "
            "torchrun --nproc-per-node"
        )
    # The device held is the first process's; of several each takes its own of that kind.
    kind = held["device"].partition(":")[0]
    device = choose_device(held["device"] if processes == 1 else kind)
    target = Path(out) if out is not None else root.with_name(f"{root.name}-reproduced")
    if processes == 1 and (target / RUN).is_file():  # of several another one may have written it
        raise TrainingError(f"{target} holds a run; give another folder with --out")
    source = open_source(data or held["data"], label_set=config.labels.set)
    threads = torch.get_num_threads()
    torch.set_num_threads(held["threads"])
    try:
        parts = parts_of(source, config)
        now = describe_run(
            config,
            source,
            device=device,
            parameters=held["parameters"],
            parts={name: [source.ids[i] for i in part] for name, part in parts.items()},
        )
        other = differing_data(held, now)
        if other:
            raise TrainingError(
                f"{source.path} is not the data of {path}: {other} differ; give it with --data"
            )
        if changed := changed_code(held, now):
            raise TrainingError(
                f"{changed} has changed since {path} was written; restore the file as it was"
            )
        check_initial_file(held.get("init"), root=root)
        train(source, target, config=config, device=device, progress=progress)
    finally:
        torch.set_num_threads(threads)
        source.close()
    versions = {
        name: (then, now["versions"][name])
        for name, then in held["versions"].items()
        if now["versions"].get(name, then) != then
    }
    return Reproduced(target, first_difference(root / METRICS, target / METRICS), versions)


def first_difference(old: Path, new: Path) -> str:
    """Describe where two tables of scores first differ; empty where they are equal.

    Raises
    ------
    TrainingError
        One of them cannot be read.
    """
    header, *before = _lines(old)
    other, *after = _lines(new)
    if header != other:
        return "the columns differ"
    for was, now in zip(before, after, strict=False):
        for name, one, two in zip(header, was, now, strict=True):
            if one != two:
                return f"epoch {was[0]}: {name} was {one} and is {two}"
    if len(before) != len(after):
        return f"the run had {len(before)} epochs and has {len(after)}"
    return ""


def _lines(path: Path) -> list[list[str]]:
    try:
        lines = list(read_csv(path).values())
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {error}") from error
    if not lines:
        raise TrainingError(f"{path} is empty")
    short = next((line for line in lines if len(line) != len(lines[0])), None)
    if short is not None:
        raise TrainingError(
            f"{path} is damaged: the line of epoch {short[0]} has {len(short)} of {len(lines[0])} "
            "values"
        )
    return lines
