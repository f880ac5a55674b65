"""Few labels of another sensor: training from the shipped network against training from nothing.

    uv run python benchmarks/bench_label_efficiency.py FOLDER [--camvid CAMVID]

FOLDER is that of bench_learning.py: drives of version 1 through streets with texture everywhere, a
sensor of 176x128 with other thresholds, noise and lens than those of the shipped network. Fast-SCNN
learns from 1, 10 and 100 % of the labels of 96 drives, with equal updates, from `--init street` and
from random weights, three seeds each; both are scored on 24 drives through other streets and
compared on the samples that they share. With --camvid the same is done on events before the
pictures of CamVid as bench_transfer.py makes them, 120 to learn from and 120 to score on. What is
done lies in FOLDER and is not done again. Simulated events throughout.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_learning import FASTSCNN, learn, measured
from bench_transfer import FULL, encoded_pictures
from paired import machine, save

from eventseg.evaluation.request import EvaluationRequest
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.significance import paired_test
from eventseg.training.layout import BEST

UPDATES = {0.01: 60, 0.1: 150, 1.0: 250}
"""Updates of a training by the fraction of the labels."""

INITS = ("random", "street")
SEEDS = (0, 1, 2)


def scored(run: Path, data: Path) -> Row:
    """Return the row of a run on the unseen drives at 50 ms."""
    request = EvaluationRequest(
        windows=("50ms",), labels="truth", device="cpu", workers=0, baselines=False
    )
    _, rows = evaluate_run(run, data, request=request)
    return rows[0]


def label_efficiency(data: Path, runs: Path, *, prefix: str) -> list[dict[str, Any]]:
    """Return the row of each fraction of the labels; missing runs are trained."""
    table: list[dict[str, Any]] = []
    for fraction, updates in UPDATES.items():
        rows: dict[str, list[Row]] = {init: [] for init in INITS}
        for seed in SEEDS:
            for init in INITS:
                run = runs / f"{prefix}-{init}-{fraction:g}-seed{seed}"
                settings = {
                    **FASTSCNN,
                    "iterations": updates,
                    "fraction": fraction,
                    "network.init": init,
                    # Few labels make short epochs, each of which is validated: on few samples.
                    "validation_share": 0.02,
                    "seed": seed,
                }
                learn(data, run, settings)
                assert (run / BEST).exists()
                rows[init].append(scored(run, data))
        result = {
            "fraction": fraction,
            "updates": updates,
            **{
                init: {
                    "miou": round(float(np.mean([measured(row)["miou"] for row in found])), 2),
                    "seeds": [measured(row) for row in found],
                }
                for init, found in rows.items()
            },
            "test": paired_test(rows["street"], rows["random"]).to_dict(),
        }
        table.append(result)
        means = {init: result[init]["miou"] for init in INITS}
        print(prefix, fraction, means, result["test"]["miou_truth"], flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of bench_learning.py")
    parser.add_argument("--camvid", type=Path, help="folder of CamVid")
    settings = parser.parse_args()
    root, described = settings.folder, machine()
    result = {"machine": described, "torch": torch.__version__, "data": "simulated events"}
    result["rows"] = label_efficiency(root / "drives.eventseg", root / "runs", prefix="few")
    if settings.camvid is not None:
        data = encoded_pictures(root, settings.camvid, FULL)
        result["camvid"] = label_efficiency(data, root / "runs", prefix="camvid")
    save("label_efficiency", result)


if __name__ == "__main__":
    main()
