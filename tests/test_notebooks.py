"""The notebooks of docs/notebooks: each runs from top to bottom, and begins with what it shows."""

from __future__ import annotations

import ast
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from matplotlib.figure import Figure
from training_fixtures import draw_nothing

from eventseg.plots.figure_files import FigureFiles

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
BY_KERNEL = "first_look"
"""Notebook that tests/test_examples.py runs in a kernel of its own."""
NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def cells(name: str, kind: str) -> list[str]:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


@pytest.fixture
def beside_drives(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The drives, the data set and the run that first cells make where they are not there.

    Pictures of runs and reports are left out: they are most of the time, and tested elsewhere.
    """
    draw_nothing(monkeypatch)
    monkeypatch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")
    for file in ("drive.hdf5", "drive.truth.h5", "other.hdf5", "other.truth.h5"):
        (tmp_path / file).symlink_to(tiny_drive_folder / file)
    shutil.copytree(tiny_drive_folder / "drives", tmp_path / "drives")
    (tmp_path / "runs").mkdir()
    shutil.copytree(tiny_drive_folder / "run", tmp_path / "runs" / "events")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def displayed(source: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last expression, as a notebook shows it."""
    tree = ast.parse(source.replace("%matplotlib inline", ""))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return (
        None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name != BY_KERNEL])
def test_notebook_runs_from_top_to_bottom(name: str, beside_drives: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    pictures = 0
    for source in cells(name, "code"):
        value = displayed(source, names)
        if isinstance(value, Figure):
            value.savefig(io.BytesIO(), format="png")
            pictures += 1
        elif value is not None:
            getattr(value, "_repr_html_", value.__repr__)()
    assert pictures >= 2


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_clean_and_says_what_it_shows(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"# .+\n\n[A-Z].+[.:?]", first.source), "a title, then a sentence"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            assert max(map(len, cell.source.splitlines())) <= 100
        for link in re.findall(r"\]\(([^)#\s]+)", cell.source):
            assert "://" in link or (NOTEBOOKS / link).exists(), link
