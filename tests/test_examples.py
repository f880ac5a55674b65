"""The examples people copy: README commands and code, and the notebook, run as they stand."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import click
import nbformat
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient
from recording_fixtures import write_recording
from training_fixtures import street_dataset

import eventseg
from eventseg_cli.main import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
NOTEBOOK = ROOT / "docs" / "notebooks" / "first_look.ipynb"

COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def beside_a_recording(tmp_path, monkeypatch):
    write_recording(tmp_path / "rec.hdf5", frames=20)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("sensor", ["64x48", pytest.param("346x260", marks=pytest.mark.slow)])
@pytest.mark.drawn
def test_readme_commands_run_in_order(beside_a_recording, draw_no_more, monkeypatch, sensor):
    streets = main.get_command(click.Context(main), "simulate").commands["street"]
    (camera,) = (parameter for parameter in streets.params if parameter.name == "sensor")
    assert camera.default == "346x260"
    monkeypatch.setattr(camera, "default", sensor)
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "eventseg"
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        if arguments[-1] == "moment.png":
            assert (beside_a_recording / "moment.png").stat().st_size > 10_000
            draw_no_more()  # what follows looks at no picture
    assert (beside_a_recording / "moment.png").is_file()
    text = re.search(r"```text\n(.*?)```", README, re.DOTALL)[1]
    promised = [line.split()[0] for line in text.splitlines() if "labels/" not in line]
    assert len(promised) >= 4
    for path in promised:
        assert list(beside_a_recording.glob(path.replace("<id>", "*"))), path


def test_readme_code_runs(beside_a_recording):
    first, second = CODE
    names: dict[str, object] = {}
    exec(compile(first, "README.md", "exec"), names)
    assert names["x"].shape == (6, 24, 32)
    assert names["x"][:2].sum() == len(names["events"]) > 0
    assert names["tensor"].shape == (6, 24, 32)
    assert len([line for line in second.splitlines() if line]) <= 10
    street_dataset(beside_a_recording, name="drives", recordings=("first", "second"))
    exec(compile(second, "README.md", "exec"), names)
    assert 0 <= names["evaluation"].scores.miou_present <= 1
    given = [shlex.split(command) for command in COMMANDS]
    outs = {words[words.index("--out") + 1] for words in given if "--out" in words}
    assert not outs & set(re.findall(r'out="(.*?)"', second))  # all of it may run in one folder
    frames = len(eventseg.open_recording("second.hdf5").frames)
    assert len(list((beside_a_recording / "label_maps").glob("*.png"))) == frames > 0
    assert names["prediction"].labels.shape == (48, 64)
    assert len(names["run"].history) == 1


BLANK = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import pytest
from blank_figures import save_blank
save_blank(pytest.MonkeyPatch())
sys.path.pop(0)
"""
"""What the kernel does first."""


def test_notebook_runs_and_uses_only_the_public_names(beside_a_recording, monkeypatch):
    startup = beside_a_recording / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "blank.py").write_text(BLANK)
    monkeypatch.setenv("IPYTHONDIR", str(beside_a_recording / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source.replace("%matplotlib inline", ""))):
                if isinstance(node, ast.ImportFrom | ast.Import):
                    modules = [getattr(node, "module", None) or a.name for a in node.names]
                    assert all(m == "eventseg" or m.split(".")[0] != "eventseg" for m in modules)
                if isinstance(node, ast.Attribute):
                    assert not node.attr.startswith("_")
    client = NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(beside_a_recording)}}
    )
    client.execute()
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures
