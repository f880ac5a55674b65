"""Small DDD17 files built byte by byte, opened with their counts checked."""

from pathlib import Path

import numpy as np
from ddd17_files import Row, polarity, write_file

from eventseg.events import SensorSize
from eventseg.recordings import Recording, open_recording

SENSOR = SensorSize(4, 6)

FULL = 36 + 2 * 4 * 6

WRAP = 2**31


def opened(tmp_path: Path, rows: list[Row], **options: object) -> Recording:
    signals = options.pop("signals", None)
    path = write_file(tmp_path / "rec.hdf5", rows, signals=signals)  # type: ignore[arg-type]
    rec = open_recording(path, **{"sensor": SENSOR, **options})  # type: ignore[arg-type]
    assert_adds_up(rec)
    return rec


def assert_adds_up(rec: Recording) -> None:
    report = rec.report
    for kind, found in report.found.items():
        assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
    assert rec.n_events == report.kept["events"] == len(rec.events())
    assert rec.n_events == sum(len(part) for part in rec.stream(max_events=3))
    assert len(rec.frames) == report.kept["frames"]
    assert len(rec.imu()) == report.kept["imu"]
    assert len(rec.specials) == report.kept["specials"]


def times(rec: Recording) -> list[int]:
    return rec.events().t.tolist()


def dots(*stamps: int, **options: int) -> Row:
    """Events at pixel (1, 1) at these times."""
    return polarity([(t, 1, 1, 1) for t in stamps], **options)


def picture(seed: int, shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**16, shape)
