"""Samples of a training: which of them are read, and what they are made of."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from training.run_fixtures import same_weights, tiny, train_tiny

from eventseg.dataset.manifest import Manifest
from eventseg.errors import TrainingError
from eventseg.labels.maps import load_class_table, merge_labels, merge_of
from eventseg.networks import load_network
from eventseg.sources.source import open_source
from eventseg.training import trainer
from eventseg.training.loading import EpochBatches, load_batches
from eventseg.training.parts import pick
from eventseg.training.samples import EpochSample, Samples, draw_window

pytestmark = pytest.mark.usefixtures("single_thread")


@dataclass
class Spy:
    """Note every sample that is read of a source."""

    source: Any
    read: set[int] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.source, name)
        if name not in ("labels", "events", "image", "confidence"):
            return value

        def noted(i: int, *args: Any, **kwargs: Any) -> Any:
            self.read.add(i)
            return value(i, *args, **kwargs)

        return noted


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(("protocol", "allowed"), [("clean", "val"), ("paper", "test")])
def test_no_sample_is_read_that_the_protocol_forbids(
    data: Path, tmp_path: Path, protocol: str, allowed: str
) -> None:
    spy = Spy(open_source(data))
    config = tiny(
        protocol=protocol, loss__class_weights="median_frequency", epochs=1, input__kind="both"
    )
    trainer.train(spy, tmp_path / "out", config=config)
    assert {spy.splits[i] for i in spy.read} == {"train", allowed}
    assert "gap" in spy.splits
    assert "val" in spy.splits


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({"input__kind": "gray"}, 1),
        ({"input__kind": "rgb"}, 3),
        ({"input__kind": "both"}, 7),
        ({"input__kind": "both", "input__fusion": "late"}, 7),
    ],
)
def test_inputs(data: Path, tmp_path: Path, settings: dict[str, Any], channels: int) -> None:
    if settings["input__kind"] == "rgb":
        settings = {**settings, "input__scaling.mean": [0.5] * 3, "input__scaling.std": [0.25] * 3}
    trained = train_tiny(data, tmp_path / "out", epochs=1, **settings)
    network = load_network(tmp_path / "out/best.pt")
    assert network.inputs.channels == network.blueprint.in_channels == channels
    assert np.isfinite(trained.best.val_loss)


def test_several_windows_are_drawn_and_take_turns_in_validation(data: Path) -> None:
    source = open_source(data)
    config = tiny(input__windows=["10ms", "50ms"], augmentation__flip=0)
    config = replace(config, augmentation=type(config.augmentation)())
    samples = Samples(source, config, 19, training=True)
    seen = set()
    for index in pick(source, config, split="train").tolist():
        window = draw_window(
            config.input.windows, training=True, seed=config.seed, epoch=3, index=index
        )
        seen.add(window)
        expected = source.events(index, window, normalise="sqrt")
        np.testing.assert_array_equal(samples[EpochSample(3, index)]["x"].numpy(), expected)
    assert seen == {"10ms", "50ms"}
    validation = Samples(source, config, 19, training=False)
    for index, window in enumerate(("10ms", "50ms", "10ms")):
        expected = source.events(index, window, normalise="sqrt")
        np.testing.assert_array_equal(validation[EpochSample(3, index)]["x"].numpy(), expected)


def test_live_encoding_equals_the_dump_to_the_bit(data: Path) -> None:
    source = open_source(data)
    dumped = Samples(source, tiny(), 19, training=True)
    live = Samples(source, tiny(input__live=True), 19, training=True)
    for index in (1, 5):
        one, other = dumped[EpochSample(0, index)], live[EpochSample(0, index)]
        assert torch.equal(one["x"], other["x"])
        assert torch.equal(one["labels"], other["labels"])
    source.close()


def test_events_are_augmented_before_they_are_encoded(data: Path) -> None:
    source = open_source(data)
    plain = replace(tiny(), augmentation=type(tiny().augmentation)())
    before = Samples(source, plain, 19, training=True)[EpochSample(0, 5)]["x"]
    for change in (
        {"drop": 0.9}, {"noise": 0.9}, {"polarity": 1.0}, {"window_jitter": 0.5},
    ):  # fmt: skip
        config = replace(plain, augmentation=replace(plain.augmentation, **change))
        samples = Samples(source, config, 19, training=True)
        first = samples[EpochSample(0, 5)]["x"]
        assert not torch.equal(first, before), change
        assert torch.equal(first, samples[EpochSample(0, 5)]["x"])
        whole = Samples(source, config, 19, training=False)[EpochSample(0, 5)]["x"]
        assert torch.equal(whole, before)
        if "polarity" in change:
            assert torch.equal(first[0], before[1])
    source.close()


@pytest.mark.usefixtures("blind")
def test_labels_are_merged(data: Path, tmp_path: Path) -> None:
    train_tiny(data, tmp_path / "out", epochs=1, labels__classes="evsegnet6")
    table = load_class_table("evsegnet6")
    assert load_network(tmp_path / "out/best.pt").classes.names == table.names
    source = open_source(data)
    merge = merge_of(source.classes, table)
    config = tiny(labels__classes="evsegnet6")
    got = Samples(source, config, 6, training=False, merge=merge)[EpochSample(0, 2)][
        "labels"
    ].numpy()
    np.testing.assert_array_equal(got, merge_labels(source.labels(2), merge))


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("workers", [0, 1])
def test_labels_outside_the_classes_are_one_line(
    copied: Path, tmp_path: Path, workers: int
) -> None:
    source = open_source(copied)
    for i in pick(source, tiny(), split="train").tolist():
        Image.new("L", (64, 48), 77).save(copied / "labels/truth" / f"{source.ids[i]}.png")
    with pytest.raises(
        TrainingError, match=r"^labels of drive_\S+ hold 77; class table cityscapes19 has 0 "
    ):
        train_tiny(copied, tmp_path / "out", workers=workers)


@pytest.mark.usefixtures("blind")
def test_labels_that_are_all_ignored_teach_nothing(copied: Path, tmp_path: Path) -> None:
    for path in (copied / "labels/truth").glob("*.png"):
        Image.new("L", (64, 48), 255).save(path)
    with pytest.raises(TrainingError, match="'truth' has no labelled pixel"):
        train_tiny(copied, tmp_path / "out")
    assert not (tmp_path / "out/best.pt").exists()


def test_parts_that_are_empty_are_named(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none of the .* split train .* 5s .*shorter windows"):
        train_tiny(copied, tmp_path / "out", input__windows=["5s"])
    assert not (tmp_path / "out").exists()
    table = copied / "samples.csv"
    assert table.is_file()
    table.write_text(table.read_text().replace(",val,", ",gap,"))
    cures = r"\(--hold-back recordings or --val NAME\)"
    with pytest.raises(
        TrainingError, match=rf"no samples of split val .*{cures}.* set validation_share"
    ):
        train_tiny(copied, tmp_path / "out")
    source = open_source(copied)
    config = tiny(validation_share=0.25)
    train, val = (set(pick(source, config, split=name)) for name in ("train", "val"))
    assert not train & val
    assert {source.splits[i] for i in train | val} == {"train"}
    # As published nothing is held back, and a share of the training part is a share of it all.
    paper = pick(source, tiny(validation_share=0.25, protocol="paper"), split="train")
    assert len(val) == round(len(paper) / 4)
    assert max(train) < min(set(paper) - train - val) < min(val)  # with a gap between them
    assert set(paper) > train | val
    assert len(pick(source, tiny(fraction=0.5), split="train")) == round(len(paper) / 2)


def test_samples_without_labels_are_left_out(data: Path, tmp_path: Path) -> None:
    from recording_fixtures import write_recording

    from eventseg.dataset.writer import encode_dataset
    from eventseg.events import SensorSize
    from eventseg.windows import parse_anchor

    plain = write_recording(tmp_path / "plain.hdf5", sensor=SensorSize(48, 64))
    encode_dataset(
        [data.parent / "drive.hdf5", plain], tmp_path / "out", anchor=parse_anchor("stride:20ms"),
        store="none",
    )  # fmt: skip
    source = open_source(tmp_path / "out")
    picked = pick(source, tiny(), split="train")
    assert 0 < len(picked) < source.splits.count("train")
    for i in picked.tolist():
        assert source.sequences[i] == "drive"
        assert source.labels(i).shape == (48, 64)


@pytest.mark.usefixtures("blind")
def test_confidence_weighs(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no confidence for the label set 'truth'"):
        train_tiny(copied, tmp_path / "none", loss__weigh_by_confidence=True)
    source = open_source(copied)
    manifest = Manifest.read(copied / "manifest.toml")
    replace(manifest, labels={**manifest.labels, "guess": source.classes}).write(
        copied / "manifest.toml"
    )
    for name in ("labels/guess", "confidence/guess"):
        (copied / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for path in (copied / "labels/truth").iterdir():
        shutil.copy(path, copied / "labels/guess")
        sure = generator.integers(0, 256, (48, 64), dtype=np.uint8)
        Image.fromarray(sure).save(copied / "confidence/guess" / path.name)
    config = tiny(labels__set="guess", loss__weigh_by_confidence=True, augmentation__rotation_deg=0)
    guess = open_source(copied, label_set="guess")
    sample = Samples(guess, config, 19, training=True)[EpochSample(1, 4)]
    labels, sure = sample["labels"], sample["confidence"]
    assert sure.shape == labels.shape
    assert "confidence" not in Samples(guess, config, 19, training=False)[EpochSample(1, 4)]
    weighed = train_tiny(copied, tmp_path / "yes", label_set="guess", config=config)
    plain = train_tiny(
        copied, tmp_path / "no", label_set="guess", labels__set="guess",
        augmentation__rotation_deg=0,
    )  # fmt: skip
    assert weighed.history[0].train_loss != plain.history[0].train_loss


@pytest.mark.usefixtures("blind")
def test_workers_change_nothing(data: Path, tmp_path: Path) -> None:
    # The pass for batch norms ends before its loader does, which then serves the next epoch.
    settings: dict[str, Any] = {"epochs": 3, "input__live": True, "batch_norm_batches": 1}
    train_tiny(data, tmp_path / "none", **settings)
    train_tiny(data, tmp_path / "one", workers=1, **settings)
    assert (tmp_path / "none/metrics.csv").read_bytes() == (
        tmp_path / "one/metrics.csv"
    ).read_bytes()
    assert same_weights(tmp_path / "none/last.pt", tmp_path / "one/last.pt")


def test_loading_draws_nothing_from_torch(data: Path) -> None:
    # A worker's loader stays over epochs: what its first epoch drew a resumed run would not.
    source = open_source(data)
    batches = EpochBatches(np.arange(4), batch_size=2, seed=0)
    loader = load_batches(Samples(source, tiny(), 19, training=True), batches, workers=0)
    torch.manual_seed(3)
    assert len(list(loader)) == 2
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
