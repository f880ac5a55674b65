"""Choices of a caller about the file of a recording, which its bytes do not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from eventseg.windows import format_duration, parse_duration

TimeUnit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChoices:
    """Choices of reading a file; the parameters are those of `open_recording`.

    Parameters
    ----------
    camera : str, optional
        Name or number of the camera of a file of several.
    time_unit : str, optional
        Unit of the times of a table.
    shift_frames_us : int
        Time to add to the stamps of the frames.
    """

    camera: str | None = None
    time_unit: TimeUnit | None = None
    shift_frames_us: int = 0

    @classmethod
    def of(
        cls,
        camera: str | int | None = None,
        time_unit: TimeUnit | None = None,
        shift_frames: str | int = 0,
    ) -> Self:
        """Return choices as callers give them; a shift is microseconds or a text as ``-12ms``."""
        shift = parse_shift(shift_frames) if isinstance(shift_frames, str) else int(shift_frames)
        name = None if camera is None else str(camera)
        return cls(camera=name, time_unit=time_unit, shift_frames_us=shift)

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`eventseg.recordings.open_recording`."""
        return {
            "camera": self.camera,
            "time_unit": self.time_unit,
            "shift_frames_us": self.shift_frames_us,
        }

    def to_dict(self) -> dict[str, str]:
        """Return the choices as TOML holds them; those that were not made are left out."""
        return {
            **({"camera": self.camera} if self.camera is not None else {}),
            **({"time_unit": self.time_unit} if self.time_unit is not None else {}),
            **({"shift_frames": _signed(self.shift_frames_us)} if self.shift_frames_us else {}),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """Return the choices that a TOML table holds."""
        return cls(
            camera=table.get("camera"),
            time_unit=table.get("time_unit"),
            shift_frames_us=parse_shift(str(table.get("shift_frames", "0us"))),
        )

    def named(self) -> list[str]:
        """Return the names of the options that were given."""
        return [f"--{name.replace('_', '-')}" for name in self.to_dict()]


NO_CHOICES = FileChoices()


def parse_shift(text: str) -> int:
    """Return ``12ms`` or ``-12ms`` in microseconds.

    Raises
    ------
    WindowError
        Neither a duration nor one with a sign.
    """
    digits = text.strip()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-") if digits[:1] in ("+", "-") else digits
    if digits in ("0", "0us", "0ms", "0s"):
        return 0
    return sign * parse_duration(digits)


def _signed(shift_us: int) -> str:
    return f"{'-' * (shift_us < 0)}{format_duration(abs(shift_us))}"
