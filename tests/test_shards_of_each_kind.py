"""Shards of each kind: merges that are killed, and arrays of another number of shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from pseudolabel_teachers import SIX, StubTeacher, by_gray
from recording_fixtures import SMALL, tree, write_recording

from eventseg import convert_into
from eventseg.dataset.conversion.shards import convert_shard
from eventseg.dataset.jobs.shard import read_shards, remove_shards
from eventseg.dataset.shards import encode_shard
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import JobsError, OutputError
from eventseg.pseudolabel.label_set import label_dataset
from eventseg.pseudolabel.shards import label_shard
from eventseg.simulate import simulate_streets, simulate_streets_shard
from eventseg_cli.main import main

STREETS = {"duration_us": 20_000, "sensor": SMALL, "threads": 1, "rare": False}
LABELS = {"name": "stub", "classes": SIX, "batch": 2}
WINDOWS = {"anchor": "evsegnet", "windows_us": (10_000, 50_000)}

Make = Callable[[Path, Path, "str | None"], object]


def _encode(recording: Path, out: Path, shard: str | None, **settings: object) -> object:
    if shard is None:
        return encode_dataset(recording, out, **settings)
    return encode_shard(recording, out, shard=shard, **settings)


def _label(recording: Path, out: Path, shard: str | None) -> object:
    if not out.exists():
        encode_dataset(recording, out, store="none")
    if shard is None:
        return label_dataset(out, [StubTeacher(by_gray)], **LABELS)
    return label_shard(out, [StubTeacher(by_gray)], shard=shard, **LABELS)


def _simulate(recording: Path, out: Path, shard: str | None) -> object:
    if shard is None:
        return simulate_streets(out, range(3), **STREETS)
    return simulate_streets_shard(out, range(3), shard=shard, **STREETS)


def _convert(recording: Path, out: Path, shard: str | None) -> object:
    if shard is None:
        return convert_into(recording, out, format="csv")
    return convert_shard(recording, out, shard=shard, format="csv")


MAKES: dict[str, Make] = {
    "data set": _encode,
    "windows": lambda *arguments: _encode(*arguments, **WINDOWS),
    "labels": _label,
    "streets": _simulate,
    "conversion": _convert,
}


@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("kind", MAKES)
def test_a_merge_that_was_killed_is_ended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, calls: int
) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    out, straight, make = tmp_path / "out", tmp_path / "straight", MAKES[kind]
    make(recording, straight, None)
    for shard in ("1/3", "2/3", "3/3"):
        make(recording, out, shard)
    remove, left = shutil.rmtree, [calls]

    def kill(folder: Path, *arguments: object, **more: object) -> None:
        left[0] -= Path(folder).name not in ("convert.partial",)
        if left[0]:
            remove(folder, *arguments, **more)
            return
        others = [path for path in Path(folder).rglob("*") if path.is_file()]
        for path in others[:-1]:
            path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", kill)
        killed = CliRunner().invoke(main, ["merge", str(out)])
    assert killed.exit_code == 130, killed.output
    ended = CliRunner().invoke(main, ["merge", str(out)])
    assert ended.exit_code == 0, ended.output
    assert str(out) in ended.output
    assert tree(out) == tree(straight)
    assert not list(out.glob("shards*"))


def test_records_that_cannot_be_removed_are_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_shard(write_recording(tmp_path / "rec.hdf5"), tmp_path / "out", shard="1/1")
    assert len(read_shards(tmp_path / "out", kind="dataset")) == 1

    def refuse(folder: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match=r"cannot remove .*shards: Permission denied"):
        remove_shards(tmp_path / "out")


@pytest.mark.parametrize("kind", MAKES)
def test_a_shard_of_an_array_of_another_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    recording, out = write_recording(tmp_path / "rec.hdf5"), tmp_path / "out"
    make = MAKES[kind]
    make(recording, out, "1/3")
    before = tree(out)
    # A task of a Slurm array that is submitted again by itself.
    for name, value in (("ID", 3), ("COUNT", 1), ("MIN", 3), ("MAX", 3)):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
    with pytest.raises(JobsError, match="an array of 3, this is shard 1/1: give --shard I/3"):
        make(recording, out, "slurm")
    assert tree(out) == before
    for shard in ("2/3", "3/3"):
        make(recording, out, shard)
    assert CliRunner().invoke(main, ["merge", str(out)]).exit_code == 0
