"""Whole writes, edited texts, folder locks, digests, free space, and objects of a user's files."""

from __future__ import annotations

import codecs
import contextlib
import csv
import hashlib
import io
import json
import logging
import os
import re
import secrets
import shutil
import socket
import sys
import time
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from eventseg.errors import ExtensionError, OutputError, known_names

try:
    import fcntl
except ImportError:  # Windows has no advisory locks on folders
    fcntl = None  # type: ignore[assignment]

LOG = logging.getLogger("eventseg")

TEMPORARY = ".tmp"
"""Ending of a file that is being written."""

REREAD_BYTES = 2**22
"""Files up to this size are read again whenever their content matters."""

SAMPLED_PARTS, SAMPLE_BYTES = 32, 2**14

RETRY_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Waiting times between the tries to replace a file."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name in its folder, then rename it.

    Raises
    ------
    OutputError
        The file cannot be written; nothing is left under its name.
    """
    # Apart from other writers of the file: one that outlives a killed run, one of another machine.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(5)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        replace_file(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        # NumPy loses the system's reason for a write that is cut short.
        cut_short = error.errno is None and "requested and" in str(error)
        reason = "the disk is full or the file too large" if cut_short else error.strerror or error
        raise OutputError(f"cannot write {path}: {reason}") from error
    except BaseException:  # an interrupt, or a source that cannot be read any more
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def check_folder(path: Path) -> None:
    """Raise an OutputError where no folder can be made or written at a path; nothing is written.

    Reports come at the end of long work: this is asked before it.
    """
    there = next((place for place in (path, *path.absolute().parents) if place.exists()), path)
    if there.exists() and not there.is_dir():
        raise OutputError(f"output {path}: {there} is a file; give a folder with --out")
    if there.exists() and not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"output {path}: {there} cannot be written; give a folder with --out")


def replace_file(source: Path, target: Path) -> None:
    """Rename a file over another one, again after a while where another program holds that one.

    On Windows a virus scanner or an indexer may have a file open for a moment, and it cannot be
    replaced while it is.

    Raises
    ------
    OSError
        It cannot be replaced, after some 1.5 s of trying where permission is refused.
    """
    for wait_s in RETRY_WAITS_S:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(wait_s)
        else:
            return
    source.replace(target)


def read_text(path: Path) -> str:
    """Read a text file that a person may have edited: with any byte order mark and line ends.

    Parameters
    ----------
    path : Path
        UTF-8, with a byte order mark or without, or UTF-16 with one.

    Returns
    -------
    str
        Without the mark, and with line ends of LF.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no such text; the message names the remedy.
    """
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text ({error}); save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as :func:`read_text` does, with the same errors."""
    return tomllib.loads(read_text(path))


def read_csv(path: Path) -> dict[int, list[str]]:
    """Read the rows of a CSV file by the number of their line, from 1; blank lines are left out.

    Raises
    ------
    OSError, ValueError
        As :func:`read_text`, and a file that is no CSV.
    """
    table = csv.reader(io.StringIO(read_text(path), newline=""))
    rows: dict[int, list[str]] = {}
    try:
        for row in table:
            if any(cell.strip() for cell in row):
                rows[table.line_num] = row
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from error
    return rows


def on_disk(path: Path) -> Path:
    """Return a path as it is spelled on disk, where letters with marks may be one character or two.

    Unicode has two forms of such letters; file systems and programs that copy files choose either.
    A path that is there, or in neither form, is returned as given.
    """
    if str(path).isascii() or path.exists():
        return path
    parent = path.parent if path.parent == path else on_disk(path.parent)
    wanted = composed(path.name)
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(parent)):  # noqa: PTH208 - names only
            if composed(name) == wanted:
                return parent / name
    return path


def composed(name: str) -> str:
    """Return a name in the form in which a letter and its marks are one character (NFC)."""
    return unicodedata.normalize("NFC", name)


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


def temporary_files(root: Path) -> list[Path]:
    """Return the files that a killed run left under a temporary name, sorted."""
    found = (
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(TEMPORARY)
    )
    return sorted(path for path in found if path.is_file())


