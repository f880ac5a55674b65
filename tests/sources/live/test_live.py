"""Live encoding: the bits of the dump whichever path, and the order of the samples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sources.live.live_fixtures import CPU, MOVING, ON_DEVICE, loaded, opened
from torch.utils.data._utils.pin_memory import pin_memory
from training_fixtures import tiny, train_tiny

from eventseg.dataset.writer import encode_dataset
from eventseg.encoding.representation import MEAN_STD, parse_representation
from eventseg.encoding.settings import Encoding
from eventseg.encoding.tensors import encode
from eventseg.errors import TrainingError
from eventseg.events import EventStream, SensorSize
from eventseg.sources.live import LiveWindow, batch_windows
from eventseg.sources.source import Source
from eventseg.training.loading import (
    EpochBatches,
    each_batch,
    encoded_where,
    load_batches,
    to_device,
)
from eventseg.training.parts import pick
from eventseg.training.passes import memory_advice
from eventseg.training.samples import Samples

# Torch thinks more workers than cores unwise; here they are to be right, not fast.
pytestmark = [
    pytest.mark.usefixtures("single_thread"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]


def assert_same_batches(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a["index"], b["index"])
        assert torch.equal(a["labels"], b["labels"])
        assert a["x"].shape == b["x"].shape
        assert a["x"].numpy().tobytes() == b["x"].numpy().tobytes()


RESIZED: dict[str, Any] = {
    **MOVING, "size__resize": "72x40", "size__crop": "80x48", "size__validation_crop": "96x24",
}  # fmt: skip

STILL: dict[str, Any] = {
    f"augmentation__{name}": value
    for name, value in {"flip": 0, "scale": [1.0, 1.0], "shift": 0, "rotation_deg": 0}.items()
}


@pytest.mark.parametrize("kind", ["events", "both"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "changed",
    [STILL, MOVING, RESIZED, {**MOVING, "augmentation__event_border": "zero"},
     {**STILL, "augmentation__flip": 0.5, "input__normalise": "raw"}],
    ids=["still", "moving", "resized", "zero border", "flip, raw"],
)  # fmt: skip
def test_the_same_sample_has_the_same_bits_on_every_path(
    source: Source, kind: str, training: bool, changed: dict[str, Any]
) -> None:
    asked = {"input__kind": kind, **changed}
    stored = loaded(source, tiny(**asked), training=training)
    assert {source.sequences[i] for batch in stored for i in batch["index"]} == {"drive", "other"}
    for path in ({"input__live": True}, ON_DEVICE):
        found = loaded(source, tiny(**asked, **path), training=training)
        assert_same_batches(found, stored)
    if kind == "events" and not training and changed is STILL:
        first = stored[0]
        for x, index in zip(first["x"], first["index"].tolist(), strict=True):
            np.testing.assert_array_equal(x, source.dataset.tensor(index, "50ms", normalise="sqrt"))


@pytest.mark.parametrize(
    ("border", "outside"), [("empty", [-1, -1, 0, 0, 0, 0]), ("zero", [0] * 6)]
)
@pytest.mark.parametrize("path", [{}, ON_DEVICE], ids=["stored", "on device"])
def test_validation_has_the_borders_of_training_around_a_smaller_picture(
    source: Source, path: dict[str, Any], border: str, outside: list[int]
) -> None:
    size = source.size
    asked = {"augmentation__event_border": border, "augmentation__image_border": "zero"}
    config = tiny(
        **STILL, **asked, **path, input__kind="both", input__normalise="evsegnet",
        augmentation__photometric=0.0, size__crop=f"{size.width}x{size.height + 8}",
        size__validation_crop=f"{size.width}x{size.height + 8}",
    )  # fmt: skip
    for training in (True, False):
        for batch in loaded(source, config, training=training):
            rim = np.concatenate([batch["x"][:, :, :4], batch["x"][:, :, -4:]], axis=2)
            assert (np.moveaxis(rim, 1, -1) == [0, *outside]).all()


@pytest.mark.parametrize(
    "changed",
    [{"drop": 0.9}, {"noise": 0.9}, {"polarity": 1.0}, {"window_jitter": 0.5},
     {"time_jitter_us": 3000}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_changed_events_have_the_same_bits_on_both_paths(
    source: Source, changed: dict[str, Any]
) -> None:
    asked = {**MOVING, **{f"augmentation__{name}": value for name, value in changed.items()}}
    by_workers = loaded(source, tiny(input__live=True, **asked))
    assert_same_batches(loaded(source, tiny(**asked, **ON_DEVICE)), by_workers)
    plain = loaded(source, tiny(**MOVING))
    assert not torch.equal(by_workers[0]["x"], plain[0]["x"])


@pytest.mark.parametrize(
    ("encode", "workers", "start"),
    [("device", 2, "fork"), ("device", 4, "fork"), ("workers", 4, "fork"), ("device", 1, "spawn")],
)
def test_workers_change_neither_order_nor_bits(
    data: Path, encode: str, workers: int, start: str
) -> None:
    asked = {**MOVING, "input__kind": "both", "augmentation__drop": 0.3, **ON_DEVICE}
    with opened(data) as source:
        alone = loaded(source, tiny(**asked), block=2)
    with opened(data) as source:
        config = tiny(**{**asked, "input__encode": encode})
        found = loaded(source, config, workers=workers, start=start, block=2)
    assert_same_batches(found, alone)


def test_workers_stay_over_epochs(data: Path) -> None:
    with opened(data) as source:
        config = tiny(**MOVING, **ON_DEVICE)
        batches = EpochBatches(pick(source, config, split="train"), batch_size=4, seed=0)
        loader = load_batches(
            Samples(source, config, 19, training=True), batches, workers=2, start="fork"
        )
        seen = []
        for epoch in (0, 1, 0):
            batches.epoch = epoch
            seen.append(
                [
                    to_device(batch, CPU, memory_format="contiguous")[0]
                    for batch in each_batch(loader)
                ]
            )
    assert all(torch.equal(a, b) for a, b in zip(seen[0], seen[2], strict=True))
    assert not torch.equal(seen[0][0], seen[1][0])


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_sample_has_the_same_bits_on_a_gpu(source: Source, workers: int) -> None:
    asked = {**RESIZED, "input__kind": "both", "augmentation__drop": 0.3, "input__live": True}
    cuda = torch.device("cuda")
    assert encoded_where(source, tiny(**asked), cuda) == "device"
    found = loaded(source, tiny(**asked), workers=workers, device=cuda)
    assert_same_batches(found, loaded(source, tiny(**asked)))


@pytest.mark.parametrize("name", ["mean-std", "voxel:3", "time-surface", "count"])
def test_representations_and_rows_batch_by_batch(name: str) -> None:
    rng = np.random.default_rng(1)
    sensor = SensorSize(20, 30)
    representation = MEAN_STD if name == "mean-std" else parse_representation(name)
    encoding = Encoding(sensor, (3, 17), representation)
    windows = []
    # Far from zero, without events, and of different lengths.
    for begin, length, count in ((7_000_000_000, 50_000, 900), (5, 10_000, 0), (0, 1_500_000, 400)):
        t = np.sort(rng.integers(begin, begin + length, count))
        x, y, p = (rng.integers(0, limit, count) for limit in (30, 20, 2))
        events = EventStream.from_arrays(
            t, x, y, p, sensor=sensor, t0_us=begin, t1_us=begin + length
        )
        windows.append(LiveWindow(events, encoding))
    made = batch_windows(windows).encoded(CPU).numpy()
    for window, tensor in zip(windows, made, strict=True):
        expected = encode(window.events, rows=(3, 17), representation=representation)
        assert tensor.tobytes() == expected.tobytes()


def test_batches_are_compact_and_begin_at_their_window(source: Source) -> None:
    window = source.live_window(3, "50ms", normalise="raw")
    batch = batch_windows([window, window])
    n = len(window.events)
    assert len(batch) == 2
    assert sum(c.element_size() for c in (batch.t, batch.x, batch.y, batch.p)) == 9
    assert batch.bounds.tolist() == [[0, n], [n, 2 * n]]
    assert 0 <= int(batch.t.min()) <= int(batch.t.max()) < 50_000
    assert batch.pixels is None


def test_loader_pins_every_column(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the loader calls where the network is on a GPU; pinning itself needs one.
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor, *_: tensor.clone())
    window = replace(
        source.live_window(3, "50ms", normalise="raw"),
        pixels=np.arange(48 * 64, dtype=np.int32).reshape(48, 64),
    )
    batch = batch_windows([window])
    pinned = pin_memory({"events": batch, "unreadable": {3: "why"}})
    assert pinned["unreadable"] == {3: "why"}
    for name in ("t", "x", "y", "p", "pixels"):
        before, after = getattr(batch, name), getattr(pinned["events"], name)
        assert torch.equal(before, after)
        assert before.data_ptr() != after.data_ptr()
    assert torch.equal(pinned["events"].encoded(CPU), batch.encoded(CPU))


def test_windows_beyond_the_recording_are_as_stored(data: Path, tmp_path: Path) -> None:
    from eventseg.windows import parse_anchor

    encode_dataset(
        [data.parent / "drive.hdf5"], tmp_path / "edge", anchor=parse_anchor("stride:20ms"),
        windows_us=(50_000,),
    )  # fmt: skip
    with opened(tmp_path / "edge") as source:
        assert source.covered("50ms").min() < 1
        assert source.covered("700ms").max() < 1
        for i in (0, len(source.ids) - 1):
            found = source.live_window(i, "50ms", normalise="raw")
            assert encode(found.events, encoding=found.encoding).tobytes() == (
                source.events(i, "50ms", normalise="raw").tobytes()
            )
            longer = source.live_window(i, "700ms", normalise="raw")
            made = batch_windows([longer]).encoded(CPU)[0].numpy()
            assert made.tobytes() == source.events(i, "700ms", normalise="raw").tobytes()


def test_training_live_is_training_from_the_dump(data: Path, tmp_path: Path) -> None:
    asked = {**MOVING, "epochs": 1, "input__kind": "both"}
    train_tiny(data, tmp_path / "stored", **asked)
    train_tiny(data, tmp_path / "device", **asked, **ON_DEVICE)
    metrics = [(tmp_path / name / "metrics.csv").read_bytes() for name in ("stored", "device")]
    assert metrics[0] == metrics[1]


def test_where_events_are_encoded(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def where(device: torch.device = CPU, **changed: object) -> str:
        return encoded_where(source, tiny(**changed), device)

    cuda = torch.device("cuda")
    assert where(cuda) == "nowhere"
    assert where(cuda, input__live=True, input__kind="gray") == "nowhere"
    assert where(input__live=True) == "workers"
    assert where(input__live=True, input__encode="device") == "device"
    assert where(cuda, input__live=True, input__encode="workers") == "workers"
    # What is not stored is read too, and what is changed.
    assert where(input__windows=["20ms"]) == "workers"
    assert where(augmentation__drop=0.1) == "workers"
    assert where(augmentation__window_jitter=0.1) == "workers"
    for name, place in (("cuda", "device"), ("cpu", "workers")):
        choice = type("Choice", (), {"name": name})
        monkeypatch.setattr("eventseg.training.loading.choose_encoder", lambda _, c=choice: c)
        assert where(cuda, input__live=True) == place
    with pytest.raises(TrainingError, match=r"set input\.live=true too"):
        tiny(input__encode="device")


def test_out_of_memory_says_what_to_do() -> None:
    with pytest.raises(TrainingError, match=r"batch_size.*amp.*size\.crop"), memory_advice():
        raise torch.OutOfMemoryError("CUDA out of memory")
