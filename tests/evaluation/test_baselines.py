"""Baselines beside a network, equal to counts by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation.evaluation_fixtures import counted, random_network, scored_samples, soft

from eventseg.encoding import encode
from eventseg.evaluation.baselines import (
    NEAREST_FRAME,
    POSITION_PRIOR,
    TUNED_PRIOR,
    baseline_rows,
    teacher_row,
)
from eventseg.evaluation.evaluate import Protocol, evaluate
from eventseg.evaluation.late_clock import late_clock_rows
from eventseg.evaluation.position_prior import tuned_weights
from eventseg.evaluation.rows import Row
from eventseg.sources.source import open_source

pytestmark = pytest.mark.usefixtures("single_thread")


def test_baselines_equal_counts_by_hand(data: Path) -> None:
    source = open_source(data)
    majority, prior, tuned, _ = baseline_rows(
        source, protocol=Protocol(), classes=source.classes, window="50ms"
    )
    assert (prior.name, tuned.name) == (POSITION_PRIOR, TUNED_PRIOR)
    maps = [source.labels(i) for i, split in enumerate(source.splits) if split == "train"]
    counts = np.array([[(labels == k) for labels in maps] for k in range(19)]).sum(1)
    often = int(counts.sum((1, 2)).argmax())
    weighted = (counts * tuned_weights(counts)[:, None, None]).argmax(0)
    assert (weighted != counts.argmax(0)).any()
    assert majority.name == f"majority class ({source.classes.names[often]})"
    for k, i in enumerate(scored_samples(source, "50ms")):
        truth = source.labels(i)
        everywhere = np.full_like(truth, often)
        np.testing.assert_array_equal(majority.matrices[k], counted(truth, everywhere, 19))
        np.testing.assert_array_equal(prior.matrices[k], counted(truth, counts.argmax(0), 19))
        np.testing.assert_array_equal(tuned.matrices[k], counted(truth, weighted, 19))


def test_labels_of_the_nearest_training_frame_are_copied(data: Path) -> None:
    source = open_source(data)
    train = [i for i, split in enumerate(source.splits) if split == "train"]
    t_us = source.dataset.samples.t_us
    row = baseline_rows(
        source, protocol=Protocol(split="val"), classes=source.classes, window="50ms"
    )[-1]
    assert row.name == NEAREST_FRAME
    away_us = []
    for name, matrix in zip(row.ids, row.matrices, strict=True):
        i = source.ids.index(name)
        nearest = min(train, key=lambda j: abs(t_us[j] - t_us[i]))
        away_us.append(abs(t_us[nearest] - t_us[i]))
        expected = counted(source.labels(i), source.labels(nearest), 19)
        np.testing.assert_array_equal(matrix, expected)
    median_s = np.median(away_us) / 1e6
    assert row.note == (
        f"labels of the same recording for {len(row.ids)} samples, {median_s:.3g} s away at the "
        "median"
    )
    test = baseline_rows(source, protocol=Protocol(), classes=source.classes, window="50ms")[-1]
    assert test.note == f"labels of other recordings for {len(test.ids)} samples"
    first, last = train[0], train[-1]
    for matrix, name, copied in ((test.matrices[0], test.ids[0], first),
                                 (test.matrices[-1], test.ids[-1], last)):  # fmt: skip
        truth = source.labels(source.ids.index(name))
        np.testing.assert_array_equal(matrix, counted(truth, source.labels(copied), 19))


def test_late_clock_sees_the_events_of_50_ms_before_at_each_window(data: Path) -> None:
    source, network = open_source(data), random_network()
    encoding = source.encoding.normalised("evsegnet")
    indices = scored_samples(source, "50ms")[:3]

    def score(label: str, windows: tuple[str, ...], **changes: Any) -> list[Row]:
        return evaluate(network, source, windows=windows, name=label, **changes)

    parts = {"10ms": np.array(indices), "50ms": np.array(indices)}
    rows, notes = late_clock_rows(score, source, name="net", parts=parts)
    assert notes == []
    assert [(row.name, row.window) for row in rows] == [
        ("net, clock 50 ms late", "10ms"), ("net, clock 50 ms late", "50ms")
    ]  # fmt: skip
    for row in rows:
        for i in indices:
            t0_us, t1_us = source.dataset.window_of(i, row.window)
            earlier = (t0_us - 50_000, t1_us - 50_000)
            x = encode(source.dataset.events_of(i, earlier), window=earlier, encoding=encoding)
            guess = soft(network, torch.from_numpy(x)[None]).argmax(1)[0].numpy()
            matrix = row.matrices[row.ids.index(source.ids[i])]
            np.testing.assert_array_equal(matrix, counted(source.labels(i), guess, 19))
    source.close()


def test_baselines_are_scored_at_the_size_of_the_network(data: Path) -> None:
    source, protocol = open_source(data), Protocol(size=(24, 32))
    _, prior, *_ = baseline_rows(source, protocol=protocol, classes=source.classes, window="50ms")
    _, native, *_ = baseline_rows(
        source, protocol=Protocol(), classes=source.classes, window="50ms"
    )
    (row,) = evaluate(random_network(), source, windows=("50ms",), protocol=protocol)
    # Half the size: the nearest of four pixels is the one below and to the right.
    truth = source.labels(scored_samples(source, "50ms")[0])[1::2, 1::2]
    np.testing.assert_array_equal(prior.matrices.sum(2), row.matrices.sum(2))
    assert prior.matrices[0].sum() == (truth != 255).sum() < native.matrices[0].sum()


def test_teacher_is_scored_where_it_says_something(taught: Path) -> None:
    truth, teacher = open_source(taught), open_source(taught, label_set="guess")
    row = teacher_row(truth, teacher, protocol=Protocol(), classes=truth.classes, window="50ms")
    assert row.scores.pixel_accuracy == 1
    assert row.matrices[0].sum() == int(
        (truth.labels(scored_samples(truth, "50ms")[0])[:, 32:] < 255).sum()
    )
    left = [truth.labels(i) for i in scored_samples(truth, "50ms")]
    share = sum((x[:, :32] < 255).sum() for x in left) / sum((x < 255).sum() for x in left)
    assert row.note.startswith(f"{100 * share:.2f} %")
