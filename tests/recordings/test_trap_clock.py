"""Faults of the clock of DDD17 files: wraps, resets, jumps, disorder, gaps."""

from pathlib import Path

import h5py
import numpy as np
from ddd17_files import HOST_T0, NO_TIME, imu, polarity, reset, special, wrap, write_file
from recordings.trap_fixtures import WRAP, dots, opened, times

from eventseg.recordings import open_recording


def test_host_time_from_its_digits(tmp_path: Path) -> None:
    rows = [dots(1_000), reset(host=HOST_T0 + 50_000), dots(10, host=HOST_T0 + 50_010)]
    path = write_file(tmp_path / "r.hdf5", rows, times=False)
    with open_recording(path) as rec:
        assert rec.epochs[1].offset_us == 50_000
        assert rec.report.repaired == {"host times taken from the digits of column 0": 3}


def test_bad_host_digits_are_no_host_time(tmp_path: Path) -> None:
    path = write_file(tmp_path / "r.hdf5", [dots(1), reset(), dots(5)], times=False)
    with h5py.File(path, "r+") as file:
        for row in range(3):
            file["dvs/data"][row, 0] = np.frombuffer(b"12-x", np.uint8)
    with open_recording(path) as rec:
        assert times(rec) == [1, 2]
        assert any("no host time for the epoch" in note for note in rec.report.notes)


def test_overflow_makes_time_go_on(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(NO_TIME - 1, NO_TIME), wrap(), dots(0, 7, overflow=1)])
    assert times(rec) == [WRAP - 2, WRAP - 1, WRAP, WRAP + 7]
    assert rec.specials.tolist() == [(WRAP - 1, 0, 0)]
    assert len(rec.epochs) == 1


def test_wrap_event_in_a_packet_with_the_new_overflow(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(NO_TIME), wrap(overflow=1), dots(0, overflow=1)])
    assert rec.specials["t"].tolist() == [WRAP - 1]


def test_wrap_known_from_the_special_event_only(tmp_path: Path) -> None:
    rows = [dots(NO_TIME - 5), wrap(), dots(0), imu([(3, 1.0)]), dots(8), dots(9, overflow=1)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [WRAP - 6, WRAP, WRAP + 8, WRAP + 9]
    assert rec.imu()["t"].tolist() == [WRAP + 3]
    assert rec.report.repaired == {"wraps of the 31-bit clock known from a special event only": 1}
    assert len(rec.epochs) == 1


def test_wrap_event_ahead_of_the_last_events_before_it(tmp_path: Path) -> None:
    # A container's special events are written in front of its polarity events.
    rec = opened(tmp_path, [wrap(), dots(NO_TIME - 5), dots(0), dots(4)])
    assert times(rec) == [WRAP - 6, WRAP, WRAP + 4]
    assert len(rec.epochs) == 1


def test_reset_begins_an_epoch_placed_by_the_host_clock(tmp_path: Path) -> None:
    rows = [
        dots(5_000_000, host=HOST_T0 + 5_000_900),
        dots(5_500_000, host=HOST_T0 + 5_500_300),  # least latency: 300
        reset(host=HOST_T0 + 6_000_000),
        special([(7, 2, 99)]),
        dots(10, host=HOST_T0 + 6_000_800),
        dots(20, host=HOST_T0 + 6_000_500),  # least: zero lies at 6_000_480 of the host
    ]
    rec = opened(tmp_path, rows)
    assert [(e.first_row, e.offset_us, e.reason) for e in rec.epochs] == [
        (0, 0, "start"),
        (2, 6_000_180, "reset"),
    ]
    assert times(rec) == [5_000_000, 5_500_000, 6_000_190, 6_000_200]
    assert rec.specials.tolist() == [(6_000_180, 1, 0), (6_000_187, 2, 99)]


def test_a_host_clock_set_by_years_is_not_believed(tmp_path: Path) -> None:
    rows = [dots(5_000, host=7_000), reset(host=HOST_T0), dots(10, host=HOST_T0 + 20)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [5_000, 5_001]
    assert [note for note in rec.report.notes if " days before the epoch at row 1" in note]
    hours = [dots(5_000), reset(), dots(10, host=HOST_T0 + 10**12 + 10)]
    assert times(opened(tmp_path, hours)) == [5_000, 10**12 + 10]


def test_epochs_never_overlap(tmp_path: Path) -> None:
    rows = [dots(5_000, host=HOST_T0 + 5_000), reset(), dots(10, host=HOST_T0 + 20)]
    rec = opened(tmp_path, rows)
    assert times(rec) == [5_000, 5_001]
    assert rec.report.repaired == {"epochs moved behind the one before, which they overlapped": 1}


def test_reset_before_anything_is_no_second_epoch(tmp_path: Path) -> None:
    rec = opened(
        tmp_path, [reset(), dots(10), reset(), reset(), dots(4, host=HOST_T0 + 104), reset()]
    )
    assert [epoch.reason for epoch in rec.epochs] == ["start", "reset"]
    assert times(rec) == [10, 104]
    assert rec.specials["t"].tolist() == [0, 100, 100, 105]


def test_large_jump_back_is_a_restart(tmp_path: Path) -> None:
    rows = [dots(9_000_000), dots(50, host=HOST_T0 + 9_000_650), dots(60)]
    rec = opened(tmp_path, rows)
    assert [epoch.reason for epoch in rec.epochs] == ["start", "clock jumped back"]
    assert times(rec) == [9_000_000, 9_000_001, 9_000_011]
    assert (
        "restarts of the clock without a reset event, inferred from a jump" in rec.report.repaired
    )


def test_jump_back_of_a_second_is_disorder(tmp_path: Path) -> None:
    rec = opened(tmp_path, [dots(2_000_000), dots(1_000_000), dots(2_000_010)])
    assert times(rec) == [1_000_000, 2_000_000, 2_000_010]
    assert len(rec.epochs) == 1


def test_small_steps_back_are_sorted_ties_in_file_order(tmp_path: Path) -> None:
    rows = [
        polarity([(100, 0, 0, 1), (90, 1, 0, 1), (110, 2, 0, 1)]),
        polarity([(110, 3, 0, 1), (95, 4, 0, 1), (90, 5, 0, 1)]),
    ]
    rec = opened(tmp_path, rows)
    assert times(rec) == [90, 90, 95, 100, 110, 110]
    assert rec.events().x.tolist() == [1, 5, 4, 0, 2, 3]
    assert rec.report.repaired == {
        "steps back in time between events, put in order by a stable sort": 3
    }


def test_gaps(tmp_path: Path) -> None:
    rows = [dots(0, 50_000), dots(150_000), dots(250_001), dots(300_000, 900_000), dots(600_000)]
    rec = opened(tmp_path, rows)
    assert rec.gaps == [(150_000, 250_001), (300_000, 600_000), (600_000, 900_000)]


def test_gaps_are_those_of_the_events_kept(tmp_path: Path) -> None:
    rows = [polarity([(0, 1, 1, 1), (200_000, 9, 9, 1), (390_000, 1, 1, 1)])]
    assert opened(tmp_path, rows).gaps == [(0, 390_000)]
