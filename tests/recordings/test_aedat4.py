"""AEDAT 4: files written from the format's description, damage, and the real recording."""

from __future__ import annotations

import pickle
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings.aedat4_files import (
    buffer,
    events_content,
    frame_content,
    imu_content,
    stream_xml,
    trigger_content,
    write_aedat4,
)

from eventseg.encoding import encode
from eventseg.errors import EventsegError, RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording

CAMERA = (8, 16)
KINDS = [("EVTS", CAMERA), ("FRME", CAMERA), ("IMUS", None), ("TRIG", None)]
XML = stream_xml([(number, kind, size, "A") for number, (kind, size) in enumerate(KINDS)])


def events(n: int, *, seed: int = 0, start: int = 1_000_000, step: int = 1_000):
    rng = np.random.default_rng(seed)
    t = start + np.sort(rng.integers(0, step * n, n))
    return t, rng.integers(0, 16, n), rng.integers(0, 8, n), rng.integers(0, 2, n)


def assert_columns(stream, columns) -> None:
    for name, column in zip("txyp", columns, strict=True):
        np.testing.assert_array_equal(getattr(stream, name), column)


@pytest.mark.parametrize("compression", range(5))
@pytest.mark.parametrize("finished", [True, False])
def test_everything_is_read_whatever_the_compression(tmp_path, compression, finished):
    columns = events(500)
    packets = [
        (0, events_content(*(column[k : k + 100] for column in columns)))
        for k in range(0, 500, 100)
    ]
    image = np.arange(128, dtype=np.uint8).reshape(8, 16)
    packets.insert(2, (1, frame_content(image, t=(1_000_500, 1_000_100, 1_000_900, 0, 0))))
    packets.append((2, imu_content([(1_000_002, (30.0, 0.1, 0.2, 1.0, 5.0, 6.0, 7.0))])))
    packets.append((3, trigger_content([(1_000_001, 0), (1_000_003, 2)])))
    path = write_aedat4(
        tmp_path / "a.aedat4", packets, xml=XML, compression=compression, finished=finished
    )
    with open_recording(path) as recording:
        assert recording.sensor == SensorSize(*CAMERA)
        assert_columns(recording.events(), columns)
        assert recording.n_events == 500
        np.testing.assert_array_equal(recording.frames.image(0), image)
        assert recording.frames.t_start_us[0] == 1_000_100
        assert recording.frames.t_us[0] == 1_000_500  # without exposure stamps, the main time
        sample = recording.imu()[0]
        assert (sample["t"], sample["temperature"], sample["az"]) == (1_000_002, 30.0, 1.0)
        assert sample["gz"] == 7.0
        # Reset and falling edge, numbered as in the other formats.
        assert recording.specials["type"].tolist() == [1, 3]
        assert dict(recording.report.kept) == dict(recording.report.found)
        again = pickle.loads(pickle.dumps(recording))
        assert_columns(again.events(), columns)
        again.close()


@pytest.mark.parametrize("main", [1_000_100, 1_000_500, 1_000_900])
def test_a_read_out_without_stamps_holds_the_exposure(tmp_path, main):
    content = frame_content(np.zeros((8, 16), np.uint8), t=(main, 0, 0, 1_000_300, 1_000_700))
    packets = [(0, events_content(*events(9))), (1, content)]
    with open_recording(write_aedat4(tmp_path / "a.aedat4", packets, xml=XML)) as recording:
        frames = recording.frames
        assert frames.t_us[0] == 1_000_700
        assert frames.t_start_us[0] == min(main, 1_000_300)
        assert frames.t_end_us[0] == max(main, 1_000_700)


def test_colour_and_16_bit_frames_become_gray(tmp_path):
    gray = np.arange(128, dtype="<u2").reshape(8, 16) * 8  # 10-bit values
    colour = np.zeros((8, 16, 3), np.uint8)
    colour[..., 2] = 200  # red: colours are stored blue, green, red
    packets = [
        (1, frame_content(gray, t=(10, 0, 0, 0, 0), number=2)),
        (1, frame_content(colour, t=(20, 0, 0, 0, 0), number=16)),
        (1, frame_content(np.full((2, 4), 9, np.uint8), t=(30, 0, 0, 0, 0), place=(3, 5))),
    ]
    with open_recording(write_aedat4(tmp_path / "a.aedat4", packets, xml=XML)) as recording:
        np.testing.assert_array_equal(recording.frames.image(0), gray >> 2)
        assert np.unique(recording.frames.image(1)).tolist() == [60]
        assert recording.frames.roi(2) == (3, 5, 2, 4)
        assert recording.frames.image(2)[3:5, 5:9].min() == 9
        assert recording.n_events == 0


