"""``eventseg pseudolabel``: what it prints, what it refuses, and how presets reach the manifest."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner, Result
from PIL import Image
from pseudolabel_teachers import save_segformer
from recording_fixtures import tree, write_recording

from eventseg.dataset.check import check_dataset
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.writer import encode_dataset
from eventseg.pseudolabel import PRESETS
from eventseg.pseudolabel.advice import warning_of
from eventseg.pseudolabel.confidence import LabelFilters, parse_ego
from eventseg.sources import open_source
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    encode_dataset([write_recording(folder / "rec.hdf5", frames=3)], folder / "data", store="none")
    save_segformer(folder / "tiny")
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


def run(work: Path, *more: str, data: str = "data", teacher: str = "hf:{}/tiny") -> Result:
    words = ["--teacher", teacher.format(work)] if teacher else []
    return CliRunner().invoke(main, ["pseudolabel", str(work / data), *words, *more])


def settings(work: Path, name: str) -> dict[str, object]:
    return dict(Manifest.read(work / "data/manifest.toml").label_settings[name])


def test_labels_a_data_set_and_prints_licence_and_shares(work: Path) -> None:
    result = run(work, "--scales", "1", "--device", "cpu")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].endswith("data: label set tiny done")
    assert lines[1] == "  3 frames of 3 samples, 6 classes"
    assert sum(float(line.split()[-2]) for line in lines[2:9]) == pytest.approx(100, abs=0.5)
    assert "teacher hf:tiny: 19 classes, sha256 " in result.stderr
    assert "weights: licence unknown" in result.stderr
    assert "s a frame on the CPU: about" in result.stderr
    assert settings(work, "tiny")["threshold"] == 0.5
    assert check_dataset(work / "data") == []
    before = tree(work / "data")
    again = run(work, "--scales", "1", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    assert "already whole" in again.stdout
    assert tree(work / "data") == before
    other = run(work, "--scales", "1", "--threshold", "0.1")
    assert other.exit_code == 1
    assert "error: " in other.stderr
    assert "threshold was 0.5, now 0.1" in other.stderr
    assert run(work, "--scales", "1", "--threshold", "0.1", "--overwrite").exit_code == 0


def test_presets_repeat_history_and_can_be_changed(work: Path) -> None:
    result = run(work, "--preset", "evsegnet-labels", "--teacher-licence", "CC BY 4.0")
    assert result.exit_code == 0
    assert "the labels of EV-SegNet's authors are not repeated" in result.stderr
    assert "larger Segception" in result.stderr
    assert "x / 127.5 - 1" in result.stderr
    assert "weights: CC BY 4.0" in result.stderr
    found = settings(work, "evsegnet-labels")
    assert (found["scales"], found["flip"], found["merge"]) == ([0.75, 1.0, 1.5], True, "labels")
    assert found["threshold"] == 0.0
    assert found["limits"] == list(PRESETS["evsegnet-labels"].limits)
    for limit in found["limits"]:
        assert result.stderr.count(f"preset evsegnet-labels: {limit}\n") == 1
    # A set made before limits were recorded has the same labels.
    digests = open_source(work / "data", label_set="evsegnet-labels").digests
    manifest = tomllib.loads((work / "data/manifest.toml").read_text())
    del manifest["labels"]["evsegnet-labels"]["settings"]["limits"]
    (work / "data/manifest.toml").write_text(tomli_w.dumps(manifest))
    assert "already whole" in run(work, "--preset", "evsegnet-labels").stdout
    assert open_source(work / "data", label_set="evsegnet-labels").digests == digests
    more = [
        "--no-flip",
        "--agreement",
        "1",
        "--quantile",
        "0.1",
        "--temporal",
        "2",
        "--ego",
        "20:24",
    ]
    result = run(work, "--preset", "evsegnet-labels", "--set", "mine", "--batch", "2", *more)
    assert result.exit_code == 0, result.output
    assert "--set is now called --labels" in result.stderr
    found = settings(work, "mine")
    assert (found["flip"], found["agreement"], found["temporal_px"]) == (False, 1.0, 2)
    result = run(work, "--preset", "delft-labels", teacher="")
    assert result.exit_code == 2
    assert "give --teacher pspnet101:PATH" in result.stderr


def test_classes_are_a_table_by_name_or_file(work: Path) -> None:
    result = run(work, "--scales", "1", "--classes", "cityscapes19", "--labels", "all")
    assert result.exit_code == 0, result.output
    assert settings(work, "all")["classes"][-1] == "bicycle"  # type: ignore[index]
    result = run(work, "--classes", "nine")
    assert result.exit_code == 1
    assert "no class table 'nine'" in result.stderr
    result = run(work, "--teacher-classes", "evsegnet6")
    assert result.exit_code == 1
    assert "has 19 classes, the given table has 6" in result.stderr


def test_labels_that_are_nearly_all_ignored_are_told(work: Path) -> None:
    more = ["--scales", "1", "--agreement", "0.5"]
    result = run(work, *more, "--threshold", "1", "--quiet", "--labels", "none")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-2:] == [
        "  ignored          100.0 %", "  nearly all is ignored: not fit to train on"
    ]  # fmt: skip
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: 100.0 % of the pixels are ignored: a network can learn next")
    assert "lower --threshold (it is 1), or lower --agreement (it is 0.5), or use a" in line
    kept = run(work, *more, "--threshold", "0", "--quiet", "--labels", "some")
    assert (kept.exit_code, kept.stderr) == (0, "")
    assert "nearly all" not in kept.stdout
    film = run(
        work, "--out", str(work / "film"), "--threshold", "1", *more, "--quiet", data="data/frames"
    )
    assert "warning: 100.0 % of the pixels are ignored" in film.stderr


@pytest.mark.parametrize(
    ("share", "filters", "teachers", "ways"),
    [
        (0.98, LabelFilters(threshold=0.9), 1, None),
        (0.99, LabelFilters(), 1, "; use a teacher that knows"),
        (1.0, LabelFilters(), 2, "; ask fewer than 2 teachers, or use a teacher"),
        (
            1.0,
            LabelFilters(temporal=0, quantile=0.9),
            1,
            "; lower --quantile (it is 0.9), or raise --t",
        ),
        (1.0, LabelFilters(ego=parse_ego("0:9")), 1, "; make --ego smaller, or"),
    ],
)
def test_warning_names_what_was_asked(
    share: float, filters: LabelFilters, teachers: int, ways: str | None
) -> None:
    words = warning_of(share, filters, teachers=teachers)
    assert (words == "") if ways is None else (ways in words)


def test_film_of_frames(work: Path) -> None:
    result = run(work, "--out", str(work / "film"), "--scales", "1", data="data/frames")
    assert result.exit_code == 0, result.output
    assert "film: 3 pictures, " in result.stdout
    names = {path.name for path in (work / "film").iterdir()}
    assert names == {path.name for path in (work / "data/frames").iterdir()}
    result = run(
        work, "--out", str(work / "film.mp4"), "--scales", "1", "--side-by-side", "--fps", "12.5",
        data="data/frames",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (work / "film.mp4").stat().st_size > 500


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--out", "x.mp4"], "is a data set and gets a label set"),
        (["--fps", "3"], "need --out"),
        (["--quiet", "--progress"], "exclude each other"),
        (["--scales", "big"], "must be factors such as 2,3,4"),
    ],
)
def test_usage_errors_exit_with_2(work: Path, more: list[str], words: str) -> None:
    result = run(work, *more)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_known_errors_are_one_line_and_exit_with_1(work: Path) -> None:
    before = tree(work / "data")
    for more, words in {
        ("--scales", "99"): "factors from 0.1 to 16",
        ("--device", "cuda:99"): "device cuda:99 is not there",
        ("--ego", "bonnet"): "must be ROW0:ROW1",
        ("--labels", "truth"): "is for known labels",
    }.items():
        result = run(work, *more)
        assert (result.exit_code, result.stdout) == (1, "")
        assert words in result.stderr.splitlines()[-1]
    result = run(work, teacher="pspnet101:{}/gone.pth")
    assert result.exit_code == 1
    assert "no file of weights" in result.stderr
    assert tree(work / "data") == before
    (work / "mixed").mkdir()
    for i, size in enumerate([(32, 24), (32, 25)]):
        Image.fromarray(np.zeros(size, np.uint8)).save(work / f"mixed/{i}.png")
    result = run(work, "--out", str(work / "out"), data="mixed")
    assert result.exit_code == 1
    assert "pictures of mixed size" in result.stderr
