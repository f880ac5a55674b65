"""A representation of a user's own: one file, named on the command line and in Python."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from recording_fixtures import SMALL, write_recording
from strategies import streams

from eventseg.dataset.check import check_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding import Encoding, encode, encoding_of, parse_representation
from eventseg.encoding.settings import default_normalisation
from eventseg.errors import DatasetError, EventsegError, ExtensionError, WindowError
from eventseg.events import EventStream, SensorSize

TOY = """
import numpy as np
from eventseg.encoding import Channel, Definition, Step

def add(dt_us, p, window_us, parameter):
    return ((np.int64(0), np.int64(1)),)

def latest(dt_us, p, window_us, parameter):
    return ((np.int64(1), dt_us + 1),)

def finish(value, plane, window_us, parameter, table):
    return np.float32(value) if plane == 0 else np.float32(np.float64(value) / window_us)

toy = Definition(
    channels=lambda _: (
        Channel("count", "events", per_event=True, counts=True),
        Channel("latest", "share of the window"),
    ),
    steps=(Step(add), Step(latest, "max")),
    finish=finish,
)

def beyond(dt_us, p, window_us, parameter):
    return ((np.int64(2), np.int64(1)),)

def unknown(dt_us, p, window_us, parameter):
    return no_such_name

astray = Definition(channels=toy.channels, steps=(Step(beyond),), finish=finish)
broken = Definition(channels=toy.channels, steps=(Step(unknown),), finish=finish)
twins = Definition(channels=lambda _: toy.channels(0)[:1] * 2, steps=(Step(add),), finish=finish)
empty = Definition(channels=toy.channels)
number = 3
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "my.py"
    path.write_text(TOY)
    return path


def naive_toy(events):
    tensor = np.zeros((2, *events.sensor))
    for t, x, y in zip(events.t.tolist(), events.x, events.y, strict=True):
        tensor[0, y, x] += 1
        tensor[1, y, x] = (t - events.t0_us + 1) / (events.t1_us - events.t0_us)
    return tensor.astype(np.float32)


def test_tensors_are_those_of_the_loop(file: Path) -> None:
    representation = parse_representation(f"{file}:toy")

    @given(events=streams(max_events=30))
    @settings(max_examples=30)
    def check(events):
        made = encode(events, representation=representation)
        np.testing.assert_array_equal(made, naive_toy(events))

    check()


def test_one_name_encodes_a_data_set_that_keeps_path_and_digest(file: Path, tmp_path: Path) -> None:
    from eventseg_cli.main import main

    recording, out = write_recording(tmp_path / "rec.hdf5"), tmp_path / "data"
    command = ["encode", str(recording), "--out", str(out), "--representation", f"{file}:toy"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    table = tomllib.loads((out / "manifest.toml").read_text())
    assert table["representation"] == f"{file}:toy"
    assert table["representation_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [channel["name"] for channel in table["channels"]] == ["count", "latest"]
    data = open_dataset(out)
    assert data.tensor(0).shape == (2, *SMALL)
    np.testing.assert_array_equal(data.tensor(3), data.encode_live(3, "50ms"))
    assert check_dataset(out, deep=True) == []
    assert default_normalisation(data.manifest.settings.encoding.representation) == "raw"
    # Workers are spawned, and find the definition by its name.
    twice = [recording, write_recording(tmp_path / "two.hdf5", seed=1)]
    encode_dataset(twice, tmp_path / "both", representation=f"{file}:toy", workers=2)
    both = open_dataset(tmp_path / "both")
    np.testing.assert_array_equal(both.tensor(both.ids.index(data.ids[2])), data.tensor(2))


def test_a_changed_file_is_refused_by_name(tmp_path: Path) -> None:
    recording, out = write_recording(tmp_path / "rec.hdf5"), tmp_path / "data"
    own = tmp_path / "changing.py"
    own.write_text(TOY)
    encode_dataset(recording, out, representation=f"{own}:toy")
    own.write_text(TOY.replace("dt_us + 1", "dt_us + 2"))
    with pytest.raises(DatasetError, match="has changed since toy of it was used"):
        open_dataset(out)
    encoding = encoding_of(SMALL, representation=f"{own}:toy")
    table = encoding.to_dict()
    assert Encoding.from_dict(table) == encoding
    own.unlink()
    with pytest.raises(ExtensionError, match="cannot read"):
        Encoding.from_dict(table)


def test_equal_files_are_equal_wherever_they_lie(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / file.name
    copy.write_text(TOY)
    one, other = (parse_representation(f"{path}:toy") for path in (file, copy))
    assert one == other
    assert str(one) != str(other)
    copy.write_text(TOY + "\n")
    assert one != parse_representation(f"{copy}:toy")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "defines no 'nothing'"),
        ("number", "number as int; a representation is an eventseg.encoding.Definition"),
        ("empty", "with steps and finish"),
        ("twins", "each of its own name"),
    ],
)
def test_other_objects_are_refused(file: Path, name: str, words: str) -> None:
    with pytest.raises(ExtensionError, match=words):
        parse_representation(f"{file}:{name}")


def test_functions_that_go_astray_are_refused(file: Path) -> None:
    events = EventStream.from_arrays([1], [0], [0], [1], sensor=SensorSize(2, 2), t0_us=0, t1_us=9)
    with pytest.raises(WindowError, match=r"1 events lie outside .* plane beyond the 2 channels"):
        encode(events, representation=f"{file}:astray")
    with pytest.raises(ExtensionError, match="cannot be compiled") as caught:
        encode(events, representation=f"{file}:broken")
    assert "\n" not in str(caught.value)
    for value in (3, None, b"voxel"):
        with pytest.raises(EventsegError, match="must be a name"):
            encode(events, representation=value)
