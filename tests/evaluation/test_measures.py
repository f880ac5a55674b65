"""Further measures of an evaluation: in the loop over batches, in rows, in reports."""

from __future__ import annotations

import json
import shutil
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import naive_metrics as naive
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy.special import softmax
from training_fixtures import one_thread

import eventseg
from eventseg.dataset import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.measures import timing
from eventseg.evaluation.measures.boundaries import boundary_scores
from eventseg.evaluation.measures.flicker import Flicker, consecutive_samples
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.rows import Row
from eventseg.evaluation.settings import EvaluationRequest
from eventseg.events import SensorSize
from eventseg.labels.maps import ClassTable
from eventseg.metrics.bootstrap import bootstrap_interval, iou_interval
from eventseg.metrics.boundaries import BoundaryCounts
from eventseg.metrics.calibration import fit_temperature
from eventseg.networks import load_network
from eventseg.networks.resizing import nearest, resize_nearest
from eventseg.plots.figure_files import FigureFiles
from eventseg.prediction import stopwatch
from eventseg.prediction.predictor import network_input, predictor
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.truth import Truth, truth_path
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import open_source
from eventseg_cli.main import main


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch):
    # The pictures of the scores themselves are tested elsewhere.
    monkeypatch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


def evaluated(folder: Path, out: Path, **settings: Any) -> Any:
    return eventseg.evaluate_run(
        folder / "run", folder / "drives", out=out, device="cpu", baselines=False, **settings
    )


def predictions(folder: Path, ids: tuple[str, ...], window: str) -> list[tuple[Any, Any, Any]]:
    """Return truth, probabilities and prediction of samples, one after the other."""
    source: Any = open_source(folder / "drives", label_set="truth")
    trained = load_network(folder / "run" / "best.pt")
    predict = predictor(trained, device="cpu")
    found = []
    for name in ids:
        i = source.ids.index(name)
        likelihood = predict(network_input(source, i, inputs=trained.inputs, window=window).numpy())
        found.append((source.labels(i), likelihood, likelihood.argmax(0)))
    source.close()
    return found


def test_boundary_scores_are_those_of_all_samples(tiny_drive_folder: Path, tmp_path: Path) -> None:
    found = evaluated(tiny_drive_folder, tmp_path / "out", boundary=(2, 1), batch_size=2)
    (row,), (section,) = found.rows, found.sections
    both, either = np.zeros((2, 19), int)
    near, right = 0, 0
    for truth, _, prediction in predictions(tiny_drive_folder, row.ids, "50ms"):
        band, guessed = (naive.near_boundary(maps.tolist(), 2) for maps in (truth, prediction))
        for at in band | guessed:
            if at in band:
                either[truth[at]] += 1
            if at in guessed and not (at in band and truth[at] == prediction[at]):
                either[prediction[at]] += 1
            if at in band & guessed and truth[at] == prediction[at]:
                both[truth[at]] += 1
        near += len(band)
        right += sum(int(truth[at] == prediction[at]) for at in band)
    first, second = section.lines
    assert [first["width_px"], second["width_px"]] == [1, 2]
    iou = both[either > 0] / either[either > 0]
    assert second["boundary_miou"] == pytest.approx(iou.mean())
    assert np.isnan(second["boundary_low"])  # the drive is one block
    assert second["trimap_accuracy"] == pytest.approx(right / near)
    assert second["trimap_share"] == pytest.approx(near / row.scores.pixels)
    assert second["boundary_iou_road"] == pytest.approx(both[0] / either[0])
    assert "Scores near boundaries" in found.page.read_text()


def test_boundary_scores_have_intervals_over_the_blocks_of_the_row() -> None:
    random = np.random.default_rng(0)
    either = random.integers(50, 99, (30, 2))
    both = either - random.integers(0, 50, (30, 2))
    trimap = random.integers(0, 9, (30, 2, 2))
    ids, table = tuple(f"{i:02}" for i in range(30)), ClassTable(("a", "b"), ((0, 0, 0), (1, 1, 1)))
    row = Row("net", "50ms", ids, ids, 3 * trimap, table)  # each sample a recording
    batches = [
        BoundaryCounts(*(torch.from_numpy(one[k : k + 7]) for one in (both, either, trimap)))
        for k in range(0, 30, 7)
    ]
    found = boundary_scores(row, batches)
    assert found.iou == pytest.approx((both.sum(0) / either.sum(0)).tolist())
    assert found.interval == iou_interval(both, either, seed=0)
    assert found.share == pytest.approx(1 / 3)
    assert found.trimap.interval() == bootstrap_interval(trimap, seed=0)


