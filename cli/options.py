"""Options that several commands share, and callbacks that parse with the library's own parsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
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


def _sensor(_ctx: click.Context, _param: click.Parameter, text: str | None) -> SensorSize | None:
    """Return the size that ``346x260`` names: width first, as it is usually written."""
    if text is None:
        return None
    from eventseg.events import SensorSize

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise click.BadParameter(f"{text!r} must be WIDTHxHEIGHT in pixels, such as 346x260")
    size = SensorSize(int(height), int(width))
    if not 1 <= min(size) <= max(size) <= 65536:
        raise click.BadParameter(f"{text!r} must be 1 to 65536 pixels wide and high")
    return size


sensor_option = click.option(
    "--sensor",
    callback=_sensor,
    metavar="WIDTHxHEIGHT",
    help="Size of the sensor, such as 640x480, where the file does not tell.",
)
rotate180_option = click.option(
    "--rotate180",
    is_flag=True,
    help="Turn the recording by 180 degrees; some of DDD20 was recorded upside down.",
)
