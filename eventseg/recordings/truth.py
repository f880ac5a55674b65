"""The truth file beside a simulated recording: written while it is made, read by name.

Layout of ``NAME.truth.h5``: ``events/label`` and ``events/signal`` (uint8, one per event in the
recording's order), ``frames/t_us``, ``frames/label`` (uint8), ``frames/depth`` (float16, metres,
infinite for the sky; streets and pictures with depth) and ``frames/flow`` (float16, px/s right and
down, no more than 65,504 either way). Recordings of pictures also have the ``source/`` that they
are rendered from. The root's attributes ``classes`` (a JSON list of names) and ``recipe`` (JSON)
tell how it was made, and ``recording_sha256`` of which recording it is the truth. Labels between
the frames are rendered from the recipe by :func:`eventseg.simulate.scene.scenes.scene_of`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.files.digests import digest_of
from eventseg.files.paths import on_disk
from eventseg.recordings.hdf5.datasets import attributes, open_table
from eventseg.recordings.hdf5.disk import Disk
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
from eventseg.recordings.hdf5.tables import Table

FORMAT = "eventseg truth 1"
TRUTH_SUFFIX = ".truth.h5"
EVENT_COLUMNS = ("label", "signal")
MOST_FRAMES, MOST_PIXELS = 2**24, 2**15
MOST_FLOW = float(np.finfo(np.float16).max)
"""Largest optical flow that is kept, in px/s either way."""

_EVENT_CHUNK = 1 << 16


class LabelledEvents(Protocol):
    """Events whose cause is known.

    Attributes
    ----------
    label : uint8 (N,)
        Class of the object that each event shows.
    signal : bool (N,)
        Whether each event is a change of brightness rather than noise.
    """

    @property
    def label(self) -> NDArray[Any]:
        """Class of each event."""

    @property
    def signal(self) -> NDArray[Any]:
        """Signal flag of each event."""


class TruthMaps(Protocol):
    """Label map, depth and optical flow of one instant.

    Attributes
    ----------
    label : uint8 (H, W)
    depth : float32 (H, W) or None
        Metres.
    flow : float32 (2, H, W)
        Pixels a second: right, down.
    """

    @property
    def label(self) -> NDArray[Any]:
        """Label map."""

    @property
    def depth(self) -> NDArray[Any] | None:
        """Depth in metres, where it is known."""

    @property
    def flow(self) -> NDArray[Any]:
        """Optical flow in pixels a second."""


def truth_path(recording: Path) -> Path:
    """Return the path of a recording's truth file: ``drive.truth.h5`` for ``drive.hdf5``."""
    return on_disk(recording.with_suffix(TRUTH_SUFFIX))


