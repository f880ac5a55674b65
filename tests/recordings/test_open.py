"""Opening, reading and closing recordings; the cache; processes and threads."""

import multiprocessing
import os
import pickle
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from ddd17_files import HOST_T0, Row, frame_bytes, frames, imu, polarity, write_file

from eventseg.errors import EventsError, RecordingError
from eventseg.events import SensorSize
from eventseg.kernels import reused
from eventseg.recordings import Recording, convert, open_recording
from eventseg.recordings.index_cache import cache_folder
from eventseg.recordings.progress import Progress

SENSOR = SensorSize(4, 6)


def packets(n: int = 6, *, start: int = 1_000) -> list[Row]:
    """Packets of five events, 1 ms each."""
    return [
        polarity([(start + 1_000 * k + 200 * i, i, k % 4, i % 2) for i in range(5)])
        for k in range(n)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_file(tmp_path / "rec1.hdf5", packets())


def test_worked_example(tmp_path: Path) -> None:
    head = bytes.fromhex("0100 0100 08000000 04000000 00000000 02000000 02000000 02000000")
    payload = bytes.fromhex("53001400 e8030000 0d04b202 ed030000")
    with open_recording(write_file(tmp_path / "r.hdf5", [(HOST_T0, head, payload)])) as rec:
        events = rec.events()
        assert rec.sensor == SensorSize(260, 346)
    rows = [tuple(int(getattr(events, c)[i]) for c in "txyp") for i in range(2)]
    assert rows == [(1000, 10, 20, 1), (1005, 345, 259, 0)]


def test_spans_are_what_was_asked(path: Path) -> None:
    with open_recording(path, sensor=SENSOR) as rec:
        assert (rec.t_first_us, rec.t_last_us, rec.n_events) == (1_000, 6_800, 30)
        part = rec.events(2_000, 2_400)
        assert (part.t0_us, part.t1_us, part.t.tolist()) == (2_000, 2_400, [2_000, 2_200])
        outside = rec.events(-50, 500)
        assert (outside.t0_us, outside.t1_us, len(outside)) == (-50, 500, 0)
        assert len(rec.events(2_000, 2_000)) == 0
        with pytest.raises(EventsError, match="ends before it begins"):
            rec.events(3_000, 2_000)


def test_stream_tiles_the_span(path: Path) -> None:
    with open_recording(path, sensor=SENSOR) as rec:
        parts = list(rec.stream(max_events=7, t0_us=0, t1_us=10_000))
        assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
        assert (parts[0].t0_us, parts[-1].t1_us) == (0, 10_000)
        assert all(a.t1_us == b.t0_us for a, b in pairwise(parts))
        assert [len(part) for part in rec.stream(t0_us=0, t1_us=10)] == [0]
        with pytest.raises(EventsError, match="max_events"):
            rec.stream(max_events=0)


def test_one_microsecond_is_never_split(tmp_path: Path) -> None:
    rows = [polarity([(5, i % 6, 0, 1) for i in range(50)]), polarity([(6, 0, 0, 0)])]
    with open_recording(write_file(tmp_path / "r.hdf5", rows), sensor=SENSOR) as rec:
        assert [len(part) for part in rec.stream(max_events=10)] == [50, 1]


def test_stream_holds_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n, packet = 400_000, 500
    rows = [
        polarity([(k + i, i % 6, i % 4, 1) for i in range(packet)]) for k in range(0, n, packet)
    ]
    with open_recording(write_file(tmp_path / "r.hdf5", rows), sensor=SENSOR) as rec:
        assert sum(len(part) for part in rec.stream(max_events=1_000)) == n
        # Memory that others left to be used again is not seen when it is taken.
        monkeypatch.setattr(reused, "_spare", type(reused._spare)(list))
        tracemalloc.start()
        assert max(len(part) for part in rec.stream(max_events=1_000)) == 1_000
        streamed = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        assert len(rec.events()) == n
        at_once = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Beside its columns, reading holds one batch of packets, however long the file.
    assert at_once > n * 13
    assert streamed < at_once - n * 13 / 2


def test_arrays_are_read_only(path: Path) -> None:
    with open_recording(path, sensor=SENSOR) as rec:
        with pytest.raises(ValueError, match="read-only"):
            rec.events().t[0] = 0
        with pytest.raises(ValueError, match="read-only"):
            rec.specials["t"] = 0


def test_closed_recording_says_so(path: Path) -> None:
    rec = open_recording(path, sensor=SENSOR)
    rec.close()
    rec.close()
    with pytest.raises(RecordingError, match="closed"):
        rec.events()


def test_progress_ends_at_one(path: Path) -> None:
    for _ in ("built", "from the cache"):
        seen: list[Progress] = []
        open_recording(path, progress=seen.append).close()
        shares = [now.share for now in seen]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("no.hdf5", None, "no such file"),
        ("text.hdf5", b"not hdf5 at all", "not an HDF5 file"),
        ("empty.hdf5", b"", "not an HDF5 file"),
        ("rec.bin", b"", "suffix '.bin' is none of .hdf5"),
    ],
)
def test_not_a_recording(tmp_path: Path, name: str, content: bytes | None, match: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=match) as caught:
        open_recording(tmp_path / name)
    assert name in str(caught.value)


