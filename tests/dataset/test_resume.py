"""Runs that are killed, stopped, repeated or repeated with something else."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from recording_fixtures import tree, write_recording

from eventseg.dataset import encode as dataset_encode
from eventseg.dataset import writer as dataset_writer
from eventseg.dataset.check import check_dataset
from eventseg.dataset.manifest import Manifest, difference
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.settings import Settings
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding import encoding_of
from eventseg.errors import DatasetError, EventsegError, OutputError, RecordingError
from eventseg.events import SensorSize
from eventseg.files.locks import locked
from eventseg.files.whole import write_whole
from eventseg.recordings.choices import FileChoices
from eventseg.windows import parse_anchor

RUN = """
import os, signal, sys
from eventseg.dataset.writer import encode_dataset
from eventseg.files.whole import write_whole
from eventseg.windows import parse_anchor

out, anchor, workers, sign, *recordings = sys.argv[1:]
# A job in the background inherits that interrupts are ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def end(progress):
    if progress.stage == "encode" and progress.done > 0.4 * progress.total:
        if sign == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        os.killpg(0, signal.SIGINT)

try:
    encode_dataset(recordings, out, windows_us=(10_000, 50_000), anchor=parse_anchor(anchor),
                   workers=int(workers), progress=end)
except KeyboardInterrupt:
    sys.exit(130)
