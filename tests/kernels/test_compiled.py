"""The cache of compiled functions: wanted, absent and damaged."""

import importlib.util
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numba.core.caching import CompileResultCacheImpl

from eventseg.files import locks
from eventseg.kernels import compile_lock

MODULE = """
from eventseg.kernels.compiled import compiled

@compiled
def doubled(value):
    return 2 * value
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[], ModuleType]:
    """Return a function that imports a module with one compiled function, each time anew."""
    path = tmp_path / "some_kernels.py"
    path.write_text(MODULE)

    def imported() -> ModuleType:
        spec = importlib.util.spec_from_file_location("some_kernels", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return imported


def cached(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.nb?") if path.suffix in (".nbi", ".nbc"))


def hits(module: ModuleType) -> int:
    return sum(module.doubled.stats.cache_hits.values())


def test_code_is_cached_and_found(load: Callable[[], ModuleType], tmp_path: Path) -> None:
    assert load().doubled(21) == 42
    assert len(cached(tmp_path)) == 2
    module = load()
    assert (module.doubled(21), hits(module)) == (42, 1)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "one bit"])
def test_damaged_files_are_replaced(
    load: Callable[[], ModuleType], tmp_path: Path, suffix: str, damage: str
) -> None:
    assert load().doubled(21) == 42
    (path,) = (path for path in cached(tmp_path) if path.suffix == suffix)
    content = bytearray(path.read_bytes())
    if damage == "one bit":
        content[len(content) * 2 // 3] ^= 1
    else:
        length = len(content) // 2
        content = {"empty": b"", "cut": content[:length], "garbage": b"\x80garbage"}[damage]
    path.write_bytes(content)
    module = load()
    assert (module.doubled(21), hits(module)) == (42, 0)
    module = load()
    assert (module.doubled(21), hits(module)) == (42, 1)


def test_no_folder_can_be_written(
    load: Callable[[], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Numba finds in a read-only installation of a user without a home.
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    assert load().doubled(21) == 42
    np.testing.assert_array_equal(load().doubled(np.arange(3)), [0, 2, 4])
    assert cached(tmp_path) == []


def test_a_full_disk_costs_the_cache_only(
    load: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eventseg.kernels.compiled.CheckedFiles._save_index", full)
    assert load().doubled(21) == 42


def test_compiling_is_announced_and_a_cached_function_is_not(
    load: Callable[[], ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "eventseg.kernels.compiled")
    assert load().doubled(21) == 42
    assert ["compiling the kernels, once" in text for text in caplog.messages] == [True]
    caplog.clear()
    module = load()
    assert (module.doubled(21), hits(module), caplog.messages) == (42, 1, [])
    assert module.doubled(2.5) == 5  # another type is another function
    assert len(caplog.messages) == 1


OTHER = """
import logging, sys
sys.path.insert(0, sys.argv[1])
from eventseg.files import locks
from eventseg.kernels import compile_lock
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
compile_lock.LONGEST_WAIT_S = float(sys.argv[2])
import some_kernels
print(some_kernels.doubled(21), sum(some_kernels.doubled.stats.cache_hits.values()), flush=True)
"""


def other_process(folder: Path, *, longest_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OTHER, str(folder), str(longest_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(locks.fcntl is None, reason="no locks on this system")
def test_one_of_two_processes_compiles_and_the_other_takes_its_code(
    load: Callable[[], ModuleType], tmp_path: Path
) -> None:
    with load().doubled._cache.alone():
        others = [other_process(tmp_path, longest_s=60) for _ in range(2)]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline().startswith("compiling the kernels")
    last = sorted(other.communicate(timeout=60)[0].splitlines()[-1] for other in others)
    assert last == ["42 0", "42 1"]


@pytest.mark.skipif(locks.fcntl is None, reason="no locks on this system")
def test_a_process_that_waited_long_compiles_for_itself(
    load: Callable[[], ModuleType], tmp_path: Path
) -> None:
    with load().doubled._cache.alone(), other_process(tmp_path, longest_s=0.1) as other:
        assert other.communicate(timeout=60)[0].splitlines()[-1] == "42 0"


def test_a_folder_that_cannot_be_written_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with compile_lock.alone(tmp_path / "file" / "cache", "x", waiting=pytest.fail):
        pass
