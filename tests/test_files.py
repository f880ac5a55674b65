"""Digests, indexes and locks of files on file systems of all kinds."""

import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ddd17_files import polarity, write_file

from eventseg.errors import OutputError
from eventseg.files.digests import REREAD_BYTES, digest_of, fingerprint_of
from eventseg.files.locks import locked
from eventseg.recordings import index_cache, open_recording

fcntl = pytest.importorskip("fcntl")


def a_recording(path: Path) -> Path:
    return write_file(path, [polarity([(10 * k + i, 1, 1, 1) for i in range(9)]) for k in range(9)])


def damaged(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 200
    content[at : at + 300] = bytes(300)
    return bytes(content)


def test_a_sound_file_in_place_of_a_damaged_copy_is_read_anew(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    sound = path.read_bytes()
    path.write_bytes(damaged(path))
    status = path.stat()
    with open_recording(path) as rec:
        assert rec.n_events < 81
    path.write_bytes(sound)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    with open_recording(path) as rec:
        assert rec.n_events == 81


@pytest.mark.parametrize("size", [1_000, REREAD_BYTES + 1])
def test_digests_go_by_content(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    status, before = path.stat(), (digest_of(path), fingerprint_of(path))
    other = tmp_path / "other"
    other.write_bytes(b"x" + bytes(size - 1))
    other.replace(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = digest_of(path), fingerprint_of(path)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_any_damage_of_an_index_has_it_built_again(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    open_recording(path).close()
    (index,) = index_cache.cache_folder().glob("*.npz")
    content = index.read_bytes()
    for at in range(0, len(content), 97):
        flipped = bytearray(content)
        flipped[at] ^= 0x40
        index.write_bytes(flipped)
        with open_recording(path) as rec:
            assert (rec.n_events, len(rec.events())) == (81, 81)


def test_no_home_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_recording(tmp_path / "rec.hdf5")
    monkeypatch.delenv("EVENTSEG_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with open_recording(path) as rec:
        assert rec.n_events == 81
        assert any("no home folder; set EVENTSEG_CACHE" in note for note in rec.report.notes)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode on other systems")
def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"M\xe4rz")
    folder.mkdir()
    path = a_recording(tmp_path / "rec.hdf5")
    odd = Path(shutil.copy(path, folder / os.fsdecode(b"stra\xdfe.hdf5")))
    for _ in range(2):
        with open_recording(odd) as rec:
            assert rec.n_events == 81
            assert not any("not cached" in note for note in rec.report.notes)


# Locks -----------------------------------------------------------------------------------------


def without_locks(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_folder_is_held_once(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot open .*gone: No such file .*; run again"):
        locked(tmp_path / "gone").__enter__()
    with locked(tmp_path), pytest.raises(OutputError, match="another process is encoding"):
        locked(tmp_path).__enter__()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    without_locks(monkeypatch, code)
    root = tmp_path / "out"
    root.mkdir()
    with caplog.at_level(logging.WARNING), locked(root):
        assert [path.name for path in tmp_path.iterdir() if path != root] == [".out.lock"]
    assert "has no locks" in caplog.text
    assert list(root.iterdir()) == []
    assert not (tmp_path / ".out.lock").exists()
    path = a_recording(tmp_path / "rec.hdf5")
    with open_recording(path) as rec:
        assert rec.n_events == 81


def test_who_holds_a_folder_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    root = tmp_path / "out"
    root.mkdir()
    lock = tmp_path / ".out.lock"
    for holder in ("elsewhere 12", "not a holder"):
        lock.write_text(holder)
        with pytest.raises(OutputError, match="remove that file if it has ended"):
            locked(root).__enter__()
        assert lock.read_text() == holder
    command = [sys.executable, "-c", "import os; print(os.getpid())"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    lock.write_text(f"{socket.gethostname()} {ended}")
    with locked(root):
        assert lock.read_text().endswith(f" {os.getpid()}")
    assert not lock.exists()
