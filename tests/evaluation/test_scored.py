"""Scored samples: the same counts whoever predicts, and one merge of probabilities."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eventseg.labels.maps import merge_probabilities
from eventseg.metrics.confusion_torch import new_counts
from eventseg.prediction.scored import ScoredBatch


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    classes=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_label_maps_are_counted_as_a_loop_counts_them(
    shape: tuple[int, int], classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth, labels = rng.choice([*range(classes), 255], (2, *shape))
    expected, silent = np.zeros((classes, classes), np.int64), 0
    for true, label in zip(truth.ravel().tolist(), labels.ravel().tolist(), strict=True):
        if true != 255 and label != 255:
            expected[true, label] += 1
        silent += true != 255 and label == 255
    both = torch.from_numpy(truth), torch.from_numpy(labels)
    scored = ScoredBatch.of_labels(7, *both, classes=classes)
    np.testing.assert_array_equal(scored.confusions()[0], expected)
    assert (scored.indices, scored.silent_pixels) == ((7,), silent)
    said = labels != 255
    np.testing.assert_array_equal(scored.prediction[0].numpy()[said], labels[said])
    # A network with the same opinion, in a batch of two, has the same counts.
    logits = 5 * scored.likelihood.repeat(2, 1, 1, 1) - 3
    batch = ScoredBatch((7, 8), scored.truth.repeat(2, 1, 1), logits)
    counts = new_counts(classes, torch.device("cpu"))
    batch.add_to(counts)
    np.testing.assert_array_equal(counts.numpy(), 2 * expected)
    np.testing.assert_array_equal(batch.confusions(), [expected, expected])


@given(
    merge=st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=7),
    batch=st.sampled_from([(), (2,)]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_tensors_are_merged_as_arrays(merge: list[int], batch: tuple[int, ...], seed: int) -> None:
    values = np.random.default_rng(seed).random((*batch, len(merge), 3, 4), np.float32)
    merged = merge_probabilities(torch.from_numpy(values), merge, classes=3)
    assert merged.dtype == torch.float32
    np.testing.assert_array_equal(merged.numpy(), merge_probabilities(values, merge, classes=3))