def test_frames_of_one_time_are_one_frame(tmp_path):
    packets = [
        (1, frame_content(np.full((8, 16), k, np.uint8), t=(t, 0, 0, 0, 0)))
        for k, t in enumerate((10, 40, 10, 70))
    ]
    with open_recording(write_aedat4(tmp_path / "a.aedat4", packets, xml=XML)) as recording:
        assert recording.frames.t_us.tolist() == [10, 40, 70]
        assert [int(recording.frames.image(i)[0, 0]) for i in range(3)] == [0, 1, 3]
        assert recording.report.skipped["frames"] == {"same time as the frame before": 1}


def test_other_cameras_and_unknown_kinds_are_counted(tmp_path):
    xml = stream_xml(
        [(0, "EVTS", CAMERA, "A"), (1, "EVTS", (4, 4), "B"), (7, "FRME", CAMERA, "A")], root="node"
    )
    columns = events(50)
    packets = [
        (0, events_content(*columns)),
        (1, events_content(*events(20, seed=1))),
        (9, buffer("BBOX", [])),
    ]
    with open_recording(write_aedat4(tmp_path / "a.aedat4", packets, xml=xml)) as recording:
        assert_columns(recording.events(), columns)
        skipped = recording.report.skipped["packets"]
        assert sum(skipped.values()) == 2
        assert any("BBOX" in reason for reason in skipped)
        assert any("another camera, stream 1" in reason for reason in skipped)


def test_events_outside_the_sensor_are_skipped_and_counted(tmp_path):
    t, x, y, p = events(10)
    x[3], y[4], x[5] = 16, -1, -7
    path = write_aedat4(tmp_path / "a.aedat4", [(0, events_content(t, x, y, p))], xml=XML)
    kept = np.delete(np.arange(10), [3, 4, 5])
    with open_recording(path) as recording:
        assert_columns(recording.events(), [column[kept] for column in (t, x, y, p)])
        assert recording.report.skipped["events"] == {"outside the sensor 16x8": 3}
    with open_recording(path, sensor=SensorSize(8, 17)) as recording:
        assert recording.n_events == 8


def test_a_file_without_sizes_is_as_large_as_its_events(tmp_path):
    xml = stream_xml([(0, "EVTS", None, "A")])
    columns = events(200)
    path = write_aedat4(tmp_path / "a.aedat4", [(0, events_content(*columns))], xml=xml)
    with open_recording(path) as recording:
        assert recording.sensor == SensorSize(8, 16)
        assert "inferred" in " ".join(recording.report.notes)


def test_turned_by_180_degrees(tmp_path):
    columns = events(20)
    image = np.arange(128, dtype=np.uint8).reshape(8, 16)
    packets = [(0, events_content(*columns)), (1, frame_content(image, t=(5, 0, 0, 0, 0)))]
    path = write_aedat4(tmp_path / "a.aedat4", packets, xml=XML)
    with open_recording(path, rotate180=True) as recording:
        np.testing.assert_array_equal(recording.events().x, 15 - columns[1])
        np.testing.assert_array_equal(recording.events().y, 7 - columns[2])
        np.testing.assert_array_equal(recording.frames.image(0), image[::-1, ::-1])


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_packets_in_any_order_give_sorted_events_however_they_are_read(tmp_path_factory, data):
    n = data.draw(st.integers(1, 60))
    columns = events(n, seed=data.draw(st.integers(0, 9)), step=data.draw(st.sampled_from([1, 90])))
    shuffled = np.array(data.draw(st.permutations(range(n))))
    cuts = sorted({0, n, *data.draw(st.lists(st.integers(0, n), max_size=4))})
    parts = [shuffled[a:b] for a, b in pairwise(cuts)]
    packets = [(0, events_content(*(column[part] for column in columns))) for part in parts]
    path = write_aedat4(tmp_path_factory.mktemp("a") / "a.aedat4", packets, xml=XML)
    order = shuffled[np.argsort(columns[0][shuffled], kind="stable")]
    expected = [column[order] for column in columns]
    with open_recording(path) as recording:
        whole = recording.events()
        assert_columns(whole, expected)
        spans = list(recording.stream(max_events=data.draw(st.integers(1, 9))))
        assert [s.t1_us for s in spans[:-1]] == [s.t0_us for s in spans[1:]]
        for k, name in enumerate("txyp"):
            joined = np.concatenate([getattr(span, name) for span in spans])
            np.testing.assert_array_equal(joined, expected[k])
        a, b = sorted(data.draw(st.lists(st.integers(999_990, 1_006_000), min_size=2, max_size=2)))
        inside = (expected[0] >= a) & (expected[0] < b)
        assert_columns(recording.events(a, b), [column[inside] for column in expected])


def test_gaps_within_and_between_packets(tmp_path):
    t = np.array([0, 10, 200_011, 200_020, 600_000]) + 5
    whole = (t, np.zeros(5), np.zeros(5), np.ones(5))
    packets = [(0, events_content(*(column[:4] for column in whole)))]
    packets.append((0, events_content(*(column[4:] for column in whole))))
    with open_recording(write_aedat4(tmp_path / "a.aedat4", packets, xml=XML)) as recording:
        assert recording.gaps == [(15, 200_016), (200_025, 600_005)]


