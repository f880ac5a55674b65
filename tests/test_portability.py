"""Systems without POSIX modules, files that a scanner holds, and the CUDA targets of Numba."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from training_fixtures import street_dataset

from eventseg.device import choice as device
from eventseg.device import memory
from eventseg.errors import OutputError, TrainingError
from eventseg.files import locks, whole
from eventseg.kernels import compile_lock, cuda_device
from eventseg.training.loading import loading_advice

ROOT = Path(__file__).resolve().parents[1]
POSIX_ONLY = ("fcntl", "resource", "pwd", "grp", "termios", "posix", "syslog")


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    known = memory.peak_memory_mib(torch.device("cpu"))
    assert known > 10
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert math.isnan(memory.peak_memory_mib(torch.device("cpu")))


def test_all_modules_import_without_posix_ones_and_public_names_stay_objects() -> None:
    # In one process, which takes 10 s. A module may be named as the function in it:
    # `eventseg.evaluation.evaluate`.
    code = f"""
import importlib, pkgutil, sys, types
sys.modules |= dict.fromkeys({POSIX_ONLY!r})
import eventseg
names = [found.name for found in pkgutil.walk_packages(eventseg.__path__, "eventseg.")]
modules = [importlib.import_module(name) for name in names]
for module in (eventseg, *modules):
    if hasattr(module, "__path__"):
        for name in getattr(module, "__all__", ()):
            assert not isinstance(getattr(module, name), types.ModuleType), (module, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_posix_modules_stand_behind_one_door() -> None:
    doors = {"eventseg/files/locks.py", "eventseg/device/memory.py"}
    for path in [*ROOT.glob("eventseg/**/*.py"), *ROOT.glob("cli/**/*.py")]:
        place = path.relative_to(ROOT).as_posix()
        lines = [line.strip() for line in path.read_text().splitlines()]
        used = [name for name in POSIX_ONLY if f"import {name}" in lines]
        assert not used or place in doors, f"{place} imports {used[0]}"


def test_a_folder_needs_no_lock_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    with locks.locked(tmp_path), locks.locked(tmp_path):
        whole.write_whole(tmp_path / "a", lambda file: file.write(b"1"))
    with compile_lock.alone(tmp_path, "kernel", waiting=pytest.fail):
        assert locks.take_byte(0, 0) is None


@pytest.mark.parametrize(("times", "waits"), [(0, 0), (1, 1), (5, 5)])
def test_a_file_that_a_scanner_holds_is_replaced_in_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int, waits: int
) -> None:
    held = [PermissionError(errno.EACCES, "used by another process")] * times
    slept: list[float] = []
    replace = Path.replace

    def stand_in(self: Path, target: Any) -> Path:
        if held:
            raise held.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stand_in)
    monkeypatch.setattr(whole.time, "sleep", slept.append)
    (tmp_path / "file").write_bytes(b"old")
    whole.write_whole(tmp_path / "file", lambda file: file.write(b"new"))
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(slept) == waits
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_stays_held_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def never(_self: Path, _target: Any) -> None:
        raise PermissionError(errno.EACCES, "used by another process")

    slept: list[float] = []
    monkeypatch.setattr(Path, "replace", never)
    monkeypatch.setattr(whole.time, "sleep", slept.append)
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OutputError, match=r"^cannot write .*file: used by another process$"):
        whole.write_whole(tmp_path / "file", lambda file: file.write(b"new"))
    assert 1 < sum(slept) < 2
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


SPAWNED = """
import multiprocessing

if __name__ == "__main__":
    # Here, since each process that is started imports what stands above.
    from pathlib import Path
    from training_fixtures import one_thread, train_tiny
    from eventseg.evaluation.evaluate import evaluate
    from eventseg.networks import load_network
    from eventseg.sources.source import open_source
    from eventseg.training import epoch_files

    multiprocessing.set_start_method("spawn")
    epoch_files.picture_curves = epoch_files.picture_samples = lambda *a, **k: None
    one_thread()
    here, data = Path.cwd(), Path("streets")
    names = {"network__name": "net.py:Net", "loss__terms": {"net.py:loss": 1.0}}
    for workers in (0, 1):
        train_tiny(data, here / str(workers), epochs=1, workers=workers, input__live=True, **names)
    assert (here / "0/metrics.csv").read_bytes() == (here / "1/metrics.csv").read_bytes()
    trained, source = load_network("1/best.pt"), open_source(data)
    rows = [evaluate(trained, source, windows=("50ms",), workers=n)[0] for n in (0, 1)]
    assert (rows[0].matrices == rows[1].matrices).all()
    print("spawned")
"""


