"""Every kind of damage to a data set folder is found and named."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from recording_fixtures import tree, write_recording

from eventseg.dataset.check import check_dataset
from eventseg.dataset.repair import repair_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import OutputError
from eventseg.events import SensorSize
from eventseg.files.locks import locked
from eventseg.recordings import open_recording
from eventseg.recordings.check import _events, _frames, check_recording
from eventseg.simulate.street import simulate_street
from eventseg.windows import parse_anchor
from eventseg_cli.main import main

TENSOR = "tensors/50ms/rec_f000003.npy"
FRAME = "frames/rec_f000003.png"
PICKLED = io.BytesIO()
np.save(PICKLED, np.array([{}]), allow_pickle=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    recording = write_recording(tmp_path / "rec.hdf5")
    encode_dataset([recording], tmp_path / "data")
    return tmp_path / "data"


def edit(change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[Path], None]:
    """Return a damage that changes the values of one tensor."""

    def damage(data: Path) -> None:
        tensor = np.load(data / TENSOR)
        changed = change(tensor)
        np.save(data / TENSOR, tensor if changed is None else changed)

    return damage


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        text = (data / name).read_text()
        assert old in text
        (data / name).write_text(text.replace(old, new, 1))

    return damage


def put(name: str, content: bytes = b"") -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)

    return damage


def cut(name: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        content = (data / name).read_bytes()
        (data / name).write_bytes(content[: len(content) // 2])

    return damage


def image(name: str, size: tuple[int, int]) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size).save(data / name)

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda d: (d / "manifest.toml").rename(d / "encode.partial.toml"), "resume"),
    "nothing at all": (lambda d: (d / "manifest.toml").unlink(), "no data set"),
    "manifest cut": (cut("manifest.toml"), "manifest.toml"),
    "manifest of another schema": (replace("manifest.toml", "= 1", "= 7"), "schema 7"),
    "manifest of no text": (put("manifest.toml", b"\xff\xfe\x00"), "cannot read"),
    "table gone": (lambda d: (d / "samples.csv").unlink(), "cannot read"),
    "table of no text": (put("samples.csv", b"\xff\x00"), "cannot read"),
    "id twice": (replace("samples.csv", "rec_f000004,", "rec_f000003,"), "more than once"),
    "id renamed": (replace("samples.csv", "rec_f000003,", "rec_x,"), "rec_x.npy is missing"),
    "unknown recording": (replace("samples.csv", ",rec,3", ",dog,3"), "recording dog is not in"),
    "frame beyond": (replace("samples.csv", ",rec,3", ",rec,99"), "frame 99 of 10"),
    "unknown split": (replace("samples.csv", "train", "exam"), "split 'exam'"),
    "covered beyond 1": (replace("samples.csv", ",1.0\n", ",1.5\n"), "covered share outside"),
    "tensor gone": (lambda d: (d / TENSOR).unlink(), f"{TENSOR} is missing"),
    "tensor cut": (cut(TENSOR), "cannot read tensor"),
    "tensor empty": (put(TENSOR), "check --repair makes it again"),
    "tensor pickled": (put(TENSOR, PICKLED.getvalue()), "cannot read tensor"),
    "tensor of doubles": (edit(lambda t: t.astype(np.float64)), "float64 (6, 24, 32), must be"),
    "tensor of another shape": (edit(lambda t: t[:, :20]), "(6, 20, 32), must be"),
    "not a number": (edit(lambda t: t.__setitem__((2, 0, 0), np.nan)), "not finite"),
    "one count more": (edit(lambda t: t.__setitem__((0, 5, 5), t[0, 5, 5] + 1)), "samples.csv has"),
    "one count less": (edit(lambda t: t - (t == t[0].max())), "samples.csv has"),
    "half a count": (edit(lambda t: t.__setitem__((0, 5, 5), 0.5)), "not whole"),
    "negative count": (edit(lambda t: t.__setitem__((1, 5, 5), -1)), "count- runs from -1"),
    "mean beyond 1": (edit(lambda t: t.__setitem__((2, 5, 5), 1.5)), "mean+ runs from 0 to 1.5"),
    "std too large": (edit(lambda t: t.__setitem__((5, 5, 5), 0.8)), "std- runs from 0 to 0.8"),
    "tensor of no sample": (put("tensors/50ms/rec_f9.npy"), "belongs to no sample"),
    "file of another kind": (put("tensors/50ms/rec_f9.txt"), "rec_f9.txt is no .npy file"),
    "window of another run": (put("tensors/10ms/rec_f9.npy"), "10ms is no window"),
    "frame gone": (lambda d: (d / FRAME).unlink(), f"{FRAME} is missing"),
    "frame cut": (cut(FRAME), "cannot read image"),
    "frame of another size": (image(FRAME, (30, 24)), f"{FRAME}: 30x24, the sensor is 32x24"),
    "frame of no sample": (image("frames/rec_f9.png", (32, 24)), "belongs to no sample"),
    "label of no sample": (image("labels/truth/rec_f9.png", (32, 24)), "belongs to no sample"),
    "label of another size": (image("labels/truth/rec_f000001.png", (9, 9)), "9x9, the sensor is"),
    "confidence of no sample": (image("confidence/t/rec_f9.png", (32, 24)), "belongs to no"),
    "temporary file": (put("tensors/50ms/rec_f000003.npy.77.tmp"), "left over"),
    "partial beside manifest": (put("encode.partial.toml"), "left over"),
    "recording changed": (lambda d: write_recording(d / "../rec.hdf5", seed=3), "is not the file"),
}


def test_a_quick_check_finds_what_names_and_tables_tell(data: Path, tmp_path: Path) -> None:
    told = set()
    for damage in ("frame gone", "tensor gone", "covered beyond 1", "unknown split", "tensor cut"):
        shutil.copytree(data, tmp_path / damage)
        DAMAGES[damage][0](tmp_path / damage)
        problems = check_dataset(tmp_path / damage, quick=True)
        if problems:
            assert DAMAGES[damage][1] in problems[0]
            told.add(damage)
    assert told == {"frame gone", "tensor gone", "covered beyond 1", "unknown split"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named(data: Path, damage: str) -> None:
    assert check_dataset(data) == []
    harm, message = DAMAGES[damage]
    harm(data)
    problems = check_dataset(data)
    assert any(message in problem for problem in problems), problems
    assert all(problem.startswith(str(data)) for problem in problems)


def test_values_that_look_right_are_found_by_the_deep_check(data: Path) -> None:
    tensor = np.load(data / TENSOR)
    tensor[2] = tensor[2, :, ::-1]
    np.save(data / TENSOR, tensor)
    Image.new("L", (32, 24)).save(data / FRAME)
    (data / "samples.csv").write_text(
        (data / "samples.csv").read_text().replace(",rec,5,", ",rec,6,")
    )
    assert check_dataset(data) == []
    problems = check_dataset(data, deep=True)
    for message in (f"{TENSOR} differs", f"{FRAME} differs", "rec_f000005: frame or time differ"):
        assert any(message in problem for problem in problems), problems


def test_deep_check_says_that_a_recording_is_gone(data: Path) -> None:
    (data / "../rec.hdf5").unlink()
    assert check_dataset(data) == []
    (problem,) = check_dataset(data, deep=True)
    assert "recording rec is not at" in problem


@pytest.mark.parametrize("way", [{}, {"quick": True}, {"deep": True}])
def test_tensors_that_are_not_stored_need_their_recording(
    tmp_path: Path, way: dict[str, bool]
) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    encode_dataset(recording, tmp_path / "data", store="none")
    assert check_dataset(tmp_path / "data", **way) == []
    recording.rename(tmp_path / "moved.hdf5")
    (problem,) = check_dataset(tmp_path / "data", **way)
    assert f"recording rec is not at {recording}: tensors are encoded from it" in problem


def test_labels_for_a_part_of_the_samples_are_no_problem(data: Path) -> None:
    image("labels/truth/rec_f000001.png", (32, 24))(data)
    assert check_dataset(data, deep=True) == []


def test_missing_sample_of_a_recording_is_found(data: Path, tmp_path: Path) -> None:
    table = data / "samples.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    assert any("no sample of recording rec" in problem for problem in check_dataset(data))
    assert any("rec_f000003 is missing" in problem for problem in check_dataset(data, deep=True))


def test_cropped_counts_may_be_fewer_but_not_more(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    encode_dataset([recording], tmp_path / "data", crop=(0, 12))
    data = tmp_path / "data"
    assert check_dataset(data) == []
    edit(lambda t: t.__setitem__((0, 5, 5), 500))(data)
    assert any("allowed are 0 to" in problem for problem in check_dataset(data))


def test_data_set_of_a_window_length_that_stopped_is_found(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "rec.hdf5")
    encode_dataset(
        [recording],
        tmp_path / "data",
        windows_us=[10_000, 50_000],
        anchor=parse_anchor("evsegnet"),
    )
    inner = tmp_path / "data/50ms"
    (inner / "manifest.toml").rename(inner / "encode.partial.toml")
    assert check_dataset(tmp_path / "data") == [f"{inner}: incomplete: run encode again to resume"]


CURES = ("run ", "delete it", "move it away", "restore", "--repair", "give another", "encode")


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_problem_names_its_cure(data: Path, damage: str) -> None:
    DAMAGES[damage][0](data)
    for problem in check_dataset(data):
        assert any(cure in problem for cure in CURES) or "cannot read" in problem, problem


def test_repair_makes_missing_and_damaged_files_again(data: Path, tmp_path: Path) -> None:
    whole = tree(data)
    (data / TENSOR).write_bytes(b"rubbish")
    (data / "tensors/50ms/rec_f000007.npy").unlink()
    cut(FRAME)(data)
    (data / "frames/rec_f000008.png").unlink()
    put("tensors/50ms/rec_f000003.npy.77.tmp")(data)
    put("encode.partial.toml")(data)
    assert len(check_dataset(data)) >= 6
    assert len(repair_dataset(data)) == 6
    assert tree(data) == whole
    assert repair_dataset(data) == []


SIMULATED = {
    "tensor of another type": ("tensors/50ms/drive_f000003.npy", "float64"),
    "frame of another size": ("frames/drive_f000003.png", "32x24, the sensor is 64x48"),
    "frame cut": ("frames/drive_f000003.png", "cannot read"),
    "truth of another size": ("labels/truth/drive_f000003.png", "32x24, the sensor is 64x48"),
    "truth cut": ("labels/truth/drive_f000003.png", "cannot read"),
    "truth outside the classes": ("labels/truth/drive_f000003.png", "labels 77"),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulate_street(
        folder / "drive.hdf5", duration_us=200_000, seed=7, sensor=SensorSize(48, 64), threads=1
    )
    encode_dataset([folder / "drive.hdf5"], folder / "data")
    return folder


@pytest.mark.parametrize("damage", SIMULATED)
def test_repair_does_all_that_the_check_promises_of_it(
    simulated: Path, damage: str, tmp_path: Path
) -> None:
    shutil.copytree(simulated, tmp_path / "copy")
    data = tmp_path / "copy/data"
    name, message = SIMULATED[damage]
    whole = tree(data)
    if "cut" in damage:
        cut(name)(data)
    elif "size" in damage:
        image(name, (32, 24))(data)
    elif "classes" in damage:
        Image.new("L", (64, 48), 77).save(data / name)
    else:
        np.save(data / name, np.load(data / name).astype(np.float64))
    (problem,) = check_dataset(data)
    assert message in problem
    assert problem.endswith("check --repair makes it again")
    assert repair_dataset(data) == [f"{name} made again from drive.hdf5"]
    assert check_dataset(data) == []
    assert tree(data) == whole


@pytest.mark.parametrize("damage", ["frame of no sample", "label of another size"])
def test_the_check_promises_no_repair_of_what_no_recording_has(data: Path, damage: str) -> None:
    DAMAGES[damage][0](data)
    put("frames/rec_f9.png", b"rubbish")(data)
    put("labels/truth/rec_f000002.png", b"rubbish")(data)
    assert len(check_dataset(data)) >= 2
    assert not any("--repair" in problem for problem in check_dataset(data))


def test_repair_loses_nothing_where_it_cannot_help(data: Path) -> None:
    put("tensors/50ms/rec_f9.npy")(data)
    cut(FRAME)(data)
    write_recording(data / "../rec.hdf5", seed=3)  # another recording: nothing is made from it
    before = tree(data)
    assert repair_dataset(data) == []
    assert tree(data) == before
    with locked(data), pytest.raises(OutputError, match="another process"):
        repair_dataset(data)


# -- recordings --------------------------------------------------------------------------------


def test_a_sound_recording_has_no_problem_and_a_cut_one_names_its_cure(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "rec.hdf5")
    assert check_recording(path) == ([], [])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    (problem,), _ = check_recording(path)
    assert "copy or download it again" in problem
    shutil.copy(write_recording(tmp_path / "other.hdf5", seed=4), path)
    (tmp_path / "rec.truth.h5").write_bytes(b"none")
    (problem,), _ = check_recording(path)
    assert "rec.truth.h5" in problem


def test_the_command_reads_a_table_with_what_its_file_leaves_open(tmp_path: Path) -> None:
    table = tmp_path / "rec.csv"
    rows = (f"{t},{t % 8},{t % 6},{t % 2}\n" for t in range(100))
    table.write_text("t,x,y,p\n" + "".join(rows))

    def check(*words: object) -> Result:
        return CliRunner().invoke(main, ["check", *map(str, words)])

    whole = check(table, "--sensor", "8x6", "--time-unit", "us")
    assert (whole.exit_code, "left out" in whole.output) == (0, False), whole.output
    assert "left out" in check(table, "--sensor", "8x5", "--time-unit", "us").stderr
    assert "camera" in check(table, "--camera", "right").output


def test_the_command_refuses_the_choices_of_recordings_elsewhere(data: Path) -> None:
    refused = CliRunner().invoke(main, ["check", str(data), "--sensor", "8x6"])
    assert refused.exit_code == 2
    assert "leave them out with a data set" in refused.stderr


def test_events_and_frames_that_contradict_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_recording(write_recording(tmp_path / "rec.hdf5")) as recording:
        pieces = list(recording.stream(max_events=1_000))
        monkeypatch.setattr(type(recording), "stream", lambda self: iter(pieces[::-1][:-1]))
        problems = "\n".join(_events(recording))
        assert "times of events fall" in problems
        assert "events are read where the index has 4,000" in problems
        monkeypatch.setattr(recording, "sensor", SensorSize(2, 2))
        assert "outside of the sensor" in "\n".join(_events(recording))
        assert "frame 0 has 32x24" in "\n".join(_frames(recording))
