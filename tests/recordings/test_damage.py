"""Damaged and hostile recordings: a result with a report, or one clear error, in bounded time."""

import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from ddd17_files import HOST_T0, frame_bytes, frames, imu, polarity, special, write_file

from eventseg.errors import EventsegError, RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.ddd17.file import FOLLOW
from eventseg.recordings.hdf5 import filters
from eventseg.recordings.progress import Progress

SENSOR = SensorSize(4, 6)
SECONDS = 240
"""Far beyond what any of these small files takes, on any machine."""


def a_recording(path: Path, *, n_packets: int = 200) -> Path:
    """Packets, frames, samples and signals over several chunks and heaps."""
    rows = []
    for k in range(n_packets):
        rows.append(polarity([(1_000 * k + i, i % 6, k % 4, i % 2) for i in range(400)]))
        if k % 8 == 0:
            stamps = (1_000 * k, 1_000 * k + 900, 1_000 * k + 2, 1_000 * k + 500)
            rows.append(frames([frame_bytes(np.full((4, 6), k), stamps, size=36 + 48)]))
        if k % 10 == 0:
            rows += [imu([(1_000 * k, 1.0)]), special([(1_000 * k, 2, 1)])]
    speed = [(HOST_T0 + 10_000 * k, float(k)) for k in range(20)]
    return write_file(path, rows, signals={"vehicle_speed": speed, "odometer": speed})


def read_all(path: Path) -> Recording:
    """Read everything; what was kept is there."""
    with open_recording(path) as rec:
        assert len(rec.events()) == rec.n_events == rec.report.kept["events"]
        assert sum(len(part) for part in rec.stream(max_events=500)) == rec.n_events
        for i in range(len(rec.frames)):
            rec.frames.image(i)
        rec.imu()
        for kind, found in rec.report.found.items():
            skipped = sum(rec.report.skipped.get(kind, {}).values())
            assert rec.report.kept[kind] + skipped == found
        return rec


def outcome(path: Path) -> str:
    """Return what came of reading a file, in one line; anything but a known error is raised."""
    try:
        rec = read_all(path)
    except EventsegError as error:
        return f"error: {error}"
    return f"{rec.n_events} events"


def in_bounded_time(paths: list[Path]) -> list[str]:
    """Return the outcomes of files read in a process that is given limited time."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "from recordings.test_damage import outcome\n"
        "for name in sys.argv[2:]: print(outcome(Path(name)), flush=True)"
    )
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, tests, *map(str, paths)],
        env={**os.environ, "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        timeout=SECONDS + len(paths),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# Mutations --------------------------------------------------------------------------------------


def mutations(content: bytes, seed: int, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield damaged copies: bits flipped, ranges zeroed, copied or garbled, the end cut."""
    rng = np.random.default_rng(seed)
    # Structures begin with these marks; damage there is worse than in pixels and events.
    marks = [m.start() for m in re.finditer(rb"GCOL|TREE|SNOD|HEAP|\x89HDF", content)]
    for n in range(number):
        damaged = bytearray(content)
        at = int(rng.choice(marks)) + int(rng.integers(0, 200)) if n % 2 else 0
        at = min(at or int(rng.integers(len(content))), len(content) - 1)
        size = int(2 ** rng.uniform(3, 15))
        kind = ("bit", "zero", "copy", "garble", "byte", "cut")[int(rng.integers(6))]
        if kind == "bit":
            damaged[at] ^= 1 << int(rng.integers(8))
        elif kind == "byte":
            damaged[at] = int(rng.choice([0, 1, 127, 255]))
        elif kind == "zero":
            damaged[at : at + size] = bytes(len(damaged[at : at + size]))
        elif kind == "garble":
            damaged[at : at + size] = rng.bytes(len(damaged[at : at + size]))
        elif kind == "copy":
            source = int(rng.integers(len(content)))
            part = content[source : source + len(damaged[at : at + size])]
            damaged[at : at + len(part)] = part
        else:
            del damaged[at:]
        yield f"{kind} at {at}, {size} bytes", bytes(damaged)


def check_mutations(tmp_path: Path, *, seed: int, number: int) -> None:
    whole = a_recording(tmp_path / "whole.hdf5")
    expected = read_all(whole).n_events
    paths = []
    for n, (_, content) in enumerate(mutations(whole.read_bytes(), seed, number)):
        paths.append(tmp_path / f"{n}.hdf5")
        paths[-1].write_bytes(content)
    outcomes = in_bounded_time([whole, *paths])
    assert len(outcomes) == 1 + number
    assert outcomes[0] == f"{expected} events"
    assert any("error" in line for line in outcomes)
    assert sum("events" in line for line in outcomes) > number // 4


