"""Tests of pairs of runs on the samples that both were scored on."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation.compare.compare_fixtures import EVSEGNET_6, write_scores

from eventseg.evaluation.rows import Row
from eventseg.evaluation.sample_scores import write_sample_scores
from eventseg.labels.maps import load_class_table
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("single_thread")


def scored_rows(quality: float, *, seed: int, samples: int = 40, first: int = 0) -> list[Row]:
    """Return rows of a network at two windows, of one truth and right with a chance."""
    table, rng = load_class_table("evsegnet6"), np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(20, 90, (60, 6))[first : first + samples]
    ids = tuple(f"drive-{i:03}" for i in range(first, first + samples))
    times_us = np.arange(first, first + samples) * 5_000_000
    rows = []
    for window in ("10ms", "50ms"):
        matrices = np.array([
            [rng.multinomial(n, np.where(np.arange(6) == k, quality, (1 - quality) / 5))
             for k, n in enumerate(counts)]
            for counts in truth
        ])  # fmt: skip
        rows.append(
            Row("net", window, ids, ("drive",) * samples, matrices, table, "", None, times_us)
        )
    return rows


def write_kept(run: Path, rows: list[Row], *, folder: str = "a", **how: Any) -> Path:
    """Write scores.json and scores.npz of a run as `evaluate` does."""
    names = rows[0].classes.names
    path = write_scores(run, folder, [row.to_dict() for row in rows], names=names, **how)
    write_sample_scores(path.parent, rows)
    return path.parent


def compare_test(runs: Path, pair: tuple[str, str], *more: str) -> Any:
    named = [str(runs / name) for name in pair]
    out = str(runs / "out")
    return CliRunner().invoke(main, ["compare", *more, "--test", *named, "--out", out])


def test_pairs_are_tested_with_all_their_seeds(runs: Path) -> None:
    write_kept(runs / "first", scored_rows(0.6, seed=1))
    write_kept(runs / "second", scored_rows(0.62, seed=2))
    write_kept(runs / "gray", scored_rows(0.5, seed=3)[1:])
    seeds = [str(runs / name) for name in ("first", "second")]
    result = compare_test(runs, ("second", "gray"), *seeds)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("## Test: first, second 50ms against gray 50ms") == 1
    assert "40 samples; seeds: 2 and 1; 2,000 draws of 20 blocks of 10 s of the recording" in (
        result.stdout
    )
    assert "interval speaks for the recording drive only" in result.stdout
    assert "one training of gray: another seed may differ" in result.stdout
    (test,) = json.loads((runs / "out/compare.json").read_text())["tests"]
    rows = [scored_rows(q, seed=s)[1] for q, s in ((0.6, 1), (0.62, 2), (0.5, 3))]
    first, second, gray = (row.scores.miou_truth for row in rows)
    miou = test["miou_truth"]
    assert miou["difference"] == pytest.approx((first + second) / 2 - gray)
    assert miou["low"] < miou["difference"] < miou["high"]
    assert miou["p_value"] < 0.01
    assert set(test["iou"]) == set(EVSEGNET_6)
    line = (
        f"| mIoU | {100 * miou['first']:.2f} | {100 * miou['second']:.2f} "
        f"| +{100 * miou['difference']:.2f} | +{100 * miou['low']:.2f} to "
        f"+{100 * miou['high']:.2f} | {miou['p_value']:.3f} |"
    )
    assert line in result.stdout
    page = (runs / "out/compare.html").read_text()
    assert "Test: first, second 50ms against gray 50ms" in page
    assert "20 blocks of 10 s" in page


def test_pairs_on_other_samples_use_those_in_common_and_say_so(runs: Path) -> None:
    write_kept(runs / "first", scored_rows(0.6, seed=1))
    write_kept(runs / "gray", scored_rows(0.5, seed=3, first=10)[::-1])
    result = compare_test(runs, ("first", "gray"))
    assert result.exit_code == 0, result.output
    assert "only the 30 samples in common are used (40 of first, 40 of gray)" in result.stdout
    assert result.stdout.count("other samples than the first row of this evaluation") == 2
    assert "not all of the same samples: see the notes" in result.stdout
    tests = json.loads((runs / "out/compare.json").read_text())["tests"]
    assert [test["windows"] for test in tests] == [["10ms"] * 2, ["50ms"] * 2]
    assert {test["samples"] for test in tests} == {30}


@pytest.mark.slow
def test_pairs_that_cannot_be_tested_are_one_line_and_write_nothing(runs: Path) -> None:
    first, gray = runs / "first", runs / "gray"

    def refused(words: str, pair: tuple[str, str] = ("first", "gray")) -> None:
        result = compare_test(runs, pair, str(runs / "second"))
        assert result.exit_code == 1, result.output
        assert words in result.stderr, result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not (runs / "out").exists()

    refused("these are seeds of one run", ("first", "second"))
    refused("has no evaluation: run eventseg evaluate RUN DATA")
    kept = write_kept(first, scored_rows(0.6, seed=1))
    refused("gray has no evaluation")
    for rows, words in (
        (scored_rows(0.6, seed=2, first=40, samples=20), "no sample is common to all of them"),
        (scored_rows(0.6, seed=2, samples=1), "1 blocks with scored pixels; a test needs 6"),
        ([replace(row, matrices=2 * row.matrices) for row in scored_rows(0.5, seed=2)],
         "the true pixels of 40 of 40 samples differ, first of drive-000"),
        ([replace(row, window=w) for row, w in
          zip(scored_rows(0.5, seed=2), ("1ms", "2ms"), strict=True)],
         "was scored at 10ms, 50ms, gray at 1ms, 2ms"),
        ([replace(row, matrices=np.pad(row.matrices, ((0, 0), (0, 13), (0, 13))),
                  classes=load_class_table("cityscapes19")) for row in scored_rows(0.5, seed=2)],
         "evaluate both with the same --classes"),
    ):  # fmt: skip
        report = write_kept(gray, rows)
        refused(words)
        shutil.rmtree(report)
    report = write_kept(gray, scored_rows(0.5, seed=2))
    matrices, plain = (report / "scores.npz").read_bytes(), io.BytesIO()
    np.save(plain, np.zeros(3))
    for content, words in (
        (b"", "cannot read"),
        (b"no archive", "cannot read"),
        (plain.getvalue(), "cannot read"),
        (matrices[: len(matrices) // 2], "cannot read"),
        ((kept / "scores.npz").read_bytes(), "are of two evaluations"),
        (None, "has no scores.npz, the confusion matrix of every sample: run eventseg evaluate"),
    ):
        (report / "scores.npz").unlink()
        if content is not None:
            (report / "scores.npz").write_bytes(content)
        refused(words)
    # A report of an earlier version is still compared.
    result = CliRunner().invoke(main, ["compare", str(first), str(gray), "--out", str(runs / "c")])
    assert result.exit_code == 0, result.output
    for arguments in ([], ["--test", str(first)], ["--test", str(first), str(runs / "none")]):
        assert CliRunner().invoke(main, ["compare", *arguments]).exit_code == 2
