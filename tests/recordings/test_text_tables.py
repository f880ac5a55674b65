"""Columns of events in text: headers, separators, digits, damaged lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings.table_fixtures import EVENTS, SENSOR, read, rows, table

from eventseg.errors import RecordingError
from eventseg.recordings import open_recording


def test_texts_of_several_tools(tmp_path: Path) -> None:
    lines = rows(EVENTS)
    texts = {
        "uzh": "".join(f"{t // 10**6}.{t % 10**6:06d}000 {x} {y} {p}\n" for t, x, y, p in lines),
        "e2vid": "40 24\n" + "".join(f"{t / 1e6:.6f} {x} {y} {p}\n" for t, x, y, p in lines),
        "prophesee": "".join(f"{x},{y},{p},{t}\r\n" for t, x, y, p in lines),
        "dv": "\ufefftimestamp, x, y, polarity\n"
        + "".join(f"{t}, {x}, {y}, {p}\n" for t, x, y, p in lines),
        "named ns": "t_ns;x;y;p\n"
        + "".join(f"{t * 1000};{x};{y};{2 * p - 1}\n" for t, x, y, p in lines),
        "exponents": "# by hand\n"
        + "".join(f"{t / 1e6:.9e}\t{x}\t{y}\t{p}\n" for t, x, y, p in lines).rstrip("\n"),
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.csv"
        path.write_bytes(text.encode())
        found, said = read(path)
        assert found == lines, name
        assert ("sensor 40x24 from the file" in said) == (name == "e2vid")


def test_long_text_is_read_in_blocks_of_whole_lines(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("eventseg.recordings.table.text.BLOCK_BYTES", 1_000)
    np.savetxt(tmp_path / "rec.csv", table(*"txyp"), fmt="%d", delimiter=",")
    found, said = read(tmp_path / "rec.csv")
    assert found == rows(EVENTS)
    blocks = int(said.partition("packets: ")[2].partition(" of")[0])
    assert blocks > 20


def test_nanoseconds_since_1970_keep_their_digits(tmp_path: Path) -> None:
    begin = 1_643_243_628_737_093
    lines = "".join(f"{(begin + t) * 1000 + 7} {x} {y} {p}\n" for t, x, y, p in rows(EVENTS))
    (tmp_path / "rec.txt").write_text("t_ns x y p\n" + lines)
    assert [t for t, *_ in read(tmp_path / "rec.txt")[0]] == (EVENTS.t + begin).tolist()
    short = "".join(f"{begin + t}.007 {x} {y} {p}\n" for t, x, y, p in rows(EVENTS))
    (tmp_path / "us.txt").write_text("t_us x y p\n" + short)
    assert [t for t, *_ in read(tmp_path / "us.txt")[0]] == (EVENTS.t + begin).tolist()


@pytest.mark.parametrize(
    ("begin_us", "per_us"),
    [
        (1_468_939_802_000_000, 1e-6),
        (1_468_939_802_000_000, 1),
        (1_468_939_802_000_000, 1e-3),
        (12_000_000_000, 1e-6),
        (12_000_000_000, 1),
        (5_000_000_000_000, 1),
        (-40_000, 1e-6),
    ],
)
def test_the_default_format_of_numpy_keeps_microseconds(
    tmp_path: Path, begin_us: int, per_us: float
) -> None:
    t = (EVENTS.t + begin_us) / round(1 / per_us)
    columns = [t, *(getattr(EVENTS, name).astype(float) for name in "xyp")]
    named = "t_ms x y p" if per_us == 1e-3 else ""
    np.savetxt(tmp_path / "rec.txt", np.stack(columns, axis=1), header=named)
    found, said = read(tmp_path / "rec.txt")
    assert found == [(t + begin_us, x, y, p) for t, x, y, p in rows(EVENTS)]
    assert "skipped" not in said.partition("events:")[2].partition("\n")[0]


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("quotes", ["", '"'])
@pytest.mark.parametrize("first", [0, 0.5])
def test_index_without_a_name_is_left_out(
    tmp_path: Path, separator: str, quotes: str, first: float
) -> None:
    names = ["", "t", "x", "y", "p"]
    lines = [[first + k, *row] for k, row in enumerate(rows(EVENTS))]
    text = [separator.join(f"{quotes}{name}{quotes}" for name in names)]
    text += [separator.join(map(str, line)) for line in lines]
    (tmp_path / "rec.csv").write_text("\n".join(text) + "\n")
    found, said = read(tmp_path / "rec.csv")
    assert found == rows(EVENTS)
    assert "the first column, which has no name, is left out" in said


def test_names_that_are_empty(tmp_path: Path) -> None:
    lines = rows(EVENTS)
    full = "".join(f"{t},{x},5,{y},{p}\n" for t, x, y, p in lines)
    (tmp_path / "between.csv").write_text("t,x,,y,p\n" + full)
    with pytest.raises(RecordingError, match="must be the first four columns"):
        open_recording(tmp_path / "between.csv")
    less = "".join(f",{t},{x},{y},{p},\n" for t, x, y, p in lines)
    (tmp_path / "without.csv").write_text(",t,x,y,p,\n" + less)
    assert read(tmp_path / "without.csv")[0] == lines
    aligned = "".join(f"{t:9} {x:4} {y:4} {p:2}\n" for t, x, y, p in lines)
    (tmp_path / "aligned.txt").write_text(f"{'t':>9} {'x':>4} {'y':>4} {'p':>2}\n" + aligned)
    assert read(tmp_path / "aligned.txt")[0] == lines


def test_damaged_lines_are_counted(tmp_path: Path) -> None:
    lines = [f"{t},{x},{y},{p}" for t, x, y, p in rows(EVENTS)]
    bad = ["", "1,2,3", "a,b,c,d", "5,6,7,8x", "-,1,1,1", "1e,1,1,1", "9" * 30 + ",1,1,1"]
    (tmp_path / "rec.csv").write_text("\n".join([*lines[:1_000], *bad, *lines[1_000:]]) + "\n\n")
    found, said = read(tmp_path / "rec.csv")
    assert found == rows(EVENTS)
    assert f"skipped {len(bad) - 1}: lines that are no four numbers" in said


@pytest.mark.parametrize("extra", [b"\xa6", b"\xe4\xf6", b"\xff\xfe"])
def test_a_name_of_a_column_that_is_no_utf8_is_a_name(tmp_path: Path, extra: bytes) -> None:
    path = tmp_path / "rec.csv"
    path.write_bytes(b"t,x,y,p," + extra + b"\n1000,0,3,1,7\n1366,15,11,0,7\n")
    with open_recording(path, sensor=SENSOR) as recording:
        assert recording.events().x.tolist() == [0, 15]
    path.write_bytes(extra + b",t,x,y,p\n7,1000,0,3,1\n7,1366,15,11,0\n")
    with pytest.raises(RecordingError, match="must be the first four columns"):
        open_recording(path, sensor=SENSOR)
