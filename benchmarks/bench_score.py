"""Time and memory of a score from label PNG of 640x440: everything that `eventseg score` does.

    uv run python benchmarks/bench_score.py [SAMPLES [FOLDER]]

Labels are regions with thin objects and wavy borders in eleven classes, predictions the same with
moved borders and some wrong regions; 2,000 of them differ, and have several names. The folder is
made once and kept where one is named. 200 training samples give the baselines. Two threads read
and count.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from paired import machine, save
from PIL import Image

from eventseg.evaluation import score_predictions
from eventseg.labels.tables import load_class_table
from eventseg.recordings.progress import Progress

HEIGHT, WIDTH, CLASSES = 440, 640, 11
TRAINING, DIFFERENT, WORKERS = 200, 2_000, 2
PIXELS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


def label_map(rng: np.random.Generator) -> np.ndarray:
    """Return a street-like label map, uint8 (H, W): bands, boxes, poles."""
    rows, columns = PIXELS
    waves = sum(
        rng.normal(0, 12 / k) * np.sin(columns * k * rng.uniform(0.01, 0.04) + rng.uniform(0, 6))
        for k in (1, 2, 5)
    )
    labels = np.digitize(rows + waves, [90, 190, 260]).astype(np.uint8)
    for _ in range(rng.integers(6, 14)):
        y, x = rng.integers(60, 380), rng.integers(0, WIDTH - 40)
        labels[y : y + rng.integers(20, 90), x : x + rng.integers(15, 120)] = rng.integers(4, 9)
    for _ in range(rng.integers(3, 9)):
        x, y = rng.integers(0, WIDTH - 6), rng.integers(40, 160)
        labels[y : y + 180, x : x + rng.integers(2, 6)] = 9
    labels[:3] = 255
    return labels


def predicted(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a prediction: borders moved by some pixels, and a box that is wrong."""
    rows = np.clip(np.arange(HEIGHT) + rng.integers(-2, 3), 0, HEIGHT - 1)
    columns = np.clip(np.arange(WIDTH) + rng.integers(-2, 3), 0, WIDTH - 1)
    made = labels[rows][:, columns]
    made[made == 255] = 0
    y, x = rng.integers(0, 360), rng.integers(0, 520)
    made[y : y + 60, x : x + 80] = rng.integers(0, CLASSES)
    return made


def make(root: Path, samples: int) -> None:
    """Write data and predictions, as far as they are not there."""
    table = load_class_table("dsec11")
    entries = [
        f'    {{ id = {i}, name = "{name}", colour = {list(colour)} }},'
        for i, (name, colour) in enumerate(zip(table.names, table.colours, strict=True))
    ]
    for folder in ("data/images/train", "data/images/test", "data/labels/train",
                   "data/labels/test", "maps"):  # fmt: skip
        (root / folder).mkdir(parents=True, exist_ok=True)
    text = 'name = "made"\nclasses = [\n' + "\n".join(entries) + "\n]\n"
    (root / "data/classes.toml").write_text(text)
    picture = root / "picture.png"
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(picture)
    for split, count in (("train", TRAINING), ("test", samples)):
        for k in range(count):
            name = f"{split}{k // 500:03}_{k:06}.png"
            target = root / "data/labels" / split / name
            if target.exists():
                continue
            if k >= DIFFERENT:
                first = k % DIFFERENT
                same = f"{split}{first // 500:03}_{first:06}.png"
                for folder in ("data/images/test", "data/labels/test", "maps"):
                    os.link(root / folder / same, root / folder / name)
                continue
            rng = np.random.default_rng([k, split == "test"])
            labels = label_map(rng)
            image = root / "data/images" / split / name
            image.unlink(missing_ok=True)
            os.link(picture, image)
            if split == "test":
                Image.fromarray(predicted(labels, rng)).save(root / "maps" / name)
            Image.fromarray(labels).save(target)


def resident_mib() -> float:
    """Return the memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def run(root: Path, samples: int) -> dict[str, Any]:
    """Score everything, and return times and memory."""
    memory: dict[str, float] = {}

    def progress(now: Progress) -> None:
        for share in (0.1, 0.5, 1.0):
            if now.stage == "maps" and now.done == round(share * now.total):
                memory[f"at {share:.0%} of the samples"] = round(resident_mib(), 1)

    start, used = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as out:
        found = score_predictions(
            root / "maps", root / "data", out=out, workers=WORKERS, progress=progress
        )
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - used
    size = sum(path.stat().st_size for path in (root / "maps").iterdir())
    return {
        "samples": len(found.rows[0].ids),
        "rows": [row.name for row in found.rows],
        "sections": [section.key for section in found.sections],
        "bytes_a_map": round(size / samples),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "samples_a_second": round(samples / wall_s, 1),
        "resident_mib": memory,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "miou_present": found.scores.miou_present,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("samples", nargs="?", type=int, default=20_000, help="Number of samples.")
    parser.add_argument("folder", nargs="?", type=Path, help="Folder for the label maps.")
    arguments = parser.parse_args()
    samples: int = arguments.samples
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.folder or Path(temporary)
        make(root, samples)
        result = {**machine(), "size": f"{WIDTH}x{HEIGHT}", "threads": WORKERS}
        result |= run(root, samples)
    print(result)
    if samples >= 20_000:
        save("score", result)


if __name__ == "__main__":
    main()
