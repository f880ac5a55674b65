"""Test files that are dealt out to processes: which stay together, and which begin."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from file_groups import FIRST, TOGETHER, group_of, in_order

ROOT = Path(__file__).resolve().parents[1]


def test_groups_are_of_files_that_exist() -> None:
    for path in (*TOGETHER, *(name for name in FIRST if "/" in name)):
        assert (ROOT / path).exists(), path
    assert {name for name in FIRST if "/" not in name} <= set(TOGETHER.values())


def test_files_below_a_folder_and_files_of_a_group_stay_together() -> None:
    assert group_of("tests/training/test_run.py::test_a[x/y::z]") == "training"
    assert group_of("tests/evaluation/scoring/test_score.py::test_a") == "evaluation"
    assert group_of("tests/test_site.py::test_a") == group_of("tests/test_doctests.py::test_b")
    assert group_of("tests/test_splits.py::TestA::test_a") == "tests/test_splits.py"


def test_order_is_of_groups_and_keeps_each_test_once() -> None:
    names = [
        "tests/test_a.py::test_1", "tests/training/test_x.py::test_1", "tests/test_b.py::test_1",
        "tests/test_b.py::test_2", "tests/test_site.py::test_1", "tests/training/test_a.py::test_1",
    ]  # fmt: skip
    ordered = in_order(cast("Any", [SimpleNamespace(nodeid=name) for name in names]))
    assert [item.nodeid for item in ordered] == [names[k] for k in (1, 5, 4, 2, 3, 0)]
