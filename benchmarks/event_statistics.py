"""Statistics of simulated events beside those of a real DAVIS346, as table and pictures.

    uv run python benchmarks/event_statistics.py REAL.aedat4

Twelve drives of each kind, whose seeds are others than those that version 2 was set with.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from paired import machine, save

from eventseg.labels.maps import CITYSCAPES_19, paint_labels
from eventseg.plots.events import render_events, save_figure
from eventseg.plots.statistics import figure_statistics
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.simulate.report import StatisticsReport
from eventseg.simulate.statistics import distances, mean_statistics, measure_recording
from eventseg.simulate.street import simulate_street

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SEEDS = range(100, 112)
DURATION_US = 600_000
KINDS = {
    "version 1, day": {"version": 1, "scenario": "day"},
    "version 2, day": {"version": 2, "scenario": "day"},
    "version 2, random": {"version": 2, "scenario": "random"},
}
PICTURED = {("version 1, day", 100), ("version 2, day", 100), ("version 2, day", 101)}
WINDOW_US = 50_000


def panel(recording: Recording, title: str, truth: Truth | None) -> tuple[str, list[np.ndarray]]:
    """Return a frame, the 50 ms of events before its end, and its labels."""
    frames = recording.frames
    i = len(frames) - 2
    end_us = int(frames.t_us[i]) or int(frames.t_end_us[i])
    gray = frames.image(i)
    pictures = [
        np.repeat(gray[:, :, None], 3, axis=2),
        render_events(recording.events(end_us - WINDOW_US, end_us)),
        np.full((*gray.shape, 3), 255, np.uint8)
        if truth is None
        else paint_labels(truth.label(i), CITYSCAPES_19),
    ]
    return title, pictures


def draw(rows: list[tuple[str, list[np.ndarray]]]) -> Figure:
    """Draw frames, events and labels, one recording a row."""
    figure = Figure(figsize=(9.6, 2.5 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), 3)
    for line, (title, pictures) in zip(grid, rows, strict=True):
        for axes, picture in zip(line, pictures, strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        line[0].set_ylabel(title, fontsize=9)
    for axes, title in zip(grid[0], ("frame", "events of 50 ms", "labels"), strict=True):
        axes.set_title(title, fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recording", help="Recording of a real camera.")
    arguments = parser.parse_args()
    rows = []
    with open_recording(arguments.recording) as recording:
        columns = {"real": measure_recording(recording)}
        rows.append(panel(recording, "real, a cradle indoors", None))
    with TemporaryDirectory() as folder:
        for kind, settings in KINDS.items():
            found = []
            for seed in SEEDS:
                out = Path(folder) / "drive.hdf5"
                simulate_street(out, duration_us=DURATION_US, seed=seed, **settings)
                with open_recording(out) as recording, Truth(truth_path(out)) as truth:
                    found.append(measure_recording(recording))
                    if (kind, seed) in PICTURED:
                        rows.append(panel(recording, f"{kind}, seed {seed}", truth))
            columns[kind] = mean_statistics(found)
            print(kind, flush=True)
    report = StatisticsReport(columns, None)
    print("\n".join(report.lines()))
    result = {
        "machine": machine(),
        "drives": f"{len(SEEDS)} of each kind, seeds {SEEDS.start} to {SEEDS.stop - 1}, "
        "346x260, the last 0.5 s of 0.6 s",
        "statistics": {name: one.table() for name, one in columns.items()},
        "distances": {
            name: distances(columns["real"], one) for name, one in columns.items() if name != "real"
        },
    }
    save("event_statistics", result)
    IMAGES.mkdir(parents=True, exist_ok=True)
    save_figure(figure_statistics(**report.panels()), IMAGES / "event_statistics.png")
    save_figure(draw(rows), IMAGES / "street_versions.png")


if __name__ == "__main__":
    main()