def small_file(path: Path, compression: int = 1) -> tuple[Path, np.ndarray]:
    columns = events(60)
    packets = [
        (0, events_content(*(column[k : k + 20] for column in columns))) for k in (0, 20, 40)
    ]
    packets.append((3, trigger_content([(1_000_001, 2)])))
    path = write_aedat4(path, packets, xml=XML, compression=compression, finished=False)
    return path, np.stack([columns[0], columns[1], columns[2], columns[3]])


def outcome(path: Path) -> np.ndarray | None:
    """Return the events of a file as columns, or None where it is refused."""
    try:
        with open_recording(path) as recording:
            found = recording.events()
            list(recording.stream(max_events=7))
            assert recording.report.kept["events"] == len(found)
    except EventsegError:
        return None
    return np.stack([found.t, found.x, found.y, found.p])


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_truncation_at_every_byte_gives_whole_packets_or_an_error(tmp_path, step):
    path, columns = small_file(tmp_path / "a.aedat4")
    content = path.read_bytes()
    counts = set()
    for length in range((len(content) - 1) % step, len(content), step):
        path.write_bytes(content[:length])
        found = outcome(path)
        if found is not None:
            counts.add(found.shape[1])
            np.testing.assert_array_equal(found, columns[:, : found.shape[1]])
    assert counts == {20, 40, 60}


@pytest.mark.parametrize("flips", [200, pytest.param(1_000, marks=pytest.mark.slow)])
def test_flipped_bits_change_nothing_outside_their_packet(tmp_path, flips):
    path, columns = small_file(tmp_path / "a.aedat4", compression=0)
    content = path.read_bytes()
    place = len(b"#!AER-DAT4.0\r\n") + 4 + struct.unpack_from("<I", content, 14)[0]
    extents = []
    while place < len(content):
        size = struct.unpack_from("<i", content, place + 4)[0]
        extents.append((place, place + 8 + size))
        place += 8 + size
    assert len(extents) == 4
    packets = [set(map(tuple, columns[:, k : k + 20].T)) for k in (0, 20, 40)] + [set()]
    first_bit = 8 * extents[0][0]
    bits = np.random.default_rng(0).choice(
        np.arange(first_bit, 8 * len(content)), flips, replace=False
    )
    refused = 0
    for bit in bits.tolist():
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        found = outcome(path)
        if found is None:
            refused += 1
            continue
        rows = set(map(tuple, found.T))
        hit = next(k for k, (_, stop) in enumerate(extents) if bit < 8 * stop)
        in_header = bit < 8 * (extents[hit][0] + 8)
        for k, packet in enumerate(packets):
            # A damaged size breaks the chain, which loses what follows.
            assert k == hit or packet <= rows or (in_header and k > hit)
        assert len(rows - set().union(*packets)) <= 20
    assert refused < flips / 10


def test_what_is_no_aedat4_is_named(tmp_path):
    path = tmp_path / "a.aedat4"
    path.write_bytes(b"#!AER-DAT2.0\r\n" + bytes(100))
    with pytest.raises(RecordingError, match="AEDAT"):
        open_recording(path)
    path.write_bytes(b"#!AER-DAT4.0\r\n" + b"\xff" * 4)
    with pytest.raises(RecordingError, match="header"):
        open_recording(path)
    entity = '<!DOCTYPE dv [<!ENTITY a "aaaa">]><dv><node name="0"/></dv>'
    write_aedat4(path, [], xml=entity)
    with pytest.raises(RecordingError, match="type declaration"):
        open_recording(path)
    write_aedat4(path, [], xml=XML)
    with pytest.raises(RecordingError, match="no event and no frame"):
        open_recording(path)


def test_the_real_recording_is_equal_to_its_twin(shared_data):
    real = shared_data / "events" / "davis346_emlb_demo-01.aedat4"
    twin = shared_data / "events" / "davis346_real_in_ddd_layout.hdf5"
    with open_recording(real) as recording, open_recording(twin) as other:
        ours, theirs = recording.events(), other.events()
        assert (len(ours), len(recording.frames), len(recording.imu())) == (319_512, 13, 510)
        assert (recording.t_first_us, recording.t_last_us) == (1643243628737093, 1643243629248083)
        shift = recording.t_first_us - other.t_first_us
        np.testing.assert_array_equal(ours.t - shift, theirs.t)
        for name in "xyp":
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        for i in range(13):
            np.testing.assert_array_equal(recording.frames.raw(i), other.frames.raw(i))
        t1 = recording.t_first_us + 400_000
        spans = recording.events(t1 - 250_000, t1), other.events(t1 - 250_000 - shift, t1 - shift)
        for window in ("50ms", "250ms"):
            tensors = [encode(span, window=window) for span in spans]
            np.testing.assert_array_equal(*tensors)
