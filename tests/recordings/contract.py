"""The contract of a reader: what a recording of any format offers, given what was written."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from eventseg.encoding import encode
from eventseg.errors import EventsError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import FORMATS, Recording, open_recording
from eventseg.recordings.contents import IMU_DTYPE
from eventseg.windows import cut_windows, parse_anchor

SENSOR = SensorSize(12, 16)
N = 3_000


def written_events() -> EventStream:
    """Events with bursts of one microsecond, a gap above 100 ms and pixels at all borders."""
    rng = np.random.default_rng(5)
    t = np.sort(rng.integers(1_000, 400_000, N))
    t[500:560] = t[500]
    t[2_000:] += 300_000
    x, y = rng.integers(0, SENSOR.width, N), rng.integers(0, SENSOR.height, N)
    x[:2], y[:2] = (0, SENSOR.width - 1), (0, SENSOR.height - 1)
    return EventStream.from_arrays(t, x, y, rng.integers(0, 2, N), sensor=SENSOR)


def written_frames() -> tuple[list[int], np.ndarray]:
    """End of exposure in us and gray values of the frames, uint8 (F, H, W)."""
    rng = np.random.default_rng(6)
    return [50_000, 150_000, 250_000], rng.integers(0, 256, (3, *SENSOR), dtype=np.uint8)


def columns(events: EventStream) -> list[list[int]]:
    return [getattr(events, name).tolist() for name in "txyp"]


class ReaderContract:
    """Subclass it as ``TestNAME`` with a suffix and how to write a file of the format.

    ``write(path)`` writes :func:`written_events` and, if the format holds frames,
    :func:`written_frames`. Sensor times may be shifted as a whole by ``shift_us``.
    """

    suffix: str
    has_frames: bool
    shift_us = 0

    def write(self, path: Path) -> None:
        raise NotImplementedError

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        self.write(tmp_path / f"rec1{self.suffix}")
        return tmp_path / f"rec1{self.suffix}"

    @pytest.fixture
    def recording(self, path: Path) -> Recording:
        with open_recording(path, sensor=SENSOR) as recording:
            yield recording

    @pytest.fixture
    def written(self) -> EventStream:
        events = written_events()
        t = events.t + self.shift_us
        return EventStream.from_arrays(t, events.x, events.y, events.p, sensor=SENSOR)

    def test_events_are_those_written(self, recording: Recording, written: EventStream) -> None:
        events = recording.events()
        assert columns(events) == columns(written)
        assert [getattr(events, name).dtype.str for name in "txyp"] == ["<i8", "<u2", "<u2", "|i1"]
        assert recording.n_events == len(written)
        assert (recording.t_first_us, recording.t_last_us) == (written.t[0], written.t[-1])
        assert (recording.sensor, events.sensor) == (SENSOR, SENSOR)
        assert all(not getattr(events, name).flags.writeable for name in "txyp")

    def test_spans_are_half_open_and_as_asked(
        self, recording: Recording, written: EventStream
    ) -> None:
        rng = np.random.default_rng(0)
        cuts = np.sort(rng.choice(written.t, 20)).tolist()
        for t0_us, t1_us in [*pairwise(cuts), (cuts[3], cuts[3]), (cuts[3], cuts[3] + 1)]:
            events = recording.events(t0_us, t1_us)
            assert (events.t0_us, events.t1_us) == (t0_us, t1_us)
            assert columns(events) == columns(written.between(t0_us, t1_us))
        before = recording.events(recording.t_first_us - 100, recording.t_first_us)
        after = recording.events(recording.t_last_us + 1, recording.t_last_us + 100)
        assert len(before) == len(after) == 0
        with pytest.raises(EventsError, match="ends before it begins"):
            recording.events(cuts[5], cuts[4] - 1)

    def test_a_span_of_another_clock_is_no_empty_answer(self, recording: Recording) -> None:
        frames = recording.frames
        first_us = min([recording.t_first_us, *frames.t_start_us.tolist()])
        last_us = max([recording.t_last_us, *frames.t_end_us.tolist()])
        for begin_us in (first_us - 10**8, last_us + 10**8):
            for read in (recording.events, recording.imu):
                with pytest.warns(UserWarning, match=f"run from {first_us} to {last_us} us; add"):
                    assert len(read(begin_us, begin_us + 50_000)) == 0
            with pytest.warns(UserWarning, match=rf"\[{begin_us}, {begin_us + 9}\)"):
                assert [*map(len, recording.stream(t0_us=begin_us, t1_us=begin_us + 9))] == [0]

    @pytest.mark.parametrize("most", [1, 7, 50, N, 10 * N])
    def test_stream_tiles_the_span(
        self, recording: Recording, written: EventStream, most: int
    ) -> None:
        for t0_us, t1_us in ((None, None), (int(written.t[400]), int(written.t[900]) + 3)):
            parts = list(recording.stream(max_events=most, t0_us=t0_us, t1_us=t1_us))
            whole = recording.events(t0_us, t1_us)
            assert (parts[0].t0_us, parts[-1].t1_us) == (whole.t0_us, whole.t1_us)
            assert all(a.t1_us == b.t0_us for a, b in pairwise(parts))
            joined = [[v for part in parts for v in column(part)] for column in COLUMNS]
            assert joined == columns(whole)
            assert all(len(p) <= most or (p.t == p.t[0]).all() for p in parts)
        with pytest.raises(EventsError, match="max_events must be 1 or more"):
            recording.stream(max_events=0)

    def test_report_counts_everything(self, recording: Recording) -> None:
        report = recording.report
        for kind, found in report.found.items():
            skipped = sum(report.skipped.get(kind, {}).values())
            assert report.kept[kind] + skipped == found, kind
        assert report.kept["events"] == recording.n_events
        assert report.lines()

    def test_events_outside_a_given_sensor_are_counted(
        self, path: Path, written: EventStream
    ) -> None:
        smaller = SensorSize(SENSOR.height - 3, SENSOR.width - 2)
        inside = (written.x < smaller.width) & (written.y < smaller.height)
        with open_recording(path, sensor=smaller) as recording:
            assert recording.sensor == smaller
            assert recording.n_events == int(inside.sum()) == len(recording.events())
            assert sum(recording.report.skipped["events"].values()) == int((~inside).sum())

    def test_rotation_turns_events_and_frames(self, path: Path, written: EventStream) -> None:
        with open_recording(path, sensor=SENSOR, rotate180=True) as recording:
            events = recording.events()
            assert events.x.tolist() == (SENSOR.width - 1 - written.x.astype(int)).tolist()
            assert events.y.tolist() == (SENSOR.height - 1 - written.y.astype(int)).tolist()
            if self.has_frames:
                image = written_frames()[1][0][::-1, ::-1]
                assert recording.frames.image(0).tolist() == image.tolist()

    def test_frames(self, recording: Recording) -> None:
        frames = recording.frames
        with pytest.raises(IndexError, match="frame"):
            frames.image(len(frames))
        if not self.has_frames:
            assert len(frames) == 0
            return
        ends_us, images = written_frames()
        assert frames.t_us.tolist() == [end + self.shift_us for end in ends_us]
        assert all(frames.image(i).tolist() == images[i].tolist() for i in range(3))
        assert (frames.t_start_us <= frames.exposure_start_us).all()
        assert (frames.exposure_start_us <= frames.exposure_end_us).all()
        assert (frames.exposure_end_us <= frames.t_end_us).all()

    def test_what_every_recording_has(self, recording: Recording, path: Path) -> None:
        assert (recording.name, recording.path) == ("rec1", path)
        assert recording.imu().dtype == IMU_DTYPE
        assert recording.specials.dtype.names == ("t", "type", "data")
        assert isinstance(dict(recording.signals), dict)
        assert len(recording.epochs) >= 1
        assert len(repr(recording)) < 200
        assert len(repr(recording.frames)) < 200
        assert "<table" in recording._repr_html_()

    def test_encodes_and_cuts(self, recording: Recording, written: EventStream) -> None:
        windows = cut_windows(recording, anchor=parse_anchor("stride:50ms"), window_us=50_000)
        t0_us, t1_us = int(windows.t0_us[0]), int(windows.t1_us[0])
        tensor = encode(recording.events(t0_us, t1_us))
        inside = (written.t >= t0_us) & (written.t < t1_us)
        assert tensor[:2].sum() == int(inside.sum()) > 0

    def test_closed_pickled_and_threads(self, path: Path, written: EventStream) -> None:
        recording = open_recording(path, sensor=SENSOR)
        copy = pickle.loads(pickle.dumps(recording))
        with ThreadPoolExecutor(4) as pool:
            read = list(pool.map(lambda _: columns(recording.events()), range(8)))
        assert all(found == columns(written) for found in read)
        recording.close()
        recording.close()
        with pytest.raises(RecordingError, match="closed"):
            recording.events()
        assert columns(copy.events()) == columns(written)
        copy.close()

    def test_progress_ends_at_one(self, path: Path) -> None:
        shares: list[float] = []
        open_recording(path, progress=lambda now: shares.append(now.share)).close()
        assert shares == sorted(shares)
        assert shares[-1] == 1.0

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"no recording at all", bytes(range(256)) * 40, b"\x89HDF\r\n\x1a\n"],
    )
    def test_another_content_is_refused_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / f"other{self.suffix}"
        path.write_bytes(content)
        with pytest.raises(RecordingError) as caught:
            open_recording(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not any(each.recognises(path) for each in FORMATS[self.suffix])

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
    def test_a_cut_file_is_refused_or_reported(self, path: Path, share: float) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        try:
            recording = open_recording(path)
        except RecordingError as error:
            message = str(error)
        else:
            with recording:
                assert len(recording.events()) == recording.n_events
                report = recording.report
                assert report.skipped or report.notes or report.repaired
            return
        assert path.name in message
        assert "\n" not in message

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(RecordingError, match="no such file"):
            open_recording(tmp_path / f"missing{self.suffix}")

    def test_suffix_in_capitals(self, path: Path, written: EventStream) -> None:
        with open_recording(path.rename(path.with_suffix(self.suffix.upper()))) as recording:
            assert recording.n_events == len(written)


COLUMNS = [lambda part, name=name: getattr(part, name).tolist() for name in "txyp"]
