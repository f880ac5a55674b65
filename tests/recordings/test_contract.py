"""The contract of readers, for all formats and a toy format of one file and one line."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from recordings.aedat2_files import (
    DVS128,
    davis_events,
    dvs128_events,
    frame_words,
    header2,
    packed,
)
from recordings.aedat3_files import event_rows, frame_row, header3, write_aedat3
from recordings.aedat4_files import events_content, frame_content, stream_xml, write_aedat4
from recordings.contract import SENSOR, ReaderContract, written_events, written_frames
from recordings.es_files import atis_records, dvs_records, header_es
from recordings.prophesee_files import EVT2, EVT3, EVT21, EVT21_LEGACY, write_dat, write_raw
from recordings.rosbag_files import (
    IMAGE,
    PACKET,
    image_message,
    messages,
    write_db3,
    write_mcap,
    write_topics1,
)
from recordings.toy_format import write_toy

from eventseg.errors import RecordingError
from eventseg.recordings import FORMATS, DDD17Writer, Format, open_recording

TOY = Format("toy text", "recordings.toy_format", "open_toy")


class TestDdd17(ReaderContract):
    suffix = ".hdf5"
    has_frames = True

    def write(self, path: Path) -> None:
        ends_us, images = written_frames()
        with DDD17Writer(path, sensor=SENSOR, reorder_us=2_000_000) as writer:
            writer.add_events(written_events())
            for end, image in zip(ends_us, images, strict=True):
                writer.add_frame(
                    image, t_start_us=end - 9_000, exposure_start_us=end - 8_000,
                    exposure_end_us=end, t_end_us=end + 1_000,
                )  # fmt: skip


class TestAedat4(ReaderContract):
    suffix = ".aedat4"
    has_frames = True

    def write(self, path: Path) -> None:
        events, (ends_us, images) = written_events(), written_frames()
        columns = events.t, events.x, events.y, events.p
        packets = [
            (0, events_content(*(column[k : k + 700] for column in columns)))
            for k in range(0, len(events), 700)
        ]
        for end, image in zip(ends_us, images, strict=True):
            stamps = (end, end - 9_000, end + 1_000, end - 8_000, end)
            packets.append((1, frame_content(image, t=stamps)))
        xml = stream_xml([(0, "EVTS", SENSOR, "A"), (1, "FRME", SENSOR, "A")])
        write_aedat4(path, packets, xml=xml, compression=1)


class TestAedat2(ReaderContract):
    suffix = ".aedat"
    has_frames = True

    def write(self, path: Path) -> None:
        ends_us, images = written_frames()
        words = davis_events(written_events(), SENSOR)
        for end, image in zip(ends_us, images, strict=True):
            # The end of the exposure is the first reading after it.
            begin = end - 8_000 - SENSOR.width + 1
            gray = image.astype(int) * 4
            words += frame_words(gray, start_us=begin, exposure_us=8_000, reset=1023)
        path.write_bytes(header2("") + packed(sorted(words, key=lambda word: word[0])))


class TestAedat2OfDvs128(ReaderContract):
    suffix = ".aedat"
    has_frames = False

    def write(self, path: Path) -> None:
        path.write_bytes(header2(DVS128) + packed(dvs128_events(written_events())))


class TestAedat3(ReaderContract):
    suffix = ".aedat"
    has_frames = True

    def write(self, path: Path) -> None:
        ends_us, images = written_frames()
        rows = event_rows(written_events())
        for end, image in zip(ends_us, images, strict=True):
            rows.append(frame_row(image, end, sensor=SENSOR))
        write_aedat3(path, rows, begin=header3("a camera"))


class TestEventStream(ReaderContract):
    suffix = ".es"
    has_frames = False

    def write(self, path: Path) -> None:
        path.write_bytes(header_es(1, SENSOR) + dvs_records(written_events()))


class TestEventStreamOfAtis(ReaderContract):
    suffix = ".es"
    has_frames = False

    def write(self, path: Path) -> None:
        path.write_bytes(header_es(2, SENSOR) + atis_records(written_events()))


class TestEvt3(ReaderContract):
    suffix = ".raw"
    has_frames = False
    coding = EVT3

    def write(self, path: Path) -> None:
        write_raw(path, written_events(), name=self.coding)


class TestEvt2(TestEvt3):
    coding = EVT2


class TestEvt21(TestEvt3):
    coding = EVT21


class TestEvt21Legacy(TestEvt3):
    coding = EVT21_LEGACY


class TestDat(ReaderContract):
    suffix = ".dat"
    has_frames = False

    def write(self, path: Path) -> None:
        write_dat(path, written_events())


class TestRosbagSqlite(ReaderContract):
    suffix = ".db3"
    has_frames = False

    def write(self, path: Path) -> None:
        write_db3(path, messages(written_events(), "libcaer", ros1=False))


class TestRosbag1(ReaderContract):
    suffix = ".bag"
    has_frames = True

    def write(self, path: Path) -> None:
        pictures = [
            image_message(picture, end, ros1=True, pad=3)
            for end, picture in zip(*written_frames(), strict=True)
        ]
        events = messages(written_events(), "mono", ros1=True)
        topics = {"/dvs/events": (PACKET, events), "/dvs/image_raw": (IMAGE, pictures)}
        write_topics1(path, topics)


class TestMcap(ReaderContract):
    suffix = ".mcap"
    has_frames = False

    def write(self, path: Path) -> None:
        write_mcap(path, messages(written_events(), "libcaer_cmp", ros1=False))


class TestHdf5Columns(ReaderContract):
    suffix = ".h5"
    has_frames = False

    def write(self, path: Path) -> None:
        events = written_events()
        with h5py.File(path, "w") as file:
            for name in "txyp":
                file.create_dataset(f"events/{name}", data=getattr(events, name), chunks=(500,))


class TestMvsec(ReaderContract):
    suffix = ".hdf5"
    has_frames = True

    def write(self, path: Path) -> None:
        events, (ends_us, images) = written_events(), written_frames()
        rows = np.stack([events.x, events.y, events.t / 1e6, events.p * 2 - 1], axis=1)
        with h5py.File(path, "w") as file:
            file["davis/left/events"] = rows.astype(np.float64)
            file.create_dataset(
                "davis/left/image_raw", data=images, chunks=(1, *SENSOR), compression="lzf"
            )
            file["davis/left/image_raw_ts"] = np.array(ends_us) / 1e6


class TestNpz(ReaderContract):
    suffix = ".npz"
    has_frames = False

    def write(self, path: Path) -> None:
        events = written_events()
        with path.open("wb") as file:
            np.savez(file, **{name: getattr(events, name) for name in "txyp"})


class TestNpy(ReaderContract):
    suffix = ".npy"
    has_frames = False

    def write(self, path: Path) -> None:
        events = written_events()
        with path.open("wb") as file:
            np.save(file, np.stack([getattr(events, name) for name in "xytp"], axis=1))


class TestText(ReaderContract):
    suffix = ".csv"
    has_frames = False

    def write(self, path: Path) -> None:
        events = written_events()
        columns = np.stack([getattr(events, name) for name in "txyp"], axis=1)
        np.savetxt(path, columns, fmt="%d", delimiter=",", header="t,x,y,p", comments="")


@pytest.fixture
def toy_suffix(monkeypatch):
    monkeypatch.setitem(FORMATS, ".toy", (TOY,))


@pytest.mark.usefixtures("toy_suffix")
class TestToy(ReaderContract):
    suffix = ".toy"
    has_frames = False

    def write(self, path: Path) -> None:
        write_toy(path, written_events())


def test_the_first_format_that_recognises_the_content_opens_it(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, ".hdf5", (*FORMATS[".hdf5"], TOY))
    write_toy(tmp_path / "toy.hdf5", written_events())
    with open_recording(tmp_path / "toy.hdf5") as recording:
        assert type(recording).__name__ == "ToyRecording"
    TestDdd17().write(tmp_path / "ddd.hdf5")
    with open_recording(tmp_path / "ddd.hdf5") as recording:
        assert type(recording).__name__ == "DDD17Recording"


def test_the_error_lists_what_was_tried_and_why_each_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, ".hdf5", (*FORMATS[".hdf5"], TOY))
    path = tmp_path / "other.hdf5"
    path.write_bytes(b"neither")
    with pytest.raises(RecordingError) as caught:
        open_recording(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: no reader recognises this file; tried DDD17 or DDD20 (")
    assert "not an HDF5 file" in text
    assert "toy text (no toy recording" in text
    assert "\n" not in text


def test_a_folder_is_named_as_one(tmp_path):
    with pytest.raises(RecordingError, match=r"is a folder: give a file that is a recording"):
        open_recording(tmp_path)


def test_an_unknown_suffix_lists_the_known_ones(tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, ".toy", (TOY,))
    with pytest.raises(RecordingError, match=r"'\.bin' is none of \.hdf5.*\.toy"):
        open_recording(tmp_path / "rec.bin")
    (tmp_path / "rec.bin").write_bytes(b"bag of words")
    with pytest.raises(RecordingError, match=r"begins with b'bag of words'$"):
        open_recording(tmp_path / "rec.bin")
    TestEvt3().write(tmp_path / "rec.bin")
    with pytest.raises(RecordingError, match="looks like Prophesee RAW or DAT: rename it"):
        open_recording(tmp_path / "rec.bin")
