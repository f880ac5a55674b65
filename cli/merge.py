"""``eventseg merge``: the shards of a job array into one complete folder."""

from __future__ import annotations

from pathlib import Path

import click

from . import options


@click.command(short_help="Complete a folder that the shards of a job array have made.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@options.json_option
def command(folder: Path, as_json: bool) -> None:
    """Complete FOLDER once all shards of a job array have ended.

    Checks that no shard is missing, that all had the same inputs and settings, and that every
    file is there; shards to run again are named. The folder then holds the bytes of a run without
    shards.

    \b
    eventseg merge ddd17
    eventseg merge predictions/fastscnn-ddd17
    """  # noqa: D301
    from eventseg.prediction.shards import merge_shards

    for summary in merge_shards(folder):
        if as_json:
            options.print_json(summary.to_dict())
        else:
            click.echo("\n".join(summary.lines()))
