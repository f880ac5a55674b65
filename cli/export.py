"""``eventseg export``: a network as a file that runs without this library."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import callbacks, options, printing

if TYPE_CHECKING:
    from eventseg.events import SensorSize


@click.command(
    "export",
    epilog="""\b
Examples:
  eventseg export runs/events
  eventseg export runs/events --argmax --size 346x260 --out labels.onnx
  eventseg export runs/events --format torch --half
""",
)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["onnx", "torch"]),
    default="onnx",
    show_default=True,
    help="ONNX (extra export), or a program of torch.export.",
)
@click.option("--argmax", is_flag=True, help="Return labels, one byte a pixel, instead of logits.")
@click.option(
    "--size",
    callback=callbacks.size,
    metavar="WIDTHxHEIGHT",
    help="Fixed size of the input.  [default: any size and batch]",
)
@click.option("--half", is_flag=True, help="Compute in float16; inputs and logits stay float32.")
@click.option(
    "--checkpoint",
    default="best.pt",
    show_default=True,
    metavar="FILE",
    help="Checkpoint in the run folder.",
)
@options.out_option(
    "File to write, .onnx or .pt2.  [default: NAME.onnx or NAME.pt2 beside the checkpoint, of a "
    "shipped network in the working folder]"
)
@options.json_option
def command(
    run: Path,
    format_: Any,
    argmax: bool,
    size: SensorSize | None,
    half: bool,
    checkpoint: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write a network as a file that runs without this library, and MODEL_CARD.md beside it.

    The file is compared with the network on samples of its training data and on random inputs of
    other sizes, and written only where both agree: float32 logits to 1e-4 of the largest one. Its
    metadata hold encoding, classes and colours; docs/run_onnx.py runs it with NumPy alone.
    """
    from eventseg.prediction.export import export

    report = export(
        run,
        out,
        format=format_,
        argmax=argmax,
        size=None if size is None else (size.height, size.width),
        numbers="float16" if half else "float32",
        checkpoint=checkpoint,
    )
    if as_json:
        printing.print_json(asdict(report))
        return
    click.echo(report.path)
    click.echo(report.card)
    samples = "samples of the training and random inputs" if report.of_run else "random inputs"
    differing = "" if argmax else f", logits differ by {report.difference:.1e} of the largest"
    click.echo(
        f"compared on {report.checked} {samples}{differing}; {report.changed:.3%} of the labels "
        "differ",
        err=True,
    )
