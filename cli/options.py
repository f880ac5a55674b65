"""Options that several commands share, each with one meaning, and callbacks that parse values."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from .group import Decorator
from .progress import Messages, announce_compiling

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.events import SensorSize
    from eventseg.sources.source import Source
    from eventseg.training.config.describe import Setting
    from eventseg.windows import Anchor

LEAGUE = ".toml"
"""Ending of the file that stands for the folder of a league."""


def duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Return ``50ms`` in microseconds."""
    if text is None:
        return None
    from eventseg.errors import WindowError
    from eventseg.windows import check_window, parse_duration

    try:
        return check_window(parse_duration(text))
    except WindowError as error:
        raise click.BadParameter(str(error)) from error


def any_duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Return ``10min`` in microseconds; unlike a window it may be of any length."""
    if text is None:
        return None
    from eventseg.errors import WindowError
    from eventseg.windows import parse_duration

    try:
        return parse_duration(text)
    except WindowError as error:
        raise click.BadParameter(str(error)) from error


def time_after_start(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Return ``12.5s`` in microseconds; unlike a window it may be 0 and of any length."""
    if text is None:
        return None
    from eventseg.errors import WindowError
    from eventseg.windows import parse_duration

    try:
        return 0 if text.strip() in ("0", "0s", "0ms", "0us") else parse_duration(text)
    except WindowError as error:
        raise click.BadParameter(str(error)) from error