def test_calibration_is_that_of_all_pixels_and_its_temperature_fits_val(
    tiny_drive_folder: Path, tmp_path: Path
) -> None:
    found = evaluated(tiny_drive_folder, tmp_path / "out", calibration=True, batch_size=2)
    (row,), (section,) = found.rows, found.sections
    before, after = section.lines

    def pixels(ids: tuple[str, ...]) -> tuple[Any, Any]:
        logs, true = [], []
        for truth, likelihood, _ in predictions(tiny_drive_folder, ids, "50ms"):
            scored = truth != 255
            logs.append(np.log(likelihood[:, scored].T.astype(np.float64)))
            true.append(truth[scored].astype(np.int64))
        return np.concatenate(logs), np.concatenate(true)

    logs, true = pixels(row.ids)
    with open_dataset(tiny_drive_folder / "drives") as data:
        covered = data.covered("50ms") == 1
        val = [
            name
            for name, split, inside in zip(data.ids, data.samples.split, covered, strict=True)
            if split == "val" and inside
        ]
    temperature = fit_temperature(*pixels(tuple(val)))  # few pixels: all of them are taken
    assert after["temperature"] == pytest.approx(temperature, rel=1e-3)
    assert before["temperature"] == 1
    for line in (before, after):
        shares = softmax(logs / line["temperature"], axis=1)
        right = shares.argmax(1) == true
        bins = np.minimum((shares.max(1) * 15).astype(int), 14)
        gaps = [
            (bins == k).mean() * abs(right[bins == k].mean() - shares.max(1)[bins == k].mean())
            for k in set(bins.tolist())
        ]
        assert line["ece"] == pytest.approx(sum(gaps), abs=1e-4)
        assert line["nll"] == pytest.approx(
            -np.log(shares[np.arange(len(true)), true]).mean(), rel=1e-4
        )
        assert line["accuracy"] == pytest.approx(row.scores.pixel_accuracy, abs=1e-4)
        assert line["pixels"] == row.scores.pixels
    assert f"of {len(val)} samples of part val" in section.note
    assert [curve["temperature"] for curve in section.facts["curves"]] == [
        1,
        after["temperature"],
    ]


