"""Representations against their specification in loops, and through a data set."""

from __future__ import annotations

import tomllib

import naive_representations
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_fixtures import SMALL, tree, write_recording
from strategies import streams

from eventseg.dataset.check import check_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding.representation import MEAN_STD, parse_representation
from eventseg.encoding.tensors import encode, encode_windows
from eventseg.errors import DatasetError, WindowError
from eventseg.events import EventStream
from eventseg.windows import Windows, parse_anchor

NAMES = ("count", "count-latest", "voxel:2", "voxel:5", "stack:1", "stack:7", "time-surface:700us")


@pytest.mark.parametrize("name", NAMES)
@given(events=streams(max_events=30), data=st.data())
@settings(max_examples=40)
def test_a_window_is_the_specification(name, events, data):
    span = events.t1_us - events.t0_us
    t0_us = events.t0_us + data.draw(st.integers(0, span - 1))
    t1_us = data.draw(st.integers(t0_us + 1, events.t1_us))
    made = encode(events, window=(t0_us, t1_us), representation=parse_representation(name))
    expected = naive_representations.tensor(name, events, t0_us, t1_us)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, expected.astype(np.float32))


@given(events=streams(max_events=40), name=st.sampled_from(NAMES), data=st.data())
@settings(max_examples=60)
def test_order_of_events_rows_and_threads_change_no_bit(events, name, data):
    representation = parse_representation(name)
    whole = encode(events, representation=representation)
    # One microsecond for all, so that any order is an order of time.
    order = np.array(data.draw(st.permutations(range(len(events)))), int)
    at_once = [
        EventStream.from_arrays(
            np.full(len(events), 5), events.x[by], events.y[by], events.p[by],
            sensor=events.sensor, t0_us=0, t1_us=9,
        )
        for by in (slice(None), order)
    ]  # fmt: skip
    one, other = (encode(each, representation=representation) for each in at_once)
    np.testing.assert_array_equal(one, other)
    height = events.sensor.height
    kept = encode(events, representation=representation, rows=(height // 2, height))
    np.testing.assert_array_equal(kept, whole[:, height // 2 :])
    t0_us = np.full(5, events.t0_us)
    none = np.full(5, -1)
    windows = Windows("w", t0_us, t0_us + events.t1_us - events.t0_us, none, none)
    for threads in (1, 3):
        made = encode_windows(events, windows, representation=representation, threads=threads)
        np.testing.assert_array_equal(made, np.stack([whole] * 5))


def test_a_long_window_and_the_far_ends_of_the_decay():
    length = 2**31 - 1
    t = np.array([0, 1, 2**22, 2**30, length - 2**11, length - 1])
    x = np.arange(6)
    events = EventStream.from_arrays(t, x, x * 0, x % 2, sensor=(1, 6), t0_us=0, t1_us=length)
    for name in ("voxel:64", "count-latest", "time-surface:900000us", "stack:64"):
        made = encode(events, representation=parse_representation(name))
        expected = naive_representations.tensor(name, events, 0, length)
        np.testing.assert_allclose(made, expected, rtol=1e-6)


def test_names_are_read_and_written():
    for name in (*NAMES, "mean-std"):
        assert str(parse_representation(name)) == name
    assert str(parse_representation("voxel")) == "voxel:5"
    assert str(parse_representation("stack")) == "stack:5"
    assert str(parse_representation("time-surface:0.02s")) == "time-surface:20ms"
    assert parse_representation("mean-std") == MEAN_STD
    channels = {name: parse_representation(name).channels for name in (*NAMES, "mean-std")}
    assert list(channels.values()) == [2, 4, 2, 5, 2, 14, 2, 6]


@pytest.mark.parametrize(
    "name", ["", "counts", "count:2", "voxel:1", "voxel:", "stack:0", "stack:65", "time-surface:5"]
)
def test_other_names_are_refused(name):
    with pytest.raises(WindowError, match=r"must be|takes"):
        parse_representation(name)


def test_evsegnet_ranges_are_refused(tmp_path):
    events = EventStream.from_arrays([1], [0], [0], [1], sensor=(1, 1))
    count = parse_representation("count")
    with pytest.raises(WindowError, match="mean-std: count must be raw"):
        encode(events, representation=count, normalise="evsegnet")
    path = write_recording(tmp_path / "rec.hdf5")
    with pytest.raises(DatasetError, match="count must be stored raw"):
        encode_dataset([path], tmp_path / "out", representation=count, normalise="evsegnet")


@pytest.mark.parametrize("name", ["count", "count-latest", "voxel:3", "stack:4", "time-surface"])
def test_a_data_set_holds_checks_and_encodes_it_live(tmp_path, name):
    path, representation = write_recording(tmp_path / "rec.hdf5"), parse_representation(name)
    for store in ("npy", "none"):
        encode_dataset(
            [path], tmp_path / store, windows_us=[50_000], store=store,
            representation=representation,
        )  # fmt: skip
    stored, live = open_dataset(tmp_path / "npy"), open_dataset(tmp_path / "none")
    assert stored.manifest.settings.encoding.representation == representation
    for i in range(len(stored)):
        tensor = stored.tensor(i)
        assert tensor.shape == (representation.channels, *SMALL)
        np.testing.assert_array_equal(tensor, live.tensor(i))
        np.testing.assert_array_equal(tensor, stored.encode_live(i, "50ms"))
    assert tensor.any()
    table = tomllib.loads((tmp_path / "npy" / "manifest.toml").read_text())
    assert table["representation"] == str(representation)
    units = {channel["name"]: channel["unit"] for channel in table["channels"]}
    assert units == representation.units
    assert check_dataset(tmp_path / "npy", deep=True) == []
    (tmp_path / "npy" / "tensors" / "50ms" / "rec_f000003.npy").unlink()
    np.save(tmp_path / "npy" / "tensors" / "50ms" / "rec_f000003.npy", tensor - 5e3)
    assert "allowed are" in " ".join(check_dataset(tmp_path / "npy", deep=True))


def test_windows_of_a_fixed_count_hold_it_too(tmp_path):
    path, representation = write_recording(tmp_path / "rec.hdf5"), parse_representation("voxel:3")
    encode_dataset(
        [path], tmp_path / "data", anchor=parse_anchor("count:400"), representation=representation
    )
    dataset = open_dataset(tmp_path / "data")
    assert len(dataset) == 10
    assert dataset.tensor(0).shape == (3, *SMALL)


def test_the_six_channels_are_named_by_default_and_change_nothing(tmp_path):
    path = write_recording(tmp_path / "rec.hdf5")
    encode_dataset([path], tmp_path / "a")
    encode_dataset([path], tmp_path / "b", representation=parse_representation("mean-std"))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert "representation" not in (tmp_path / "a" / "manifest.toml").read_text()
    with pytest.raises(DatasetError, match="representation was mean-std, now count"):
        encode_dataset([path], tmp_path / "a", representation=parse_representation("count"))


def test_the_command_takes_a_name(tmp_path):
    from eventseg_cli.main import main

    path = write_recording(tmp_path / "rec.hdf5")
    command = ["encode", str(path), "--out", str(tmp_path / "data"), "--representation"]
    result = CliRunner().invoke(main, [*command, "stack:2"])
    assert result.exit_code == 0, result.output
    assert "tensors 4 x 24 x 32 raw" in result.output
    result = CliRunner().invoke(main, [*command, "stak"])
    assert result.exit_code == 2
    assert "must be one of mean-std, count" in result.output.replace("\n", " ")
