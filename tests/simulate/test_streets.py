"""Many streets into a folder: by one process, shards and again, and what is refused."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from recording_fixtures import tree

from eventseg.errors import DatasetError, EventsegError, OutputError
from eventseg.events import SensorSize
from eventseg.files.locks import locked
from eventseg.simulate import (
    merge_streets,
    simulate_street,
    simulate_streets,
    simulate_streets_shard,
    streets,
    streets_folder,
)
from eventseg.simulate.files import Summary
from eventseg.simulate.street_job import StreetJob, make_street
from eventseg.simulate.streets_folder import STREETS, UNFINISHED
from eventseg.training.check_path import check_path
from eventseg_cli.main import main

SENSOR = SensorSize(24, 32)
SETTINGS = {"duration_us": 20_000, "sensor": SENSOR, "threads": 1, "rare": False}


def run(*arguments: object) -> Result:
    words = ("--duration", "20ms", "--sensor", "32x24", "--threads", 1, "--no-rare")
    return CliRunner().invoke(main, ["simulate", "street", *map(str, (*arguments, *words))])


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "streets"
    made = simulate_streets(out, range(3, 8), **SETTINGS)
    assert [one.recording.name for one in made.made] == [
        f"street-00000{i}.hdf5" for i in range(3, 8)
    ]
    return out


def test_each_street_is_that_of_its_seed(straight: Path, tmp_path: Path) -> None:
    simulate_street(tmp_path / "one.hdf5", seed=5, **SETTINGS)
    assert (tmp_path / "one.hdf5").read_bytes() == (straight / "street-000005.hdf5").read_bytes()
    names = sorted(path.name for path in straight.iterdir())
    assert len(names) == 11
    assert names[-1] == "streets.toml"


def test_merged_shards_are_the_run_of_one_process(straight: Path, tmp_path: Path) -> None:
    for index in (3, 1, 2):
        result = run(tmp_path / "out", "--seeds", "3:8", "--shard", f"{index}/3")
        assert result.exit_code == 0, result.output
        assert "when all 3 are done: eventseg merge " in result.output
        if index == 1:
            with pytest.raises(DatasetError, match=r"1 of 3 shards .* are missing: .* 2/3"):
                merge_streets(tmp_path / "out")
    with pytest.raises(OutputError, match="holds shards of a job array: 'eventseg merge"):
        simulate_streets(tmp_path / "out", range(3, 8), **SETTINGS)
    lost = tmp_path / "out/street-000004.hdf5"
    content = lost.read_bytes()
    lost.unlink()
    with pytest.raises(DatasetError, match="lacks 1 streets of its shards, such as street-000004"):
        merge_streets(tmp_path / "out")
    lost.write_bytes(content)
    merged = CliRunner().invoke(main, ["merge", str(tmp_path / "out")])
    assert merged.exit_code == 0, merged.output
    assert f"{tmp_path / 'out'}: 5 streets" in merged.output
    assert tree(tmp_path / "out") == tree(straight)


def test_shards_of_other_settings_are_refused(tmp_path: Path) -> None:
    simulate_streets_shard(tmp_path, range(2), shard="1/2", **SETTINGS)
    with pytest.raises(OutputError, match="duration_us was 20000, now 30000"):
        simulate_streets_shard(
            tmp_path, range(2), shard="2/2", **{**SETTINGS, "duration_us": 30_000}
        )
    simulate_streets_shard(tmp_path, range(3), shard="2/2", **SETTINGS)
    with pytest.raises(DatasetError, match="differ: seeds were 0, 1, now 0, 1, 2"):
        merge_streets(tmp_path)
    with locked(tmp_path, shared=True), pytest.raises(OutputError, match="another process is"):
        merge_streets(tmp_path)


def test_a_stopped_run_is_completed_and_seeds_are_added(straight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Stopped(BaseException):
        pass

    def stop(now: object) -> None:
        if (out / "street-000004.hdf5").exists():
            raise Stopped

    with pytest.raises(Stopped):
        simulate_streets(out, (3, 4, 5, 6, 7), progress=stop, **SETTINGS)
    assert (out / UNFINISHED).exists()
    assert check_path(out).kind != "predictions", "they are on their way under another name"
    for name in (".street-000005.hdf5.part", "..street-000005.hdf5.part.77.part"):
        (out / name).write_bytes(b"of a process that was killed")
    first = (out / "street-000003.hdf5").stat().st_mtime_ns
    again = run(out, "--seeds", "3,4,5,6")
    assert again.exit_code == 0, again.output
    assert "2 of them were there before" in again.output
    assert len(simulate_streets(out, [7], **SETTINGS).made) == 1
    assert (out / "street-000003.hdf5").stat().st_mtime_ns == first
    assert tree(out) == tree(straight)


def listed(out: Path) -> list[int]:
    """Return the seeds of a complete folder, each of which has its two files."""
    seeds: list[int] = tomllib.loads((out / STREETS).read_text())["seeds"]
    for end in ("hdf5", "truth.h5"):
        assert {path.name for path in out.glob(f"street-??????.{end}")} == {
            f"street-{seed:06d}.{end}" for seed in seeds
        }
    return seeds


def stop_at(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Let a run end, as by Ctrl-C, where it comes to a seed."""

    def make_or_stop(job: StreetJob, tick: Callable[[float], None]) -> Summary:
        if job.seed == seed:
            raise KeyboardInterrupt
        return make_street(job, tick)

    monkeypatch.setattr(streets, "make_street", make_or_stop)


