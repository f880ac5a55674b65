"""Fixtures that every test file can use, and how test files are spread over processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything loads torch: processes that run side by side compute on one thread each, and
# results equal to the bit need a fixed number of threads.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Machines are noisy: no test fails for being slow.
settings.register_profile("eventseg", deadline=None)
settings.load_profile("eventseg")

MOST_PROCESSES = 4
"""Each holds torch and its test files' data: about 1.5 GB."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run whole files side by side on as many processes as there are processors.

    One file, a debugger and ``-n`` on the command line are left as they are.
    """
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or option.numprocesses is not None:
        return
    is_worker = hasattr(config, "workerinput")
    if is_worker or option.usepdb or option.collectonly or not _are_several_files(config):
        return
    option.numprocesses = min(MOST_PROCESSES, os.cpu_count() or 1)
    option.dist = "loadfile"


def _are_several_files(config: pytest.Config) -> bool:
    paths = [config.invocation_params.dir / arg.partition("::")[0] for arg in config.args]
    return len(paths) > 1 or any(path.is_dir() for path in paths)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep indexes of recordings out of the user's cache folder."""
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def shared_data() -> Path:
    """Folder with real recordings, which lies beside the repository where there is one."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder shared/data beside the repository")
    return folder
