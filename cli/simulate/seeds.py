"""``eventseg simulate street --seeds``: many streets of one setting into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import printing
from ..progress import Messages

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard


def parse_seeds(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Return the seeds that ``0:100`` or ``3,5,8`` names."""
    if text is None:
        return None
    begin, colon, end = text.partition(":")
    parts = (begin, end) if colon else text.split(",")
    if not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise click.BadParameter(f"{text!r} must be A:B, such as 0:100, or numbers such as 3,5,8")
    found = tuple(range(int(begin), int(end)) if colon else map(int, parts))
    if not found or len(set(found)) < len(found):
        raise click.BadParameter(f"{text!r} names {'a seed twice' if found else 'no seed'}")
    return found


def simulate_seeds(
    out: Path,
    seeds: tuple[int, ...],
    *,
    scheduler: str | None,
    shard: Shard | None,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
    setting: dict[str, Any],
) -> None:
    """Simulate a street for each seed, or those of a shard, and print the result."""
    if shard is not None and (scheduler is not None or overwrite):
        raise click.UsageError("--shard excludes --scheduler and --overwrite")
    if out.suffix.lower() in (".hdf5", ".h5"):
        raise click.UsageError(f"--seeds needs a folder in place of {out}")
    from eventseg.simulate.streets import simulate_streets, simulate_streets_shard

    with messages.bar() as bar, bar.resumable(out):
        setting["progress"] = bar.update
        if shard is not None:
            summary = simulate_streets_shard(out, seeds, shard=shard, **setting)
        else:
            summary = simulate_streets(
                out, seeds, scheduler=scheduler, overwrite=overwrite, **setting
            )
    printing.print_summary(summary, as_json=as_json)
