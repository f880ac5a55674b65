"""Description of a folder of converted recordings, complete or on its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eventseg.dataset.conversion.convert_into import ConversionSummary
from eventseg.dataset.conversion.records import (
    MANIFEST,
    PARTIAL,
    SETTINGS,
    read_recordings,
    read_settings,
)
from eventseg.errors import OutputError


def describe_conversion(path: str | Path) -> tuple[dict[str, Any], list[str]]:
    """Return the contents of a folder of converted recordings for JSON, and as lines for people.

    Raises
    ------
    OutputError
        Its lists cannot be read.
    """
    root = Path(path)
    found = read_settings(root)
    if found is None:
        raise OutputError(
            f"{root / PARTIAL} has no {SETTINGS}: the conversion was stopped before it began; run "
            "the same convert again"
        )
    settings, names = found
    recordings = read_recordings(root)
    done = tuple(recordings[name] for name in sorted(recordings))
    summary = ConversionSummary(root, str(settings["format"]), done, len(done))
    complete = (root / MANIFEST).is_file() and not (root / PARTIAL).is_dir()
    left = len(names - recordings.keys())
    lines = summary.lines()
    if not complete:
        lines.append(f"  {left:,} more are not converted yet: run the same convert again to go on")
    described = summary.to_dict()
    del described["shard"], described["converted"]
    return {**described, "settings": settings, "complete": complete, "missing": left}, lines
