"""``eventseg merge``: the shards of a job array into one complete folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from . import options, printing
from .progress import Messages


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--labels", metavar="NAME", help="Only this label set of a data set.")
@options.json_option
@options.message_options
def command(folder: Path, labels: str | None, as_json: bool, messages: Messages) -> None:
    """Complete FOLDER once all shards of a job array have ended.

    Checks that no shard is missing, that all had the same inputs and settings, and that every
    file is there; shards to run again are named. The folder then holds the bytes of a run without
    shards. Label sets of pseudolabel are filtered here, since filters see all frames, and the
    report of evaluate is made, in the working folder of its shards.

    \b
    eventseg merge ddd17
    eventseg merge predictions/fastscnn-ddd17
    eventseg merge ddd17 --labels segformer
    eventseg merge streets
    eventseg merge as_raw
    eventseg merge runs/fastscnn/evaluation-ddd17-truth-test-clean
    """  # noqa: D301
    from eventseg.dataset.jobs.shard import shard_kind

    kind = None if labels is not None else shard_kind(folder)
    with messages.bar() as bar:
        if kind == "evaluation":
            from eventseg.evaluation.shards import merge_evaluation

            from .evaluate import print_evaluation

            found = merge_evaluation(folder, progress=bar.update)
            bar.close()
            print_evaluation(found, as_json=as_json, messages=messages)
            return
        summaries: Sequence[Any]
        warnings: list[str] = []
        if kind == "streets":
            from eventseg.simulate.streets import merge_streets

            summaries = (merge_streets(folder),)
        elif kind == "conversion":
            from eventseg.dataset.conversion.shards import merge_conversion

            summaries = (merge_conversion(folder),)
        else:
            from eventseg.pseudolabel.label_set import LabelSummary
            from eventseg.pseudolabel.shards import merge_shards

            summaries = merge_shards(folder, labels=labels, progress=bar.update)
            warnings = [one.warning for one in summaries if isinstance(one, LabelSummary)]
    for warning in filter(None, warnings):
        messages.warn(warning)
    for summary in summaries:
        printing.print_summary(summary, as_json=as_json)
