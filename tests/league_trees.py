"""Trees in the exact layout of the leagues' downloads, from simulated streets.

Written from what is known of the layouts, not from the readers: the raw files, the index with its
columns (time, end, start), the names of masks and frames, the HDF5 of DSEC with its index of
milliseconds, its map of rectified places and its calibration. Each function returns what a reader
must give back.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import Truth, open_recording, truth_path
from eventseg.simulate.street import simulate_street

DAVIS = SensorSize(260, 346)
DSEC = SensorSize(480, 640)

SIX = {
    "road": 0, "sidewalk": 0, "building": 1, "wall": 1, "fence": 1, "sky": 1, "pole": 2,
    "traffic light": 2, "traffic sign": 2, "vegetation": 3, "terrain": 3, "person": 4, "rider": 4,
    "car": 5, "truck": 5, "bus": 5, "train": 5, "motorcycle": 5, "bicycle": 5,
}  # fmt: skip
ELEVEN = {
    "sky": 0, "building": 1, "fence": 2, "person": 3, "rider": 3, "pole": 4, "road": 5,
    "sidewalk": 6, "vegetation": 7, "terrain": 7, "car": 8, "truck": 8, "bus": 8, "train": 8,
    "motorcycle": 8, "bicycle": 8, "wall": 9, "traffic light": 10, "traffic sign": 10,
}  # fmt: skip

ESS_TRAIN, ESS_TEST, ESS_ONE = ("dir0", "dir3", "dir4", "dir6", "dir7"), "dir1", "dir5"
DSEC_TRAIN = tuple(f"zurich_city_0{n}_a" for n in (0, 1, 2, 4, 5, 6, 7, 8))
DSEC_TEST = ("zurich_city_13_a", "zurich_city_14_c", "zurich_city_15_a")

NS_ORIGIN = 1_487_417_411_000_000_000
DSEC_OFFSET_US = 52_000_000_123


@dataclass(frozen=True, eq=False)
class Drive:
    """Events, frames and labels (19 classes) of a simulated drive; times in us."""

    events: EventStream
    frame_us: NDArray[np.int64]
    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    classes: tuple[str, ...]

    def until(self, frames: int) -> Drive:
        """Return the drive up to just after a number of frames."""
        end = int(self.frame_us[frames - 1]) + 5_000
        events = self.events.between(self.events.t0_us, min(end, self.events.t1_us))
        kept = slice(0, frames)
        return Drive(
            events, self.frame_us[kept], self.frames[kept], self.labels[kept], self.classes
        )

    def merged(self, table: dict[str, int]) -> NDArray[np.uint8]:
        """Return the labels in other classes."""
        lookup = np.full(256, 255, np.uint8)
        lookup[: len(self.classes)] = [table[name] for name in self.classes]
        return lookup[self.labels]


def simulated(path: Path, *, sensor: SensorSize, duration_us: int, seed: int) -> Drive:
    """Simulate a drive and return what it holds."""
    simulate_street(
        path, duration_us=duration_us, seed=seed, sensor=sensor, threads=1, version=1,
        step_us=10_000,
    )  # fmt: skip
    with open_recording(path) as recording, Truth(truth_path(path)) as truth:
        count = len(recording.frames)
        return Drive(
            recording.events(),
            recording.frames.t_us.copy(),
            np.stack([recording.frames.image(i) for i in range(count)]),
            np.stack([truth.label(i) for i in range(count)]),
            truth.classes,
        )


def doubled(drive: Drive) -> Drive:
    """Return a drive of twice the size: events spread over the four pixels that one becomes."""
    events, k = drive.events, np.arange(len(drive.events))
    x, y = 2 * events.x + (k % 2).astype(np.uint16), 2 * events.y + (k // 2 % 2).astype(np.uint16)
    size = SensorSize(2 * events.sensor.height, 2 * events.sensor.width)
    larger = EventStream(events.t, x, y, events.p, size, events.t0_us, events.t1_us)
    frames, labels = (m.repeat(2, 1).repeat(2, 2) for m in (drive.frames, drive.labels))
    return Drive(larger, drive.frame_us, frames, labels, drive.classes)


# DDD17 in the ESS repack


def write_ess_directory(folder: Path, drive: Drive, *, masks: list[int] | None = None) -> None:
    """Write one directory; `masks` are frame numbers from 1, by default all."""
    (folder / "index").mkdir(parents=True)
    (folder / "imgs").mkdir()
    (folder / "segmentation_masks").mkdir()
    events = drive.events
    t_ns = events.t * 1_000 + NS_ORIGIN
    t_ns.astype("<i8").tofile(folder / "events.dat.t")
    np.stack([events.x, events.y, events.p], axis=1).astype("<i2").tofile(folder / "events.dat.xyp")
    frame_ns = drive.frame_us * 1_000 + NS_ORIGIN
    for window_ms in (10, 50, 250):
        begin_ns = frame_ns - window_ms * 1_000_000
        end = np.array([int((t_ns < at).sum()) for at in frame_ns])
        start = np.array([int((t_ns < at).sum()) for at in begin_ns])
        start[begin_ns < t_ns[0]] = -17  # near the beginning it may be negative
        rows = np.stack([frame_ns, end, start], axis=1)
        np.save(folder / "index" / f"index_{window_ms}ms.npy", rows)
    long_names = folder.name not in ("dir0", "dir1")
    six = drive.merged(SIX)
    for j in range(len(drive.frame_us)):
        number = j + 1
        name = f"{number:010d}.png" if long_names else f"img_{number:08d}.png"
        Image.fromarray(drive.frames[j]).save(folder / "imgs" / name)
        if masks is None or number in masks:
            mask = Image.fromarray(six[j, :200])
            # Both kinds occur: one gray channel, or three equal ones.
            mask = mask.convert("RGB") if number % 2 else mask
            mask.save(folder / "segmentation_masks" / f"segmentation_{number:08d}.png")


def write_ess_tree(root: Path, train: Drive, test: Drive) -> dict[str, Drive]:
    """Write all seven directories: dir0 is the training drive, others begin as it does."""
    drives = {name: train.until(3) for name in ESS_TRAIN}
    drives |= {"dir0": train, ESS_TEST: test, ESS_ONE: test.until(3)}
    for name, drive in drives.items():
        write_ess_directory(root / name, drive, masks=[3] if name == ESS_ONE else None)
    return drives


# DSEC-Semantic


def rectify_map() -> NDArray[np.float32]:
    """Return where each raw pixel lies in the rectified view, (480, 640, 2): x, y."""
    y, x = np.mgrid[0 : DSEC.height, 0 : DSEC.width].astype(np.float64)
    x_rect = x + 2.3 + 0.012 * (y - 240) + 0.004 * (x - 320)
    y_rect = y - 1.6 + 0.009 * (x - 320)
    return np.stack([x_rect, y_rect], axis=-1).astype(np.float32)


@cache
def raw_pixels() -> NDArray[np.int64]:
    """Return a raw pixel (row x 640 + column) that lies nearest each rectified one, -1 for none."""
    source = np.full(DSEC.height * DSEC.width, -1, np.int64)
    column, row = np.floor(rectify_map().reshape(-1, 2).astype(float) + 0.5).astype(int).T
    on = np.flatnonzero((column >= 0) & (column < DSEC.width) & (row >= 0) & (row < DSEC.height))
    source[row[on] * DSEC.width + column[on]] = on
    return source


CALIBRATION = """\
intrinsics:
  camRect0: {{camera_matrix: [555.0, 555.0, 320.0, 240.0], resolution: [640, 480]}}
  camRect1: {{camera_matrix: [1160.0, 1160.0, 718.0, 541.0], resolution: [1440, 1080]}}
