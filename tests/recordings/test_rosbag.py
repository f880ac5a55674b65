"""ROS bags: encodings, containers, lost and damaged messages, a real camera's rollover."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest
from recordings.rosbag_files import (
    ARRAY,
    ARRAY_FIELDS,
    EVENT,
    HEADER,
    PACKET,
    PACKET_FIELDS,
    array,
    messages,
    packet,
    pieces,
    rows,
    some_events,
    write_bag,
    write_db3,
    write_mcap,
)

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(24, 40)
REAL = Path(__file__).parents[2] / "shared/data/events"


def read(path: Path, **options) -> list[tuple[int, int, int, int]]:
    with open_recording(path, **options) as recording:
        report = recording.report
        for kind, found in report.found.items():
            assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
        return rows(recording.events())


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real recordings")
def test_real_packets_equal_their_twin_across_the_rollover() -> None:
    with (
        open_recording(REAL / "libcaer_rollover_0.db3") as bag,
        open_recording(REAL / "libcaer_rollover_real_in_ddd_layout.hdf5") as twin,
    ):
        events, other = bag.events(), twin.events()
        assert (len(events), bag.sensor) == (334_331, SensorSize(480, 640))
        assert len(set((events.t - other.t).tolist())) == 1
        for name in "xyp":
            np.testing.assert_array_equal(getattr(events, name), getattr(other, name))


ENCODINGS = ("mono", "libcaer", "libcaer_cmp", "evt3")


@pytest.mark.parametrize(
    ("container", "encoding"),
    [
        *((container, each) for container in ("db3", "bag") for each in (*ENCODINGS, "array")),
        *(("mcap", each) for each in ENCODINGS),
    ],
)
def test_each_encoding_in_each_container(tmp_path: Path, encoding: str, container: str) -> None:
    events = some_events(SENSOR, 1_500)
    path, kind = tmp_path / f"rec.{container}", ARRAY if encoding == "array" else PACKET
    if container != "db3":
        pytest.importorskip("rosbags")
    contents = messages(events, encoding, ros1=container == "bag")
    fields = ARRAY_FIELDS if encoding == "array" else PACKET_FIELDS
    if container == "db3":
        write_db3(path, contents, kind=kind)
    elif container == "bag":
        more = HEADER + (EVENT if encoding == "array" else "")
        write_bag(path, contents, kind=kind, fields=fields + more)
    else:
        write_mcap(path, contents)
    assert read(path) == rows(events)
    with open_recording(path) as recording:
        assert recording.sensor == SENSOR
        begin_us, end_us = int(events.t[700]), int(events.t[1_100])
        assert rows(recording.events(begin_us, end_us)) == rows(events.between(begin_us, end_us))


def test_single_events_at_each_alignment(tmp_path: Path) -> None:
    """A longer name before them moves all numbers of CDR."""
    for length in range(9):
        for count in (0, 1, 2, 3, 50):
            events = some_events(SENSOR, 50)
            part = pieces(events, count)[0] if count else pieces(events)[0]
            contents = [array(part, frame="c" * length), array(events)]
            path = tmp_path / f"{length}-{count}.db3"
            write_db3(path, contents, kind=ARRAY)
            assert sorted(read(path)) == sorted(rows(part) + rows(events))


def test_libcaer_wraps_inside_a_message_but_not_for_disorder(tmp_path: Path) -> None:
    word = 3 << 17 | 2 << 2 | 3
    us = [2**31 - 3, 2**31 - 1, 2**31 - 2, 0, 5]
    raw = b"".join(struct.pack("<II", word, t) for t in us)
    event = some_events(SENSOR, 1)
    write_db3(
        tmp_path / "rec.db3", [packet(event, sequence=1, encoding="libcaer", content=(0, raw))]
    )
    top = 2**31
    assert [t for t, *_ in read(tmp_path / "rec.db3")] == [top - 3, top - 2, top - 1, top, top + 5]


def test_vectors_of_libcaer_cmp_go_along_rows(tmp_path: Path) -> None:
    words = [0x0001, 0x1002, 0x2007, 0x4000 | 0x800 | 4, 0x5000 | 0b1000_0001, 0x5001]
    raw = struct.pack("<6H", *words)
    content = [packet(some_events(SENSOR, 1), sequence=1, encoding="libcaer_cmp", content=(0, raw))]
    write_db3(tmp_path / "rec.db3", content)
    assert read(tmp_path / "rec.db3") == [(4098, 7, y, 1) for y in (4, 11, 12)]


def test_lost_message_of_evt3_costs_what_follows_without_a_time(tmp_path: Path) -> None:
    words = [0x8001, 0x6005, 0x0003, 0x2001]
    later = [0x2002, 0x8002, 0x2003, 0x0004, 0x2005]
    event = some_events(SENSOR, 1)
    contents = [
        packet(event, sequence=k, encoding="evt3", content=(0, struct.pack(f"<{len(w)}H", *w)))
        for k, w in ((4, words), (6, later))
    ]
    write_db3(tmp_path / "rec.db3", contents)
    with open_recording(tmp_path / "rec.db3") as recording:
        assert rows(recording.events()) == [(4101, 1, 3, 0), (8192, 5, 4, 0)]
        assert sum(recording.report.skipped["events"].values()) == 2
        assert recording.report.repaired == {
            "messages that never reached the bag, by their numbers": 1
        }


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: raw[:30], "it ends too early"),
        (lambda raw: b"\x07" + raw[1:], "does not begin as CDR does"),
        (lambda raw: raw[:-9], "bytes of events"),
        (lambda raw: raw.replace(b"libcaer", b"libcxer"), "the encoding 'libcxer' is none of"),
        (lambda raw: raw[:12] + b"\xff\xff\xff\x7f" + raw[16:], "a text of"),
    ],
)
def test_damaged_message_costs_itself(tmp_path: Path, damage, words: str) -> None:
    events = some_events(SENSOR, 1_200)
    contents = messages(events, "libcaer", ros1=False)
    contents[1] = damage(contents[1])
    write_db3(tmp_path / "rec.db3", contents)
    with open_recording(tmp_path / "rec.db3") as recording:
        assert rows(recording.events()) == rows(events)[:400] + rows(events)[800:]
        ((reason, count),) = recording.report.skipped["packets"].items()
        assert words in reason
        assert count == 1


def test_messages_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    events = some_events(SENSOR, 1_600)
    contents = messages(events, "mono", ros1=False)
    write_db3(tmp_path / "rec.db3", [contents[k] for k in (1, 0, 3, 2)])
    assert read(tmp_path / "rec.db3") == rows(events)
    with open_recording(tmp_path / "rec.db3") as recording:
        parts = [row for part in recording.stream(max_events=50) for row in rows(part)]
        assert parts == rows(events)


def test_bags_without_events_and_of_other_fields_are_refused(tmp_path: Path) -> None:
    write_db3(tmp_path / "rec.db3", [b"x"], kind="sensor_msgs/msg/Image")
    with pytest.raises(RecordingError, match="its types are sensor_msgs/msg/Image"):
        open_recording(tmp_path / "rec.db3")
    write_db3(tmp_path / "none.db3", [])
    with pytest.raises(RecordingError, match="no event"):
        open_recording(tmp_path / "none.db3")
    pytest.importorskip("rosbags")
    fields = PACKET_FIELDS.replace("uint32 height\nuint32 width", "uint32 width\nuint32 height")
    write_bag(tmp_path / "rec.bag", [b"x" * 80], kind=PACKET, fields=fields + HEADER)
    with pytest.raises(RecordingError, match="are not those of the known message"):
        open_recording(tmp_path / "rec.bag")
    plain = tmp_path / "plain.db3"
    sqlite3.connect(plain).execute("CREATE TABLE other(id INTEGER)").connection.close()
    with pytest.raises(RecordingError, match="no table of topics"):
        open_recording(plain)


@pytest.mark.parametrize(
    ("table", "key"),
    [("topics", None), *((name, key) for name in ("topics", "messages") for key in ("two", b"2"))],
)
def test_a_row_whose_key_is_no_number_is_one_line(tmp_path: Path, table: str, key: object) -> None:
    path = tmp_path / "rec.db3"
    write_db3(path, messages(some_events(SENSOR, 600), "mono", ros1=False))
    with sqlite3.connect(path) as base:  # a table of the same rows, whose keys may be anything
        base.execute(f"CREATE TABLE copied AS SELECT * FROM {table}")
        base.execute(f"DROP TABLE {table}")
        base.execute(f"ALTER TABLE copied RENAME TO {table}")
        base.execute(f"UPDATE {table} SET id = ? WHERE id = 2", (key,))
    base.close()
    with pytest.raises(RecordingError, match="the database is damaged: the key of a row is "):
        open_recording(path)


def test_all_publishers_of_a_topic_are_read(tmp_path: Path) -> None:
    writer = pytest.importorskip("rosbags.rosbag1").Writer
    events = some_events(SENSOR, 600)
    contents = messages(events, "array", ros1=True)
    with writer(tmp_path / "rec.bag") as bag:
        publishers = [
            bag.add_connection(
                "/dvs/events", ARRAY, msgdef=ARRAY_FIELDS + HEADER + EVENT, md5sum="0" * 32,
                callerid=name,
            )
            for name in ("/one", "/two")
        ]  # fmt: skip
        for k, content in enumerate(contents):
            bag.write(publishers[k % 2], 1_000 + k, content)
    assert len(contents) > 1
    assert read(tmp_path / "rec.bag", camera="/dvs/events") == rows(events)


def test_sizes_that_differ_or_are_missing(tmp_path: Path) -> None:
    events = some_events(SENSOR, 600)
    other = EventStream.from_arrays([1], [2], [3], [1], sensor=SensorSize(100, 100))
    one, two = messages(events, "mono", ros1=False)
    write_db3(tmp_path / "rec.db3", [one, packet(other, sequence=11, encoding="mono")])
    with pytest.raises(RecordingError, match="sensors of 40x24 and 100x100; give the size"):
        open_recording(tmp_path / "rec.db3")
    assert len(read(tmp_path / "rec.db3", sensor=SENSOR)) == 401
    silent = [raw.replace(struct.pack("<II", *SENSOR), bytes(8)) for raw in (one, two)]
    write_db3(tmp_path / "silent.db3", silent)
    with open_recording(tmp_path / "silent.db3") as recording:
        assert recording.sensor == SENSOR
        assert any("inferred" in note for note in recording.report.notes)


@pytest.mark.parametrize("container", ["db3", "bag", "mcap"])
def test_file_cut_anywhere_is_an_error_or_a_part(tmp_path: Path, container: str) -> None:
    events = some_events(SENSOR, 900)
    path = tmp_path / f"rec.{container}"
    contents = messages(events, "libcaer", ros1=container == "bag")
    if container == "db3":
        write_db3(path, contents)
    else:
        pytest.importorskip("rosbags")
        if container == "bag":
            write_bag(path, contents, kind=PACKET, fields=PACKET_FIELDS + HEADER)
        else:
            write_mcap(path, contents)
    content, expected = path.read_bytes(), set(rows(events))
    for stop in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:stop])
        try:
            assert set(read(path)) <= expected
        except RecordingError as error:
            text = str(error)
            assert path.name in text
            assert "\n" not in text
