"""Callbacks that parse the values of options: durations, sizes, splits, shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.events import SensorSize
    from eventseg.windows import Anchor


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


def shift(_ctx: click.Context, _param: click.Parameter, text: str) -> int:
    """Return ``12ms`` or ``-12ms`` in microseconds."""
    from eventseg.errors import WindowError
    from eventseg.recordings.choices import parse_shift

    try:
        return parse_shift(text)
    except WindowError as error:
        raise click.BadParameter(str(error)) from error


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
