"""Which device encodes, and what is said where there is no GPU; torch tensors on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from recording_fixtures import tree, write_recording
from strategies import streams

from eventseg.dataset.writer import encode_dataset
from eventseg.device import choose_encoder
from eventseg.encoding.cuda import _groups, encode_batch
from eventseg.encoding.settings import encoding_of
from eventseg.encoding.tensors import encode, encode_windows
from eventseg.errors import DeviceError
from eventseg.events import SensorSize
from eventseg.kernels import cuda_device
from eventseg.windows import Windows


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@given(events=streams())
@settings(max_examples=40)
def test_a_batch_of_tensors_on_the_cpu_has_the_same_bits(events):
    columns = [torch.from_numpy(c.copy()) for c in (events.t, events.x, events.y, events.p)]
    for normalise in ("raw", "sqrt", "evsegnet"):
        made = encode_batch(
            *columns,
            [[0], [len(events)]],
            [[events.t0_us], [events.t1_us]],
            encoding=encoding_of(events.sensor, normalise=normalise),
        )
        np.testing.assert_array_equal(made[0].numpy(), encode(events, normalise=normalise))


def test_a_gpu_that_is_not_there_is_one_clear_error(no_gpu):
    with pytest.raises(DeviceError, match=r"no encoding on a GPU: torch finds no GPU.*cpu or auto"):
        choose_encoder("cuda")
    with pytest.raises(DeviceError, match="must be cpu, cuda or auto, got 'gpu'"):
        choose_encoder("gpu")


def test_auto_says_what_it_chose(no_gpu):
    assert str(choose_encoder("auto")) == "cpu (torch finds no GPU with a driver)"


def test_numba_without_a_driver_says_why(monkeypatch):
    monkeypatch.setattr(cuda_device.cuda, "is_available", lambda: False)
    assert "no CUDA driver" in cuda_device.why_missing()
    monkeypatch.setattr(cuda_device.cuda, "implementation", "Built-in")
    assert "uv sync --extra cuda" in cuda_device.why_missing()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(DeviceError, match="uv sync --extra cuda"):
        choose_encoder("cuda")


@given(events=streams(max_events=20))
@settings(max_examples=10)
def test_auto_without_a_gpu_encodes_on_the_cpu(events):
    one = (np.array([each]) for each in (events.t0_us, events.t1_us, -1, -1))
    windows = Windows("w", *one)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        made = encode_windows(events, windows, device="auto")
        with pytest.raises(DeviceError, match="no encoding on a GPU"):
            encode_windows(events, windows, device="cuda")
    np.testing.assert_array_equal(made[0], encode(events))


def test_a_full_gpu_gets_advice(monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    columns = [torch.zeros(1, dtype=d) for d in (torch.int64, torch.uint16, torch.uint16)]
    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(DeviceError, match="too little memory for 1 windows; encode fewer"):
        encode_batch(
            *columns,
            torch.zeros(1, dtype=torch.int8),
            [[0], [1]],
            [[0], [9]],
            encoding=encoding_of(SensorSize(1, 1)),
        )


def test_a_launch_has_no_more_windows_than_a_grid_has_room_for():
    plan = np.arange(5 * 70_000).reshape(-1, 5)
    parts = [(len(part), len(sums)) for part, sums in _groups(plan, (1, 2), torch.device("cpu"))]
    assert parts == [(65_535, 65_535), (4_465, 4_465)]


def test_encode_command_takes_a_device(tmp_path, no_gpu):
    from eventseg_cli.main import main

    path = write_recording(tmp_path / "rec.hdf5")

    def run(out, *options):
        return CliRunner().invoke(main, ["encode", str(path), "--out", str(out), *options])

    chosen = run(tmp_path / "auto", "--device", "auto")
    assert chosen.exit_code == 0, chosen.output
    assert "device: cpu (torch finds no GPU with a driver)" in chosen.stderr
    assert run(tmp_path / "cpu").exit_code == 0
    assert tree(tmp_path / "auto") == tree(tmp_path / "cpu")
    refused = run(tmp_path / "cuda", "--device", "cuda")
    assert refused.exit_code == 1
    assert "no encoding on a GPU" in refused.stderr
    with pytest.raises(DeviceError, match="encoded on the CPU"):
        encode_dataset(path, tmp_path / "cuda", anchor="count:400", device="cuda")
    assert not (tmp_path / "cuda").exists()
