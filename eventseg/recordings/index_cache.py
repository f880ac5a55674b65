"""Indexes kept in the user's cache folder, so that a recording opens at once the next time.

One file a recording, named after its real path; size, modification time and format version stand
inside, and an index that does not fit, or cannot be read, is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.files import replace_file

FORMAT_VERSION = 3
"""Raise it whenever an index gets other contents."""


def cache_folder() -> Path:
    """Return the folder for cached indexes; ``EVENTSEG_CACHE`` overrides the platform's own."""
    if chosen := os.environ.get("EVENTSEG_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "eventseg"


def load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Return the cached arrays and facts of a recording, or None where there are none that fit."""
    try:
        with (
            _cache_file(path).open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(str(arrays.pop("facts")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if not isinstance(facts, dict) or facts.pop("key", None) != _key(path):
        return None
    return arrays, facts


def store_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> str | None:
    """Cache arrays and facts; return why it was not possible, or None."""
    target = _cache_file(path)
    text = json.dumps({**facts, "key": _key(path)})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, facts=np.array(text), **arrays)  # type: ignore[arg-type]
            replace_file(Path(name), target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        return f"the index is not cached: {error}"
    return None


def _cache_file(path: Path) -> Path:
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    return cache_folder() / f"{path.stem[:60]}-{digest}.npz"


def _key(path: Path) -> list[Any]:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns, FORMAT_VERSION]
