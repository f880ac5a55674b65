"""Figures of a report: in its page and beside it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from eventseg.plots.figure_files import FigureFiles


def figure(title: str) -> Figure:
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().set_title(title)
    return drawn


def test_figures_are_embedded_and_written_as_png_and_pdf(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for stale in ("confusion-10ms.png", "measure-speed.pdf", "mine.png", "confusion-notes.txt"):
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