class TruthWriter:
    """Writes a truth file as the simulation goes, in constant memory."""

    def __init__(
        self, path: Path, *, sensor: SensorSize, classes: tuple[str, ...], recipe: dict[str, Any]
    ) -> None:
        self._out = path.open("w+b", buffering=0)
        self._disk = Disk(self._out)
        self._file = h5py.File(self._disk, "w")
        self._sensor = sensor
        self._file.attrs["format"] = FORMAT
        self._file.attrs["classes"] = json.dumps(classes)
        self._file.attrs["recipe"] = json.dumps(recipe)
        self._file.attrs["height"], self._file.attrs["width"] = sensor
        for name in ("label", "signal"):
            self._add_bytes(f"events/{name}")
        self._file.create_dataset("frames/t_us", (0,), "i8", maxshape=(None,), chunks=(1024,))

    def _add_bytes(self, name: str) -> None:
        """Add an empty compressed row of bytes."""
        self._file.create_dataset(
            name,
            (0,),
            "u1",
            maxshape=(None,),
            chunks=(_EVENT_CHUNK,),
            compression="gzip",
            compression_opts=1,
        )

    def add_events(self, events: LabelledEvents) -> None:
        """Append class and cause of the events, in their order."""
        for name, column in (("label", events.label), ("signal", events.signal)):
            _append(self._file[f"events/{name}"], column.astype(np.uint8))

    def add_frame(self, t_us: int, view: TruthMaps) -> None:
        """Append labels, depth and flow at a frame's time (end of exposure)."""
        self._disk.check()
        _append(self._file["frames/t_us"], np.array([t_us], np.int64))
        self._add_map("label", view.label)
        if view.depth is not None:
            # What is farther than a half float reaches becomes infinite, as the sky is.
            with np.errstate(over="ignore"):
                self._add_map("depth", view.depth.astype(np.float16))
        # An infinite flow has no end; beyond a half float it leads out of any picture.
        self._add_map("flow", view.flow.clip(-MOST_FLOW, MOST_FLOW).astype(np.float16))

    def add_source(self, label: NDArray[np.uint8], **maps: NDArray[Any]) -> None:
        """Keep a label map the recording is made from, so that it can be warped again.

        Parameters
        ----------
        label : uint8 (h, w)
        **maps : (h, w)
            Further maps of the same size by name, such as ``depth``; all shots have the same ones.
        """
        if "source" not in self._file:
            self._add_bytes("source/label")
            self._file.create_dataset("source/offset", (0,), "i8", maxshape=(None,), chunks=(256,))
            self._file.create_dataset(
                "source/size", (0, 2), "i8", maxshape=(None, 2), chunks=(256, 2)
            )
        source = self._file["source"]
        _append(source["offset"], np.array([source["label"].shape[0]], np.int64))
        _append(source["size"], np.array([label.shape], np.int64))
        _append(source["label"], label.reshape(-1))
        for name, values in maps.items():
            if name not in source:
                source.create_dataset(
                    name,
                    (0,),
                    values.dtype,
                    maxshape=(None,),
                    chunks=(_EVENT_CHUNK,),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                )
            _append(source[name], values.reshape(-1))

    def close(self) -> None:
        """Finish the file; raise what the system has refused."""
        self._file.close()
        self._out.close()
        self._disk.check()

    def _add_map(self, name: str, values: NDArray[Any]) -> None:
        frames = self._file["frames"]
        if name not in frames:
            frames.create_dataset(
                name,
                (0, *values.shape),
                values.dtype,
                maxshape=(None, *values.shape),
                chunks=(1, *values.shape),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
        _append(frames[name], values[None])


def _append(dataset: h5py.Dataset, values: NDArray[Any]) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values
    # Not left to the end of the last reference: a profiler holds some, and bytes would differ.
    dataset.flush()


class Truth:
    """Truth about a simulated recording: labels, depth, flow, and the cause of each event.

    Parameters
    ----------
    path : Path
        The truth file.

    Attributes
    ----------
    classes : tuple of str
        Class names; a label is an index into them, 255 is ignored.
    sensor : SensorSize
    t_us : int64 (F,)
        Frame times (end of exposure) on the recording's continuous clock.
    n_events : int
    recipe : dict
        Everything the recording was made from.
    recording_sha256 : str
        Digest of the recording; empty in files of the first versions.

    Raises
    ------
    RecordingError
        The file is missing or no truth file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = Hdf5File(self.path)
        except (RecordingError, UnsupportedError) as error:
            raise RecordingError(f"cannot read the truth file {path}: {error}") from error
        try:
            self._open()
        except UnsupportedError as error:
            self.close()
            raise RecordingError(f"cannot read the truth file {path}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(f"the truth file {path} is damaged ({error!r})") from error

    def _open(self) -> None:
        facts = attributes(self._file)
        if facts.get("format") != FORMAT:
            raise RecordingError(f"{self.path} is no truth file: it lacks the mark {FORMAT!r}")
        self._tables = {
            f"{group}/{name}": open_table(self._file, f"{group}/{name}")
            for group in ("events", "frames", "source")
            for name in (self._file.names_in(group))
        }
        self.classes: tuple[str, ...] = tuple(json.loads(facts["classes"]))
        self.recipe: dict[str, Any] = json.loads(facts["recipe"])
        self.recording_sha256 = str(facts.get("recording_sha256", ""))
        self.sensor = SensorSize(int(facts["height"]), int(facts["width"]))
        times = self._table("frames/t_us")
        n_frames = times.shape[0]
        if n_frames > MOST_FRAMES or min(self.sensor) < 1 or max(self.sensor) > MOST_PIXELS:
            raise RecordingError(
                f"the truth file {self.path} is damaged: {n_frames:,} frames of {self.sensor}"
            )
        self.t_us: NDArray[np.int64] = times.rows(0, n_frames).astype(np.int64)
        self.n_events = self._table("events/label").shape[0]

    def belongs_to(self, recording: Path) -> bool:
        """Return whether this is the truth of a recording, by the recording's digest.

        Truth files of the first versions do not hold it and belong to any.
        """
        return self.recording_sha256 in ("", digest_of(recording))

    @property
    def maps(self) -> frozenset[str]:
        """Names of the maps that each frame has, such as ``depth``."""
        return frozenset(
            name.removeprefix("frames/") for name in self._tables if name.startswith("frames/")
        ) - {"t_us"}

    @property
    def sources(self) -> frozenset[str]:
        """Names of the arrays that the recipe refers to; streets have none."""
        return frozenset(
            name.removeprefix("source/") for name in self._tables if name.startswith("source/")
        )

    def label(self, i: int) -> NDArray[np.uint8]:
        """Return the label map of frame ``i``, uint8 (H, W)."""
        return np.asarray(self._map("label", i), np.uint8)

    def depth(self, i: int) -> NDArray[np.float32]:
        """Return the depth of frame ``i`` in metres, float32 (H, W); streets only."""
        return np.asarray(self._map("depth", i), np.float32)

    def flow(self, i: int) -> NDArray[np.float32]:
        """Return the optical flow of frame ``i`` in px/s, float32 (2, H, W): right, down."""
        return np.asarray(self._map("flow", i), np.float32)

    def events(
        self, start: int = 0, stop: int | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return class and signal flag of events ``start`` to ``stop``, as they are recorded."""
        first, end, _ = slice(start, stop).indices(self.n_events)
        label, signal = (self._table(f"events/{name}").rows(first, end) for name in EVENT_COLUMNS)
        return label, signal.astype(bool)

    def source(self, name: str, part: slice = slice(None)) -> NDArray[Any]:
        """Return an array the recipe refers to (image recordings keep their label images)."""
        table = self._table(f"source/{name}")
        first, end, _ = part.indices(table.shape[0])
        return table.rows(first, end)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file."""
        self.close()

    def _table(self, name: str) -> Table:
        table = self._tables.get(name)
        if table is None or not table.shape:
            raise RecordingError(f"{self.path} has no {name}")
        return table

    def _map(self, name: str, i: int) -> NDArray[Any]:
        if f"frames/{name}" not in self._tables:
            raise RecordingError(
                f"{self.path} has no {name}: only streets and pictures with depth have it"
            )
        if not 0 <= i < len(self.t_us):
            raise IndexError(f"frame {i} of {len(self.t_us)}: give 0 to {len(self.t_us) - 1}")
        table = self._table(f"frames/{name}")
        if table.shape[-2:] != tuple(self.sensor) or i >= table.shape[0]:
            raise RecordingError(f"{self.path}: {name} is {table.shape} for {self.sensor}")
        values: NDArray[Any] = table.rows(i, i + 1)[0]
        return values
