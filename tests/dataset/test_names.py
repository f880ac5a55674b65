"""Names and numbers of a data set that come from elsewhere: sound, or one error."""

import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from recording_fixtures import write_recording

from eventseg.dataset.check import check_dataset
from eventseg.dataset.layout import checked_name, frame_file, label_file, tensor_file
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError
from eventseg.recordings import open_recording
from eventseg_cli.main import main


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    encode_dataset([write_recording(tmp_path / "drive.hdf5", frames=4)], tmp_path / "out")
    return tmp_path / "out"


HOSTILE = [
    *("", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "C:x", "nul\0", "two\nlines", "\r"),
    *("\udce4", "\x7f", "\u2028", "x" * 241, "\u00e4" * 121),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_make_no_path(tmp_path: Path, name: str) -> None:
    for path in (
        lambda: checked_name(name),
        lambda: tensor_file(tmp_path, window=name, sample_id="a", store="npy"),
        lambda: label_file(tmp_path, labels=name, sample_id="a"),
    ):
        with pytest.raises(DatasetError, match="the name "):
            path()
    if name not in ("", ".", ".."):
        with pytest.raises(DatasetError, match="the name "):
            frame_file(tmp_path, sample_id=name)


@pytest.mark.parametrize(
    "name", ["drive 1", "2017-02-14", "stra\u00dfe", "\u8def\u30001", "a..b", "-x"]
)
def test_plain_names_are_taken(tmp_path: Path, name: str) -> None:
    assert frame_file(tmp_path, sample_id=name) == tmp_path / "frames" / f"{name}.png"


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.isprintable()])
def test_hostile_ids_are_refused_when_read(dataset: Path, name: str) -> None:
    path = dataset / "samples.csv"
    path.write_text(path.read_text().replace("drive_f000001", name))
    with pytest.raises(DatasetError, match=r"samples\.csv, line 3: the name"):
        open_dataset(dataset)
    (problem,) = check_dataset(dataset)
    assert "samples.csv, line 3" in problem


@pytest.mark.parametrize("column", [2, 3, 5])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_numbers_beyond_64_bits(dataset: Path, column: int, number: int) -> None:
    path = dataset / "samples.csv"
    lines = path.read_text().splitlines()
    fields = lines[1].split(",")
    fields[column] = str(number)
    path.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]))
    with pytest.raises(DatasetError, match=r"samples\.csv, line 2: .*64 bits"):
        open_dataset(dataset)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size_bytes", str(2**63)),
        ("t_last_us", str(-(2**70))),
        ("events", "inf"),
        ("height", str(2**40)),
        ("height", "0"),
        ("rows", "[5, 3]"),
        ("labels", "3"),
    ],
)
def test_absurd_numbers_in_a_manifest(dataset: Path, key: str, value: str) -> None:
    path = dataset / "manifest.toml"
    text, number = re.subn(rf"(?ms)^{key} = (\[.*?\]|.*?)$", f"{key} = {value}", path.read_text())
    path.write_text(text if number else f"{key} = {value}\n{text}")
    with pytest.raises(DatasetError, match=r"manifest\.toml"):
        open_dataset(dataset)


def test_names_that_are_too_long(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "short.hdf5").rename(tmp_path / ("x" * 240 + ".hdf5"))
    with pytest.raises(DatasetError, match="more than 240"):
        encode_dataset([path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links")
def test_links_out_of_a_data_set_are_refused(dataset: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.npy"
    np.save(secret, np.zeros((6, 24, 32), np.float32))
    (tensor,) = dataset.glob("tensors/50ms/drive_f000001.npy")
    tensor.unlink()
    tensor.symlink_to(secret)
    with open_dataset(dataset) as opened, pytest.raises(DatasetError, match="outside of the data"):
        opened.tensor(1)
    tensor.unlink()
    tensor.symlink_to(dataset / "tensors/50ms/drive_f000002.npy")
    with open_dataset(dataset) as opened:
        np.testing.assert_array_equal(opened.tensor(1), opened.tensor(2))
    (dataset / "frames").rename(tmp_path / "frames")
    (dataset / "frames").symlink_to(tmp_path / "frames")
    with open_dataset(dataset) as opened, pytest.raises(DatasetError, match="outside of the data"):
        opened.frame(0)


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode on other systems")
def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"M\xe4rz")
    folder.mkdir()
    path = write_recording(folder / "drive.hdf5", frames=4)
    encode_dataset([path], tmp_path / "out")
    assert check_dataset(tmp_path / "out", deep=True) == []
    with open_dataset(tmp_path / "out") as opened:
        assert opened.recording_of(0).path == path
    command = [sys.executable, "-c", "from eventseg_cli.main import main; main()", "info", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    odd = path.rename(tmp_path / os.fsdecode(b"stra\xdfe.hdf5"))
    with pytest.raises(DatasetError, match="not UTF-8; rename"):
        encode_dataset([odd], tmp_path / "other")
    result = CliRunner().invoke(main, ["encode", str(odd), "--out", str(tmp_path / "other")])
    assert result.exit_code == 1
    assert "rename" in result.output


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_both_unicode_forms_of_a_name_are_found(tmp_path: Path, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    here, there = (
        unicodedata.normalize(f, "M\u00e4rz/stra\u00dfe \u00e4.hdf5") for f in (form, other)
    )
    path = tmp_path / here
    path.parent.mkdir()
    write_recording(path, frames=4)
    with open_recording(tmp_path / there) as recording:
        assert recording.path == path
    encode_dataset([path], tmp_path / "out")
    for file in sorted((tmp_path / "out").rglob("*.*")):
        file.rename(file.with_name(unicodedata.normalize(other, file.name)))
    path.parent.rename(tmp_path / unicodedata.normalize(other, path.parent.name))
    with open_dataset(tmp_path / "out") as opened:
        assert opened.tensor(0).shape == (6, 24, 32)
        assert opened.frame(0).shape == (24, 32)
        assert opened.recording_of(0).n_events == 4_000
    assert check_dataset(tmp_path / "out", deep=True) == []
