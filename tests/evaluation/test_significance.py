"""The paired test on rows: same samples, seeds, notes, and the file of the samples' matrices."""

from __future__ import annotations

import doctest
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eventseg.errors import OutputError, TrainingError
from eventseg.evaluation import Row, paired_test, read_sample_scores
from eventseg.evaluation import blocks as blocks_module
from eventseg.evaluation import significance as significance_module
from eventseg.evaluation.report.tables import note_of, rules_of, summary_rows
from eventseg.evaluation.sample_scores import write_sample_scores
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.metrics import bootstrap as bootstrap_module
from eventseg.metrics import paired_bootstrap

TABLE = ClassTable(("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (255, 255, 255)))


def rows_of(count: int, *, drives: int = 1, samples: int = 60, seed: int = 0) -> list[Row]:
    """Return rows of one truth, each right with its own chance."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(5, 50, (samples, 3))
    ids = tuple(f"s{i}" for i in range(samples))
    sequences = tuple(f"drive{i % drives}" for i in range(samples))
    times_us = np.arange(samples) * 3_000_000
    rows = []
    for number in range(count):
        matrices = np.zeros((samples, 3, 3), np.int64)
        for i, k in np.ndindex(samples, 3):
            chances = np.roll([0.6 + 0.05 * number, 0.2, 0.2 - 0.05 * number], k)
            matrices[i, k] = rng.multinomial(truth[i, k], chances)
        rows.append(Row(f"net{number}", "50ms", ids, sequences, matrices, TABLE, times_us=times_us))
    return rows


def chosen(row: Row, indices: np.ndarray) -> Row:
    return replace(
        row,
        ids=tuple(row.ids[i] for i in indices),
        sequences=tuple(row.sequences[i] for i in indices),
        matrices=row.matrices[indices],
        times_us=None if row.times_us is None else row.times_us[indices],
    )


@pytest.mark.parametrize(("drives", "blocks"), [(1, 18), (7, 7)])
def test_paired_test_draws_blocks_of_the_samples(drives: int, blocks: int) -> None:
    first, second = rows_of(2, drives=drives)
    found = paired_test(first, second, repeats=300)
    # 3 s apart in 10 s from the first: 4, 3 and 3 samples; or the drives in the order of names.
    places = (
        np.arange(60) * 3 // 10 if drives == 1 else np.array([int(s[-1]) for s in first.sequences])
    )
    sums = [
        np.array([row.matrices[places == place].sum(0) for place in range(blocks)])
        for row in (first, second)
    ]
    expected = paired_bootstrap(sums[0][None], sums[1][None], seed=0, repeats=300)
    assert found.differences == expected
    assert found.blocks.startswith(str(blocks))
    assert ("drive0 only" in found.note) == (drives == 1)
    assert "one training of net0 and of net1" in found.note


def test_order_of_samples_does_not_matter() -> None:
    first, second, third = rows_of(3)
    order = np.random.default_rng(1).permutation(60)
    plain = paired_test([first, second], third, repeats=200)
    again = paired_test([chosen(first, order), second], chosen(third, order[::-1]), repeats=200)
    assert again == plain
    assert plain.seeds == (2, 1)
    assert "one training of net2: another seed may differ" in plain.note
    assert plain.first == "net0, net1"


def test_only_common_samples_are_used() -> None:
    first, second = rows_of(2)
    found = paired_test(chosen(first, np.arange(50)), chosen(second, np.arange(10, 60)))
    both = np.arange(10, 50)
    alone = paired_test(chosen(first, both), chosen(second, both))
    assert (found.samples, found.differences) == (40, alone.differences)
    assert "only the 40 samples in common are used (50 of net0, 50 of net1)" in found.note
    assert "samples in common" not in alone.note
    assert found.miou.first == pytest.approx(chosen(first, both).scores.miou_truth)


def test_json_has_no_nan() -> None:
    first, second = (replace(row, matrices=row.matrices.copy()) for row in rows_of(2))
    for row in (first, second):
        row.matrices[:, 2] = 0
    found = paired_test(first, second).to_dict()
    assert set(found["iou"]["c"].values()) == {None}
    assert found["iou"]["a"]["p_value"] > 0


def test_rows_that_do_not_fit_are_refused() -> None:
    first, second = rows_of(2)
    table = load_class_table("evsegnet6")
    doubled = replace(first, ids=first.ids[:1] * 60)
    for other, words in (
        ([], "needs a row of each run"),
        (replace(second, classes=table), "net0 is scored in the classes a, b, c, net1 in"),
        (replace(second, ids=tuple(f"x{i}" for i in range(60))), "no sample is common"),
        (replace(second, matrices=second.matrices + 1), "true pixels of 60 of 60 samples differ"),
        (doubled, "samples of one name"),
    ):
        with pytest.raises(TrainingError, match=words):
            paired_test(first, other)


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_damage_to_the_file_of_matrices_is_one_line_or_changes_nothing(
    tmp_path: Path, step: int
) -> None:
    rows = rows_of(1, samples=6)
    path = write_sample_scores(tmp_path, rows)
    totals = [{"confusion": row.matrices.sum(0).tolist()} for row in rows]
    (tmp_path / "scores.json").write_text(json.dumps({"rows": totals}))
    whole = path.read_bytes()
    damaged = [whole[:end] for end in range(0, len(whole), 7)]
    for place in range(0, len(whole), step):
        # 99 in the place of a compression method is one that no zip file has here.
        damaged += [whole[:place] + bytes([value]) + whole[place + 1 :] for value in (99, 255)]
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            (found,) = read_sample_scores(tmp_path)
        except TrainingError:
            refused += 1
            continue
        np.testing.assert_array_equal(found.matrices, rows[0].matrices)
    assert len(damaged) // 4 < refused < len(damaged)


@pytest.mark.parametrize("known", [True, False])
def test_matrices_of_samples_are_kept(tmp_path: Path, known: bool) -> None:
    rows = [replace(row, times_us=row.times_us if known else None) for row in rows_of(2)]
    write_sample_scores(tmp_path, rows)
    with pytest.raises(TrainingError, match=r"cannot read .*scores\.json"):
        read_sample_scores(tmp_path)
    totals = [{"confusion": row.matrices.sum(0).tolist()} for row in rows]

    # As an editor saves it.
    (tmp_path / "scores.json").write_text(json.dumps({"rows": totals}), encoding="utf-8-sig")
    for row, kept in zip(rows, read_sample_scores(tmp_path), strict=True):
        assert (kept.name, kept.window, kept.ids, kept.sequences) == (
            row.name, row.window, row.ids, row.sequences
        )  # fmt: skip
        assert kept.classes.names == row.classes.names
        assert kept.matrices.dtype == np.int64
        np.testing.assert_array_equal(kept.matrices, row.matrices)
        assert (kept.times_us is None) == (row.times_us is None)
        if known:
            np.testing.assert_array_equal(kept.times_us, row.times_us)
        assert kept.interval() == row.interval()
    first = (tmp_path / "scores.npz").read_bytes()
    write_sample_scores(tmp_path, rows)
    assert (tmp_path / "scores.npz").read_bytes() == first


def test_matrices_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "scores.npz").mkdir()
    with pytest.raises(OutputError):
        write_sample_scores(tmp_path, rows_of(1))
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]


def test_table_says_what_an_interval_speaks_for_and_which_samples_a_row_is_of() -> None:
    first, second = rows_of(2)
    fewer = chosen(second, np.arange(40))
    assert note_of(first, first=first) == "interval speaks for the recording drive0 only"
    shuffled = chosen(second, np.arange(60)[::-1])
    assert note_of(shuffled, first=first) == note_of(first, first=first)
    lines = summary_rows([first, fewer])
    assert lines[1][-1].endswith("other samples than the first row: 40 in common")
    assert (
        "bootstrap over 18 blocks of 10 s of the recording drive0"
        in (rules_of([first])["95 % interval"])
    )
    (several,) = rows_of(1, drives=6)
    assert note_of(several, first=several) == ""
    assert several.to_dict()["interval_over"] == "6 whole recordings"
    none = replace(first, times_us=np.zeros(60, np.int64))
    assert (none.interval(), none.interval_scope) == (None, "")


@pytest.mark.parametrize("module", [blocks_module, significance_module, bootstrap_module])
def test_examples_in_docstrings(module: object) -> None:
    names = {"np": np, "load_class_table": load_class_table, "Row": Row}
    assert doctest.testmod(module, extraglobs=names).failed == 0  # type: ignore[arg-type]
