"""The one door to numba.cuda: kernels take ``cuda`` from here, so that a move is one import.

With ``numba-cuda`` installed (the extra ``cuda``) it stands in for Numba's own target, which is
being retired. Its successor ``numba-cuda-mlir`` is taken where ``numba-cuda`` is not installed or
does not work with the NumPy that is. Only what both have is used: jit, grid, gridsize, atomic add
and max on int64, and products that are rounded by themselves.

Under ``NUMBA_ENABLE_CUDASIM=1`` Numba's simulator takes the place of a GPU: device memory is then
the host's, and tensors on the CPU stand in for tensors on a GPU.
"""

from __future__ import annotations

import importlib
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
from numba import config
from numba import cuda as numba_cuda

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM", False))
"""Whether kernels run in the simulator of this process."""


def find_target() -> tuple[Any, str]:
    """Return the module that compiles kernels for CUDA, and the package that it is of."""
    package = "numba-cuda" if getattr(numba_cuda, "implementation", "") == "NVIDIA" else "numba"
    # numba-cuda up to 0.30 needs a name that NumPy 2.5 has dropped.
    works = package == "numba-cuda" and hasattr(np, "row_stack")
    if not SIMULATED and not works:
        try:
            return importlib.import_module("numba_cuda_mlir.cuda"), "numba-cuda-mlir"
        except ImportError:
            pass
    return numba_cuda, package


cuda, PACKAGE = find_target()


def inlined(function):
    """Return a function compiled into the kernels that call it.

    Inlined, since Numba asks for a device where it compiles one by itself.
    """
    return cuda.jit(function, device=True, inline="always")


if SIMULATED:

    @inlined
    def product(a, b):
        """Return the product of two floats, rounded by itself."""
        return a * b

    product32 = product64 = product
else:
    libdevice = importlib.import_module(f"{cuda.__name__}.libdevice")

    @inlined
    def product32(a, b):
        """Return the product of two float32, rounded by itself and never fused with a sum."""
        return libdevice.fmul_rn(a, b)

    @inlined
    def product64(a, b):
        """Return the product of two float64, rounded by itself and never fused with a sum."""
        return libdevice.dmul_rn(a, b)


def why_missing() -> str | None:
    """Return the reason why no kernel can run on a GPU here, or None where one can."""
    if cuda.is_available():
        return _failure_of_a_kernel()
    if getattr(cuda, "implementation", "") != "NVIDIA":
        return "numba-cuda is not installed: uv sync --extra cuda"
    return "Numba finds no CUDA driver, or none that its CUDA 13 libraries can use"


@cache
def _failure_of_a_kernel() -> str | None:
    """Compile and run an empty kernel, once, and return the reason if it fails."""

    def nothing():
        pass

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one thread uses a GPU badly
            cuda.jit(nothing)[1, 1]()
    # A compiler that does not fit its libraries raises errors of any kind.
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        return (
            f"{PACKAGE} cannot run a kernel with NumPy {np.__version__} ({type(error).__name__}: "
            f"{first}): uv sync --extra cuda, which keeps to a NumPy that fits, or "
            "numba-cuda-mlir[cu13]"
        )
    return None


def on_device(index: int) -> AbstractContextManager[Any]:
    """Make a GPU the current one of Numba; the simulator has only one."""
    return nullcontext() if SIMULATED else cuda.gpus[index]


def stream_of(handle: int) -> Any:
    """Return the stream that torch names by its address; 0 is the default one."""
    return 0 if SIMULATED else cuda.external_stream(handle)


def array_of(tensor: Any) -> Any:
    """Return the memory of a contiguous torch tensor as a kernel takes it, without a copy.

    torch exports no stream, so nothing waits here; the kernel must run on the tensor's stream.
    """
    return tensor.numpy() if SIMULATED else cuda.as_cuda_array(tensor, sync=False)
