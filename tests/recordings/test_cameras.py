"""Files of several cameras: the one that is read by default, the others by name and number."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings.aedat4_files import events_content, frame_content, stream_xml, write_aedat4
from recordings.rosbag_files import (
    IMAGE,
    IMU,
    PACKET,
    image_message,
    imu_message,
    messages,
    rows,
    some_events,
    write_topics,
    write_topics1,
)

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.cameras import Camera, choose_camera

SENSOR = SensorSize(24, 40)
LEFT, RIGHT = some_events(SENSOR, 300), some_events(SENSOR, 200, seed=1)
PICTURE = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40)


def as_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for side, events in (("left", LEFT), ("right", RIGHT)):
            table = [events.x, events.y, events.t / 1e6, events.p * 2.0 - 1]
            file[f"davis/{side}/events"] = np.stack(table, axis=1)
            file[f"davis/{side}/image_raw"] = PICTURE[None] ^ np.uint8(side == "right")
            file[f"davis/{side}/image_raw_ts"] = [0.02]


def as_m3ed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for side, events in (("left", LEFT), ("right", RIGHT)):
            for name in "txyp":
                file[f"prophesee/{side}/{name}"] = getattr(events, name)


def as_aedat4(path: Path) -> None:
    listed = [(0, "EVTS", SENSOR, "left"), (1, "EVTS", SENSOR, "right")]
    listed += [(2, "FRME", SENSOR, "right"), (3, "FRME", SENSOR, "left")]
    packets = [
        (number, events_content(events.t, events.x, events.y, events.p))
        for number, events in enumerate((LEFT, RIGHT))
    ]
    for number, flip in ((3, 0), (2, 1)):
        stamps = (20_000, 20_000, 20_000, 20_000, 20_000)
        packets.append((number, frame_content(PICTURE ^ np.uint8(flip), t=stamps)))
    write_aedat4(path, packets, xml=stream_xml(listed))


def as_bag(path: Path) -> None:
    topics = {}
    for side, events in (("left", LEFT), ("right", RIGHT)):
        topics[f"/davis/{side}/events"] = PACKET, messages(events, "mono", ros1=False)
        pictures = [image_message(PICTURE ^ np.uint8(side == "right"), 20_000)]
        topics[f"/davis/{side}/image_raw"] = IMAGE, pictures
    write_topics(path, topics)


@pytest.mark.parametrize(
    ("write", "suffix", "keys", "frames"),
    [
        (as_hdf5, ".h5", ("left", "right"), 1),
        (as_m3ed, ".h5", ("left", "right"), 0),
        (as_aedat4, ".aedat4", ("left", "right"), 1),
        (as_bag, ".db3", ("/davis/left/events", "/davis/right/events"), 1),
    ],
)
def test_camera_by_name_and_number(tmp_path: Path, write, suffix: str, keys, frames: int) -> None:
    path = tmp_path / f"rec{suffix}"
    write(path)
    cases = [(None, LEFT), (1, LEFT), ("2", RIGHT), (keys[0], LEFT), (keys[1].upper(), RIGHT)]
    for asked, events in cases:
        with open_recording(path, sensor=SENSOR, camera=asked) as recording:
            assert rows(recording.events()) == rows(events), asked
            assert len(recording.frames) == frames
            for i in range(frames):
                found = recording.frames.image(i)
                np.testing.assert_array_equal(found ^ np.uint8(events is RIGHT), PICTURE)
            notes = "\n".join(recording.report.notes)
            listed = f"cameras of the file: 1 {keys[0]}, 2 {keys[1]}; read is {keys[0]}, --camera"
            assert (listed in notes) == (asked is None)
    with pytest.raises(RecordingError, match=f"no single camera 'up'; the file has 1 {keys[0]}"):
        open_recording(path, camera="up")


def test_formats_of_one_camera_refuse_the_choice(tmp_path: Path) -> None:
    np.savez(tmp_path / "rec.npz", **{name: getattr(LEFT, name) for name in "txyp"})
    with open_recording(tmp_path / "rec.npz", camera=1) as recording:
        assert recording.n_events == 300
    with pytest.raises(RecordingError, match="no single camera 'left'; the file has 1 events"):
        open_recording(tmp_path / "rec.npz", camera="left")
    (tmp_path / "rec.raw").write_bytes(b"% evt 3.0\n" + bytes(64))
    with pytest.raises(RecordingError, match="leave --camera out"):
        open_recording(tmp_path / "rec.raw", camera="left")


def test_a_name_counts_before_a_number(tmp_path: Path) -> None:
    cameras = [Camera("2", "DAVIS"), Camera("1", "DVS"), Camera("3", "DVS")]
    assert choose_camera(cameras, "1", path=tmp_path)[0] == 1
    assert choose_camera(cameras, "davis", path=tmp_path)[0] == 0
    with pytest.raises(RecordingError, match="no single camera"):
        choose_camera(cameras, "dvs", path=tmp_path)


COLOURS = {
    "mono8": PICTURE,
    "8UC1": PICTURE,
    "mono16": PICTURE.astype(np.uint16) << 8,
    "rgb8": np.stack([PICTURE] * 3, axis=2),
    "bgra8": np.stack([PICTURE] * 4, axis=2),
    "bayer_rggb8": np.full_like(PICTURE, 77),
}


@pytest.mark.parametrize("encoding", COLOURS)
@pytest.mark.parametrize("ros1", [False, True])
def test_pictures_of_bags_in_each_encoding(tmp_path: Path, encoding: str, ros1: bool) -> None:
    write = write_topics1 if ros1 else write_topics
    path = tmp_path / ("rec.bag" if ros1 else "rec.db3")
    pictures = [
        image_message(COLOURS[encoding], t, encoding=encoding, ros1=ros1) for t in (9_000, 8_000)
    ]
    pictures += [image_message(PICTURE, 9_500, encoding="yuv422", ros1=ros1), pictures[0][:50]]
    events = PACKET, messages(LEFT, "mono", ros1=ros1)
    drawn = IMAGE, [image_message(PICTURE, 8_500, ros1=ros1)]
    topics = {"/dvs/events": events, "/dvs/image_raw": (IMAGE, pictures)}
    write(path, {**topics, "/dvs_rendering": drawn, "/dvs/dvs_rendering": drawn})
    with open_recording(path) as recording:
        assert recording.frames.t_us.tolist() == [8_000, 9_000]
        expected = COLOURS["bayer_rggb8"] if encoding.startswith("bayer") else PICTURE
        np.testing.assert_array_equal(recording.frames.image(0), expected)
        reasons = recording.report.skipped["frames"]
        assert sum(reasons.values()) == 2
        assert any("'yuv422' of pictures is not read" in reason for reason in reasons)
        assert any("/dvs_rendering" in note for note in recording.report.notes)


def test_luma_of_colours(tmp_path: Path) -> None:
    for encoding, expected in (("rgb8", 60), ("bgr8", 23)):  # 0.299 and 0.114 of 200
        red = np.zeros((24, 40, 3), np.uint8)
        red[..., 0] = 200
        topics = {
            "/dvs/events": (PACKET, messages(LEFT, "mono", ros1=False)),
            "/dvs/image_raw": (IMAGE, [image_message(red, 9_000, encoding=encoding)]),
        }
        (tmp_path / "rec.db3").unlink(missing_ok=True)
        write_topics(tmp_path / "rec.db3", topics)
        with open_recording(tmp_path / "rec.db3") as recording:
            assert np.unique(recording.frames.image(0)).tolist() == [expected]


def test_samples_of_bags_and_mvsec(tmp_path: Path) -> None:
    acceleration, rotation = (9.80665, -4.903325, 0), (np.pi, 0, -np.pi / 180)
    topics = {
        "/dvs/events": (PACKET, messages(LEFT, "mono", ros1=False)),
        "/dvs/imu": (
            IMU,
            [imu_message(9_000, acceleration, rotation), imu_message(8_000, (0, 0, 0), (0, 0, 0))],
        ),
        "/other/imu": (IMU, [imu_message(9_000, (0, 0, 0), (0, 0, 0))]),
    }
    write_topics(tmp_path / "rec.db3", topics)
    with h5py.File(tmp_path / "rec.h5", "w") as file:
        table = [LEFT.x, LEFT.y, LEFT.t / 1e6, LEFT.p * 2.0 - 1]
        file["davis/left/events"] = np.stack(table, axis=1)
        file["davis/left/imu"] = [[*acceleration, *rotation], [0.0] * 6]
        file["davis/left/imu_ts"] = [0.009, 0.008]
    for name in ("rec.db3", "rec.h5"):
        with open_recording(tmp_path / name, sensor=SENSOR) as recording:
            samples = recording.imu()
            assert samples["t"].tolist() == [8_000, 9_000]
            found = [float(samples[1][axis]) for axis in ("ax", "ay", "az", "gx", "gy", "gz")]
            np.testing.assert_allclose(found, [1, -0.5, 0, 180, 0, -1], rtol=1e-6)
            assert np.isnan(samples["temperature"]).all()
            assert len(recording.imu(8_500, 9_500)) == 1


@pytest.mark.parametrize("width", [2**15 + 1, 2**63 - 1])
def test_pictures_wider_than_any_sensor_are_left_out(tmp_path: Path, width: int) -> None:
    """A finding of benchmarks/fuzz.py: sizes of up to 64 bits."""
    with h5py.File(tmp_path / "rec.h5", "w") as file:
        table = [LEFT.x, LEFT.y, LEFT.t / 1e6, LEFT.p * 2.0 - 1]
        file["davis/left/events"] = np.stack(table, axis=1)
        file.create_dataset("davis/left/image_raw", (1, 1, width), "u1", chunks=(1, 1, 8))
        file["davis/left/image_raw_ts"] = [0.02]
    with open_recording(tmp_path / "rec.h5", sensor=SENSOR) as recording:
        assert len(recording.events()) == len(LEFT)
        assert len(recording.frames) == 0
        assert any("are no gray or RGB pictures" in note for note in recording.report.notes)


def test_pictures_of_another_clock_are_brought_to_that_of_the_events(tmp_path: Path) -> None:
    """Events count from the camera's start, pictures and headers from 1970."""
    host_us = 1_600_000_000_000_000
    events = []
    for k, first in enumerate(range(0, 300, 100)):
        part = EventStream.from_arrays(
            *(getattr(LEFT, name)[first : first + 100] for name in "txyp"), sensor=SENSOR
        )
        (content,) = messages(part, "mono", ros1=False)
        # The stamp of the header: the host's time of its first event, and a delay.
        seconds, us = divmod(host_us + int(part.t[0]) + 50 + 20 * k, 10**6)
        stamp = seconds.to_bytes(4, "little") + (us * 1_000).to_bytes(4, "little")
        events.append(content[:4] + stamp + content[12:])
    topics = {
        "/dvs/events": (PACKET, events),
        "/dvs/image_raw": (IMAGE, [image_message(PICTURE, host_us + 50 + 12_345)]),
    }
    write_topics(tmp_path / "rec.db3", topics)
    with open_recording(tmp_path / "rec.db3") as recording:
        assert recording.frames.t_us.tolist() == [12_345]
        assert any("ahead of that of the events" in note for note in recording.report.notes)


