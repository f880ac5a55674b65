"""Messages on paths that are given for a data set or a recording and are something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from eventseg.dataset import open_dataset
from eventseg.errors import DatasetError
from eventseg_cli.main import main


@pytest.mark.parametrize(
    ("files", "given", "message"),
    [
        ([], "gone", "there is no file or folder gone"),
        ([], ".", "it has no manifest.toml, which eventseg encode writes last"),
        (["notes.txt"], ".", "it has no manifest.toml, which eventseg encode writes last"),
        (["film.gif"], "film.gif", "film.gif is a file and no data set: give the folder"),
        (["rec.raw"], "rec.raw", "eventseg encode rec.raw makes one of a recording"),
        (["a.aedat4", "a.truth.h5"], ".", "holds recordings and no data set: eventseg encode"),
        (["d/manifest.toml", "d/tensors/50ms/a.npy"], "d/tensors", "a part of the data set"),
        (["run/run.json"], "run", "run is a run folder and no data set"),
        (["maps/predictions.toml"], "maps", "maps is a prediction folder and no data set"),
        (["maps/unfinished.toml"], "maps", "maps is a prediction folder on its way and no"),
        (["run/config.toml"], "run", "run is a run folder with settings alone and no data set"),
        (["run/t/scores.json"], "run/t", "run/t is an evaluation and no data set"),
        (["out/conversion.toml", "out/a.raw"], "out", "out holds converted recordings and no data"),
        (["out/streets.toml", "out/a.hdf5"], "out", "out holds simulated streets and no data set"),
        (["out/shards/1-of-2/shard.toml"], "out", "shards of a job array: eventseg merge out"),
    ],
)
def test_a_path_that_is_no_data_set_is_named_for_what_it_is(
    files: list[str],
    given: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in files:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    with pytest.raises(DatasetError) as error:
        open_dataset(given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("command", ["encode", "align", "convert"])
def test_a_folder_in_place_of_a_recording_is_answered_with_what_it_holds(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "drive.aedat4").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "encoded").mkdir()
    (tmp_path / "encoded" / "manifest.toml").touch()
    more = ["out.raw"] if command == "convert" else []
    for name, message in (
        ("full", f"such as {tmp_path / 'full' / 'drive.aedat4'}"),
        ("empty", "none lies in this one"),
        ("encoded", "it is a data set"),
    ):
        result = CliRunner().invoke(main, [command, str(tmp_path / name), *more])
        assert result.exit_code == 2
        assert "is a folder: give the files of its recordings" in result.output
        assert message in result.output


def test_a_network_that_was_forgotten_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rec.hdf5").touch()
    result = CliRunner().invoke(main, ["predict", str(tmp_path / "rec.hdf5")])
    assert result.exit_code == 2
    assert "give RUN, the network, and INPUT" in result.output
    assert f"eventseg predict street {tmp_path / 'rec.hdf5'}" in result.output


@pytest.mark.parametrize("command", ["view", "align"])
def test_a_picture_of_another_ending_is_refused_before_the_recording_is_read(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "rec.hdf5").touch()  # an empty file: reading it would be another error
    result = CliRunner().invoke(main, [command, str(tmp_path / "rec.hdf5"), "--out", "m.txt"])
    assert result.exit_code == 2
    assert "m.txt must end in one of .png, .pdf, .svg" in result.output
