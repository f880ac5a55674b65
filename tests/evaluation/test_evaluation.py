"""Confusion matrices of an evaluation, equal to counts by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation.evaluation_fixtures import counted, random_network, scored_samples, soft
from PIL import Image
from torch.nn import functional

from eventseg.errors import LabelError, TrainingError
from eventseg.evaluation.evaluate import Protocol, evaluate
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import ClassTable, load_class_table, merge_labels, merge_of
from eventseg.prediction.predictor import PUBLISHED, network_input, probabilities
from eventseg.prediction.predictor import TestTimeAugmentation as Views
from eventseg.sources.source import open_source

pytestmark = pytest.mark.usefixtures("single_thread")


def test_matrices_equal_a_loop(data: Path) -> None:
    source, network = open_source(data), random_network()
    rows = evaluate(network, source, windows=("10ms", "50ms"), batch_size=3)
    assert [row.window for row in rows] == ["10ms", "50ms"]
    for row in rows:
        indices = scored_samples(source, row.window)
        assert row.ids == tuple(source.ids[i] for i in indices)
        for i, matrix in zip(indices, row.matrices, strict=True):
            x = torch.from_numpy(source.events(i, row.window, normalise="evsegnet"))
            guess = soft(network, x[None]).argmax(1)[0].numpy()
            np.testing.assert_array_equal(matrix, counted(source.labels(i), guess, 19))
    assert not np.array_equal(rows[0].matrices.sum(0), rows[1].matrices.sum(0))


def test_probabilities_are_merged_before_the_best_is_taken(data: Path) -> None:
    source, network = open_source(data), random_network("both")
    table = load_class_table("evsegnet6")
    (row,) = evaluate(network, source, windows=("50ms",), classes=table)
    merge = merge_of(source.classes, table)
    differs = 0
    for i, matrix in zip(scored_samples(source, "50ms"), row.matrices, strict=True):
        gray = source.image(i, colour=False) * np.float32(network.inputs.scaling.top)
        x = np.concatenate([gray, source.events(i, "50ms", normalise="evsegnet")])
        single = soft(network, torch.from_numpy(x)[None])[0].numpy()
        summed = np.zeros((6, 48, 64))
        for old, new in enumerate(merge):
            if new != 255:
                summed[new] += single[old]
        truth = merge_labels(source.labels(i), merge)
        np.testing.assert_array_equal(matrix, counted(truth, summed.argmax(0), 6))
        naive = np.array(merge)[single.argmax(0)]
        differs += int((naive != summed.argmax(0)).sum())
    assert differs > 0


def test_six_passes_equal_a_loop(data: Path) -> None:
    source, network = open_source(data), random_network("both")
    i = scored_samples(source, "50ms")[0]
    x = network_input(source, i, inputs=network.inputs, window="50ms")[None]
    total = torch.zeros(1, 19, 40, 72)
    for scale in (1.0, 0.75, 1.5):
        size = (int(48 * scale), int(64 * scale))
        # The released code takes events and frame alike, with corners aligned.
        seen = functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
        for mirrored in (False, True):
            with torch.inference_mode():
                logits = network.network(seen.flip(-1) if mirrored else seen)
            assert isinstance(logits, torch.Tensor)
            logits = logits.flip(-1) if mirrored else logits
            total += functional.interpolate(
                logits, size=(40, 72), mode="bilinear", align_corners=True
            ).softmax(1)
    got = probabilities(network, x, size=(40, 72), test_time=PUBLISHED)
    torch.testing.assert_close(got, total / 6)
    torch.testing.assert_close(got.sum(1), torch.ones(1, 40, 72))
    with pytest.raises(TrainingError, match="above 0"):
        Views((1.0, -1.0))


def test_paper_protocol_scores_at_352x224(data: Path) -> None:
    source, network = open_source(data), random_network("gray")
    protocol = Protocol.named("paper")
    assert (protocol.test_time, protocol.size) == (PUBLISHED, (224, 352))
    (row,) = evaluate(
        network,
        source,
        windows=("50ms",),
        protocol=replace(protocol, test_time=Views()),
    )
    i = scored_samples(source, "50ms")[0]
    where = row.ids.index(source.ids[i])
    # The released code takes the pixel in which the corner of each lies.
    row_of_row, column = (np.arange(n) * size // n for n, size in ((224, 48), (352, 64)))
    labels = source.labels(i)[row_of_row][:, column]
    matrix = row.matrices[where]
    np.testing.assert_array_equal(matrix.sum(1), np.bincount(labels.ravel(), minlength=256)[:19])


def test_samples_that_are_not_covered_are_left_out(data: Path) -> None:
    source, network = open_source(data), random_network()
    counts = [
        len(evaluate(network, source, windows=("100ms",), protocol=protocol)[0].ids)
        for protocol in (Protocol(), Protocol(min_covered=0.0))
    ]
    assert counts == [len(scored_samples(source, "100ms")), source.splits.count("test")]
    assert counts[0] < counts[1]
    with pytest.raises(TrainingError, match="no labelled samples of split other"):
        evaluate(network, source, windows=("50ms",), protocol=Protocol(split="other"))


def test_labels_outside_the_classes_are_one_line(taught: Path) -> None:
    source = open_source(taught)
    i = scored_samples(source, "50ms")[0]
    Image.new("L", (64, 48), 77).save(taught / "labels/truth" / f"{source.ids[i]}.png")
    for workers in (0, 1):
        with pytest.raises(
            LabelError,
            match=rf"^labels of {source.ids[i]} hold 77; class table cityscapes19 has 0 road",
        ):
            evaluate(random_network(), source, windows=("50ms",), workers=workers)


def row_of(matrices: list[list[list[int]]], sequences: str) -> Row:
    table = ClassTable(("a", "b"), ((0, 0, 0), (255, 255, 255)))
    ids = tuple(f"s{i}" for i in range(len(matrices)))
    return Row("net", "50ms", ids, tuple(sequences), np.array(matrices), table)


def test_interval_needs_two_blocks_with_pixels() -> None:
    right, none = [[5, 1], [2, 9]], [[0, 0], [0, 0]]
    assert row_of([right], "x").interval() is None
    assert row_of([right, none], "xy").interval() is None
    found = row_of([right, right], "xy").interval()
    assert found is not None
    assert found.low == found.high == pytest.approx((5 / 8 + 9 / 12) / 2)
    assert np.isnan(row_of([right, none], "xy").sample_accuracy).tolist() == [False, True]
