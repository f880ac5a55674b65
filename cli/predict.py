"""``eventseg predict``: label maps of recordings, data sets and pictures by a trained network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import callbacks, options, printing
from .group import TitledCommand, option_group
from .progress import Messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventseg.dataset.jobs.shard import Shard
    from eventseg.events import SensorSize
    from eventseg.prediction.predict_into import PredictionSummary
    from eventseg.recordings.choices import TimeUnit


def _scales(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """Return the numbers that ``0.75,1,1.5`` names."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} must be numbers, such as 0.75,1,1.5") from error


def _times(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """Return ``1s,1.5s`` in microseconds."""
    if text is None:
        return None
    found = (callbacks.time_after_start(ctx, param, part) for part in text.split(","))
    return tuple(time_us for time_us in found if time_us is not None)


@click.command(
    "predict",
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg predict street rec1487339175.hdf5 --window 50ms --film rec.mp4
  eventseg predict runs/fastscnn rec1487339175.hdf5
  eventseg predict runs/fastscnn rec1487339175.hdf5 --every 20ms --out maps
  eventseg predict runs/fastscnn rec*.hdf5 --window 50ms --jobs 4
  eventseg predict runs/fastscnn rec*.hdf5 --out maps --shard 2/40
  eventseg predict runs/fastscnn rec1487339175.hdf5 --at 1.5s,12s --probabilities
  eventseg predict runs/fastscnn drives.eventseg --split test
  eventseg predict runs/fastscnn rec1487339175.hdf5 --film rec.mp4
  eventseg predict runs/events drives.eventseg --beside runs/gray --film both.gif
  eventseg predict runs/fastscnn/fastscnn.onnx rec1487339175.hdf5
  eventseg predict cgnet:CGNet_camvid.pth pictures/ --network-classes camvid11
  eventseg predict runs/teacher pictures/ --json | jq .class_shares
""",
)
@click.argument("run", metavar="RUN")
@click.argument(
    "inputs",
    metavar="INPUT...",
    nargs=-1,
    type=click.Path(path_type=Path, exists=True),
)
@option_group(
    "Instants",
    click.option(
        "--every",
        callback=callbacks.duration,
        metavar="LENGTH",
        help="Distance of the instants of a recording from its first event on, such as 20ms.  "
        "[default: its frames]",
    ),
    click.option(
        "--at",
        callback=_times,
        metavar="TIME[,TIME...]",
        help="Instants of a recording after its first event, such as 1.5s,12s.",
    ),
    click.option(
        "--window",
        callback=callbacks.duration,
        metavar="LENGTH",
        help="Length of the windows of events.  [default: the one that the network was trained on]",
    ),
    click.option(
        "--split",
        metavar="SPLIT",
        help="Part of a data set or image folder, such as test, in the split of the run where it "
        "has one of its own.  [default: all samples]",
    ),
)
@option_group(
    "Network",
    click.option(
        "--checkpoint",
        default="best.pt",
        show_default=True,
        metavar="FILE",
        help="Checkpoint in the run folder.",
    ),
    click.option(
        "--network-classes",
        metavar="TABLE",
        help="Class table of a published network whose file does not name its classes: a name "
        "such as camvid11, or a TOML file.",
    ),
    click.option(
        "--fast",
        is_flag=True,
        help="Arithmetic that eventseg bench has found to be the fastest on this machine; labels "
        "may differ in the share of pixels that it has measured.",
    ),
    click.option(
        "--scales",
        callback=_scales,
        metavar="S[,S...]",
        help="Scales whose probabilities are averaged, such as 0.75,1,1.5.  [default: 1]",
    ),
    click.option("--flip/--no-flip", default=False, help="Average mirrored views too."),
)
@option_group(
    "Recordings",
    options.file_options,
    options.shift_frames_option,
    options.rotate180_option,
)
@option_group(
    "Output",
    options.out_option("Folder of the predictions.  [default: predictions/RUN-INPUT]"),
    click.option(
        "--probabilities",
        is_flag=True,
        help="Write the probabilities of all classes too: probabilities/ID.npz, float16 (classes, "
        "rows, columns).",
    ),
    click.option(
        "--overwrite",
        is_flag=True,
        help="Replace predictions that are complete or of other settings.",
    ),
    options.json_option,
    options.message_options,
)
@option_group(
    "Film",
    click.option(
        "--film",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Film to write, .mp4 (extra video) or .gif, or a folder for PNG: frame, events, "
        "labels where there are some, prediction and its errors.",
    ),
    click.option(
        "--beside",
        multiple=True,
        metavar="RUN|PREDICTIONS",
        help="Another run, which predicts the same into OUT-RUN, or a prediction folder, to show "
        "beside. The option can be given several times.",
    ),
    click.option(
        "--labels",
        metavar="SET",
        help="Label set of data sets to show.  [default: truth, or the only one]",
    ),
    click.option(
        "--fps",
        type=click.FloatRange(min=0.1, max=1000),
        help="Pictures a second.  [default: as the moments follow each other, at most 60]",
    ),
    click.option(
        "--film-width",
        type=click.IntRange(160, 7680),
        metavar="PIXELS",
        help="Width of the film.  [default: 1600, of a GIF 960]",
    ),
)
@option_group(
    "Machine",
    options.device_option(),
    options.threads_option("the processors"),
    options.jobs_option(
        "Processes; each takes a share of the samples, with its share of the threads."
    ),
    options.scheduler_option,
    options.shard_option,
    options.tries_option,
)
def command(
    run: str,
    inputs: tuple[Path, ...],
    every: int | None,
    at: tuple[int, ...] | None,
    window: int | None,
    split: str | None,
    checkpoint: str,
    network_classes: str | None,
    fast: bool,
    scales: tuple[float, ...] | None,
    flip: bool,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    shift_frames: int,
    rotate180: bool,
    out: Path | None,
    probabilities: bool,
    overwrite: bool,
    film: Path | None,
    beside: tuple[str, ...],
    labels: str | None,
    fps: float | None,
    film_width: int | None,
    device: str,
    threads: int | None,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    tries: int,
    as_json: bool,
    messages: Messages,
) -> None:
    """Label every INPUT by the network of RUN: recordings, data sets, image folders or pictures.

    RUN is a run folder, a checkpoint, an exported .onnx file, the name of a network that ships,
    such as street, or NETWORK:PATH for a checkpoint of another project. The events are encoded as
    in its training. OUT gets labels/ID.png, indexed PNG in the colours of the
    classes, samples.csv and predictions.toml, which says how they were made. A run that was
    stopped goes on where it was when it is started again, and ends with the same bytes.
    """
    if not inputs:
        hint = f"; to label {run}: eventseg predict street {run}" if Path(run).exists() else ""
        raise click.UsageError(f"give RUN, the network, and INPUT, got {run} alone{hint}")
    if every is not None and at is not None:
        raise click.UsageError("--every and --at exclude each other")
    if fast and (jobs > 1 or threads is not None):
        raise click.UsageError("--fast has threads of its own: leave --jobs and --threads out")
    if shard is not None and (scheduler is not None or overwrite or film is not None):
        raise click.UsageError("--shard excludes --scheduler, --overwrite and --film")
    if film is None and (beside or labels or fps is not None or film_width is not None):
        raise click.UsageError("--beside, --labels, --fps and --film-width need --film")
    from functools import partial

    from eventseg.device import set_threads
    from eventseg.plots.film import check_out
    from eventseg.prediction.film import film_predictions
    from eventseg.prediction.moments import check_label_set
    from eventseg.prediction.predict_into import check_beside, predict_beside, predict_into
    from eventseg.prediction.predictor import TestTimeAugmentation
    from eventseg.prediction.shards import predict_shard

    set_threads(threads)
    if film is not None:
        check_out(film)
        check_beside(beside)
        if labels is not None:
            check_label_set(inputs, labels)
    with messages.bar() as bar:
        common: dict[str, Any] = {
            "inputs": inputs,
            "every": every,
            "at": at,
            "window": window,
            "split": split,
            "probabilities": probabilities,
            "test_time": TestTimeAugmentation(scales or (1.0,), flip),
            "sensor": sensor,
            "camera": camera,
            "time_unit": time_unit,
            "shift_frames": shift_frames,
            "rotate180": rotate180,
            "checkpoint": checkpoint,
            "network_classes": network_classes,
            "fast": fast,
            "device": device,
            "jobs": jobs,
            "tries": tries,
            "threads": threads,
            "progress": bar.update,
            "say": messages.note,
        }
        with bar.resumable():
            if shard is not None:
                part = predict_shard(run, out=out, shard=shard, **common)
                printing.print_json(part.to_dict()) if as_json else click.echo(
                    "\n".join(part.lines())
                )
                return
            predict_inputs: Callable[..., PredictionSummary] = partial(
                predict_into, overwrite=overwrite, scheduler=scheduler, **common
            )
            summary = predict_inputs(run, out=out)
            others = predict_beside(predict_inputs, beside, out=summary.folder.path)
            shown = None
            if film is not None:
                shown = film_predictions(
                    [summary.folder, *others],
                    film,
                    labels=labels,
                    fps=fps,
                    width=film_width,
                    progress=bar.update,
                )
    if as_json:
        film_record = {} if shown is None else {"film": asdict(shown)}
        printing.print_json({**summary.to_dict(), **film_record})
        return
    click.echo("\n".join(summary.lines()))
    for other in others:
        click.echo("\n".join(other.lines()))
    if shown is not None:
        click.echo(shown)
