"""Memory of a process and of a device: free, in use, limited, and kept for the next use."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

MALLOC_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Variables by which a user decides what the C library does with freed memory."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of ``mallopt``: ``malloc.h`` of glibc."""

LARGEST_KEPT = 32 * 2**20
"""Bytes of the largest block that is kept, the most that glibc takes."""


def keep_freed_memory() -> bool:
    """Let this process keep blocks of memory that it frees, and return whether it will.

    A step of training frees the maps that the next one asks for. The C library of Linux gives them
    back in between, and the system clears each page that it hands out again, which takes a tenth
    of the step of a small network. Blocks of more than :data:`LARGEST_KEPT` are still given back.
    It holds until the process ends. Nothing changes where another library allocates, or where the
    user has decided by :data:`MALLOC_VARIABLES`.
    """
    if sys.platform != "linux" or any(os.environ.get(name) for name in MALLOC_VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    parameters = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: LARGEST_KEPT}
    return all(mallopt(name, value) == 1 for name, value in parameters.items())


def free_memory(device: torch.device) -> int | None:
    """Return the bytes of memory that a device has free, or None where the system does not say."""
    if device.type == "cuda":
        # Loaded here, so that encoding on the CPU needs no torch.
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        bytes_free = 1024 * int(free.split()[1])
    except (OSError, StopIteration, ValueError):
        return None
    return min([bytes_free, *_free_in_container()])


def _free_in_container() -> list[int]:
    """Return the bytes that the limit of a Linux control group leaves, if there is one."""
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
        return [max(0, int(limit) - int(used))]
    except (OSError, ValueError):  # no group, or "max"
        return []


def limit_memory(limit_bytes: int) -> None:
    """Limit the memory of this process, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def forget_peak_memory(device: torch.device) -> None:
    """Let the peak memory of a GPU's allocator begin anew; that of a process on the CPU stays."""
    if device.type == "cuda":
        # Loaded here, so that encoding on the CPU needs no torch.
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory in MiB: of the device's allocator, or of this process on the CPU.

    NaN where the system does not tell, which is Windows.
    """
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if os.path.exists("/proc/self/status"):  # noqa: PTH110 - a kernel's file
        with open("/proc/self/status", encoding="ascii") as file:  # noqa: PTH123
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # POSIX only
        return math.nan
    # Bytes on macOS, kilobytes elsewhere.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
