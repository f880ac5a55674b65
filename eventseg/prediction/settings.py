"""Settings of a prediction folder: which instants, from which windows, and what is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.events import SensorSize
from eventseg.prediction.predictor import SINGLE, TestTimeAugmentation
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.windows import MAX_FRAME_AGE_US, format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSettings:
    """Settings that determine the bytes of a prediction folder, besides network and inputs.

    Parameters
    ----------
    every_us : int, optional
        Distance of the instants of a recording, from its first event on.
    at_us : tuple of int, optional
        Instants of a recording after its first event, in ascending order. Without either, a
        recording is predicted at its frames.
    window_us : int, optional
        Length of the windows; by default the one that the network was trained on.
    split : str, optional
        Part of data sets and image folders; by default all samples.
    split_file : Path, optional
        Split of the run, where it is not that of the data: the part is one of it.
    max_frame_age_us : int or None
        Largest age of a frame at an instant that it does not anchor; None for any.
    probabilities : bool
        Whether class probabilities are written too.
    test_time : TestTimeAugmentation
        Views of each input that are averaged.
    sensor : SensorSize, optional
        Size of the sensor of recordings, where the file does not tell.
    rotate180 : bool
        Whether recordings are turned by 180 degrees.
    choices : FileChoices
        Camera and unit of times that recordings are read with.
    arithmetic : str
        Engine, memory format and type of numbers of the network; empty for plain float32.
    """

    every_us: int | None = None
    at_us: tuple[int, ...] | None = None
    window_us: int | None = None
    split: str | None = None
    split_file: Path | None = None
    max_frame_age_us: int | None = MAX_FRAME_AGE_US
    probabilities: bool = False
    test_time: TestTimeAugmentation = SINGLE
    sensor: SensorSize | None = None
    rotate180: bool = False
    choices: FileChoices = NO_CHOICES
    arithmetic: str = ""

    @property
    def instants(self) -> str:
        """Placing of the instants, such as ``frames`` or ``every 20ms``."""
        if self.every_us is not None:
            return f"every {format_duration(self.every_us)}"
        if self.at_us is not None:
            return f"at {', '.join(map(format_duration, self.at_us))}"
        return "frames"

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as TOML holds them; those that are not set are ``default``."""
        arithmetic = {"arithmetic": self.arithmetic} if self.arithmetic else {}
        return {
            "instants": self.instants,
            "window": _length(self.window_us, "as trained"),
            "split": self.split or "all",
            **({"own_split": True} if self.split_file else {}),
            "frame_age": _length(self.max_frame_age_us, "any"),
            "probabilities": self.probabilities,
            "views": str(self.test_time),
            "sensor": str(self.sensor or "as recorded"),
            "rotate180": self.rotate180,
            **self.choices.to_dict(),
            **arithmetic,
        }


def _length(duration_us: int | None, other: str) -> str:
    return other if duration_us is None else format_duration(duration_us)
