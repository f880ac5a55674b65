"""Why four statistics of version 2 stay away from the real recording: one change of a drive a row.

    uv run python benchmarks/event_causes.py

The same two drives by day are simulated as they are drawn and with one cause changed. The real
recording's statistics are those of ``results/event_statistics.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from paired import RESULTS, machine, save

from eventseg.recordings import open_recording
from eventseg.simulate.scene.scenarios import SCENARIOS
from eventseg.simulate.scene.settings import StreetSettings, draw_settings
from eventseg.simulate.statistics import measure_recording
from eventseg.simulate.street import simulate_street

SEEDS = (100, 106)
DURATION_US = 600_000
SHOWN = ("rate_hz", "active", "busiest", "on", "silent")


def changes(drawn: StreetSettings) -> dict[str, dict[str, float]]:
    """Return the settings of each row."""
    higher = {name: 1.3 * getattr(drawn, name) for name in ("threshold_on", "threshold_off")}
    return {
        "as drawn": {},
        "camera stands still": {"speed_m_s": 0.0, "vibration_deg": 0.0},
        "thresholds 1.3 times": higher,
        "ON threshold 0.88 of OFF": {"threshold_on": 0.88 * drawn.threshold_off},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    rows: dict[str, list[dict[str, float]]] = {}
    with TemporaryDirectory() as folder:
        for seed in SEEDS:
            for name, settings in changes(draw_settings(seed, SCENARIOS["day"])).items():
                out = Path(folder) / "drive.hdf5"
                simulate_street(
                    out, duration_us=DURATION_US, seed=seed, settings=settings, tolerance=0.1
                )
                with open_recording(out) as recording:
                    found = measure_recording(recording).table()
                rows.setdefault(name, []).append({key: float(found[key]) for key in SHOWN})
            print(f"seed {seed}", flush=True)
    real = json.loads((RESULTS / "event_statistics.json").read_text())["statistics"]["real"]
    result: dict[str, object] = {
        "machine": machine(),
        "drives": f"day, seeds {', '.join(map(str, SEEDS))}, 346x260, the last 0.5 s of 0.6 s, "
        "tolerance 0.1",
        "real": {key: real[key] for key in SHOWN},
    }
    for name, each in rows.items():
        result[name] = {
            key: {
                "mean": float(np.mean([row[key] for row in each])),
                "drives": [row[key] for row in each],
            }
            for key in SHOWN
        }
        print(name, {key: round(float(np.mean([row[key] for row in each])), 3) for key in SHOWN})
    save("event_causes", result)


if __name__ == "__main__":
    main()
