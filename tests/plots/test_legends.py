"""Legends of many classes, and of long names, lie within their pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib import cbook
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.textpath import TextPath

from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.plots import legends
from eventseg.plots.conditions import Line, figure_groups
from eventseg.plots.legends import HINTED, LARGEST_PT, fit_legend
from eventseg.plots.scores import figure_bars, figure_calibration, figure_confusion
from eventseg.plots.statistics import figure_statistics
from eventseg.plots.training import figure_curves, figure_panels, figure_runs

NAMELESS = ClassTable(
    tuple(f"class {i} of a table of many" for i in range(40)), ((9, 9, 9),) * 40, "many"
)
TABLES = {
    "six": load_class_table("evsegnet6"),
    "nineteen": load_class_table("cityscapes19"),
    "many": NAMELESS,
    "long": ClassTable(("something with a name that is long",), ((9, 9, 9),)),
}


def assert_within(figure: Figure, legend, names: Sequence[str]) -> None:
    figure.draw_without_rendering()
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    assert [text.get_text().removesuffix(" (absent)") for text in legend.get_texts()] == [*names]


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", list(TABLES))
def test_legends_below_panels(name: str, columns: int) -> None:
    table = TABLES[name]
    picture = np.zeros((26, 34, 3), np.uint8)
    figure = figure_panels(
        [[picture] * columns], titles=["t"] * columns, names=["sample"], table=table
    )
    (legend,) = figure.legends
    assert_within(figure, legend, [*table.names, "ignored"])
    panel = figure.axes[0].images[0].get_window_extent()
    assert panel.y0 >= legend.get_window_extent().y1
    # The legend takes its room from the page, not from the panels.
    assert panel.width > 0.8 * figure.bbox.width / columns


@pytest.mark.parametrize("name", list(TABLES))
def test_legends_beside_learning_curves(name: str) -> None:
    table = TABLES[name]
    curve = [1.0, 2.0]
    figure = figure_curves(
        [1, 2],
        loss={"train": curve, "val": curve},
        miou={"train": curve, "val": curve},
        iou={each: [np.nan, np.nan] for each in table.names},
        classes=table,
        best_epoch=2,
    )
    assert_within(figure, figure.axes[2].get_legend(), table.names)


@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_epochs_are_whole_numbers(epochs: int) -> None:
    curves = {name: [1.0] * epochs for name in ("train", "val")}
    figure = figure_curves(
        range(1, epochs + 1),
        loss=curves,
        miou=curves,
        iou={"flat": [1.0] * epochs},
        classes=TABLES["six"],
        best_epoch=1,
    )
    ticks = [t for t in figure.axes[0].get_xticks() if 1 <= t <= epochs]
    assert len(ticks) >= min(epochs, 5)
    assert all(float(tick).is_integer() for tick in ticks)


def test_few_short_names_keep_their_size() -> None:
    fitted = fit_legend(TABLES["six"].names, width_pt=600)
    assert (fitted.font_pt, fitted.columns) == (LARGEST_PT, 6)
    assert fit_legend((), width_pt=10).columns == 1


@pytest.mark.parametrize(
    "text",
    [
        *TABLES["six"].names,
        *TABLES["long"].names,
        "AVA To",
        "Wände",
        "j",
        "$x^2$ a",
        "a\u200b",
        " ",
    ],
)
def test_names_are_as_wide_as_their_outlines(text: str) -> None:
    drawn_as = legends.as_written(text)
    outline = TextPath((0, 0), drawn_as, size=100).get_extents().width if text.strip() else 0
    assert legends._width_pt(text) == pytest.approx(HINTED * outline / 100, abs=1e-6)


def test_names_are_measured_once(monkeypatch) -> None:
    measured = []
    monkeypatch.setattr(
        legends,
        "TextPath",
        lambda at, text, **font: measured.append(text) or TextPath(at, text, **font),
    )
    names = [f"{name}, measured once" for name in TABLES["six"].names]
    first = fit_legend(names, width_pt=600)
    assert measured == names
    assert fit_legend(names, width_pt=600) == first
    assert measured == names


@pytest.mark.parametrize("shape", [(26, 34), (20, 90), (60, 26)])
def test_panels_are_apart_and_whole(shape: tuple[int, int]) -> None:
    rows = [
        [np.full((*shape, 3), 60 * line + 20 * c, np.uint8) for c in range(3)] for line in range(4)
    ]
    rows[1][1] = rows[1][1][: shape[0] // 2]
    names = ["a", "of two\nlines", "drive_long_name_f000004", ""]
    titles = ["input", "a title that is wider than pictures are, and by far", "c"]
    figure = figure_panels(rows, titles=titles, names=names, table=TABLES["six"])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    images = [image.get_window_extent() for image in axes.images]
    assert len(images) == 12
    for image, box in zip(axes.images, images, strict=True):
        height, width = image.get_array().shape[:2]
        assert box.width / box.height == pytest.approx(width / height)
    texts = [text.get_window_extent() for text in axes.texts if text.get_text()]
    boxes = [*images, *texts, figure.legends[0].get_window_extent()]
    assert len(texts) == 6
    for i, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:i])


NAMES = ("$\\frac{$", "$x$ and $y$", "_hidden", "100 % \\$", "r\udcff")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_formulas_and_hide_in_no_legend(name: str) -> None:
    table = ClassTable((name, "road"), ((9, 9, 9), (1, 1, 1)))
    picture, none = np.zeros((4, 6, 3), np.uint8), np.array([np.nan])
    line = Line(name, none + 1, none, none, [1])
    matrix = np.eye(2, dtype=np.int64)
    statistics = {name: {"rate": 1.0}}
    figures = [
        figure_panels([[picture]], titles=[name], names=[name], table=table),
        figure_runs({name: ([1], [1.0])}, title="t"),
        figure_bars({name: [1.0, 2.0], "b": [1.0, 2.0]}, names=table.names, title="t"),
        figure_groups([line, line], names=[name], title="t", label="l", joined=False),
        figure_calibration({name: [(1, 0.5, 0.5)]}, title="t"),
        figure_confusion(matrix, classes=table),
        figure_statistics(statistics, statistics, {name: [1.0]}, edges_us=[1, 10]),
    ]
    shown = name.replace("\udcff", r"\udcff")
    for figure in figures:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if drawn(text).strip() == shown]
        assert texts
        assert not any(cbook.is_math_text(text.get_text()) for text in texts)
    for figure in figures[:5]:
        legend = figure.legends[0] if figure.legends else figure.axes[0].get_legend()
        assert shown in [drawn(text).strip() for text in legend.get_texts()]


def drawn(text: Text) -> str:
    """Return the letters that Matplotlib draws for a text without a formula."""
    return text.get_text().replace(r"\$", "$")
