"""Blocks of the bootstrap: whole recordings, seconds, or samples that follow each other."""

from __future__ import annotations

import numpy as np
import pytest

from eventseg.evaluation.blocks import blocks_of

SECOND = 1_000_000


def names(blocks, ids):
    return [[ids[i] for i in block] for block in blocks.members]


def test_blocks_of_few_recordings_are_stretches_of_time():
    # 200 s and 45 s at two samples a second, with 30 s of the first missing.
    first = np.array([t for t in range(0, 400) if not 100 <= t < 160]) * SECOND // 2 + 7
    second = np.arange(90) * SECOND // 2 + 10**12
    times_us = np.concatenate([first, second])
    sequences = ["b"] * len(first) + ["a"] * len(second)
    ids = [f"{s}{i}" for i, s in enumerate(sequences)]
    blocks = blocks_of(sequences, ids=ids, times_us=times_us)
    assert blocks.unit == "blocks of 10 s"
    assert str(blocks) == "22 blocks of 10 s of 2 recordings"
    assert blocks.scope == "interval speaks for these 2 recordings only"
    assert sorted(i for block in blocks.members for i in block) == list(range(len(ids)))
    for block in blocks.members:
        assert len({sequences[i] for i in block}) == 1
        start = first[0] if sequences[block[0]] == "b" else second[0]
        assert len({(times_us[i] - start) // (10 * SECOND) for i in block}) == 1


@pytest.mark.parametrize(
    ("duration_s", "length_s", "count"), [(600, 10, 60), (60, 5, 12), (20, 2, 10), (4, 1, 4)]
)
def test_blocks_of_a_short_recording_are_shorter(duration_s, length_s, count):
    times_us = np.arange(duration_s * 4) * SECOND // 4
    ids = [f"{i}" for i in range(len(times_us))]
    blocks = blocks_of(["drive"] * len(ids), ids=ids, times_us=times_us)
    assert str(blocks) == f"{count} blocks of {length_s} s of the recording drive"
    assert blocks.scope == "interval speaks for the recording drive only"


def test_blocks_of_several_recordings_are_the_recordings():
    sequences = [f"drive{i % 6}" for i in range(40)]
    ids = [f"s{i}" for i in range(40)]
    for times_us in (None, np.arange(40)):
        blocks = blocks_of(sequences, ids=ids, times_us=times_us)
        assert (str(blocks), blocks.scope) == ("6 whole recordings", "")
        assert [sorted({sequences[i] for i in b}) for b in blocks.members] == [
            [f"drive{k}"] for k in range(6)
        ]


def test_samples_without_times_are_ordered_by_the_numbers_in_their_names():
    ids = [f"frame{i}" for i in range(250)] + [f"x{i}" for i in range(1750)]
    sequences = ["a"] * 250 + ["b"] * 1750
    shuffled = np.random.default_rng(0).permutation(2000)
    blocks = blocks_of([sequences[i] for i in shuffled], ids=[ids[i] for i in shuffled])
    assert blocks.unit == "blocks of up to 100 consecutive samples"
    for block in blocks.members:
        places = [int(shuffled[i]) for i in block]
        assert len(block) <= 100
        assert len({sequences[i] for i in places}) == 1
        assert places == list(range(places[0], places[0] + len(places)))
    assert str(blocks_of(["a"] * 12, ids=list("abcdefghijkl"))) == "12 samples of the recording a"


@pytest.mark.parametrize("known", [True, False])
def test_order_of_samples_does_not_matter(known):
    rng = np.random.default_rng(3)
    ids = [f"f{i}" for i in range(60)]
    sequences = [f"r{i % 3}" for i in range(60)]
    times_us = rng.integers(0, 90 * SECOND, 60)
    order = rng.permutation(60)
    blocks = blocks_of(sequences, ids=ids, times_us=times_us if known else None)
    again = blocks_of(
        [sequences[i] for i in order],
        ids=[ids[i] for i in order],
        times_us=times_us[order] if known else None,
    )
    shuffled = [ids[i] for i in order]
    assert [sorted(block) for block in names(blocks, ids)] == [
        sorted(block) for block in names(again, shuffled)
    ]
