"""Pauses and the order of packets: no blank samples, no stale frames, the exporter's pairs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import naive_windows
import numpy as np
import pytest
from ddd17_files import HOST_T0, Row, frame_bytes, frames, polarity, reset, write_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recording_fixtures import tree

from eventseg.dataset.check import check_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer, Recording, open_recording
from eventseg.windows import Anchor, Windows, covered_share, cut_windows, parse_anchor, sample_ids

SENSOR = SensorSize(4, 6)
FULL = 36 + 2 * 4 * 6
FILES = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def events_at(times: list[int], host: int) -> Row:
    return polarity([(t, 1, 1, 1) for t in times], host=host)


def frame_at(end: int, host: int) -> Row:
    stamps = (max(0, end - 900), end, max(0, end - 800), max(1, end - 100))
    return frames([frame_bytes(np.zeros((4, 6)), stamps, size=FULL)], host=host)


def with_pause(path: Path, pause_us: int, *, first_host: int = HOST_T0) -> Recording:
    """0.3 s of events and frames, a pause with a reset, 0.3 s again."""
    rows: list[Row] = []
    for host in (first_host, first_host + 300_000 + pause_us):
        if rows:
            rows.append(reset(host=host))
        for k in range(30):
            rows.append(events_at([k * 10_000 + i * 1_000 for i in range(10)], host + k * 10_000))
            if k % 3 == 2:
                rows.append(frame_at(k * 10_000 + 5_000, host + k * 10_000))
    return open_recording(write_file(path, rows), sensor=SENSOR)


def test_a_pause_gives_no_blank_samples_and_no_stale_frames(tmp_path: Path) -> None:
    rec = with_pause(tmp_path / "rec.hdf5", 3_600_000_000)
    for anchor in ("stride:50ms", "evsegnet"):
        cut = cut_windows(rec, anchor=parse_anchor(anchor), window_us=50_000)
        assert 12 <= len(cut) <= 13
        assert cut.left_out + len(cut) in (72_012, 72_013)
        age = cut.t1_us - rec.frames.t_us[cut.frame]
        assert age[cut.frame >= 0].max() <= 1_000_000
        share = covered_share(
            cut, t_first_us=rec.t_first_us, t_last_us=rec.t_last_us, gaps=rec.gaps
        )
        assert (share > 0).all()
        assert (share < 1).sum() <= 3


def test_a_frame_in_a_pause_anchors_nothing() -> None:
    rec = SimpleNamespace(
        name="rec", t_first_us=0, t_last_us=2_000_000, gaps=[(500_000, 1_500_000)],
        frames=SimpleNamespace(
            t_us=np.array([300_000, 900_000, 1_540_000]), t_end_us=np.array([0, 0, 0])
        ),
    )  # fmt: skip
    for kind in ("frame", "centre"):
        cut = cut_windows(rec, anchor=Anchor(kind), window_us=50_000)
        assert (cut.frame.tolist(), cut.left_out) == ([0, 2], 1)
    short = cut_windows(rec, anchor=Anchor("frame"), window_us=10_000, longest_us=500_000)
    assert short.frame.tolist() == [0, 1, 2]  # the longest window of the same sample has events


def test_the_host_clock_set_by_years_costs_a_note(tmp_path: Path) -> None:
    rec = with_pause(tmp_path / "rec.hdf5", 47 * 365 * 86_400 * 10**6, first_host=10**6)
    cut = cut_windows(rec, anchor=Anchor("stride", 50_000), window_us=50_000)
    assert len(cut) == 12
    assert sum("days before the epoch" in note for note in rec.report.notes) == 1


def test_too_many_windows_are_refused_before_they_are_made() -> None:
    frames = SimpleNamespace(t_us=np.array([], np.int64), t_end_us=np.array([], np.int64))
    rec = SimpleNamespace(name="rec", t_first_us=0, t_last_us=2**45, frames=frames, gaps=[])
    with pytest.raises(WindowError, match="at most 16,777,216 are allowed: take longer steps"):
        cut_windows(rec, anchor=Anchor("stride", 1), window_us=1_000)


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True).map(sorted),
    st.integers(5, 60),
    st.integers(1, 90),
    st.integers(1, 60),
)
def test_windows_and_coverage_against_loops(
    events: list[int], gap_us: int, window_us: int, stride: int
) -> None:
    gaps = [(a, b) for a, b in pairwise(events) if b - a > gap_us]
    none = np.array([], np.int64)
    rec = SimpleNamespace(
        name="rec", t_first_us=events[0], t_last_us=events[-1], gaps=gaps,
        frames=SimpleNamespace(t_us=none, t_end_us=none),
    )  # fmt: skip
    span = events[-1] + 1 - events[0]
    window_us = min(window_us, span)
    if events[0] + stride - window_us > events[-1]:
        with pytest.raises(WindowError, match="take shorter steps"):
            cut_windows(rec, anchor=Anchor("stride", stride), window_us=window_us)
        return
    cut = cut_windows(rec, anchor=Anchor("stride", stride), window_us=window_us)
    ends = [events[0] + stride * k for k in range(1, -(-span // stride) + 1)]
    blank = [any(a < end - window_us and end - 1 < b for a, b in gaps) for end in ends]
    assert cut.t1_us.tolist() == np.array(ends)[~np.array(blank)].tolist()
    assert cut.left_out == sum(blank)
    share = covered_share(cut, t_first_us=events[0], t_last_us=events[-1], gaps=gaps)
    slow = [
        naive_windows.covered(int(a), int(b), events, gap_us=gap_us)
        for a, b in zip(cut.t0_us, cut.t1_us, strict=True)
    ]
    np.testing.assert_allclose(share, slow)


def test_a_data_set_counts_what_pauses_cost(tmp_path: Path) -> None:
    with_pause(tmp_path / "rec.hdf5", 3_600_000_000).close()
    summary = encode_dataset(
        [tmp_path / "rec.hdf5"], tmp_path / "out", anchor=Anchor("stride", 50_000), sensor=SENSOR
    )
    assert any("windows of anchor stride:50ms left out" in note for note in summary.notes["rec"])
    assert 'frame_age = "1s"' in (tmp_path / "out" / "manifest.toml").read_text()


@pytest.fixture
def gap(tmp_path: Path) -> Path:
    """A table of events in 0 to 0.5 s and in 0.9 to 1.5 s."""
    rng = np.random.default_rng(0)
    t = np.r_[rng.integers(0, 500_000, 2_000), rng.integers(900_000, 1_500_000, 2_000)]
    x, y, p = (rng.integers(0, top, len(t)) for top in (SENSOR.width, SENSOR.height, 2))
    np.savez(tmp_path / "gap.npz", t=np.sort(t), x=x, y=y, p=p)
    return tmp_path / "gap.npz"


def encoded(recording: Path, out: Path, *windows: str) -> Path:
    encode_dataset(
        [recording], out, windows_us=windows, anchor="stride:50ms", sensor=SENSOR, time_unit="us"
    )
    return out


def test_windows_that_are_not_stored_count_gaps_as_stored_ones_do(
    gap: Path, tmp_path: Path
) -> None:
    with (
        open_dataset(encoded(gap, tmp_path / "both", "100ms", "200ms")) as both,
        open_dataset(encoded(gap, tmp_path / "short", "100ms")) as short,
    ):
        ((before, after),) = short.manifest.recording("gap").gaps or ()
        assert before < 500_000 < 900_000 <= after
        stored = dict(zip(both.ids, both.covered("200ms"), strict=True))
        of_others = dict(zip(short.ids, short.covered("200ms"), strict=True))
        shared = stored.keys() & of_others.keys()
        assert len(shared) > 15
        assert sum(stored[name] < 1 for name in shared) > 3
        for name in shared:
            assert of_others[name] == pytest.approx(stored[name])
        kept = [
            {samples.dataset.ids[i] for i in samples.indices} & shared
            for samples in (data.torch(window="200ms", labels=None) for data in (both, short))
        ]
        assert kept[0] == kept[1]
    assert check_dataset(tmp_path / "short", deep=True) == []


def test_gaps_that_an_older_manifest_lacks_are_those_of_the_recording(
    gap: Path, tmp_path: Path
) -> None:
    out = encoded(gap, tmp_path / "out", "100ms")
    whole = tree(out)
    with open_dataset(out) as data:
        expected = data.covered("200ms")
        entries = tuple(replace(entry, gaps=None) for entry in data.manifest.recordings)
        older = replace(data.manifest, recordings=entries)
    older.write(out / "manifest.toml")
    assert "gaps" not in (out / "manifest.toml").read_text()
    with open_dataset(out) as data:
        assert data.manifest == older
        np.testing.assert_array_equal(data.covered("200ms"), expected)
    gap.rename(tmp_path / "gone")
    with open_dataset(out) as data:
        assert data.covered("100ms").max() == 1
        with pytest.raises(DatasetError, match="gap is gone"):
            data.covered("200ms")
    (tmp_path / "gone").rename(gap)
    encoded(gap, out, "100ms")  # the same again adds them
    assert tree(out) == whole


def test_frames_of_any_age_where_asked_for(tmp_path: Path) -> None:
    rec = SimpleNamespace(
        name="rec", t_first_us=0, t_last_us=4_999_999, gaps=[],
        frames=SimpleNamespace(t_us=np.array([40_000]), t_end_us=np.array([41_000])),
    )  # fmt: skip
    for anchor in (Anchor("stride", 50_000), Anchor("evsegnet")):
        fresh = cut_windows(rec, anchor=anchor, window_us=50_000)
        assert ((fresh.frame >= 0).sum(), fresh.stale) == (20, 80)
        every = cut_windows(rec, anchor=anchor, window_us=50_000, max_frame_age_us=None)
        assert (set(every.frame), every.stale) == ({0}, 0)


# The exporter ---------------------------------------------------------------------------------


def test_short_bins_carry_the_50_ms_row_in_their_name() -> None:
    rows = np.array([500, 505])
    ends = (rows + 1) * 10_000
    short = Windows("10ms", ends - 10_000, ends, rows, rows)
    assert sample_ids("r", anchor=Anchor("evsegnet"), windows=short) == [
        "r_export_100", "r_export_101",
    ]  # fmt: skip
    long = Windows("250ms", ends * 25 - 250_000, ends * 25, rows, rows)
    assert sample_ids("r", anchor=Anchor("evsegnet"), windows=long)[0] == "r_export_500"


packet = st.tuples(st.sampled_from(["events", "events", "frame"]), st.integers(0, 9_999))


@FILES
@given(
    st.lists(st.lists(packet, min_size=1, max_size=4), min_size=3, max_size=25),
    st.sampled_from([10_000, 50_000]),
)
def test_rows_show_the_frames_of_the_exporter(
    containers: list[list[tuple[str, int]]], bin_us: int
) -> None:
    """Any order of frame and event packets within containers of 10 ms."""
    packets: list[tuple[str, list[int]]] = []
    rows: list[Row] = []
    for k, container in enumerate(containers):
        for kind, offset in [*container, ("events", 5_000)]:
            t = 20_000 + k * 10_000 + offset
            host = HOST_T0 + 20_000 + (k + 1) * 10_000
            packets.append((kind, [t]))
            rows.append(events_at([t], host) if kind == "events" else frame_at(t, host))
    ends = [times[0] for kind, times in packets if kind == "frame"]
    if not ends:
        return
    last = max(t for kind, times in packets if kind == "events" for t in times)
    start, expected = naive_windows.export_rows(packets, bin_us=bin_us, last_us=last)
    step = 50_000 // bin_us
    with (
        TemporaryDirectory() as folder,
        open_recording(write_file(Path(folder) / "rec.hdf5", rows), sensor=SENSOR) as rec,
    ):
        if bin_us > rec.t_last_us + 1 - rec.t_first_us:
            return
        cut = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=bin_us)
        shown = rec.frames.t_end_us[cut.frame].tolist()
    assert cut.t0_us.tolist() == [start + row * bin_us for row, _ in expected if row % step == 0]
    assert shown == [ends[frame] for row, frame in expected if row % step == 0]


@pytest.mark.parametrize("order", ["sorted", "containers"])
def test_the_writer_puts_a_containers_events_before_its_frames(tmp_path: Path, order: str) -> None:
    t = np.arange(0, 200_000, 100)
    pixels = np.zeros(SENSOR, np.uint8)
    with DDD17Writer(tmp_path / "rec.hdf5", sensor=SENSOR, packets=order) as writer:  # type: ignore[arg-type]
        for end in range(8_000, 200_000, 33_000):
            writer.add_frame(
                pixels, t_start_us=end - 8_000, exposure_start_us=end - 7_000,
                exposure_end_us=end - 1_000, t_end_us=end,
            )  # fmt: skip
        writer.add_events(EventStream.from_arrays(t, t % 6, t % 4, t % 2, sensor=SENSOR))
    with open_recording(tmp_path / "rec.hdf5", sensor=SENSOR) as rec:
        np.testing.assert_array_equal(rec.events().t, t)
        place = rec.file_order
        assert place is not None
        # Where the last packet before each frame ends, from the end of the frame.
        before = np.searchsorted(place.packet, place.frame) - 1
        ahead = place.latest_us[np.maximum(before, 0)] - rec.frames.t_end_us
        assert (ahead[1:] > 0).all() == (order == "containers")
        cut = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=50_000)
        # Sorted by time, the frame of 107 ms comes before the events up to 110 ms.
        second = 74_000 if order == "containers" else 107_000
        assert rec.frames.t_end_us[cut.frame].tolist() == [41_000, second, 140_000, 173_000]
