"""Digests of files, of parts of large ones, and of tables of settings."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

REREAD_BYTES = 2**22
"""Files up to this size are read again whenever their content matters."""


SAMPLED_PARTS, SAMPLE_BYTES = 32, 2**14


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file; that of a large one is computed once for its state."""
    state = state_of(path.stat())
    if state[0] <= REREAD_BYTES:
        return _computed_digest(path)
    return _known_digest(path, state)


def table_digest(table: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a table of settings, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(table, sort_keys=True, default=str).encode()).hexdigest()


def state_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return the facts that change with a file's content: size, both times and file number.

    Programs that copy files set their size and time of modification as they were; the time of the
    last change of status and the number are the file system's own.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


@cache
def _known_digest(path: Path, _state: tuple[int, int, int, int]) -> str:
    return _computed_digest(path)


def _computed_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(path: Path) -> str:
    """Return the digest of a small file, or of parts spread over a large one."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= REREAD_BYTES:
            digest.update(file.read())
        else:
            for part in range(SAMPLED_PARTS):
                file.seek((size - SAMPLE_BYTES) * part // (SAMPLED_PARTS - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
