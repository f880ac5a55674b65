"""Memory that is used again: never while anything still sees it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from eventseg.kernels import reused


@pytest.fixture(autouse=True)
def nothing_spare(monkeypatch):
    monkeypatch.setattr(reused, "_spare", type(reused._spare)(list))


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_after_the_last_view_is_gone():
    first = reused.empty((4, 50_000), np.int64)
    place, view = address(first), first[2, 10:].view(np.uint16)
    view[:] = 7
    del first
    other = reused.empty((4, 50_000), np.int64)
    other[:] = 1
    assert address(other) != place
    assert (view == 7).all()
    del view
    assert address(reused.empty((50_000, 4), np.int64)) == place


def test_shapes_and_types_are_those_of_numpy():
    for shape, dtype in (((3, 100_000), np.float32), (2**20, np.int8), ((2, 0, 5), np.int64)):
        made = reused.empty(shape, dtype)
        like = np.empty(shape, dtype)
        assert made.shape == like.shape
        assert made.dtype == like.dtype
        assert made.flags.c_contiguous
        assert made.flags.writeable


def test_little_is_kept(monkeypatch):
    monkeypatch.setattr(reused, "SPARE_BYTES", 3 << 20)
    held = [reused.empty(1 << 20, np.uint8) for _ in range(5)]
    del held
    assert sum(map(len, reused._spare.values())) == 3


def test_threads_never_share_memory():
    def write(value):
        for _ in range(200):
            array = reused.empty(40_000, np.int64)
            array[:] = value
            if not (array == value).all():
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write, range(8)))
