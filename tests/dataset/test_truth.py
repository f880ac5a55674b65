"""The truth beside a recording becomes the label set ``truth``, whole and checked."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from recording_fixtures import tree, write_recording

from eventseg.dataset import encode as dataset_encode
from eventseg.dataset.check import check_dataset
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.truth import find_truth
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, EventsegError, OutputError
from eventseg.events import SensorSize
from eventseg.labels.maps import CITYSCAPES_19
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.simulate.street import simulate_street
from eventseg.windows import parse_anchor
from eventseg_cli.main import main

SENSOR = SensorSize(24, 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drive") / "drive.hdf5"
    return simulate_street(out, duration_us=300_000, seed=7, sensor=SENSOR, threads=1).recording


@pytest.fixture
def drive(made: Path, tmp_path: Path) -> Path:
    for path in (made, truth_path(made)):
        shutil.copy(path, tmp_path)
    return tmp_path / "drive.hdf5"


def test_each_framed_sample_has_the_labels_of_its_frame(drive: Path, tmp_path: Path) -> None:
    (summary,) = encode_dataset([drive], tmp_path / "out").datasets
    assert "  labels truth, 19 classes" in summary.lines()
    with open_dataset(tmp_path / "out") as dataset, Truth(truth_path(drive)) as truth:
        assert len(dataset) == len(truth.t_us) == 9
        for i, frame in enumerate(dataset.samples.frame.tolist()):
            np.testing.assert_array_equal(dataset.labels(i), truth.label(frame))
        assert dataset.manifest.labels == {"truth": CITYSCAPES_19}
        with pytest.raises(DatasetError, match="cannot read image"):
            dataset.labels(0, "guess")
    assert Manifest.read(tmp_path / "out/manifest.toml").labels == {"truth": CITYSCAPES_19}
    assert check_dataset(tmp_path / "out", deep=True) == []


def test_labels_turn_with_the_recording(drive: Path, tmp_path: Path) -> None:
    encode_dataset([drive], tmp_path / "out", rotate180=True)
    with open_dataset(tmp_path / "out") as dataset, Truth(truth_path(drive)) as truth:
        np.testing.assert_array_equal(dataset.labels(3), truth.label(3)[::-1, ::-1])
    assert check_dataset(tmp_path / "out", deep=True) == []


@pytest.mark.parametrize("anchor", ["stride:50ms", "evsegnet", "count:500"])
def test_other_anchors_label_what_has_a_frame(drive: Path, tmp_path: Path, anchor: str) -> None:
    (made,) = encode_dataset([drive], tmp_path / "out", anchor=parse_anchor(anchor)).datasets
    framed = {
        i for i, frame in zip(made.samples.ids, made.samples.frame, strict=True) if frame >= 0
    }
    assert {path.stem for path in made.path.glob("labels/truth/*.png")} == framed
    assert check_dataset(tmp_path / "out", deep=True) == []


def test_only_recordings_with_truth_have_labels(drive: Path, tmp_path: Path) -> None:
    plain = write_recording(tmp_path / "plain.hdf5")
    encode_dataset([drive, plain], tmp_path / "out")
    names = {path.name.split("_f")[0] for path in (tmp_path / "out/labels/truth").iterdir()}
    assert names == {"drive"}
    assert check_dataset(tmp_path / "out", deep=True) == []


def test_stopped_run_resumes_to_the_same_bytes(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode_dataset([drive], tmp_path / "straight")
    write, written = dataset_encode.write_image, []

    def full(path: Path, image: object) -> None:
        written.append(path)
        if len(written) > 7:
            raise OutputError("the disk is full")
        write(path, image)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(dataset_encode, "write_image", full)
        with pytest.raises(OutputError, match="disk is full"):
            encode_dataset([drive], tmp_path / "out")
    encode_dataset([drive], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")
    (tmp_path / "out/labels/truth/drive_f000004.png").unlink()
    encode_dataset([drive], tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "straight")


def test_truth_that_comes_or_changes_is_refused_and_reported(drive: Path, tmp_path: Path) -> None:
    encode_dataset([drive], tmp_path / "out")
    simulate_street(tmp_path / "other.hdf5", duration_us=300_000, seed=8, sensor=SENSOR, threads=1)
    shutil.copy(tmp_path / "other.truth.h5", truth_path(drive))
    with pytest.raises(DatasetError, match="the truth beside recording drive has changed"):
        encode_dataset([drive], tmp_path / "out")
    (problem,) = check_dataset(tmp_path / "out")
    assert "is not the truth that the data set was made from" in problem


def test_truth_of_another_recording_is_refused(drive: Path, tmp_path: Path) -> None:
    simulate_street(tmp_path / "short.hdf5", duration_us=90_000, seed=7, sensor=SENSOR, threads=1)
    shutil.copy(tmp_path / "short.truth.h5", truth_path(drive))
    with pytest.raises(DatasetError, match="do not belong together"):
        encode_dataset([drive], tmp_path / "out")
    truth_path(drive).write_bytes(b"not HDF5")
    with pytest.raises(EventsegError, match="cannot read the truth file"):
        encode_dataset([drive], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_check_names_missing_and_wrong_labels(drive: Path, tmp_path: Path) -> None:
    encode_dataset([drive], tmp_path / "out")
    folder = tmp_path / "out/labels/truth"
    (folder / "drive_f000001.png").unlink()
    Image.new("L", (32, 24), 77).save(folder / "drive_f000002.png")
    Image.new("L", (32, 24), 3).save(folder / "drive_f000003.png")
    shallow = "\n".join(check_dataset(tmp_path / "out"))
    assert "labels/truth/drive_f000001.png is missing" in shallow
    assert (
        "labels/truth/drive_f000002.png: labels 77; class table cityscapes19 has 0 road" in shallow
    )
    assert "drive_f000003" not in shallow
    deep = check_dataset(tmp_path / "out", deep=True)
    assert any("drive_f000003.png differs from the truth" in problem for problem in deep)


def test_info_names_the_classes(drive: Path, tmp_path: Path) -> None:
    encode_dataset([drive], tmp_path / "out")
    info = CliRunner().invoke(main, ["info", str(tmp_path / "out")]).stdout
    assert "labels    truth, 9 images" in info
    assert "  road " in info
    assert "class 0" not in info
    found = json.loads(CliRunner().invoke(main, ["info", str(tmp_path / "out"), "--json"]).stdout)
    assert found["labels"]["truth"]["classes"] == list(CITYSCAPES_19.names)


def test_a_truth_names_its_recording(drive: Path) -> None:
    with Truth(truth_path(drive)) as truth:
        assert truth.recording_sha256 == hashlib.sha256(drive.read_bytes()).hexdigest()
        assert truth.belongs_to(drive)


def test_the_truth_of_another_drive_is_refused(drive: Path, tmp_path: Path) -> None:
    # As many frames of the same sensor: only the digest tells them apart.
    other = simulate_street(
        tmp_path / "other.hdf5", duration_us=300_000, seed=8, sensor=SENSOR, threads=1
    ).recording
    encode_dataset([drive], tmp_path / "out")
    shutil.copy(truth_path(other), truth_path(drive))
    with pytest.raises(DatasetError, match=r"that of another recording.*drive\.truth\.h5"):
        encode_dataset([drive], tmp_path / "again")
    path = tmp_path / "out/manifest.toml"
    digest = hashlib.sha256(truth_path(other).read_bytes()).hexdigest()
    lines = [
        f'truth_sha256 = "{digest}"' if line.startswith("truth_sha256") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    for deep in (False, True):
        (problem,) = check_dataset(tmp_path / "out", deep=deep)
        assert "is the truth of another recording" in problem


def test_a_truth_of_the_first_versions_is_told_by_its_events(drive: Path, tmp_path: Path) -> None:
    other = simulate_street(
        tmp_path / "other.hdf5", duration_us=300_000, seed=8, sensor=SENSOR, threads=1
    ).recording
    for path in (drive, other):
        with h5py.File(truth_path(path), "r+") as file:
            del file.attrs["recording_sha256"]
    encode_dataset([drive], tmp_path / "out")
    shutil.copy(truth_path(other), truth_path(drive))
    with pytest.raises(DatasetError, match=r"events, drive\.hdf5 has .*do not belong together"):
        encode_dataset([drive], tmp_path / "again")


@pytest.mark.parametrize("mark", [b"TREE", b"SNOD", b"HEAP", b"GCOL"])
def test_a_damaged_truth_is_one_error(drive: Path, tmp_path: Path, mark: bytes) -> None:
    path = truth_path(drive)
    content = bytearray(path.read_bytes())
    at = content.index(mark)
    content[at : at + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(EventsegError, match=r"drive\.truth\.h5"):
        encode_dataset([drive], tmp_path / "out")


KILLED = """
import os, sys
from eventseg.events import SensorSize
from eventseg.recordings import truth_pair
from eventseg.simulate import street
calls = 0
def killed(source, target, real=truth_pair.replace_file):
    global calls
    calls += 1
    if calls == 2:
        os._exit(9)
    real(source, target)
truth_pair.replace_file = killed
street.simulate_street(
    sys.argv[1], duration_us=20_000, seed=1, sensor=SensorSize(24, 32), threads=1
)
"""


def test_truth_of_a_killed_simulation_is_refused_beside_the_older_recording(drive: Path) -> None:
    # tests/recordings/test_truth_pair.py kills at the other renames.
    before = drive.read_bytes()
    command = [sys.executable, "-c", KILLED, str(drive)]
    assert subprocess.run(command, check=False).returncode == 9
    assert drive.read_bytes() == before
    with (
        open_recording(drive) as recording,
        pytest.raises(DatasetError, match=r"that of another recording.*again, with --overwrite"),
    ):
        find_truth(recording)


def test_a_recording_that_cannot_be_renamed_leaves_the_pair_before(
    drive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(drive.parent)

    def refused(source: Path, target: Path) -> None:
        if target == drive:
            raise OSError(28, "No space left on device")
        source.replace(target)

    monkeypatch.setattr("eventseg.recordings.truth_pair.replace_file", refused)
    with pytest.raises(OutputError, match="No space left"):
        simulate_street(drive, duration_us=20_000, seed=1, sensor=SENSOR, threads=1)
    assert tree(drive.parent) == before
