"""Options that several commands share, each with one meaning."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import callbacks
from .group import Decorator
from .progress import Messages, announce_compiling

if TYPE_CHECKING:
    from eventseg.training.config.describe import Setting

sensor_option = click.option(
    "--sensor",
    callback=callbacks.size,
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
    time: dict[str, Any] = {"metavar": "TIME", "callback": callbacks.time_after_start}
    count = "counted from the first event"

    def decorate(function: Any) -> Any:
        begin_help = f"{note}Time to begin at, {count}.  [default: 0]"
        end_help = f"{note}Time to end at, {count}.  [default: the end]"
        end_option = click.option("--until", "--to", "end_us", help=end_help, **time)
        return click.option("--from", "begin_us", help=begin_help, **time, **begin)(
            end_option(function)
        )

    return decorate


shift_frames_option = click.option(
    "--shift-frames",
    metavar="TIME",
    default="0",
    callback=callbacks.shift,
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
    callback=callbacks.shard,
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