def test_wrong_layouts(tmp_path: Path) -> None:
    for name, dataset, value in (
        ("other", "events/x", np.zeros(3)),
        ("flat", "dvs/data", np.zeros((4, 3))),
    ):
        with h5py.File(tmp_path / f"{name}.hdf5", "w") as file:
            file[dataset] = value
        with pytest.raises(RecordingError, match="three byte strings") as caught:
            open_recording(tmp_path / f"{name}.hdf5")
        assert f"{name}.hdf5" in str(caught.value)


def test_nothing_inside(tmp_path: Path) -> None:
    rows = [imu([(5, 1.0)]), polarity([(7, 1, 1, 1, 0)])]
    with pytest.raises(RecordingError, match=r"r\.hdf5: no event and no frame.*marked invalid"):
        open_recording(write_file(tmp_path / "r.hdf5", rows))
    with pytest.raises(RecordingError, match="no event and no frame"):
        open_recording(write_file(tmp_path / "e.hdf5", []))


def test_frames_alone_are_a_recording(tmp_path: Path) -> None:
    body = frame_bytes(np.full((4, 6), 256 * 9), (10, 40, 15, 35), size=36 + 48)
    with open_recording(write_file(tmp_path / "r.hdf5", [frames([body])])) as rec:
        assert (rec.n_events, rec.t_first_us, rec.t_last_us) == (0, 10, 40)
        assert len(rec.events()) == 0
        assert [len(part) for part in rec.stream()] == [0]
        assert rec.frames.image(0).tolist() == [[9] * 6] * 4


# The cache ---------------------------------------------------------------------------------


def cached_files() -> list[Path]:
    return sorted(cache_folder().glob("*"))


def test_second_opening_uses_the_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_recording(path, sensor=SENSOR) as rec:
        first = rec.report, rec.events().to_records().tolist(), rec.epochs
    assert len(cached_files()) == 1

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("the index was built again")

    monkeypatch.setattr("eventseg.recordings.ddd17.index.build_index", refuse)
    with open_recording(path, sensor=SENSOR) as rec:
        assert (rec.report, rec.events().to_records().tolist(), rec.epochs) == first


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_damaged_cache_is_rebuilt(path: Path, damage: bytes | None) -> None:
    open_recording(path).close()
    (file,) = cached_files()
    sound = file.read_bytes()
    file.write_bytes(sound[: len(sound) // 2] if damage is None else damage)
    with open_recording(path) as rec:
        assert rec.n_events == 30
    with np.load(file, allow_pickle=False) as stored:
        assert "packets" in stored.files


def test_stale_cache_is_rebuilt(path: Path) -> None:
    open_recording(path).close()
    status = path.stat()
    write_file(path, packets(3))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with open_recording(path) as rec:
        assert rec.n_events == 15


def test_options_do_not_poison_the_cache(path: Path) -> None:
    with open_recording(path, sensor=SensorSize(2, 3), rotate180=True) as rec:
        small = rec.n_events
    with open_recording(path, sensor=SENSOR) as rec:
        assert small < rec.n_events == 30
        assert "events" not in rec.report.skipped
    with open_recording(path, sensor=SensorSize(2, 3), rotate180=True) as rec:
        assert rec.n_events == small == len(rec.events())


def test_unwritable_cache_is_a_note(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path.parent / "file").write_text("in the way")
    monkeypatch.setenv("EVENTSEG_CACHE", str(path.parent / "file" / "cache"))
    with open_recording(path) as rec:
        assert rec.n_events == 30
        assert any("not cached" in note for note in rec.report.notes)


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "base/eventseg"),
        ("win32", "LOCALAPPDATA", "base/eventseg"),
        ("darwin", "HOME", "base/Library/Caches/eventseg"),
        ("linux", "HOME", "base/.cache/eventseg"),
    ],
)
def test_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variable: str, expected: str
) -> None:
    for name in ("EVENTSEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path / "base"))
    assert cache_folder() == tmp_path / expected


# Processes and threads ---------------------------------------------------------------------


def _count(rec: Recording) -> int:
    return sum(len(part) for part in rec.stream(max_events=7))


def test_pickle_keeps_path_and_options(path: Path) -> None:
    with (
        open_recording(path, sensor=SensorSize(3, 6), rotate180=True) as rec,
        pickle.loads(pickle.dumps(rec)) as again,
    ):
        assert again.path == rec.path
        assert again.report == rec.report
        assert again.events().to_records().tolist() == rec.events().to_records().tolist()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_use_after_fork(path: Path) -> None:
    with open_recording(path, sensor=SENSOR) as rec:
        context = multiprocessing.get_context("fork")
        answer = context.SimpleQueue()
        child = context.Process(target=lambda: answer.put(_count(rec)))
        child.start()
        child.join(60)
        assert (child.exitcode, answer.get()) == (0, 30)
        assert _count(rec) == 30


def test_several_recordings_in_threads(tmp_path: Path) -> None:
    paths = [write_file(tmp_path / f"r{n}.hdf5", packets(n)) for n in (3, 5, 7, 9)]

    def count(path: Path) -> list[int]:
        with open_recording(path, sensor=SENSOR) as rec:
            return [_count(rec) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, paths)) == [[15] * 5, [25] * 5, [35] * 5, [45] * 5]