extrinsics:
  R_rect0: {r0}
  R_rect1: {r1}
  T_10: {t10}
"""


def rotation(axis: int, angle: float) -> NDArray[np.float64]:
    """Return a rotation about one axis."""
    c, s = np.cos(angle), np.sin(angle)
    found = np.eye(3)
    a, b = [k for k in range(3) if k != axis]
    found[a, a] = found[b, b] = c
    found[a, b], found[b, a] = -s, s
    return found


def calibration() -> tuple[str, NDArray[np.float64]]:
    """Return the text of ``cam_to_cam.yaml``, and the map from event pixels to the frame's."""
    r0, r1 = rotation(0, 0.004), rotation(1, -0.006)
    t10 = np.eye(4)
    t10[:3, :3], t10[:3, 3] = rotation(2, 0.003), (0.05, 0.0, 0.0)
    k0 = np.array([[555.0, 0, 320], [0, 555, 240], [0, 0, 1]])
    k1 = np.array([[1160.0, 0, 718], [0, 1160, 541], [0, 0, 1]])
    text = CALIBRATION.format(r0=r0.tolist(), r1=r1.tolist(), t10=t10.tolist())
    return text, k1 @ (r1 @ t10[:3, :3] @ r0.T) @ np.linalg.inv(k0)


def rgb_frame(gray: NDArray[np.uint8], to_frame: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the colour frame, 1440x1080, that a gray one of the event view is seen in."""
    v, u = np.mgrid[0:1080, 0:1440].astype(np.float64)
    x, y, w = np.tensordot(np.linalg.inv(to_frame), np.stack([u, v, np.ones_like(u)]), axes=1)
    seen = map_coordinates(gray.astype(float), [y / w, x / w], order=1, mode="nearest")
    return np.stack([seen, seen * 0.5, 255 - seen], axis=-1).round().astype(np.uint8)


def write_dsec_events(folder: Path, events: EventStream, **compression: object) -> EventStream:
    """Write ``events.h5`` and ``rectify_map.h5``; return the events as rectified ones.

    `compression` are options of h5py. A few events more lie on raw pixels that leave the view;
    none of them comes back.
    """
    places = rectify_map()
    raw = raw_pixels()[events.y.astype(np.int64) * DSEC.width + events.x]
    kept = raw >= 0
    y, x = np.divmod(raw[kept], DSEC.width)
    t, p = events.t[kept], events.p[kept]
    outside = np.argwhere((places[..., 0] > DSEC.width + 1) | (places[..., 1] < -1))[:50]
    at = np.linspace(t[0], t[-1], len(outside)).astype(np.int64)
    order = np.argsort(np.r_[t, at], kind="stable")
    columns = {
        "t": np.r_[t, at][order],
        "x": np.r_[x, outside[:, 1]][order],
        "y": np.r_[y, outside[:, 0]][order],
        "p": np.r_[p, np.ones(len(outside), np.int64)][order],
    }
    since = columns["t"] - DSEC_OFFSET_US
    assert len(outside)
    assert since[0] >= 0
    milliseconds = np.arange(since[-1] // 1_000 + 1) * 1_000
    with h5py.File(folder / "events.h5", "w") as file:
        file["t_offset"] = np.int64(DSEC_OFFSET_US)
        file["ms_to_idx"] = np.searchsorted(since, milliseconds).astype(np.uint64)
        kinds = {"x": "u2", "y": "u2", "p": "u1"}
        file.create_dataset("events/t", data=since.astype(np.uint32), chunks=(4096,), **compression)
        for name, kind in kinds.items():
            values = columns[name].astype(kind)
            file.create_dataset(f"events/{name}", data=values, chunks=(4096,), **compression)
    with h5py.File(folder / "rectify_map.h5", "w") as file:
        file.create_dataset("rectify_map", data=places, chunks=(120, 160, 2), compression="gzip")
    return EventStream(t, events.x[kept], events.y[kept], p, DSEC, int(t[0]), int(t[-1]) + 1)


def write_dsec_sequence(
    root: Path, name: str, split: str, drive: Drive, *, frames: bool = False
) -> EventStream:
    """Write one sequence as the archives unpack; return its events as rectified ones."""
    events_folder, images = root / name / "events/left", root / name / "images/left/rectified"
    masks = root / split / name
    for folder in (events_folder, images, masks / "11classes", masks / "19classes"):
        folder.mkdir(parents=True)
    shifted = EventStream(
        drive.events.t - drive.events.t0_us + DSEC_OFFSET_US + 700, drive.events.x, drive.events.y,
        drive.events.p, DSEC, DSEC_OFFSET_US, DSEC_OFFSET_US,
    )  # fmt: skip
    stamps = drive.frame_us - drive.events.t0_us + DSEC_OFFSET_US + 700
    events = write_dsec_events(events_folder, shifted)
    text = "".join(f"{stamp}\n" for stamp in stamps.tolist())
    (masks / f"{name}_semantic_timestamps.txt").write_text(text)
    (root / name / "images/timestamps.txt").write_text(text)
    for kind, labels in (("11classes", drive.merged(ELEVEN)), ("19classes", drive.labels)):
        for i, mask in enumerate(labels[:, :440]):
            Image.fromarray(mask).save(masks / kind / f"{i:06d}.png")
    if not frames:
        shutil.rmtree(root / name / "images")
        return events
    yaml, to_frame = calibration()
    (root / name / "calibration").mkdir()
    (root / name / "calibration/cam_to_cam.yaml").write_text(yaml)
    for i, gray in enumerate(drive.frames):
        picture = Image.fromarray(rgb_frame(gray, to_frame))
        picture.save(images / f"{i:06d}.png", compress_level=1)
    return events


def write_dsec_tree(root: Path, train: Drive, test: Drive) -> dict[str, tuple[Drive, EventStream]]:
    """Write all eleven sequences: two long ones, and short beginnings; the test one has frames."""
    short = train.until(2)
    drives = dict.fromkeys(DSEC_TRAIN, ("train", short))
    drives |= dict.fromkeys(DSEC_TEST, ("test", short))
    drives |= {DSEC_TRAIN[0]: ("train", train), DSEC_TEST[0]: ("test", test)}
    return {
        name: (drive, write_dsec_sequence(root, name, split, drive, frames=drive is test))
        for name, (split, drive) in drives.items()
    }
