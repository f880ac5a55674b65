"""Statistics of simulated events beside those of a real DAVIS346, as a picture for the docs.

uv run python benchmarks/event_statistics.py REAL.hdf5
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eventseg.plots.events import save_figure
from eventseg.recordings import Recording, open_recording
from eventseg.simulate.street import simulate_street

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "event_statistics.png"
SCENARIOS = ("day", "night", "standstill")
DURATION_US = 1_000_000
RATE_BIN_US = 10_000
WINDOWS_US = (10_000, 50_000, 250_000)
INTERVALS_US = np.geomspace(100, 1e6, 41)
COLOURS = {
    "real DAVIS346": "#111111",
    "day": "#d97706",
    "night": "#4338ca",
    "standstill": "#0f766e",
}


def statistics(recording: Recording) -> dict[str, np.ndarray]:
    """Return rate, active shares and intervals of a recording.

    Returns
    -------
    dict
        ``rate``: events a second in bins of 10 ms; ``active``: mean share of pixels with an event
        in consecutive windows of each length; ``intervals``: share of the intervals between
        successive events of a pixel in each bin; ``on``: share of ON events, ``busiest``: share of
        the events that the 1 % of pixels with the most have.
    """
    events = recording.events()
    t = events.t - recording.t_first_us
    pixel = events.y.astype(np.int64) * events.sensor.width + events.x
    size = events.sensor.height * events.sensor.width
    rate = np.bincount(t // RATE_BIN_US)[:-1] * (1e6 / RATE_BIN_US)
    active = []
    for window_us in WINDOWS_US:
        number = t // window_us
        seen = np.unique(number[number < number[-1]] * size + pixel[number < number[-1]])
        active.append(len(seen) / (number[-1] * size))
    order = np.lexsort((t, pixel))
    same = np.diff(pixel[order]) == 0
    counts, _ = np.histogram(np.diff(t[order])[same], INTERVALS_US)
    per_pixel = np.sort(np.bincount(pixel, minlength=size))
    return {
        "rate": rate,
        "active": np.array(active),
        "intervals": counts / counts.sum(),
        "on": np.array([events.p.mean()]),
        "busiest": np.array([per_pixel[-size // 100 :].sum() / len(events)]),
    }


def draw(found: dict[str, dict[str, np.ndarray]]) -> Figure:
    figure = Figure(figsize=(11, 3.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    rate, active, intervals = figure.subplots(1, 3)
    for place, (name, numbers) in enumerate(found.items()):
        colour = COLOURS[name]
        seconds = np.arange(len(numbers["rate"])) * RATE_BIN_US / 1e6
        rate.plot(seconds, numbers["rate"] / 1e6, color=colour, lw=1.3, label=name)
        shift = (place - (len(found) - 1) / 2) * 0.2
        active.bar(np.arange(3) + shift, 100 * numbers["active"], 0.19, color=colour)
        middle = np.sqrt(INTERVALS_US[1:] * INTERVALS_US[:-1]) / 1e3
        intervals.plot(middle, 100 * numbers["intervals"], color=colour, lw=1.3)
    rate.set(title="Event rate", xlabel="s", ylabel="million events a second", ylim=(0, 1.75))
    rate.legend(fontsize=8, frameon=False, ncols=2, loc="upper center")
    active.set(title="Pixels with an event", xlabel="window", ylabel="% of the sensor")
    active.set_xticks(range(3), [f"{window_us // 1000} ms" for window_us in WINDOWS_US])
    intervals.set(
        title="Interval between events of a pixel", xlabel="ms", ylabel="% of the intervals",
        xscale="log",
    )  # fmt: skip
    for axes in (rate, active, intervals):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    found = {}
    with open_recording(sys.argv[1]) as recording:
        found["real DAVIS346"] = statistics(recording)
    with TemporaryDirectory() as folder:
        for scenario in SCENARIOS:
            out = Path(folder) / f"{scenario}.hdf5"
            simulate_street(out, duration_us=DURATION_US, seed=7, scenario=scenario, version=1)
            with open_recording(out) as recording:
                found[scenario] = statistics(recording)
    for name, numbers in found.items():
        middle = np.searchsorted(np.cumsum(numbers["intervals"]), 0.5)
        print(
            f"{name}: {numbers['rate'].mean() / 1e6:.2f} Mev/s, ON {numbers['on'][0]:.3f}, "
            f"active {', '.join(f'{share:.1%}' for share in numbers['active'])}, "
            f"median interval {INTERVALS_US[middle] / 1e3:.1f} ms, "
            f"below 1 ms {numbers['intervals'][INTERVALS_US[1:] <= 1000].sum():.1%}, "
            f"busiest 1 % of pixels {numbers['busiest'][0]:.1%} of the events"
        )
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    save_figure(draw(found), PICTURE)


if __name__ == "__main__":
    main()
