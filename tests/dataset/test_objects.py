"""Data sets and samples as objects: short texts, pictures, and items of a plain DataLoader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from training_fixtures import SENSOR, street_dataset

import eventseg
from eventseg.errors import DatasetError, WindowError

ROWS = (4, 40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    root: Path = tmp_path_factory.mktemp("objects")
    with eventseg.open_dataset(street_dataset(root, crop=ROWS)) as opened:
        yield opened


def test_a_sample_has_names(data):
    sample = data[2]
    assert (sample.id, sample.recording, sample.split) == (
        data.ids[2], data.samples.recording[2], data.samples.split[2],
    )  # fmt: skip
    assert sample.t_us == data.samples.t_us[2]
    assert np.array_equal(sample.frame, data.frame(2))
    assert np.array_equal(sample.tensor("50ms"), data.tensor(2, "50ms"))
    assert np.array_equal(sample.labels(), data.labels(2))
    assert len(sample.events("50ms")) == data.samples.events[2, data.windows.index("50ms")]
    assert data[-1].id == data.ids[-1]
    assert [each.id for each in data] == list(data.ids)
    for wrong in (len(data), -len(data) - 1):
        with pytest.raises(IndexError, match=f"sample {wrong} of {len(data)}"):
            data[wrong]
    for wrong in (slice(1, 3), "a", 1.0):
        for samples in (data, data.torch(window="50ms")):
            with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
                samples[wrong]
    with pytest.raises(WindowError, match="window"):
        sample.events(0)  # no length; not the first window


def test_texts_are_short_and_tables_escape(data):
    assert len(repr(data)) < 400
    assert "EventDataset(" in repr(data)
    assert len(repr(data[0])) < 200
    for thing in (data, data[0]):
        assert "<table" in thing._repr_html_()
    assert "truth" in data._repr_html_()
    assert data[0].id in data[0]._repr_html_()


def test_plot(data):
    for figure in (data.plot(0), data.plot(0, window="10ms"), data[1].plot()):
        assert len(figure.axes) >= 8
    with pytest.raises(DatasetError, match="gone"):
        gone = eventseg.open_dataset(data.path)
        entry = gone.manifest.recordings[0]
        path = entry.file_from(gone.path)
        moved = path.rename(path.with_suffix(".moved"))
        try:
            gone.plot(0)
        finally:
            moved.rename(path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_plain_loader_takes_it(data, workers):
    items = data.torch(window="50ms", labels="truth", split="train")
    assert len(repr(items)) < 200
    seen = []
    for batch in DataLoader(items, batch_size=2, num_workers=workers):
        n = len(batch["index"])
        assert batch["x"].shape == (n, 6, ROWS[1] - ROWS[0], SENSOR.width)
        assert batch["labels"].shape == (n, ROWS[1] - ROWS[0], SENSOR.width)
        assert (batch["x"].dtype, batch["labels"].dtype) == (torch.float32, torch.int64)
        for k, i in enumerate(batch["index"].tolist()):
            assert np.array_equal(batch["x"][k], data.tensor(i, "50ms"))
            assert np.array_equal(batch["labels"][k], data.labels(i)[slice(*ROWS)])
        seen += batch["index"].tolist()
    chosen = (np.array(data.samples.split) == "train") & (data.covered("50ms") >= 1)
    assert seen == np.flatnonzero(chosen).tolist()
    assert len(data.torch(window="50ms", labels=None, min_covered=0)) == len(data)
    assert "labels" not in data.torch(window="10ms", labels=None)[0]


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({}, "name one of the windows 10ms, 50ms"),
        ({"window": "50ms", "labels": "none"}, "has no label set 'none'; it has truth"),
        ({"window": "50ms", "split": "trian"}, "its splits are"),
        ({"window": "50ms", "min_covered": 2}, "has no such samples"),
    ],
)
def test_selections_that_cannot_be_had(data, asked, match):
    with pytest.raises(DatasetError, match=match):
        data.torch(**asked)
