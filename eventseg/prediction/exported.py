"""Programs of a trained network for ONNX and for torch, of one size or of any."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eventseg.errors import MissingExtraError, NetworkError
from eventseg.networks import TrainedNetwork
from eventseg.networks.resizing import resize_inputs

TRACED_SIZE = 97, 131
"""Height and width at which a network of any size is traced: odd at every stride, so that no two
of its maps are of one size by chance."""

METADATA = "eventseg"
"""Key of the metadata in the file."""


class ExportedNetwork(nn.Module):
    """A network as it is exported: resized input, logits or labels."""

    def __init__(self, trained: TrainedNetwork, *, labels: bool, half: bool) -> None:
        super().__init__()
        network = deepcopy(trained.network).cpu().eval()
        self.network = network.half() if half else network
        self._inputs, self._labels, self._half = trained.inputs, labels, half

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, float32 (N, K, H, W), or labels, uint8 (N, H, W)."""
        size = (x.shape[-2], x.shape[-1])
        inputs = self._inputs
        if inputs.size is not None:
            x = resize_inputs(x, inputs.size, kind=inputs.kind, rule=inputs.resize)
        logits = self.network(x.half() if self._half else x)
        assert isinstance(logits, Tensor)  # in evaluation mode there are no auxiliary heads
        logits = logits.float()
        if inputs.size is not None:
            logits = functional.interpolate(logits, size=size, mode="bilinear")
        return logits.argmax(1).to(torch.uint8) if self._labels else logits


def onnx_bytes(
    trained: TrainedNetwork,
    *,
    labels: bool = False,
    size: tuple[int, int] | None = None,
    half: bool = False,
    metadata: dict[str, Any] | None = None,
) -> bytes:
    """Return a network as the bytes of an ONNX file.

    Parameters
    ----------
    trained : TrainedNetwork
    labels : bool
        Whether it returns labels instead of logits.
    size : (int, int), optional
        Fixed height and width, of one input at a time; by default any.
    half : bool
        Whether it computes in float16.
    metadata : dict, optional
        Plain values to keep in the file.

    Raises
    ------
    MissingExtraError
        Packages of the extra ``export`` are not installed.
    NetworkError
        Any size, of a network that resizes its inputs to one.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch needs it
    except ImportError as error:
        raise MissingExtraError(
            "onnx and onnxscript are not installed: pip install 'eventseg[export]'"
        ) from error
    output = "labels" if labels else "logits"
    with _traceable(), torch.no_grad():
        program = torch.onnx.export(
            ExportedNetwork(trained, labels=labels, half=half).eval(),
            (_example(trained, size),),
            dynamo=True,
            verbose=False,
            input_names=["input"],
            output_names=[output],
            dynamic_shapes=_dynamic(size),
        )
    assert program is not None  # with `dynamo`
    model = program.model_proto
    if size is None:
        _name_dimensions(model)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(metadata or {})})
    content: bytes = model.SerializeToString()
    return content


def torch_bytes(
    trained: TrainedNetwork,
    *,
    labels: bool = False,
    size: tuple[int, int] | None = None,
    half: bool = False,
    metadata: dict[str, Any] | None = None,
) -> bytes:
    """Return a network as the bytes of a ``.pt2`` file; parameters as for :func:`onnx_bytes`."""
    with _traceable(), torch.no_grad():
        program = torch.export.export(
            ExportedNetwork(trained, labels=labels, half=half).eval(),
            (_example(trained, size),),
            dynamic_shapes=_dynamic(size),
        )
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: json.dumps(metadata or {})})
    return buffer.getvalue()


def onnx_function(content: bytes) -> Any:
    """Return a function from an input to the output of an ONNX file, on the CPU."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"input": x})[0]


def torch_function(content: bytes) -> Any:
    """Return a function from an input to the output of a program of torch, on the CPU."""
    # Its guards hold for the traced size alone; that others work is what the comparison shows.
    module = torch.export.load(io.BytesIO(content)).module(check_guards=False)
    return lambda x: module(torch.from_numpy(x)).detach().numpy()


def onnx_runtime() -> Any:
    """Return the module ``onnxruntime``.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "ONNX Runtime is not installed: pip install 'eventseg[export]'"
        ) from error
    return onnxruntime


def _example(trained: TrainedNetwork, size: tuple[int, int] | None) -> Tensor:
    if size is None and trained.inputs.size is not None:
        height, width = trained.inputs.size
        raise NetworkError(
            f"the network resizes its inputs to {width}x{height}: give the size of the inputs "
            "(--size WIDTHxHEIGHT)"
        )
    # Two inputs: a batch of one would be taken for a batch that is always of one.
    shape = (2, trained.inputs.channels, *TRACED_SIZE) if size is None else None
    return torch.zeros(shape or (1, trained.inputs.channels, *(size or ())))


def _dynamic(size: tuple[int, int] | None) -> Any:
    any_size = torch.export.Dim.DYNAMIC
    return None if size is not None else ({0: any_size, 2: any_size, 3: any_size},)


def _name_dimensions(model: Any) -> None:
    """Name the batch, height and width of an ONNX model."""
    tensor = model.graph.input[0].type.tensor_type
    names = {
        tensor.shape.dim[place].dim_param: name
        for place, name in ((0, "batch"), (2, "height"), (3, "width"))
    }
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_param = names[dim.dim_param]


@contextmanager
def _traceable() -> Iterator[None]:
    """Compute adaptive averages by slices: exported as one operator they hold for one size only."""
    plain = functional.adaptive_avg_pool2d
    functional.adaptive_avg_pool2d = _sliced_average  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.adaptive_avg_pool2d = plain


def _sliced_average(x: Tensor, output_size: Any) -> Tensor:
    rows, columns = (output_size,) * 2 if isinstance(output_size, int) else output_size
    return _averages(_averages(x, rows, 2), columns, 3)


def _averages(x: Tensor, cells: int, dim: int) -> Tensor:
    """Return the averages of k cells, each from ``floor(i n / k)`` to ``ceil((i + 1) n / k)``."""
    if cells == 1:
        return x.mean(dim, keepdim=True)
    n = x.shape[dim]
    parts = []
    for i in range(cells):
        cell = slice(i * n // cells, ((i + 1) * n + cells - 1) // cells)
        part = x[:, :, cell] if dim == 2 else x[:, :, :, cell]
        parts.append(part.mean(dim, keepdim=True))
    return torch.cat(parts, dim)
