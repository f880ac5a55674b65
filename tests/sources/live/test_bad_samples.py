"""Samples that cannot be read: named, left out, or too many."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sources.live.live_fixtures import CPU, ON_DEVICE, loaded, opened
from training_fixtures import tiny

from eventseg.dataset import reader
from eventseg.dataset.reader import EventDataset
from eventseg.errors import DatasetError, RecordingError, TrainingError
from eventseg.events import EventStream
from eventseg.sources.source import Source
from eventseg.training.epoch_tables import read_skipped, write_skipped
from eventseg.training.loading import EpochBatches, each_batch, load_batches, to_device
from eventseg.training.parts import pick
from eventseg.training.samples import Samples
from eventseg_cli.main import main

# Torch thinks more workers than cores unwise; here they are to be right, not fast.
pytestmark = [
    pytest.mark.usefixtures("single_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]


@pytest.fixture
def damaged(data: Path, tmp_path: Path) -> tuple[Path, str]:
    """A copy of the data set in which the labels of one sample are cut short."""
    for path in data.parent.glob("*.h*5"):
        shutil.copy(path, tmp_path)
    copied = Path(shutil.copytree(data, tmp_path / "both"))
    with opened(copied) as source:
        bad = source.ids[int(pick(source, tiny(), split="train")[3])]
    image = copied / "labels/truth" / f"{bad}.png"
    image.write_bytes(image.read_bytes()[:60])
    return copied, bad


@pytest.mark.parametrize("workers", [0, 2])
def test_sample_that_cannot_be_read_is_named(damaged: tuple[Path, str], workers: int) -> None:
    path, bad = damaged
    with (
        opened(path) as source,
        pytest.raises(DatasetError, match=rf"^sample {bad}: cannot read image .*\.png") as caught,
    ):
        loaded(source, tiny(**ON_DEVICE), workers=workers)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_sample_that_cannot_be_read_is_left_out(
    damaged: tuple[Path, str], workers: int, tmp_path: Path
) -> None:
    path, bad = damaged
    with opened(path) as source:
        config = tiny(**ON_DEVICE, bad_samples="skip")
        part = pick(source, config, split="train")
        batches = EpochBatches(part, batch_size=3)
        samples = Samples(source, config, 19, training=True)
        loader = load_batches(samples, batches, workers=workers)
        skipped: dict[int, str] = {}
        sizes, seen = [], []
        for _ in range(2):
            for batch in each_batch(loader, skipped=skipped):
                x, labels = to_device(batch, CPU, memory_format="contiguous")
                assert len(x) == len(labels) == len(batch["index"])
                sizes.append(len(x))
                seen += batch["index"].tolist()
        (index,) = skipped
        assert source.ids[index] == bad
        assert "cannot read image" in skipped[index]
        assert Counter(seen) == {int(i): 2 for i in part if i != index}
        assert sizes[1] == 2
    write_skipped(tmp_path, {bad: skipped[index]})
    write_skipped(tmp_path, {bad: "again", "other": 'of "another", run'})
    assert read_skipped(tmp_path) == {bad: skipped[index], "other": 'of "another", run'}


def test_run_goes_on_without_a_sample_and_says_so(
    damaged: tuple[Path, str], tmp_path: Path
) -> None:
    path, bad = damaged
    called = [
        "train", str(path), "--network", "enet", "--encode", "live", "--epochs", "1",
        "--batch-size", "4", "--workers", "0", "--device", "cpu", "-q", "--out",
    ]  # fmt: skip
    refused = CliRunner().invoke(main, [*called, str(tmp_path / "raise")])
    assert refused.exit_code == 1
    assert f"sample {bad}: cannot read image" in refused.stderr
    # Class weights count the labels before.
    asked = [str(tmp_path / "skip"), "--bad-samples", "skip", "--set", "loss.class_weights=enet"]
    done = CliRunner().invoke(main, [*called, *asked])
    assert done.exit_code == 0, done.stderr
    assert f"went on without samples that cannot be read: 1, see {tmp_path / 'skip'}" in done.stderr
    assert list(read_skipped(tmp_path / "skip")) == [bad]


def test_recordings_are_checked_once_for_all_workers(
    damaged: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = damaged
    checked: list[str] = []
    digest = reader.digest_of
    monkeypatch.setattr(
        reader, "digest_of", lambda file: (checked.append(file.name), digest(file))[1]
    )
    (path.parent / "other.hdf5").unlink()
    with opened(path) as source:
        config = tiny(**ON_DEVICE, bad_samples="skip")
        samples = Samples(source, config, 19, training=True)
        batches = EpochBatches(pick(source, config, split="train"), batch_size=4)
        loader = load_batches(samples, batches, workers=1, start="fork")
        assert checked == ["drive.hdf5"]
        # A recording that is gone is not told before a sample of it is read.
        skipped: dict[int, str] = {}
        seen = [i for batch in each_batch(loader, skipped=skipped) for i in batch["index"].tolist()]
        assert {source.sequences[i] for i in seen} == {"drive"}
        assert {source.sequences[i] for i in skipped} == {"drive", "other"}
        load_batches(replace(samples, config=tiny()), batches, workers=1)
        assert checked == ["drive.hdf5"]


def test_recording_that_changes_under_the_reader_is_left_out(damaged: tuple[Path, str]) -> None:
    path, _ = damaged
    with opened(path) as source:
        config = tiny(**ON_DEVICE, bad_samples="skip")
        samples = Samples(source, config, 19, training=False)
        part = pick(source, config, split="train")
        loader = load_batches(samples, EpochBatches(part, batch_size=4), workers=0)
        assert len(list(each_batch(loader))) == len(loader)
        file = path.parent / "other.hdf5"
        os.truncate(file, file.stat().st_size - 1)
        skipped: dict[int, str] = {}
        list(each_batch(loader, skipped=skipped))
        changed = {i for i, why in skipped.items() if "changed since it was opened" in why}
        assert changed == {i for i in part.tolist() if source.sequences[i] == "other"}


def broken_reader(monkeypatch: pytest.MonkeyPatch, broken: set[int]) -> None:
    """Let a packet inside the windows of some samples be damaged since the recording was opened."""
    read = EventDataset.events_of

    def events_of(self: EventDataset, i: int, span_us: tuple[int, int]) -> EventStream:
        if i in broken:
            raise RecordingError(f"row {i} cannot be read")
        return read(self, i, span_us)

    monkeypatch.setattr(EventDataset, "events_of", events_of)


@pytest.mark.parametrize("path", [{"input__live": True}, ON_DEVICE], ids=["workers", "device"])
def test_batches_without_any_sample_are_passed_over(
    source: Source, monkeypatch: pytest.MonkeyPatch, path: dict[str, Any]
) -> None:
    config = tiny(bad_samples="skip", **path)
    part = pick(source, config, split="train")
    samples = Samples(source, config, 19, training=False)
    broken_reader(monkeypatch, set(part[2:4].tolist()))
    loader = load_batches(samples, EpochBatches(part, batch_size=2), workers=0)
    found = [i for batch in each_batch(loader) for i in batch["index"].tolist()]
    assert found == [*part[:2], *part[4:]]
    shared = EpochBatches(part, batch_size=4, world=2, seed=0)
    mine = [place.index for place in next(iter(shared))]
    broken_reader(monkeypatch, {mine[0]})
    loader = load_batches(samples, shared, workers=0)
    assert next(batch["index"].tolist() for batch in each_batch(loader)) == mine[1:]
    broken_reader(monkeypatch, set(mine) | {int(part[0])})
    loader = load_batches(samples, shared, workers=0)
    with pytest.raises(TrainingError, match="leave the others waiting: row"):
        list(each_batch(loader))
    with pytest.raises(RecordingError, match=rf"sample {source.ids[part[0]]}: row"):
        loaded(source, tiny(**path), training=False)


def test_more_than_half_that_cannot_be_read_is_an_error(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(bad_samples="skip", **ON_DEVICE)
    part = pick(source, config, split="train")
    half = len(part) // 2
    samples = Samples(source, config, 19, training=False)
    loader = load_batches(samples, EpochBatches(part, batch_size=2), workers=0)
    broken_reader(monkeypatch, set(part[:half].tolist()))
    assert sum(len(batch["index"]) for batch in each_batch(loader)) == len(part) - half
    broken_reader(monkeypatch, set(part.tolist()))
    with pytest.raises(TrainingError, match=rf"^{len(part)} of {len(part)} samples cannot be read"):
        list(each_batch(loader))
