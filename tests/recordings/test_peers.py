"""Independent readers of the package index read what ours reads; they are in the group bench."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings.aedat2_files import davis_events, header2, packed
from recordings.aedat3_files import event_rows, header3, write_aedat3
from recordings.ecf_files import ALL_PACKED, COLUMNS_PACKED, MASKED, write_ecf
from recordings.es_files import atis_records, dvs_records, header_es
from recordings.prophesee_files import EVT2, EVT3, EVT21_LEGACY, write_dat, write_raw
from recordings.rosbag_files import PACKET, PACKET_FIELDS, messages, write_db3
from recordings.test_ecf import some_events

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer, open_recording
from eventseg.recordings.contents import IMU_DTYPE
from eventseg.recordings.writers.convert import convert


def bursts() -> EventStream:
    rng = np.random.default_rng(1)
    t = np.repeat(np.sort(rng.integers(5_000, 300_000, 400)), 4)
    y = np.repeat(rng.integers(0, 480, 400), 4)
    x = (rng.integers(0, 620, 400)[:, None] + np.arange(0, 12, 3)).ravel()
    return EventStream.from_arrays(t, x, y, np.repeat(rng.integers(0, 2, 400), 4), sensor=SIZE)


SIZE = SensorSize(480, 640)
PICTURE = (np.arange(480 * 640).reshape(480, 640) % 251).astype(np.uint8)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # its open files
@pytest.mark.parametrize("kind", [EVT2, EVT3, "vectors", EVT21_LEGACY, "DAT"])
def test_evutils_reads_the_same(tmp_path: Path, kind: str) -> None:
    io = pytest.importorskip("evutils.io")
    path = tmp_path / ("rec.dat" if kind == "DAT" else "rec.raw")
    if kind == "DAT":
        write_dat(path, bursts())
    else:
        write_raw(
            path, bursts(), name=EVT3 if kind == "vectors" else kind, vectors=kind == "vectors"
        )
    theirs = io.EventReader(path).read_all()
    with open_recording(path) as recording:
        ours = recording.events()
    for name in "txyp":
        np.testing.assert_array_equal(getattr(ours, name), np.asarray(theirs[name]), err_msg=name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("version", [2, 3])
def test_evutils_reads_the_same_aedat(tmp_path: Path, version: int) -> None:
    """Of AEDAT 2 it returns the addresses as they stand: not mirrored, rows from the bottom."""
    io = pytest.importorskip("evutils.io")
    path = tmp_path / "rec.aedat"
    if version == 2:
        path.write_bytes(header2("Davis640") + packed(davis_events(bursts(), SIZE)))
    else:
        write_aedat3(path, event_rows(bursts()), begin=header3("DAVIS640"))
    theirs = io.EventReader(path).read_all()
    with open_recording(path) as recording:
        ours = recording.events()
    x, y = np.asarray(theirs["x"]).astype(int), np.asarray(theirs["y"]).astype(int)
    if version == 2:
        x, y = SIZE.width - 1 - x, SIZE.height - 1 - y
    for name, column in (("t", theirs["t"]), ("x", x), ("y", y), ("p", theirs["p"])):
        np.testing.assert_array_equal(getattr(ours, name), np.asarray(column), err_msg=name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_evutils_reads_the_same_columns(tmp_path: Path) -> None:
    io = pytest.importorskip("evutils.io")
    path = tmp_path / "rec.h5"
    with h5py.File(path, "w") as file:
        for name in "txyp":
            file[f"events/{name}"] = getattr(bursts(), name)
    theirs = io.EventReader(path).read_all()
    with open_recording(path, sensor=SIZE) as recording:
        ours = recording.events()
    for name in "txyp":
        np.testing.assert_array_equal(getattr(ours, name), np.asarray(theirs[name]), err_msg=name)


@pytest.mark.parametrize("kind", [EVT2, EVT3, "vectors", "DAT", "AEDAT 4", "DVS", "ATIS"])
def test_faery_reads_the_same(tmp_path: Path, kind: str) -> None:
    """Of Event Stream it counts rows from the bottom, which we leave as they stand."""
    faery = pytest.importorskip("faery")
    if kind == "DAT":
        write_dat(path := tmp_path / "rec.dat", bursts())
    elif kind == "AEDAT 4":
        path = written_aedat4(tmp_path / "rec.aedat4")
    elif kind in ("DVS", "ATIS"):
        records = dvs_records(bursts()) if kind == "DVS" else atis_records(bursts())
        path = tmp_path / "rec.es"
        path.write_bytes(header_es(("DVS", "ATIS").index(kind) + 1, SIZE) + records)
    else:
        name = EVT3 if kind == "vectors" else kind
        write_raw(path := tmp_path / "rec.raw", bursts(), name=name, vectors=kind == "vectors")
    theirs = faery.events_stream_from_file(path).to_array()
    with open_recording(path) as recording:
        ours = recording.events()
    y = SIZE.height - 1 - theirs["y"].astype(int) if kind in ("DVS", "ATIS") else theirs["y"]
    columns = {"t": theirs["t"], "x": theirs["x"], "y": y, "p": theirs["on"]}
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(ours, name), column, err_msg=name)


def test_rosbags_finds_the_same_messages(tmp_path: Path) -> None:
    """Our own reader of ROS 2 bags in SQLite; the words are decoded by NumPy."""
    highlevel = pytest.importorskip("rosbags.highlevel")
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    path = tmp_path / "rec.db3"
    write_db3(path, messages(bursts(), "libcaer", ros1=False))
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg(PACKET_FIELDS, PACKET))
    parts = []
    with highlevel.AnyReader([path], default_typestore=store) as reader:
        for connection, _, raw in reader.messages(
            [each for each in reader.connections if each.msgtype == PACKET]
        ):
            message = reader.deserialize(raw, connection.msgtype)
            words = np.frombuffer(message.events, "<u4").reshape(-1, 2).astype(np.int64)
            t = message.time_base // 1_000 + words[:, 1]
            places = [words[:, 0] >> shift & mask for shift, mask in ((17, 0x7FFF), (2, 0x7FFF))]
            parts.append(np.stack([t, *places, words[:, 0] >> 1 & 1]))
    with open_recording(path) as recording:
        ours = recording.events()
    for name, column in zip("txyp", np.concatenate(parts, axis=1), strict=True):
        np.testing.assert_array_equal(getattr(ours, name), column, err_msg=name)


def written_aedat4(path: Path) -> Path:
    """A recording with a frame, inertial samples and special events, as `convert` writes it."""
    with DDD17Writer(path.with_suffix(".hdf5"), sensor=SIZE) as writer:
        writer.add_events(bursts())
        stamps = (100_000, 101_000, 111_000, 112_000)
        names = ("t_start_us", "exposure_start_us", "exposure_end_us", "t_end_us")
        writer.add_frame(PICTURE, **dict(zip(names, stamps, strict=True)))
        imu = np.zeros(3, IMU_DTYPE)
        imu["t"], imu["ax"], imu["gz"] = [50_000, 60_000, 150_000], [0.5, 1, 2], [3, 4, 5]
        imu["temperature"] = 30
        writer.add_imu(imu)
        writer.add_specials([70_000, 80_000], [2, 3], 0)
    convert(path.with_suffix(".hdf5"), path)
    return path


def test_aedat_reads_what_convert_writes(tmp_path: Path) -> None:
    theirs = pytest.importorskip("aedat")
    events, frames, imu, triggers = [], [], [], []
    for packet in theirs.Decoder(str(written_aedat4(tmp_path / "rec.aedat4"))):
        events += [packet["events"]] if "events" in packet else []
        frames += [packet["frame"]] if "frame" in packet else []
        imu += [packet["imus"]] if "imus" in packet else []
        triggers += [packet["triggers"]] if "triggers" in packet else []
    found = np.concatenate(events)
    for name, column in zip("txyp", found.dtype.names, strict=True):
        np.testing.assert_array_equal(found[column], getattr(bursts(), name))
    (frame,) = frames
    np.testing.assert_array_equal(frame["pixels"], PICTURE)
    stamps = [frame[f"{name}_t"] for name in ("begin", "exposure_begin", "exposure_end", "end")]
    assert stamps == [100_000, 101_000, 111_000, 112_000]
    samples = np.concatenate(imu)
    assert samples["t"].tolist() == [50_000, 60_000, 150_000]
    assert samples["accelerometer_x"].tolist() == [0.5, 1, 2]
    assert samples["gyroscope_z"].tolist() == [3, 4, 5]
    assert np.concatenate(triggers).tolist() == [(70_000, 1), (80_000, 2)]


def test_dv_processing_reads_what_convert_writes(tmp_path: Path) -> None:
    """It takes the index at the end of the file, which the others do not need."""
    dv = pytest.importorskip("dv_processing")
    path = str(written_aedat4(tmp_path / "rec.aedat4"))
    opened = dv.io.MonoCameraRecording(path)
    assert opened.getEventResolution() == (SIZE.width, SIZE.height)
    first, last = opened.getTimeRange()
    assert (first, last) == (int(bursts().t[0]), int(bursts().t[-1]))
    batches = []
    while (batch := opened.getNextEventBatch()) is not None:
        batches.append(batch.numpy())
    found = np.concatenate(batches)
    for name, column in zip("txyp", found.dtype.names, strict=True):
        np.testing.assert_array_equal(found[column], getattr(bursts(), name))
    frame = dv.io.MonoCameraRecording(path).getNextFrame()
    np.testing.assert_array_equal(frame.image, PICTURE)
    samples = dv.io.MonoCameraRecording(path).getNextImuBatch()
    assert [sample.accelerometerX for sample in samples] == [0.5, 1, 2]
    triggers = dv.io.MonoCameraRecording(path).getNextTriggerBatch()
    assert [trigger.timestamp for trigger in triggers] == [70_000, 80_000]


@pytest.mark.parametrize("kind", [1, 2])
def test_event_stream_reads_the_same(tmp_path: Path, kind: int) -> None:
    theirs = pytest.importorskip("event_stream")
    path = tmp_path / "rec.es"
    records = dvs_records(bursts()) if kind == 1 else atis_records(bursts())
    path.write_bytes(header_es(kind, SIZE) + records)
    with theirs.Decoder(str(path)) as decoder:
        found = np.concatenate(list(decoder))
    on = "on" if kind == 1 else "polarity"
    if kind == 2:
        found = found[~found["exposure"]]
    with open_recording(path) as recording:
        ours = recording.events()
    for name, column in (("t", "t"), ("x", "x"), ("y", "y"), ("p", on)):
        np.testing.assert_array_equal(getattr(ours, name), found[column], err_msg=name)


@pytest.mark.parametrize("kind", ["all packed", "columns packed", "masked"])
def test_evlib_reads_the_same_ecf(tmp_path: Path, kind: str) -> None:
    """It refuses some chunks of ours that its published layout allows: those of other steps."""
    evlib = pytest.importorskip("evlib")
    code = {"all packed": ALL_PACKED, "columns packed": COLUMNS_PACKED, "masked": MASKED}[kind]
    path = write_ecf(tmp_path / "rec.h5", some_events(3_000), kind=code)
    theirs = evlib.load_events(str(path)).collect()
    with open_recording(path) as recording:
        ours = recording.events()
    t = theirs["t"].dt.total_microseconds().to_numpy()
    polarity = theirs["polarity"].to_numpy() > 0
    columns = {"t": t, "x": theirs["x"].to_numpy(), "y": theirs["y"].to_numpy(), "p": polarity}
    for name, column in columns.items():
        np.testing.assert_array_equal(getattr(ours, name), column, err_msg=name)