def test_a_truth_file_is_no_recording_and_names_the_one_it_belongs_to(tmp_path):
    with pytest.raises(RecordingError, match=r"open drive\.hdf5"):
        open_recording(tmp_path / "drive.truth.h5")


def test_a_likely_size_is_taken_where_nothing_lies_outside(tmp_path: Path) -> None:
    sensor = SensorSize(100, 200)
    for name, x in (("inside.npz", 63), ("outside.npz", 150)):
        np.savez(tmp_path / name, t_us=[1, 2], x=[0, x], y=[0, 3], p=[0, 1])
    with open_recording(tmp_path / "inside.npz", likely=sensor) as recording:
        assert (recording.sensor, recording.n_events) == (sensor, 2)
    small = SensorSize(50, 100)
    with open_recording(tmp_path / "outside.npz", likely=small) as recording:
        assert (recording.sensor, recording.n_events) == (SensorSize(180, 240), 2)
    with open_recording(tmp_path / "outside.npz", likely=small, sensor=small) as recording:
        assert (recording.sensor, recording.n_events) == (small, 1)


def test_a_likely_size_never_replaces_one_that_the_recording_states(tmp_path: Path) -> None:
    body = frame_bytes(np.full((4, 6), 256 * 9), (10, 40, 15, 35), size=36 + 48)
    write_file(tmp_path / "frames.hdf5", [*packets(), frames([body])])
    np.savez(tmp_path / "told.npz", t_us=[1, 2], x=[0, 5], y=[0, 3], p=[0, 1], width=6, height=4)
    with open_recording(tmp_path / "frames.hdf5") as recording:
        for name in ("rec.raw", "rec.aedat4", "rec.h5"):
            convert(recording, tmp_path / name)
    for name in ("frames.hdf5", "told.npz", "rec.raw", "rec.aedat4", "rec.h5"):
        for _ in range(2):  # read, and from the cache
            with open_recording(tmp_path / name, likely=SensorSize(260, 346)) as recording:
                assert recording.sensor == SENSOR, name
                assert not recording.report.sensor_guessed


def test_a_guess_is_known_from_the_cache_too(tmp_path: Path) -> None:
    likely = SensorSize(50, 100)
    np.savez(tmp_path / "rec.npz", t_us=[1, 2], x=[0, 63], y=[0, 3], p=[0, 1])
    write_file(tmp_path / "rec.hdf5", packets())
    for name in ("rec.npz", "rec.hdf5"):
        with open_recording(tmp_path / name) as recording:
            assert recording.report.sensor_guessed
        with open_recording(tmp_path / name, likely=likely) as recording:
            assert recording.sensor == likely
    for name in ("rec.npz", "rec.hdf5"):
        with open_recording(tmp_path / name) as recording:
            assert recording.report.sensor_guessed
