"""Cached indexes in the user's cache folder, with which a recording opens at once.

One file a recording, named after its real path; the state of the recording, a fingerprint of its
content and the format version stand inside. An index that does not fit, or cannot be read, is built
again: a sound file may replace a damaged copy of the same size and time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.files.digests import fingerprint_of, state_of
from eventseg.files.whole import replace_file

FORMAT_VERSION = 6
"""Raise it whenever an index gets other contents."""


def cache_folder() -> Path:
    """Return the folder for cached indexes; ``EVENTSEG_CACHE`` overrides the platform's own."""
    if chosen := os.environ.get("EVENTSEG_CACHE"):
        return Path(chosen)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() fails where there is none
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(home / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    if not Path(base).is_absolute():
        raise OSError("there is no home folder; set EVENTSEG_CACHE to a folder for indexes")
    return Path(base) / "eventseg"


def load_arrays(
    path: Path, *, variant: str = ""
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
    """Return the cached arrays and facts of a recording, or None where there are none that fit.

    `variant` names the part of the file that is read, such as one of its cameras.
    """
    try:
        with (
            _cache_file(path, variant).open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            arrays = {name: stored[name] for name in stored.files}
        facts = json.loads(str(arrays.pop("facts")))
    except Exception:  # damaged bytes raise errors of any kind; the index is built again
        return None
    if not isinstance(facts, dict) or facts.pop("key", None) != _key(path):
        return None
    return arrays, facts


def store_arrays(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    facts: Mapping[str, Any],
    *,
    variant: str = "",
) -> str | None:
    """Cache arrays and facts; return why it was not possible, or None."""
    try:
        target = _cache_file(path, variant)
        text = json.dumps({**facts, "key": _key(path)})
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


def _cache_file(path: Path, variant: str) -> Path:
    whole = os.fsencode(path.resolve()) + (f"\0{variant}" if variant else "").encode()
    digest = hashlib.sha256(whole).hexdigest()[:24]
    name = re.sub(r"[^\w.-]", "_", path.stem, flags=re.ASCII)[:60]
    return cache_folder() / f"{name}-{digest}.npz"


def _key(path: Path) -> list[Any]:
    state = state_of(path.stat())
    return [ascii(str(path.resolve())), *state, fingerprint_of(path), FORMAT_VERSION]
