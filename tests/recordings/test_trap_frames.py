"""Faults of the frames of DDD17 files: stamps, sizes, colours, order."""

from pathlib import Path

import numpy as np
import pytest
from ddd17_files import NO_TIME, frame_bytes, frames
from recordings.trap_fixtures import FULL, SENSOR, WRAP, dots, opened, picture

from eventseg.errors import WindowError
from eventseg.windows import cut_windows, parse_anchor


def test_several_frames_in_a_packet(tmp_path: Path) -> None:
    bodies = [
        frame_bytes(picture(k), (10 * k, 10 * k + 9, 10 * k + 1, 10 * k + 5), size=FULL)
        for k in (1, 2, 3)
    ]
    rec = opened(tmp_path, [frames(bodies)], sensor=None)
    assert rec.sensor == SENSOR
    assert rec.frames.t_us.tolist() == [15, 25, 35]
    assert rec.frames.t_start_us.tolist() == [10, 20, 30]
    assert rec.frames.t_end_us.tolist() == [19, 29, 39]
    assert rec.frames.exposure_start_us.tolist() == [11, 21, 31]
    for i in range(3):
        np.testing.assert_array_equal(rec.frames.raw(i), picture(i + 1))
        np.testing.assert_array_equal(rec.frames.image(i), picture(i + 1) // 256)
    with pytest.raises(IndexError, match="frame 3 of 3"):
        rec.frames.image(3)


@pytest.mark.parametrize("rotate", [False, True])
def test_part_of_a_frame_is_pasted_at_its_place(tmp_path: Path, rotate: bool) -> None:
    part = frame_bytes(picture(1, (2, 3)), (1, 9, 2, 5), size=FULL, at=(1, 2))
    rec = opened(tmp_path, [frames([part])], rotate180=rotate)
    whole = np.zeros((4, 6))
    whole[1:3, 2:5] = picture(1, (2, 3))
    np.testing.assert_array_equal(rec.frames.raw(0), whole[::-1, ::-1] if rotate else whole)
    row, col, height, width = rec.frames.roi(0)
    assert (row, col, height, width) == ((1, 1, 2, 3) if rotate else (1, 2, 2, 3))
    assert np.all(rec.frames.raw(0)[row : row + height, col : col + width] > 0)


def test_frames_across_a_wrap(tmp_path: Path) -> None:
    body = frame_bytes(picture(1), (NO_TIME - 9, 5, NO_TIME - 4, 2), size=FULL)
    rec = opened(tmp_path, [dots(NO_TIME), frames([body], overflow=1)])
    stamps = rec.frames
    assert stamps.t_start_us.tolist() == [WRAP - 10]
    assert stamps.exposure_start_us.tolist() == [WRAP - 5]
    assert (stamps.t_us.tolist(), stamps.t_end_us.tolist()) == ([WRAP + 2], [WRAP + 5])
    assert not rec.report.repaired


LATE = 50_000_000


@pytest.mark.parametrize(
    ("stamps", "expected", "repaired"),
    [
        ((5, 40, 10, 30), (5, 10, 30, 40), []),
        ((0, 40, 0, 30), (0, 0, 30, 40), []),
        ((5, 40, 0, 0), (5, 40, 40, 40), ["end", "start"]),
        ((0, LATE, 0, 0), (LATE, LATE, LATE, LATE), ["end", "start", "frame"]),
        ((-1, LATE, -1, -1), (LATE, LATE, LATE, LATE), ["end", "start", "frame"]),
        ((LATE, LATE + 9, LATE + 1, LATE + 20), (LATE, LATE + 1, LATE + 9, LATE + 9), ["end"]),
        ((LATE, LATE + 9, LATE + 8, LATE + 7), (LATE, LATE + 7, LATE + 7, LATE + 9), ["start"]),
        ((LATE, 0, LATE + 1, LATE + 7), (LATE, LATE + 1, LATE + 7, LATE + 7), ["no end"]),
    ],
)
def test_insane_stamps(
    tmp_path: Path,
    stamps: tuple[int, int, int, int],
    expected: tuple[int, int, int, int],
    repaired: list[str],
) -> None:
    rec = opened(tmp_path, [frames([frame_bytes(picture(1), stamps, size=FULL)])])
    f = rec.frames
    got = [int(a[0]) for a in (f.t_start_us, f.exposure_start_us, f.exposure_end_us, f.t_end_us)]
    reasons = {
        "end": "frames without a sane exposure end, end of frame taken",
        "start": "frames without a sane exposure start, end of exposure taken",
        "frame": "frames without a sane start, start of exposure taken",
        "no end": "frames without an end stamp, end of exposure taken",
    }
    assert (tuple(got), rec.report.repaired) == (expected, {reasons[k]: 1 for k in repaired})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"info": 2}, "marked invalid"),
        ({"info": 7}, "not one grey channel"),
        ({"shape": (4, 7)}, "damaged size or position"),
        ({"shape": (-4, 6)}, "damaged size or position"),
        ({"shape": (2**30, 2**30)}, "damaged size or position"),
        ({"at": (-1, 0)}, "damaged size or position"),
        ({"at": (1, 0)}, "outside the sensor 6x4"),
        ({"at": (0, 2**31 - 3)}, "outside the sensor 6x4"),
    ],
)
def test_damaged_frames_are_counted(
    tmp_path: Path, options: dict[str, object], reason: str
) -> None:
    bad = frame_bytes(picture(1), (1, 9, 2, 5), size=FULL, **options)  # type: ignore[arg-type]
    rec = opened(tmp_path, [frames([bad, frame_bytes(picture(2), (11, 19, 12, 15), size=FULL)])])
    assert rec.report.skipped["frames"] == {reason: 1}
    assert rec.frames.t_us.tolist() == [15]
    np.testing.assert_array_equal(rec.frames.raw(0), picture(2))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("rotate", [False, True])
