"""The examples of docs/extending.md, each section run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from training_fixtures import street_dataset

from eventseg.recordings import FORMATS
from eventseg_cli.main import main

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "extending.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("extending")
    street_dataset(root, name="drives")
    return root


@pytest.fixture
def beside_drives(streets, tmp_path, monkeypatch):
    """A folder of its own for each section, with links to the data."""
    for name in ("drive.hdf5", "other.hdf5", "drive.truth.h5", "other.truth.h5"):
        (tmp_path / name).symlink_to(streets / name)
    (tmp_path / "drives").symlink_to(streets / "drives", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known, formats, threads = set(sys.modules), dict(FORMATS), torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    FORMATS.clear()
    FORMATS.update(formats)
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) and Path(
            sys.modules[name].__file__
        ).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize("title", SECTIONS)
def test_section_runs(title, beside_drives):
    blocks = re.findall(r"```python\n(.*?)```", SECTIONS[title], re.DOTALL)
    assert blocks, f"the section {title!r} shows no example"
    names: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        file = re.match(r"# (\w+\.py)\n", block)
        if file:
            (beside_drives / file[1]).write_text(block)
        else:
            exec(compile(block, f"extending.md, {title}", "exec"), names)
    if title == "Own class table":
        (command,) = re.findall(r"`eventseg (train [^`]+)`", SECTIONS[title])
        short = "--network fastscnn --iterations 1 --device cpu --out run"
        result = CliRunner().invoke(main, f"{command} {short}".split())
        assert result.exit_code == 0, result.output
