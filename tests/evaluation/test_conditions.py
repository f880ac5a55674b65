"""Scores by condition: values of samples, groups against loops, refusals, the command."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import eventseg
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import DatasetError, TrainingError
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.measures import conditions, true_maps
from eventseg.evaluation.measures.conditions import CONDITIONS, UNKNOWN, sample_values
from eventseg.evaluation.measures.distance import NAMES, ScoresByDistance
from eventseg.evaluation.measures.groups import class_scores, group_names, group_scores, groups_of
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.request import request_of
from eventseg.evaluation.rows import Row
from eventseg.evaluation.settings import EvaluationRequest
from eventseg.labels.maps import ClassTable
from eventseg.networks.resizing import nearest, resize_nearest
from eventseg.plots.figure_files import FigureFiles
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.sources.source import Source, open_source
from eventseg_cli.main import main

TABLE = ClassTable(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))


def random_row(samples: int = 24, *, seed: int = 0) -> Row:
    random = np.random.default_rng(seed)
    matrices = random.integers(0, 50, (samples, 3, 3))
    return Row(
        "net",
        "50ms",
        tuple(f"drive-{i}" for i in range(samples)),
        ("drive",) * samples,
        matrices,
        TABLE,
        times_us=np.arange(samples) * 1_000_000,
    )


def opened(folder: Path) -> Any:
    return open_source(folder / "drives", label_set="truth")


def scoring_of(source: Any, *, protocol: Protocol | None = None) -> Scoring:
    """Return the scoring of all labelled samples in the classes of the source."""
    parts = {"50ms": np.flatnonzero(source.labelled)}
    trained: Any = None
    return Scoring(
        trained, source, parts, protocol or Protocol(), source.classes, torch.device("cpu")
    )


def held(recording: Any, name: str, t_us: int) -> float:
    """Return the last value of a signal by a time, in a loop."""
    signal, value = recording.signals[name], math.nan
    for t, v in zip(signal.t_us.tolist(), signal.value.tolist(), strict=True):
        if t <= t_us:
            value = v
    return value


def test_values_are_those_of_the_recordings_at_the_samples_times(tiny_drive_folder: Path) -> None:
    source = opened(tiny_drive_folder)
    indices = np.flatnonzero(source.labelled)[::-1]  # any order
    speed = sample_values("speed", source, indices, window="50ms")
    turn = sample_values("turn", source, indices, window="50ms")
    rate = sample_values("rate", source, indices, window="50ms")
    live = sample_values("rate", source, indices, window="20ms")
    gray = sample_values("gray", source, indices, window="50ms")
    for k, i in enumerate(indices.tolist()):
        with open_recording(tiny_drive_folder / f"{source.sequences[i]}.hdf5") as recording:
            t = int(source.dataset.samples.t_us[i])
            for values, name in ((speed, "vehicle_speed"), (turn, "steering_wheel_angle")):
                expected = held(recording, name, t)
                np.testing.assert_equal(values[k], abs(expected))
            assert rate[k] == len(recording.events(t - 50_000, t)) / 50
            assert live[k] == len(recording.events(t - 20_000, t)) / 20
        assert gray[k] == pytest.approx(source.dataset.frame(i).mean(), rel=1e-5)
    assert np.isfinite(speed).sum() > 5
    assert len(set(np.asarray(rate).tolist())) > 5
    light = sample_values("light", source, indices, window="50ms")
    assert set(light) <= {"off", UNKNOWN}
    assert "off" in light
    assert set(sample_values("scenario", source, indices, window="50ms")) == {"day"}
    assert sample_values("recording", source, indices, window="50ms") == tuple(
        source.sequences[i] for i in indices
    )
    source.close()


def test_labels_are_as_old_as_their_frame_at_the_end_of_the_window(
    tiny_drive_folder: Path, tmp_path: Path
) -> None:
    source = opened(tiny_drive_folder)
    indices = np.flatnonzero(source.labelled)
    assert set(np.asarray(sample_values("age", source, indices, window="50ms")).tolist()) == {0.0}
    source.close()
    drives = [tiny_drive_folder / "drive.hdf5", tiny_drive_folder / "other.hdf5"]
    for anchor in ("stride:30ms", "centre", "count:2000"):
        out = tmp_path / anchor.replace(":", "")
        windows_us = None if anchor.startswith("count") else (50_000,)
        encode_dataset(drives, out, held_out=["other"], windows_us=windows_us, anchor=anchor)
        source = open_source(out, label_set="truth")
        window = source.dataset.windows[0]  # type: ignore[attr-defined]
        indices = np.flatnonzero(source.labelled)
        ages = sample_values("age", source, indices, window=window)
        for age, i in zip(ages, indices.tolist(), strict=True):
            samples = source.dataset.samples  # type: ignore[attr-defined]
            with open_recording(tiny_drive_folder / f"{samples.recording[i]}.hdf5") as recording:
                frame = int(recording.frames.t_us[samples.frame[i]])
            end = int(samples.t_us[i]) + (25_000 if anchor == "centre" else 0)
            assert age == (end - frame) / 1e3
        assert anchor == "centre" or len(set(np.asarray(ages).tolist())) > 3
        if windows_us is None:
            with pytest.raises(TrainingError, match="windows of 2000ev have no stored length"):
                sample_values("rate", source, indices, window=window)
        source.close()


def test_samples_without_a_frame_have_neither_age_nor_gray_value(
    tiny_drive_folder: Path, tmp_path: Path
) -> None:
    drives = [tiny_drive_folder / "drive.hdf5", tiny_drive_folder / "other.hdf5"]
    out = tmp_path / "strides"
    encode_dataset(drives, out, held_out=["other"], windows_us=(50_000,), anchor="stride:30ms")
    source: Any = open_source(out)
    indices = np.flatnonzero(source.labelled)
    frames = source.dataset.samples.frame
    frames.setflags(write=True)
    known = {name: sample_values(name, source, indices, window="50ms") for name in ("age", "gray")}
    frames[indices[::2]] = -1
    for name, values in known.items():
        found = np.asarray(sample_values(name, source, indices, window="50ms"))
        assert np.isnan(found[::2]).all()
        np.testing.assert_array_equal(found[1::2], np.asarray(values)[1::2])
    frames[:] = -1
    for name in known:
        with pytest.raises(TrainingError, match=f"by {name}: none of the samples has a frame; it"):
            sample_values(name, source, indices, window="50ms")
    source.close()


@given(
    st.lists(
        st.one_of(st.floats(0, 9), st.integers(0, 9).map(float), st.just(math.nan)),
        min_size=1,
        max_size=30,
    ),
    st.lists(st.integers(1, 8), min_size=1, max_size=4, unique=True).map(sorted),
)
def test_groups_hold_each_sample_once_by_its_value(values: list[float], edges: list[int]) -> None:
    row = random_row(len(values))
    condition = replace(CONDITIONS["speed"], edges=tuple(edges))
    groups = groups_of(row, np.array(values), condition=condition)
    names = group_names(edges)
    found = dict(groups)
    for name, low, high in zip(names, [-math.inf, *edges], [*edges, math.inf], strict=True):
        ids = tuple(i for i, v in zip(row.ids, values, strict=True) if low <= v < high)
        assert found.pop(name).ids == ids if ids else name not in found
    unknown = tuple(i for i, v in zip(row.ids, values, strict=True) if math.isnan(v))
    assert found.pop(UNKNOWN).ids == unknown if unknown else UNKNOWN not in found
    assert not found
    np.testing.assert_array_equal(
        sum(group.matrices.sum(0) for _, group in groups), row.matrices.sum(0)
    )


def test_scores_of_a_group_are_those_of_its_samples_alone() -> None:
    row = random_row()
    row.matrices[::2, 2] = 0  # c is only predicted in even samples
    values = tuple("odd" if i % 2 else "even" for i in range(24))
    groups = groups_of(row, values, condition=CONDITIONS["light"])
    scores = group_scores(row, groups)
    assert [one.group for one in scores] == ["even", "odd"]
    for one, first in zip(scores, (0, 1), strict=True):
        matrix = row.matrices[first::2].sum(0)
        iou = [
            matrix[k, k] / (matrix[k].sum() + matrix[:, k].sum() - matrix[k, k]) for k in range(3)
        ]
        true = [iou[k] for k in range(3) if matrix[k].any()]
        assert one.classes == len(true) == (3 if first else 2)
        assert one.iou == pytest.approx(sum(true) / len(true))
        assert one.pixels == matrix.sum()
        assert one.samples == 12
        assert one.accuracy == pytest.approx(np.trace(matrix) / matrix.sum())
        assert one.interval is not None
        assert one.interval.low <= one.iou <= one.interval.high
    assert sum(one.share for one in scores) == pytest.approx(1)


def test_scores_of_classes_are_those_of_the_row_with_intervals() -> None:
    row = random_row()
    row.matrices[:, 2] = 0  # c is never true
    row.matrices[5:, :, 2] = 0  # and predicted in five blocks only
    scores = class_scores(row)
    assert [one.iou for one in scores] == list(row.scores.iou)
    assert [one.interval is None for one in scores] == [False, False, True]
    assert [one.samples for one in scores] == [24, 24, 0]
    for one in scores[:2]:
        assert one.interval is not None
        assert one.interval.low < one.iou < one.interval.high
    assert sum(one.share for one in scores) == pytest.approx(1)


def test_conditions_that_the_data_does_not_hold_are_refused_by_name(
    tiny_drive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(tiny_drive_folder)
    indices = np.flatnonzero(source.labelled)
    bare = {
        name: SimpleNamespace(name=name, signals={}, path=Path("nowhere") / f"{name}.hdf5")
        for name in source.sequences
    }
    monkeypatch.setattr(
        type(source.dataset), "recording_of", lambda _self, i: bare[source.sequences[i]]
    )
    monkeypatch.setattr(conditions, "open_truth", lambda _source, _name: None)
    monkeypatch.setattr(true_maps, "open_truth", lambda _source, _name: None)
    expected = "none of the recordings has the signal vehicle_speed; it can by gray, rate, age, "
    with pytest.raises(TrainingError, match=f"by speed: {expected}class, recording$"):
        sample_values("speed", source, indices, window="50ms")
    with pytest.raises(TrainingError, match="by scenario: none of the recordings has a truth file"):
        sample_values("scenario", source, indices, window="50ms")
    with pytest.raises(TrainingError, match="by distance: none of the recordings has a truth file"):
        ScoresByDistance.of(scoring_of(source))

    class Pictures:
        path, sequences = Path("pictures"), ("a",)

    pictures: Source = Pictures()  # type: ignore[assignment]
    with pytest.raises(
        TrainingError,
        match=r"^pictures cannot be scored by age: it holds pictures, no recordings; "
        r"it can by gray, class, recording$",
    ):
        sample_values("age", pictures, np.array([0]), window="50ms")


@pytest.mark.parametrize("rotate180", [False, True])
@pytest.mark.parametrize("size", [None, (40, 50)])
def test_distances_are_counted_pixel_by_pixel(
    tiny_drive_folder: Path, tmp_path: Path, rotate180: bool, size: tuple[int, int] | None
) -> None:
    drives = [tiny_drive_folder / "drive.hdf5", tiny_drive_folder / "other.hdf5"]
    encode_dataset(
        drives,
        tmp_path / "d",
        windows_us=(50_000,),
        crop=(4, 40),
        rotate180=rotate180,
        store="none",
    )
    source: Any = open_source(tmp_path / "d", label_set="truth")
    protocol = Protocol(size=size)
    measure = ScoresByDistance.of(scoring_of(source, protocol=protocol))
    i = int(np.flatnonzero(source.labelled)[-1])
    truth = torch.from_numpy(source.labels(i).astype(np.int64))
    with Truth(truth_path(tiny_drive_folder / f"{source.sequences[i]}.hdf5")) as file:
        depth = file.depth(int(source.dataset.samples.frame[i]))
    depth = (depth[::-1, ::-1] if rotate180 else depth)[4:40]
    if size is not None:
        truth = nearest(truth, size, rule="centres")
        depth = resize_nearest(depth, size, rule="centres")
    truth[0, :5] = 255
    random = np.random.default_rng(1)
    prediction = torch.from_numpy(random.integers(0, 19, truth.shape))
    one_hot = torch.nn.functional.one_hot(prediction, 19).movedim(-1, 0).float()
    measure.observe("50ms", ScoredBatch((i,), truth[None], one_hot[None]))
    expected = np.zeros((len(NAMES), 19, 19), np.int64)
    for d, t, p in zip(
        depth.ravel().tolist(), truth.ravel().tolist(), prediction.ravel().tolist(), strict=True
    ):
        group = sum(d >= edge for edge in (5, 10, 20, 40, 80)) if d < math.inf else 6
        if t != 255:
            expected[group, t, p] += 1
    np.testing.assert_array_equal(measure.counts["50ms"][source.ids[i]], expected)
    assert (expected.sum((1, 2)) > 0).sum() >= 4
    matrices = np.array([expected.sum(0)])
    row = Row("net", "50ms", (source.ids[i],), (source.sequences[i],), matrices, source.classes)
    section = measure.section([row])
    assert [line["pixels"] for line in section.lines] == [
        int(count) for count in expected.sum((1, 2)) if count
    ]
    assert section.lines[-1]["distance"] == "sky (no distance)"
    measure.close()
    source.close()


def test_a_truth_file_that_has_changed_is_refused(tiny_drive_folder: Path, tmp_path: Path) -> None:
    for name in ("drives", "drive.hdf5", "other.hdf5", "drive.truth.h5"):
        if (tiny_drive_folder / name).is_dir():
            shutil.copytree(tiny_drive_folder / name, tmp_path / name)
        else:
            shutil.copy(tiny_drive_folder / name, tmp_path / name)
    shutil.copy(tiny_drive_folder / "drive.truth.h5", tmp_path / "other.truth.h5")
    with pytest.raises(DatasetError, match=r"other.truth.h5 is gone or not the one"):
        eventseg.evaluate_run(
            tiny_drive_folder / "run", tmp_path / "drives", by="distance", out=tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_signals_on_another_clock_are_refused(
    tiny_drive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(tiny_drive_folder)
    indices = np.flatnonzero(source.labelled)
    samples = replace(source.dataset.samples, t_us=source.dataset.samples.t_us - 10**9)
    source = replace(source, dataset=replace(source.dataset, samples=samples))
    with pytest.raises(TrainingError, match="vehicle_speed has no value at the time of any sample"):
        sample_values("speed", source, indices, window="50ms")
    source.close()


def test_requests_name_conditions() -> None:
    assert request_of({"by": "speed,turn"}).by == ("speed", "turn")
    assert request_of({"by": ["class"], "boundary": 2}).boundary == (2,)
    with pytest.raises(TrainingError, match="unknown condition 'sped'; choose from speed, turn"):
        EvaluationRequest(by=("sped",))  # type: ignore[arg-type]


def test_the_command_prints_and_writes_scores_by_condition(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pictures of the scores themselves are tested elsewhere.
    monkeypatch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")
    run, data, out = tiny_drive_folder / "run", tiny_drive_folder / "drives", tmp_path / "report"
    arguments = ["evaluate", str(run), str(data), "--device", "cpu", "--threads", "1"]
    arguments += ["--workers", "0", "--no-baselines", "--out", str(out), "-q"]
    by = ["--window", "10ms,50ms", "--by", "rate,class,distance"]
    done = CliRunner().invoke(main, [*arguments, *by])
    assert done.exit_code == 0, done.output
    assert "| events, kev/s | window | samples | pixels | mIoU of true classes |" in done.output
    record = json.loads((out / "scores.json").read_text())
    measures = record["measures"]
    assert list(measures) == ["by_rate", "by_class", "by_distance"]
    lines = measures["by_rate"]["lines"]
    for row in record["rows"]:
        mine = [line for line in lines if line["window"] == row["window"]]
        assert sum(line["samples"] for line in mine) == row["samples"]
        assert sum(line["pixels"] for line in mine) == row["scores"]["pixels"]
        near = [one for one in measures["by_distance"]["lines"] if one["window"] == row["window"]]
        assert sum(line["pixels"] for line in near) == row["scores"]["pixels"]
    ious = [line["iou"] for line in measures["by_class"]["lines"] if line["window"] == "10ms"]
    assert ious == [one["iou"] for one in record["rows"][0]["scores"]["per_class"]]
    with (out / "measure-by-rate.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [float(line["miou_truth"]) for line in read] == [line["miou_truth"] for line in lines]
    assert "Scores by rate" in (out / "report.html").read_text()
    assert "## Scores by class" in (out / "scores.md").read_text()
    # A later report without them takes their files away.
    done = CliRunner().invoke(main, [*arguments, "--by", "class"])
    assert done.exit_code == 0, done.output
    assert [path.name for path in out.glob("measure-*")] == ["measure-by-class.csv"]
    wrong = CliRunner().invoke(main, [*arguments, "--by", "weather"])
    assert wrong.exit_code == 2
    assert "'weather' is none of speed, turn" in wrong.output


def test_nothing_is_scored_or_written_where_a_condition_is_missing(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the recordings beside it.
    copied = Path(shutil.copytree(tiny_drive_folder / "drives", tmp_path / "drives"))
    monkeypatch.setattr(
        "eventseg.evaluation.run_report.evaluate", lambda *_a, **_k: pytest.fail("scored")
    )
    with pytest.raises(DatasetError, match="recording other is gone"):
        eventseg.evaluate_run(
            tiny_drive_folder / "run", copied, by="speed", out=tmp_path / "out", device="cpu"
        )
    assert not (tmp_path / "out").exists()
