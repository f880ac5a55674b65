"""On a real GPU, 20 M events: ``pytest -m gpu``. Without one these tests fail, and say why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from eventseg.augmentation.event_changes import draw_event_change
from eventseg.augmentation.events import change_events
from eventseg.augmentation.events_on_device import change_columns
from eventseg.augmentation.settings import Augmentation
from eventseg.device import choose_encoder
from eventseg.encoding.cpu import bounds
from eventseg.encoding.cuda import encode_batch
from eventseg.encoding.representation import MEAN_STD, parse_representation
from eventseg.encoding.settings import Encoding, encoding_of
from eventseg.encoding.tensors import encode, encode_windows
from eventseg.errors import DeviceError
from eventseg.events import EventStream, SensorSize
from eventseg.filters.cuda import event_fates
from eventseg.filters.hot_pixels import count_events, find_hot_pixels
from eventseg.filters.rules import filter_events, parse_filters
from eventseg.kernels.filters import KEPT
from eventseg.sources.live import LiveWindow, batch_windows
from eventseg.windows import Windows

pytestmark = pytest.mark.gpu

SENSOR = SensorSize(260, 346)
EVENTS, SPAN_US = 20_000_000, 20_000_000


@pytest.fixture(scope="module")
def events():
    choose_encoder("cuda")  # a DeviceError names what is missing
    rng = np.random.default_rng(0)
    # Half of the events on 2,000 pixels, so that atomics meet.
    at = rng.integers(0, SENSOR.height * SENSOR.width, EVENTS)
    hot = rng.random(EVENTS) < 0.5
    at[hot] = rng.integers(0, 2_000, EVENTS)[hot] * 40
    return EventStream(
        np.sort(rng.integers(0, SPAN_US, EVENTS)),
        (at % SENSOR.width).astype(np.uint16),
        (at // SENSOR.width).astype(np.uint16),
        rng.integers(0, 2, EVENTS).astype(np.int8),
        SENSOR, 0, SPAN_US,
    )  # fmt: skip


def every(stride_us, length_us):
    ends = np.arange(stride_us, SPAN_US + 1, stride_us)
    none = np.full(len(ends), -1)
    return Windows("w", ends - length_us, ends, none, none)


@pytest.mark.parametrize("length_us", [10_000, 50_000, 250_000, 5_000_000])
@pytest.mark.parametrize("normalise", ["raw", "sqrt", "evsegnet"])
def test_bits_of_20_million_events_are_those_of_the_cpu(events, length_us, normalise):
    windows = every(100_000, length_us)
    options = {"normalise": normalise, "rows": (0, 200)}
    made = encode_windows(events, windows, device="cuda", **options)
    expected = encode_windows(events, windows, threads=4, **options)
    np.testing.assert_array_equal(made.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize(
    "name", ["count", "count-latest", "voxel:5", "stack:10", "time-surface:20ms"]
)
def test_representations_have_the_bits_of_the_cpu(events, name):
    windows, representation = every(200_000, 50_000), parse_representation(name)
    made = encode_windows(events, windows, representation=representation, device="cuda")
    expected = encode_windows(events, windows, representation=representation, threads=4)
    np.testing.assert_array_equal(made.view(np.int32), expected.view(np.int32))


def test_changed_events_have_the_bits_of_the_cpu(events):
    windows = every(200_000, 50_000)
    columns, limits, spans = batch_of(events, windows)
    augmentation = Augmentation(drop=0.3, noise=0.2, polarity=0.5, time_jitter_us=500)
    changes = [
        replace(
            draw_event_change(augmentation, seed=0, epoch=0, index=k, events=int(hi - lo)),
            flip=k % 2 == 1, dx=k % 7 - 3, dy=3 - k % 5,
        )
        for k, (lo, hi) in enumerate(limits.T)
    ]  # fmt: skip
    # The way a kernel is loaded waits; what follows must not.
    change_columns(*columns, limits, spans, changes, sensor=SENSOR)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        made, made_limits = change_columns(*columns, limits, spans, changes, sensor=SENSOR)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    tensors = encode_batch(
        *made, made_limits, spans, encoding=encoding_of(SENSOR, normalise="evsegnet")
    ).cpu()
    for tensor, (t0_us, t1_us), change in zip(tensors.numpy(), spans.T, changes, strict=True):
        changed = change_events(events.between(int(t0_us), int(t1_us)), change)
        expected = encode(changed, normalise="evsegnet")
        np.testing.assert_array_equal(tensor.view(np.int32), expected.view(np.int32))


def test_filters_keep_what_the_cpu_keeps_and_nothing_waits(events):
    filters = parse_filters(["hot,refractory:20ms,background:20ms"])
    hot = find_hot_pixels(count_events([events], sensor=SENSOR), factor=filters.hot_factor)
    columns = [torch.from_numpy(column.copy()).cuda() for column in (events.t, events.x, events.y)]
    options = {"filters": filters, "sensor": SENSOR, "hot": hot}
    event_fates(*columns, **options)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        fates = event_fates(*columns, **options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    keep = fates.cpu().numpy() == KEPT
    expected = filter_events(events, filters=filters, hot=hot)
    assert 0 < len(expected) < len(events)
    for name in "txyp":
        np.testing.assert_array_equal(getattr(events, name)[keep], getattr(expected, name))


def test_pinned_live_batches_have_the_bits_of_the_cpu(events):
    encoding = Encoding(SENSOR, (0, 200), MEAN_STD, "evsegnet")
    none = EventStream(*(getattr(events, name)[:0] for name in "txyp"), SENSOR, 0, 50_000)
    some = [LiveWindow(events.between(end - 50_000, end), encoding) for end in (50_000, SPAN_US)]
    for windows in (some, [LiveWindow(none, encoding)]):
        made = batch_windows(windows).pin_memory().encoded(torch.device("cuda")).cpu().numpy()
        expected = np.stack([window.tensor() for window in windows])
        np.testing.assert_array_equal(made.view(np.int32), expected.view(np.int32))


def batch_of(events, windows):
    columns = [
        torch.from_numpy(column.copy()).cuda()
        for column in (events.t, events.x, events.y, events.p)
    ]
    limits = bounds(events, windows.t0_us, windows.t1_us)
    return columns, limits, np.stack([windows.t0_us, windows.t1_us])


def test_a_stream_of_its_own_is_used_and_nothing_waits(events):
    windows = every(1_000_000, 50_000)
    columns, limits, spans = batch_of(events, windows)
    expected = encode_batch(
        *columns, limits, spans, encoding=encoding_of(SENSOR, normalise="evsegnet")
    ).clone()
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.cuda.stream(side):
            # Work of some milliseconds before the kernels: they come back before it has ended.
            torch.cuda._sleep(50_000_000)
            ahead = side.record_event()
            made = encode_batch(
                *columns, limits, spans, encoding=encoding_of(SENSOR, normalise="evsegnet")
            )
            waited = ahead.query()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not waited
    side.synchronize()
    assert torch.equal(made, expected)


def test_too_many_windows_get_advice(events):
    columns, limits, spans = batch_of(events, every(1_000_000, 50_000))
    times = 4 * torch.cuda.mem_get_info()[1] // (20 * 24 * SENSOR.height * SENSOR.width) + 1
    with pytest.raises(DeviceError, match="too little memory"):
        encode_batch(
            *columns, np.tile(limits, times), np.tile(spans, times), encoding=encoding_of(SENSOR)
        )