def test_colour_frames_are_turned_gray(tmp_path: Path, channels: int, rotate: bool) -> None:
    colours = np.random.default_rng(1).integers(0, 2**16, (4, 6, channels))
    size = 36 + 2 * 4 * 6 * channels
    body = frame_bytes(colours, (1, 9, 2, 5), size=size, info=1 | channels << 1, shape=(4, 6))
    rec = opened(tmp_path, [frames([body])], sensor=None, rotate180=rotate)
    assert rec.sensor == SENSOR
    assert rec.report.repaired == {"colour frames, turned gray": 1}
    gray = np.empty((4, 6), np.int64)
    for y in range(4):
        for x in range(6):
            red, green, blue = colours[y, x, :3].tolist()
            gray[y, x] = (299 * red + 587 * green + 114 * blue + 500) // 1000
    np.testing.assert_array_equal(rec.frames.raw(0), gray[::-1, ::-1] if rotate else gray)


def test_no_frames_says_which_were_skipped(tmp_path: Path) -> None:
    bad = frame_bytes(picture(1), (1, 9, 2, 5), size=FULL, info=5)
    rec = opened(tmp_path, [dots(*range(0, 90_000, 1_000)), frames([bad])])
    with pytest.raises(WindowError, match=r"no frames .*1 skipped: not one grey channel"):
        cut_windows(rec, anchor=parse_anchor("frame"), window_us=10_000)


def test_frames_of_one_time_are_one_frame(tmp_path: Path) -> None:
    bodies = [
        frame_bytes(picture(k), (t, t + 9, t + 1, t + 5), size=FULL)
        for k, t in enumerate((10, 40, 10, 10, 70))
    ]
    rec = opened(tmp_path, [frames([body]) for body in bodies])
    assert rec.frames.t_us.tolist() == [15, 45, 75]
    np.testing.assert_array_equal(rec.frames.raw(0), picture(0))
    np.testing.assert_array_equal(rec.frames.raw(2), picture(4))
    assert rec.report.skipped["frames"] == {"same time as the frame before": 2}


def test_frame_without_any_stamp(tmp_path: Path) -> None:
    body = frame_bytes(picture(1), (0, 0, 0, 0), size=FULL)
    rec = opened(tmp_path, [dots(1), frames([body])])
    assert rec.report.skipped["frames"] == {"no time stamp": 1}


def test_frames_out_of_order_are_sorted(tmp_path: Path) -> None:
    rows = [
        frames([frame_bytes(picture(k), (k, k + 9, k + 1, k + 5), size=FULL)]) for k in (70, 20, 40)
    ]
    rec = opened(tmp_path, rows)
    assert rec.frames.t_us.tolist() == [25, 45, 75]
    np.testing.assert_array_equal(rec.frames.raw(0), picture(20))
    assert rec.report.repaired == {"frames out of order, sorted by end of exposure": 1}


def test_cut_frame_packet_keeps_whole_frames(tmp_path: Path) -> None:
    bodies = [frame_bytes(picture(k), (k, k + 9, k + 1, k + 5), size=FULL) for k in (1, 20)]
    host, head, payload = frames(bodies)
    rec = opened(tmp_path, [(host, head, payload[:-1])])
    assert rec.frames.t_us.tolist() == [6]