def test_a_stopped_run_lists_the_streets_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            simulate_streets(tmp_path, range(2), **SETTINGS)
    simulate_streets(tmp_path, [5], **SETTINGS)
    assert listed(tmp_path) == [0, 5], "the completed street of the stopped run is listed"
    for overwrite, there in ((False, [0, 1, 3, 5]), (True, [0, 3, 5])):
        with monkeypatch.context() as patch:
            stop_at(patch, 1 if overwrite else 2)
            with pytest.raises(KeyboardInterrupt):
                simulate_streets(tmp_path, (1, 2), overwrite=overwrite, **SETTINGS)
        simulate_streets(tmp_path, [3], **SETTINGS)
        assert listed(tmp_path) == there, f"after a stopped run with overwrite={overwrite}"


def test_streets_of_other_seeds_stay_listed_when_they_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate_streets(tmp_path, range(2), **SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(streets_folder, "truth_path", lambda path: tmp_path)
        with pytest.raises(OutputError, match="cannot remove streets"):
            simulate_streets(tmp_path, [1], overwrite=True, **SETTINGS)
    simulate_streets(tmp_path, [1], **SETTINGS)
    assert listed(tmp_path) == [0, 1]


def test_overwrite_removes_streets_of_a_stopped_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            simulate_streets(tmp_path, range(2), **{**SETTINGS, "duration_us": 10_000})
    simulate_streets(tmp_path, [1], overwrite=True, **SETTINGS)
    assert listed(tmp_path) == [1], "the street of the other duration is gone"


def test_what_is_there_is_kept_unless_told(straight: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    simulate_streets(out, [1], **{**SETTINGS, "scenario": "night"})
    refused = run(out, "--seeds", "3:8")
    assert refused.exit_code == 1
    assert "scenario was night, now day; give another folder, or --overwrite" in refused.output
    assert run(out, "--seeds", "3:8", "--overwrite").exit_code == 0
    assert tree(out) == tree(straight)
    (tmp_path / "own").mkdir()
    for name in ("street-000003.hdf5", "street-000003.truth.h5"):
        (tmp_path / "own" / name).write_bytes(b"precious")
    with pytest.raises(OutputError, match="is there already, and no streets"):
        simulate_streets(tmp_path / "own", [3], **SETTINGS)
    (tmp_path / "own/streets.toml").write_text("seeds = 3")
    with pytest.raises(OutputError, match="is no list of streets"):
        simulate_streets(tmp_path / "own", [3], **SETTINGS)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--seeds", "5:5"), 2, "names no seed"),
        (("--seeds", "1,1"), 2, "names a seed twice"),
        (("--seeds", "a:b"), 2, "must be A:B, such as 0:100"),
        (("--seeds", "-1:3"), 2, "must be A:B"),
        (("--seeds", "0:2", "--seed", "1"), 2, "--seed and --seeds exclude each other"),
        (("--seeds", "0:2", "--shard", "1/2", "--overwrite"), 2, "--shard excludes"),
        (("--jobs", "2"), 2, "give --seeds"),
        (("--seeds", "0:2", "--scenario", "moon"), 1, "moon"),
        (("--seeds", "0:2", "--set", "no_such=1"), 1, "no_such"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    tmp_path: Path, more: tuple[str, ...], code: int, words: str
) -> None:
    result = run(tmp_path / "out", *more)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert not list(tmp_path.rglob("*.hdf5"))


def test_no_seeds_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EventsegError, match="different numbers"):
        simulate_streets(tmp_path / "out", [1, 1], **SETTINGS)
