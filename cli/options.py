"""Options that several commands share, and callbacks that parse with the library's own parsers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
