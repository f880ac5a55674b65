"""Faults in the middle of long commands: kills, full disks, inputs that change or vanish."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from prediction_fixtures import random_network
from recording_fixtures import tree, write_recording
from training_fixtures import street_dataset

import eventseg
from eventseg.dataset.merge import merge_dataset
from eventseg.dataset.shards import encode_shard
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import EventsegError, OutputError, RecordingError
from eventseg.files.locks import locked
from eventseg.recordings.progress import Progress
from eventseg_cli.main import main

resource = pytest.importorskip("resource", reason="limits of a process are POSIX")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("faults")
    street_dataset(root)
    random_network(root / "gray.pt", "gray")
    write_recording(root / "rec.hdf5", frames=40, events=20_000)
    return root


def encode(root: Path, out: Path) -> object:
    return encode_dataset(root / "rec.hdf5", out)


def shards(root: Path, out: Path) -> object:
    merged = (out / "manifest.toml").exists()  # a merge that was stopped is run again alone
    for index in () if merged else (1, 2, 3):
        encode_shard(root / "rec.hdf5", out, shard=f"{index}/3")
    return merge_dataset(out)


def predict(root: Path, out: Path) -> object:
    return eventseg.predict_into(root / "gray.pt", root / "other.hdf5", out, device="cpu")


def convert(root: Path, out: Path) -> object:
    return eventseg.convert_into(
        [root / f"{name}.hdf5" for name in ("rec", "drive", "other")], out, format="hdf5"
    )


def simulate(root: Path, out: Path) -> object:
    out.mkdir(exist_ok=True)
    return eventseg.simulate_street(
        out / "drive.hdf5", duration_us=60_000, seed=3, sensor=eventseg.SensorSize(24, 32)
    )


WORK: dict[str, Callable[[Path, Path], object]] = {
    "encode": encode, "shards": shards, "predict": predict, "convert": convert,
    "simulate": simulate,
}  # fmt: skip


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no write go beyond a number of bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WORK)
def test_a_full_disk_is_one_error_and_the_next_run_completes(
    made: Path, tmp_path: Path, name: str
) -> None:
    work = WORK[name]
    work(made, tmp_path / "straight")
    sizes = sorted(path.stat().st_size for path in (tmp_path / "straight").rglob("*.*"))
    with largest_file(sizes[len(sizes) // 2] - 1), pytest.raises(EventsegError) as failed:
        work(made, tmp_path / "full")
    assert re.search(r"[Ff]ile too large", str(failed.value))
    assert "\n" not in str(failed.value)
    assert not list((tmp_path / "full").rglob("*.tmp"))
    work(made, tmp_path / "full")
    assert tree(tmp_path / "full") == tree(tmp_path / "straight")


KILLED = """
import os, random, signal, sys
from pathlib import Path
from eventseg.files import whole

seed, name, root, out = sys.argv[1:]
left = random.Random(int(seed)).randrange(2, 9)
real = whole.replace_file

def replace_and_die(source, target):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)

whole.replace_file = replace_and_die
sys.path[:0] = {path!r}
from test_faults import WORK
WORK[name](Path(root), Path(out))
"""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in ("predict", "convert")] + ["shards"],
)
def test_a_run_killed_at_any_write_is_completed_by_the_next(
    made: Path, tmp_path: Path, name: str
) -> None:
    seed = int.from_bytes(os.urandom(2))
    code = KILLED.replace("{path!r}", repr([str(Path(__file__).parent)]))
    killed = subprocess.run(
        [sys.executable, "-c", code, str(seed), name, made, tmp_path / "killed"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, (seed, killed.stderr)
    WORK[name](made, tmp_path / "killed")
    WORK[name](made, tmp_path / "straight")
    assert tree(tmp_path / "killed") == tree(tmp_path / "straight"), seed


KILLED_LAST = """
import os, signal, sys
from pathlib import Path
from eventseg.files import whole

name, root, out, last = sys.argv[1:]
real = whole.replace_file

