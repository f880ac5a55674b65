"""Half-written files that killed conversions have left."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from eventseg.files.whole import TEMPORARY
from eventseg.recordings.truth import truth_path
from eventseg.recordings.truth_pair import BEFORE, PART

STALE_S = 60
"""Seconds without a write after which a half-written file is that of a killed conversion."""

ENDINGS = (
    rf"((\.[0-9a-f]+)?{re.escape(BEFORE)}|(\.[0-9a-f]+({re.escape(TEMPORARY)}|{re.escape(PART)}))+)"
)
"""Pattern of what the name of a file has behind it while it is being written."""


def remove_stale(path: Path) -> None:
    """Remove files that killed conversions into a file have left beside it.

    An interrupt leaves nothing; a process that is killed cannot clean up.
    """
    for left in leftovers(path):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()


def leftovers(path: Path) -> list[Path]:
    """Return the files that killed processes have left of writing a file and its truth, sorted."""
    names = "|".join(re.escape(each.name) for each in (path, truth_path(path)))
    # A recording with a truth has a temporary name from which its writer makes another one.
    left = re.compile(rf"\.*({names}){ENDINGS}")
    # Names alone: a folder may hold thousands of files, and is looked through for each of them.
    with os.scandir(path.parent) as entries:
        return sorted(path.parent / entry.name for entry in entries if left.fullmatch(entry.name))
