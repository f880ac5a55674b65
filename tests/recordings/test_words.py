"""Kernels of EVT2, DAT and AEDAT 4 against their twins in loops, in blocks of any length."""

from __future__ import annotations

import naive_words
import numpy as np
import pytest

from eventseg.recordings.aedat4.contents import unpack_events
from eventseg.recordings.event_columns import empty_columns
from eventseg.recordings.prophesee import dat, evt2, state

HEIGHT, WIDTH = 40, 60

COUNTED = {
    "found": state.FOUND,
    "outside": state.OUTSIDE,
    "no_time": state.NO_TIME,
    "times_damaged": state.TIMES_DAMAGED,
    "times_back": state.TIMES_BACK,
    "times_jumped": state.TIMES_JUMPED,
    "wraps": state.WRAPS,
    "other": state.OTHER,
    "unknown": state.UNKNOWN,
    "triggers": state.TRIGGERS,
}


def decoded(decode, words: np.ndarray, *, cuts: list[int]):
    """Return what a kernel finds in blocks that end at the cuts, as the twin gives it."""
    before, counts = state.new_state(), np.zeros(state.COUNTS, np.int64)
    triggers = np.zeros((len(words), 3), np.int64)
    events = []
    for first, stop in zip([0, *cuts], [*cuts, len(words)], strict=True):
        room = empty_columns(stop - first)
        n = decode(
            words[first:], stop - first, before, HEIGHT, WIDTH,
            room.t, room.x, room.y, room.p, triggers, counts,
        )  # fmt: skip
        events += zip(*(getattr(room, name)[:n].tolist() for name in "txyp"), strict=True)
    return events, triggers[: counts[state.TRIGGERS]].tolist(), counts, before


def assert_equal(found, expected: naive_words.Decoded) -> None:
    events, triggers, counts, after = found
    assert events == expected.events
    assert triggers == [list(trigger) for trigger in expected.triggers]
    assert {name: int(counts[place]) for name, place in COUNTED.items()} == {
        name: expected.counts.get(name, 0) for name in COUNTED
    }
    assert after[state.HIGH] == expected.high
    _, x, y, _ = zip(*events, strict=True) if events else ((0,),) * 4
    assert (counts[state.X_MAX], counts[state.Y_MAX]) == (max(x), max(y))


def evt2_words(rng: np.random.Generator, n: int, *, damage: float) -> np.ndarray:
    """Events with a time now and then, some places beyond the sensor, and words of other kinds."""
    margin = int(damage > 0) * 2
    x, y = rng.integers(0, WIDTH + margin, n), rng.integers(0, HEIGHT + margin, n)
    words = rng.integers(0, 2, n) << 28 | rng.integers(0, 64, n) << 22 | x << 11 | y
    times = rng.random(n) < 0.02
    high = rng.integers(0, 2**28) + np.cumsum(times)
    words[times] = 8 << 28 | (high[times] & 2**28 - 1)
    odd = rng.random(n) < damage
    words[odd] = rng.integers(0, 2**32, int(odd.sum()))
    return words.astype(np.uint32)


@pytest.mark.parametrize("damage", [0.0, 0.002, 0.3])
def test_evt2_equals_its_twin(damage: float) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        words = evt2_words(rng, 3 * evt2.TILE, damage=damage)
        expected = naive_words.evt2(words.tolist(), height=HEIGHT, width=WIDTH)
        for cuts in ([], [1, 7, evt2.TILE, evt2.TILE + 5]):
            assert_equal(decoded(evt2.decode_evt2, words, cuts=cuts), expected)


def dat_records(rng: np.random.Generator, n: int, bits: tuple[int, int], *, damage: float):
    """Records across a wrap of the clock, some with stray times and places."""
    margin = int(damage > 0) * 2
    x, y = rng.integers(0, WIDTH + margin, n), rng.integers(0, HEIGHT + margin, n)
    t = 2**32 - rng.integers(0, 40 * n) + np.cumsum(rng.integers(0, 40, n))
    back = rng.random(n) < damage
    t[back] -= rng.integers(0, 900, int(back.sum()))
    stray = rng.random(n) < damage
    t[stray] = rng.integers(0, 2**32, int(stray.sum()))
    address = rng.integers(0, 16, n) << sum(bits) | y << bits[0] | x
    return t & 2**32 - 1, address


@pytest.mark.parametrize("damage", [0.0, 0.002, 0.3])
@pytest.mark.parametrize(
    ("decode", "bits"), [(dat.decode_version2, (14, 14)), (dat.decode_version1, (9, 8))]
)
def test_dat_equals_its_twin(decode, bits: tuple[int, int], damage: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        t, address = dat_records(rng, 3 * dat.TILE, bits, damage=damage)
        words = (address << 32 | t).astype(np.uint64)
        expected = naive_words.dat(
            list(zip(t.tolist(), address.tolist(), strict=True)),
            height=HEIGHT, width=WIDTH, x_bits=bits[0], y_bits=bits[1],
        )  # fmt: skip
        for cuts in ([], [1, 7, dat.TILE, dat.TILE + 5]):
            assert_equal(decoded(decode, words, cuts=cuts), expected)


def test_a_decoder_stops_where_there_is_no_room() -> None:
    rng = np.random.default_rng(0)
    words = evt2_words(rng, 3_000, damage=0.01)
    whole, *_ = decoded(evt2.decode_evt2, words, cuts=[])
    before, counts = state.new_state(), np.zeros(state.COUNTS, np.int64)
    room = empty_columns(100)
    n = evt2.decode_evt2(
        words, len(words), before, HEIGHT, WIDTH,
        room.t, room.x, room.y, room.p, np.zeros((9, 3), np.int64), counts,
    )  # fmt: skip
    assert n == 100
    assert list(zip(*(getattr(room, name).tolist() for name in "txyp"), strict=True)) == whole[:n]


@pytest.mark.parametrize("damaged", [0, 1, 40])
@pytest.mark.parametrize("n", [0, 1, 7, 501])
def test_aedat4_equals_its_twin(n: int, damaged: int) -> None:
    rng = np.random.default_rng(n + damaged)
    columns = rng.integers(0, WIDTH, n), rng.integers(0, HEIGHT, n), rng.integers(0, 3, n)
    word = columns[0] | columns[1] << 16 | columns[2] << 32 | rng.integers(0, 2**20, n) << 40
    stored = np.stack([rng.integers(0, 2**50, n), word], axis=1)
    for row, column in zip(rng.integers(0, max(1, n), damaged), range(damaged), strict=True):
        stored[row : row + 1, column % 2] = rng.integers(-(2**62), 2**62)
    room = empty_columns(n + 1)
    kept, *left_out = unpack_events(
        stored.reshape(-1), HEIGHT, WIDTH, room.t, room.x, room.y, room.p
    )
    events = list(zip(*(getattr(room, name)[:kept].tolist() for name in "txyp"), strict=True))
    assert (events, *left_out) == naive_words.aedat4(stored.tolist(), height=HEIGHT, width=WIDTH)
