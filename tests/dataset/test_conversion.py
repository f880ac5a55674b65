"""Recordings converted into a folder: engines, restarts, and what is refused or reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from recording_fixtures import tree, write_recording

from eventseg import convert, convert_into, encode_dataset
from eventseg.dataset.conversion.check import check_conversion
from eventseg.dataset.conversion.records import MANIFEST, PARTIAL
from eventseg.dataset.conversion.shards import convert_shard, merge_conversion
from eventseg.errors import DatasetError, EventsegError, JobsError, OutputError, RecordingError
from eventseg.files.locks import locked
from eventseg.files.texts import read_toml
from eventseg.recordings.writers.convert import WRITTEN
from eventseg.training.check_path import check_path
from eventseg_cli.convert import FORMATS
from eventseg_cli.main import main

PIXELS = ("tensors", "frames")
"""Folders of a data set whose files hold pixels."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four recordings of different length."""
    folder = tmp_path_factory.mktemp("conversion") / "drives"
    folder.mkdir()
    for i in range(4):
        write_recording(folder / f"rec{i}.hdf5", events=300 + 9_000 * (i % 2), frames=3, seed=i)
    (folder / "notes.txt").write_text("no recording\n")
    return folder


@pytest.fixture(scope="module")
def straight(drives: Path) -> Path:
    out = drives.parent / "straight"
    assert convert_into(drives, out, format="hdf5").converted == 4
    return out


def test_each_file_is_that_of_a_conversion_of_its_own(
    drives: Path, straight: Path, tmp_path: Path
) -> None:
    names = [f"rec{i}" for i in range(4)]
    assert sorted(tree(straight)) == [MANIFEST, *(f"{name}.hdf5" for name in names)]
    rows = read_toml(straight / MANIFEST)["recordings"]
    assert [row["name"] for row in rows] == names
    one = convert(drives / "rec1.hdf5", tmp_path / "one.hdf5")
    assert one.path.read_bytes() == (straight / "rec1.hdf5").read_bytes()
    assert (rows[1]["events"], rows[1]["frames"], rows[1]["lost"]) == (9_300, 3, one.lost)
    assert rows[1]["source"] == "../drives/rec1.hdf5"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_the_same_again(drives: Path, tmp_path: Path, name: str) -> None:
    if name == "aedat4":
        pytest.importorskip("lz4")
    source = drives / "rec0.hdf5"
    made = [tree(convert_into(source, tmp_path / n, format=name).path) for n in "ab"]
    assert made[0].keys() == {MANIFEST, f"rec0.{name}"}
    assert len({files[f"rec0.{name}"] for files in made}) == 1
    assert {f".{name}" for name in FORMATS} == set(WRITTEN)


def test_a_turned_conversion_encodes_as_its_source_turned(drives: Path, tmp_path: Path) -> None:
    source, out = drives / "rec0.hdf5", tmp_path / "turned"
    command = ["convert", source, "--out", out, "--format", "hdf5"]
    assert run(*command, "--rotate180").exit_code == 0
    assert read_toml(out / MANIFEST)["settings"]["rotate180"] is True
    refused = run(*command)
    assert refused.exit_code == 1
    assert "rotate180 was True" in refused.stderr
    (one,) = encode_dataset([out / "rec0.hdf5"], tmp_path / "one").datasets
    (two,) = encode_dataset([source], tmp_path / "two", rotate180=True).datasets
    found, expected = (tree(each.path) for each in (one, two))
    kept = {name: digest for name, digest in expected.items() if name.startswith(PIXELS)}
    assert kept
    assert {name: digest for name, digest in found.items() if name.startswith(PIXELS)} == kept


@pytest.mark.slow
def test_two_processes_make_the_same_bytes(drives: Path, straight: Path) -> None:
    out = drives.parent / "two"
    shown = []
    convert_into(drives, out, format="hdf5", jobs=2, progress=shown.append)
    assert tree(out) == tree(straight)
    assert (shown[-1].share, shown[-1].note[:17]) == (1, "4 of 4 recordings")


