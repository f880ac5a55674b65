"""AEDAT 2: cameras, frames of both shutters, inertial samples, the clock and damage."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recordings.aedat2_files import (
    DVS128,
    Word,
    davis_events,
    dvs128_events,
    frame_words,
    header2,
    imu_words,
    packed,
    rows,
)

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(260, 346)
SMALL = SensorSize(6, 8)


def some_events(n: int = 300, *, sensor: SensorSize = SENSOR, first_us: int = 5_000) -> EventStream:
    rng = np.random.default_rng(n)
    t = first_us + np.sort(rng.integers(0, 100 * n, n))
    x, y = rng.integers(0, sensor.width, n), rng.integers(0, sensor.height, n)
    x[:2], y[:2] = (0, sensor.width - 1), (0, sensor.height - 1)
    return EventStream.from_arrays(t, x, y, rng.integers(0, 2, n), sensor=sensor)


def write(path: Path, words: list[Word], *, camera: str = "", ended: bool = True) -> Path:
    begin = header2(camera, ended=ended) if camera else header2("", ended=ended)
    path.write_bytes(begin + packed(words))
    return path


@pytest.mark.parametrize(
    ("camera", "sensor"),
    [
        ("eu.seebetter.ini.chips.davis.Davis346blue", (260, 346)),
        ("eu.seebetter.ini.chips.davis.DAVIS240C", (180, 240)),
        ("eu.seebetter.ini.chips.sbret10.SBret10", (180, 240)),
        ("eu.seebetter.ini.chips.davis.Davis640", (480, 640)),
        (DVS128, (128, 128)),
        ("ch.unizh.ini.jaer.chip.retina.Tmpdiff128", (128, 128)),
    ],
)
def test_cameras_by_their_class(tmp_path: Path, camera: str, sensor: tuple[int, int]) -> None:
    events = some_events(sensor=SensorSize(*sensor))
    words = dvs128_events(events) if sensor == (128, 128) else davis_events(events, events.sensor)
    with open_recording(write(tmp_path / "rec.aedat", words, camera=camera)) as recording:
        assert rows(recording.events()) == rows(events)
        assert recording.sensor == sensor


def test_camera_that_no_line_names(tmp_path: Path) -> None:
    for sensor in ((180, 240), (260, 346), (480, 640)):
        events = some_events(sensor=SensorSize(*sensor))
        path = write(tmp_path / "rec.aedat", davis_events(events, events.sensor))
        with open_recording(path) as recording:
            assert rows(recording.events()) == rows(events)
            assert any("names no camera" in note for note in recording.report.notes)
    events = some_events(sensor=SensorSize(128, 128))
    with open_recording(write(tmp_path / "rec.aedat", dvs128_events(events))) as recording:
        assert rows(recording.events()) == rows(events)
    path = write(tmp_path / "rec.aedat", davis_events(events, events.sensor), camera="a.Cochlea")
    with pytest.raises(
        RecordingError, match=r"Cochlea is none of DVS128, DAVIS128.*give its sensor"
    ):
        open_recording(path)
    with open_recording(path, sensor=SensorSize(128, 128)) as recording:
        assert rows(recording.events()) == rows(events)


@pytest.mark.parametrize("ended", [True, False])
def test_first_event_may_look_like_a_line(tmp_path: Path, ended: bool) -> None:
    # The first byte of rows 140 to 143 is "#".
    t, y = [0x41424344, 0x41424345], [SENSOR.height - 1 - 141] * 2
    events = EventStream.from_arrays(t, [5, 6], y, [1, 0], sensor=SENSOR)
    words = davis_events(events, SENSOR)
    assert packed(words)[:1] == b"#"
    path = write(tmp_path / "rec.aedat", words, camera="Davis346", ended=ended)
    with open_recording(path) as recording:
        assert rows(recording.events()) == rows(events)


@pytest.mark.parametrize("rolling", [False, True])
def test_frames_are_assembled_from_readings(tmp_path: Path, rolling: bool) -> None:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 900, (3, *SMALL))
    events = some_events(40, sensor=SMALL, first_us=10)
    words = davis_events(events, SMALL)
    for k, image in enumerate(images):
        exposure_us = 3 if rolling else 500
        words += frame_words(
            image, start_us=1_000 * (k + 1), exposure_us=exposure_us, rolling=rolling
        )
    words = [word for _, word in sorted(enumerate(words), key=lambda each: (each[1][0], each[0]))]
    with open_recording(write(tmp_path / "rec.aedat", words), sensor=SMALL) as recording:
        assert rows(recording.events()) == rows(events)
        frames = recording.frames
        for i, image in enumerate(images):
            np.testing.assert_array_equal(frames.raw(i), image << 6)
        assert frames.t_start_us.tolist() == [1_000, 2_000, 3_000]
        begin = 0 if rolling else 7
        assert (frames.exposure_start_us - frames.t_start_us).tolist() == [begin] * 3
        assert (frames.t_us - frames.t_start_us).tolist() == [3 if rolling else 507] * 3
        assert (frames.t_end_us - frames.t_us).tolist() == [7] * 3
    # A sensor of which all pixels are read needs no name.
    with open_recording(tmp_path / "rec.aedat") as recording:
        assert recording.sensor == SMALL


def test_a_frame_that_lacks_a_reading_is_left_out(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 900, (4, *SMALL))
    parts = [
        frame_words(image, start_us=1_000 * k, exposure_us=500) for k, image in enumerate(images, 1)
    ]
    begin = davis_events(some_events(40, sensor=SMALL, first_us=10), SMALL)
    for damage in ("lost", "other pixel", "begun before"):
        broken = list(parts[1])
        if damage == "lost":
            del broken[60]
        elif damage == "other pixel":
            broken[10] = (broken[10][0], broken[10][1] ^ 1 << 12)
        else:
            broken = broken[30:]
        words = begin + parts[0] + broken + parts[2] + parts[3]
        with open_recording(write(tmp_path / "rec.aedat", words), sensor=SMALL) as recording:
            kept = [images[0], images[2], images[3]]
            assert len(recording.frames) == 3, damage
            for i, image in enumerate(kept):
                np.testing.assert_array_equal(recording.frames.raw(i), image << 6)
            reasons = recording.report.skipped["frames"]
            assert set(reasons) == {"without both readings of each pixel"}


def test_inertial_samples_and_external_events(tmp_path: Path) -> None:
    events = some_events(50)
    words = davis_events(events, SENSOR)
    words[10:10] = imu_words(words[10][0], [8192, -4096, 1, 340, 655, -655, 0])
    words[30:30] = imu_words(words[30][0], [1, 2, 3, 4, 5, 6, 7])[:6]  # cut short
    words.insert(45, (words[45][0], 1 << 10))
    with open_recording(write(tmp_path / "rec.aedat", words, camera="Davis346")) as recording:
        assert rows(recording.events()) == rows(events)
        (sample,) = recording.imu()
        names = ("t", "ax", "ay", "az", "temperature", "gx", "gy", "gz")
        found = [float(sample[name]) for name in names]
        expected = [words[10][0], -1, -0.5, 1 / 8192, 36, -10, -10, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert recording.specials["t"].tolist() == [words[45][0]]
        assert any("6 words of inertial samples" in note for note in recording.report.notes)


def test_clock_wraps_restarts_and_pauses(tmp_path: Path) -> None:
    events = some_events(first_us=2**32 - 10_000)
    words = davis_events(events, SENSOR)
    with open_recording(write(tmp_path / "rec.aedat", words, camera="Davis346")) as recording:
        assert rows(recording.events()) == rows(events)
        assert "1 wraps of the clock undone" in recording.report.notes
    late, early = some_events(first_us=50_000_000), some_events(200, first_us=1_000)
    words = davis_events(late, SENSOR) + davis_events(early, SENSOR)
    with open_recording(write(tmp_path / "rec.aedat", words, camera="Davis346")) as recording:
        shift = int(late.t[-1]) + 1 - int(early.t[0])
        assert rows(recording.events()) == [
            *rows(late), *((t + shift, *rest) for t, *rest in rows(early))
        ]  # fmt: skip
        assert [(each.first_row, each.offset_us) for each in recording.epochs] == [
            (0, 0), (300, shift)
        ]  # fmt: skip
    back = [(t - 40 * (k == 100), address) for k, (t, address) in enumerate(words[:300])]
    with open_recording(write(tmp_path / "rec.aedat", back, camera="Davis346")) as recording:
        assert len(recording.epochs) == 1
        assert recording.n_events == 300


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr("eventseg.recordings.aedat.index2.store_arrays", lambda *_a, **_o: None)


def outcome(path: Path) -> Counter[tuple[int, int, int, int]] | None:
    try:
        with open_recording(path) as recording:
            report = recording.report
            for kind, found in report.found.items():
                assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
            for i in range(len(recording.frames)):
                recording.frames.raw(i)
            return Counter(rows(recording.events()))
    except RecordingError:
        return None


@pytest.mark.usefixtures("no_cache")
def test_file_cut_at_any_byte(tmp_path: Path) -> None:
    events = some_events(25)
    path = write(tmp_path / "rec.aedat", davis_events(events, SENSOR), camera="Davis346")
    content = path.read_bytes()
    counts = set()
    for stop in range(len(content)):
        path.write_bytes(content[:stop])
        found = outcome(path)
        if found is not None and stop >= len(header2("Davis346")):
            assert found == Counter(rows(events)[: found.total()])
            counts.add(found.total())
    assert counts == set(range(1, 25))


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("flips", [80, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_flipped_bit_changes_its_word_only(tmp_path: Path, flips: int) -> None:
    events = some_events(400)
    words = davis_events(events, SENSOR)
    path = write(tmp_path / "rec.aedat", words, camera="Davis346")
    content, begin = path.read_bytes(), len(header2("Davis346"))
    expected = rows(events)
    for bit in np.random.default_rng(4).choice(8 * 8 * 400, flips, replace=False).tolist():
        damaged = bytearray(content)
        damaged[begin + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        found = outcome(path)
        assert found is not None
        hit = bit // 64
        others = Counter(expected[:hit] + expected[hit + 1 :])
        assert others <= found, bit
        assert (found - others).total() <= 1, bit


def test_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "rec.aedat", davis_events(some_events(), SENSOR), camera="Davis346")
    with open_recording(path) as recording:
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(RecordingError, match="cannot be read any more"):
            recording.events()
    path.write_bytes(header2() + struct.pack(">I", 5))
    with pytest.raises(RecordingError, match="no event and no frame"):
        open_recording(path)
