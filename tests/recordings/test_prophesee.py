"""Prophesee's files: clocks that wrap, words out of place, headers of all ages, damage."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recordings.prophesee_files import (
    EVT2,
    EVT3,
    EVT21,
    EVT21_LEGACY,
    evt2_words,
    evt3_words,
    evt21_words,
    header,
    write_dat,
    write_raw,
)

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(24, 40)
HIGH, LOW, ROW, X, BASE, V12, V8, TRIGGER = (
    0x8000, 0x6000, 0x0000, 0x2000, 0x3000, 0x4000, 0x5000, 0xA000,
)  # fmt: skip
ON = 0x800


def some_events(n: int = 2_000, *, first_us: int = 5_000, last_us: int = 90_000, seed: int = 0):
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        np.sort(rng.integers(first_us, last_us, n)),
        rng.integers(0, SENSOR.width, n),
        rng.integers(0, SENSOR.height, n),
        rng.integers(0, 2, n),
        sensor=SENSOR,
    )


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def evt3(path: Path, words: list[int], *, sensor: SensorSize | None = SENSOR) -> Path:
    content = struct.pack(f"<{len(words)}H", *words)
    path.write_bytes(header(EVT3, *(sensor or (None, None))) + content)
    return path


def test_vectors_are_their_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    bursts = []
    for t in range(10_000, 60_000, 500):
        y, p = int(rng.integers(SENSOR.height)), int(rng.integers(2))
        columns = np.flatnonzero(rng.random(SENSOR.width) < 0.4)
        bursts += [(t, x, y, p) for x in columns.tolist()]
    columns = np.array(bursts).T
    events = EventStream.from_arrays(*columns, sensor=SENSOR)
    write_raw(tmp_path / "rec.raw", events, vectors=True)
    with open_recording(tmp_path / "rec.raw") as recording:
        assert rows(recording.events()) == rows(events)
        assert recording.report.found["events"] == len(events)


@pytest.mark.parametrize(
    ("name", "wrap_us"), [(EVT3, 1 << 24), (EVT2, 1 << 34), (EVT21, 1 << 34), ("DAT", 1 << 32)]
)
@pytest.mark.parametrize("exact", [True, False])
def test_clock_that_wraps_goes_on(tmp_path: Path, name: str, wrap_us: int, exact: bool) -> None:
    t = np.arange(wrap_us - 60_000, wrap_us + 60_000, 100)
    if not exact:  # a pause over the wrap
        t = t[(t < wrap_us - 20_000) | (t > wrap_us + 30_000)]
    x, y = np.arange(len(t)) % SENSOR.width, np.arange(len(t)) % SENSOR.height
    events = EventStream.from_arrays(t, x, y, t % 2, sensor=SENSOR)
    path = tmp_path / ("rec.dat" if name == "DAT" else "rec.raw")
    if name == "DAT":
        write_dat(path, events)
    else:
        write_raw(path, events, name=name)
    with open_recording(path) as recording:
        assert rows(recording.events()) == rows(events)
        assert any("1 wraps of the clock" in note for note in recording.report.notes)


def test_several_wraps_and_a_stream_across_them(tmp_path: Path) -> None:
    t = np.arange(0, 5 << 24, 4096)
    events = EventStream.from_arrays(t, t % 40, t // 4096 % 24, t // 4096 % 2, sensor=SENSOR)
    write_raw(tmp_path / "rec.raw", events)
    with open_recording(tmp_path / "rec.raw") as recording:
        assert recording.t_last_us == t[-1]
        parts = list(recording.stream(max_events=1_000))
        assert [row for part in parts for row in rows(part)] == rows(events)
        assert rows(recording.events(3 << 24, (3 << 24) + 40_960)) == rows(
            events.between(3 << 24, (3 << 24) + 40_960)
        )


def test_low_time_that_steps_back_is_no_wrap(tmp_path: Path) -> None:
    """The golden file of one reader has such steps counted as 4,096 us each."""
    words = [HIGH | 7, ROW | 3, LOW | 100, X | 1, LOW | 90, X | 2, HIGH | 8, LOW | 0, X | 3]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        t = 7 << 12
        assert recording.events().t.tolist() == [t + 90, t + 100, 8 << 12]
        assert recording.events().x.tolist() == [2, 1, 3]


def test_high_time_that_steps_back_a_little_is_no_wrap(tmp_path: Path) -> None:
    words = [ROW | 3]
    for k, high in enumerate([50, 51, 50, 51, 52]):
        words += [HIGH | high, LOW | k, X | k]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        assert recording.t_last_us == (52 << 12) + 4
        assert recording.report.repaired["steps back in time, events put in order"] == 1


def test_words_before_the_first_time_and_row_are_counted(tmp_path: Path) -> None:
    words = [ROW | 3, X | 1, HIGH | 1, X | 2, ROW | 4, V12 | 3, LOW | 5, X | 3]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        assert rows(recording.events()) == [(4096, 2, 3, 0), (4101, 3, 4, 0)]
        assert recording.report.found["events"] == 5
        (no_time, timed), (no_place, placed) = sorted(recording.report.skipped["events"].items())[
            ::-1
        ]
        assert (timed, placed) == (2, 1) or (placed, timed) == (2, 1), (no_time, no_place)


def test_single_columns_do_not_move_the_base_of_vectors(tmp_path: Path) -> None:
    words = [HIGH | 1, ROW | 2, BASE | ON | 4, V8 | 1, X | 30, V8 | 1, V12 | 0x800]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        assert recording.events().x.tolist() == [4, 30, 12, 31]
        assert recording.events().p.tolist() == [1, 0, 1, 1]


def test_pixels_beyond_the_sensor_are_counted_one_by_one(tmp_path: Path) -> None:
    words = [HIGH | 1, ROW | 2, BASE | 36, V12 | 0xFFF, X | 40, ROW | 24, X | 1]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        assert recording.events().x.tolist() == [36, 37, 38, 39]
        assert recording.report.skipped["events"] == {"outside the sensor": 10}


def test_gray_levels_are_no_events(tmp_path: Path) -> None:
    words = [HIGH | 1, ROW | 2, X | 1, 0x1000 | 3, X | 7, ROW | 4, X | 9]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        assert recording.events().x.tolist() == [1, 9]


def test_triggers_are_special_events(tmp_path: Path) -> None:
    words = [TRIGGER | 1, HIGH | 1, LOW | 9, TRIGGER | 2 << 8 | 1, LOW | 20, TRIGGER | 2 << 8]
    words += [ROW | 1, X | 1, 0xE014, 0x7001, 0xF002, 0x9000]
    with open_recording(evt3(tmp_path / "rec.raw", words)) as recording:
        assert recording.specials.tolist() == [(4105, 2, 2), (4116, 3, 2)]
        notes = " ".join(recording.report.notes)
        assert "4 words of inertial samples, counters and other contents" in notes
        assert "1 words of unknown types" in notes


def test_triggers_of_evt2_and_evt21(tmp_path: Path) -> None:
    event = some_events(1)
    trigger = 0xA << 28 | 5 << 22 | 3 << 8
    high = int(event.t[0]) >> 6 << 6
    for name, words in (
        (EVT2, evt2_words(event) + struct.pack("<I", trigger | 1)),
        (EVT21, evt21_words(event, legacy=False) + struct.pack("<II", 1, trigger)),
        (EVT21_LEGACY, evt21_words(event, legacy=True) + struct.pack("<II", trigger, 1)),
    ):
        path = tmp_path / f"{name}.raw"
        path.write_bytes(header(name, *SENSOR) + words)
        with open_recording(path) as recording:
            assert recording.specials.tolist() == [(high + 5, 2, 3)]


def test_masks_of_evt21_hold_many_pixels(tmp_path: Path) -> None:
    words = struct.pack("<II", 0, 0x8 << 28 | 2)
    words += struct.pack("<II", 0x8000_0101, 0x1 << 28 | 3 << 22 | 8 << 11 | 5)
    (tmp_path / "rec.raw").write_bytes(header(EVT21, *SENSOR) + words)
    with open_recording(tmp_path / "rec.raw") as recording:
        assert rows(recording.events()) == [(131, x, 5, 1) for x in (8, 16, 39)]


@pytest.mark.parametrize("legacy", [True, False])
def test_order_of_halves_is_found_where_the_header_is_silent(tmp_path: Path, legacy: bool) -> None:
    events = some_events()
    path = tmp_path / "rec.raw"
    path.write_bytes(b"% evt 2.1\n% geometry 40x24\n" + evt21_words(events, legacy=legacy))
    with open_recording(path) as recording:
        assert rows(recording.events()) == rows(events)


@pytest.mark.parametrize("version", [1, 2])
def test_versions_of_dat(tmp_path: Path, version: int) -> None:
    events = some_events()
    write_dat(tmp_path / "rec.dat", events, version=version)
    with open_recording(tmp_path / "rec.dat") as recording:
        assert rows(recording.events()) == rows(events)
        assert recording.sensor == SENSOR


HEADERS = {
    "new": b"% format EVT3;width=40;height=24\n% end\n",
    "older": b"% evt 3.0\n% geometry 40x24\n",
    "oldest size": b"% evt 3.0\n% Width 40\n% Height 24\n",
    "edited by hand": b"% evt 3.0\r\n% geometry 40x24\r\n% end\r\n",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_all_ages(tmp_path: Path, kind: str) -> None:
    events = some_events()
    (tmp_path / "rec.raw").write_bytes(HEADERS[kind] + evt3_words(events))
    with open_recording(tmp_path / "rec.raw") as recording:
        assert recording.sensor == SENSOR
        assert rows(recording.events()) == rows(events)


def test_first_word_may_look_like_a_line(tmp_path: Path) -> None:
    words = [0x2025, HIGH | 1, ROW | 2, X | 5, X | 10]  # begins with "% "
    content = struct.pack(f"<{len(words)}H", *words)
    (tmp_path / "rec.raw").write_bytes(b"% evt 3.0\n% geometry 40x24\n" + content)
    with open_recording(tmp_path / "rec.raw") as recording:
        assert recording.events().x.tolist() == [5, 10]
        assert recording.report.found["events"] == 3


def test_size_is_inferred_and_said(tmp_path: Path) -> None:
    events = some_events()
    (tmp_path / "rec.raw").write_bytes(header(EVT3, None, None) + evt3_words(events))
    with open_recording(tmp_path / "rec.raw") as recording:
        assert recording.sensor == SensorSize(240, 304)
        assert any("304x240 inferred" in note for note in recording.report.notes)
    wide = EventStream.from_arrays(
        [5, 9], [2000, 3], [800, 2], [1, 0], sensor=SensorSize(900, 2048)
    )
    (tmp_path / "wide.raw").write_bytes(header(EVT3, None, None) + evt3_words(wide))
    with open_recording(tmp_path / "wide.raw") as recording:
        assert recording.sensor == SensorSize(801, 2001)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "rec.raw",
            b"% format EVT4;height=24;width=40\n% end\n" + bytes(8),
            "EVT4 is none of EVT2",
        ),
        ("rec.raw", b"% evt 9.9\n" + bytes(8), "evt 9.9 is none of"),
        ("rec.raw", b"% date today\n" + bytes(8), "names no encoding"),
        ("rec.raw", b"% evt 3.0\n" + bytes(64), "no event"),
        ("rec.dat", b"% Version 2\n\x0e\x08" + bytes(8), "here is 0e 08"),
        ("rec.dat", b"% Version 2\n", "here is nothing"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=words) as caught:
        open_recording(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_second_opening_takes_the_cached_index(tmp_path: Path, monkeypatch) -> None:
    write_raw(tmp_path / "rec.raw", some_events(), name=EVT2)
    with open_recording(tmp_path / "rec.raw") as first:
        said = first.report
    monkeypatch.setattr("eventseg.recordings.prophesee.index.build_index", None)
    with open_recording(tmp_path / "rec.raw") as again:
        assert again.report == said
        assert rows(again.events()) == rows(some_events())


def test_file_that_shrinks_while_open_is_an_error(tmp_path: Path) -> None:
    write_raw(tmp_path / "rec.raw", some_events())
    with open_recording(tmp_path / "rec.raw") as recording:
        content = (tmp_path / "rec.raw").read_bytes()
        (tmp_path / "rec.raw").write_bytes(content[:500])
        with pytest.raises(RecordingError, match="cannot be read any more"):
            recording.events()


def outcome(path: Path) -> Counter[tuple[int, int, int, int]] | None:
    """Return the events of a damaged file, or None where one error refuses it."""
    try:
        with open_recording(path) as recording:
            report = recording.report
            for kind, found in report.found.items():
                skipped = sum(report.skipped.get(kind, {}).values())
                assert report.kept[kind] + skipped == found
            return Counter(rows(recording.events()))
    except RecordingError:
        return None


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [EVT3, EVT2, EVT21, "DAT"])
def test_file_cut_at_any_byte(tmp_path: Path, name: str, step: int) -> None:
    events = some_events(40)
    path = tmp_path / ("rec.dat" if name == "DAT" else "rec.raw")
    if name == "DAT":
        write_dat(path, events)
    else:
        write_raw(path, events, name=name)
    content, all_rows = path.read_bytes(), rows(events)
    known = 0
    for stop in range((len(content) - 1) % step, len(content), step):  # the last byte too
        path.write_bytes(content[:stop])
        found = outcome(path)
        if found is not None:
            assert found == Counter(all_rows[: found.total()])
            known = max(known, found.total())
    assert known == len(events) - 1


@pytest.mark.parametrize("flips", [60, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [EVT3, EVT2, EVT21, "DAT"])
def test_a_flipped_bit_changes_what_is_near_it_only(tmp_path: Path, name: str, flips: int) -> None:
    events = some_events(600, last_us=400_000)
    path = tmp_path / ("rec.dat" if name == "DAT" else "rec.raw")
    if name == "DAT":
        write_dat(path, events)
    else:
        write_raw(path, events, name=name)
    content, expected = path.read_bytes(), Counter(rows(events))
    first = len(content) - (600 * 8 if name == "DAT" else len(content) - len(header(name, *SENSOR)))
    rng = np.random.default_rng(8)
    for _ in range(flips):
        place, bit = int(rng.integers(first, len(content))), int(rng.integers(8))
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        found = outcome(path)
        assert found is not None
        near_us = 5_000 + (place - first) / (len(content) - first) * 395_000
        for lost in expected - found:
            assert abs(lost[0] - near_us) < 60_000, (place, bit, lost)
        assert (found - expected).total() <= 32, (place, bit)
        far = [wrong for wrong in found - expected if abs(wrong[0] - near_us) > 100_000]
        assert len(far) <= 1, (place, bit, far)