def test_merged_shards_are_the_run_of_one_process(drives: Path, straight: Path) -> None:
    out = drives.parent / "shards"
    words = ("convert", drives, "--out", out, "--format", "hdf5")
    for index in (3, 1, 2):
        result = run(*words, "--shard", f"{index}/3")
        assert result.exit_code == 0, result.output
        assert f"when all 3 are done: eventseg merge {out}" in result.output
        if index == 1:
            with pytest.raises(DatasetError, match=r"1 of 3 shards .* are missing: .* 2/3"):
                merge_conversion(out)
    with pytest.raises(OutputError, match="holds shards of a job array: 'eventseg merge"):
        convert_into(drives, out, format="hdf5")
    content = (out / "rec2.hdf5").read_bytes()
    (out / "rec2.hdf5").write_bytes(content[:-1])
    refused = run("merge", out)
    assert refused.exit_code == 1
    assert "lacks 1 recordings of its shards, such as rec2.hdf5" in refused.stderr
    (out / "rec2.hdf5").write_bytes(content)
    merged = run("merge", out, "--json")
    assert merged.exit_code == 0, merged.output
    assert json.loads(merged.stdout)["recordings"] == ["rec0", "rec1", "rec2", "rec3"]
    assert tree(out) == tree(straight)
    again = run(*words, "--shard", "1/3")
    assert "holds complete conversions; to convert by shards give another --out" in again.stderr


