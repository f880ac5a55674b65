"""``eventseg simulate``: what it writes, what it refuses, and that it leaves nothing half-way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth
from eventseg.simulate import street
from eventseg.simulate.scene import scenarios
from eventseg_cli.main import main
from eventseg_cli.simulate.street import SCENARIOS


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["simulate", *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "cache")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for kind, values in (("train", rng.integers(0, 256, (40, 60))), ("trainannot", np.eye(40, 60))):
        (tmp_path / "set" / kind).mkdir(parents=True)
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / "set" / kind / "a.png")
    return tmp_path / "set"


def test_help_knows_every_scenario_and_has_examples() -> None:
    assert (*scenarios.SCENARIOS, scenarios.RANDOM) == SCENARIOS
    assert "eventseg simulate street drive.hdf5" in run("street", "--help").stdout
    assert "eventseg simulate images CamVid" in run("images", "--help").stdout


def test_street_writes_a_recording_and_its_truth(tmp_path: Path) -> None:
    out = tmp_path / "drive.hdf5"
    result = run(
        *("street", out, "--duration", "60ms", "--seed", 4, "--sensor", "32x24"),
        *("--scenario", "night", "--threads", 1, "--no-rare"),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{out}: 0.06 s, ")
    assert names(tmp_path) == ["drive.hdf5", "drive.truth.h5"]
    with open_recording(out) as recording, Truth(tmp_path / "drive.truth.h5") as truth:
        assert tuple(recording.sensor) == (24, 32)
        assert {"seed": 4, "scenario": "night", "rare": False}.items() <= truth.recipe.items()


def test_existing_output_is_kept_unless_told(tmp_path: Path) -> None:
    out = tmp_path / "drive.hdf5"
    out.write_bytes(b"precious")
    result = run("street", out, "--duration", "30ms", "--sensor", "32x24")
    assert (result.exit_code, out.read_bytes()) == (1, b"precious")
    assert result.stderr == f"error: {out} is there already; give another name or --overwrite\n"
    result = run("street", out, "--duration", "30ms", "--sensor", "32x24", "--overwrite")
    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--duration", "-5s"], 2, "a number and a unit"),
        (["--duration", "0"], 1, "too short"),
        (["--scenario", "mars"], 1, "unknown scenario 'mars': choose one of day"),
        (["--seed", "-1"], 1, "seed -1 is negative"),
        (["--sensor", "4x4"], 1, "8 to 2048"),
    ],
)
def test_bad_numbers_leave_nothing(
    tmp_path: Path, options: list[str], code: int, message: str
) -> None:
    result = run("street", tmp_path / "x.hdf5", *options)
    assert result.exit_code == code
    assert message in result.stderr
    assert names(tmp_path) == []


def test_other_suffix_and_unwritable_place_are_refused(tmp_path: Path) -> None:
    assert "must end in .hdf5" in run("street", tmp_path / "x.mp4").stderr
    (tmp_path / "file").write_text("in the way")
    result = run("street", tmp_path / "file" / "x.hdf5", "--duration", "30ms", "--sensor", "32x24")
    assert result.exit_code == 1
    assert "cannot write" in result.stderr
    assert names(tmp_path) == ["file"]


def test_interrupt_exits_130_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_arguments: object, night: bool) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(street, "_write_car", stop)
    result = run("street", tmp_path / "x.hdf5", "--duration", "30ms", "--sensor", "32x24")
    assert result.exit_code == 130
    assert names(tmp_path) == []


def test_images_become_a_recording_a_part(labelled: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--shot", "40ms", "--sensor", "32x24", "--threads", 1, "--seed", 2)
    result = run("images", labelled, out, "--layout", "camvid", *options)
    assert result.exit_code == 0, result.output
    assert names(out) == ["train.hdf5", "train.truth.h5"]
    again = run("images", labelled, out, *options)
    assert again.exit_code == 1
    assert "train.hdf5 is there already" in again.stderr


def test_images_without_labels_are_one_error(labelled: Path, tmp_path: Path) -> None:
    (labelled / "trainannot" / "a.png").unlink()
    result = run("images", labelled, tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
