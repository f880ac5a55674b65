"""The sample table as columns is that of the rows, and faults have the errors of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventseg.dataset import table as tables
from eventseg.dataset.table import Row, SampleTable, read_rows, read_table, write_rows
from eventseg.errors import DatasetError

WINDOWS = ("10ms", "50ms")

NAMES = st.text("abé_-. \"',0", min_size=1, max_size=6).filter(lambda name: name not in (".", ".."))
NUMBERS = st.integers(-(2**63), 2**63 - 1)
ROWS = st.builds(
    Row, NAMES, NAMES, NUMBERS, NUMBERS, st.sampled_from(["train", "val", ""]),
    st.tuples(NUMBERS, NUMBERS), st.tuples(st.floats(0, 1), st.floats(allow_nan=False)),
)  # fmt: skip


def same(one: SampleTable, other: SampleTable) -> None:
    for name in ("ids", "recording", "split", "windows"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("frame", "t_us", "events", "covered"):
        found, expected = getattr(one, name), getattr(other, name)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(found, expected)


@given(rows=st.lists(ROWS, max_size=12, unique_by=lambda row: row.id), block=st.integers(1, 200))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_columns_are_those_of_the_rows(tmp_path: Path, rows: list[Row], block: int) -> None:
    path = tmp_path / "samples.csv"
    write_rows(path, rows, windows=WINDOWS)
    expected = SampleTable.from_rows(read_rows(path, windows=WINDOWS), windows=WINDOWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "BLOCK", block)
        same(read_table(path, windows=WINDOWS), expected)


SOUND = "id,recording,frame,t_us,split,events_10ms,events_50ms,covered_10ms,covered_50ms\n"
LINE = "a_f1,a,1,2,train,3,4,1.0,0.5\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SOUND + LINE + LINE, "1 sample ids occur more than once: a_f1"),
        (SOUND + LINE + "a_f2,a,1,2,train,3,4,1.0\n", "line 3"),
        (SOUND + "a_f2,a,1,2,train,3,4,1.0\n" + LINE[:-1] + ",7\n", "line 2"),
        (SOUND + "../a,a,1,2,train,3,4,1.0,0.5\n", "line 2: the name '../a'"),
        (SOUND + ".,a,1,2,train,3,4,1.0,0.5\n", "line 2: the name '.'"),
        (SOUND + "a_f1,C:a,1,2,train,3,4,1.0,0.5\n", "leads to another drive"),
        (SOUND + "a\x07,a,1,2,train,3,4,1.0,0.5\n", "control characters"),
        (SOUND + f"{'a' * 300},a,1,2,train,3,4,1.0,0.5\n", "has 300 bytes"),
        (SOUND + f"a_f1,a,1,{2**63},train,3,4,1.0,0.5\n", "does not fit into 64 bits"),
        (SOUND + "a_f1,a,1,x,train,3,4,1.0,0.5\n", "line 2: invalid literal"),
        (SOUND[:-3] + "\n" + LINE, "must begin with the columns"),
        ("", "must begin with the columns"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "samples.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message.replace("[", r"\[")):
        read_table(path, windows=WINDOWS)


def test_a_table_that_a_person_edited_is_read(tmp_path: Path) -> None:
    path = tmp_path / "samples.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (SOUND + "\n" + LINE + '"b",a,1,2,val,3,4,1,0\n\n').encode())
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_table(path, windows=WINDOWS).ids == ("a_f1", "b")
