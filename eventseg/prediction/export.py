"""Export of a trained network to ONNX or to a program of torch, checked before it counts as made.

The file takes the tensor that the encoding gives, float32 (N, C, H, W), and returns logits or
labels of the same height and width. Its metadata hold all that is needed to use it: encoding, class
table with colours, windows and scaling; ``docs/run_onnx.py`` does so without this library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import CheckpointError, OutputError, WindowError
from eventseg.files.whole import check_folder, write_whole
from eventseg.labels.tables import table_entries
from eventseg.networks import TrainedNetwork
from eventseg.networks.checkpoints import blueprint_table, inputs_table
from eventseg.networks.shipped import is_shipped
from eventseg.prediction.checkpoint_file import CheckpointFile, data_encoding, find_checkpoint
from eventseg.prediction.exported import (
    ExportedNetwork,
    onnx_bytes,
    onnx_function,
    torch_bytes,
    torch_function,
)
from eventseg.prediction.loading import ONNX, TORCH, check_is_checkpoint, load_trained
from eventseg.prediction.model_card import write_card
from eventseg.prediction.predictor import network_input
from eventseg.sources.source import open_source
from eventseg.windows import to_us

Format = Literal["onnx", "torch"]
Numbers = Literal["float32", "float16"]

SUFFIXES: dict[Format, str] = {"onnx": ONNX, "torch": TORCH}
"""Ending of the file of each format."""

CHECKED_SIZES = (61, 77), (128, 96), (90, 134)
"""Sizes at which a network of any size is compared with eager, besides that of the samples."""

TOLERANCE = 1e-4
"""Largest difference of float32 logits, as a share of the largest one."""

MOST_CHANGED = {"float32": 0.001, "float16": 0.01}
"""Largest share of pixels whose label may differ, by type of numbers."""

SAMPLES = 3


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Result of an export.

    Parameters
    ----------
    path, card : Path
        The file, and the model card beside it.
    checked : int
        Inputs that were compared with eager.
    of_run : bool
        Whether they were samples of the training's data; else they were random.
    difference : float
        Largest difference of logits as a share of the largest one; NaN where labels are exported.
    changed : float
        Largest share of pixels of an input whose label differs.
    """

    path: Path
    card: Path
    checked: int
    of_run: bool
    difference: float
    changed: float


def export(
    network: str | Path,
    out: str | Path | None = None,
    *,
    format: Format = "onnx",
    argmax: bool = False,
    size: tuple[int, int] | None = None,
    numbers: Numbers = "float32",
    checkpoint: str = "best.pt",
) -> ExportReport:
    """Write a network as a file that runs without this library, and a model card beside it.

    Parameters
    ----------
    network : path
        A run folder, a checkpoint, or the name of a shipped network.
    out : path, optional
        The file; by default ``NAME.onnx`` or ``NAME.pt2`` beside the checkpoint, of a shipped
        network in the working folder. The card, ``MODEL_CARD.md``, is beside it.
    format : {"onnx", "torch"}
        ONNX, or a program of ``torch.export``.
    argmax : bool
        Whether the file returns labels, uint8 (N, H, W), instead of logits.
    size : (int, int), optional
        Fixed height and width; by default any size and batch.
    numbers : {"float32", "float16"}
        Type of weights and activations; inputs and logits stay float32.
    checkpoint : str
        Name of the checkpoint in a run folder.

    Returns
    -------
    ExportReport

    Raises
    ------
    CheckpointError
        A network that cannot be read, or whose export differs from it: nothing is written then.
    NetworkError
        Any size, of a network that resizes its inputs to one.
    MissingExtraError
        Packages of the extra ``export`` are not installed.
    OutputError
        The file cannot be written, or does not end in ``.onnx`` or ``.pt2``, as its format.
    WindowError
        Another format or type of numbers, or a size without pixels.
    """
    if format not in get_args(Format) or numbers not in get_args(Numbers):
        raise WindowError(
            f"format must be onnx or torch and numbers float32 or float16, got {format!r} and "
            f"{numbers!r}"
        )
    if size is not None and min(size) < 1:
        raise WindowError(f"size must be a height and width of 1 or more, got {size}")
    found = find_checkpoint(network, checkpoint=checkpoint)
    check_is_checkpoint(found, purpose="export")
    path = _default_path(found, format) if out is None else Path(out)
    _check_path(path, format)
    trained = load_trained(found)
    half = numbers == "float16"
    make = onnx_bytes if format == "onnx" else torch_bytes
    samples = sample_inputs(found, trained)
    if size is not None:
        samples = [(x[..., : size[0], : size[1]], real) for x, real in samples]
        samples = [(x, real) for x, real in samples if x.shape[-2:] == tuple(size)]
    content = make(
        trained, labels=argmax, size=size, half=half, metadata=metadata_of(found, trained)
    )
    run = onnx_function(content) if format == "onnx" else torch_function(content)
    inputs = _checked_inputs(trained, [x for x, _ in samples], size)
    difference, changed = compare(run, trained, inputs, labels=argmax)
    if not half and difference > TOLERANCE:
        raise CheckpointError(
            f"the exported network differs from {found.path} by {difference:.1e} of the largest "
            f"logit, more than {TOLERANCE:g}; nothing was written"
        )
    if changed > MOST_CHANGED[numbers]:
        raise CheckpointError(
            f"the exported network gives other labels than {found.path} at {changed:.2%} of the "
            f"pixels, more than {MOST_CHANGED[numbers]:.1%}; nothing was written"
        )
    write_whole(path, lambda file: file.write(content))
    card = write_card(
        path.with_name("MODEL_CARD.md"),
        found,
        trained,
        file=path.name,
        output="labels" if argmax else "logits",
        numbers=numbers,
        size=size,
        difference=difference,
        changed=changed,
    )
    real = len(samples) > 0 and all(each for _, each in samples)
    return ExportReport(path, card, len(inputs), real, difference, changed)