def durations(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Return ``10ms,50ms`` in microseconds."""
    if text is None:
        return None
    found = (duration(ctx, param, part) for part in text.split(","))
    return tuple(length_us for length_us in found if length_us is not None)


def anchor(_ctx: click.Context, _param: click.Parameter, text: str) -> Anchor:
    """Return the anchor that ``frame`` or ``stride:50ms`` names."""
    from eventseg.errors import WindowError
    from eventseg.windows import parse_anchor

    try:
        return parse_anchor(text)
    except WindowError as error:
        raise click.BadParameter(str(error)) from error


def size(_ctx: click.Context, _param: click.Parameter, text: str | None) -> SensorSize | None:
    """Return the size that ``346x260`` names: width first, as it is usually written."""
    if text is None:
        return None
    from eventseg.events import SensorSize

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise click.BadParameter(f"{text!r} must be WIDTHxHEIGHT in pixels, such as 346x260")
    found = SensorSize(int(height), int(width))
    if not 1 <= min(found) <= max(found) <= 65536:
        raise click.BadParameter(f"{text!r} must be 1 to 65536 pixels wide and high")
    return found


def split(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[str, str] | None:
    """Return split file and part that ``val``, ``split.csv`` or ``split.csv:val`` names."""
    if text is None:
        return None
    file, csv, part = text.rpartition(".csv")
    if not csv or (part and not part.startswith(":")):
        return "", text
    return f"{file}.csv", part.removeprefix(":") or "test"


def widths(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Return the widths that ``1,2,4`` names, none of an empty text."""
    if text is None:
        return None
    if not text.strip():
        return ()
    from eventseg.evaluation.settings import WIDEST

    parts = text.split(",")
    if not all(part.isdecimal() and 1 <= int(part) <= WIDEST for part in parts):
        raise click.BadParameter(f"{text!r} must be pixels from 1 to {WIDEST}, such as 1,2,4")
    return tuple(map(int, parts))


def stress_axes(
    _ctx: click.Context, _param: click.Parameter, text: str | None
) -> tuple[str, ...] | None:
    """Return the axes that ``drop,shift`` names."""
    if text is None:
        return None
    from typing import get_args

    from eventseg.evaluation.settings import StressName

    names, known = tuple(text.split(",")), get_args(StressName)
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return names


def key_value(_ctx: click.Context, _param: click.Parameter, texts: Sequence[str]) -> dict[str, Any]:
    """Return ``key=value`` texts as a mapping; a value is TOML, or else the text itself."""
    import tomllib

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value
        found[key] = tuple(parsed) if isinstance(parsed, list) else parsed
    return found


sensor_option = click.option(
    "--sensor",
    callback=size,
    metavar="WIDTHxHEIGHT",
    help="Size of the sensor, such as 640x480, where the file does not tell.",
)
rotate180_option = click.option(
    "--rotate180",
    is_flag=True,
    help="Turn the recording by 180 degrees; some of DDD20 was recorded upside down.",
)
camera_option = click.option(
    "--camera",
    metavar="NAME|N",
    help="Camera of a file of several, by its name or its number; info lists them.  [default: the "
    "first]",
)
time_unit_option = click.option(
    "--time-unit",
    type=click.Choice(["s", "ms", "us", "ns"]),
    help="Unit of the times of a table.  [default: that of its layout or names, or inferred]",
)


def part_options(note: str = "", **begin: Any) -> Decorator[Any]:
    """Return ``--from`` and ``--until``, the part of a recording: ``begin_us`` and ``end_us``.

    Parameters
    ----------
    note : str
        Beginning of both descriptions.
    **begin
        Attributes of :func:`click.option` for ``--from``, such as its default.
    """
    time: dict[str, Any] = {"metavar": "TIME", "callback": time_after_start}
    count = "counted from the first event"

    def decorate(function: Any) -> Any:
        begin_help = f"{note}Time to begin at, {count}.  [default: 0]"
        end_help = f"{note}Time to end at, {count}.  [default: the end]"
        end_option = click.option("--until", "--to", "end_us", help=end_help, **time)
        return click.option("--from", "begin_us", help=begin_help, **time, **begin)(
            end_option(function)
        )

    return decorate


def shift(_ctx: click.Context, _param: click.Parameter, text: str) -> int:
    """Return ``12ms`` or ``-12ms`` in microseconds."""
    from eventseg.errors import WindowError
    from eventseg.recordings.choices import parse_shift

    try:
        return parse_shift(text)
    except WindowError as error:
        raise click.BadParameter(str(error)) from error


shift_frames_option = click.option(
    "--shift-frames",
    metavar="TIME",
    default="0",
    callback=shift,
    help="Time to add to the stamps of the frames, such as 12ms or -12ms: the offset that align "
    "finds.  [default: 0]",
)


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that a file may leave open: sensor, camera, unit of times."""
    return sensor_option(camera_option(time_unit_option(function)))


def setting_option(
    setting: Setting, name: str, *, preset: bool = False, **attributes: Any
) -> Decorator[Any]:
    """Return the option of a setting: help, choices and default are those of its dataclass.

    Parameters
    ----------
    setting : Setting
    name : str
        Name that the command gets the value by, and with ``-`` for ``_`` the option's. The value
        is None where the option is not given.
    preset : bool
        Whether presets may have other defaults.
    **attributes
        Attributes of :func:`click.option` in place of those that follow from the setting.
    """
    shown = setting.default_text if setting.hint is not bool else ""
    help_text = setting.text + (f"  [{'preset ' * preset}default: {shown}]" if shown else "")
    of_kind: dict[str, Any] = {}
    if setting.choices:
        of_kind["type"] = click.Choice(setting.choices)
    elif setting.hint is bool:
        of_kind["is_flag"] = True
    elif setting.hint in (int, float):
        of_kind["type"] = setting.hint
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, **{"default": None, "help": help_text, **of_kind, **attributes})


def device_option(default: str = "auto", *, note: str = "") -> Decorator[Any]:
    """Return ``--device``, the device that computes."""
    return click.option(
        "--device",
        default=default,
        show_default=True,
        metavar="cpu|cuda[:N]|auto",
        help="Device that computes: cpu, cuda, a GPU by its number such as cuda:1, or auto, a GPU "
        f"where there is one.{note and ' '}{note}",
    )


def threads_option(text: str = "the processors, less --workers") -> Decorator[Any]:
    """Return ``--threads``, the number of threads that compute."""
    return click.option(
        "--threads",
        type=click.IntRange(min=1),
        help=f"Threads that compute on the CPU.  [default: {text}]",
    )


def workers_option(text: str, *, least: int = 0, default: int | None = None) -> Decorator[Any]:
    """Return ``--workers``, the number of processes that work besides this one or in its place."""
    return click.option(
        "--workers",
        type=click.IntRange(min=least),
        default=default,
        show_default=default is not None,
        help=text,
    )


def shard(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Shard | None:
    """Return the shard that ``2/5`` or ``slurm`` names."""
    if text is None:
        return None
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.errors import JobsError

    try:
        return Shard.parse(text)
    except JobsError as error:
        raise click.BadParameter(str(error)) from error


def jobs_option(text: str) -> Decorator[Any]:
    """Return ``--jobs``, the number of processes that share the work."""
    return click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help=text,
    )


scheduler_option = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Dask cluster that does the work: address of its scheduler, path of its scheduler file, "
    "or local for one on this machine (extra cluster).  [default: processes of this machine]",
)
tries_option = click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Times that a piece of the work is tried whose process is lost or fails.",
)
shard_option = click.option(
    "--shard",
    callback=shard,
    metavar="I/N|slurm",
    help="Do only shard I of N of a job array, or that of the environment of Slurm; when all are "
    "done, eventseg merge completes the folder.",
)


def out_option(text: str, **settings: Any) -> Decorator[Any]:
    """Return ``--out``, the folder or file that a command writes."""
    settings.setdefault("type", click.Path(path_type=Path))
    return click.option("--out", help=text, **settings)


json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the results as JSON, one object a line, and nothing else on stdout.",
)


def print_json(value: Any) -> None:
    """Print a value as one line of JSON; numbers that JSON lacks, NaN and infinities, are null."""
    click.echo(json.dumps(_finite(value), default=_plain))


class Summary(Protocol):
    """What was done, as lines for people and as JSON."""

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        ...


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Print what was done, as lines for people or as JSON."""
    if as_json:
        print_json(summary.to_dict())
    else:
        click.echo("\n".join(summary.lines()))


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file of a report holds."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def note_left_out(data: Path, messages: Messages, source: Source | None = None) -> None:
    """Print the omissions of an image folder or a league; nothing for a data set.

    `source` is the open data, where it is open already.
    """
    from eventseg.sources.image_folders import Folder
    from eventseg.sources.layouts import open_layout
    from eventseg.sources.leagues import League

    folder = open_layout(data) if source is None else source
    for note in folder.notes() if isinstance(folder, Folder | League) else ():
        messages.note(f"{data}: {note}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, and anything else as its text."""
    return _finite(value.item()) if hasattr(value, "item") else str(value)


def message_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--progress/--no-progress`` and ``--quiet``; the command gets both as ``messages``."""

    @click.option(
        "--progress/--no-progress",
        default=None,
        help="Show a progress bar, or no progress.  [default: a bar on a terminal, in a log file a "
        "line every few seconds]",
    )
    @click.option(
        "-q", "--quiet", is_flag=True, help="No progress and no notes, only warnings and errors."
    )
    @functools.wraps(function)
    def command(*args: Any, progress: bool | None, quiet: bool, **kwargs: Any) -> Any:
        if quiet and progress:
            raise click.UsageError("--quiet and --progress exclude each other")
        announce_compiling(not quiet)
        return function(*args, messages=Messages(quiet, progress), **kwargs)

    return command
