"""Fixtures that every test file can use, and how test files are spread over processes."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Before anything loads torch: processes that run side by side compute on one thread each, and
# results equal to the bit need a fixed number of threads.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Where Python may keep no bytecode beside the sources, each process compiles those of torch anew,
# which takes several times as long as to import them: tests and their processes share a folder.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

# Machines are noisy: no test fails for being slow. Each run draws other examples; before a release
# --hypothesis-profile thorough draws many, in tests without a number of their own.
settings.register_profile("eventseg", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("eventseg")

LIBRARIES = (
    ("torch._dynamo", "torchvision"),
    ("numba", "scipy.stats", "scipy.ndimage", "matplotlib.backends.backend_agg", "sympy"),
)
"""Libraries that nearly every process imports, as two processes compile them side by side."""

MOST_PROCESSES = 4
"""Each holds torch and its test files' data: about 1.5 GB."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run whole files side by side, on one process more than there are processors.

    Many tests wait for a process that they started. One file, a debugger and ``-n`` on the command
    line are left as they are.
    """
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or option.numprocesses is not None:
        return
    is_worker = hasattr(config, "workerinput")
    if is_worker or option.usepdb or option.collectonly or not _are_several_files(config):
        return
    option.numprocesses = min(MOST_PROCESSES, (os.cpu_count() or 1) + 1)
    option.dist = "loadfile"
    option.loadscopereorder = False  # tests are in order: file_groups.in_order
    _compile_libraries()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out files so that those which share a dear fixture stay in one process."""
    from file_groups import GroupScheduling

    return GroupScheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put tests that run side by side in the order in which their files are dealt out."""
    if hasattr(config, "workerinput"):
        from file_groups import in_order

        items[:] = in_order(items)


def _compile_libraries() -> None:
    """Import libraries once where they have no bytecode yet, as in a fresh environment.

    All processes would compile the same files at the same time, 16 seconds each.
    """
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        return
    if not Path(importlib.util.cache_from_source(torch.origin)).exists():
        importing = [
            subprocess.Popen([sys.executable, "-c", f"import {', '.join(names)}"])
            for names in LIBRARIES
        ]
        for process in importing:
            process.wait()


def _are_several_files(config: pytest.Config) -> bool:
    paths = [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    return len(paths) > 1 or any(path.is_dir() for path in paths)


# Imports leave hardly any garbage, and collections during them take seconds.
gc.disable()


def pytest_collection_finish() -> None:
    """Leave the 800,000 objects of the modules out of garbage collections, a second each.

    With Python's own threshold collections take a tenth of the time of the tests.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _frozen_leftovers() -> Iterator[None]:
    """Leave objects that outlive a test file out of later garbage collections too.

    Compiled kernels, traced networks and caches are millions of objects after some files, and a
    collection of them all takes seconds.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep indexes of recordings out of the user's cache folder."""
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path / "cache"))


UNDRAWN = (
    "dataset", "evaluation", "pseudolabel", "sources", "training", "test_doctests.py",
    "test_examples.py", "test_site.py",
)  # fmt: skip
"""Tests that make many reports and runs, and hardly ever look at a picture of them."""


@pytest.fixture
def draw_no_more(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that leaves the figures of the rest of a test blank.

    They are made and saved all the same: drawing them takes most of the time of a report.
    """

    from blank_figures import save_blank

    return partial(save_blank, monkeypatch)


@pytest.fixture(autouse=True)
def _blank_figures(request: pytest.FixtureRequest, draw_no_more: Callable[[], None]) -> None:
    """Save blank figures, but for tests that look at them, which have the mark ``drawn``."""
    folder = request.path.relative_to(Path(__file__).parent).parts[0]
    if folder in UNDRAWN and not request.node.get_closest_marker("drawn"):
        draw_no_more()


@pytest.fixture(scope="module")
def single_thread() -> Iterator[None]:
    """Let torch compute on one thread in a module whose results are equal to the bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shared_data() -> Path:
    """Folder with real recordings, which lies beside the repository where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def tiny_drive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated drives, their data set ``drives`` and a run on it, made once."""
    import torch
    from training_fixtures import street_dataset

    import eventseg

    root = tmp_path_factory.mktemp("tiny")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    data = street_dataset(root, name="drives")
    settings = {"network": "fastscnn", "epochs": 1, "workers": 0, "batch_size": 4}
    eventseg.train(data, root / "run", device="cpu", **settings)
    torch.set_num_threads(threads)
    return root


@pytest.fixture
def tiny_drive(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, object]]:
    """Names that the examples of docstrings use, in a folder of their own beside the drives."""
    import torch

    import eventseg

    for name in ("drive.hdf5", "other.hdf5", "drive.truth.h5", "other.truth.h5"):
        (tmp_path / name).symlink_to(tiny_drive_folder / name)
    # Examples import labels into it, which later tests must not see.
    shutil.copytree(tiny_drive_folder / "drives", tmp_path / "drives")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names: dict[str, object] = {name: getattr(eventseg, name) for name in eventseg.__all__}
    with (
        eventseg.open_recording("drive.hdf5") as recording,
        eventseg.open_dataset("drives") as data,
    ):
        yield {
            **names,
            "recording": recording,
            "data": data,
            "run": eventseg.open_run(tiny_drive_folder / "run"),
        }
    torch.set_num_threads(threads)
