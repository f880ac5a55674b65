"""The order of an epoch: shuffled by blocks, shared by processes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventseg.errors import TrainingError
from eventseg.training.loading import POOL, EpochBatches, shuffled


@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    block=st.integers(0, 9),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_order_is_a_permutation_that_seed_and_epoch_decide(
    sizes: list[int], block: int, seed: int
) -> None:
    groups = [f"drive{k}" for k, size in enumerate(sizes) for _ in range(size)]
    indices = np.arange(len(groups)) * 3 + 1
    first, again, other = (
        shuffled(indices, seed=seed, epoch=epoch, block=block, groups=groups) for epoch in (4, 4, 5)
    )
    assert sorted(first) == indices.tolist()
    np.testing.assert_array_equal(first, again)
    if len(groups) > 20:
        assert not np.array_equal(first, other)
    if not block:
        return
    # At any time samples come from the blocks of one pool, and these are left for good.
    starts = np.cumsum([0, *sizes[:-1]])
    group = {int(i): name for i, name in zip(indices, groups, strict=True)}
    of_block = {
        int(index): (name, (k - starts[int(name[5:])]) // block)
        for k, (index, name) in enumerate(group.items())
    }
    blocks = [of_block[int(index)] for index in first]
    open_blocks: Counter[tuple[str, int]] = Counter()
    left, most = Counter(blocks), 0
    for each in blocks:
        open_blocks[each] += 1
        most = max(most, len(open_blocks))
        left[each] -= 1
        if left[each] == 0:
            del open_blocks[each]
    assert most <= POOL
    pools: list[set[Any]] = [set()]
    for each in blocks:
        if each not in pools[-1] and len(pools[-1]) == POOL:
            pools.append(set())
        assert not any(each in pool for pool in pools[:-1])
        pools[-1].add(each)


def test_blocks_mix_samples_of_different_recordings() -> None:
    groups = ["a"] * 400 + ["b"] * 400
    order = shuffled(np.arange(800), seed=1, epoch=0, block=10, groups=groups)
    of = np.array(groups)[order]
    for k in range(0, 800, 160):  # a pool
        assert set(of[k : k + 160]) == {"a", "b"}
    assert (np.diff(order) == 1).mean() < 0.1


@given(
    n=st.integers(4, 60), share=st.integers(1, 3), world=st.integers(1, 4),
    shuffle=st.booleans(), block=st.integers(0, 5),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_ranks_partition_every_batch(
    n: int, share: int, world: int, shuffle: bool, block: int
) -> None:
    asked: dict[str, Any] = {"batch_size": share * world, "seed": 3 if shuffle else None}
    whole = EpochBatches(np.arange(n), block=block, **asked)
    ranks = [
        EpochBatches(np.arange(n), rank=rank, world=world, block=block, **asked)
        for rank in range(world)
    ]
    for batches in (whole, *ranks):
        batches.epoch = 2
        assert len(list(batches)) == len(batches)
    for k, batch in enumerate(whole):
        if shuffle:  # a share of every batch
            shares = [list(rank)[k] for rank in ranks]
            assert Counter(place for one in shares for place in one) == Counter(batch)
            if len(batch) == share * world:
                assert {len(one) for one in shares} == {share}
        else:  # every batch whole, in turn
            assert list(ranks[k % world])[k // world] == batch
    assert sum(map(len, ranks)) == len(whole) * (world if shuffle else 1)
    seen = [place.index for batch in whole for place in batch]
    assert len(seen) == len(set(seen))
    if not shuffle:
        assert seen == list(range(n))


def test_batches_that_cannot_be_divided_are_refused() -> None:
    for size, cure in ((2, "multiple of 4 such as 4, or start 1 or 2"), (6, "8, or start 1 or 2")):
        refused = f"4 processes cannot share batches of {size}: batch_size counts .*{cure}"
        with pytest.raises(TrainingError, match=refused):
            EpochBatches(np.arange(9), batch_size=size, world=4, seed=0)
    with pytest.raises(TrainingError, match="2 processes cannot share 1 samples"):
        EpochBatches(np.arange(1), batch_size=8, world=2, seed=0)
