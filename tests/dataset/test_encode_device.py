"""The device that encodes: of this machine, of a cluster, and for windows of a fixed count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from eventseg.dataset import request, writer
from eventseg.dataset.request import encode_request
from eventseg.device import choice
from eventseg.device.choice import EncodingDevice
from eventseg.errors import DeviceError
from eventseg_cli.main import main

CLUSTER = ("--scheduler", "tcp://node1:8786")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> EncodingDevice:
        return EncodingDevice("cpu" if name == "cpu" else "cuda", "stand-in")

    for module in (choice, request):
        monkeypatch.setattr(module, "choose_encoder", found)


def device_of(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> Any:
    """Return the device of the request that a command makes, or the output of one refused."""
    (folder / "rec.hdf5").touch()
    asked: list[str] = []

    def requested(*arguments: Any, **settings: Any) -> None:
        asked.append(encode_request(*arguments, **settings).device)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "encode_request", requested)
    command = ["encode", str(folder / "rec.hdf5"), "--out", str(folder / "out"), *options]
    result = CliRunner().invoke(main, command)
    return asked[0] if asked else result.output


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("device", ["cpu", "cuda", "auto"])
def test_workers_of_a_cluster_choose_their_own_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str
) -> None:
    assert device_of(monkeypatch, tmp_path, "--device", device, *CLUSTER) == device


@pytest.mark.usefixtures("no_gpu")
def test_a_cluster_of_this_machine_has_its_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = ("--scheduler", "local")
    assert device_of(monkeypatch, tmp_path, "--device", "auto", *local) == "cpu"
    refused = device_of(monkeypatch, tmp_path, "--device", "cuda", *local)
    assert "error: no encoding on a GPU" in refused


def test_a_cluster_takes_no_gpu_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refused = device_of(monkeypatch, tmp_path, "--device", "cuda:1", *CLUSTER)
    assert "give --device cpu, cuda or auto, got cuda:1" in " ".join(refused.split())
    with pytest.raises(DeviceError, match="of the workers of a cluster must be cpu, cuda or auto"):
        encode_request("rec.hdf5", tmp_path, device="cuda:1", elsewhere=True)  # type: ignore[arg-type]


@pytest.mark.usefixtures("gpu")
def test_windows_of_a_count_are_encoded_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count = ("--anchor", "count:3000")
    assert device_of(monkeypatch, tmp_path, "--device", "auto") == "cuda"
    assert device_of(monkeypatch, tmp_path, "--device", "auto", *count) == "cpu"
    assert device_of(monkeypatch, tmp_path, "--device", "auto", *count, *CLUSTER) == "cpu"
    assert encode_request("rec.hdf5", tmp_path, anchor="count:3000", device="auto").device == "cpu"
    refused = device_of(monkeypatch, tmp_path, "--device", "cuda", *count)
    assert "are encoded on the CPU: use device cpu" in refused
