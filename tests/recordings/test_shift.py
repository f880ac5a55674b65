"""Shifted frames: a planted shift of a simulated street is found by `align` and undone."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from eventseg.dataset import encode_dataset, open_dataset
from eventseg.errors import DatasetError, RecordingError
from eventseg.events import SensorSize
from eventseg.recordings import open_recording
from eventseg.recordings.alignment import align
from eventseg.recordings.choices import FileChoices, parse_shift
from eventseg.recordings.writers.convert import convert
from eventseg.simulate import simulate_street
from eventseg_cli.main import main

PLANTED_US = 50_000
SENSOR = SensorSize(90, 120)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("street") / "street.hdf5"
    simulate_street(path, duration_us=1_500_000, sensor=SENSOR, seed=3)
    return path


@pytest.fixture(scope="module")
def moved(street: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The street with the stamps of its frames 50 ms too early."""
    path = tmp_path_factory.mktemp("moved") / "street.hdf5"
    convert(street, path, choices=FileChoices.of(shift_frames=f"-{PLANTED_US}us"))
    return path


def test_planted_shift_is_found_and_undone(street: Path, moved: Path, tmp_path: Path) -> None:
    with open_recording(street) as recording:
        sound = align(recording, range_us=75_000)
        times = recording.frames.t_us
    with open_recording(moved) as recording:
        found = align(recording, range_us=75_000)
        np.testing.assert_array_equal(recording.frames.t_us, times - PLANTED_US)
    assert sound.sound
    assert abs(found.offset_us - sound.offset_us - PLANTED_US) <= 2_500
    assert not found.sound
    assert "encode --shift-frames" in "\n".join(found.lines())
    undone_us = found.offset_us - sound.offset_us
    with open_recording(moved, shift_frames_us=undone_us) as recording:
        assert align(recording, range_us=75_000).sound
        assert any("frames are shifted by +" in note for note in recording.report.notes)


def test_encode_applies_the_shift(street: Path, moved: Path, tmp_path: Path) -> None:
    command = ["encode", str(moved), "--shift-frames", "50ms", "--out", str(tmp_path / "undone")]
    done = CliRunner().invoke(main, [*command, "--store", "npy", "--quiet"])
    assert done.exit_code == 0, done.output
    encode_dataset([street], tmp_path / "plain")
    encode_dataset([moved], tmp_path / "moved")
    plain, undone, wrong = (open_dataset(tmp_path / name) for name in ("plain", "undone", "moved"))
    with plain, undone, wrong:
        assert undone.manifest.settings.choices.shift_frames_us == PLANTED_US
        assert 'shift_frames = "50ms"' in (tmp_path / "undone/manifest.toml").read_text()
        assert "shift_frames" not in (tmp_path / "plain/manifest.toml").read_text()
        assert undone.samples.t_us.tolist() == plain.samples.t_us.tolist()
        for i in range(len(plain)):
            np.testing.assert_array_equal(undone.tensor(i), plain.tensor(i))
            np.testing.assert_array_equal(undone.frame(i), plain.frame(i))
        assert wrong.samples.t_us.tolist() != plain.samples.t_us.tolist()
    shown = CliRunner().invoke(main, ["info", str(tmp_path / "undone")])
    assert "read with shift_frames 50ms" in shown.stdout
    again = CliRunner().invoke(main, [*command, "--quiet"])
    assert again.exit_code == 0, again.output
    with pytest.raises(DatasetError, match="shift_frames"):
        encode_dataset([moved], tmp_path / "undone", shift_frames="40ms")
    checked = CliRunner().invoke(main, ["check", str(tmp_path / "undone")])
    assert checked.exit_code == 0, checked.output


def test_a_pickled_recording_keeps_its_shift(moved: Path) -> None:
    with open_recording(moved, shift_frames_us=-7_000) as recording:
        copy = pickle.loads(pickle.dumps(recording))
        with copy:
            assert copy.frames_shift_us == -7_000
            np.testing.assert_array_equal(copy.frames.t_us, recording.frames.t_us)
            np.testing.assert_array_equal(copy.frames.image(1), recording.frames.image(1))


def test_tensors_on_load_have_the_shift(moved: Path, tmp_path: Path) -> None:
    encode_dataset([moved], tmp_path / "stored", shift_frames=12_000)
    encode_dataset([moved], tmp_path / "loaded", shift_frames=12_000, store="none")
    with open_dataset(tmp_path / "stored") as stored, open_dataset(tmp_path / "loaded") as loaded:
        np.testing.assert_array_equal(stored.tensor(3), loaded.tensor(3))


@pytest.mark.parametrize(
    ("text", "us"), [("12ms", 12_000), ("-0.5ms", -500), ("+3us", 3), ("0", 0)]
)
def test_shifts_have_signs(text: str, us: int) -> None:
    assert parse_shift(text) == us


def test_commands_take_camera_and_unit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in (0, 1):
        t = np.sort(rng.integers(0, 900, 4_000))
        x, y = rng.integers(0, 60, 4_000), rng.integers(0, 40, 4_000)
        columns = {"t": t, "x": x, "y": y, "p": rng.integers(0, 2, 4_000)}
        import h5py

        with h5py.File(tmp_path / "rec.h5", "a") as file:
            for name, values in columns.items():
                file[f"events/{('left', 'right')[k]}/{name}"] = values
    path, given = str(tmp_path / "rec.h5"), ["--sensor", "64x48", "--time-unit", "ms"]
    run = CliRunner().invoke
    shown = run(main, ["info", path, *given, "--camera", "right"])
    assert shown.exit_code == 0, shown.output
    assert "0.8" in shown.stdout
    listed = run(main, ["info", path, *given])
    assert "1 left, 2 right; read is left" in listed.stdout
    out = ["--out", str(tmp_path / "set"), "--anchor", "stride:100ms", "--crop", "none", "-q"]
    made = run(main, ["encode", path, *given, "--camera", "2", *out])
    assert made.exit_code == 0, made.output
    text = (tmp_path / "set/manifest.toml").read_text()
    assert 'camera = "2"' in text
    assert 'time_unit = "ms"' in text
    drawn = run(main, ["view", path, *given, "--camera", "right", "--out", str(tmp_path / "a.png")])
    assert drawn.exit_code == 0, drawn.output
    written = run(main, ["convert", path, str(tmp_path / "b.npz"), *given, "--camera", "right"])
    assert written.exit_code == 0, written.output
    with np.load(tmp_path / "b.npz") as made_of:
        assert made_of["t"].max() > 800_000
    refused = run(main, ["info", path, "--camera", "up"])
    assert refused.exit_code == 1
    assert "no single camera 'up'; the file has 1 left, 2 right" in refused.stderr
    with pytest.raises(RecordingError, match="leave --camera"):
        (tmp_path / "rec.es").write_bytes(b"Event Stream" + bytes(20))
        open_recording(tmp_path / "rec.es", camera="left")
