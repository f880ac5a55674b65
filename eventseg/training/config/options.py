"""Short names of common settings, as keywords of `train` and options of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventseg.windows import format_duration

SHORT_NAMES = {
    "network": "network.name",
    "init": "network.init",
    "unsafe_pickle": "network.unsafe_pickle",
    "input": "input.kind",
    "fusion": "input.fusion",
    "window": "input.windows",
    "live": "input.live",
    "labels": "labels.set",
    "classes": "labels.classes",
    "split": "split.file",
    "val": "split.val",
    "fold": "split.fold",
    "hold_back": "split.hold_back",
    "learning_rate": "optimiser.learning_rate",
}
"""Path of the setting that a short name stands for; other settings go by their own path."""

PATHS = ("labels.classes", "network.init", "split.file")
"""Settings whose text may be given as a path."""


def overrides_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by path, as :func:`eventseg.load_config` takes them.

    Parameters
    ----------
    options : mapping
        Values by a key of :data:`SHORT_NAMES` or by a path such as ``optimiser.weight_decay``;
        None stands for a value that is not given. Windows may be a text such as ``10ms,50ms``, a
        number of microseconds, or a sequence of those. A table, as a mapping, replaces all
        settings of its name.
    """
    overrides = {}
    for name, value in options.items():
        if value is None:
            continue
        if name == "window":
            value = _windows(value)
        if name == "val":
            value = value.split(",") if isinstance(value, str) else list(value)
        path = name if isinstance(value, Mapping) else SHORT_NAMES.get(name, name)
        overrides[path] = str(value) if path in PATHS else value
    return overrides


def _windows(value: Any) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    values = [value] if isinstance(value, int) else value
    return [each if isinstance(each, str) else format_duration(each) for each in values]
