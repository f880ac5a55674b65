"""The fuzzer of files keeps what ends wrongly, and repeats its damage by its seed."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from eventseg.errors import DatasetError

pytest.importorskip("resource", reason="limits of a process are POSIX")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import fuzz
from fuzz_kinds import Kind, kinds


def test_damage_follows_from_the_seed_and_changes_files() -> None:
    sound = b'name = "yard"\nvalue = 12\n' * 20

    def some(seed: int, *, text: bool) -> list[bytes]:
        chance = random.Random(seed)
        return [fuzz.damaged(sound, chance, text=text) for _ in range(200)]

    for text in (False, True):
        assert some(1, text=text) == some(1, text=text) != some(2, text=text)
        assert sum(made != sound for made in some(1, text=text)) > 190
    assert any(b"value = nan" in made for made in some(1, text=True))
    assert fuzz.damaged(b"", random.Random(3), text=True) is not None


def test_an_end_other_than_a_result_or_a_known_error_is_kept(tmp_path: Path) -> None:
    def make(folder: Path) -> Path:
        (folder / "file.bin").write_bytes(b"sound")
        return folder / "file.bin"

    def read(path: Path) -> None:
        content = path.read_bytes()
        if content == b"known":
            raise DatasetError("known")
        if content == b"loop":
            raise fuzz.HangError("more than 20 s")
        assert content != b"wrong"

    reading = fuzz.Reading(Kind("toy", make, read), tmp_path, tmp_path / "out")
    for content in (b"sound", b"known", b"wrong", b"wrong", b"loop"):
        reading.read(content)
    assert reading.counts == {"inputs": 5, "results": 1, "errors": 1, "findings": 2}
    found = {path.name: path.read_bytes() for path in (tmp_path / "out/toy").glob("*.bin")}
    assert found == {"AssertionError-unknown.bin": b"wrong", "HangError-unknown.bin": b"loop"}
    assert "more than 20 s" in (tmp_path / "out/toy/HangError-unknown.txt").read_text()


@pytest.mark.parametrize("name", ["aedat4", "classes", "text"])
def test_the_sound_file_of_a_kind_is_read(name: str, tmp_path: Path) -> None:
    kind = kinds()[name]
    assert kind.read(kind.make(tmp_path)) is not None
