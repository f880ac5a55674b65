"""Threads and devices: how many, and what is said of those that are not there."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eventseg.device import choice as device
from eventseg.device import choose_own_device, keep_freed_memory
from eventseg.device.own_gpu import take_first_free
from eventseg.errors import DeviceError


def test_threads_are_what_the_workers_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "processors", lambda: 8)
    counts = [device.thread_count(workers=workers) for workers in (0, 2, 7, 8, 20)]
    assert counts == [8, 6, 1, 1, 1]
    assert device.thread_count(3, workers=20) == 3
    with pytest.raises(DeviceError, match="threads must be 1 or more, got 0"):
        device.thread_count(0)


def test_processors_are_those_that_the_process_may_use() -> None:
    assert 1 <= device.processors() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("quota", "count"), [("150000 100000", 2), ("max 100000", 64), ("10 100000", 1), ("", 64)]
)
def test_a_quota_counts(monkeypatch: pytest.MonkeyPatch, quota: str, count: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: quota)
    assert device.processors() == count


def test_torch_takes_the_threads_but_not_against_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(device, "processors", lambda: 4)
    for name in device.THREAD_LIMITS:
        monkeypatch.delenv(name, raising=False)
    try:
        assert device.set_threads(workers=1) == torch.get_num_threads() == 3
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert device.set_threads() == 3  # the user's, as torch has it
        assert device.set_threads(2) == torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_waiting_is_passive_where_the_user_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("KMP_BLOCKTIME", "200")
    device.wait_without_spinning()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"]) == ("PASSIVE", "200")


def test_an_encoder_is_a_device_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.choose_encoder_by_name("cpu").name == "cpu"
    for name in ("gpu", "cuda:", "cuda:x", "mps"):
        with pytest.raises(DeviceError, match=r"must be cpu, cuda, cuda:N or auto, got"):
            device.choose_encoder_by_name(name)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with pytest.raises(DeviceError, match=r"cuda:2 is not there: .* lists 2; use .* cuda:1"):
        device.choose_encoder_by_name("cuda:2")
    asked: list[str] = []
    found = device.EncodingDevice("cuda", "stand-in")
    monkeypatch.setattr(device, "choose_encoder", lambda name: asked.append(name) or found)
    assert device.choose_encoder_by_name("cuda:1") is found
    assert (asked, os.environ["CUDA_VISIBLE_DEVICES"]) == (["cuda"], "6")


@pytest.mark.parametrize("hidden", ["", "-1", "-1,0"])
def test_gpus_that_are_hidden_stay_hidden(monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    monkeypatch.setattr(device, "choose_encoder", lambda _: pytest.fail("a GPU was shown"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(DeviceError, match=r"cuda:0 is not there: .* lists 0; use cpu"):
        device.choose_encoder_by_name("cuda:0")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == hidden


@pytest.mark.parametrize("before", [None, "4,6"])
def test_a_gpu_that_cannot_be_used_leaves_the_environment(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    def refused(_name: str) -> None:
        raise DeviceError("no encoding on a GPU")

    monkeypatch.setattr(device, "choose_encoder", refused)
    if before is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with pytest.raises(DeviceError, match="device cuda:1: no encoding"):
        device.choose_encoder_by_name("cuda:1")
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


def test_side_by_side_processes_take_gpus_of_their_own(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    code = (
        "import sys, time; from pathlib import Path; from eventseg.device.own_gpu import *\n"
        "print(take_first_free(['a', 'b', 'c'], Path(sys.argv[1])), flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "0\n"
        assert [take_first_free(names, tmp_path) for _ in range(3)] == [1, 2, 0]
        # Processes that see other GPUs, or see them in another order, know them by their names.
        assert take_first_free(["c", "d"], tmp_path) == 1
        other.kill()
    assert take_first_free(["a", "b"], tmp_path) == 0
    (tmp_path / "none").touch()
    with pytest.raises(DeviceError, match="set TMPDIR to a folder that can be written"):
        take_first_free(names, tmp_path / "none")


def test_a_device_that_is_named_is_for_all() -> None:
    assert choose_own_device("cpu") == torch.device("cpu")


def test_freed_memory_is_kept_unless_the_user_or_the_system_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    assert not keep_freed_memory()
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