@pytest.mark.slow
def test_training_and_evaluation_with_spawned_processes(tmp_path: Path) -> None:
    street_dataset(tmp_path, normalise="raw")
    (tmp_path / "net.py").write_text(
        "from torch import nn\nfrom torch.nn.functional import cross_entropy\n"
        "def Net(in_channels, classes):\n    return nn.Conv2d(in_channels, classes, 1)\n"
        "class Own(nn.Conv2d):\n    pass\n"
        "def loss(logits, labels):\n    return cross_entropy(logits, labels, ignore_index=255)\n"
    )
    (tmp_path / "main.py").write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")}, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "spawned", done.stderr


@pytest.mark.parametrize(("error", "cure"), [
    (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
    (RuntimeError("received 0 items of ancdata"), "ulimit -n"),
    (RuntimeError("Caught OSError in worker\n[Errno 24] Too many open files: 'x'"), "ulimit -n"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
                  "dataloader's workers are out of shared memory."), "--shm-size"),
    (RuntimeError("unable to allocate shared memory(shm) for file </torch_7>: No space left on "
                  "device (28)"), "--shm-size"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "lack of memory"),
    (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), "lack of memory"),
])  # fmt: skip
def test_what_the_system_refuses_is_one_line_with_the_cure(error: Exception, cure: str) -> None:
    with pytest.raises(TrainingError, match=cure) as caught, loading_advice():
        raise error
    assert "--workers 0" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"), OSError(errno.ENOENT, "no file"),
    OutputError("cannot write last.pt: No space left on device"), KeyError("x"),
])  # fmt: skip
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, loading_advice():
        raise error
    assert caught.value is error


KILLED = """
import os, signal, subprocess
from pathlib import Path
from training_fixtures import one_thread, train_tiny
from eventseg.errors import TrainingError
from eventseg.training import epoch_files
epoch_files.picture_curves = epoch_files.picture_samples = lambda *a, **k: None
one_thread()

def kill(progress):
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)

try:
    train_tiny(Path("streets"), Path("run"), workers=1, progress=kill)
except TrainingError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds its children under /proc")
def test_a_killed_loading_process_is_one_line(tmp_path: Path) -> None:
    street_dataset(tmp_path, normalise="raw")
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")}, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("a loading process was ended by the system"), done.stderr
    assert done.stdout.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs a timer's signal")
def test_a_death_that_is_told_after_its_socket_closed_is_still_one_line() -> None:
    def tell(*_: object) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    before = signal.signal(signal.SIGALRM, tell)
    try:
        with (
            pytest.raises(TrainingError, match=r"ended by the system.*\(DataLoader worker"),
            loading_advice(),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stand_in_for_the_successor(patch: pytest.MonkeyPatch) -> ModuleType:
    target = ModuleType("numba_cuda_mlir.cuda")
    patch.setitem(sys.modules, "numba_cuda_mlir", ModuleType("numba_cuda_mlir"))
    patch.setitem(sys.modules, "numba_cuda_mlir.cuda", target)
    return target


def test_the_successor_of_numba_cuda_is_taken_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cuda_device.numba_cuda, "implementation", "NVIDIA", raising=False)
    monkeypatch.setattr(np, "row_stack", np.vstack, raising=False)
    monkeypatch.setitem(sys.modules, "numba_cuda_mlir", None)
    assert cuda_device.find_target() == (cuda_device.numba_cuda, "numba-cuda")
    monkeypatch.delattr(np, "row_stack")  # as in NumPy 2.5
    assert cuda_device.find_target() == (cuda_device.numba_cuda, "numba-cuda")
    successor = stand_in_for_the_successor(monkeypatch)
    assert cuda_device.find_target() == (successor, "numba-cuda-mlir")
    monkeypatch.setattr(np, "row_stack", np.vstack, raising=False)
    assert cuda_device.find_target() == (cuda_device.numba_cuda, "numba-cuda")
    monkeypatch.setattr(cuda_device.numba_cuda, "implementation", "Built-in")
    assert cuda_device.find_target() == (successor, "numba-cuda-mlir")
    monkeypatch.setattr(cuda_device, "SIMULATED", True)
    assert cuda_device.find_target() == (cuda_device.numba_cuda, "numba")


def test_auto_says_which_kernel_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_function: Any) -> Any:
        raise AttributeError("module 'numpy' has no attribute 'row_stack'")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_device.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_device.cuda, "jit", broken)
    monkeypatch.setattr(cuda_device, "PACKAGE", "numba-cuda")
    cuda_device._failure_of_a_kernel.cache_clear()
    try:
        chosen = device.choose_encoder("auto")
        assert chosen.name == "cpu"
        assert "numba-cuda cannot run a kernel with NumPy" in chosen.reason
        assert "has no attribute 'row_stack'" in chosen.reason
        assert "numba-cuda-mlir" in chosen.reason
        with pytest.raises(device.DeviceError, match="no encoding on a GPU: numba-cuda cannot run"):
            device.choose_encoder("cuda")
    finally:
        cuda_device._failure_of_a_kernel.cache_clear()
