"""``eventseg convert --out``: several recordings into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import printing
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard


def convert_folder(
    sources: Sequence[Path],
    out: Path,
    *,
    scheduler: str | None,
    shard: Shard | None,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
    setting: dict[str, Any],
) -> None:
    """Convert recordings, or those of a shard, into a folder and print the result."""
    if shard is not None and (scheduler is not None or overwrite):
        raise click.UsageError("--shard excludes --scheduler and --overwrite")
    from eventseg.dataset.conversion.convert_into import convert_into
    from eventseg.dataset.conversion.shards import convert_shard

    with messages.bar() as bar, bar.resumable(out):
        setting["progress"] = bar.update
        if shard is not None:
            summary = convert_shard(sources, out, shard=shard, **setting)
        else:
            summary = convert_into(
                sources, out, scheduler=scheduler, overwrite=overwrite, **setting
            )
    printing.print_summary(summary, as_json=as_json)
