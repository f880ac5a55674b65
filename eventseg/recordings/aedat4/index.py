"""Index of an AEDAT 4 file: one pass over all packets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.aedat4.container import ContainerFile, PacketDamage, StreamInfo
from eventseg.recordings.aedat4.contents import (
    FRAME_DTYPE,
    KINDS,
    events_on,
    frame_of,
    identifier,
    imu_of,
    largest_place,
    triggers_of,
)
from eventseg.recordings.aedat4.flatbuffer import BufferDamage
from eventseg.recordings.contents import IMU_DTYPE, SPECIALS_DTYPE
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.packets import PACKET_DTYPE, packet_row
from eventseg.recordings.report import Tally


@dataclass(frozen=True, eq=False, slots=True)
class Index:
    """Places and times of a file's contents.

    Parameters
    ----------
    events : structured array (P,)
        :data:`eventseg.recordings.packets.PACKET_DTYPE`, in file order.
    frames : structured array (F,)
        :data:`eventseg.recordings.aedat4.contents.FRAME_DTYPE`, in file order.
    imu, specials : structured array
        Inertial samples and triggers, sorted by time.
    """

    events: NDArray[np.void]
    frames: NDArray[np.void]
    imu: NDArray[np.void]
    specials: NDArray[np.void]


def cameras_of(streams: tuple[StreamInfo, ...]) -> list[str]:
    """Return the sources of the streams of events, or of frames where none has events.

    Streams of one source are of one camera; a writer that names no sources has one camera.
    """
    for kind in ("EVTS", "FRME"):
        sources = dict.fromkeys(stream.source for stream in streams if stream.kind == kind)
        if sources:
            return list(sources)
    return [""]


def choose_streams(streams: tuple[StreamInfo, ...], source: str) -> dict[str, int]:
    """Return the number of the stream of each kind that is read: the first of its camera.

    Where the camera has no stream of a kind, the first one of that kind is taken if no other
    camera has it: writers leave the source out for some kinds.
    """
    chosen = {}
    for kind in KINDS:
        found = [stream for stream in streams if stream.kind == kind]
        own = [stream for stream in found if stream.source in (source, "")]
        if own or len(cameras_of(streams)) == 1:
            for stream in (own or found)[:1]:
                chosen[kind] = stream.number
    return chosen


def largest_sensor(file: ContainerFile, chosen: Mapping[str, int]) -> tuple[int, int]:
    """Return the height and width that hold all events, for files that do not say their size."""
    height = width = 1
    for place in file.places(Tally()):
        if place.stream != chosen.get("EVTS", place.stream):
            continue
        try:
            content = file.content(place.offset, place.size)
            if identifier(content) == "EVTS":
                row, column = largest_place(content)
                height, width = max(height, row + 1), max(width, column + 1)
        except (PacketDamage, BufferDamage):
            continue  # counted when the index is built
    return height, width


def load_index(
    file: ContainerFile,
    *,
    chosen: Mapping[str, int],
    given: SensorSize | None,
    progress: Callable[[float], None],
) -> tuple[Index, SensorSize, Tally]:
    """Return the index of a file, from the cache if it is there, its sensor and its counts.

    Parameters
    ----------
    file : ContainerFile
    chosen : mapping
        Stream that is read of each kind, from :func:`choose_streams`.
    given : SensorSize, optional
        Size that a caller gives; by default that of the header, or else the least that holds all
        events.
    progress : callable
        Called with the share of the file that is read.
    """
    variant = f"{sorted(chosen.items())} {given}"
    cached = load_arrays(file.path, variant=variant)
    names = ("events", "frames", "imu", "specials")
    if cached is not None and set(names) <= cached[0].keys():
        arrays, facts = cached
        progress(1.0)
        index = Index(*(arrays[name] for name in names))
        return index, SensorSize(*facts["sensor"]), Tally.from_dict(facts["tally"])
    tally = Tally()
    sensor = given or _stored_sensor(file, chosen, tally)
    index = build_index(file, chosen=chosen, sensor=sensor, tally=tally, progress=progress)
    facts = {"sensor": list(sensor), "tally": tally.to_dict()}
    arrays = {name: getattr(index, name) for name in names}
    why = store_arrays(file.path, arrays, facts, variant=variant)
    tally.notes += [] if why is None else [why]
    return index, sensor, tally


def _stored_sensor(file: ContainerFile, chosen: Mapping[str, int], tally: Tally) -> SensorSize:
    """Return the size that the header gives to the camera, or the least that holds all."""
    sizes = {stream.number: stream.size for stream in file.header.streams}
    for kind in ("EVTS", "FRME"):
        size = sizes.get(chosen.get(kind, -1))
        if size is not None:
            tally.notes.append(f"sensor {size} from the header")
            return size
    size = SensorSize(*largest_sensor(file, chosen))
    tally.guess_sensor(f"sensor {size} inferred from the largest coordinates of the events")
    return size


def build_index(
    file: ContainerFile,
    *,
    chosen: Mapping[str, int],
    sensor: SensorSize,
    tally: Tally,
    progress: Callable[[float], None],
) -> Index:
    """Read the file once.

    Parameters
    ----------
    file : ContainerFile
    chosen : mapping
        Stream that is read of each kind, from :func:`choose_streams`.
    sensor : SensorSize
        Events outside it are left out and counted.
    tally : Tally
        Receives the counts of all that was found, skipped and repaired.
    progress : callable
        Called with the share of the file that is read.
    """
    rows: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    listed = {stream.number for stream in file.header.streams}
    for place in file.places(tally):
        tally.found["packets"] += 1
        progress(place.offset / file.header.end)
        try:
            content = file.content(place.offset, place.size)
            kind = identifier(content)
            if kind not in KINDS:
                tally.skip("packets", f"of the unknown kind {kind!r}")
            elif place.stream != chosen.get(kind, place.stream) or (
                kind not in chosen and place.stream in listed
            ):
                tally.skip("packets", f"of another camera, stream {place.stream}")
            elif kind == "EVTS":
                events, outside, untimed = events_on(content, sensor)
                tally.found["events"] += len(events) + outside + untimed
                tally.skip("events", f"outside the sensor {sensor}", outside)
                tally.skip("events", "with a negative time", untimed)
                if len(events):
                    rows[kind].append(packet_row(place.offset, place.size, events))
            elif kind == "FRME":
                rows[kind].append((place.offset, place.size, *frame_of(content)))
            else:
                rows[kind].append(imu_of(content) if kind == "IMUS" else triggers_of(content))
        except (PacketDamage, BufferDamage) as damage:
            tally.skip("packets", f"damaged: {damage}")
    progress(1.0)
    frames = np.array(rows["FRME"], FRAME_DTYPE)
    imu = _sorted(rows["IMUS"], IMU_DTYPE)
    specials = _sorted(rows["TRIG"], SPECIALS_DTYPE)
    tally.found["frames"] += len(frames)
    tally.found["imu"] += len(imu)
    tally.found["specials"] += len(specials)
    packets = np.array(rows["EVTS"], PACKET_DTYPE)
    back = int((packets["t_min"][1:] < packets["t_max"][:-1]).sum())
    tally.repair("packets that begin before the one before them ends, put in order", back)
    return Index(packets, frames, imu, specials)


def _sorted(parts: list[NDArray[np.void]], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    values = np.concatenate([np.empty(0, dtype), *parts])
    return values[np.argsort(values["t"], kind="stable")]
