"""Every CUDA kernel compiled for two generations of GPUs, with none here: what the code says."""

from __future__ import annotations

import inspect
import re
import sys

import pytest
from numba import types

from eventseg.encoding.representation import parse_representation
from eventseg.kernels import augment_cuda, encode_cuda, filters_cuda, planes_cuda
from eventseg.kernels.cuda_device import cuda

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="numba-cuda is a development dependency on Linux only"
)

INTS_2D, INTS_3D = types.int64[:, ::1], types.int64[:, :, ::1]
FLOATS_3D = types.float32[:, :, ::1]
COLUMNS = {
    "t": types.int64[::1],
    "x": types.uint16[::1],
    "y": types.uint16[::1],
    "p": types.int8[::1],
}
TYPES = {
    **COLUMNS,
    "plan": INTS_2D,
    **{f"out_{name}": column for name, column in COLUMNS.items()},
    "sums": INTS_3D,
    "largest": INTS_2D,
    "out": FLOATS_3D,
    "table": types.float64[:, ::1],
    "hot": types.boolean[::1],
    "pixel": types.int32[::1],
    "fates": types.uint8[::1],
    "order": types.int64[::1],
    "starts": types.int64[::1],
}
"""Type of each argument by its name, all others int64."""

ATOMICS = {
    "change": set(),
    "accumulate_packed": {"add.u64"},
    "accumulate_wide": {"add.u64"},
    "find_largest": {"max.s64"},
    "finalize": set(),
    "count 0": {"add.u64"},
    "count finish": set(),
    "count-latest 0": {"add.u64"},
    "count-latest 1": {"max.s64"},
    "count-latest finish": set(),
    "voxel 0": {"add.u64"},
    "voxel finish": set(),
    "stack 0": {"add.u64"},
    "stack finish": set(),
    "time-surface 0": {"max.s64"},
    "time-surface finish": set(),
    "number_pixels": set(),
    "drop_refractory": set(),
    "drop_background": set(),
}
KERNELS = {
    name: kernel
    for module in (augment_cuda, encode_cuda, filters_cuda)
    for name, kernel in vars(module).items()
    if getattr(kernel, "py_func", None) and kernel.py_func.__module__ == module.__name__
}
for name in ("count", "count-latest", "voxel", "stack", "time-surface"):
    definition = parse_representation(name).definition
    for i, step in enumerate(definition.steps):
        KERNELS[f"{name} {i}"] = planes_cuda.event_kernel(step.add, step.combine)
    KERNELS[f"{name} finish"] = planes_cuda.finish_kernel(definition.finish)


def ptx_of(name, capability):
    function = KERNELS[name].py_func
    signature = tuple(
        TYPES.get(argument, types.int64) for argument in inspect.signature(function).parameters
    )
    return cuda.compile_ptx(function, signature, cc=capability)[0]


def test_every_kernel_is_listed_here():
    assert set(KERNELS) == set(ATOMICS)


@pytest.mark.parametrize("capability", [(9, 0), pytest.param((7, 5), marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ATOMICS)
def test_kernel_compiles_with_integer_atomics_and_cpu_rounding(name, capability):
    ptx = ptx_of(name, capability)
    major, minor = capability
    assert f".target sm_{major}{minor}" in ptx
    found = set(re.findall(r"\b(?:atom|red)(?:\.global)?\.([a-z0-9.]+)", ptx))
    assert found == ATOMICS[name]
    # Nothing approximate, nothing flushed to zero.
    assert not re.search(r"\.(approx|ftz)\b", ptx)
    # A fused sum is the CPU's only if its product is exact: by 2 or by 2^32.
    for fused in re.findall(r"fma\.\S+\s+[^;]*;", ptx):
        assert "0f40000000" in fused or "0d41F0000000000000" in fused, fused


def test_products_before_a_sum_are_rounded_by_themselves():
    ptx = ptx_of("finalize", (9, 0))
    assert re.search(r"mul\.rn\.f32", ptx)
    assert re.search(r"mul\.rn\.f64", ptx)