"""


def run_and_end(
    recordings: list[Path], out: Path, *, anchor: str, workers: int, sign: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, out, anchor, str(workers), sign, *recordings],
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("anchor", "workers"),
    [
        ("stride:20ms", 2),
        pytest.param("frame", 1, marks=pytest.mark.slow),
        pytest.param("evsegnet", 1, marks=pytest.mark.slow),
    ],
)
def test_killed_run_resumes_to_the_same_bytes(tmp_path: Path, anchor: str, workers: int) -> None:
    recordings = [
        write_recording(tmp_path / f"{name}.hdf5", frames=40, seed=i)
        for i, name in enumerate("abc")
    ]
    settings = {"windows_us": (10_000, 50_000), "anchor": parse_anchor(anchor)}
    encode_dataset(recordings, tmp_path / "straight", **settings)
    out = tmp_path / "killed"
    killed = run_and_end(recordings, out, anchor=anchor, workers=workers, sign="KILL")
    assert killed.returncode == -signal.SIGKILL
    written = tree(out)
    assert any(name.endswith(".npy") for name in written)
    assert not any(name.endswith("manifest.toml") for name in written if "50ms" in name)
    assert any("incomplete: run encode again" in problem for problem in check_dataset(out))
    with pytest.raises(DatasetError, match=r"incomplete|open one of"):
        open_dataset(out)
    # What a write that was cut off leaves.
    (next(out.rglob("encode.partial.toml")).parent / "a_f000000.npy.12345.tmp").write_bytes(b"half")
    encode_dataset(recordings, out, **settings)
    assert tree(out) == tree(tmp_path / "straight")
    assert check_dataset(out, deep=True) == []


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_interrupted_run_says_nothing_of_its_workers_and_resumes(
    tmp_path: Path, workers: int
) -> None:
    recordings = [
        write_recording(tmp_path / f"{name}.hdf5", frames=40, seed=i) for i, name in enumerate("ab")
    ]
    out = tmp_path / "out"
    ended = run_and_end(recordings, out, anchor="frame", workers=workers, sign="INT")
    assert (ended.returncode, ended.stderr) == (130, "")
    assert not (out / "manifest.toml").exists()
    encode_dataset(recordings, out, windows_us=(10_000, 50_000))
    assert check_dataset(out, deep=True) == []


@pytest.mark.slow
def test_workers_give_the_same_bytes(tmp_path: Path) -> None:
    recordings = [write_recording(tmp_path / f"{n}.hdf5", seed=i) for i, n in enumerate("ba")]
    for workers in (1, 2):
        encode_dataset(recordings, tmp_path / f"by{workers}", workers=workers)
    assert tree(tmp_path / "by1") == tree(tmp_path / "by2")


def test_finished_recordings_are_not_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = [write_recording(tmp_path / f"{n}.hdf5", seed=i) for i, n in enumerate("ab")]
    seen: list[str] = []

    def counted(job: dataset_encode.EncodeJob, tick: object) -> object:
        seen.append(job.path.stem)
        if seen == ["a", "b"]:
            raise OutputError("the disk is full")
        return dataset_encode.encode_into(job, tick)  # type: ignore[arg-type]

    monkeypatch.setattr(dataset_writer, "encode_into", counted)
    with pytest.raises(OutputError, match="disk is full"):
        encode_dataset(recordings, tmp_path / "out")
    assert Manifest.read(tmp_path / "out" / "encode.partial.toml").finished == ("a",)
    encode_dataset(recordings, tmp_path / "out")
    assert seen == ["a", "b", "b"]


def test_whole_data_set_is_left_alone_and_says_so(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    (first,) = encode_dataset([recording], tmp_path / "out").datasets
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    (second,) = encode_dataset([recording], tmp_path / "out").datasets
    assert (first.already, second.already) == (False, True)
    assert "already whole, left alone" in second.lines()[0]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == stamps


def test_missing_files_of_a_whole_data_set_are_made_again(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    encode_dataset([recording], tmp_path / "out")
    whole = tree(tmp_path / "out")
    (tmp_path / "out/tensors/50ms/rec_f000003.npy").unlink()
    (tmp_path / "out/frames/rec_f000005.png").unlink()
    encode_dataset([recording], tmp_path / "out")
    assert tree(tmp_path / "out") == whole


def test_recording_that_moved_is_found_again(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    encode_dataset([recording], tmp_path / "out", store="none")
    before = open_dataset(tmp_path / "out").tensor(4)
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.move(recording, tmp_path / "elsewhere"))
    encode_dataset([moved], tmp_path / "out", store="none")
    assert (open_dataset(tmp_path / "out").tensor(4) == before).all()


@pytest.mark.parametrize("state", ["whole", "stopped"])
def test_what_decides_nothing_is_no_other_setting(tmp_path: Path, state: str) -> None:
    paths = [write_recording(tmp_path / f"{name}.hdf5", seed=k) for k, name in enumerate("abc")]
    out = tmp_path / "out"
    encode_dataset(paths, out, held_out=["a", "a"], validation=["b", "b"])
    if state == "stopped":
        (out / "manifest.toml").rename(out / "encode.partial.toml")
        (out / "samples.csv").rename(out / "samples.partial.csv")
    encode_dataset(paths, out, held_out=["a"], validation=["b"], max_frame_age_us=2_000_000)
    assert open_dataset(out).manifest.settings.held_out == ("a",)
    encode_dataset(paths, tmp_path / "stride", anchor="stride:100ms")
    with pytest.raises(DatasetError, match="frame_age was 1s, now 2s"):
        encode_dataset(
            paths, tmp_path / "stride", anchor="stride:100ms", max_frame_age_us=2_000_000
        )


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=f"{tmp_path} is a folder; give the recordings in it"):
        encode_dataset(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("state", ["whole", "stopped"])
@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"windows_us": [10_000]}, "windows was 50ms, now 10ms"),
        ({"anchor": parse_anchor("centre")}, "anchor was frame, now centre"),
        ({"normalise": "evsegnet"}, "normalise was raw, now evsegnet"),
        ({"ddof": 0}, "ddof was 1, now 0"),
        ({"crop": (0, 20)}, "rows was 0, 24, now 0, 20"),
        ({"store": "npz"}, "store was npy, now npz"),
        ({"rotate180": True}, "rotate180 was False, now True"),
        ({"held_out": ["rec"]}, "held_out was none, now rec"),
        ({"validation": ["rec"]}, "validation was none, now rec"),
        ({"dtype": "float16"}, "dtype was float32, now float16"),
    ],
)
def test_other_settings_are_refused_by_name(
    tmp_path: Path, state: str, other: dict[str, object], named: str
) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    out = tmp_path / "out"
    encode_dataset([recording], out)
    if state == "stopped":
        (out / "manifest.toml").rename(out / "encode.partial.toml")
        (out / "samples.csv").rename(out / "samples.partial.csv")
    before = tree(out)
    with pytest.raises(DatasetError, match=f"other settings: {named};"):
        encode_dataset([recording], out, **other)  # type: ignore[arg-type]
    assert tree(out) == before


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [
        ("dtype", "float16", "float32"),
        ("camera", "left", "none"),
        ("time_unit", "ns", "none"),
        ("shift_frames_us", -5_000, "none"),
        ("validation", ("rec",), "none"),
        ("filters", ("hot:3",), "none"),
        ("representation", "count", "mean-std"),
    ],
)
def test_settings_that_a_manifest_may_lack_are_compared_both_ways(
    name: str, value: object, usual: str
) -> None:
    def made(**settings: object) -> Manifest:
        chosen = {key: settings.pop(key) for key in ("validation",) if key in settings}
        choices = {
            key: settings.pop(key) for key in FileChoices.__dataclass_fields__ if key in settings
        }
        encoding = encoding_of(SensorSize(24, 32), **settings)  # type: ignore[arg-type]
        return Manifest(
            Settings(
                parse_anchor("frame"), (50_000,), encoding, "npy",
                choices=FileChoices(**choices), **chosen,  # type: ignore[arg-type]
            ),
            (),
        )  # fmt: skip

    plain, other = made(), made(**{name: value})
    before, after = difference(plain, other), difference(other, plain)
    assert before is not None
    assert after is not None
    assert f" was {usual}, now " in before
    assert after.endswith(f", now {usual}")
    assert difference(other, other) is None


@pytest.mark.parametrize("state", ["whole", "stopped"])
def test_recording_that_changed_is_refused(tmp_path: Path, state: str) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    out = tmp_path / "out"
    encode_dataset([recording], out)
    if state == "stopped":
        (out / "manifest.toml").rename(out / "encode.partial.toml")
    write_recording(recording, seed=9)
    with pytest.raises(DatasetError, match="recording rec has changed since"):
        encode_dataset([recording], out)
    other = write_recording(tmp_path / "other.hdf5")
    with pytest.raises(DatasetError, match="recordings were rec, now other"):
        encode_dataset([other], out)


def test_run_begun_by_another_version_is_refused(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    out = tmp_path / "out"
    encode_dataset([recording], out)
    text = (out / "manifest.toml").read_text()
    version = Manifest.read(out / "manifest.toml").version
    (out / "manifest.toml").unlink()
    partial = text.replace(f'version = "{version}"', 'version = "0.0.1"')
    (out / "encode.partial.toml").write_text(partial)
    with pytest.raises(DatasetError, match=r"begun by eventseg 0\.0\.1"):
        encode_dataset([recording], out)


def test_folder_that_another_run_writes_to_is_refused(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    (tmp_path / "out").mkdir()
    with (
        locked(tmp_path / "out"),
        pytest.raises(OutputError, match="another process is encoding"),
    ):
        encode_dataset([recording], tmp_path / "out")


@pytest.mark.parametrize("workers", [1, 2])
def test_error_in_one_recording_names_it_and_leaves_no_folder(tmp_path: Path, workers: int) -> None:
    good = write_recording(tmp_path / "good.hdf5")
    bad = tmp_path / "bad.hdf5"
    bad.write_bytes(b"not HDF5")
    with pytest.raises(EventsegError, match=r"bad\.hdf5"):
        encode_dataset([good, bad], tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()


def test_write_that_fails_leaves_nothing_and_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")

    def full(path: Path, tensor: object) -> None:
        write_whole(path, lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    monkeypatch.setattr(dataset_encode, "write_tensor", full)
    with pytest.raises(OutputError, match=r"cannot write .*\.npy: No space left on device"):
        encode_dataset([recording], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.npy*"))
    monkeypatch.undo()
    encode_dataset([recording], tmp_path / "out")
    assert check_dataset(tmp_path / "out") == []
