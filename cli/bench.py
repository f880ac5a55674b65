"""``eventseg bench``: time of each step, by arithmetic, and the fastest setting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import callbacks, options, printing
from .paths import RecordingPath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit


def _counts(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[int, ...]:
    """Return the integers that ``1,2`` names."""
    try:
        found = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be whole numbers, such as 1,2") from error
    if any(count < 1 for count in found):
        raise click.BadParameter(f"{text!r} must be numbers of 1 or more")
    return found


@click.command(
    "bench",
    epilog="""\b
Examples:
  eventseg bench runs/events drive.hdf5
  eventseg bench runs/events --size 640x480 --batch 4 --thread-counts 1,2,4
  eventseg bench runs/events drive.hdf5 --compiled --most-changed 0.5
""",
)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument(
    "recording",
    required=False,
    type=RecordingPath(),
    metavar="[RECORDING]",
)
@click.option(
    "--window",
    "window_us",
    callback=callbacks.duration,
    metavar="LENGTH",
    help="Length of the windows.  [default: that of the training]",
)
@click.option(
    "--size",
    callback=callbacks.size,
    metavar="WIDTHxHEIGHT",
    help="Sensor of made-up windows, without RECORDING.  [default: that of the training]",
)
@options.file_options
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Inputs of the batch whose throughput is measured.",
)
@click.option(
    "--repetitions",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Windows that are timed, after three that are not.",
)
@click.option(
    "--thread-counts",
    "threads",
    callback=_counts,
    metavar="N[,N...]",
    help="Numbers of threads to try on the CPU.  [default: 1 and the processors]",
)
@click.option("--compiled", is_flag=True, help="Try torch.compile too, which takes minutes.")
@click.option(
    "--most-changed",
    type=click.FloatRange(0, 100),
    default=0.1,
    show_default=True,
    metavar="PERCENT",
    help="Largest share of labels that a recommended setting may change.",
)
@options.device_option()
@options.json_option
@options.message_options
def command(
    run: Path,
    recording: Path | None,
    window_us: int | None,
    size: SensorSize | None,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    batch: int,
    repetitions: int,
    threads: tuple[int, ...],
    compiled: bool,
    most_changed: float,
    device: str,
    as_json: bool,
    messages: Messages,
) -> None:
    """Time each step from events to a label map in every arithmetic of this machine.

    Steps are timed alone and together after warm-up: reading the events, encoding, copy to the
    device, network, label map. The fastest setting that changes few labels is stored in
    bench.json beside the checkpoint, of a shipped network in the user's cache folder, where --fast
    finds it.
    """
    if recording is not None and size is not None:
        raise click.UsageError("--size is that of made-up windows: leave it out with RECORDING")
    if recording is None and (sensor, camera, time_unit) != (None, None, None):
        raise click.UsageError(
            "--sensor, --camera and --time-unit are those of RECORDING: give one; --size is that "
            "of made-up windows"
        )
    from eventseg.errors import OutputError
    from eventseg.prediction.bench import bench

    with messages.bar() as bar:
        report = bench(
            run,
            recording,
            window=window_us,
            size=size,
            sensor=sensor,
            camera=camera,
            time_unit=time_unit,
            batch=batch,
            repetitions=repetitions,
            threads=threads,
            compiled=compiled,
            most_changed=most_changed / 100,
            device=device,
            progress=bar.update,
        )
    if as_json:
        printing.print_json(report.to_dict())
    else:
        for line in report.lines():
            click.echo(line)
    if report.unsaved:
        raise OutputError(f"{report.unsaved}; --fast will not find these measurements")
    if not as_json:
        messages.note(f"written to {report.file}")
