"""The truth of a simulated recording goes with its conversion, or is said to stay behind."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from recording_fixtures import tree, write_recording

from eventseg import convert, convert_into
from eventseg.dataset.check import check_dataset
from eventseg.dataset.conversion.check import check_conversion
from eventseg.dataset.conversion.shards import convert_shard, merge_conversion
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, OutputError, RecordingError
from eventseg.evaluation.stress.streets import why_not_again
from eventseg.events import SensorSize
from eventseg.files.texts import read_toml
from eventseg.recordings import open_recording
from eventseg.recordings.check import check_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.recordings.writers import convert as module
from eventseg.recordings.writers.conversion import TRUE_MAPS
from eventseg.recordings.writers.leftovers import leftovers
from eventseg.recordings.writers.truth import copy_truth
from eventseg.simulate.scene.scenes import scene_of
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg_cli.main import main

SENSOR = SensorSize(24, 32)
FRAMES = 9


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drive") / "drive.hdf5"
    return simulate_street(out, duration_us=300_000, seed=7, sensor=SENSOR, threads=1).recording


@pytest.fixture(scope="module")
def encoded(drive: Path) -> dict[str, str]:
    encode_dataset([drive], drive.parent / "encoded")
    return tree(drive.parent / "encoded")


def is_of(recording: Path) -> bool:
    with Truth(truth_path(recording)) as truth:
        return truth.belongs_to(recording) and truth.recording_sha256 != ""


@pytest.mark.parametrize("suffix", [".hdf5", ".aedat4"])
def test_a_converted_street_is_the_same_data_set(
    drive: Path, encoded: dict[str, str], tmp_path: Path, suffix: str
) -> None:
    if suffix == ".aedat4":
        pytest.importorskip("lz4")
    made = convert(drive, tmp_path / f"to/drive{suffix}")
    assert made.truth == tmp_path / "to/drive.truth.h5"
    assert made.lines()[1] == f"  with its truth, {made.truth}"
    assert (made.lost.get(TRUE_MAPS), made.truth_left) == (None, "")
    encode_dataset([made.path], tmp_path / "out")
    found = tree(tmp_path / "out")
    # The manifest alone has path and digest of the recording.
    assert found.keys() == encoded.keys()
    assert {name for name in found if found[name] != encoded[name]} == {"manifest.toml"}
    assert sum(name.startswith("labels/truth/") for name in found) == FRAMES
    with Truth(truth_path(drive)) as before, Truth(made.truth) as after:
        assert (after.recipe, after.classes, after.sensor) == (
            before.recipe, before.classes, before.sensor,
        )  # fmt: skip
        for mine, theirs in zip(after.events(), before.events(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(after.t_us, before.t_us)
        for name in ("label", "depth", "flow"):
            np.testing.assert_array_equal(getattr(after, name)(4), getattr(before, name)(4))
    assert check_recording(made.path) == ([], [])
    with pytest.raises(RecordingError, match=f"open drive{suffix}$"):
        open_recording(made.truth)


def test_a_part_has_the_truth_of_that_part(drive: Path, tmp_path: Path) -> None:
    made = convert(drive, tmp_path / "part.hdf5", begin_us=100_000, end_us=200_000)
    with (
        open_recording(drive) as recording,
        open_recording(made.path) as part,
        Truth(truth_path(drive)) as before,
        Truth(truth_path(made.path)) as after,
    ):
        first = len(recording.events(None, recording.t_first_us + 100_000))
        assert 0 < first < after.n_events + first < before.n_events
        assert after.recipe["part"] == {"events": [first, first + part.n_events], "shift_us": 0}
        for mine, theirs in zip(
            after.events(), before.events(first, first + part.n_events), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(after.t_us, part.frames.t_us)
        assert len(after.t_us) == made.frames == 3
        for i, t_us in enumerate(after.t_us):
            same = int(np.flatnonzero(before.t_us == t_us)[0])
            np.testing.assert_array_equal(after.label(i), before.label(same))
        np.testing.assert_array_equal(scene_of(after)(after.t_us[1]).label, after.label(1))
    (summary,) = encode_dataset([made.path], tmp_path / "out").datasets
    assert len(list(summary.path.glob("labels/truth/*.png"))) == 3
    # It cannot be simulated again: the recipe makes the whole street.
    why = "recording part is a part of a simulated drive"
    assert why_not_again(open_source(summary.path), ["part"], "night").startswith(why)


def test_times_of_a_truth_follow_the_clock_of_the_file(drive: Path, tmp_path: Path) -> None:
    frames = np.array([2, 5])
    copy_truth(
        truth_path(drive), tmp_path / "a.truth.h5", events=(7, 9), frames=frames, shift_us=40_000
    )
    with Truth(truth_path(drive)) as before, Truth(tmp_path / "a.truth.h5") as after:
        np.testing.assert_array_equal(after.t_us, before.t_us[frames] - 40_000)
        np.testing.assert_array_equal(scene_of(after)(after.t_us[1]).label, before.label(5))
        assert after.n_events == 2


def test_a_profiler_that_holds_frames_changes_no_byte(tmp_path: Path) -> None:
    """Workers of Dask have one: files of HDF5 must not wait for the last reference to a part."""

    def made(folder: Path) -> dict[str, str]:
        drive = folder / "drive.hdf5"
        simulate_street(drive, duration_us=100_000, seed=7, sensor=SENSOR, threads=1)
        for suffix in (".hdf5", ".aedat4", ".h5"):
            convert(drive, folder / f"to{suffix}/drive{suffix}")
        return tree(folder)

    plain, held = made(tmp_path / "plain"), []
    sys.setprofile(lambda frame, *_: held.append(frame))
    try:
        profiled = made(tmp_path / "profiled")
    finally:
        sys.setprofile(None)
        held.clear()
    assert profiled == plain


@pytest.mark.parametrize("suffix", [".raw", ".h5", ".npz", ".csv"])
def test_a_format_without_frames_says_that_the_labels_stay_behind(
    drive: Path, tmp_path: Path, suffix: str
) -> None:
    made = convert(drive, tmp_path / f"drive{suffix}")
    assert made.lost["frames"] == made.lost[TRUE_MAPS] == FRAMES
    assert made.truth is None
    assert not truth_path(made.path).exists()
    assert made.lines()[-1] == (
        "  true labels stay behind (9 maps): a file without frames has no place for them"
    )


def test_of_recordings_that_share_a_name_one_has_the_truth(drive: Path, tmp_path: Path) -> None:
    for path in (drive, truth_path(drive)):
        shutil.copy(path, tmp_path)
    source, before = tmp_path / drive.name, truth_path(drive).read_bytes()
    # A format with frames, in the same folder: the truth there stays that of the source.
    for name in ("drive.raw", "drive.h5"):
        convert(source, tmp_path / name, overwrite=True)
    again = tmp_path / "to/drive.hdf5"
    convert(source, again)
    left = convert(tmp_path / "drive.hdf5", tmp_path / "to/drive.csv")
    assert left.lost[TRUE_MAPS] == FRAMES
    assert is_of(again)
    assert truth_path(source).read_bytes() == before
    (summary,) = encode_dataset(
        [tmp_path / "drive.raw"], tmp_path / "out", sensor=SENSOR, anchor="stride:50ms"
    ).datasets
    assert not (summary.path / "labels").exists()
    assert check_dataset(summary.path, deep=True) == []
    assert check_recording(tmp_path / "drive.raw") == ([], [])
    # A truth of no recording there is still refused, and no conversion writes over it.
    truth_path(source).rename(tmp_path / "a.truth.h5")
    shutil.copy(tmp_path / "drive.raw", tmp_path / "a.raw")
    with pytest.raises(DatasetError, match="do not belong together"):
        encode_dataset([tmp_path / "a.raw"], tmp_path / "no", sensor=SENSOR, anchor="stride:50ms")
    with pytest.raises(OutputError, match=r"a\.truth\.h5 is there already; give another name"):
        convert(source, tmp_path / "a.hdf5")
    with pytest.raises(OutputError, match="has the ending of truth files"):
        convert(source, tmp_path / "b.truth.h5")


def test_a_file_that_is_replaced_loses_its_truth(drive: Path, tmp_path: Path) -> None:
    out = convert(drive, tmp_path / "out.hdf5").path
    convert(drive, out, end_us=150_000, overwrite=True)
    assert is_of(out)
    plain = write_recording(tmp_path / "plain.hdf5", events=50, frames=1)
    convert(plain, out, overwrite=True)
    assert not truth_path(out).exists()


def test_a_truth_that_does_not_fit_stays_behind(drive: Path, tmp_path: Path) -> None:
    for path in (drive, truth_path(drive)):
        shutil.copy(path, tmp_path)
    source = tmp_path / drive.name
    with open_recording(source, rotate180=True) as turned:
        left = convert(turned, tmp_path / "turned.hdf5")
    assert left.truth_left == "the recording is turned by 180 degrees"
    write_recording(source, events=50, frames=2)
    left = convert(source, tmp_path / "other.hdf5")
    assert left.truth_left == f"{truth_path(source)} is the truth of another recording"
    assert left.lost[TRUE_MAPS] == 2
    truth_path(source).write_bytes(b"none")
    left = convert(source, tmp_path / "damaged.hdf5")
    assert left.truth_left.startswith(f"cannot read the truth file {truth_path(source)}")
    assert list(tmp_path.glob("*.truth.h5")) == [truth_path(source)]


def test_a_failed_conversion_leaves_neither_file(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object, **__: object) -> None:
        raise RecordingError("the truth file is damaged")

    monkeypatch.setattr(module, "copy_truth", damaged)
    for suffix in (".hdf5", ".aedat4"):
        with pytest.raises(RecordingError, match="is damaged"):
            convert(drive, tmp_path / f"to/out{suffix}")
    assert list((tmp_path / "to").iterdir()) == []
    # What a killed process leaves of a pair is known by its names.
    names = [".out.hdf5.0a.part", "..out.hdf5.0a.part.77.part", ".out.truth.h5.0a.part"]
    for name in (*names, ".out.truth.h5.part.notes"):
        (tmp_path / name).write_bytes(b"half")
    assert {path.name for path in leftovers(tmp_path / "out.hdf5")} == set(names)


def test_a_folder_of_conversions_holds_the_truths(drive: Path, tmp_path: Path) -> None:
    plain = write_recording(tmp_path / "plain.hdf5", events=50, frames=1)
    sources, out = [drive, plain], tmp_path / "out"
    made = convert_into(sources, out, format="hdf5")
    whole = tree(out)
    assert sorted(whole) == ["conversion.toml", "drive.hdf5", "drive.truth.h5", "plain.hdf5"]
    assert "  1 of them with their truth files" in made.lines()
    assert made.to_dict()["truths"] == ["drive"]
    one, two = read_toml(out / "conversion.toml")["recordings"]
    assert one["truth_sha256"] == whole["drive.truth.h5"]
    assert not any("truth" in key for key in two)
    assert check_conversion(out) == ([], [])
    truth_path(out / "drive.hdf5").unlink()
    (problem,), _ = check_conversion(out)
    assert "drive.truth.h5 is missing; run the same convert again" in problem
    assert convert_into(sources, out, format="hdf5").converted == 1
    assert tree(out) == whole
    assert convert_into(sources, out, format="hdf5").converted == 0
    for index in (1, 2):
        convert_shard(sources, tmp_path / "shards", shard=f"{index}/2", format="hdf5")
    truth_path(tmp_path / "shards/drive.hdf5").rename(tmp_path / "away")
    with pytest.raises(DatasetError, match="lacks 1 recordings of its shards"):
        merge_conversion(tmp_path / "shards")
    (tmp_path / "away").rename(truth_path(tmp_path / "shards/drive.hdf5"))
    merge_conversion(tmp_path / "shards")
    assert tree(tmp_path / "shards") == whole
    convert_into(sources, out, format="csv", overwrite=True)
    assert sorted(tree(out)) == ["conversion.toml", "drive.csv", "plain.csv"]
    with pytest.raises(OutputError, match=r"new/drive\.truth\.h5 is there already, and no"):
        (tmp_path / "new").mkdir()
        shutil.copy(truth_path(drive), tmp_path / "new")
        convert_into(sources, tmp_path / "new", format="hdf5")


def test_a_truth_that_comes_later_is_fetched(drive: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "drive.hdf5", tmp_path / "out"
    shutil.copy(drive, source)
    convert_into(source, out, format="hdf5")
    shutil.copy(truth_path(drive), tmp_path)
    words = ["convert", str(source), "--out", str(out), "--format", "hdf5", "--json"]
    assert json.loads(CliRunner().invoke(main, words).stdout)["converted"] == 1
    assert is_of(out / "drive.hdf5")
    # One that has gone since takes nothing away.
    truth_path(source).unlink()
    assert convert_into(source, out, format="hdf5").converted == 0
    assert is_of(out / "drive.hdf5")
    with open_dataset(encode_dataset([out / "drive.hdf5"], tmp_path / "set").datasets[0].path) as d:
        assert "truth" in d.manifest.labels
