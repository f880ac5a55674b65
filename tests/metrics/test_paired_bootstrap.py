"""The paired bootstrap: against loops over draws, its error rate, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from eventseg.errors import LabelError
from eventseg.metrics import Difference, bootstrap_interval, paired_bootstrap
from eventseg.metrics.paired_bootstrap import seeds_interval


def runs(rng, *, seeds, blocks, classes, quality=0.5, pixels=40):
    """Return matrices (S, B, K, K) of predictions of given truth, right with a chance."""
    truth = rng.integers(0, pixels, (blocks, classes))
    truth[:2, 0] = 0
    return [matrices_of(rng, truth, n, quality) for n in seeds]


def matrices_of(rng, truth, seeds, quality):
    blocks, classes = truth.shape
    matrices = np.zeros((seeds, blocks, classes, classes), np.int64)
    for s, b, k in np.ndindex(seeds, blocks, classes):
        chances = np.full(classes, (1 - quality) / (classes - 1))
        chances[k] = quality
        matrices[s, b, k] = rng.multinomial(truth[b, k], chances)
    return matrices


def slow_iou(matrix, k):
    """Return the IoU of a class from one matrix, None without true pixels."""
    size = len(matrix)
    true = sum(matrix[k][j] for j in range(size))
    predicted = sum(matrix[i][k] for i in range(size))
    return matrix[k][k] / (true + predicted - matrix[k][k]) if true else None


def slow_score(run, times, weights):
    """Return mIoU and IoU of the classes over drawn blocks and seeds, one matrix at a time."""
    classes = run.shape[-1]
    of_seed = []
    for matrices in run:
        total = sum(int(n) * block for n, block in zip(times, matrices, strict=True)).tolist()
        of_seed.append([slow_iou(total, k) for k in range(classes)])
    iou = [
        None
        if of_seed[0][k] is None
        else sum(w * values[k] for w, values in zip(weights, of_seed, strict=True)) / sum(weights)
        for k in range(classes)
    ]
    present = [value for value in iou if value is not None]
    return [sum(present) / len(present), *iou]


def slow_difference(first, second, draws, blocks):
    """Return the result from the scores of all blocks and those of each draw."""
    if first is None:
        return Difference(*[math.nan] * 7)
    d = [a - b for a, b in draws if a is not None]
    student, few = stats.t(blocks - 1), math.sqrt(blocks / (blocks - 1))
    tail = stats.norm.cdf(few * student.ppf(0.05))
    low, high = np.quantile(d, [tail, 1 - tail])
    side = min(sum(x <= 0 for x in d), sum(x >= 0 for x in d))
    q = min(1.0, 2 * (1 + side) / (len(d) + 1))
    p = max(2 * student.cdf(stats.norm.ppf(q / 2) / few), 2 / 2**blocks)
    above = sum(x > 0 for x in d) + sum(x == 0 for x in d) / 2
    better = student.cdf(stats.norm.ppf((above + 0.5) / (len(d) + 1)) / few)
    return Difference(first, second, first - second, low, high, p, better)


@pytest.mark.parametrize("seeds", [(1, 1), (3, 1), (2, 4)])
def test_paired_bootstrap_equals_loops_over_the_same_draws(seeds):
    rng = np.random.default_rng(sum(seeds))
    first, second = runs(rng, seeds=seeds, blocks=9, classes=4)
    for run in (first, second):  # a class that is never true, but predicted
        run[:, :, 3, :] = 0
    found = paired_bootstrap(first, second, seed=5, repeats=150, level=0.9)
    generator = np.random.default_rng(5)
    times = generator.multinomial(9, np.full(9, 1 / 9), size=150)
    weights = [generator.multinomial(n, np.full(n, 1 / n), size=150) for n in seeds]
    whole = [
        slow_score(run, np.ones(9, int), [1] * n)
        for run, n in zip((first, second), seeds, strict=True)
    ]
    drawn = [
        [slow_score(first, times[r], weights[0][r]), slow_score(second, times[r], weights[1][r])]
        for r in range(150)
    ]
    for place, one in enumerate([found.miou, *found.iou]):
        expected = slow_difference(
            whole[0][place],
            whole[1][place],
            [(a[place], b[place]) for a, b in drawn],
            9 if place == 0 else int((first[0].sum(2)[:, place - 1] > 0).sum()),
        )
        for name in Difference.__dataclass_fields__:
            np.testing.assert_allclose(
                getattr(one, name), getattr(expected, name), rtol=1e-9, atol=1e-12, err_msg=name
            )
    assert (found.blocks, found.repeats, found.level) == (9, 150, 0.9)
    again = paired_bootstrap(first, second, seed=5, repeats=150, level=0.9)
    assert repr(found) == repr(again)  # nan is not equal to itself


def test_equal_runs_do_not_differ():
    (run,) = runs(np.random.default_rng(0), seeds=(1,), blocks=8, classes=3)
    found = paired_bootstrap(run, run, seed=0)
    assert (found.miou.difference, found.miou.low, found.miou.high) == (0, 0, 0)
    assert found.miou.p_value == 1
    assert found.miou.better == pytest.approx(0.5)


def test_seeds_have_an_interval_around_their_mean():
    generator = np.random.default_rng(5)
    truth = generator.integers(5, 50, (12, 3))
    seeds = np.concatenate([matrices_of(generator, truth, 1, 0.6 + 0.1 * s) for s in range(3)])
    low, high = seeds_interval(seeds, seed=0)
    each = [seeds_interval(one[None], seed=0) for one in seeds]
    assert each[0][0] < low < high < each[2][1]
    # The seeds are drawn too: the interval is wider than that of any seed alone.
    assert high - low > max(b - a for a, b in each)
    with pytest.raises(LabelError, match="an interval needs two or more"):
        seeds_interval(seeds[:, :1], seed=0)


def test_swapped_runs_have_the_opposite_difference_and_the_same_p():
    rng = np.random.default_rng(1)
    first, second = runs(rng, seeds=(1, 1), blocks=9, classes=3)
    one, other = (
        paired_bootstrap(*pair, seed=2).miou for pair in ((first, second), (second, first))
    )
    assert one.difference == -other.difference != 0
    assert (one.low, one.high, one.p_value) == pytest.approx(
        (-other.high, -other.low, other.p_value)
    )


def test_least_p_is_that_of_a_test_of_signs_or_of_the_draws():
    right, wrong = np.eye(2, dtype=int) * 8 + 1, np.full((2, 2), 5)
    for blocks, repeats, least in (
        (6, 2000, 2 / 2**6),
        (400, 999, 2 * stats.t(399).cdf(stats.norm.ppf(0.001) * math.sqrt(399 / 400))),
    ):
        pair = (np.array([[matrix] * blocks]) for matrix in (right, wrong))
        found = paired_bootstrap(*pair, seed=0, repeats=repeats)
        assert found.miou.p_value == pytest.approx(least)


@pytest.mark.parametrize(("blocks", "most"), [(8, 16), (15, 18)])
def test_few_blocks_seldom_call_equal_runs_different(blocks, most):
    rng = np.random.default_rng(blocks)
    below = sum(
        paired_bootstrap(
            *worlds(rng, blocks=blocks, quality=(0.7, 0.7), shared=1), seed=i, repeats=400
        ).miou.p_value
        < 0.05
        for i in range(200)
    )
    assert 0 < below <= most  # 10 are expected


def test_class_of_few_blocks_has_no_interval():
    rng = np.random.default_rng(2)
    first, second = runs(rng, seeds=(1, 1), blocks=9, classes=3)
    for run in (first, second):
        run[:, 5:, 2, :] = 0
    found = paired_bootstrap(first, second, seed=0)
    assert not math.isnan(found.iou[2].difference)
    assert math.isnan(found.iou[2].low)
    assert math.isnan(found.iou[2].p_value)
    assert not math.isnan(found.iou[1].p_value)


def worlds(rng, *, blocks, quality, shared):
    """Return two runs whose blocks are hard for both, and of chances of their own."""
    hard = rng.normal(0, 0.1, blocks) * shared
    found = []
    for mean in quality:
        right = np.clip(mean + hard + rng.normal(0, 0.05, blocks), 0, 1)
        wrong = np.rint(1000 * (1 - right)).astype(np.int64)
        matrices = np.zeros((1, blocks, 2, 2), np.int64)
        for k in (0, 1):
            matrices[0, :, k, 1 - k], matrices[0, :, k, k] = wrong, 1000 - wrong
        found.append(matrices)
    return found


def test_p_values_of_equal_runs_are_uniform():
    # 200 pairs of runs that differ by chance only: every tenth of the p-values holds a tenth of
    # them, within the 99 % limits of the Kolmogorov-Smirnov test (1.63 / sqrt(200)).
    rng = np.random.default_rng(11)
    p = np.sort([
        paired_bootstrap(*worlds(rng, blocks=40, quality=(0.7, 0.7), shared=1), seed=i, repeats=400)
        .miou.p_value
        for i in range(200)
    ])  # fmt: skip
    steps = np.arange(201) / 200
    distance = max((steps[1:] - p).max(), (p - steps[:-1]).max())
    assert distance < 1.63 / math.sqrt(200), p
    assert 2 <= (p < 0.05).sum() <= 20


def test_intervals_cover_the_true_difference():
    rng = np.random.default_rng(12)
    expected = 0.75 / 1.25 - 0.7 / 1.3
    held = 0
    for i in range(200):
        found = paired_bootstrap(
            *worlds(rng, blocks=40, quality=(0.75, 0.7), shared=0.3), seed=i, repeats=400
        ).miou
        held += found.low <= expected <= found.high
    assert 178 <= held <= 198


def test_paired_interval_is_narrower_than_two_of_their_own():
    rng = np.random.default_rng(13)
    first, second = worlds(rng, blocks=30, quality=(0.75, 0.7), shared=1)
    paired = paired_bootstrap(first, second, seed=0).miou
    alone = [bootstrap_interval(run[0], seed=s) for s, run in enumerate((first, second))]
    unpaired = math.hypot(*(one.high - one.low for one in alone))
    assert paired.high - paired.low < 0.6 * unpaired
    assert paired.p_value < 0.05


ONES = np.ones((1, 7, 2, 2), int)


@pytest.mark.parametrize(
    ("first", "second", "options", "message"),
    [
        (ONES[0], ONES[0], {}, r"\(S, B, K, K\), not \(7, 2, 2\)"),
        (ONES[:0], ONES, {}, r"\(S, B, K, K\), not \(0, 7, 2, 2\)"),
        (ONES, ONES[:, :2], {}, "do not fit"),
        (ONES, np.ones((1, 7, 4, 4), int), {}, "do not fit"),
        (ONES, 2 * ONES, {}, "true pixels of the blocks differ"),
        (0 * ONES, 0 * ONES, {}, "0 blocks with scored pixels"),
        (ONES[:, :5], ONES[:, :5], {}, "5 blocks with scored pixels"),
        (ONES, ONES, {"level": 1.0}, "level 1.0"),
        (ONES, ONES, {"repeats": 0}, "0 repeats"),
    ],
)
def test_paired_bootstrap_refuses(first, second, options, message):
    with pytest.raises(LabelError, match=message):
        paired_bootstrap(first, second, seed=0, **options)
