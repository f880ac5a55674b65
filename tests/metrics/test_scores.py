"""Confusion matrices and all that follows, against loops, scikit-learn and torchmetrics."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import naive_metrics as naive
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics

from eventseg.errors import LabelError
from eventseg.labels.maps import CITYSCAPES_19, groups_of, merge_labels, merge_of
from eventseg.metrics.bootstrap import class_intervals, iou_interval
from eventseg.metrics.instances import (
    CITYSCAPES_MEAN_PIXELS,
    instance_counts,
    instance_scores,
)
from eventseg.metrics.scores import (
    RULE_ALL,
    RULE_PRESENT,
    bootstrap_interval,
    confusion_matrix,
    merge_confusion,
    scores,
)

CLASSES = 5


@st.composite
def pairs(draw, classes=CLASSES):
    """Draw truth with ignored pixels and a prediction; some classes are often absent."""
    size = draw(st.integers(0, 40))
    used = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes))
    truth = arrays(np.uint8, size, elements=st.sampled_from([*used, 255]))
    prediction = arrays(np.uint8, size, elements=st.integers(0, classes - 1))
    return draw(truth), draw(prediction)


def close(found, expected):
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-12, atol=0)


@given(pairs())
def test_matrix_and_class_scores_equal_loops(pair):
    truth, prediction = pair
    matrix = confusion_matrix(truth, prediction, classes=CLASSES)
    assert matrix.dtype == np.int64
    assert matrix.tolist() == naive.confusion(truth.tolist(), prediction.tolist(), CLASSES)
    found = scores(matrix)
    expected = [naive.class_scores(truth.tolist(), prediction.tolist(), k) for k in range(CLASSES)]
    close([found.iou, found.dice, found.accuracy], np.array(expected).T)
    present = [iou for iou, _, _ in expected if not math.isnan(iou)]
    assert found.classes_present == len(present)
    assert found.miou_all == pytest.approx(sum(present) / CLASSES)
    close(found.miou_present, sum(present) / len(present) if present else math.nan)
    assert found.pixels == int((truth != 255).sum())


@settings(max_examples=30)
@given(pairs())
def test_scores_equal_scikit_learn(pair):
    truth, prediction = pair
    found = scores(confusion_matrix(truth, prediction, classes=CLASSES))
    t, p = truth[truth != 255], prediction[truth != 255]
    if not t.size:
        assert math.isnan(found.pixel_accuracy)
        assert math.isnan(found.miou_present)
        assert found.miou_all == 0
        return
    jaccard = sklearn_metrics.jaccard_score
    every = {"labels": range(CLASSES), "zero_division": 0}
    assert found.pixel_accuracy == pytest.approx(sklearn_metrics.accuracy_score(t, p))
    assert found.miou_present == pytest.approx(jaccard(t, p, average="macro"))
    assert found.miou_all == pytest.approx(jaccard(t, p, average="macro", **every))
    assert found.jaccard_micro == pytest.approx(jaccard(t, p, average="micro"))
    assert found.jaccard_weighted == pytest.approx(jaccard(t, p, average="weighted"))
    close(np.nan_to_num(found.iou), jaccard(t, p, average=None, **every))
    close(np.nan_to_num(found.dice), sklearn_metrics.f1_score(t, p, average=None, **every))
    recall = sklearn_metrics.recall_score
    close(np.nan_to_num(found.accuracy), recall(t, p, average=None, **every))
    assert found.mean_accuracy == pytest.approx(
        recall(t, p, average="macro", labels=np.unique(t), zero_division=0)
    )


@pytest.mark.slow
@settings(max_examples=50)
@given(pairs())
def test_scores_equal_torchmetrics(pair):
    # Here, as it loads transformers, which takes seconds.
    from torchmetrics.functional import classification as torch_metrics

    truth, prediction = pair
    if not (truth != 255).any():
        return
    found = scores(confusion_matrix(truth, prediction, classes=CLASSES))
    given_ = torch.from_numpy(prediction.astype(int)), torch.from_numpy(truth.astype(int))
    same = {"num_classes": CLASSES, "ignore_index": 255}
    for average, score in (
        ("macro", found.miou_present),
        ("micro", found.jaccard_micro),
        ("weighted", found.jaccard_weighted),
    ):
        theirs = torch_metrics.multiclass_jaccard_index(*given_, average=average, **same)
        assert score == pytest.approx(float(theirs), abs=1e-6)
    theirs = torch_metrics.multiclass_accuracy(*given_, average="micro", **same)
    assert found.pixel_accuracy == pytest.approx(float(theirs), abs=1e-6)
    for values, score in (
        (found.iou, torch_metrics.multiclass_jaccard_index),
        (found.dice, torch_metrics.multiclass_f1_score),
        (found.accuracy, torch_metrics.multiclass_recall),
    ):
        each = score(*given_, average="none", **same).numpy()
        np.testing.assert_allclose(np.nan_to_num(values), each, atol=1e-6)


@settings(max_examples=50)
@given(pairs(classes=19))
def test_category_scores_equal_scikit_learn_on_merged_labels(pair):
    truth, prediction = pair
    matrix = confusion_matrix(truth, prediction, classes=19)
    groups = groups_of("cityscapes19", "cityscapes_categories")
    found = scores(matrix, categories=groups)
    merge = np.array(merge_of("cityscapes19", "cityscapes_categories"))
    t, p = merge[truth[truth != 255]], merge[prediction[truth != 255]]
    assert list(found.categories) == list(groups)
    if not t.size:
        assert all(map(math.isnan, (*found.categories.values(), found.category_miou)))
        return
    each = sklearn_metrics.jaccard_score(t, p, average=None, labels=range(7), zero_division=0)
    close(np.nan_to_num(list(found.categories.values())), each)
    macro = sklearn_metrics.jaccard_score(t, p, average="macro")
    assert found.category_miou == pytest.approx(macro)


def test_degenerate_inputs_by_hand():
    ignored = scores(confusion_matrix(np.full(9, 255), np.arange(9) % 3, classes=3))
    assert ignored.pixels == ignored.classes_present == 0
    assert ignored.miou_all == 0
    assert all(map(math.isnan, (*ignored.iou, ignored.miou_present, ignored.pixel_accuracy)))
    # Class 2 is only predicted, class 3 absent.
    found = scores(confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), classes=4))
    close(found.iou, (0.5, 1.0, 0.0, math.nan))
    close(found.accuracy, (0.5, 1.0, math.nan, math.nan))
    assert (found.miou_present, found.miou_all) == (0.5, 0.375)
    assert found.mean_accuracy == 0.75
    assert (found.jaccard_micro, found.jaccard_weighted) == (0.6, 0.75)


def test_matrices_of_parts_add_up_and_any_shape_of_image_goes():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 4, (2, 6, 7, 5)).astype(np.int32)
    whole = confusion_matrix(truth, prediction, classes=4)
    parts = sum(confusion_matrix(t, p, classes=4) for t, p in zip(truth, prediction, strict=True))
    np.testing.assert_array_equal(whole, parts)


def test_the_number_of_classes_may_be_a_byte():
    labels = np.arange(16, dtype=np.uint8)
    found = confusion_matrix(labels, labels[::-1], classes=labels.max() + 1)
    np.testing.assert_array_equal(found, np.eye(16)[::-1])
    assert confusion_matrix(labels, labels, classes=np.uint8(20)).shape == (20, 20)


@given(pairs(classes=19))
def test_merging_the_matrix_is_merging_the_labels(pair):
    truth, prediction = pair
    merge = merge_of("cityscapes19", "evsegnet6")
    merged = merge_confusion(confusion_matrix(truth, prediction, classes=19), merge, classes=6)
    labels = merge_labels(truth, merge), merge_labels(prediction, merge)
    np.testing.assert_array_equal(merged, confusion_matrix(*labels, classes=6))


def test_merge_drops_true_pixels_that_become_ignored_and_refuses_predicted_ones():
    matrix = np.array([[5, 2, 0], [1, 3, 0], [7, 8, 9]])
    assert merge_confusion(matrix, (0, 0, 255), classes=1).tolist() == [[11]]
    matrix[1, 2] = 4
    with pytest.raises(LabelError, match="4 pixels are predicted as classes that the merge"):
        merge_confusion(matrix, (0, 1, 255), classes=2)
    with pytest.raises(LabelError, match="merge of 2 classes does not fit a matrix of 3"):
        merge_confusion(matrix, (0, 1), classes=2)
    with pytest.raises(LabelError, match="allowed are 0 to 1 and 255"):
        merge_confusion(matrix, (0, 1, 2), classes=2)


def test_errors_inside_a_category_are_none():
    names = CITYSCAPES_19.names
    truth = np.array([names.index(n) for n in ("car", "car", "bus", "road", "sky")], np.uint8)
    seen = np.array([names.index(n) for n in ("car", "bus", "car", "sidewalk", "road")], np.uint8)
    matrix = confusion_matrix(truth, seen, classes=19)
    groups = groups_of("cityscapes19", "cityscapes_categories")
    found = scores(matrix, names=names, categories=groups)
    assert dict(zip(names, found.iou, strict=True))["car"] == pytest.approx(1 / 3)
    assert found.categories["vehicle"] == 1.0
    assert found.categories["flat"] == 0.5
    assert found.categories["sky"] == 0.0
    assert math.isnan(found.categories["human"])
    assert found.category_miou == 0.5
    with pytest.raises(LabelError, match="category b holds class 0"):
        scores(matrix, categories={"a": (0, 1), "b": (0,)})


def test_scores_tell_their_rules_as_json_and_as_lines():
    matrix = confusion_matrix(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), classes=4)
    found = scores(matrix, names=("a", "b", "c", "d"), categories={"ab": (0, 1), "cd": (2, 3)})
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["miou_present"] == told["jaccard_macro"] == 0.5
    assert told["miou_present_rule"] == RULE_PRESENT
    assert told["miou_all_rule"] == RULE_ALL
    assert (told["classes"], told["classes_present"]) == (4, 3)
    assert told["per_class"][3] == {
        "name": "d", "iou": None, "dice": None, "accuracy": None, "truth_pixels": 0,
        "predicted_pixels": 0,
    }  # fmt: skip
    assert told["categories"] == {"ab": 0.75, "cd": 0.0}
    text = "\n".join(found.lines())
    assert f"mIoU (present)      50.00  {RULE_PRESENT} (3 of 4 classes)" in text
    assert f"mIoU (all)          37.50  {RULE_ALL}" in text
    assert [line.split()[:2] for line in found.lines()[6:10]] == [
        ["a", "50.00"], ["b", "100.00"], ["c", "0.00"], ["d", "-"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([0, 1], [0, 255], "prediction holds 255 where the truth is not 255; allowed are 0 to 2"),
        ([0, 1], [0, 3], "prediction holds 3"),
        ([0, 1], [-1, 0], "prediction holds -1"),
        ([0, 3], [0, 1], "truth holds 3"),
        ([0, 1], [0, 1, 2], r"truth of shape \(2,\) and prediction of \(3,\) do not fit"),
        ([0.0, 1.0], [0, 1], "truth is float64; give integer class ids"),
        ([True, False], [0, 1], "truth is bool"),
    ],
)
def test_what_is_no_label_is_refused(truth, prediction, message):
    with pytest.raises(LabelError, match=message):
        confusion_matrix(np.array(truth), np.array(prediction), classes=3)


def test_prediction_is_free_where_the_truth_is_ignored():
    matrix = confusion_matrix(np.array([0, 255, 255]), np.array([0, 255, 77]), classes=1)
    assert matrix.tolist() == [[1]]


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((2, 3), int), np.zeros(4, int), np.zeros((2, 2)), np.array([[1, -1], [0, 1]])],
)
def test_what_is_no_matrix_is_refused(matrix):
    with pytest.raises(LabelError, match="a confusion matrix"):
        scores(matrix)


def test_numbers_of_classes_and_names_must_fit():
    with pytest.raises(LabelError, match="0 classes; allowed are 1 to 255"):
        confusion_matrix(np.zeros(1, int), np.zeros(1, int), classes=0)
    with pytest.raises(LabelError, match="1 names do not fit a matrix of 2 classes"):
        scores(np.eye(2, dtype=int), names=("a",))


def test_bootstrap_draws_whole_blocks_and_repeats_with_its_seed():
    rng = np.random.default_rng(1)
    blocks = rng.integers(0, 50, (8, 3, 3))
    found = bootstrap_interval(blocks, seed=3, repeats=200, level=0.9)
    assert found == bootstrap_interval(blocks, seed=3, repeats=200, level=0.9)
    assert found != bootstrap_interval(blocks, seed=4, repeats=200, level=0.9)
    # The same draws, each matrix summed and scored in full.
    draws = np.random.default_rng(3).multinomial(8, np.full(8, 1 / 8), size=200)
    mious = [
        scores(sum(n * block for n, block in zip(draw, blocks, strict=True))).miou_present
        for draw in draws
    ]
    close((found.low, found.high), np.quantile(mious, [0.05, 0.95]))
    assert (found.blocks, found.repeats, found.level) == (8, 200, 0.9)


def test_intervals_of_classes_are_those_of_the_draws_that_hold_them():
    rng = np.random.default_rng(2)
    blocks = rng.integers(0, 50, (6, 3, 3))
    blocks[:4, 2], blocks[:4, :, 2] = 0, 0  # in two blocks only
    found = class_intervals(blocks, seed=3, repeats=200, level=0.9)
    draws = np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=200)
    iou = np.array(
        [
            scores(sum(n * block for n, block in zip(draw, blocks, strict=True))).iou
            for draw in draws
        ]
    )
    assert np.isnan(iou[:, 2]).any()
    for k, interval in enumerate(found):
        known = iou[~np.isnan(iou[:, k]), k]
        close((interval.low, interval.high), np.quantile(known, [0.05, 0.95]))
        assert (interval.blocks, interval.repeats, interval.level) == ([6, 6, 2][k], 200, 0.9)
    blocks[4, 2], blocks[4, :, 2] = 0, 0
    assert class_intervals(blocks, seed=3)[2] is None


def test_classes_count_in_the_draws_that_hold_their_truth():
    rng = np.random.default_rng(4)
    blocks = rng.integers(1, 50, (6, 3, 3))
    blocks[:4, 2] = 0  # true in two blocks, predicted in all
    both, truth = np.diagonal(blocks, axis1=1, axis2=2), blocks.sum(2)
    either = truth + blocks.sum(1) - both
    found = iou_interval(both, either, holding=truth, seed=3, repeats=200, level=0.9)
    draws = np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=200)
    sums = [sum(n * block for n, block in zip(draw, blocks, strict=True)) for draw in draws]
    mious = [scores(total).miou_truth for total in sums]
    close((found.low, found.high), np.quantile(mious, [0.05, 0.95]))
    assert found != iou_interval(both, either, seed=3, repeats=200, level=0.9)


def test_bootstrap_leaves_empty_blocks_out_and_averages_present_classes():
    right, wrong, empty = np.diag([4, 0]), np.array([[0, 4], [0, 0]]), np.zeros((2, 2), int)
    found = bootstrap_interval(np.stack([right, empty, wrong]), seed=0, level=0.99)
    # Both blocks right: one class, 1.0. Both wrong: two classes, 0 each. So the ends are 0 and 1.
    assert (found.low, found.high, found.blocks) == (0.0, 1.0, 2)
    equal = bootstrap_interval(np.stack([right, right]), seed=0)
    assert equal.low == equal.high == 1.0


@pytest.mark.parametrize(
    ("blocks", "options", "message"),
    [
        (np.ones((1, 2, 2), int), {}, "1 block with scored pixels"),
        (np.zeros((3, 2, 2), int), {}, "0 block with scored pixels"),
        (np.ones((2, 2), int), {}, "one confusion matrix a block"),
        (np.ones((2, 2, 2), int), {"level": 1.0}, "level 1.0"),
        (np.ones((2, 2, 2), int), {"repeats": 0}, "0 repeats"),
    ],
)
def test_bootstrap_refuses(blocks, options, message):
    with pytest.raises(LabelError, match=message):
        bootstrap_interval(blocks, seed=0, **options)


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    # Blocks of two classes whose share of right pixels varies: the interval of 30 blocks must
    # hold the score of the population in about 90 of 100 worlds.
    rng = np.random.default_rng(5)
    right = np.clip(rng.normal(0.7, 0.1, (100, 30, 2)), 0, 1) * 1000
    held = 0
    for world in right.round().astype(int):
        matrices = np.zeros((30, 2, 2), np.int64)
        for k in (0, 1):
            matrices[:, k, k], matrices[:, k, 1 - k] = world[:, k], 1000 - world[:, k]
        found = bootstrap_interval(matrices, seed=1, repeats=300, level=0.9)
        held += found.low <= 0.7 / 1.3 <= found.high  # tp / (t + p - tp) of 0.7 each
    assert 78 <= held <= 98


@given(pairs(classes=3), st.data())
def test_instance_iou_equals_loops_over_pixels(pair, data):
    truth, prediction = pair
    things = data.draw(arrays(np.int32, truth.shape, elements=st.sampled_from([0, 1, 2, 26_001])))
    counts = instance_counts(truth, things, prediction, classes=3)
    # A number counts as one thing for each class, as the loops count it.
    countable = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
    columns = truth.tolist(), things.tolist(), prediction.tolist()
    expected = [naive.instance_iou(*columns, k, countable=countable[k]) for k in range(3)]
    found = instance_scores(counts, countable=countable)
    close(found.iiou, expected)
    known = [value for value in expected if not math.isnan(value)]
    close(found.mean, sum(known) / len(known) if known else math.nan)


def test_mean_instance_iou_counts_a_predicted_class_without_instances_as_cityscapes_does():
    # Cityscapes' own script gives person 40.38 %, rider, predicted though there is none, 0 %,
    # train, neither there nor predicted, nothing, and as the mean 20.19 %.
    road, person, rider = range(3)
    truth = np.full((1, 100), road, np.uint8)
    truth[0, :40] = person
    things = np.where(truth == person, 24_001, 0)
    seen = truth.copy()
    seen[0, 21:40] = rider
    seen[0, 40:52] = person
    counts = instance_counts(truth, things, seen, classes=4)
    found = instance_scores(counts, countable=(False, True, True, True))
    close(found.iiou, (math.nan, 21 / 52, 0, math.nan))
    close(found.mean, 21 / 104)
    close(instance_scores(counts).mean, 21 / 52)
    with pytest.raises(LabelError, match="2 countable classes are told of 4"):
        instance_scores(counts, countable=(False, True))


def test_instance_iou_weighs_small_things_as_large_ones():
    # A car of 8 pixels is found, one of 2 is not: IoU 0.8, iIoU 0.5.
    truth = np.zeros((1, 12), np.uint8)
    truth[0, :10] = 1
    things = np.zeros((1, 12), np.uint16)
    things[0, :8], things[0, 8:10] = 1, 2
    seen = np.zeros((1, 12), np.uint8)
    seen[0, :8] = 1
    counts = instance_counts(truth, things, seen, classes=2)
    close(scores(confusion_matrix(truth, seen, classes=2)).iou[1], 0.8)
    found = instance_scores(counts)
    close(found.iiou, (math.nan, 0.5))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == {
        "iiou": [None, 0.5], "mean": 0.5,
    }  # fmt: skip
    # With 5 false pixels the given mean size matters: 20 * 1 / (20 * 2 + 5).
    more = replace(counts, false=np.array([0, 5]))
    sizes = np.array([math.nan, 20.0])
    close(instance_scores(more, mean_pixels=sizes).iiou[1], 20 / 45)
    with pytest.raises(LabelError, match="mean sizes"):
        instance_scores(more, mean_pixels=np.array([1.0, 0.0]))


def test_instance_counts_of_images_add_up_and_bad_instances_are_refused():
    rng = np.random.default_rng(2)
    truth, seen = rng.integers(0, 3, (2, 2, 9, 9))
    things = rng.integers(0, 4, (2, 9, 9))
    one, two = (
        instance_counts(*arrays_, classes=3) for arrays_ in zip(truth, things, seen, strict=True)
    )
    # Numbers of the second image moved on, so that side by side all things stay apart.
    both = instance_counts(
        np.hstack(truth), np.hstack([things[0], np.where(things[1], things[1] + 10, 0)]),
        np.hstack(seen), classes=3,
    )  # fmt: skip
    added = one + two
    close(instance_scores(added).iiou, instance_scores(both).iiou)
    with pytest.raises(LabelError, match="instances are float64"):
        instance_counts(truth[0], things[0] * 1.0, seen[0], classes=3)
    with pytest.raises(LabelError, match="instances are int64"):
        instance_counts(truth[0], things[0, :3], seen[0], classes=3)


def test_mean_sizes_of_cityscapes_are_those_of_its_classes_with_instances():
    table = CITYSCAPES_19
    counted = {n for n, has in zip(table.names, table.instances, strict=True) if has}
    assert set(CITYSCAPES_MEAN_PIXELS) == counted
