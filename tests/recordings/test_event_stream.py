"""Event Stream: records of two cameras, other kinds, and damage."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from recordings.es_files import atis_records, dvs_records, header_es, rows

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(240, 304)


def some_events(n: int = 300, *, step_us: int = 100) -> EventStream:
    rng = np.random.default_rng(n)
    t = 50 + np.sort(rng.integers(0, step_us * n, n))
    x, y = rng.integers(0, SENSOR.width, n), rng.integers(0, SENSOR.height, n)
    return EventStream.from_arrays(t, x, y, rng.integers(0, 2, n), sensor=SENSOR)


def test_records_without_events(tmp_path: Path, monkeypatch) -> None:
    events = some_events(2_000)
    path = tmp_path / "rec.es"
    path.write_bytes(header_es(1, SENSOR) + b"\xfe\xfe" + dvs_records(events) + b"\xff\xfe")
    monkeypatch.setattr("eventseg.recordings.event_stream.reader.BLOCK_BYTES", 1_001)
    for _again in range(2):  # the second time by the cached index
        with open_recording(path) as recording:
            assert rows(recording.events()) == rows(events)
            assert recording.sensor == SENSOR
    path.write_bytes(header_es(2, SENSOR) + atis_records(events))
    with open_recording(path) as recording:
        assert rows(recording.events()) == rows(events)
        assert "400 records of exposures, not read" in recording.report.notes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header_es(0, SENSOR) + bytes(99), "generic events without a place"),
        (header_es(4, SENSOR), "colours without a polarity"),
        (header_es(7, SENSOR), "unknown type 7"),
        (header_es(1, SENSOR, version=1), "of version 1; version 2 is read"),
        (header_es(1, SensorSize(0, 9)), "a sensor of 9x0"),
        (header_es(1, SENSOR)[:17], "no Event Stream"),
        (header_es(1, SENSOR), "no event and no frame"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "rec.es").write_bytes(content)
    with pytest.raises(RecordingError, match=words) as caught:
        open_recording(tmp_path / "rec.es")
    assert "\n" not in str(caught.value)


def outcome(path: Path) -> list[tuple[int, int, int, int]] | None:
    try:
        with open_recording(path) as recording:
            report = recording.report
            for kind, found in report.found.items():
                assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
            return rows(recording.events())
    except RecordingError:
        return None


def write(path: Path, events: EventStream, *, kind: int) -> bytes:
    records = dvs_records(events) if kind == 1 else atis_records(events, exposures=False)
    path.write_bytes(header_es(kind, SENSOR) + records)
    return path.read_bytes()


@pytest.fixture
def no_cache(monkeypatch):
    name = "eventseg.recordings.event_stream.reader.store_arrays"
    monkeypatch.setattr(name, lambda *_arguments, **_options: None)


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("kind", [1, 2])
def test_file_cut_at_any_byte(tmp_path: Path, kind: int) -> None:
    events = some_events(40)
    content = write(tmp_path / "rec.es", events, kind=kind)
    known = set()
    for stop in range(len(content)):
        (tmp_path / "rec.es").write_bytes(content[:stop])
        found = outcome(tmp_path / "rec.es")
        if found is not None:
            assert found == rows(events)[: len(found)]
            known.add(len(found))
    assert known == set(range(1, 40))


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("flips", [150, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [1, 2])
def test_a_flipped_bit_costs_few_events_and_at_most_a_step_of_time(
    tmp_path: Path, kind: int, flips: int
) -> None:
    """Times are sums of steps: behind a damaged one all are off by as much, and no reader can
    know; places and polarities are those written."""
    events = some_events(200)
    content = write(tmp_path / "rec.es", events, kind=kind)
    begin = len(header_es(kind, SENSOR))
    written = rows(events)
    rng = np.random.default_rng(5)
    for bit in rng.choice(8 * (len(content) - begin), flips, replace=False).tolist():
        damaged = bytearray(content)
        damaged[begin + bit // 8] ^= 1 << bit % 8
        (tmp_path / "rec.es").write_bytes(damaged)
        found = outcome(tmp_path / "rec.es")
        assert found is not None
        lost = Counter(row[1:] for row in written) - Counter(row[1:] for row in found)
        wrong = Counter(row[1:] for row in found) - Counter(row[1:] for row in written)
        assert lost.total() <= 3, bit
        assert wrong.total() <= 2, bit
        assert abs(found[-1][0] - written[-1][0]) <= 1_000, bit


def test_bytes_that_are_no_records_are_stepped_over(tmp_path: Path) -> None:
    events = some_events(100, step_us=20)
    content = dvs_records(events)
    assert len(content) == 5 * 100
    rubbish = struct.pack("<BHHB", 9, 60_000, 60_000, 33)[:3]
    (tmp_path / "rec.es").write_bytes(
        header_es(1, SENSOR) + content[:250] + rubbish + content[250:]
    )
    with open_recording(tmp_path / "rec.es") as recording:
        found = rows(recording.events())
        assert [row[1:] for row in found] == [row[1:] for row in rows(events)]
        assert any("3 bytes between records" in note for note in recording.report.notes)
