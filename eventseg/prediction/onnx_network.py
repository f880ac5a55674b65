"""Networks that ONNX Runtime computes on the CPU, from bytes or from an exported file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eventseg.errors import CheckpointError, NetworkError
from eventseg.labels.tables import table_of_entries
from eventseg.networks import TrainedNetwork
from eventseg.networks.checkpoints import Blueprint, inputs_of
from eventseg.prediction.exported import METADATA, onnx_runtime

LOGITS = "logits"


class OnnxNetwork(nn.Module):
    """A network that ONNX Runtime computes, on the CPU; logits are float32.

    Parameters
    ----------
    content : bytes
        ONNX file that returns logits.
    threads : int
        Threads of ONNX Runtime; 0 for those of torch.

    Raises
    ------
    MissingExtraError
        ONNX Runtime is not installed.
    """

    def __init__(self, content: bytes, threads: int = 0) -> None:
        super().__init__()
        runtime = onnx_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 3
        self.session = runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        self._input = self.session.get_inputs()[0]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, float32 (N, K, H, W).

        Parameters
        ----------
        x : float32 (N, C, H, W)
            Encoded inputs, on any device; the logits are brought back to it.

        Raises
        ------
        NetworkError
            Another size than the one that was exported.
        """
        fixed = tuple(self._input.shape[2:])
        if all(isinstance(length, int) for length in fixed) and fixed != tuple(x.shape[-2:]):
            (height, width), (rows, columns) = fixed, x.shape[-2:]
            raise NetworkError(
                f"the network was exported for inputs of {width}x{height}, this one has "
                f"{columns}x{rows}: export it without --size"
            )
        batch = np.ascontiguousarray(x.cpu().numpy())
        (logits,) = self.session.run(None, {self._input.name: batch})
        return torch.from_numpy(logits).to(x.device)


def load_onnx(path: Path) -> TrainedNetwork:
    """Load an ONNX file that :func:`eventseg.export` wrote, with its inputs and classes.

    Parameters
    ----------
    path : Path
        File that returns logits: exported without ``--argmax``.

    Raises
    ------
    CheckpointError
        No such file, one of another program, one that returns labels, or a damaged one.
    MissingExtraError
        ONNX Runtime is not installed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    onnx_runtime()
    try:
        network = OnnxNetwork(content)
        metadata = network.session.get_modelmeta().custom_metadata_map
        output = network.session.get_outputs()[0].name
    except Exception as error:  # ONNX Runtime has errors of its own for each kind of damage
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} is no ONNX file that can be run: {first}") from error
    if METADATA not in metadata:
        raise CheckpointError(
            f"{path} does not say what its input and classes are: only files that eventseg export "
            "wrote can be used"
        )
    if output != LOGITS:
        raise CheckpointError(
            f"{path} returns {output}, and logits are needed: export it without --argmax"
        )
    try:
        return _restored(network, json.loads(metadata[METADATA]), path)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} was exported by another version of eventseg: export it again"
        ) from error


def _restored(network: OnnxNetwork, content: dict[str, Any], path: Path) -> TrainedNetwork:
    """Return the network with the inputs and classes that the metadata of its file hold."""
    return TrainedNetwork(
        network.eval(),  # type: ignore[arg-type]
        Blueprint(**content["blueprint"]),
        # The file resizes its inputs itself.
        replace(inputs_of(content["specification"]), size=None),
        table_of_entries(content["class_table"]),
        f"exported {path.name}",
    )