@pytest.mark.parametrize(
    ("split", "words"),
    [("val", "of part val, the part that is scored: optimistic"), ("test", "no temperature: the")],
)
def test_calibration_says_where_its_temperature_is_doubtful(
    tiny_drive_folder: Path, tmp_path: Path, split: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if split == "test":  # as in data sets by EV-SegNet's rows, which have no part val
        whole = EventSource.splits.fget  # type: ignore[attr-defined]
        monkeypatch.setattr(
            EventSource,
            "splits",
            property(lambda self: tuple(s.replace("val", "train") for s in whole(self))),
        )
    found = evaluated(tiny_drive_folder, tmp_path / "out", calibration=True, split=split)
    (section,) = found.sections
    assert words in section.note
    assert len(section.lines) == (1 if split == "test" else 2)


@pytest.mark.parametrize("rotate180", [False, True])
@pytest.mark.parametrize("size", [None, (40, 50)])
def test_flicker_counts_consecutive_samples_in_place_and_along_the_flow(
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
    indices = np.flatnonzero(source.labelled)
    trained: Any = None
    scoring = Scoring(
        trained,
        source,
        {"50ms": indices},
        Protocol(size=size),
        source.classes,
        torch.device("cpu"),
    )
    measure = Flicker.of(scoring)
    random = np.random.default_rng(1)
    maps = {}
    for i in indices.tolist():
        truth = torch.from_numpy(source.labels(i).astype(np.int64))
        truth = truth if size is None else nearest(truth, size, rule="centres")
        prediction = torch.from_numpy(random.integers(0, 19, truth.shape))
        maps[i] = truth.tolist(), prediction.tolist()
        one_hot = torch.nn.functional.one_hot(prediction, 19).movedim(-1, 0).float()
        measure.observe("50ms", ScoredBatch((i,), truth[None], one_hot[None]))
    t_us = source.dataset.samples.t_us
    counts = np.zeros((4, 19), int)
    for before, after in pairwise(indices.tolist()):
        if source.sequences[before] != source.sequences[after]:
            continue
        with Truth(truth_path(tiny_drive_folder / f"{source.sequences[after]}.hdf5")) as file:
            flow = file.flow(int(source.dataset.samples.frame[after])).astype(np.float64)
        flow = (-flow[:, ::-1, ::-1] if rotate180 else flow)[:, 4:40]
        way = flow * (t_us[after] - t_us[before]) / 1e6
        if size is not None:
            way = resize_nearest(way, size, rule="centres")
            way *= np.array([size[1] / 64, size[0] / 36])[:, None, None]
        counts[:2] += naive.flicker(maps[before], maps[after], 19)
        counts[2:] += naive.flicker(maps[before], maps[after], 19, way.tolist())
    n = len(indices)
    row = Row(
        "net",
        "50ms",
        tuple(source.ids[i] for i in indices),
        tuple(source.sequences[i] for i in indices),
        np.ones((n, 19, 19), int),
        source.classes,
        times_us=t_us[indices],
    )
    section = measure.section([row])
    (line,) = section.lines
    still, changed, flow_still, flow_changed = counts.sum(1)
    assert line["pairs"] == n - 2
    assert (line["pixels"], line["flow_pixels"]) == (still, flow_still)
    assert line["flicker"] == pytest.approx(changed / still)
    assert line["flow_flicker"] == pytest.approx(flow_changed / flow_still)
    assert line["flicker_road"] == pytest.approx(counts[1, 0] / counts[0, 0])
    assert flow_still > still  # what moves is followed
    assert "along the flow" in section.note
    measure.close()
    source.close()


def test_pictures_one_after_the_other_are_no_pairs(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for kind in ("test", "testannot"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(3):
            values = random.integers(0, 11, (60, 80), np.uint8)
            Image.fromarray(values).save(tmp_path / "set" / kind / f"{number}.png")
    sensor = SensorSize(40, 56)
    eventseg.simulate_images(
        tmp_path / "set", tmp_path, layout="camvid", sensor=sensor, shot_us=60_000, threads=1
    )

    def scoring(anchor: str) -> Scoring:
        data = tmp_path / anchor.replace(":", "-")
        encode_dataset(
            tmp_path / "test.hdf5", data, windows_us=(10_000,), anchor=anchor, store="none"
        )
        source = open_source(data, label_set="truth")
        device, trained = torch.device("cpu"), cast(Any, None)
        indices = np.arange(len(source.ids))
        return Scoring(trained, source, {"10ms": indices}, Protocol(), source.classes, device)

    with pytest.raises(TrainingError, match="of one picture where it shows several"):
        Flicker.of(scoring("frame"))
    given = scoring("stride:10ms")
    measure, source = Flicker.of(given), cast(EventSource, given.source)
    with Truth(tmp_path / "test.truth.h5") as truth:
        cuts_us = truth.recipe["t0_us"] + 60_000 * np.arange(1, 3)
    shots = np.searchsorted(cuts_us, source.dataset.samples.t_us)
    before = measure.pairs["10ms"].before
    assert set(shots) == {0, 1, 2}
    assert before == {i + 1: i for i in range(len(shots) - 1) if shots[i] == shots[i + 1]}
    row = Row(
        "net",
        "10ms",
        source.ids,
        source.sequences,
        np.ones((len(shots), 11, 11), int),
        source.classes,
        times_us=source.dataset.samples.t_us,
    )
    assert measure.section([row]).note.endswith("(simulate images) are no pair")


def test_samples_far_apart_are_no_pair_and_pictures_have_none() -> None:
    times_us = np.array([0, 10, 20, 41, 60, 0, 10])
    found = consecutive_samples(
        np.array([0, 1, 3, 4, 5, 6]), ["a"] * 5 + ["b"] * 2, times_us=times_us
    )
    assert found.step_us == 14.5  # of 10, 31, 19, 10
    assert found.before == {1: 0, 4: 3, 6: 5}
    with pytest.raises(TrainingError, match="flicker needs two samples of a recording"):
        consecutive_samples(np.array([0, 1]), ["a", "b"], times_us=times_us)
    pictures = SimpleNamespace(path=Path("pictures"))
    scoring: Any = SimpleNamespace(source=pictures)
    with pytest.raises(TrainingError, match="pictures holds pictures without times"):
        Flicker.of(scoring)


def timed(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Any]]:
    """Return the section of the times by a clock that ticks a millisecond, and all inputs."""
    ticks = count()
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(ticks) / 1000)
    seen: list[Any] = []
    real = timing.probabilities
    monkeypatch.setattr(
        timing,
        "probabilities",
        lambda trained, x, **options: (seen.append(x), real(trained, x, **options))[1],
    )
    source: Any = open_source(data, label_set="truth")
    trained = load_network(folder / "run" / "best.pt")
    indices = np.flatnonzero(source.labelled & (source.covered("50ms") == 1))
    scoring = Scoring(
        trained, source, {"50ms": indices}, Protocol(), source.classes, torch.device("cpu")
    )
    n = len(indices)
    matrices = np.ones((n, 19, 19), int)
    names = tuple(source.ids[i] for i in indices)
    row = Row("net", "50ms", names, ("drive",) * n, matrices, source.classes)
    section = timing.StepTimes(scoring).section([row])
    monkeypatch.undo()
    inputs = [
        network_input(source, int(i), inputs=trained.inputs, window="50ms")[None] for i in indices
    ]
    warm_up = timing.WARM_UP
    assert len(seen) == n + warm_up
    for x, expected in zip(seen, inputs[:warm_up] + inputs, strict=True):
        assert torch.equal(x, expected)
    source.close()
    return section, inputs


def test_times_are_of_each_step_of_each_sample(
    tiny_drive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, inputs = timed(tiny_drive_folder, tiny_drive_folder / "drives", monkeypatch)
    found = {line["step"]: (line["p50_ms"], line["p95_ms"]) for line in section.lines}
    assert list(found) == [*timing.STEPS, "all"]
    for step in timing.STEPS:
        assert found[step] == pytest.approx((1, 1))
    assert found["all"] == pytest.approx((5, 5))
    assert {line["samples"] for line in section.lines} == {len(inputs)}
    assert "1 thread, torch" in section.note


def test_without_recordings_stored_tensors_are_read_and_the_note_says_so(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Path(shutil.copytree(tiny_drive_folder / "drives", tmp_path / "drives"))
    section, _ = timed(tiny_drive_folder, copied, monkeypatch)
    assert [line["step"] for line in section.lines] == ["read", "copy", "network", "argmax", "all"]
    assert "stored tensors and frames are read, and nothing is encoded" in section.note


def test_a_gpu_is_waited_for_before_the_clock_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: order.append("wait"))
    monkeypatch.setattr(
        stopwatch.time, "perf_counter", lambda: float(len(order) + (order.append("clock") or 0))
    )
    watch = stopwatch.StopWatch(torch.device("cuda"))
    with watch.step("network"):
        order.append("work")
    assert order == ["clock", "work", "wait", "clock"]
    assert watch.times_ms == {"network": 3000.0}


def test_the_command_takes_further_measures(tiny_drive_folder: Path, tmp_path: Path) -> None:
    run, data = tiny_drive_folder / "run", tiny_drive_folder / "drives"
    arguments = ["evaluate", str(run), str(data), "--device", "cpu", "--threads", "1", "-q"]
    arguments += ["--workers", "0", "--no-baselines", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(
        main, [*arguments, "--boundary", "1,3", "--calibration", "--flicker", "--time"]
    )
    assert done.exit_code == 0, done.output
    assert "| window | width, px | boundary mIoU |" in done.output
    assert "| window | temperature | ECE |" in done.output
    assert "| flicker along the flow |" in done.output
    assert "| window | step | p50, ms | p95, ms |" in done.output
    record = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [line["width_px"] for line in record["measures"]["boundary"]["lines"]] == [1, 3]
    wrong = CliRunner().invoke(main, [*arguments, "--boundary", "0"])
    assert wrong.exit_code == 2
    assert "'0' must be pixels from 1 to 100" in wrong.output


def test_requests_out_of_range_are_refused() -> None:
    with pytest.raises(TrainingError, match="boundaries of 0 pixels; allowed are 1 to 100"):
        EvaluationRequest(boundary=(0,))
    with pytest.raises(TrainingError, match="boundaries of '1' pixels"):
        EvaluationRequest(boundary=("1",))  # type: ignore[arg-type]
