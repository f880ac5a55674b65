"""Pictures of a film: panels in a grid under a headline, with the legend of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eventseg.labels.maps import IGNORED, ClassTable, Labels

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (17, 24, 39)
SOFT: Colour = (107, 114, 128)
LINE: Colour = (209, 213, 219)
BLANK: Colour = (243, 244, 246)
WRONG: Colour = (220, 38, 38)
IGNORED_COLOUR: Colour = (0, 0, 0)

EXACT = (PAPER, INK, SOFT, LINE, BLANK, WRONG, IGNORED_COLOUR)
"""Colours of every film beside those of its classes and events."""

SMALLEST, MOST_COLUMNS = 8, 4
"""Least size of letters in pixels, and most columns of a legend in a cell."""

LIGHTENED = 0.55
"""Share of white in the frame below the wrong pixels of an error panel."""


class Panel(NamedTuple):
    """One picture of a grid: its title and its pixels, uint8 (H, W, 3), or None for a blank."""

    title: str
    picture: Rgb | None


@dataclass(frozen=True, slots=True)
class FilmLayout:
    """Places of headline, panels and legend on the pictures of a film.

    Parameters
    ----------
    rows : int
        Rows of the grid.
    columns : int
    size : (int, int)
        Height and width of the panels' pictures.
    classes : ClassTable or None
        Classes of the legend; None for a film without one.
    width : int
        Width of the film in pixels.
    free : tuple of (int, int)
        Row and column of a cell without a panel, which takes the legend; by default the legend
        stands in a strip below.
    """

    rows: int
    columns: int
    size: tuple[int, int]
    classes: ClassTable | None
    width: int = 1600
    free: tuple[int, int] | None = None
    unit: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", max(4, self.width // 100))

    @property
    def panel(self) -> tuple[int, int]:
        """Height and width of a panel on the film."""
        width = (self.width - 2 * self.margin - (self.columns - 1) * self.gap) // self.columns
        return max(1, round(width * self.size[0] / self.size[1])), width

    @property
    def margin(self) -> int:
        """Space around everything."""
        return 2 * self.unit

    @property
    def gap(self) -> int:
        """Space between panels."""
        return self.unit

    @property
    def height(self) -> int:
        """Height of the film in pixels, even as films need it."""
        head, title = 4 * self.unit, 2 * self.unit
        grid = self.rows * (title + self.panel[0]) + (self.rows - 1) * self.gap
        strip = self.free is None and self.classes is not None
        below = self.gap + self._strip_lines() * 2 * self.unit if strip else 0
        height = head + self.margin // 2 + grid + below + self.margin
        return height + height % 2

    def draw(self, grid: Sequence[Sequence[Panel | None]], *, headline: str, note: str) -> Rgb:
        """Return a picture of the film.

        Parameters
        ----------
        grid : sequence of sequences of Panel or None
            Rows of panels; None leaves a cell empty.
        headline, note : str
            Words at the top, at the left and at the right.

        Returns
        -------
        uint8 (height, width, 3)
        """
        canvas = Image.new("RGB", (self.width, self.height), PAPER)
        draw = ImageDraw.Draw(canvas)
        middle = self.margin // 2 + 2 * self.unit
        large, small = _font(1.7 * self.unit), _font(1.25 * self.unit)
        room = self.width - 2 * self.margin - draw.textlength(note, font=small) - 2 * self.unit
        left = _shortened(headline, large, draw, room)
        draw.text((self.margin, middle), left, fill=INK, font=large, anchor="lm")
        draw.text((self.width - self.margin, middle), note, fill=SOFT, font=small, anchor="rm")
        for row, panels in enumerate(grid):
            for column, panel in enumerate(panels):
                if panel is not None:
                    self._draw_panel(canvas, draw, panel, self._place(row, column))
        if self.classes is not None:
            if self.free is not None:
                self._legend_in(draw, self._place(*self.free))
            else:
                self._legend_below(draw)
        return np.array(canvas)

    def _place(self, row: int, column: int) -> tuple[int, int]:
        """Return left and top of a panel's picture."""
        height, width = self.panel
        left = self.margin + column * (width + self.gap)
        top = self.margin // 2 + 4 * self.unit + row * (2 * self.unit + height + self.gap)
        return left, top + 2 * self.unit

    def _draw_panel(
        self,
        canvas: Image.Image,
        draw: ImageDraw.ImageDraw,
        panel: Panel,
        place: tuple[int, int],
    ) -> None:
        (left, top), (height, width) = place, self.panel
        font = _font(1.35 * self.unit)
        title = _shortened(panel.title, font, draw, width)
        draw.text((left, top - self.unit), title, fill=INK, font=font, anchor="lm")
        draw.rectangle((left - 1, top - 1, left + width, top + height), fill=BLANK, outline=LINE)
        if panel.picture is not None:
            fitted = fit(panel.picture, (height, width))
            dy, dx = (height - fitted.shape[0]) // 2, (width - fitted.shape[1]) // 2
            canvas.paste(Image.fromarray(fitted), (left + dx, top + dy))

    def _entries(self) -> list[tuple[str, Colour]]:
        if self.classes is None:
            return []
        entries = [*zip(self.classes.names, self.classes.colours, strict=True)]
        return [*entries, ("ignored", IGNORED_COLOUR)]

    def _legend_in(self, draw: ImageDraw.ImageDraw, place: tuple[int, int]) -> None:
        """Write the legend into a cell, in as many columns as it needs."""
        (left, top), (_, width), entries = place, self.panel, self._entries()
        names = tuple(name for name, _ in entries)
        columns, step, size = _cell_legend(names, self.panel, self.unit)
        lines = -(-len(entries) // columns)
        for i, (name, colour) in enumerate(entries):
            x = left + i // lines * (width // columns)
            y = top + (i % lines + 0.5) * step
            self._entry(draw, name, colour, (x, y), _font(size), width / columns, 0.62 * step)

    def _legend_below(self, draw: ImageDraw.ImageDraw) -> None:
        top = self.height - self.margin - self._strip_lines() * 2 * self.unit
        font = _font(1.25 * self.unit)
        per_line = self._per_line()
        step = (self.width - 2 * self.margin) / per_line
        for i, (name, colour) in enumerate(self._entries()):
            x = self.margin + i % per_line * step
            y = top + (i // per_line + 0.5) * 2 * self.unit
            self._entry(draw, name, colour, (x, y), font, step, 1.25 * self.unit)

    def _per_line(self) -> int:
        font = _font(1.25 * self.unit)
        widest = max(font.getlength(name) for name, _ in self._entries()) + 3 * self.unit
        return max(1, min(len(self._entries()), int((self.width - 2 * self.margin) / widest)))

    def _strip_lines(self) -> int:
        return -(-len(self._entries()) // self._per_line())

    def _entry(
        self,
        draw: ImageDraw.ImageDraw,
        name: str,
        colour: Colour,
        place: tuple[float, float],
        font: ImageFont.FreeTypeFont,
        room: float,
        side: float,
    ) -> None:
        x, y = place
        box = (x, y - side / 2, x + 1.3 * side, y + side / 2)
        draw.rectangle(box, fill=colour, outline=LINE)
        text = _shortened(name, font, draw, room - 1.3 * side - self.unit)
        draw.text((x + 1.3 * side + 0.5 * self.unit, y), text, fill=INK, font=font, anchor="lm")


def paint_error(labels: Labels, truth: Labels, *, below: Rgb | None) -> Rgb:
    """Return a picture of the wrong pixels in red over the lightened frame.

    Parameters
    ----------
    labels, truth : uint8 (H, W)
        In the same classes; pixels without truth are black.
    below : uint8 (H, W, 3), optional
        Frame of the moment.
    """
    light = np.full((*labels.shape, 3), 232, np.uint8)
    if below is not None:
        light = (255 * LIGHTENED + (1 - LIGHTENED) * below.astype(np.float32)).astype(np.uint8)
    light[(labels != truth) & (truth != IGNORED)] = WRONG
    light[truth == IGNORED] = IGNORED_COLOUR
    return light


def wrong_share(labels: Labels, truth: Labels) -> float:
    """Return the share of the pixels with truth that are wrong, NaN where none has truth."""
    known = truth != IGNORED
    return float((labels != truth)[known].mean()) if known.any() else float("nan")


def fit(picture: Rgb, box: tuple[int, int]) -> Rgb:
    """Return a picture brought into a box, in its own proportions.

    It is enlarged by a whole factor first, so that its pixels stay squares of one colour, and the
    rest is averaged over areas.

    Parameters
    ----------
    picture : uint8 (H, W, 3)
    box : (int, int)
        Height and width.
    """
    height, width = picture.shape[:2]
    scale = min(box[0] / height, box[1] / width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    factor = max(1, int(np.ceil(scale)))
    large = np.repeat(np.repeat(picture, factor, axis=0), factor, axis=1)
    if large.shape[:2] == size:
        return large
    resized = Image.fromarray(large).resize(size[::-1], Image.Resampling.BOX)
    return np.array(resized)


@lru_cache
def _cell_legend(
    names: tuple[str, ...], cell: tuple[int, int], unit: int
) -> tuple[int, float, int]:
    """Return columns, height of a line and size of the letters of a legend in a cell.

    The letters are the largest with which all lines and names fit, in the fewest columns. Where
    none do they are the smallest that can be read, lines stand close, and long names will be
    shortened.
    """
    height, width = cell
    largest = max(SMALLEST, round(1.35 * unit))
    for size in range(largest, SMALLEST - 1, -1):
        longest = max(map(_font(size).getlength, names))
        for columns in range(1, MOST_COLUMNS + 1):
            step = min(2.4 * unit, height / -(-len(names) // columns))
            if 0.72 * step >= size - 0.5 and longest + 0.81 * step + unit <= width / columns:
                return columns, step, size
    dense = [height / -(-len(names) // columns) for columns in range(1, MOST_COLUMNS + 1)]
    columns = next((k for k, step in enumerate(dense, 1) if step >= SMALLEST), MOST_COLUMNS)
    return columns, dense[columns - 1], SMALLEST


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(SMALLEST, round(size)))
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow comes with FreeType
    return font


def _shortened(
    text: str, font: ImageFont.FreeTypeFont, draw: ImageDraw.ImageDraw, room: float
) -> str:
    """Return a text cut to a width, with dots where it is."""
    if draw.textlength(text, font=font) <= room:
        return text
    while text and draw.textlength(f"{text}...", font=font) > room:
        text = text[:-1]
    return f"{text}..."
