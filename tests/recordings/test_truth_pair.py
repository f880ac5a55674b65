"""A recording and its truth that replace an older pair, killed at every rename."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from eventseg.errors import OutputError
from eventseg.files.digests import digest_of
from eventseg.recordings import truth_pair
from eventseg.recordings.truth import truth_path
from eventseg.recordings.writers.leftovers import leftovers

STEPS = ("_add_name", "replace_file")
"""Functions that change names, of which replacing a pair calls the second one twice."""


def write_pair(target: Path, content: bytes) -> None:
    """Write bytes as a recording, and a truth of it."""
    with truth_pair.finished_pair(target) as (recording, truth):
        recording.write_bytes(content)
        with h5py.File(truth, "w") as out:
            out["of"] = content


def is_pair(target: Path, content: bytes) -> bool:
    """Return whether a recording has a content, and lies beside the truth of it."""
    with h5py.File(truth_path(target)) as truth:
        of = (truth["of"][()], truth.attrs["recording_sha256"])
        return target.read_bytes() == content and of == (content, digest_of(target))


def dying(real: Callable[..., Any], calls: list[str], *, at: int, after: bool) -> Any:
    """Return a function that ends the process before or after a call, counted over all steps."""

    def called(*arguments: Any) -> None:
        calls.append(real.__name__)
        if len(calls) == at and not after:
            os._exit(9)
        real(*arguments)
        if len(calls) == at:
            os._exit(9)

    return called


def killed(target: Path, content: bytes, *, at: int, after: bool) -> bool:
    """Write a pair in another process and return whether it was killed."""
    child = os.fork()
    if child == 0:
        calls: list[str] = []
        for name in STEPS:
            real = getattr(truth_pair, name)
            setattr(truth_pair, name, dying(real, calls, at=at, after=after))
        try:
            write_pair(target, content)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.parametrize("links", [True, False])
def test_a_kill_leaves_a_pair_or_a_truth_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refused(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    outcomes = []
    for at in (1, 2, 3):
        for after in (False, True):
            target = tmp_path / f"{at}{after}" / "drive.hdf5"
            write_pair(target, b"old")
            assert is_pair(target, b"old")
            assert killed(target, b"new", at=at, after=after)
            old, new = is_pair(target, b"old"), is_pair(target, b"new")
            outcomes.append("old" if old else "new" if new else "refused")
            if outcomes[-1] == "refused":
                assert truth_path(target).is_file()
                assert not truth_pair.is_anothers(truth_path(target), target)
            left = {path for path in target.parent.iterdir() if path.name.startswith(".")}
            assert set(leftovers(target)) <= left
            assert all(path.suffix == truth_pair.PART for path in left)
            write_pair(target, b"newer")
            assert is_pair(target, b"newer")
            assert len(list(target.parent.iterdir())) == 2
    assert outcomes == ["old", "old", "old", "refused", "refused", "new"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_kill_before_there_was_a_pair_leaves_no_recording(tmp_path: Path) -> None:
    for at, after in ((1, False), (1, True), (2, False)):
        target = tmp_path / f"{at}{after}" / "drive.hdf5"
        assert killed(target, b"new", at=at, after=after)
        assert not target.exists()
    target = tmp_path / "drive.hdf5"
    assert killed(target, b"new", at=2, after=True)
    assert is_pair(target, b"new")


def test_the_truth_kept_for_a_failure_is_known_by_its_name(tmp_path: Path) -> None:
    names = {".drive.truth.h5.before.part", ".drive.truth.h5.0a.before.part"}
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    assert {path.name for path in leftovers(tmp_path / "drive.hdf5")} == names


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(OutputError, match=r"cannot write .*: .*notes is a file and no folder"):
        write_pair(tmp_path / "notes/a/rec.hdf5", b"a")
