"""Pictures and inertial samples of a ROS bag: ``sensor_msgs`` of the camera of the events.

A camera's topics share a folder: ``/davis/left/events``, ``/davis/left/image_raw`` and
``/davis/left/imu``. Pictures of another folder are those of another camera, whose pixels are not
those of the events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eventseg.errors import RecordingError
from eventseg.recordings.beside import NO_FRAMES, NO_IMU, at_one_time, imu_samples
from eventseg.recordings.pixels import StoredFrames, gray_values
from eventseg.recordings.report import Tally
from eventseg.recordings.rosbag.bags import Bag, Topic
from eventseg.recordings.rosbag.messages import Fields, MessageDamage, normal_type

IMAGE, IMU = "sensor_msgs/msg/Image", "sensor_msgs/msg/Imu"

PREFERRED = ("image_raw", "image_mono", "image", "image_color")
"""Last parts of the names of topics of pictures, the best first; others follow."""

NOT_PICTURES = ("rendering", "events", "depth", "rect")
"""Parts of names of pictures that are drawn from events, or not on the sensor's pixels."""

SAMPLES: dict[str, tuple[str, int]] = {
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "8UC3": ("u1", 3),
    "rgba8": ("u1", 4),
    "bgra8": ("u1", 4),
    "rgb16": ("u2", 3),
    "bgr16": ("u2", 3),
}
"""Type and number of the values of a pixel by its encoding; mosaics of colours are beside."""

MOSAIC = "bayer_"

MOSAIC_WEIGHTS = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
"""Weights about a pixel of a mosaic, of which red and blue get a quarter and green a half."""


class Picture(NamedTuple):
    """One message of a picture; `pixels` are gray values, uint16 (H, W), where they are asked."""

    stamp_ns: int
    height: int
    width: int
    pixels: NDArray[np.uint16]


def topics_beside(topics: Sequence[Topic], events: Topic, tally: Tally) -> dict[str, Topic]:
    """Return the topics of pictures and of samples of the camera of some events, by type."""
    folder = events.name.rpartition("/")[0]
    chosen: dict[str, Topic] = {}
    left: list[str] = []
    for kind in (IMAGE, IMU):
        found = [each for each in topics if normal_type(each.type) == kind]
        own = [each for each in found if each.name.rpartition("/")[0] == folder]
        if kind == IMAGE:
            own = [each for each in own if not any(part in _last(each) for part in NOT_PICTURES)]
            own.sort(key=lambda each: _rank(_last(each)))
        if own:
            chosen[kind] = own[0]
        left += [each.name for each in found if each not in own[:1]]
    if left:
        tally.notes.append(f"topics of other cameras, or drawn ones, not read: {', '.join(left)}")
    return chosen


def _last(topic: Topic) -> str:
    return topic.name.rpartition("/")[2].lower()


def _rank(name: str) -> tuple[int, str]:
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED)), name


def parse_picture(content: bytes, *, ros1: bool, load: bool = True) -> Picture:
    """Return a picture, without its pixels where they are not to `load`.

    Raises
    ------
    MessageDamage
        It ends too early, or its encoding is not read.
    """
    fields = Fields(content, ros1=ros1)
    stamp_ns = fields.header()
    height, width = fields.number("I"), fields.number("I")
    encoding = fields.text()
    big_endian, step = bool(fields.number("B")), fields.number("I")
    stored = fields.bytes()
    mosaic = encoding.startswith(MOSAIC)
    kind, channels = ("u1" if encoding.endswith("8") else "u2", 1) if mosaic else ("", 0)
    if not mosaic:
        if encoding not in SAMPLES:
            raise MessageDamage(f"the encoding {encoding[:40]!r} of pictures is not read")
        kind, channels = SAMPLES[encoding]
    dtype = np.dtype(f"{'>' if big_endian else '<'}{kind}")
    row_bytes = width * channels * dtype.itemsize
    if not height or not width or step < row_bytes or len(stored) < height * step:
        raise MessageDamage(f"{len(stored):,} bytes of a picture of {width}x{height} ({encoding})")
    if not load:
        return Picture(stamp_ns, height, width, np.empty((0, 0), np.uint16))
    rows = stored[: height * step].reshape(height, step)[:, :row_bytes]
    values = np.ascontiguousarray(rows).view(dtype).astype(dtype.newbyteorder("="), copy=False)
    if mosaic:
        smooth = ndimage.convolve(values.astype(np.float32), MOSAIC_WEIGHTS, mode="mirror")
        values = np.rint(smooth).astype(values.dtype)
    order: Literal["rgb", "bgr"] = "bgr" if encoding.startswith(("bgr", "8UC3")) else "rgb"
    pixels = gray_values(values.reshape(height, width, channels), order=order)
    return Picture(stamp_ns, height, width, pixels)


def read_frames(
    bag: Bag, topic: Topic, *, clock: Callable[[int], int], tally: Tally
) -> StoredFrames:
    """Read the messages of a topic once and return the frames; pixels load on demand.

    Parameters
    ----------
    bag : Bag
    topic : Topic
        Of pictures.
    clock : callable
        Function from a stamp in ns to the time of the events in us.
    tally : Tally
        Receives the counts.
    """
    places, stamps, rois = [], [], []
    for place, content in bag.messages(topic):
        tally.found["frames"] += 1
        try:
            picture = parse_picture(content, ros1=bag.ros1, load=False)
        except MessageDamage as damage:
            tally.skip("frames", f"damaged: {damage}")
            continue
        places.append(place)
        stamps.append(clock(picture.stamp_ns))
        rois.append((0, 0, picture.height, picture.width))
    if not places:
        return NO_FRAMES

    def read(i: int) -> NDArray[np.uint16]:
        try:
            return parse_picture(bag.read(topic, places[i]), ros1=bag.ros1).pixels
        except MessageDamage as damage:
            raise RecordingError(f"frame {i} cannot be read any more: {damage}") from damage

    return StoredFrames(at_one_time(stamps), np.array(rois, np.int64), read)


def read_imu(
    bag: Bag, topic: Topic, *, clock: Callable[[int], int], tally: Tally
) -> NDArray[np.void]:
    """Return the inertial samples of a topic; parameters as of :func:`read_frames`."""
    stamps, values = [], []
    for _place, content in bag.messages(topic):
        tally.found["imu"] += 1
        try:
            fields = Fields(content, ros1=bag.ros1)
            stamp_ns = fields.header()
            numbers = [fields.number_of("d") for _ in range(4 + 9 + 3 + 9 + 3)]
        except MessageDamage as damage:
            tally.skip("imu", f"damaged: {damage}")
            continue
        sample = numbers[25:28] + numbers[13:16]
        if not np.isfinite(sample).all():
            tally.skip("imu", "without finite values")
            continue
        stamps.append(clock(stamp_ns))
        values.append(sample)
    if not stamps:
        return NO_IMU
    table = np.array(values)
    return imu_samples(np.array(stamps, np.int64), table[:, :3], table[:, 3:])