def replace_and_die(source, target):
    real(source, target)
    if Path(target) == Path(out, last):
        os.kill(os.getpid(), signal.SIGKILL)

whole.replace_file = replace_and_die
sys.path[:0] = {path!r}
from test_faults import WORK
WORK[name](Path(root), Path(out))
"""


@pytest.mark.parametrize(
    ("name", "last"),
    [
        pytest.param("predict", "predictions.toml", marks=pytest.mark.slow),
        pytest.param("shards", "manifest.toml", marks=pytest.mark.slow),
        pytest.param("simulate", "drive.hdf5", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_after_its_last_write_leaves_nothing_that_the_next_does_not_remove(
    made: Path, tmp_path: Path, name: str, last: str
) -> None:
    code = KILLED_LAST.replace("{path!r}", repr([str(Path(__file__).parent)]))
    killed = subprocess.run(
        [sys.executable, "-c", code, name, made, tmp_path / "killed", last],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    WORK[name](made, tmp_path / "killed")
    WORK[name](made, tmp_path / "straight")
    assert tree(tmp_path / "killed") == tree(tmp_path / "straight")


def test_a_stopped_merge_is_named_where_its_shards_are_run_again(
    made: Path, tmp_path: Path
) -> None:
    shards(made, tmp_path)
    (tmp_path / "shards").mkdir()
    with pytest.raises(OutputError, match=f"'eventseg merge {tmp_path}' ends its merge"):
        encode_shard(made / "rec.hdf5", tmp_path, shard="1/3")


def test_what_a_killed_writer_left_is_removed_by_the_next(made: Path, tmp_path: Path) -> None:
    left = tmp_path / "..drive.hdf5.part.4711.part"
    left.write_bytes(b"left")
    other = tmp_path / "..others.hdf5.part.4711.part"
    other.write_bytes(b"of another recording")
    simulate(made, tmp_path)
    assert not left.exists()
    assert other.exists()


CHANGES: dict[str, Callable[[Path], object]] = {
    "vanishes": lambda path: path.unlink(),
    "is replaced": lambda path: write_recording(path, seed=9, frames=40, events=20_000),
    "grows": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "is touched": lambda path: os.utime(path, (1, 1)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("anchor", ["frame", "count:1000"])
def test_an_input_that_changes_under_the_run_leaves_nothing_wrong(
    tmp_path: Path, change: str, anchor: str
) -> None:
    path = write_recording(tmp_path / "rec.hdf5", frames=40, events=20_000)
    content = path.read_bytes()
    encode_dataset(path, tmp_path / "straight", anchor=anchor)
    todo = [CHANGES[change]]

    def disturb(now: Progress) -> None:
        if now.stage == "encode" and now.done > 0.3 * now.total and todo:
            todo.pop()(path)

    with pytest.raises(RecordingError, match=r"rec\.hdf5 has (changed|gone) while it was encoded"):
        encode_dataset(path, tmp_path / "out", anchor=anchor, progress=disturb)
    assert not todo
    assert not list((tmp_path / "out").rglob("*.np*"))
    path.write_bytes(content)
    encode_dataset(path, tmp_path / "out", anchor=anchor)
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_two_runs_into_one_folder_are_one_error(made: Path, tmp_path: Path) -> None:
    for name in ("encode", "predict"):
        (tmp_path / name).mkdir()
        for shared in (False, True):
            with (
                locked(tmp_path / name, shared=shared),
                pytest.raises(OutputError, match="another process is"),
            ):
                WORK[name](made, tmp_path / name)
    with locked(tmp_path / "encode"), pytest.raises(OutputError, match="another process"):
        shards(made, tmp_path / "encode")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("name", WORK)
def test_a_folder_that_cannot_be_written_is_one_error(
    made: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot"):
        WORK[name](made, tmp_path / "locked" / "out")


def test_an_output_below_a_file_is_one_error(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        main(["encode", str(made / "rec.hdf5"), "--out", str(tmp_path / "file/out"), "-q"])
    assert ended.value.code == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
