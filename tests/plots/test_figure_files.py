"""Figures of a report: in its page and beside it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from eventseg.labels.maps import ClassTable
from eventseg.plots.figure_files import FigureFiles
from eventseg.plots.scores import figure_confusion


def figure(title: str) -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().set_title(title)
    return drawn


def test_figures_are_embedded_and_written_as_png_and_pdf(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for stale in (
        "confusion-10ms.png",
        "measure-speed.pdf",
        "same-samples.png",
        "worst-frames.pdf",
        "mine.png",
        "confusion-notes.txt",
    ):
        (tmp_path / "figures" / stale).write_text("x")
    bytes_of = []
    for _ in range(2):
        kept = FigureFiles()
        html = kept.embed("curves", figure("a"), alternative="learning <curves>")
        assert html.startswith('<img alt="learning &lt;curves&gt;" src="data:image/png;base64,')
        kept.write(tmp_path)
        names = sorted(path.name for path in (tmp_path / "figures").iterdir())
        assert names == ["confusion-notes.txt", "curves.pdf", "curves.png", "mine.png"]
        with Image.open(tmp_path / "figures" / "curves.png") as picture:
            assert picture.size == (200, 100)
        pdf = (tmp_path / "figures" / "curves.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        bytes_of.append(pdf)
    # Equal figures are equal files: neither holds a date.
    assert bytes_of[0] == bytes_of[1]


def test_figures_are_drawn_once_for_each_file(tmp_path: Path, monkeypatch) -> None:
    drawn = []
    draw = Figure.draw

    def counted(self: Figure, renderer) -> None:
        drawn.append(type(renderer).__name__)
        draw(self, renderer)

    table = ClassTable(("a", "a class of a long name"), ((9, 9, 9), (1, 2, 3)))
    counts = np.array([[3, 1], [0, 0]])
    expected = io.BytesIO()
    figure_confusion(counts, classes=table).savefig(
        expected, format="png", metadata={"Software": None}
    )
    monkeypatch.setattr(Figure, "draw", counted)
    kept = FigureFiles()
    kept.embed("confusion-50ms", figure_confusion(counts, classes=table), alternative="matrix")
    assert len(drawn) == 1
    kept.write(tmp_path)
    assert len(drawn) == 2
    assert (tmp_path / "figures" / "confusion-50ms.png").read_bytes() == expected.getvalue()


def test_cells_of_a_confusion_matrix_are_not_measured_for_the_layout() -> None:
    table = ClassTable(("a", "b"), ((9, 9, 9), (1, 2, 3)))
    figure = figure_confusion(np.array([[3, 1], [0, 0]]), classes=table)
    cells = figure.axes[0].texts
    assert [cell.get_text() for cell in cells] == ["75", "25", "-", "-"]
    assert not any(cell.get_in_layout() for cell in cells)
