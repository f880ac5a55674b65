"""A damaged record of a shard is one error that says which shard to run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventseg.dataset.merge import merge_dataset
from eventseg.errors import DatasetError

SOUND = 'shard = 1\nof = 1\nkind = "dataset"\nrecordings = ["rec"]\nfolders = [""]\nparts = []\n'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("shard = 1", "shard = inf", "is no record of a shard"),
        ("of = 1", "of = nan", "is no record of a shard"),
        ("shard = 1", "shard = " + "[" * 3_000 + "]" * 3_000, "is no record of a shard"),
        ('recordings = ["rec"]', "recordings = 3", "names no recordings"),
        ('recordings = ["rec"]', "recordings = [3]", "names no recordings"),
        ('folders = [""]', "folders = []", "names no folders"),
        ('folders = [""]', 'folders = ["../x"]', "is no name of a window length"),
        ("parts = []", "parts = [{folder = 3}]", "no shard has rec"),
    ],
)
def test_a_record_that_cannot_be_is_one_error(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    record = tmp_path / "shards" / "1-of-1" / "shard.toml"
    record.parent.mkdir(parents=True)
    assert old in SOUND
    record.write_text(SOUND.replace(old, new))
    with pytest.raises(DatasetError, match=message):
        merge_dataset(tmp_path)
    assert record.exists()
