"""Run a network that `eventseg export` wrote, from events to labels, with NumPy and ONNX Runtime.

    eventseg convert drive.hdf5 events.npz
    python run_onnx.py NET.onnx events.npz T1_US LABELS.ppm

Events are arrays t (us), x, y and p (OFF is 0 or -1), sorted by t, or one structured array (.npy).
Labels of the window that ends at T1_US of their clock are written in the colours of the classes.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def encode(events, t0, window, encoding):
    """Return the six channels count+ count- mean+ std+ mean- std-, float32 (1, 6, H, W)."""
    (row0, row1), width = encoding["rows"], encoding["sensor"]["width"]
    inside = events[slice(*np.searchsorted(events["t"], (t0, t0 + window)))]
    inside = inside[(inside["y"] >= row0) & (inside["y"] < row1)]
    dt = (inside["t"] - t0).astype(np.float64)
    x = np.zeros((6, row1 - row0, width))
    for on, (count, mean, std) in ((1, (0, 2, 3)), (0, (1, 4, 5))):
        which = (inside["p"] > 0) == on
        cell = (inside["y"][which] - row0).astype(np.int64) * width + inside["x"][which]
        n, s1, s2 = (
            np.bincount(cell, dt[which] ** k, x[0].size).reshape(x[0].shape) for k in (0, 1, 2)
        )
        spread = np.maximum(n * s2 - s1**2, 0) / np.maximum(n * (n - encoding["ddof"]), 1)
        x[count], x[mean] = n, s1 / np.maximum(n, 1) / window
        x[std] = np.sqrt(np.where(n > 1, spread, 0)) / window
    x = x.astype(encoding.get("dtype", "float32")).astype(np.float64)  # rounded as in training
    x[:2] = np.sqrt(x[:2]) if encoding["normalise"] == "sqrt" else x[:2]
    if encoding["normalise"] == "evsegnet":
        for count, mean, std in ((0, 2, 3), (1, 4, 5)):
            x[mean] = np.where(x[count] > 0, 2 * x[mean] - 1, 0)
            x[count] = 2 * x[count] / max(x[count].max(), 1) - 1
            x[std] = np.minimum(1, 2 * x[std])
    return x[None].astype(np.float32)


def main(network, events_file, t1_us, out):
    """Write the labels of one window as a picture."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["eventseg"])
    inputs, encoding, t1 = metadata["input"], metadata["input"]["encoding"], int(t1_us)
    if inputs["channels"] != 6 or encoding["representation"] != "mean-std" or encoding["filters"]:
        sys.exit("this script has the six channels of mean-std alone, and no filters")
    loaded, t0 = np.load(events_file), t1 - inputs["windows_us"][-1]
    events = np.rec.fromarrays([loaded[name] for name in "txyp"], names="t,x,y,p")
    if not ((events.t >= t0) & (events.t < t1)).any():
        sys.exit(f"no event in [{t0}, {t1_us}) us; they lie from {events.t[0]} to {events.t[-1]}")
    if any(events[k].max() >= encoding["sensor"][s] for k, s in (("x", "width"), ("y", "height"))):
        sys.exit(f"there are events outside of the network's sensor, {encoding['sensor']}")
    (output,) = session.run(None, {"input": encode(events, t0, t1 - t0, encoding)})
    labels = output[0] if output.ndim == 3 else output[0].argmax(0)
    picture = np.array(metadata["colours"], np.uint8)[labels].tobytes()
    Path(out).write_bytes(b"P6 %d %d 255\n" % labels.shape[::-1] + picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
