"""The CUDA kernel that changes events, in Numba's simulator: run by test_cuda_simulator.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eventseg.augmentation.event_changes import EventChange, plan_changes
from eventseg.augmentation.events import change_events
from eventseg.augmentation.events_on_device import change_columns
from eventseg.encoding.cuda import encode_batch
from eventseg.encoding.representation import parse_representation
from eventseg.encoding.settings import encoding_of
from eventseg.encoding.tensors import encode
from eventseg.events import EventStream, SensorSize
from eventseg.kernels import augment, augment_cuda, cuda_device

# Words are modulo 2^64 on purpose, of which only NumPy's scalars warn.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered in scalar:RuntimeWarning")

SIZE = SensorSize(5, 6)
SPAN_US = 2_000
CHANGES = [
    EventChange(key=2**63 - 1, drop=0.4, jitter_us=300, swap=True, flip=True, dx=-2, dy=1, noise=7),
    EventChange(key=12, noise=30),
    EventChange(key=13),
    EventChange(key=14, drop=1.0),
]
NAMES = ("mean-std", "count", "count-latest", "voxel:3", "stack:4", "time-surface:300us")


def a_stream(n, *, t0_us):
    rng = np.random.default_rng(n)
    return EventStream.from_arrays(
        t0_us + np.sort(rng.integers(0, SPAN_US, n)), rng.integers(0, SIZE.width, n),
        rng.integers(0, SIZE.height, n), rng.integers(0, 2, n),
        sensor=SIZE, t0_us=t0_us, t1_us=t0_us + SPAN_US,
    )  # fmt: skip


STREAMS = [a_stream(n, t0_us=t0_us) for n, t0_us in ((70, 2**40), (0, 5), (33, 0), (8, 90))]
COLUMNS = [np.concatenate([getattr(each, name) for each in STREAMS]) for name in "txyp"]
for column in COLUMNS:
    column.flags.writeable = False  # as those of streams, for which the CPU's loop is compiled
ENDS = np.cumsum([len(each) for each in STREAMS])
BOUNDS = np.stack([np.concatenate([[0], ENDS[:-1]]), ENDS])
WINDOWS = np.array([(each.t0_us, each.t1_us) for each in STREAMS]).T


def test_the_simulator_is_what_runs():
    assert cuda_device.SIMULATED


@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_columns_of_any_grid_are_those_of_the_cpu(data):
    grid = data.draw(st.sampled_from([((1, 4), (1, 1)), ((3, 4), (4, 1)), ((2, 4), (7, 1))]))
    plan = plan_changes(data.draw(st.permutations(CHANGES)), BOUNDS, WINDOWS, sensor=SIZE)
    room = ENDS[-1] + sum(change.noise for change in CHANGES)
    made, expected = ([np.zeros(room, c.dtype) for c in COLUMNS] for _ in range(2))
    augment_cuda.change[grid](*(column.copy() for column in COLUMNS), plan, *made, *SIZE)
    augment.change(*COLUMNS, plan, *expected, *SIZE)
    for ours, cpu in zip(made, expected, strict=True):
        np.testing.assert_array_equal(ours, cpu)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_encodes_as_changed_streams(name):
    options = {
        "representation": parse_representation(name),
        "rows": (1, SIZE.height),
        "normalise": "evsegnet" if name == "mean-std" else "raw",
    }
    columns = [torch.from_numpy(column.copy()) for column in COLUMNS]
    made, limits = change_columns(*columns, BOUNDS, WINDOWS, CHANGES, sensor=SIZE)
    tensors = encode_batch(*made, limits, WINDOWS, encoding=encoding_of(SIZE, **options))
    for tensor, stream, change in zip(tensors.numpy(), STREAMS, CHANGES, strict=True):
        expected = encode(change_events(stream, change), **options)
        np.testing.assert_array_equal(tensor.view(np.int32), expected.view(np.int32))


def test_columns_that_no_stream_checked_stay_on_the_sensor_or_are_lost():
    values = ([0, 3, 3], [0, 60_000, 2], [0, 2, 60_000], [1, 1, 0])
    types = (torch.int64, torch.uint16, torch.uint16, torch.int8)
    columns = [
        torch.tensor(column, dtype=dtype) for column, dtype in zip(values, types, strict=True)
    ]
    for change in (EventChange(flip=True), EventChange(dx=1), EventChange(dy=-1, jitter_us=2)):
        (_, x, y, _), _ = change_columns(*columns, [[0], [3]], [[0], [9]], [change], sensor=SIZE)
        assert y[1:].tolist() == [65_535] * 2
        assert max(x.tolist()) < SIZE.width


def test_windows_without_events():
    columns = [torch.from_numpy(column[:0].copy()) for column in COLUMNS]
    for noise in (0, 3):
        what = [EventChange(swap=True), EventChange(swap=True, noise=noise)]
        made, limits = change_columns(
            *columns, np.zeros((2, 2)), WINDOWS[:, :2], what, sensor=SIZE
        )  # fmt: skip
        counts = encode_batch(*made, limits, WINDOWS[:, :2], encoding=encoding_of(SIZE))[:, :2].sum(
            (1, 2, 3)
        )
        assert counts.tolist() == [0, noise]
