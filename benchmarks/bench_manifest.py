"""Seconds and memory that a data set of a million samples takes before any sample is read.

    uv run python benchmarks/bench_manifest.py
    uv run python benchmarks/bench_manifest.py --samples 100000 --checkout OTHER

The data set is made up: 200 recordings that are not there, tensors of 16x24 pixels and an imported
label set whose files are links to a few. So names, tables and listings are those of a million
samples, and contents are not. Each step is a process of its own: to import what it needs, to open
the data set, `info`, `check --quick`, and `train` until its first epoch would begin. Processor time
is that of the process; memory is its peak. CHECKOUT, another working tree with an environment of
its own, opens the same folder.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from paired import machine, save

from eventseg.dataset.labelled import IMPORTED, ORIGIN, SAMPLES_DIGEST, ids_digest
from eventseg.dataset.layout import MANIFEST, SAMPLES, write_tensor
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.settings import Settings
from eventseg.dataset.table import Row, write_rows
from eventseg.encoding.settings import Encoding
from eventseg.events import SensorSize
from eventseg.images import write_image
from eventseg.labels.maps import load_class_table
from eventseg.windows import parse_anchor

HERE = Path(__file__).resolve().parents[1]
SENSOR = SensorSize(16, 24)
RECORDINGS = 200
LINKS = 50_000
"""Names of one file: file systems have a limit."""

TRAIN = """
from pathlib import Path
from eventseg.errors import TrainingError
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config
from eventseg.training.trainer import train

def begin():
    raise TrainingError("it would begin")

settings = {"network.name": "fastscnn", "labels.set": "own", "input.windows": ["50ms"],
            "iterations": 1000, "workers": 2, "amp": "off", "memory_format": "contiguous",
            "shuffle_block": 64}
try:
    train(open_source(DATA, label_set="own"), RUN, config=load_config(overrides=settings),
          started=begin)
except TrainingError as error:
    assert str(error) == "it would begin", error
"""
OPEN = "import eventseg; assert len(eventseg.open_dataset(DATA)) == SAMPLES"
COMMAND = "from eventseg_cli.main import main; main(ARGUMENTS, standalone_mode=False)"


def make_dataset(root: Path, samples: int) -> None:
    """Write a data set of made-up samples, each of which has a tensor and a label map."""
    each = samples // RECORDINGS
    rows = [
        Row(f"rec{r:03d}_t{50_000 * (k + 1)}", f"rec{r:03d}", -1, 50_000 * (k + 1),
            "test" if r % 5 == 0 else "val" if k >= 0.9 * each else "train", (1234,), (1.0,))
        for r in range(RECORDINGS)
        for k in range(each)
    ]  # fmt: skip
    entries = tuple(
        RecordingEntry(f"rec{r:03d}", f"../rec{r:03d}.hdf5", 10**9, f"{r:064x}", 0, 50_000 * each,
                       1234 * each, 0)
        for r in range(RECORDINGS)
    )  # fmt: skip
    rng = np.random.default_rng(1)
    tensor = np.zeros((6, *SENSOR), np.float32)
    tensor[0].flat[rng.integers(0, tensor[0].size, 1234)] = 1
    table = load_class_table("cityscapes19")
    for folder, suffix in (("tensors/50ms", "npy"), ("labels/own", "png")):
        (root / folder).mkdir(parents=True)
        for first in range(0, len(rows), LINKS):
            names = [f"{root / folder / row.id}.{suffix}" for row in rows[first : first + LINKS]]
            if suffix == "npy":
                write_tensor(Path(names[0]), tensor)
            else:
                labels = rng.integers(0, len(table), SENSOR).astype(np.uint8)
                write_image(Path(names[0]), labels)
            for name in names[1:]:
                os.link(names[0], name)
    settings = Settings(
        parse_anchor("stride:50ms"), (50_000,), Encoding(SENSOR, rows=(0, SENSOR.height)), "npy"
    )
    made = {ORIGIN: IMPORTED, "samples": len(rows), SAMPLES_DIGEST: ids_digest(r.id for r in rows)}
    write_rows(root / SAMPLES, rows, windows=settings.windows)
    Manifest(settings, entries, labels={"own": table}, label_settings={"own": made}).write(
        root / MANIFEST
    )


def run(code: str, *, tree: Path, **values: object) -> dict[str, Any]:
    """Return seconds and memory of a process that runs code with values in place of names."""
    for name, value in values.items():
        code = code.replace(name, repr(value))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    begin = time.perf_counter()
    python = str(tree / ".venv" / "bin" / "python")
    child = os.spawnve(os.P_NOWAIT, python, [python, "-c", code], environment)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"a step failed with status {status}:\n{code}")
    return {
        "processor_s": round(usage.ru_utime + usage.ru_stime, 2),
        "wall_s": round(time.perf_counter() - begin, 2),
        "memory_mib": round(usage.ru_maxrss / 1024),
    }


# Click keeps the lines of a paragraph that a backspace begins.
@click.command(help=__doc__.replace("\n\n    ", "\n\n\b\n    "))
@click.option("--samples", type=int, default=1_000_000, show_default=True)
@click.option("--checkout", type=click.Path(path_type=Path, exists=True), help="Another tree.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to keep the data set.")
def command(samples: int, checkout: Path | None, folder: Path | None) -> None:
    """Make the data set where it is not there, take the times, and write them."""
    root = Path(folder or tempfile.mkdtemp()).resolve()
    data = root / f"data-{samples}"
    if not (data / MANIFEST).exists():
        click.echo(f"making {data}")
        make_dataset(data, samples)
    steps: dict[str, tuple[str, Path]] = {
        "import eventseg and torch": ("import eventseg.training.trainer", HERE),
        "open_dataset": (OPEN, HERE),
        "info": (COMMAND.replace("ARGUMENTS", repr(["info", str(data)])), HERE),
        "check --quick": (
            COMMAND.replace("ARGUMENTS", repr(["check", str(data), "--quick"])),
            HERE,
        ),
        "train to its first epoch": (TRAIN, HERE),
    }
    if checkout is not None:
        steps["open_dataset of the other tree"] = (OPEN, checkout.resolve())
    rows = []
    for name, (code, tree) in steps.items():
        shutil.rmtree(root / "run", ignore_errors=True)
        values = {"DATA": str(data), "RUN": str(root / "run"), "SAMPLES": samples}
        found = run(code, tree=tree, **values)
        rows.append({"step": name, **found})
        click.echo(f"{name}: {found}")
    save("manifest", {**machine(), "samples": samples, "recordings": RECORDINGS, "rows": rows})
    if folder is None:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(command())
