"""Copied labels: the nearest training frame of the recording, or one of another recording."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventseg.evaluation import nearest_frame as module
from eventseg.evaluation.nearest_frame import nearest_note, nearest_training
from eventseg.sources.order import recording_ranks

Samples = list[tuple[str, int, bool]]
"""Recording, time in us and whether it trains, of each sample."""


def naive_nearest(samples: Samples, training: list[int], i: int) -> set[int]:
    """Return the samples that may be copied: all at the least distance in time."""
    name, t_us, _ = samples[i]
    own = [j for j in training if samples[j][0] == name and j != i]
    least = min(abs(samples[j][1] - t_us) for j in own)
    return {j for j in own if abs(samples[j][1] - t_us) == least}


def source_of(samples: Samples) -> Any:
    ids = tuple(f"{name}_{t_us}" for name, t_us, _ in samples)
    return SimpleNamespace(ids=ids, sequences=tuple(name for name, _, _ in samples))


SAMPLES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.booleans()),
    min_size=3, max_size=30, unique_by=lambda sample: sample[:2],
).filter(lambda samples: sum(sample[2] for sample in samples) > 1)  # fmt: skip


@given(SAMPLES)
def test_the_copied_sample_is_the_nearest_of_the_recording(samples: Samples) -> None:
    source = source_of(samples)
    times = np.array([t_us for _, t_us, _ in samples], np.int64)
    training = [i for i, sample in enumerate(samples) if sample[2]]
    scored = list(range(len(samples)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "times_of", lambda _source: times)
        chosen = nearest_training(source, np.array(training), np.array(scored)).tolist()
    for i, j in zip(scored, chosen, strict=True):
        assert j in training
        assert j != i
        if any(samples[k][0] == samples[i][0] and k != i for k in training):
            nearest = naive_nearest(samples, training, i)
            assert j == min(nearest, key=lambda k: samples[k][1])
        else:
            assert samples[j][0] != samples[i][0] or samples[i][2]


def test_another_recording_is_copied_by_place() -> None:
    samples = [("a", t, True) for t in range(5)] + [("b", 9 - t, False) for t in range(9)]
    source = source_of(samples)
    scored = np.arange(5, 14)
    chosen = nearest_training(source, np.arange(5), scored)
    # The samples of b are listed from its last on: the first in time has the first of a.
    assert chosen.tolist() == [4, 4, 3, 2, 2, 2, 1, 0, 0]
    assert nearest_note(source, scored, chosen) == "labels of other recordings for 9 samples"


def test_without_times_names_give_the_order_with_numbers_as_numbers() -> None:
    samples = [("a", t, t != 10) for t in (1, 2, 9, 10, 100, 11)]
    source = source_of(samples)
    ranks = recording_ranks(source.ids, source.sequences)
    assert ranks.tolist() == [0, 1, 2, 3, 5, 4]
    training = np.array([0, 1, 4])
    assert nearest_training(source, training, np.array([2, 3, 5])).tolist() == [1, 1, 4]
    note = nearest_note(source, np.array([2, 3]), np.array([1, 1]))
    assert note == "labels of the same recording for 2 samples"


def test_a_training_sample_does_not_get_its_own_labels() -> None:
    samples = [("a", 0, True), ("b", 0, True), ("b", 7, True)]
    everything = np.arange(3)
    assert nearest_training(source_of(samples), everything, everything).tolist() == [1, 2, 1]
