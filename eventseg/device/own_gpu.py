"""A GPU of its own for each of the processes that work side by side on a machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from eventseg.device.choice import choose_device
from eventseg.errors import DeviceError
from eventseg.files.locks import marked_by_this_process

if TYPE_CHECKING:
    import torch

MOST_SHARING = 64
"""Most processes that share a GPU."""


def choose_own_device(name: str) -> torch.device:
    """Return the device of a name for one of several processes, each of which calls this.

    ``auto`` and ``cuda`` give every process a GPU that no other one has been given. Where there
    are more processes than GPUs, each GPU is shared by about as many. ``cpu`` and ``cuda:N`` are
    the same for all. A GPU is given up when the process ends, however it ends.

    Raises
    ------
    DeviceError
        As :func:`eventseg.device.choose_device`.
    """
    device = choose_device(name)
    return device if device.type != "cuda" or device.index is not None else _own_gpu()


@cache
def _own_gpu() -> torch.device:
    # Loaded here, so that encoding on the CPU needs no torch.
    import torch

    # Numbers differ between processes that see some of the GPUs; these names do not.
    names = [
        str(torch.cuda.get_device_properties(number).uuid)
        for number in range(torch.cuda.device_count())
    ]
    return torch.device("cuda", take_first_free(names, Path(tempfile.gettempdir())))


def take_first_free(names: Sequence[str], folder: Path) -> int:
    """Take the first of some things that the fewest processes hold; return its number.

    Parameters
    ----------
    names : sequence of str
        Name of each, the same in all processes.
    folder : Path
        Folder of the lock files, which stay behind; the locks end with the process. Without locks
        of the system (Windows) the first thing is for all.

    Raises
    ------
    DeviceError
        The folder cannot be written.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""
    for holder in range(MOST_SHARING):
        for number, name in enumerate(names):
            path = folder / f"eventseg-{user}-{name}-{holder}.lock"
            try:
                if marked_by_this_process(path):
                    return number
            except OSError as error:
                raise DeviceError(
                    f"cannot mark a GPU as taken by {path}: {error.strerror}; set TMPDIR to a "
                    "folder that can be written, or give --device cuda:N"
                ) from error
    return 0
