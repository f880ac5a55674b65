"""Devices: where networks run and kernels encode, and with how many threads."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eventseg.errors import DeviceError

if TYPE_CHECKING:
    import torch

Device = Literal["cpu", "cuda", "auto"]
"""Name of the device that encodes."""

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Variables that make the threads of torch sleep, rather than spin, where one waits for others."""

THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables by which a user sets the number of threads of torch."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Variable that lists the GPUs which a process sees; all where it is not set."""


def choose_device(name: str = "auto") -> torch.device:
    """Return the torch device of a name; ``auto`` is CUDA where there is one, else the CPU.

    Each of the processes that ``torchrun`` starts on one machine gets a GPU of its own.

    Parameters
    ----------
    name : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    DeviceError
        A name that torch does not know, or a GPU that is not there.
    """
    # Loaded here, so that encoding on the CPU needs no torch.
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device must be cpu, cuda, cuda:N or auto, got {name!r}") from error
    if device.type == "cuda" and (
        not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()
    ):
        raise DeviceError(
            f"device {name} is not there: torch {torch.__version__} sees "
            f"{torch.cuda.device_count()} CUDA devices; use --device cpu"
        )
    return device


def wait_without_spinning() -> None:
    """Set :data:`WAITING` where the user has not, for this process and those it starts.

    It holds for what is loaded later: call it before torch is. A thread that spins at a barrier
    takes the processor from the thread it waits for, wherever other processes are busy too.
    """
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)


def processors() -> int:
    """Return the number of processors that this process may use.

    Fewer than the machine has under ``taskset``, a batch system or a container's quota.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # Linux only
        count = os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no control group, or a quota of "max"
        quota_us, period_us = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, math.ceil(int(quota_us) / int(period_us)))
    return max(1, count)


def thread_count(threads: int | None = None, *, workers: int = 0) -> int:
    """Return the number of threads to compute with, beside processes that load samples.

    Parameters
    ----------
    threads : int, optional
        Number asked for; by default the processors less the workers, at least 1.
    workers : int
        Other busy processes of one thread each.

    Raises
    ------
    DeviceError
        Fewer than one thread.
    """
    if threads is not None and threads < 1:
        raise DeviceError(f"threads must be 1 or more, got {threads}")
    return threads or max(1, processors() - workers)


def set_threads(threads: int | None = None, *, workers: int = 0) -> int:
    """Set the number of threads that torch computes with, and return it.

    Parameters
    ----------
    threads : int, optional
        Number asked for; by default that of the environment (:data:`THREAD_LIMITS`), else
        :func:`thread_count`.
    workers : int
        Processes that load samples meanwhile.

    Raises
    ------
    DeviceError
        Fewer than one thread.
    """
    count = thread_count(threads, workers=workers)
    # Loaded here, so that encoding on the CPU needs no torch.
    import torch

    if threads is not None or not any(os.environ.get(name) for name in THREAD_LIMITS):
        torch.set_num_threads(count)
    return torch.get_num_threads()


@dataclass(frozen=True, slots=True)
class EncodingDevice:
    """Device that encodes, and the reason it was chosen."""

    name: Literal["cpu", "cuda"]
    reason: str

    def __str__(self) -> str:
        """Return both on one line."""
        return f"{self.name} ({self.reason})"


def choose_encoder(device: Device) -> EncodingDevice:
    """Return the device that ``cpu``, ``cuda`` or ``auto`` encodes on.

    Raises
    ------
    DeviceError
        ``cuda`` where no GPU can be used, or another name.
    """
    if device == "cpu":
        return EncodingDevice("cpu", "asked for")
    if device not in ("cuda", "auto"):
        raise DeviceError(f"device must be cpu, cuda or auto, got {device!r}")
    # Loaded here, so that encoding on the CPU needs no torch.
    import torch

    from eventseg.kernels import cuda_device

    if cuda_device.SIMULATED:
        missing = None
    elif not torch.cuda.is_available():
        missing = "torch finds no GPU with a driver"
    else:
        missing = cuda_device.why_missing()
    if missing is None:
        found = "simulator" if cuda_device.SIMULATED else torch.cuda.get_device_name()
        return EncodingDevice("cuda", found)
    if device == "cuda":
        raise DeviceError(f"no encoding on a GPU: {missing}; use device cpu or auto")
    return EncodingDevice("cpu", missing)


def choose_encoder_by_name(name: str) -> EncodingDevice:
    """Return the device that a name of :func:`choose_device` encodes on.

    ``cuda:N`` hides the other GPUs from this process and those it starts, so that all their threads
    encode on that one: call it before anything has used a GPU.

    Raises
    ------
    DeviceError
        A GPU that cannot be used or is not there, or another name.
    """
    kind, _, index = name.partition(":")
    if kind != "cuda" or not index.isdecimal():
        if name not in ("cpu", "cuda", "auto"):
            raise DeviceError(f"device must be cpu, cuda, cuda:N or auto, got {name!r}")
        return choose_encoder(name)  # type: ignore[arg-type]
    before = os.environ.get(VISIBLE)
    gpu = index
    if before is not None:
        visible = _visible_gpus(before)
        if int(index) >= len(visible):
            cures = [f"--device cuda:0 to cuda:{len(visible) - 1}"] * bool(visible) + ["cpu"]
            raise DeviceError(
                f"device {name} is not there: {VISIBLE} lists {len(visible)}; use "
                f"{', or '.join(cures)}"
            )
        gpu = visible[int(index)]
    os.environ[VISIBLE] = gpu
    try:
        return choose_encoder("cuda")
    except DeviceError as error:
        if before is None:
            del os.environ[VISIBLE]
        else:
            os.environ[VISIBLE] = before
        raise DeviceError(f"device {name}: {error}") from error


def _visible_gpus(text: str) -> list[str]:
    """Return the GPUs that :data:`VISIBLE` lists: none where it is empty, up to a -1 otherwise."""
    listed = (gpu.strip() for gpu in text.split(","))
    return list(itertools.takewhile(lambda gpu: gpu not in ("", "-1"), listed))