def test_mutations(tmp_path: Path) -> None:
    check_mutations(tmp_path, seed=0, number=120)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 21))
def test_more_mutations(tmp_path: Path, seed: int) -> None:
    check_mutations(tmp_path, seed=seed, number=200)


def test_a_zeroed_heap_costs_its_rows_only(shared_data: Path) -> None:
    rec = read_all(shared_data / "faults" / "zeroed_heap.hdf5")
    assert rec.report.skipped["packets"] == {"row unreadable": 6}
    assert "rows of dvs/data that could not be read: 55-58, 69-70" in rec.report.notes


def test_zeroed_ranges_of_heaps_cost_their_rows_only(tmp_path: Path) -> None:
    whole = a_recording(tmp_path / "whole.hdf5")
    content, expected = whole.read_bytes(), read_all(whole).n_events
    heaps = [m.start() for m in re.finditer(b"GCOL", content)]
    assert len(heaps) > 4
    paths = []
    for n, at in enumerate(heaps):
        paths.append(tmp_path / f"{n}.hdf5")
        damaged = bytearray(content)
        damaged[at + 24 : at + 2_024] = bytes(2_000)
        paths[-1].write_bytes(damaged)
    for line in in_bounded_time(paths):
        events = int(line.split()[0])
        assert expected // 2 < events < expected, line


# Sizes that a file declares ---------------------------------------------------------------------


def resized(path: Path, name: str, n_rows: int) -> Path:
    with h5py.File(path, "r+") as file:
        file[name].resize(n_rows, axis=0)
    return path


