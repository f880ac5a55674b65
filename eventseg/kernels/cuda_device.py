"""The one door to numba.cuda: kernels take ``cuda`` from here, so that a move is one import.

With ``numba-cuda`` installed (the extra ``cuda``) it stands in for Numba's own target, which is
being retired. Only what its successor has too is used: jit, grid, gridsize, atomic add and max on
int64, and products that are rounded by themselves.

Under ``NUMBA_ENABLE_CUDASIM=1`` Numba's simulator takes the place of a GPU: device memory is then
the host's, and tensors on the CPU stand in for tensors on a GPU.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from numba import config
from numba import cuda as numba_cuda

cuda: Any = numba_cuda

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM", False))
"""Whether kernels run in the simulator of this process."""


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
    from numba.cuda import libdevice

    @inlined
    def product32(a, b):
        """Return the product of two float32, rounded by itself and never fused with a sum."""
        return libdevice.fmul_rn(a, b)

    @inlined
    def product64(a, b):
        """Return the product of two float64, rounded by itself and never fused with a sum."""
        return libdevice.dmul_rn(a, b)


def why_missing() -> str | None:
    """Return why no kernel can run on a GPU here, in words, or None where one can."""
    if cuda.is_available():
        return None
    if getattr(cuda, "implementation", "") != "NVIDIA":
        return "numba-cuda is not installed; install eventseg[cuda]"
    return "Numba finds no CUDA driver, or none that its CUDA 13 libraries can use"


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