def test_frames_and_triggers_of_other_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "ddd20.h5", "w") as file:
        file["event"] = np.stack([getattr(LEFT, name) for name in "txyp"], axis=1).astype("u4")
        file["frame"] = np.stack([PICTURE, PICTURE ^ 1, PICTURE])
        file["frame_ts"] = np.array([[0.01], [0.02], [np.nan]], np.float32)
    with open_recording(tmp_path / "ddd20.h5") as recording:
        assert recording.sensor == SENSOR
        assert recording.frames.t_us.tolist() == [10_000, 20_000]
        np.testing.assert_array_equal(recording.frames.image(1), PICTURE ^ 1)
        assert any("1 pictures of frame have no time" in note for note in recording.report.notes)
    with h5py.File(tmp_path / "triggers.h5", "w") as file:
        fields = [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]
        table = np.zeros(300, fields)
        for name in "txyp":
            table[name] = getattr(LEFT, name)
        file["CD/events"] = table
        file["EXT_TRIGGER/events"] = np.array(
            [(1, 6_000, 3), (0, 5_500, 3)], [("p", "<i2"), ("t", "<i8"), ("id", "<i2")]
        )
    with open_recording(tmp_path / "triggers.h5", sensor=SENSOR) as recording:
        assert recording.specials.tolist() == [(5_500, 3, 3), (6_000, 2, 3)]


def test_pictures_that_do_not_fit_are_told(tmp_path: Path) -> None:
    for pictures, times, words in (
        (np.zeros((2, 3), np.uint8), [0.1, 0.2], "are no gray or RGB pictures"),
        (np.zeros((2, 3, 3), np.float32), [0.1, 0.2], "are no gray or RGB pictures"),
        (np.zeros((2, 24, 40), np.uint8), [0.1], "2 pictures have times (1,)"),
    ):
        with h5py.File(tmp_path / "rec.h5", "w") as file:
            file["event"] = np.stack([getattr(LEFT, name) for name in "txyp"], axis=1)
            file["frame"], file["frame_ts"] = pictures, np.array(times)
        with open_recording(tmp_path / "rec.h5", sensor=SENSOR) as recording:
            assert len(recording.frames) == 0
            assert any(words in note for note in recording.report.notes), words