def test_unwritten_rows_cost_nothing(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    expected = read_all(path).n_events
    resized(path, "dvs/data", 2**23)
    assert read_all(path).n_events == expected


@pytest.mark.parametrize("n_rows", [2**28 + 1, 2**36, 2**40, 2**62])
def test_absurd_numbers_of_rows_are_one_line(tmp_path: Path, n_rows: int) -> None:
    path = resized(a_recording(tmp_path / "rec.hdf5"), "dvs/data", n_rows)
    line = outcome(path)
    assert f"dvs/data declares {n_rows:,} rows, at most 268,435,456" in line


@pytest.mark.parametrize("n_rows", [2**24 + 1, 2**36, 2**62])
def test_absurd_signals_are_left_out(tmp_path: Path, n_rows: int) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    with h5py.File(path, "r+") as file:
        file.create_dataset(
            "fuel_level/data", (n_rows, 2), np.float64, maxshape=(None, 2), chunks=(128, 2)
        )
    rec = read_all(path)
    assert f"fuel_level: declares {n_rows:,} rows" in str(rec.report.skipped["signals"])
    assert set(rec.signals) == {"odometer", "vehicle_speed"}


def test_links_in_circles_are_left_out(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    with h5py.File(path, "r+") as file:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")
        file["c"] = h5py.SoftLink("/c/c")
        file["vehicle_speed/self"] = file["vehicle_speed"]
        file["d"] = file["/"]
    assert set(read_all(path).signals) == {"odometer", "vehicle_speed"}
    with h5py.File(path, "r+") as file:
        del file["dvs"]
        file["dvs"] = h5py.SoftLink("/dvs")
    assert "circle" in outcome(path)


def test_soft_links_inside_the_file_are_followed(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    expected = outcome(path)
    with h5py.File(path, "r+") as file:
        file.move("dvs", "elsewhere")
        file["dvs"] = h5py.SoftLink("/elsewhere")
    assert outcome(path) == expected


def test_one_payload_of_many_rows_is_no_more_than_the_file(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "rec.hdf5", [polarity([(i, 1, 1, 1) for i in range(500)])] * 128, n_rows=128
    )
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        chunk = file["dvs/data"].id.get_chunk_info(0)
    first = content[chunk.byte_offset : chunk.byte_offset + 48]
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = first * 128
    path.write_bytes(content + b"")
    rec = read_all(path)
    assert rec.n_events * 8 <= path.stat().st_size


# Other files ------------------------------------------------------------------------------------


def with_foreign_signals(folder: Path) -> Path:
    """Return a recording whose signals lie in other files, in three ways."""
    path = a_recording(folder / "rec.hdf5")
    table = np.array([[HOST_T0, 7.0], [HOST_T0 + 5, 8.0]])
    (folder / "secret.bin").write_bytes(table.tobytes())
    with h5py.File(folder / "other.hdf5", "w") as other:
        other["engine_speed/data"] = table
    with h5py.File(path, "r+") as file:
        file["engine_speed"] = h5py.ExternalLink("other.hdf5", "/engine_speed")
        file.create_dataset(
            "latitude/data", (2, 2), np.float64, external=[(folder / "secret.bin", 0, 32)]
        )
        layout = h5py.VirtualLayout((2, 2), np.float64)
        layout[:] = h5py.VirtualSource(folder / "other.hdf5", "engine_speed/data", (2, 2))
        file.create_group("longitude").create_virtual_dataset("data", layout)
    return path


def test_values_of_other_files_are_refused_and_told(tmp_path: Path) -> None:
    rec = read_all(with_foreign_signals(tmp_path))
    assert set(rec.signals) == {"odometer", "vehicle_speed"}
    for name in ("engine_speed", "latitude", "longitude"):
        assert f"{name}: lies in another file, which is read only with {FOLLOW}=1" in str(
            rec.report.skipped["signals"]
        )


def test_values_of_other_files_are_read_where_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_foreign_signals(tmp_path)
    expected = read_all(path).n_events
    monkeypatch.setenv(FOLLOW, "1")
    rec = read_all(path)
    assert rec.n_events == expected
    for name in ("engine_speed", "latitude", "longitude"):
        assert rec.signals[name].value.tolist() == [7.0, 8.0]
    assert any("other files" in note for note in rec.report.notes)


@pytest.mark.parametrize("way", ["link", "virtual"])
def test_packets_of_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    other = a_recording(tmp_path / "other.hdf5")
    path = tmp_path / "rec.hdf5"
    with h5py.File(path, "w") as file, h5py.File(other) as source:
        if way == "link":
            file["dvs"] = h5py.ExternalLink("other.hdf5", "/dvs")
        else:
            for name in ("data", "timestamp"):
                stored = source["dvs"][name]
                layout = h5py.VirtualLayout(stored.shape, stored.dtype)
                layout[:] = h5py.VirtualSource(stored)
                file.require_group("dvs").create_virtual_dataset(name, layout)
    with pytest.raises(RecordingError, match=f"other.* file.*{FOLLOW}=1"):
        open_recording(path)
    monkeypatch.setenv(FOLLOW, "1")
    assert outcome(path) == outcome(other)


# Files in use -----------------------------------------------------------------------------------


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    size = path.stat().st_size

    def shrink(now: Progress) -> None:
        if now.share > 0.4:
            os.truncate(path, size // 4)

    with pytest.raises(RecordingError, match=r"rec\.hdf5: changed since"):
        open_recording(path, progress=shrink)


WRITER = """
import sys, time, h5py
file = h5py.File(sys.argv[1], "r+", libver=sys.argv[2])
print("open", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks files in another way")
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_open_for_writing(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "rec.hdf5"
    a_recording(path)
    if libver == "latest":
        with h5py.File(path) as old, h5py.File(tmp_path / "l.hdf5", "w", libver="latest") as new:
            old.copy("dvs", new)
        path = tmp_path / "l.hdf5"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), libver], stdout=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(RecordingError, match="open for writing in another process"):
            open_recording(path)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    if libver == "latest":
        with pytest.raises(RecordingError, match="h5clear -s"):
            open_recording(path)


def test_a_file_of_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "rec.hdf5"
    path.write_bytes(bytes(5_000))
    with pytest.raises(RecordingError, match="its writer was killed"):
        open_recording(path)


def test_a_missing_filter_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = a_recording(tmp_path / "whole.hdf5")
    path = tmp_path / "rec.hdf5"
    with h5py.File(whole) as old, h5py.File(path, "w") as new:
        new["dvs/timestamp"] = old["dvs/timestamp"][:]
        stored = old["dvs/data"]
        new.create_dataset(
            "dvs/data", data=stored[:], dtype=stored.dtype, chunks=(128, 3), compression="lzf"
        )
        new.create_dataset("odometer/data", data=np.ones((9, 2)), compression="lzf")
    content = path.read_bytes()
    assert outcome(path) == outcome(whole)
    monkeypatch.setattr(filters, "_library_has", lambda _: False)
    path.write_bytes(content.replace(struct.pack("<H", 32_000), struct.pack("<H", 32_001)))
    with pytest.raises(RecordingError, match=r"filter 32001 \(blosc\).*uv sync --extra formats"):
        open_recording(path)
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"filter 32000 \(lzf\)"):
        open_recording(path)


def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    with h5py.File(path, "r+") as file:
        file.create_dataset(
            "fuel_level/data", (2**23, 2), np.float64, chunks=(2**23, 2), compression="gzip"
        )[0] = (HOST_T0, 1.0)
    rec = read_all(path)
    assert "fuel_level: damaged" in rec.report.skipped["signals"]


def test_a_name_no_file_system_takes(tmp_path: Path) -> None:
    for name in ("x" * 5_000 + ".hdf5", "nul\0.hdf5"):
        with pytest.raises(RecordingError, match=r"cannot be read|no such file"):
            open_recording(tmp_path / name)
