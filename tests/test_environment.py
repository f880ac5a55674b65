"""The environment of an installation, and the command that shows it."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from eventseg_cli.main import main

module = import_module("eventseg.device.environment")
PROJECT = tomllib.loads(
    (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each, maxsplit=1)[0] for each in requirements}


def test_the_extras_are_those_of_the_package():
    theirs = {
        name: names(requirements) - {"numpy"}
        for name, requirements in PROJECT["optional-dependencies"].items()
    }
    assert {name: set(packages) for name, packages in module.extras().items()} == theirs
    assert set(module.PURPOSES) == set(theirs)
    assert set(module.REQUIRED) <= names(PROJECT["dependencies"])


def test_the_command_shows_this_installation():
    result = CliRunner().invoke(main, ["doctor"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"numpy {np.__version__}" in result.stdout
    assert "usable" in result.stdout
    assert result.stdout.splitlines()[-1] == "nothing is wrong"
    found = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert found["versions"]["numpy"] == np.__version__
    assert found["problems"] == []
    assert set(found["extras"]) == set(module.extras())


def test_the_folders_that_are_written_are_shown_with_what_changes_them(monkeypatch, tmp_path):
    for variable in ("EVENTSEG_CACHE", "HF_HOME", "NUMBA_CACHE_DIR", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    found = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    assert {name: Path(cache["path"]).name for name, cache in found["caches"].items()} == {
        "of Numba": "NUMBA_CACHE_DIR",
        "of indexes": "EVENTSEG_CACHE",
        "of torch": "hub",
        "Hugging Face": "HF_HOME",
        "temporary": Path(module.tempfile.gettempdir()).name,
    }
    assert found["caches"]["of torch"]["path"] == str(tmp_path / "TORCH_HOME" / "hub")
    assert found["variables"]["EVENTSEG_CACHE"] == str(tmp_path / "EVENTSEG_CACHE")


def test_without_a_home_the_folder_of_indexes_is_asked_for(monkeypatch):
    def homeless():
        raise OSError("there is no home folder; set EVENTSEG_CACHE to a folder for indexes")

    monkeypatch.setattr("eventseg.recordings.index_cache.cache_folder", homeless)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "problem     there is no home folder; set EVENTSEG_CACHE" in result.stdout


def test_what_is_missing_is_named_with_its_cure(monkeypatch, tmp_path):
    missing = {"scipy", "av"}
    plain = module.version_of
    monkeypatch.setattr(module, "version_of", lambda name: None if name in missing else plain(name))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path / "gone" / "deep"))
    monkeypatch.setattr(module.os, "access", lambda _path, _mode: False)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert "films as MP4: av missing: pip install 'eventseg[video]'" in result.stdout
    assert "problem     scipy is not installed: install eventseg again" in result.stdout
    assert "cannot be written: set TMPDIR" in result.stdout
    assert "nothing is wrong" not in result.stdout
