"""Figures of a report: in its page, and beside it as PNG and PDF."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from eventseg.files.whole import write_whole
from eventseg.html import embedded

FOLDER = "figures"
"""Folder beside a report."""

VARYING = ("confusion-*", "measure-*", "same-samples.*", "worst-*", "confidence.*")
"""Figures of windows, further measures and samples, which not every report of a folder has."""


@dataclass(frozen=True, slots=True)
class FigureFiles:
    """Figures of a report by name, held while its page is made.

    Parameters
    ----------
    kept : dict of str to (Figure, bytes)
        Figure and PNG of each name.
    """

    kept: dict[str, tuple[Figure, bytes]] = field(default_factory=dict)

    def embed(self, name: str, figure: Figure, *, alternative: str) -> str:
        """Keep a figure under a name of letters and ``-``, and return it as HTML."""
        _find_places(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        self.kept[name] = figure, buffer.getvalue()
        return embedded(buffer.getvalue(), alternative=alternative)

    def write(self, report: Path) -> None:
        """Write the figures into ``figures`` in the folder of a report, as PNG and as PDF.

        Figures of an earlier report that this one has no more are removed, by the names that
        depend on what was asked for (:data:`VARYING`): other files in the folder are not ours.

        Raises
        ------
        OutputError
            A file cannot be written.
        """
        folder = report / FOLDER
        for path in (path for pattern in VARYING for path in folder.glob(pattern)):
            if path.suffix in (".png", ".pdf") and path.stem not in self.kept:
                path.unlink()
        for name, (figure, png) in self.kept.items():
            write_whole(folder / f"{name}.png", lambda file, png=png: file.write(png))  # type: ignore[misc]
            write_whole(folder / f"{name}.pdf", lambda file, figure=figure: _as_pdf(file, figure))  # type: ignore[misc]


def _find_places(figure: Figure) -> None:
    """Let the layout engine of a figure find the places, and remove it.

    With an engine, even with one that does nothing, each file is drawn twice.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        with rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            figure.set_layout_engine(None)


def _as_pdf(file: io.BufferedWriter, figure: Figure) -> None:
    # Without a date, so that equal figures are equal files.
    figure.savefig(file, format="pdf", metadata={"CreationDate": None})
