"""``eventseg encode``: recordings into a data set folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from . import callbacks, options, printing
from .group import TitledCommand, option_group
from .paths import RecordingPath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.dataset.plan import Crop
    from eventseg.dataset.summary import Summary
    from eventseg.encoding.representation import Representation
    from eventseg.events import SensorSize
    from eventseg.filters.rules import Filters
    from eventseg.windows import Anchor


def _crop(_ctx: click.Context, _param: click.Parameter, text: str) -> Crop:
    """Return the rows that ``auto``, ``none`` or ``0:200`` names."""
    if text == "auto":
        return "auto"
    if text == "none":
        return "none"
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} must be auto, none or ROW0:ROW1, such as 0:200")
    return int(match[1]), int(match[2])


def _representation(_ctx: click.Context, _param: click.Parameter, text: str) -> Representation:
    """Return the representation that ``count`` or ``voxel:5`` names."""
    from eventseg.encoding.representation import parse_representation
    from eventseg.errors import ExtensionError, WindowError

    try:
        return parse_representation(text)
    except (ExtensionError, WindowError) as error:
        raise click.BadParameter(str(error)) from error


def _frame_age(ctx: click.Context, param: click.Parameter, text: str) -> int | None:
    """Return ``1s`` in microseconds, or None for ``any``."""
    return None if text == "any" else callbacks.duration(ctx, param, text)


def _filters(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> Filters:
    """Return the filters that ``hot`` or ``refractory:1ms,background:5ms`` name."""
    from eventseg.errors import EventsegError
    from eventseg.filters.rules import parse_filters

    try:
        return parse_filters(texts)
    except EventsegError as error:
        raise click.BadParameter(str(error)) from error


@click.command(cls=TitledCommand)
@click.argument(
    "recordings",
    metavar="REC...",
    nargs=-1,
    required=True,
    type=RecordingPath(),
)
@option_group(
    "Windows",
    click.option(
        "--window",
        "windows_us",
        callback=callbacks.durations,
        metavar="LENGTH[,LENGTH...]",
        help="Window lengths such as 50ms.  [default: 50ms; none with --anchor count:N]",
    ),
    click.option(
        "--anchor",
        callback=callbacks.anchor,
        default="frame",
        show_default=True,
        metavar="frame|centre|stride:LENGTH|count:N|evsegnet",
        help="How windows are placed: before each frame, centred on it, every LENGTH, of N events "
        "each, or as EV-SegNet cut them (one data set a window length in OUT).",
    ),
    click.option(
        "--frame-age",
        "max_frame_age_us",
        callback=_frame_age,
        default="1s",
        show_default=True,
        metavar="LENGTH|any",
        help="Largest age of a frame at the end of a window that it does not anchor; a window "
        "whose latest frame is older has no frame and no label.",
    ),
)
@option_group(
    "Recordings",
    click.option(
        "--filter",
        "filters",
        callback=_filters,
        multiple=True,
        metavar="FILTER[,FILTER...]",
        help="Events to drop: hot[:FACTOR] pixels, refractory[:LENGTH], background[:LENGTH] "
        "activity; may be repeated. They apply in this order, however given, to the whole "
        "recording.  [default: none]",
    ),
    click.option(
        "--test",
        "held_out",
        multiple=True,
        metavar="NAME",
        help="Recording to hold out for test, by its name; may be repeated.",
    ),
    click.option(
        "--val",
        "validation",
        multiple=True,
        metavar="NAME",
        help="Recording that validates, by its name; may be repeated. The others train "
        "completely.  [default: the last tenth of each training recording]",
    ),
    options.file_options,
    options.rotate180_option,
    options.shift_frames_option,
)
@option_group(
    "Encoding",
    click.option(
        "--representation",
        callback=_representation,
        default="mean-std",
        show_default=True,
        metavar="NAME",
        help="Meaning of the channels: mean-std (EV-SegNet's six), count, count-latest, "
        "voxel[:BINS], stack[:BINS], time-surface[:TAU], or your own, FILE.py:NAME.",
    ),
    click.option(
        "--normalise",
        type=click.Choice(["raw", "sqrt", "evsegnet"]),
        default="raw",
        show_default=True,
        help="What to store. Raw tensors are normalised when they are loaded.",
    ),
    click.option(
        "--ddof",
        type=click.IntRange(0, 1),
        default=1,
        show_default=True,
        help="The standard deviation divides by n - ddof.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16", "uint8"]),
        default="float32",
        show_default=True,
        help="Element type of the tensors: float16 has half the bytes, uint8 a quarter, for count "
        "and stack; counts stop at 255.",
    ),
    click.option(
        "--crop",
        callback=_crop,
        default="auto",
        show_default=True,
        metavar="auto|none|ROW0:ROW1",
        help="Rows that tensors keep; auto: 0:200 on a 346x260 sensor as EV-SegNet did, else all.",
    ),
)
@option_group(
    "Output",
    options.out_option(
        "Folder to make.  [default: the recording's name with .eventseg, in this folder]"
    ),
    click.option(
        "--store",
        type=click.Choice(["npy", "npz", "none"]),
        default="npy",
        show_default=True,
        help="Tensors as plain or compressed files, or encoded from the recordings on load.",
    ),
    options.json_option,
    options.message_options,
)
@option_group(
    "Machine",
    options.device_option("cpu", note="The bytes are the same on each."),
    options.threads_option("the processors, shared among --workers"),
    options.workers_option(
        "Processes that share stretches of the recordings.  [default: as many as processors, at "
        "most one a recording and one for 100 MB of recordings]",
        least=1,
    ),
    options.scheduler_option,
    options.shard_option,
    options.tries_option,
)
def command(
    recordings: tuple[Path, ...],
    windows_us: tuple[int, ...] | None,
    out: Path | None,
    anchor: Anchor,
    crop: Crop,
    workers: int | None,
    scheduler: str | None,
    shard: Shard | None,
    tries: int,
    threads: int | None,
    device: str,
    held_out: tuple[str, ...],
    validation: tuple[str, ...],
    sensor: SensorSize | None,
    as_json: bool,
    messages: Messages,
    **settings: Any,
) -> None:
    """Turn recordings into a data set of tensors, of six channels by default.

    A run that was stopped goes on where it was when it is started again, and ends with the same
    bytes. Frames keep their full size.

    \b
    eventseg encode rec1487339175.hdf5
    eventseg encode rec*.hdf5 --window 10ms,50ms,250ms --out ddd17 --test rec1487417411
    eventseg encode rec1487339175.hdf5 --representation stack:5 --dtype uint8
    eventseg encode night.hdf5 --anchor stride:50ms --frame-age 200ms --crop none
    eventseg encode rec1487417411.hdf5 --anchor evsegnet --window 10ms,50ms,250ms
    eventseg encode rec*.hdf5 --out ddd17 --scheduler tcp://node1:8786
    eventseg encode rec*.hdf5 --out ddd17 --shard 2/40
    """  # noqa: D301
    if out is None:
        if len(recordings) > 1:
            raise click.UsageError("several recordings need a folder: give --out")
        out = Path(recordings[0].with_suffix(".eventseg").name)
    if anchor.kind == "count" and windows_us is not None:
        raise click.UsageError(f"anchor {anchor} sets the windows: leave --window out")
    if shard is not None and scheduler is not None:
        raise click.UsageError("--shard and --scheduler exclude each other")

    from functools import partial

    from eventseg.dataset.jobs.workers import usual_workers
    from eventseg.dataset.shards import ShardSummary, encode_shard
    from eventseg.dataset.writer import encode_dataset

    encoder = _encoder(device, anchor, scheduler=scheduler, messages=messages)
    with messages.bar() as bar, bar.resumable(out):
        encode = (
            partial(encode_dataset, scheduler=scheduler)
            if shard is None
            else partial(encode_shard, shard=shard)
        )
        summary: Summary | ShardSummary = encode(
            recordings,
            out,
            windows_us=windows_us,
            anchor=anchor,
            crop=crop,
            workers=workers or usual_workers(recordings),
            tries=tries,
            threads=threads,
            device=encoder,
            sensor=sensor,
            held_out=held_out,
            validation=validation,
            progress=bar.update,
            **settings,
        )
    for name, notes in summary.notes.items():
        for note in notes:
            messages.note(f"{name}: {note}")
    parts = (summary,) if isinstance(summary, ShardSummary) else summary.datasets
    for part in parts:
        if as_json:
            printing.print_json(part.to_dict())
        else:
            click.echo("\n".join(part.lines()))


def _encoder(
    device: str, anchor: Anchor, *, scheduler: str | None, messages: Messages
) -> Literal["cpu", "cuda", "auto"]:
    """Return the device that encodes, and print the choice of ``auto``."""
    from eventseg.dataset.jobs.cluster import LOCAL
    from eventseg.device import choose_encoder_by_name

    if scheduler not in (None, LOCAL):
        # The GPUs of a cluster are not those of this machine.
        if device not in ("cpu", "cuda", "auto"):
            raise click.UsageError(
                f"with --scheduler the workers choose a device: give --device cpu, cuda or auto, "
                f"got {device}; CUDA_VISIBLE_DEVICES of a worker chooses among its GPUs"
            )
        return device  # type: ignore[return-value]
    if device == "auto" and anchor.kind == "count":
        messages.note(f"device: cpu (windows of anchor {anchor})")
        return "cpu"
    encoder = choose_encoder_by_name(device)
    if device == "auto":
        messages.note(f"device: {encoder}")
    return encoder.name
