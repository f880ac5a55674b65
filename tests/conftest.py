"""Fixtures that every test file can use."""

from pathlib import Path

import pytest
from hypothesis import settings

# Machines are noisy: no test fails for being slow.
settings.register_profile("eventseg", deadline=None)
settings.load_profile("eventseg")


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
