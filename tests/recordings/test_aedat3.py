"""AEDAT 3.1: files written from the description, several cameras, restarts and damage."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ddd17_files import header, imu, reset, special, wrap
from recordings.aedat3_files import event_rows, frame_row, header3, write_aedat3

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import Recording, open_recording

SENSOR = SensorSize(24, 40)


def some_events(n: int = 300, *, first_us: int = 5_000, step_us: int = 100) -> EventStream:
    rng = np.random.default_rng(n)
    t = first_us + np.sort(rng.integers(0, step_us * n, n))
    x, y = rng.integers(0, SENSOR.width, n), rng.integers(0, SENSOR.height, n)
    return EventStream.from_arrays(t, x, y, rng.integers(0, 2, n), sensor=SENSOR)


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def counts_add_up(recording: Recording) -> None:
    report = recording.report
    for kind, found in report.found.items():
        assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found


def test_frames_samples_and_special_events(tmp_path: Path) -> None:
    events = some_events()
    image = np.arange(SENSOR.height * SENSOR.width, dtype=np.uint8).reshape(SENSOR)
    path = write_aedat3(
        tmp_path / "rec.aedat",
        [
            *event_rows(events, 100),
            imu([(6_000, 0.5), (7_000, 1.5)]),
            special([(8_000, 2, 7), (9_000, 17, 0)]),
            frame_row(image, 20_000, sensor=SENSOR),
            (0, header(9, 16, 2), bytes(32)),
        ],
        begin=header3("a camera of 40x24"),
    )
    for again in range(2):  # the second time by the cached index
        with open_recording(path) as recording:
            assert rows(recording.events()) == rows(events), again
            assert recording.sensor == SENSOR  # by the full frame
            np.testing.assert_array_equal(recording.frames.image(0), image)
            assert recording.frames.t_us.tolist() == [20_000]
            assert recording.imu()["ax"].tolist() == [0.5, 1.5]
            assert recording.specials["type"].tolist() == [2, 17]
            assert recording.specials["data"].tolist() == [7, 0]
            assert recording.report.skipped["packets"] == {"unknown packet type": 1}
            counts_add_up(recording)


def test_size_follows_from_the_name_of_the_camera(tmp_path: Path) -> None:
    for name, size in (("DAVIS240C", (180, 240)), ("DVS128-02460038", (128, 128))):
        path = write_aedat3(tmp_path / "rec.aedat", event_rows(some_events()), begin=header3(name))
        with open_recording(path) as recording:
            assert recording.sensor == size
            assert any("from the header" in note for note in recording.report.notes)


def test_one_of_two_cameras(tmp_path: Path) -> None:
    left, right = some_events(200), some_events(150)
    path = write_aedat3(tmp_path / "left.aedat", event_rows(left), source=1)
    content = write_aedat3(tmp_path / "b.aedat", event_rows(right), begin=b"", source=2)
    begin = header3("DAVIS240C", "DVS128")
    path.write_bytes(begin + path.read_bytes()[len(header3()) :] + content.read_bytes())
    with open_recording(path) as recording:
        assert rows(recording.events()) == rows(left)
        assert recording.report.skipped["packets"] == {"of another camera, source 2": 1}
        assert any("1 1 (DAVIS240C), 2 2 (DVS128)" in note for note in recording.report.notes)
    for asked in ("2", 2, "dvs128"):
        with open_recording(path, camera=asked) as recording:
            assert rows(recording.events()) == rows(right)
            assert recording.sensor == (128, 128)
    with pytest.raises(RecordingError, match=r"no single camera 'DVS240'; the file has 1 1 \(DAV"):
        open_recording(path, camera="DVS240")


def test_times_go_on_across_wraps_and_restarts(tmp_path: Path) -> None:
    events = some_events(first_us=2**31 - 10_000)
    path = write_aedat3(tmp_path / "rec.aedat", [*event_rows(events, 50), wrap(overflow=1)])
    with open_recording(path, sensor=SENSOR) as recording:
        assert rows(recording.events()) == rows(events)
    late, early = some_events(first_us=50_000_000), some_events(200, first_us=1_000)
    packets = [*event_rows(late, 50), reset(), *event_rows(early, 50)]
    with open_recording(write_aedat3(path, packets), sensor=SENSOR) as recording:
        assert recording.n_events == 500
        assert [epoch.reason for epoch in recording.epochs] == ["start", "reset"]
        found = recording.events()
        shift = int(found.t[300]) - int(early.t[0])
        assert rows(found)[300:] == [(t + shift, *rest) for t, *rest in rows(early)]


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (header3(version="3.0"), "AEDAT 3.0"),
        (header3(coding="SerializedTS"), "in the format SerializedTS; only RAW"),
        (header3(ended=False), "#!END-HEADER"),
        (b"#!AER-DAT1.0\r\n", "AEDAT 1.0 is not read"),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, begin: bytes, words: str) -> None:
    path = write_aedat3(tmp_path / "rec.aedat", event_rows(some_events()), begin=begin)
    with pytest.raises(RecordingError, match=words) as caught:
        open_recording(path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr("eventseg.recordings.ddd17.index.store_arrays", lambda *_a, **_o: None)


def outcome(path: Path) -> Counter[tuple[int, int, int, int]] | None:
    try:
        with open_recording(path, sensor=SENSOR) as recording:
            counts_add_up(recording)
            return Counter(rows(recording.events()))
    except RecordingError:
        return None


@pytest.mark.usefixtures("no_cache")
def test_file_cut_at_any_byte(tmp_path: Path) -> None:
    events = some_events(30)
    path = write_aedat3(tmp_path / "rec.aedat", event_rows(events, 10))
    content, expected = path.read_bytes(), rows(events)
    known = set()
    for stop in range(len(content)):
        path.write_bytes(content[:stop])
        found = outcome(path)
        if found is not None:
            assert found == Counter(expected[: found.total()])
            known.add(found.total())
    assert known == set(range(1, 30))


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("flips", [80, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_flipped_bit_changes_its_packet_only(tmp_path: Path, flips: int) -> None:
    events = some_events(400)
    per_packet = 25
    path = write_aedat3(tmp_path / "rec.aedat", event_rows(events, per_packet))
    content, expected = path.read_bytes(), rows(events)
    begin, step = len(header3()), 28 + 8 * per_packet
    assert len(content) == begin + 16 * step
    refused = 0
    for bit in np.random.default_rng(3).choice(8 * (len(content) - begin), flips, replace=False):
        damaged = bytearray(content)
        damaged[begin + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        found = outcome(path)
        if found is None:
            refused += 1
            continue
        hit = int(bit) // 8 // step
        others = Counter(expected[: hit * per_packet] + expected[(hit + 1) * per_packet :])
        assert others <= found, bit
        assert (found - others).total() <= per_packet, bit
    assert refused == 0


def test_what_lies_between_packets_is_stepped_over(tmp_path: Path) -> None:
    events = some_events(400)
    packets = event_rows(events, 40)
    whole = write_aedat3(tmp_path / "rec.aedat", packets).read_bytes()
    cut = len(header3()) + 5 * (28 + 8 * 40)
    rubbish = np.random.default_rng(0).integers(0, 256, 3_000).astype(np.uint8).tobytes()
    (tmp_path / "rec.aedat").write_bytes(whole[:cut] + rubbish + whole[cut:])
    with open_recording(tmp_path / "rec.aedat", sensor=SENSOR) as recording:
        assert rows(recording.events()) == rows(events)
        (reason,) = recording.report.skipped["packets"]
        assert reason == f"damaged: 3,000 bytes at byte {cut:,}"
