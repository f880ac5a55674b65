"""``eventseg evaluate``: scores of a run on a data set, beside what it must beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import size
from .progress import ProgressBar


@click.command(
    "evaluate",
    epilog="""\b
Examples:
  eventseg evaluate runs/evsegnet-events-50ms drives.eventseg
  eventseg evaluate runs/fastscnn drives.eventseg --window 10ms,50ms,250ms
  eventseg evaluate runs/fastscnn drives.eventseg --labels truth --teacher segformer-b5
  eventseg evaluate runs/evsegnet-code drives.eventseg --protocol paper
  eventseg evaluate runs/deeplab Cityscapes --split val --classes cityscapes10
""",
)
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--window", metavar="LENGTH[,LENGTH...]", help="Windows.  [default: those trained on]"
)
@click.option("--labels", metavar="SET", help="Label set to score against.  [default: the run's]")
@click.option("--classes", metavar="TABLE", help="Class table that both are merged into first.")
@click.option(
    "--protocol",
    type=click.Choice(["clean", "paper"]),
    default="clean",
    show_default=True,
    help="clean: one pass, native size. paper: six passes at 352x224, as EV-SegNet published.",
)
@click.option("--split", default="test", show_default=True, help="Part of the data.")
@click.option("--scales", metavar="S[,S...]", help="Scales that are averaged, such as 0.75,1,1.5.")
@click.option("--flip/--no-flip", default=None, help="Whether mirrored views are averaged too.")
@click.option("--size", callback=size, metavar="WIDTHxHEIGHT", help="Size that is scored at.")
@click.option("--teacher", metavar="SET", help="Label set to score as the frame teacher.")
@click.option("--baselines/--no-baselines", default=True, show_default=True)
@click.option("--checkpoint", default="best.pt", show_default=True, help="Which of the run's.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 or auto.")
@click.option("--batch-size", type=click.IntRange(1), default=4, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the report. compare finds those in RUN.  "
    "[default: RUN/evaluation-DATA-LABELS-SPLIT-PROTOCOL and what differs from the usual]",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(run: Path, data: Path, out: Path | None, quiet: bool, **options: Any) -> None:
    """Score RUN, a run folder or a checkpoint, on a part of DATA.

    Writes report.html, scores.json, scores.csv and scores.md, and prints the tables, of categories
    and instances too where the data has them. Another request gets another folder. Beside the
    network stand the majority class, the position prior of the training part and the network with
    its clock 50 ms off; with --teacher also the labels of a frame teacher.
    """
    from eventseg.evaluation.report.tables import HEADER, group_tables, summary_rows
    from eventseg.evaluation.request import EvaluationRequest
    from eventseg.evaluation.run_evaluation import evaluate_run
    from eventseg.html import markdown

    window, scales = options.pop("window"), options.pop("scales")
    request = EvaluationRequest(
        windows=tuple(part.strip() for part in window.split(",")) if window else (),
        scales=_numbers(scales),
        **options,
    )
    with ProgressBar(False if quiet else None) as bar:
        page, rows = evaluate_run(run, data, request=request, out=out, progress=bar.update)
    click.echo(markdown(HEADER, summary_rows(rows)), nl=False)
    for title, header, lines in group_tables(rows):
        click.echo(f"\n{title}, %\n\n{markdown(header, lines)}", nl=False)
    click.echo(f"{page}")


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be numbers, such as 0.75,1,1.5") from error
