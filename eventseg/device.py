"""Where tensors are encoded: on the CPU, or on a GPU where there is one to use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eventseg.errors import DeviceError

Device = Literal["cpu", "cuda", "auto"]


@dataclass(frozen=True, slots=True)
class DeviceChoice:
    """Where to encode, and why, in words for people."""

    name: Literal["cpu", "cuda"]
    why: str

    def __str__(self) -> str:
        """Return both on one line."""
        return f"{self.name} ({self.why})"


def choose_device(device: Device) -> DeviceChoice:
    """Return where ``cpu``, ``cuda`` or ``auto`` encodes.

    Raises
    ------
    DeviceError
        ``cuda`` and no GPU can be used, or another word.
    """
    if device == "cpu":
        return DeviceChoice("cpu", "asked for")
    if device not in ("cuda", "auto"):
        raise DeviceError(f"device must be cpu, cuda or auto, got {device!r}")
    # Loaded here, so that encoding on the CPU needs no torch.
    import torch

    from eventseg.kernels import cuda_device

    if cuda_device.SIMULATED:
        why = None
    elif not torch.cuda.is_available():
        why = "torch finds no GPU with a driver"
    else:
        why = cuda_device.why_missing()
    if why is None:
        found = "simulator" if cuda_device.SIMULATED else torch.cuda.get_device_name()
        return DeviceChoice("cuda", found)
    if device == "cuda":
        raise DeviceError(f"no encoding on a GPU: {why}; use device cpu or auto")
    return DeviceChoice("cpu", why)


def where(device: Device) -> Literal["cpu", "cuda"]:
    """Return only the name of what :func:`choose_device` chooses."""
    return choose_device(device).name
