"""Mistakes of predictions and of their inputs that a score names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation.scoring.score_fixtures import nearly, truths, written
from PIL import Image
from sklearn.tree import DecisionTreeClassifier
from training_fixtures import SENSOR

import eventseg
from eventseg.labels.maps import CITYSCAPES_19
from eventseg.sources.source import open_source


def planted(root: Path, mistake: str) -> tuple[Path, dict[str, np.ndarray]]:
    data = root / ("cropped" if mistake.startswith("rows") else "streets")
    maps = truths(data)
    names = list(maps)
    good = {name: nearly(labels, seed) for seed, (name, labels) in enumerate(maps.items())}
    if mistake == "one-frame-late":
        return data, {n: good[names[max(0, k - 1)]] for k, n in enumerate(names)}
    if mistake == "one-frame-early":
        return data, {n: good[names[min(len(names) - 1, k + 1)]] for k, n in enumerate(names)}
    change = {
        "": lambda labels, _: labels,
        "ids-one-too-high": lambda labels, _: np.minimum(labels + 1, 18).astype(np.uint8),
        "ids-one-too-low": lambda labels, _: labels - np.uint8(1),
        "x-mirrored": lambda labels, _: labels[:, ::-1],
        "turned": lambda labels, _: labels[::-1, ::-1],
        "rows-not-cropped": lambda _, whole: np.asarray(
            Image.fromarray(whole).resize((64, 36), Image.Resampling.NEAREST)
        ),
        "rows-cropped-elsewhere": lambda _, whole: whole[12:],
    }[mistake]
    whole = truths(root / "streets")
    return data, {n: np.ascontiguousarray(change(good[n], whole[n])) for n in names}


@pytest.mark.parametrize(
    "mistake",
    [
        "", "one-frame-late", "one-frame-early", "ids-one-too-high", "ids-one-too-low",
        "x-mirrored", "turned", "rows-not-cropped", "rows-cropped-elsewhere",
    ],
)  # fmt: skip
def test_each_planted_mistake_of_label_maps_is_named(no_page, root, tmp_path, mistake):
    data, maps = planted(root, mistake)
    given = written(tmp_path / "given", maps)
    found = eventseg.score_predictions(
        given, data, out=tmp_path / "out", baselines=False, boundary=()
    )
    assert found.mistakes[:1] == ((mistake,) if mistake else ())
    words = (tmp_path / "out/scores.md").read_text()
    assert ("Diagnosis of given: " in words) == bool(mistake)


@pytest.fixture(scope="module")
def pixelwise(root):
    """A function that knows the test drive by heart, by channels and place of each pixel."""
    source = open_source(root / "streets")
    rows, columns = np.mgrid[: SENSOR.height, : SENSOR.width]

    def features(tensor: np.ndarray) -> np.ndarray:
        return np.stack([*tensor, rows, columns]).reshape(8, -1).T

    chosen = np.flatnonzero(np.array(source.splits) == "test")
    x = [features(source.events(int(i), "50ms", normalise="evsegnet")) for i in chosen]
    y = [source.labels(int(i)).ravel() for i in chosen]
    tree = DecisionTreeClassifier(random_state=0).fit(np.concatenate(x), np.concatenate(y))
    source.close()

    def predict(tensor: np.ndarray) -> np.ndarray:
        return tree.predict(features(tensor)).reshape(SENSOR).astype(np.uint8)

    return predict


def test_functions_are_scored_and_their_inputs_are_doubted(no_page, root, tmp_path, pixelwise):
    data = root / "streets"

    def good(sample):
        assert sample.classes == CITYSCAPES_19.names
        assert len(sample.events()) == len(sample.events("50ms"))
        return pixelwise(sample.tensor())

    def swapped(sample):
        return pixelwise(sample.tensor()[[1, 0, 4, 5, 2, 3]])

    def raw(sample):
        return pixelwise(sample.tensor(normalise="raw"))

    asked = {"window": "50ms", "boundary": ()}
    found = {
        call: eventseg.score_predictions(call, data, out=tmp_path / call.__name__, **asked)
        for call in (good, swapped, raw)
    }
    assert found[good].mistakes == ()
    assert found[swapped].mistakes == ("polarity-swapped",)
    assert found[raw].mistakes == ("normalisation-evsegnet",)
    best = found[good].rows[0].scores.miou_present
    assert best > found[swapped].rows[0].scores.miou_present + 0.05
    late = next(row for row in found[good].rows if row.name == "good, events 50 ms late")
    assert late.scores.miou_present < best
