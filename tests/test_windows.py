"""Windows: durations, anchors, the published rows, and no event lost between them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventseg.errors import WindowError
from eventseg.splits import EVSEGNET_ROWS, evsegnet_rows, hold_back_validation, split_of
from eventseg.windows import (
    Anchor,
    covered_share,
    cut_windows,
    format_duration,
    parse_anchor,
    parse_duration,
    sample_ids,
    to_anchor,
)


def recording(
    *, name="rec", t_first_us=1_000, t_last_us=500_999, t_us=(), t_end_us=None
) -> SimpleNamespace:
    t = np.array(t_us, np.int64)
    ends = t if t_end_us is None else np.array(t_end_us, np.int64)
    return SimpleNamespace(
        name=name,
        t_first_us=t_first_us,
        t_last_us=t_last_us,
        frames=SimpleNamespace(t_us=t, t_end_us=ends),
    )


@pytest.mark.parametrize(
    ("text", "us"),
    [("50ms", 50_000), ("0.25s", 250_000), ("500us", 500), ("2min", 120_000_000), (".1ms", 100),
     (" 12.5 s ", 12_500_000)],
)  # fmt: skip
def test_durations_are_read_to_the_microsecond(text, us):
    assert parse_duration(text) == us


@pytest.mark.parametrize("text", ["50", "ms", "", "-5ms", "0ms", "0.5us", "5 days", "1e3us", "nan"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(WindowError, match="duration"):
        parse_duration(text)


@given(st.integers(1, 10**10))
def test_durations_are_written_as_they_are_read(us):
    assert parse_duration(format_duration(us)) == us


@pytest.mark.parametrize("text", ["frame", "centre", "stride:50ms", "count:32000", "evsegnet"])
def test_anchors_are_written_as_they_are_read(text):
    assert str(parse_anchor(text)) == text


@pytest.mark.parametrize(
    "text", ["", "frames", "stride", "stride:", "stride:5", "count:0", "count:x", "frame:1"]
)
def test_what_is_no_anchor_is_refused(text):
    with pytest.raises(WindowError, match=r"anchor|duration"):
        parse_anchor(text)


def test_windows_trail_their_frames_or_lie_around_them():
    rec = recording(t_us=[40_000, 80_001, 499_000])
    trailing = cut_windows(rec, anchor=Anchor("frame"), window_us=50_001)
    assert trailing.t1_us.tolist() == [40_000, 80_001, 499_000]
    assert (trailing.t1_us - trailing.t0_us).tolist() == [50_001] * 3
    centred = cut_windows(rec, anchor=Anchor("centre"), window_us=50_001)
    assert centred.t0_us.tolist() == [15_000, 55_001, 474_000]
    assert (centred.t1_us - centred.t0_us).tolist() == [50_001] * 3
    assert trailing.frame.tolist() == centred.frame.tolist() == [0, 1, 2]
    assert sample_ids("rec", anchor=Anchor("frame"), windows=trailing)[2] == "rec_f000002"


def test_the_share_covered_by_the_recording():
    rec = recording(t_us=[26_000, 51_000, 511_000])
    cut = cut_windows(rec, anchor=Anchor("frame"), window_us=50_000)
    share = covered_share(cut, t_first_us=rec.t_first_us, t_last_us=rec.t_last_us)
    assert share.tolist() == [0.5, 1.0, 0.8]


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(1, 10**5), st.data())
def test_strides_as_long_as_the_window_hold_every_event_once(t_first, span, stride, data):
    stride = min(max(stride, span // 1_000), span + 1)  # up to a thousand windows, not longer
    rec = recording(t_first_us=t_first, t_last_us=t_first + span)
    cut = cut_windows(rec, anchor=Anchor("stride", stride), window_us=stride)
    t = t_first + data.draw(st.integers(0, span))
    assert int(((cut.t0_us <= t) & (t < cut.t1_us)).sum()) == 1
    ids = sample_ids("r", anchor=Anchor("stride", stride), windows=cut)
    assert len(set(ids)) == len(cut)


def test_strided_windows_of_all_lengths_end_together_and_name_the_latest_frame():
    rec = recording(t_us=[40_000, 101_000, 101_001])
    cuts = [
        cut_windows(rec, anchor=Anchor("stride", 50_000), window_us=w)
        for w in (10_000, 50_000, 250_000)
    ]
    for cut in cuts:
        np.testing.assert_array_equal(cut.t1_us, 1_000 + 50_000 * np.arange(1, 11))
    assert cuts[0].frame.tolist() == [0, 1] + [2] * 8
    none = cut_windows(recording(), anchor=Anchor("stride", 50_000), window_us=10_000)
    assert set(none.frame) == {-1}


def test_evsegnet_bins_begin_at_the_first_event_and_show_the_latest_finished_frame():
    # Facts A10: frames every 33 ms, 50 ms bins.
    ends = [30_000, 63_000, 96_000, 129_000, 162_000, 195_000, 228_000, 261_000, 294_000]
    rec = recording(t_first_us=0, t_last_us=299_999, t_us=ends)
    cut = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=50_000)
    assert cut.t0_us.tolist() == list(range(0, 300_000, 50_000))
    assert [ends[i] // 1000 for i in cut.frame] == [30, 96, 129, 195, 228, 294]
    assert cut.row.tolist() == list(range(6))
    ids = sample_ids("rec1", anchor=Anchor("evsegnet"), windows=cut)
    assert ids[-1] == "rec1_export_5"


def test_evsegnet_goes_by_the_end_of_frame_stamp_and_leaves_out_bins_before_any_frame():
    rec = recording(
        t_first_us=0, t_last_us=199_999, t_us=[90_000, 91_000], t_end_us=[101_000, 100_000]
    )
    cut = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=50_000)
    assert cut.row.tolist() == [1, 2, 3]
    assert cut.frame.tolist() == [1, 0, 0]


def test_evsegnet_cuts_short_bins_first_in_each_50_ms():
    rec = recording(t_first_us=0, t_last_us=199_999, t_us=[1_000])
    cut = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=10_000)
    assert cut.row.tolist() == [0, 5, 10, 15]
    assert cut.t0_us.tolist() == [0, 50_000, 100_000, 150_000]
    long = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=100_000)
    assert long.row.tolist() == [0, 1]
    with pytest.raises(WindowError, match="divide 50 ms"):
        cut_windows(rec, anchor=Anchor("evsegnet"), window_us=33_000)


@pytest.mark.parametrize(
    ("window_us", "train", "test", "other"),
    [(50_000, 15_950, 3_890, 200), (10_000, 15_950, 3_890, 200), (250_000, 3_190, 778, 40)],
)
def test_published_rows_give_the_published_numbers(window_us, train, test, other):
    found = {"train": 0, "test": 0, "other": 0}
    for name, (split, _) in EVSEGNET_ROWS.items():
        rows = evsegnet_rows(name, window_us=window_us)
        assert len(np.unique(rows)) == len(rows)
        found[split] += len(rows)
    assert found == {"train": train, "test": test, "other": other}
    assert evsegnet_rows("rec0000000000", window_us=window_us) is None


def test_a_published_recording_gets_its_published_rows_only():
    rec = recording(name="rec1487356509", t_first_us=0, t_last_us=152_000_000 - 1, t_us=[50])
    cut = cut_windows(rec, anchor=Anchor("evsegnet"), window_us=50_000)
    assert (cut.row[0], cut.row[-1]) == (2_900, 3_039)  # the file ends before row 3099
    assert cut.t0_us[0] == 145_000_000


def test_splits_go_by_recording_and_validation_shares_no_event_with_training():
    assert split_of("rec1487417411") == "test"
    assert split_of("rec1487356509") == "other"
    assert split_of("mine") == "train"
    assert split_of("mine", held_out=frozenset({"mine"})) == "test"
    t = np.arange(0, 10_000_000, 50_000)
    split = hold_back_validation(t, longest_window_us=250_000)
    first_val = t[split == "val"].min()
    assert t[split == "train"].max() <= first_val - 250_000
    assert 0.09 < (split == "val").mean() < 0.11
    assert set(split) == {"train", "gap", "val"}
    assert hold_back_validation(t[:0], longest_window_us=1).shape == (0,)


def test_a_pause_does_not_count_for_the_validation_part():
    t = np.arange(0, 10_000_000, 50_000)
    paused = np.r_[t, t + 3_600_000_000]
    split = hold_back_validation(paused, longest_window_us=50_000)
    assert 0.09 < (split == "val").mean() < 0.11
    assert (split[: len(t)] == "train").all()


@pytest.mark.parametrize(
    "t_us", [[50_000], [33_000, 66_000], [70_000] * 3, range(0, 250_000, 50_000)], ids=str
)
def test_a_recording_too_short_to_keep_a_training_sample_trains(t_us: Sequence[int]) -> None:
    split = hold_back_validation(np.array(t_us), longest_window_us=250_000)
    assert split.tolist() == ["train"] * len(t_us)


@pytest.mark.parametrize(
    ("kind", "window_us", "message"),
    [
        ("frame", 50_000, "no frames.*--anchor stride"),
        ("centre", 50_000, "no frames.*--anchor stride"),
        ("evsegnet", 50_000, "no frames.*--anchor stride"),
        ("frame", 500_001, "longer than rec, which lasts 0.500000 s"),
        ("frame", 0, "must last"),
        ("frame", 2**31, "must last"),
        ("count", 1_000, "while encoding"),
    ],
)
def test_windows_that_cannot_be_had_say_why(kind, window_us, message):
    frames = [5_000] if kind == "count" else []
    with pytest.raises(WindowError, match=message):
        cut_windows(recording(t_us=frames), anchor=Anchor(kind, 5), window_us=window_us)


def test_anchors_and_lengths_may_be_texts():
    assert to_anchor("stride:50ms") == to_anchor(Anchor("stride", 50_000))
    rec = recording(t_us=[40_000, 80_001, 499_000])
    made = cut_windows(rec, anchor="frame", window_us="30ms")
    expected = cut_windows(rec, anchor=Anchor("frame"), window_us=30_000)
    assert made.t0_us.tolist() == expected.t0_us.tolist()
    for wrong in (3, None, b"frame"):
        with pytest.raises(WindowError, match="must be a text"):
            cut_windows(rec, anchor=wrong, window_us=30_000)
    for wrong in (None, 1.5, b"30ms", (30_000,)):
        with pytest.raises(WindowError, match="must be a text"):
            cut_windows(rec, anchor="frame", window_us=wrong)


@pytest.mark.parametrize("value_us", [0, -1, 2**53 + 1, 10**30])
def test_a_stride_that_places_no_windows_is_refused(value_us):
    with pytest.raises(WindowError, match=f"a stride must last 1 us to .*, got {value_us} us"):
        cut_windows(recording(), anchor=Anchor("stride", value_us), window_us=20_000)
    if value_us > 0:
        with pytest.raises(WindowError, match="a stride must last 1 us to"):
            parse_anchor(f"stride:{value_us}us")


def test_a_stride_past_the_last_event_is_refused():
    rec = recording()  # lasts 500 ms
    kept = cut_windows(rec, anchor="stride:519999us", window_us=20_000)
    assert kept.t0_us.tolist() == [rec.t_last_us], "a window with the last event alone"
    beside = cut_windows(rec, anchor="stride:600ms", window_us=20_000, longest_us=200_000)
    assert len(beside) == 1, "the longest window of the sample has events"
    message = "steps of 520ms place no window of 20ms within rec, which lasts 0.500000 s"
    with pytest.raises(WindowError, match=message):
        cut_windows(rec, anchor="stride:520ms", window_us=20_000)
