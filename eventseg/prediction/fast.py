"""Faster arithmetic of a trained network on one machine, as ``eventseg bench`` has measured it.

``fast_predictor`` takes the setting that `bench` recommends for the machine: engine, memory format,
type of numbers and threads. Labels may then differ in a share of the pixels that the measurement
states and that was allowed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from eventseg.device import choose_device, processors
from eventseg.device.environment import processor_model
from eventseg.errors import CheckpointError, OutputError
from eventseg.files.whole import write_whole
from eventseg.labels.maps import ClassTable
from eventseg.networks import TrainedNetwork
from eventseg.networks.memory_format import MemoryFormat, in_memory_format
from eventseg.networks.shipped import is_shipped
from eventseg.prediction.checkpoint_file import CheckpointFile, find_checkpoint
from eventseg.prediction.exported import onnx_bytes
from eventseg.prediction.loading import check_is_checkpoint, load_trained
from eventseg.prediction.onnx_network import OnnxNetwork
from eventseg.prediction.predictor import SINGLE, Predictor, TestTimeAugmentation, predictor
from eventseg.recordings.index_cache import cache_folder

Engine = Literal["eager", "compiled", "onnxruntime"]
NumberType = Literal["float32", "bfloat16"]

BENCH = "bench.json"
"""File of the measurements of a run, by machine, see :func:`bench_file`."""


@dataclass(frozen=True, slots=True)
class FastSetting:
    """Arithmetic of a network.

    Parameters
    ----------
    engine : {"eager", "compiled", "onnxruntime"}
    memory_format : {"contiguous", "channels_last"}
    numbers : {"float32", "bfloat16"}
        Type of activations; weights stay float32, and so do logits.
    threads : int
        Threads of the network on the CPU; 0 leaves them as they are.
    """

    engine: Engine = "eager"
    memory_format: MemoryFormat = "contiguous"
    numbers: NumberType = "float32"
    threads: int = 0

    def __str__(self) -> str:
        """Return the setting in words."""
        parts: list[str] = [self.engine]
        if self.engine != "onnxruntime":
            parts += [self.memory_format.replace("_", " "), self.numbers]
        if self.threads:
            parts.append(f"{self.threads} thread{'s' * (self.threads != 1)}")
        return ", ".join(parts)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """Return the setting that a measurement holds."""
        return cls(**{name: table[name] for name in asdict(cls())})


class _Faster(nn.Module):
    """A network whose input and arithmetic are of another kind; logits are float32."""

    def __init__(self, network: nn.Module, setting: FastSetting) -> None:
        super().__init__()
        self.network = network
        self._last = setting.memory_format == "channels_last"
        self._bfloat16 = setting.numbers == "bfloat16"
        self._run: Any = network
        if setting.engine == "compiled":
            self._run = torch.compile(network)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, float32."""
        if self._last:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._bfloat16):
            logits: Tensor = self._run(x)
        return logits.float()


def accelerated(
    trained: TrainedNetwork,
    setting: FastSetting,
    *,
    device: torch.device | str = "cpu",
    onnx: bytes | None = None,
) -> TrainedNetwork:
    """Return a trained network with faster arithmetic; the one given stays as it is.

    Parameters
    ----------
    trained : TrainedNetwork
    setting : FastSetting
    device : torch.device or str
        Device of the copy.
    onnx : bytes, optional
        The network as :func:`onnx_bytes` gives it, for ONNX Runtime; by default it is exported.

    Raises
    ------
    MissingExtraError
        ONNX Runtime is not installed.
    """
    if setting.threads:
        torch.set_num_threads(setting.threads)
    if setting.engine == "onnxruntime":
        content = onnx_bytes(trained) if onnx is None else onnx
        faster: nn.Module = OnnxNetwork(content, setting.threads)
    else:
        copied = deepcopy(trained.network).to(device).eval()
        in_memory_format(copied, setting.memory_format)
        faster = _Faster(copied, setting)
    return replace(trained, network=faster)  # type: ignore[arg-type]


def machine_key(device: torch.device) -> str:
    """Return a text that tells machines apart for which measurements hold."""
    name = processor_model() if device.type == "cpu" else torch.cuda.get_device_name(device)
    return f"{device.type}: {name}, {processors()} processors, torch {torch.__version__}"


def bench_file(checkpoint: Path) -> Path:
    """Return the file of the measurements of a checkpoint.

    It is beside the checkpoint, and in the user's cache folder for a shipped network.

    Raises
    ------
    OutputError
        A shipped network, and a user without a home folder.
    """
    if is_shipped(checkpoint):
        try:
            return cache_folder() / f"{checkpoint.stem}.{BENCH}"
        except OSError as error:
            raise OutputError(f"no place for times of {checkpoint.stem}: {error}") from error
    name = BENCH if checkpoint.name == "best.pt" else f"{checkpoint.stem}.{BENCH}"
    return checkpoint.parent / name


def recommended(network: str | Path | CheckpointFile, *, device: str = "auto") -> FastSetting:
    """Return the setting that was measured to be the fastest on this machine.

    Parameters
    ----------
    network : path
        A run folder or a checkpoint.
    device : str

    Raises
    ------
    CheckpointError
        An exported file, no measurement of this checkpoint on this machine, or a damaged file.
    """
    found = network if isinstance(network, CheckpointFile) else find_checkpoint(network)
    check_is_checkpoint(found, purpose="--fast")
    checkpoint = found.path
    path = bench_file(checkpoint)
    key = machine_key(choose_device(device))
    advice = f"measure it first: eventseg bench {checkpoint if network is found else network}"
    if not path.is_file():
        raise CheckpointError(f"{checkpoint} has not been measured on this machine; {advice}")
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
        of_machine = measured["machines"].get(key)
        if of_machine is None:
            raise CheckpointError(
                f"{path} has measurements of other machines only, this is {key}; {advice}"
            )
        if of_machine["checkpoint_sha256"] != found.sha256:
            raise CheckpointError(f"{checkpoint} has changed since it was measured; {advice}")
        return FastSetting.from_dict(of_machine["recommended"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path} is damaged; {advice}") from error


def fast_predictor(
    network: str | Path | CheckpointFile,
    *,
    classes: ClassTable | None = None,
    test_time: TestTimeAugmentation = SINGLE,
    device: str = "auto",
) -> Predictor:
    """Return the predictor of a run with the fastest setting that was measured on this machine.

    Parameters
    ----------
    network : path or CheckpointFile
        A run folder or a checkpoint that `eventseg bench` has measured.
    classes : ClassTable, optional
        Classes of a published network, where its file does not name them.
    test_time : TestTimeAugmentation
    device : str

    Raises
    ------
    CheckpointError
        As :func:`recommended`.
    """
    found = network if isinstance(network, CheckpointFile) else find_checkpoint(network)
    setting = recommended(found, device=device)
    plain = predictor(load_trained(found, classes=classes), device=device)
    onnx = _kept_onnx(found, plain.trained) if setting.engine == "onnxruntime" else None
    faster = accelerated(plain.trained, setting, device=plain.device, onnx=onnx)
    return Predictor(faster, plain.device, test_time)


def _kept_onnx(found: CheckpointFile, trained: TrainedNetwork) -> bytes:
    """Return a network as ONNX, stored beside its measurements: an export takes half a minute."""
    path = bench_file(found.path).with_name(f"bench-{found.sha256[:16]}.onnx")
    if path.is_file():
        return path.read_bytes()
    content = onnx_bytes(trained)
    with contextlib.suppress(OutputError):  # a folder that cannot be written costs time alone
        write_whole(path, lambda file: file.write(content))
    return content
