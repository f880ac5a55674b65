"""Labels at any time after a frame, on simulated streets: mean IoU by the age of the frame.

    uv run python benchmarks/bench_anytime.py --recordings 'drives/world2*.hdf5' \
        --run events=runs/events --run gray=runs/gray --run both=runs/both

Truth between frames exists in simulation alone: views of the street are rendered anew at the exact
time. From every `--step`-th frame on, each network predicts 0, 10, 20, 50, 100, 200, 400 and 800 ms
later, by what a camera without newer frames would have: gray the frame, which grows stale; events
the window that ends at the time; both the stale frame and that window. All are scored on the same
truth at the same instants, each delay over all recordings. `hold` is the label map of the events
at the frame, held: what a network gives that is asked at frames alone.
"""

from __future__ import annotations

import argparse
import glob
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from paired import machine, save

from eventseg import encode, open_recording
from eventseg.encoding import encoding_of
from eventseg.labels import merge_labels
from eventseg.labels.maps import merge_of, table_of
from eventseg.metrics import confusion_matrix, scores
from eventseg.networks.inputs import scaled
from eventseg.prediction import Predictor, predictor
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.instants import window_us_of
from eventseg.recordings import Recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.simulate.scene.scenes import scene_of

DELAYS_MS = (0, 10, 20, 50, 100, 200, 400, 800)
HOLD = "hold"


def input_at(
    network: Predictor, recording: Recording, frame: int, t1_us: int, *, window_us: int
) -> NDArray[np.float32]:
    """Return the input of a network at a time: the frame given, and the window that ends there."""
    inputs, parts = network.trained.inputs, []
    encoding = inputs.encoding or encoding_of(recording.sensor, normalise=inputs.normalise)
    if inputs.kind != "events":
        image = recording.frames.image(frame)[slice(*encoding.rows)]
        gray = image.astype(np.float32)[None] / np.float32(255)
        rgb = np.repeat(gray, 3, axis=0) if inputs.kind == "rgb" else gray
        parts.append(scaled(rgb, inputs.scaling))
    if inputs.kind in ("events", "both"):
        if encoding.filters:
            raise SystemExit("networks trained with event filters are not for this benchmark")
        parts.append(encode(recording.events(t1_us - window_us, t1_us), encoding=encoding))
    return np.concatenate(parts)


def score_recording(
    path: Path,
    networks: dict[str, Predictor],
    *,
    step: int,
    window: str | None,
    confusions: dict[tuple[str, int], Any],
) -> int:
    """Add the confusion matrices of a recording; return the number of frames."""
    frames = 0
    with open_recording(path) as recording:
        truth = Truth(truth_path(path))
        view = scene_of(truth)
        if not np.array_equal(view(int(truth.t_us[0])).label, truth.label(0)):
            raise SystemExit(f"{path}: a view rendered anew is not the truth beside it")
        last_us = recording.t_last_us - 1_000 * DELAYS_MS[-1]
        for frame in range(1, len(recording.frames), step):
            t_us = int(recording.frames.t_us[frame])
            if t_us > last_us:
                break
            frames += 1
            held: dict[str, NDArray[np.uint8]] = {}
            for delay_ms in DELAYS_MS:
                t1_us = t_us + 1_000 * delay_ms
                label = view(t1_us).label
                for name, network in networks.items():
                    inputs, classes = network.trained.inputs, network.trained.classes
                    length = window_us_of(inputs, window)
                    x = input_at(network, recording, frame, t1_us, window_us=length)
                    made = network(x).argmax(0).astype(np.uint8)
                    rows = inputs.encoding.rows if inputs.encoding else (0, len(label))
                    merge = merge_of(table_of(truth.classes), classes)
                    merged = merge_labels(label[slice(*rows)], merge)
                    if delay_ms == 0:
                        held[name] = made
                    made_by = {name: made}
                    if inputs.kind == "events":
                        made_by[f"{name} {HOLD}"] = held[name]
                    for key, labels in made_by.items():
                        found = confusion_matrix(merged, labels, classes=len(classes))
                        confusions[key, delay_ms] = confusions[key, delay_ms] + found
        truth.close()
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", required=True, help="simulated streets, a pattern")
    parser.add_argument("--run", action="append", required=True, metavar="NAME=RUN")
    parser.add_argument("--window", help="length of the windows; by default that of the training")
    parser.add_argument("--step", type=int, default=5, help="frames from one start to the next")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--save", default="anytime", help="name of the result; none for no file")
    args = parser.parse_args()
    paths = sorted(Path(path) for path in glob.glob(args.recordings))  # noqa: PTH207
    if not paths:
        raise SystemExit(f"no recording {args.recordings}")
    runs = dict(each.split("=", 1) for each in args.run)
    networks = {
        name: predictor(find_checkpoint(run).path, device=args.device) for name, run in runs.items()
    }
    described = machine()
    confusions: dict[tuple[str, int], Any] = defaultdict(int)
    frames = 0
    for path in paths:
        frames += score_recording(
            path, networks, step=args.step, window=args.window, confusions=confusions
        )
        print(f"{path.name}: {frames} frames so far", flush=True)
    if not frames:
        raise SystemExit(f"no frame has {DELAYS_MS[-1]} ms of recording after it")
    rows = []
    for name in dict.fromkeys(key for key, _ in confusions):
        found = {delay: scores(confusions[name, delay]) for delay in DELAYS_MS}
        rows.append(
            {
                "network": name,
                "miou_percent": {f"{d} ms": round(100 * s.miou_truth, 2) for d, s in found.items()},
                "accuracy_percent": {
                    f"{d} ms": round(100 * s.pixel_accuracy, 2) for d, s in found.items()
                },
            }
        )
    head = ["network", *(f"{delay} ms" for delay in DELAYS_MS)]
    print("\nmean IoU, %, by the time after the last frame")
    print("".join(f"{cell:>12}" for cell in head))
    for row in rows:
        cells = [row["network"], *(f"{value:.1f}" for value in row["miou_percent"].values())]
        print("".join(f"{cell:>12}" for cell in cells))
    result = {
        "machine": described,
        "recordings": [path.name for path in paths],
        "frames": frames,
        "step": args.step,
        "runs": {name: Path(run).name for name, run in runs.items()},
        "torch_threads": torch.get_num_threads(),
        "rows": rows,
    }
    if args.save != "none":
        save(args.save, result)


if __name__ == "__main__":
    main()
