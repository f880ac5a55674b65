"""Validation held back of training: EV-SegNet's rows as a table, and the ends of sequences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventseg.splits import (
    EVSEGNET_BIN_US,
    EVSEGNET_GAP_ROWS,
    EVSEGNET_ROWS,
    EVSEGNET_VALIDATION,
    evsegnet_rows,
    evsegnet_splits,
    export_row,
    hold_back_stretches,
)

PARTS = ("train", "gap", "val")


def published(name: str, *, window_us: int = EVSEGNET_BIN_US) -> np.ndarray:
    rows = evsegnet_rows(name, window_us=window_us)
    assert rows is not None
    return rows


def splits_of(name: str, rows: np.ndarray, *, window_us: int = EVSEGNET_BIN_US) -> np.ndarray:
    split = evsegnet_splits(name, rows, window_us=window_us)
    assert split is not None
    return split


def test_validation_ranges_lie_in_published_training_ranges_of_every_recording() -> None:
    training = {name for name, (split, _) in EVSEGNET_ROWS.items() if split == "train"}
    assert set(EVSEGNET_VALIDATION) == training
    for name, ranges in EVSEGNET_VALIDATION.items():
        assert ranges == tuple(sorted(ranges))
        for (_, stop), (start, _) in pairwise(ranges):
            assert stop <= start
        for start, stop in ranges:
            assert any(low <= start < stop <= high for low, high in EVSEGNET_ROWS[name].ranges)
            # Bins of 250 ms begin and end with them; a stretch lasts several seconds.
            assert start % 5 == stop % 5 == 0
            assert (stop - start) * EVSEGNET_BIN_US >= 4_000_000
    for name in EVSEGNET_ROWS.keys() - training:
        assert evsegnet_splits(name, np.arange(9), window_us=EVSEGNET_BIN_US) is None


def test_a_tenth_validates_and_ten_seconds_lie_between_it_and_training() -> None:
    counts = dict.fromkeys(PARTS, 0)
    for name in EVSEGNET_VALIDATION:
        rows = published(name)
        split = splits_of(name, rows)
        by_part = {part: rows[split == part] for part in PARTS}
        assert sum(map(len, by_part.values())) == len(rows) == len(set(rows.tolist()))
        for part, members in by_part.items():
            counts[part] += len(members)
        away = np.abs(by_part["val"][:, None] - by_part["train"])
        assert away.min() > EVSEGNET_GAP_ROWS
        # No row is left out without need.
        near = np.abs(by_part["gap"][:, None] - by_part["val"]).min(1, initial=9**9)
        assert (near <= EVSEGNET_GAP_ROWS).all()
    assert EVSEGNET_GAP_ROWS * EVSEGNET_BIN_US == 10_000_000
    assert counts == {"train": 13_750, "gap": 600, "val": 1_600}
    assert sum(counts.values()) == 15_950


@pytest.mark.parametrize("window_us", [10_000, 50_000, 100_000, 150_000, 250_000, 1_000_000])
def test_bins_of_other_lengths_go_by_the_rows_they_span(window_us: int) -> None:
    for name, ranges in EVSEGNET_VALIDATION.items():
        rows = published(name, window_us=window_us)
        validation = {row for start, stop in ranges for row in range(start, stop)}
        gap = EVSEGNET_GAP_ROWS
        near = {row for start, stop in ranges for row in range(start - gap, stop + gap)}
        for row, split in zip(
            rows.tolist(), splits_of(name, rows, window_us=window_us), strict=True
        ):
            first, last = (
                us // EVSEGNET_BIN_US for us in (row * window_us, (row + 1) * window_us - 1)
            )
            spanned = set(range(first, last + 1))
            expected = "val" if spanned <= validation else "gap" if spanned & near else "train"
            assert split == expected


def test_rows_are_read_from_the_names_of_samples() -> None:
    assert export_row("rec1487339175_export_6200") == 6200
    for other in ("rec1_f000012", "rec1_export_", "rec1_export_5x", "rec1_export_-5", "", "7"):
        assert export_row(other) is None


SEQUENCES = st.lists(st.sampled_from("abcde"), max_size=60)


@given(SEQUENCES, st.floats(0.01, 0.5), st.integers(0, 9))
def test_ends_of_sequences_validate(sequences: list[str], share: float, seed: int) -> None:
    ranks = np.zeros(len(sequences), np.int64)
    for name in set(sequences):
        part = np.flatnonzero(np.array(sequences) == name)
        ranks[part] = np.random.default_rng(seed).permutation(len(part))
    split = hold_back_stretches(sequences, ranks, share=share)
    total = len(sequences)
    if total < 3:
        assert split.tolist() == ["train"] * total
        return
    assert (split == "val").sum() == max(1, int(share * total + 0.5))
    for name in set(sequences):
        of = {r: s for n, r, s in zip(sequences, ranks.tolist(), split, strict=True) if n == name}
        ordered = "".join(of[r][0] for r in range(len(of)))
        trained, left, held = (ordered.count(sign) for sign in "tgv")
        assert ordered == "t" * trained + "g" * left + "v" * held
        assert left == min((held + 1) // 2, len(of) - held)


def test_of_three_pictures_one_trains_and_one_validates() -> None:
    assert hold_back_stretches(list("aaa"), np.array([2, 0, 1])).tolist() == ["val", "train", "gap"]
    alone = hold_back_stretches(list("abcdefghijklmnopqrst"), np.zeros(20, np.int64)).tolist()
    assert alone == ["train"] * 4 + ["val"] + ["train"] * 9 + ["val"] + ["train"] * 5
