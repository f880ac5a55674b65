"""Inputs of a prediction: recordings, data sets, image folders and pictures, by sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.files.digests import digest_of, fingerprint_of
from eventseg.images import read_picture
from eventseg.networks import InputSpec
from eventseg.networks.inputs import scaled
from eventseg.prediction.instants import Instants
from eventseg.prediction.predictor import network_input
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource


class PredictedSample(NamedTuple):
    """One sample of a prediction folder: a line of its ``samples.csv``.

    ``t_us`` is the end of the window, or the time of the frame in a data set; None for pictures.
    ``frame`` is -1 where there is none in a recording; ``events`` is None where they are not
    counted.
    """

    id: str
    input: str
    t_us: int | None
    frame: int
    covered: float
    events: int | None


class SampleInput(NamedTuple):
    """A sample and the network's input, float32 (C, H, W); None where it is not wanted."""

    sample: PredictedSample
    x: NDArray[np.float32] | None


class OpenInput(Protocol):
    """Samples of a recording, a data set or pictures, to be predicted."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the samples."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user before the work begins."""

    def facts(self) -> dict[str, Any]:
        """Return the manifest's entry of the input."""

    def samples(self, start: int, stop: int, done: NDArray[np.bool_]) -> Iterator[SampleInput]:
        """Yield the samples from one number to before another; `done` ones have no input."""

    def close(self) -> None:
        """Close the files."""


@dataclass(frozen=True, eq=False, slots=True)
class RecordedInput:
    """Instants of a recording."""

    instants: Instants
    inputs: InputSpec
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the instants."""
        return self.instants.ids

    def facts(self) -> dict[str, Any]:
        """Return name, digest, sensor and rows, and the number of instants left out."""
        recording, encoding = self.instants.recording, self.instants.encoding
        return {
            "name": recording.name,
            "kind": "recording",
            "sha256": digest_of(recording.path),
            "size": str(recording.sensor),
            "rows": list(encoding.rows),
            "t_first_us": recording.t_first_us,
            "window": self.instants.windows.name,
            "samples": len(self.instants),
            "without_frame": self.instants.skipped,
            "in_gaps": self.instants.windows.left_out,
        }

    def samples(self, start: int, stop: int, done: NDArray[np.bool_]) -> Iterator[SampleInput]:
        """Yield the instants from one number to before another."""
        part = self.instants.part(start, stop)
        name, covered, windows = part.recording.name, part.covered, part.windows
        for i, (x, count) in enumerate(part.network_inputs(self.inputs, done=done)):
            yield SampleInput(
                PredictedSample(
                    part.ids[i],
                    name,
                    int(windows.t1_us[i]),
                    int(windows.frame[i]),
                    float(covered[i]),
                    count,
                ),
                x,
            )

    def close(self) -> None:
        """Close the recording."""
        self.instants.recording.close()


@dataclass(frozen=True, eq=False)
class StoredInput:
    """Samples of a data set, an image folder or a league."""

    source: EventSource | Folder | League
    inputs: InputSpec
    window: str
    indices: NDArray[np.int64]
    without_frame: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the samples."""
        return tuple(self.source.ids[i] for i in self.indices)

    def facts(self) -> dict[str, Any]:
        """Return name, digest, size and rows."""
        digested: dict[str, Any]
        if isinstance(self.source, EventSource):
            # Without labels, which change no prediction.
            manifest = self.source.dataset.manifest
            digested = {entry.name: entry.sha256 for entry in manifest.recordings}
            kind, digested = "data set", {**digested, "settings": manifest.settings.to_dict()}
        else:
            kind = "league" if isinstance(self.source, League) else "image folder"
            digested = self.source.digests
        text = json.dumps(digested, sort_keys=True)
        return {
            "name": self.source.path.resolve().name,
            "kind": kind,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "size": str(self.source.size),
            "window": self.window,
            "samples": len(self.indices),
            "without_frame": self.without_frame,
        }

    def samples(self, start: int, stop: int, done: NDArray[np.bool_]) -> Iterator[SampleInput]:
        """Yield the samples from one number to before another."""
        for k, i in enumerate(self.indices[start:stop].tolist()):
            x = None
            if not done[k]:
                x = network_input(self.source, i, inputs=self.inputs, window=self.window).numpy()
            yield SampleInput(self.sample(i), x)

    def sample(self, i: int) -> PredictedSample:
        """Return the row of a sample, by its index in the source."""
        name, covered = self.source.path.resolve().name, float(self._covered[i])
        if isinstance(self.source, League):
            t_us = int(self.source.t_us[i])
            return PredictedSample(self.source.ids[i], name, t_us, -1, covered, None)
        if not isinstance(self.source, EventSource):
            return PredictedSample(self.source.ids[i], name, None, -1, covered, None)
        table = self.source.dataset.samples
        counted = self.inputs.kind in ("events", "both") and self.window in table.windows
        return PredictedSample(
            self.source.ids[i],
            name,
            int(table.t_us[i]),
            int(table.frame[i]),
            covered,
            int(table.events[i, table.windows.index(self.window)]) if counted else None,
        )

    def close(self) -> None:
        """Close the recordings of the data set."""
        self.source.close()

    @cached_property
    def _covered(self) -> NDArray[np.float64]:
        return self.source.covered(self.window)


@dataclass(frozen=True, eq=False, slots=True)
class PictureInput:
    """Pictures without a layout: one file, or those of a folder."""

    path: Path
    files: tuple[Path, ...]
    inputs: InputSpec
    notes: tuple[str, ...] = ()
    ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(file.stem for file in self.files)
        if len(set(names)) < len(names):
            names = tuple(file.name for file in self.files)  # such as 1.png beside 1.jpg
        object.__setattr__(self, "ids", names)

    def facts(self) -> dict[str, Any]:
        """Return name and digest."""
        listed = hashlib.sha256()
        for file in self.files:
            listed.update(f"{file.name} {fingerprint_of(file)}\n".encode(errors="replace"))
        return {
            "name": self.path.resolve().name,
            "kind": "pictures",
            "sha256": listed.hexdigest(),
            "samples": len(self.files),
        }

    def samples(self, start: int, stop: int, done: NDArray[np.bool_]) -> Iterator[SampleInput]:
        """Yield the pictures from one number to before another."""
        for k, file in enumerate(self.files[start:stop]):
            x = None
            if not done[k]:
                colour = self.inputs.kind == "rgb"
                values = read_picture(file, colour=colour).astype(np.float32) / np.float32(255)
                x = scaled(
                    values.transpose(2, 0, 1) if colour else values[None], self.inputs.scaling
                )
            name = self.path.resolve().name
            yield SampleInput(PredictedSample(self.ids[start + k], name, None, -1, 1.0, None), x)

    def close(self) -> None:
        """Close nothing."""