def _default_path(found: CheckpointFile, format: Format) -> Path:
    """Return the path of an export that is given none; no file is added to the package."""
    name = f"{found.name}{SUFFIXES[format]}"
    return Path(name) if is_shipped(found.path) else found.path.with_name(name)


def _check_path(path: Path, format: Format) -> None:
    """Raise an OutputError where a file cannot be written or lacks the ending of its format.

    Without this rule an export could replace its own checkpoint.
    """
    if path.suffix.lower() != SUFFIXES[format]:
        raise OutputError(f"output {path} must end in {SUFFIXES[format]}, as format is {format}")
    if path.is_dir():
        raise OutputError(f"output {path} is a folder; give a file")
    check_folder(path.parent)


def metadata_of(found: CheckpointFile, trained: TrainedNetwork) -> dict[str, Any]:
    """Return the metadata that a user of the file needs, as plain values."""
    inputs = trained.inputs
    encoding = inputs.encoding or data_encoding(found.data, inputs)
    return {
        "format": 1,
        "network": trained.blueprint.name,
        "checkpoint_sha256": found.sha256,
        "input": {
            "kind": inputs.kind,
            "channels": inputs.channels,
            "windows": list(inputs.event_windows),
            "windows_us": [to_us(window) for window in inputs.event_windows],
            "scaling": asdict(inputs.scaling),
            "encoding": None if encoding is None else encoding.to_dict(),
            "channel_names": [] if encoding is None else [c.name for c in encoding.channels],
        },
        "blueprint": blueprint_table(trained.blueprint),
        "specification": inputs_table(replace(inputs, encoding=encoding)),
        "class_table": table_entries(trained.classes),
        "classes": list(trained.classes.names),
        "colours": [list(colour) for colour in trained.classes.colours],
    }


def compare(
    run: Any, trained: TrainedNetwork, inputs: Sequence[NDArray[np.float32]], *, labels: bool
) -> tuple[float, float]:
    """Return how far an exported network is from eager at its worst input.

    Returns
    -------
    float, float
        Difference of logits as a share of the largest one, NaN where it returns labels; share of
        the pixels whose label differs.
    """
    eager = ExportedNetwork(trained, labels=False, half=False).eval()
    difference = float("nan") if labels else 0.0
    changed = 0.0
    for x in inputs:
        with torch.inference_mode():
            expected = eager(torch.from_numpy(x)).numpy()
        made = run(x)
        found = made if labels else made.argmax(1)
        changed = max(changed, float((found != expected.argmax(1)).mean()))
        if not labels:
            largest = max(float(np.abs(expected).max()), 1e-9)
            difference = max(difference, float(np.abs(made - expected).max()) / largest)
    return difference, changed


def sample_inputs(
    found: CheckpointFile, trained: TrainedNetwork
) -> list[tuple[NDArray[np.float32], bool]]:
    """Return inputs (1, C, H, W) of the data of the training, none where it is gone."""
    if found.data is None or not found.data.exists():
        return []
    inputs = trained.inputs
    samples = []
    try:
        source = open_source(found.data)
    except (ValueError, OSError):  # moved, or labelled otherwise since
        return []
    try:
        for i in np.linspace(0, len(source.ids) - 1, SAMPLES + 2).round().astype(int)[1:-1]:
            window = inputs.windows[-1] if inputs.windows else ""
            x = network_input(source, int(i), inputs=inputs, window=window)
            samples.append((x[None].numpy(), True))
    except (ValueError, OSError):
        return samples
    finally:
        source.close()
    return samples


def _checked_inputs(
    trained: TrainedNetwork, samples: list[NDArray[np.float32]], size: tuple[int, int] | None
) -> list[NDArray[np.float32]]:
    """Return the samples, and random inputs of other sizes and numbers."""
    rng = np.random.default_rng(0)
    channels = trained.inputs.channels
    shapes = [(1, *size)] if size else [(k + 1, *each) for k, each in enumerate(CHECKED_SIZES)]
    made = [rng.standard_normal((n, channels, h, w)).astype(np.float32) for n, h, w in shapes]
    return [*samples, *made]