def test_shards_of_other_requests_are_refused(drives: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sources = [drives / "rec0.hdf5", drives / "rec1.hdf5"]
    convert_shard(sources, out, shard="1/2", format="csv")
    with pytest.raises(OutputError, match="end_us was none, now 1000"):
        convert_shard(sources, out, shard="2/2", format="csv", end_us=1_000)
    convert_shard([*sources, drives / "rec2.hdf5"], out, shard="2/2", format="csv")
    with pytest.raises(DatasetError, match="shards 1-of-2 and 2-of-2 differ: recordings"):
        merge_conversion(out)
    with locked(out, shared=True), pytest.raises(OutputError, match="another process is convert"):
        merge_conversion(out)
    record = out / "shards/1-of-2/shard.toml"
    empty = record.read_text().replace("recordings = [", "recordings = []\nothers = [")
    for text in ('shard = 1\nof = 2\nkind = "conversion"\n', empty):
        record.write_text(text)
        with pytest.raises(DatasetError, match="contradicts itself"):
            merge_conversion(out)


def test_a_stopped_run_keeps_what_is_whole(drives: Path, straight: Path) -> None:
    out = drives.parent / "stopped"

    class Stopped(BaseException):
        pass

    def stop(now: object) -> None:
        if (out / "rec0.hdf5").exists():
            raise Stopped

    with pytest.raises(Stopped):
        convert_into(drives, out, format="hdf5", progress=stop)
    assert not (out / MANIFEST).exists()
    first = {path.name: path.stat().st_mtime_ns for path in out.glob("*.hdf5")}
    assert set(first) == {"rec0.hdf5", "rec1.hdf5", "rec3.hdf5"}  # the largest first
    (out / "rec3.hdf5").write_bytes(b"cut short")
    left = [".rec2.hdf5.77.part", "conversion.toml.0d.tmp", "rec2.hdf5.0a1b2c.tmp"]
    for name in left:
        (out / name).write_bytes(b"of a process that was killed")
    shown = run("info", out).stdout
    assert f"{out}: 3 recordings, " in shown
    assert "1 more are not converted yet: run the same convert again to go on" in shown
    problems, _ = check_conversion(out)
    assert sum("left over" in line for line in problems) == 3
    assert problems[0].startswith(f"{out}: 1 of 4 recordings are not converted yet: run the same")
    assert f"{out}: rec3.hdf5 has 9 bytes of" in problems[1]
    assert sorted(check_path(out, repair=True).repaired) == [f"{name} removed" for name in left]
    for name in left:
        (out / name).write_bytes(b"of another process that was killed")
    words = ("convert", drives, "--out", out, "--format", "hdf5")
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert "2 of them were there before and are whole" in again.output
    assert (out / "rec1.hdf5").stat().st_mtime_ns == first["rec1.hdf5"]
    assert tree(out) == tree(straight)
    assert json.loads(run(*words, "--json").stdout)["converted"] == 0
    assert tree(out) == tree(straight)
    assert check_conversion(out) == ([], [])
    described = json.loads(run("info", out, "--json").stdout)
    assert (described["recordings"], described["complete"]) == (
        ["rec0", "rec1", "rec2", "rec3"],
        True,
    )


def test_check_names_what_is_not_as_it_was_made(drives: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "out", tmp_path / "rec0.hdf5"
    shutil.copy(drives / "rec0.hdf5", source)
    convert_into([source, drives / "rec1.hdf5", drives / "rec2.hdf5"], out, format="csv")
    text = (out / "rec0.csv").read_text()
    (out / "rec0.csv").write_text(text.replace("1", "2", 1))
    (out / "rec2.csv").unlink()
    source.write_bytes(b"")
    report = run("check", out)
    assert (report.exit_code, report.stdout.splitlines()[:2]) == (
        1,
        [
            f"{out}: rec0.csv is not as it was made, by its digest; run the same convert again, "
            "which makes it again",
            f"{out}: rec2.csv is missing; run the same convert again, which makes it again",
        ],
    )
    assert "warning: ../rec0.hdf5 has 0 bytes, and rec0.csv was made of" in report.stderr
    (out / MANIFEST).write_text('[settings]\nformat = "../x"\n')
    assert "is no list of converted recordings" in run("check", out).stdout
    names = '["../../x"]'
    (out / MANIFEST).write_text(f'names = {names}\nrecordings = []\n[settings]\nformat = "csv"\n')
    assert "leads to another folder" in run("check", out).stdout


def test_a_later_run_adds_recordings(drives: Path, straight: Path) -> None:
    out = drives.parent / "added"
    convert_into([drives / "rec2.hdf5", drives / "rec0.hdf5"], out, format="hdf5")
    added = convert_into([drives / "rec3.hdf5", drives / "rec1.hdf5"], out, format="hdf5")
    assert [one.name for one in added.recordings] == ["rec1", "rec3"]
    assert tree(out) == tree(straight)


def test_a_poisoned_recording_is_named_and_the_rest_goes_on(drives: Path, tmp_path: Path) -> None:
    broken, wide, out = tmp_path / "broken.hdf5", tmp_path / "wide.npz", tmp_path / "out"
    broken.write_bytes((drives / "rec0.hdf5").read_bytes()[:5_000])
    np.savez(wide, t=[5, 6], x=[3_000, 1], y=[1, 2], p=[0, 1])
    good = [drives / "rec0.hdf5", drives / "rec1.hdf5"]
    with pytest.raises(JobsError, match="2 of 4 jobs failed, the other 2 done") as failed:
        convert_into([broken, wide, *good], out, format="raw")
    assert "broken: " in str(failed.value)
    assert f"wide: {wide}: EVT3 holds at most 2048 rows and columns" in str(failed.value)
    assert sorted(path.name for path in out.iterdir()) == [PARTIAL, "rec0.raw", "rec1.raw"]
    assert convert_into(good, out, format="raw").converted == 0
    assert sorted(tree(out)) == [MANIFEST, "rec0.raw", "rec1.raw"]


def test_names_that_clash_are_one_error_before_any_work(drives: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("rec1.aedat4", "REC1.npz"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(DatasetError, match=r"two recordings have the name (rec1|REC1): "):
            convert_into([drives, tmp_path / name], out, format="raw")
    assert not out.exists()
    # One file by two ways is one recording.
    twice = convert_into([drives, drives / "rec1.hdf5"], out, format="csv")
    assert len(twice.recordings) == 4


def test_another_request_into_the_folder_is_one_error(drives: Path, tmp_path: Path) -> None:
    out, source = tmp_path / "out", tmp_path / "rec0.hdf5"
    shutil.copy(drives / "rec0.hdf5", source)
    convert_into([source, drives / "rec1.hdf5"], out, format="csv")
    before = tree(out)
    for setting, words in (
        ({"format": "raw"}, "format was csv, now raw; give another --out, or --overwrite"),
        ({"format": "csv", "begin_us": 9}, "begin_us was 0, now 9"),
    ):
        with pytest.raises(OutputError, match=words):
            convert_into(source, out, **setting)
    write_recording(source, events=999)
    with pytest.raises(OutputError, match=r"rec0\.csv was made of another recording than .*bytes"):
        convert_into(source, out, format="csv")
    content = bytearray((drives / "rec0.hdf5").read_bytes())
    content[-1] ^= 1
    source.write_bytes(content)
    with pytest.raises(DatasetError, match=r"is not the recording that .* was made of"):
        convert_into(source, out, format="csv")
    assert {name: tree(out)[name] for name in before} == before
    # The other one was not asked for, and stays where settings are the same.
    assert convert_into(source, out, format="csv", overwrite=True).converted == 1
    assert tree(out)["rec1.csv"] == before["rec1.csv"]
    convert_into(source, out, format="npz", overwrite=True)
    assert sorted(tree(out)) == [MANIFEST, "rec0.npz"]


def test_files_of_others_are_kept(drives: Path, tmp_path: Path) -> None:
    (tmp_path / "rec1.raw").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"is there already, and no conversion\.toml says how"):
        convert_into(drives, tmp_path, format="raw")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["rec1.raw"]
    with pytest.raises(OutputError, match=r"rec0\.hdf5 would be replaced; give another --out"):
        convert_into(drives, drives, format="hdf5", overwrite=True)
    convert_into(drives, tmp_path, format="raw", overwrite=True)
    with pytest.raises(OutputError, match=r"rec0\.raw would be replaced"):
        convert_into(tmp_path / "rec0.raw", tmp_path, format="csv", overwrite=True)
    (tmp_path / MANIFEST).write_text("settings = 3")
    with pytest.raises(OutputError, match="is no list of converted recordings"):
        convert_into(drives, tmp_path, format="raw")


def test_a_recording_that_changes_meanwhile_leaves_nothing(drives: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "rec.hdf5", tmp_path / "out"
    shutil.copy(drives / "rec1.hdf5", source)

    def touch(now: object) -> None:
        source.touch()

    with pytest.raises(RecordingError, match="has changed while it was converted"):
        convert_into(source, out, format="csv", progress=touch)
    assert not list(out.glob("rec*"))
    assert convert_into(source, out, format="csv").converted == 1


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ((), 2, "give the file to write behind"),
        (("b.raw", "c.raw"), 2, "3 recordings need a folder: give --out FOLDER"),
        (("OUT",), 2, "is a folder: give --out"),
        (("b.raw", "--jobs", 2), 2, "--jobs is for several recordings: give --out FOLDER"),
        (("b.raw", "--shard", "1/2"), 2, "--shard is for several recordings"),
        (("b.raw", "--format", "raw"), 2, "--format is for several recordings"),
        (("--out", "OUT"), 2, "--out needs --format, one of hdf5, aedat4"),
        (("--out", "OUT", "--format", "film"), 2, "film"),
        (("nothing.raw", "--out", "OUT", "--format", "raw"), 2, "does not exist"),
        (("OUT", "--out", "OUT", "--format", "raw"), 1, "is a folder without recordings"),
        (("--out", "SOURCE", "--format", "raw"), 1, "is a file; give a folder"),
        (
            ("--out", "OUT", "--format", "raw", "--from", "2s", "--to", "1s"),
            1,
            "must begin at 0 or later and end after that",
        ),
        (
            ("--out", "OUT", "--format", "raw", "--shard", "1/2", "--overwrite"),
            2,
            "--shard excludes --scheduler and --overwrite",
        ),
    ],
)
def test_what_cannot_be_is_one_line(
    drives: Path, tmp_path: Path, more: tuple[object, ...], code: int, words: str
) -> None:
    source = drives / "rec0.hdf5"
    (tmp_path / "out").mkdir()
    places = {"OUT": tmp_path / "out", "SOURCE": source}
    result = run("convert", source, *(places.get(word, word) for word in more))
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()[-1:]) == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_format_that_is_not_written_is_an_error(drives: Path, tmp_path: Path) -> None:
    with pytest.raises(EventsegError, match="format 'bag' is none that is written: hdf5, aedat4"):
        convert_into(drives, tmp_path / "out", format="bag")
    assert not (tmp_path / "out").exists()
