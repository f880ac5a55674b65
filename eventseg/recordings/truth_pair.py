"""A recording and its truth written together: both are there under their names, or neither."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py

from eventseg.errors import OutputError, RecordingError
from eventseg.files.digests import digest_of
from eventseg.files.whole import replace_file
from eventseg.recordings.hdf5.disk import Disk
from eventseg.recordings.truth import TRUTH_SUFFIX, Truth, truth_path

PART = ".part"
"""Ending of a recording and of a truth file that are being written."""

BEFORE = f".before{PART}"
"""Ending of the truth file that is replaced, until the recording is replaced too."""


@contextmanager
def finished_pair(target: Path, *, mark: str = "") -> Iterator[tuple[Path, Path]]:
    """Give temporary names for a recording and its truth; rename both once all went well.

    Parameters
    ----------
    target : Path
        The recording. What is under its name and that of its truth is replaced.
    mark : str
        Ending of both temporary names before ``.part``, where several processes may write the
        same recording.

    Raises
    ------
    OutputError
        A file that cannot be written.
    """
    truth = truth_path(target)
    if target.is_dir():
        raise OutputError(f"{target} is a folder; give the name of a file")
    if above := next((folder for folder in target.parents if folder.is_file()), None):
        raise OutputError(f"cannot write {target}: {above} is a file and no folder")
    partial = tuple(path.with_name(f".{path.name}{mark}{PART}") for path in (target, truth))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A writer that was killed has left its own temporary file, with its process in the name.
        for left in target.parent.glob(f".{glob.escape(partial[0].name)}.*{PART}"):
            left.unlink()
        yield partial[0], partial[1]
        _seal(partial[1], partial[0])
        before = truth.with_name(f".{truth.name}{mark}{BEFORE}")
        _rename_together(partial, (target, truth), before=before)
    except OutputError as error:
        text = str(error)
        for temporary, final in zip(partial, (target, truth), strict=True):
            text = text.replace(str(temporary), str(final))
        raise OutputError(text) from error
    except (OSError, RuntimeError) as error:
        # HDF5 raises a RuntimeError where a file cannot be closed, as on a full disk.
        reason = " ".join(str(error).split())
        if isinstance(error, RuntimeError) and "write failed" not in reason:
            raise
        raise OutputError(
            f"cannot write {target}: {reason}; give a file in a folder that can be written"
        ) from error
    finally:
        for path in partial:
            # Where the folder itself cannot be, there is nothing to remove either.
            with suppress(OSError):
                path.unlink()


def owner_of(truth: Path) -> Path | None:
    """Return the file beside a truth file whose truth it is, by its digest, or None.

    Recordings that differ in their suffix alone have one name for their truth: the truth of
    ``drive.hdf5`` is not that of ``drive.raw``, which was converted from it.

    Raises
    ------
    RecordingError
        The file is no truth file.
    """
    with Truth(truth) as opened:
        name = glob.escape(truth.name.removesuffix(TRUTH_SUFFIX))
        for path in sorted(truth.parent.glob(f"{name}.*")):
            alike = truth_path(path) == truth and path.is_file()
            if alike and opened.recording_sha256 == digest_of(path):
                return path
    return None


def is_anothers(truth: Path, recording: Path) -> bool:
    """Return whether a truth file beside a recording is that of another one which is there too.

    False where there is no such file, or a damaged one.
    """
    try:
        with Truth(truth) as opened:
            if recording.is_file() and opened.belongs_to(recording):
                return False
        return owner_of(truth) is not None
    except RecordingError:
        return False


def _seal(truth: Path, recording: Path) -> None:
    """Write into a finished truth file of which recording it is the truth."""
    with truth.open("r+b", buffering=0) as out:
        disk = Disk(out)
        with h5py.File(disk, "r+") as file:
            file.attrs["recording_sha256"] = digest_of(recording)
        disk.check()


def _rename_together(partial: tuple[Path, ...], final: tuple[Path, ...], *, before: Path) -> None:
    """Rename a recording and its truth so that a recording never stands without its truth.

    The truth goes first. A kill before the second rename leaves no new recording; the truth beside
    an older one names the recording that it belongs to and is refused. The older truth keeps its
    name until then, and has a second one for the case that the recording cannot be renamed.
    """
    recording, truth = final
    before.unlink(missing_ok=True)
    try:
        if truth.exists():
            _add_name(truth, before)
        replace_file(partial[1], truth)
        try:
            replace_file(partial[0], recording)
        except BaseException:
            if before.exists():
                before.replace(truth)
            else:
                truth.unlink(missing_ok=True)
            raise
    finally:
        before.unlink(missing_ok=True)


def _add_name(path: Path, name: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links."""
    try:
        name.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, name)