def free_bytes(path: Path) -> int:
    """Return the free space in bytes of the file system that will hold a path."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free


@contextlib.contextmanager
def locked(root: Path, *, doing: str = "encoding", shared: bool = False) -> Iterator[None]:
    """Hold a folder for one writing process, or for several that share it and exclude that one.

    The lock ends with the process and leaves no file. On a file system without locks a file beside
    the folder takes its place, which names the process that holds it; processes that share a
    folder have none there.

    Raises
    ------
    OutputError
        Another process writes into the folder.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another process is {doing} into {root}; wait for it or give another folder"
            ) from error
        except OSError as error:
            if shared:
                yield
                return
            with _lock_file(root, doing=doing, reason=error.strerror or str(error)):
                yield
        else:
            yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _lock_file(root: Path, *, doing: str, reason: str) -> Iterator[None]:
    """Hold a folder by a file beside it, where the file system has no locks."""
    path = root.resolve()
    path = path.with_name(f".{path.name}.lock")
    mine = f"{socket.gethostname()} {os.getpid()}"
    with contextlib.suppress(OSError):
        if _is_over(path.read_text(encoding="utf-8", errors="replace")):
            path.unlink()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(mine)
    except FileExistsError as error:
        raise OutputError(
            f"another process may be {doing} into {root}: {path} names its computer and number; "
            "wait for it, or remove that file if it has ended"
        ) from error
    except OSError:
        LOG.warning(
            "%s has no locks (%s): see to it that no other process is %s into %s",
            *(root.parent, reason, doing, root),
        )
        yield
        return
    LOG.warning("%s has no locks (%s): %s stands for one", root.parent, reason, path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _is_over(holder: str) -> bool:
    """Return whether the process that a lock file names ran on this computer and has ended."""
    host, _, number = holder.partition(" ")
    if host != socket.gethostname() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return int(number) == os.getpid()


def open_for_writing_elsewhere(handle: int) -> bool:
    """Return whether another process holds a file for writing, as the HDF5 library marks it.

    On a file system without locks nobody can know: the answer is no.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    return False


def marked_by_this_process(path: Path) -> bool:
    """Lock a file, made where it is missing, until the process ends; return whether it was free.

    Where the system has no locks every file is free.

    Raises
    ------
    OSError
        The file cannot be opened or made.
    """
    if fcntl is None:
        return True
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    return True  # the handle stays open, and with it the lock


EXTENSION = re.compile(r"(?P<path>.+\.py):(?P<name>[^:/\\]+)")
"""Form of the names of a user's own objects: ``FILE.py:NAME``."""


def take_byte(handle: int, place: int) -> bool | None:
    """Lock one byte of an open file; return whether it was free, None where there are no locks.

    The byte need not be there. A process may take it several times, and gives back all at once:
    by :func:`give_back_byte`, by closing any handle of the file, or by its end.
    """
    if fcntl is None:
        return None
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):  # either may say that another process holds it
        return False
    except OSError:
        return None
    return True


def give_back_byte(handle: int, place: int) -> None:
    """Unlock a byte that :func:`take_byte` has locked."""
    fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)


@dataclass(frozen=True, slots=True)
class Extension:
    """Object that a Python file of a user's own defines.

    Parameters
    ----------
    path : Path
        The file, absolute.
    name : str
        Name of the object in it.
    sha256 : str
        Digest of the file.
    value : object
    """

    path: Path
    name: str
    sha256: str
    value: Any


def is_extension(spec: str) -> bool:
    """Return whether a name has the form ``FILE.py:NAME``."""
    return EXTENSION.fullmatch(spec) is not None


def absolute_extension(spec: str) -> str:
    """Return ``FILE.py:NAME`` with the absolute path of the file; any other name as it is."""
    found = EXTENSION.fullmatch(spec)
    return spec if found is None else f"{Path(found['path']).absolute()}:{found['name']}"


def short_extension(spec: str) -> str:
    """Return ``FILE.py:NAME`` without the folder of the file; any other name as it is."""
    found = EXTENSION.fullmatch(spec)
    return spec if found is None else f"{Path(found['path']).name}:{found['name']}"


def load_extension(spec: str, *, sha256: str = "") -> Extension:
    """Run a Python file of a user's own and return the object it defines.

    The file runs once for each content. Modules beside it can be imported while it runs.

    Parameters
    ----------
    spec : str
        ``FILE.py:NAME``.
    sha256 : str
        Digest that the file must have; by default any. A file that is no longer where it was is
        then looked for in the working folder.

    Raises
    ------
    ExtensionError
        No such file or object in it, a file that fails while it runs, or one with another digest.
    """
    found = EXTENSION.fullmatch(spec)
    if found is None:
        raise ExtensionError(f"{spec!r} is no FILE.py:NAME, such as my_nets.py:Net")
    path, name = Path(found["path"]).absolute(), found["name"]
    if sha256 and not path.is_file() and Path(path.name).is_file():
        path = Path(path.name).absolute()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise ExtensionError(
            f"cannot read {path}, of which {name} is asked: {error.strerror}; give FILE.py:NAME "
            "with the path of the file"
        ) from error
    digest = hashlib.sha256(code).hexdigest()
    if sha256 and digest != sha256:
        raise ExtensionError(
            f"{path} has changed since {name} of it was used: its sha256 was {sha256[:12]}... and "
            f"is {digest[:12]}...; restore the file as it was"
        )
    module = _run(path, code, digest)
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if getattr(value, "__module__", None) == module.__name__
        ]
        raise ExtensionError(f"{path} defines no {name!r}{known_names(name, own)}")
    return Extension(path, name, digest, getattr(module, name))


def _run(path: Path, code: bytes, digest: str) -> ModuleType:
    """Return the module of a file, from its first run in this process if it had one."""
    place = hashlib.sha256(os.fsencode(path)).hexdigest()
    module_name = f"eventseg_extension_{place[:8]}_{digest[:16]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    module = ModuleType(module_name)
    module.__file__ = str(path)
    # Classes look their module up by its name while they are made.
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.parent))
    try:
        exec(compile(code, path, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ExtensionError(f"{path} fails while it is loaded: {reason}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module
