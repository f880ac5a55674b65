"""Tensors of smaller element types: rounded before they are normalised, stored, live and moved."""

from __future__ import annotations

import naive_representations
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from recording_fixtures import write_recording
from strategies import streams

import eventseg
from eventseg.encoding import LiveWindow, encode, encode_windows, encoding_of
from eventseg.encoding.cuda import encode_batch
from eventseg.encoding.normalise import normalise_evsegnet
from eventseg.encoding.settings import Encoding
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.windows import Windows
from eventseg_cli.main import main

COUNTS = ["count", "stack:1", "stack:3", "stack:7"]
KINDS = ["mean-std", "count-latest", "voxel:3", "time-surface:2ms", *COUNTS]


def cut(values, dtype):
    """Return values as an element type holds them, by NumPy."""
    limit = {"float16": 65504, "uint8": 255}[dtype]
    return np.clip(values, -limit, limit).astype(dtype)


def busy(n: int = 3_000) -> EventStream:
    """Return events of which most lie on one pixel, more than a byte counts."""
    rng = np.random.default_rng(1)
    t = np.sort(rng.integers(0, 9_000, n))
    x = np.where(rng.random(n) < 0.7, 2, rng.integers(0, 5, n)).astype(np.uint16)
    p = rng.integers(0, 2, n).astype(np.int8)
    return EventStream(t, x, np.full(n, 1, np.uint16), p, SensorSize(4, 5), 0, 9_000)


@pytest.mark.parametrize("representation", COUNTS)
@given(data=st.data())
def test_bytes_are_the_counts_of_loops(representation, data):
    events = data.draw(streams())
    made = encode(events, representation=representation, dtype="uint8")
    assert made.dtype == np.uint8
    expected = naive_representations.tensor(representation, events, events.t0_us, events.t1_us)
    assert np.array_equal(made, cut(expected, "uint8"))


@pytest.mark.parametrize("representation", COUNTS)
def test_bytes_stop_at_255_in_the_rows_kept(representation):
    events = busy()
    made = encode(events, representation=representation, rows=(1, 3), dtype="uint8")
    plain = encode(events, representation=representation, rows=(1, 3))
    assert plain.max() > 255 or representation == "stack:7"
    assert np.array_equal(made, cut(plain, "uint8"))


@pytest.mark.parametrize("dtype", ["float16", "uint8"])
@pytest.mark.parametrize("representation", KINDS)
def test_every_way_has_the_same_values(representation, dtype):
    events = busy()
    if dtype == "uint8" and representation not in COUNTS:
        with pytest.raises(WindowError, match="uint8 holds counts alone"):
            encoding_of(events.sensor, representation=representation, dtype=dtype)
        return
    encoding = encoding_of(events.sensor, representation=representation, dtype=dtype)
    expected = cut(encode(events, representation=representation), dtype)
    assert np.array_equal(encode(events, encoding=encoding), expected)
    out = np.empty(encoding.shape, np.float32)
    assert np.array_equal(encode(events, encoding=encoding, out=out), expected)
    live = LiveWindow(encoding, window_us=9_000)
    live.add(events)
    assert np.array_equal(live.tensor(9_000), expected)
    columns = (torch.from_numpy(np.array(c)) for c in (events.t, events.x, events.y, events.p))
    batch = encode_batch(*columns, [[0], [len(events)]], [[0], [9_000]], encoding=encoding)
    assert np.array_equal(batch[0].numpy(), expected)


def test_normalisation_follows_rounding():
    events = busy()
    made = encode(events, normalise="evsegnet", dtype="float16")
    assert made.dtype == np.float32
    rounded = cut(encode(events), "float16").astype(np.float32)
    assert np.array_equal(made, normalise_evsegnet(rounded))


def test_settings_are_kept_and_bad_ones_refused():
    sensor = SensorSize(4, 5)
    encoding = encoding_of(sensor, dtype="float16")
    assert Encoding.from_dict(encoding.to_dict()) == encoding
    assert "dtype" not in encoding_of(sensor).to_dict()
    with pytest.raises(WindowError, match="dtype must be float32, float16 or uint8"):
        encoding_of(sensor, dtype="int8")
    with pytest.raises(WindowError, match="out must be C-contiguous uint8"):
        encode(busy(), representation="count", dtype="uint8", out=np.empty((2, 4, 5), np.float16))


@pytest.mark.parametrize(
    ("representation", "dtype"), [("mean-std", "float16"), ("stack:2", "uint8")]
)
def test_a_data_set_of_an_element_type(representation, dtype, tmp_path):
    path = write_recording(tmp_path / "rec.hdf5")
    sets = {}
    for name, store in (("stored", "npy"), ("live", "none"), ("packed", "npz")):
        arguments = ["encode", str(path), "--out", str(tmp_path / name), "--store", store,
                     "--representation", representation, "--dtype", dtype,
                     "--workers", "1", "--crop", "none"]  # fmt: skip
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert dtype in result.output
        sets[name] = eventseg.open_dataset(tmp_path / name)
    file = next((tmp_path / "stored" / "tensors" / "50ms").glob("*.npy"))
    assert np.load(file).dtype == dtype
    for i in range(len(sets["stored"])):
        made = [each.tensor(i, "50ms") for each in sets.values()]
        assert made[0].dtype == np.float32
        assert all(np.array_equal(made[0], other) for other in made[1:])
    assert eventseg.check_dataset(tmp_path / "stored", deep=True) == []
    np.save(file, np.load(file).astype(np.float32))
    (problem,) = eventseg.check_dataset(tmp_path / "stored")
    assert f"float32 {made[0].shape}, must be {dtype}" in problem
    for each in sets.values():
        each.close()


def test_many_windows_on_threads():
    events = busy()
    t0_us, none = np.arange(0, 6_000, 500), np.full(12, -1)
    windows = Windows("3ms", t0_us, t0_us + 3_000, none, none)
    for threads in (1, 3):
        made = encode_windows(
            events, windows, representation="stack:4", dtype="uint8", threads=threads
        )
        plain = encode_windows(events, windows, representation="stack:4")
        assert np.array_equal(made, cut(plain, "uint8"))
