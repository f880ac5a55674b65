"""One run of ``eventseg train``: its notes, its bar and its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .progress import Messages

if TYPE_CHECKING:
    import torch

    from eventseg.sources.source import Source
    from eventseg.training.config.config import TrainConfig
    from eventseg.training.progress import TrainingResult

ENCODED = {
    "nowhere": "",
    "workers": ", events encoded by the workers",
    "device": ", events encoded on the device",
}
"""Note on the place where live events are encoded."""


@contextmanager
def one_voice(device: torch.device) -> Iterator[None]:
    """Join the processes of ``torchrun``; of those that fail, the first one alone says why."""
    from eventseg.training.together import OtherProcessError, ending_together

    try:
        with ending_together(device):
            yield
    except OtherProcessError:
        raise click.exceptions.Exit(1) from None


def train_run(
    source: Source,
    root: Path,
    config: TrainConfig,
    *,
    device: torch.device,
    threads: int,
    resume: bool,
    tensorboard: bool,
    messages: Messages,
    again: str,
) -> TrainingResult:
    """Train one run, with notes and a bar; ``again`` says how one goes on after an interrupt."""
    from eventseg.files.extensions import short_extension
    from eventseg.training.arithmetic import Arithmetic
    from eventseg.training.config.config import with_absolute_paths
    from eventseg.training.distributed import rank
    from eventseg.training.epoch_tables import read_skipped
    from eventseg.training.layout import CONFIG, SKIPPED
    from eventseg.training.loading import encoded_where
    from eventseg.training.run_folder import resume_notes
    from eventseg.training.run_record import held_arithmetic
    from eventseg.training.trainer import train

    notes = resume_notes(root, with_absolute_paths(config), device=device) if resume else ()
    if resume and not (root / CONFIG).is_file():
        messages.note(f"{root} holds no run to go on with: a new one begins")

    def started() -> None:
        where = ENCODED[encoded_where(source, config, device)]
        beside = f", {threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else ""
        name = short_extension(config.network.name)
        messages.note(f"{name} on {device}{beside}{where}, run folder {root}")
        if held := held_arithmetic(root):
            messages.note(f"arithmetic: {Arithmetic(**held)}")
        if not resume and rank() == 0:
            _note_init(root, messages)
            _note_split(root, messages)
        for note in notes:
            messages.note(f"resumed with another setting: {note}")

    bar = messages.bar()
    try:
        trained = train(
            source,
            root,
            config=config,
            device=device,
            resume=resume,
            started=started,
            progress=bar.update,
            tensorboard=tensorboard,
        )
    except KeyboardInterrupt:
        bar.close()
        if rank() == 0:
            # Class weights are counted before a run begins, and take long on much data.
            begun = (root / CONFIG).is_file()
            how = f"go on with {again}" if begun else "no run has begun: give the same command"
            click.echo(f"interrupted; {how}", err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        bar.close()
    skipped = read_skipped(trained.path)
    if skipped and rank() == 0:
        messages.warn(
            f"went on without samples that cannot be read: {len(skipped)}, see "
            f"{trained.path / SKIPPED}"
        )
    return trained


def described(root: Path, trained: TrainingResult) -> dict[str, Any]:
    """Return the result of a run as JSON has it."""
    from eventseg.training.epoch_tables import read_skipped

    return {
        "run": str(root),
        "checkpoint": f"{root}/best.pt",
        "best": asdict(trained.best),
        "epochs": len(trained.history),
        "stop_reason": trained.stop_reason,
        "skipped": len(read_skipped(trained.path)),
    }


def print_best(root: Path, trained: TrainingResult) -> None:
    """Print the scores of the best epoch and its checkpoint."""
    from eventseg.training.config.config import load_config
    from eventseg.training.layout import CONFIG

    best = trained.best
    part = "validation" if load_config(root / CONFIG).protocol == "clean" else "test"
    click.echo(
        f"best epoch {best.epoch} of {len(trained.history)}: mIoU {best.selection_score:.2f} % "
        f"over the classes in the truth ({best.val_miou:.2f} % over those in truth or prediction, "
        f"{best.val_miou_all:.2f} % over all), accuracy {best.val_accuracy:.2f} % on the "
        f"{part} part"
    )
    click.echo(f"{root}/best.pt")


def _note_init(root: Path, messages: Messages) -> None:
    """Print which tensors a run that begins has from where; its folder lists all of them."""
    from eventseg.training.layout import INIT, RUN
    from eventseg.training.run_record import read_run

    init = read_run(root / RUN).get("init") if (root / RUN).is_file() else None
    if not init:
        return
    counts = ", ".join(f"{count} {outcome}" for outcome, count in init["tensors"].items())
    messages.note(
        f"initial weights: {init['source']}, {init['share']:.0%} of the parameters; tensors: "
        f"{counts}; see {root / INIT}"
    )
    for note in init["notes"]:
        messages.warn(f"initial weights: {note}")


def _note_split(root: Path, messages: Messages) -> None:
    """Print the samples of each split where they are not those of the data, and samples alike."""
    from eventseg.training.layout import RUN, SPLIT
    from eventseg.training.run_record import read_run

    split = read_run(root / RUN).get("split") if (root / RUN).is_file() else None
    if not split:
        return
    counts = ", ".join(f"{name} {count:,}" for name, count in split["samples"].items())
    messages.note(f"split: {counts}; see {root / SPLIT}")
    for note in split["notes"]:
        messages.warn(note)
