"""How test files are dealt out to processes that run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadFileScheduling

TOGETHER = {
    "tests/evaluation": "evaluation",
    "tests/networks": "networks",
    "tests/prediction/test_export.py": "networks",
    "tests/prediction/test_loading.py": "networks",
    "tests/pseudolabel": "teachers",
    "tests/sources/leagues": "leagues",
    "tests/sources/live": "live",
    "tests/sources/own_labels": "own labels",
    "tests/training": "training",
    "tests/test_doctests.py": "pages",
    "tests/test_notebooks.py": "pages",
    "tests/test_site.py": "pages",
}
"""Folders and files whose tests share what one process makes once.

Data sets and runs on them, the first export to ONNX, and libraries of networks, which take seconds
to import.
"""

FIRST = (
    "networks", "training", "pages", "evaluation", "teachers", "tests/test_examples.py",
    "tests/demo/test_demo.py",
)  # fmt: skip
"""Groups that take long. Dealt out last, they would leave other processes idle."""


def group_of(nodeid: str) -> str:
    """Return the group of a test: that of its file or of a folder above it, or its file."""
    path = PurePosixPath(nodeid.partition("::")[0])
    return next(
        (TOGETHER[str(at)] for at in (path, *path.parents) if str(at) in TOGETHER), str(path)
    )


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return tests by their groups: those of ``FIRST``, then the others from the largest on."""
    groups: dict[str, list[pytest.Item]] = {name: [] for name in FIRST}
    for item in items:
        groups.setdefault(group_of(item.nodeid), []).append(item)
    others = sorted((name for name in groups if name not in FIRST), key=lambda n: -len(groups[n]))
    return [item for name in (*FIRST, *others) for item in groups[name]]


class GroupScheduling(LoadFileScheduling):
    """Gives a process one group after the other, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
