"""Stress: each axis does what it says, by the seed alone, and scores follow."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from prediction_fixtures import random_network
from training_fixtures import SENSOR, street_dataset

import eventseg
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import TrainingError
from eventseg.evaluation.report.sections import write_csv_files
from eventseg.evaluation.settings import StressName
from eventseg.evaluation.stress import curves, streets
from eventseg.evaluation.stress.axes import AXES, HOT_HZ
from eventseg.evaluation.stress.changes import changed
from eventseg.evaluation.stress.curves import StressCurve, curve_section, summary_section
from eventseg.evaluation.stress.streets import simulated_again, why_not_again
from eventseg.events import SensorSize
from eventseg.labels.maps import CITYSCAPES_19
from eventseg.metrics.scores import scores
from eventseg.simulate.scene.scenarios import SCENARIOS
from eventseg.simulate.scene.settings import LIMITS, SET_BY_VOLTAGE
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg_cli.main import main

PIXELS = SENSOR.height * SENSOR.width
WINDOW_S = 0.05


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("stress")
    street_dataset(folder)
    random_network(folder / "events.pt", "events", folder / "streets", table=CITYSCAPES_19)
    random_network(folder / "gray.pt", "gray", table=CITYSCAPES_19)
    simulate_street(
        folder / "real.hdf5", duration_us=120_000, seed=3, sensor=SENSOR, threads=1, version=2
    )
    encode_dataset(folder / "real.hdf5", folder / "real", windows_us=20_000, held_out=["real"])
    return folder


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventseg.evaluation.report.write.report_page", lambda *_a, **_k: "")


def windows(root: Path, name: str, level: float, *, seed: int = 0):
    """Return the events of three samples of the test drive at a level of an axis."""
    source = open_source(root / "streets")
    chosen = np.flatnonzero(np.array(source.splits) == "test")[-3:]
    view = changed(source, name, level, seed=seed)
    found = [view.live_window(int(i), "50ms", normalise="raw").events for i in chosen]
    for events in found:
        assert (np.diff(events.t) >= 0).all()
        assert len(events) == 0 or events.t0_us <= events.t[0] <= events.t[-1] < events.t1_us
    source.close()
    return found


def test_noise_has_the_rates_it_says_and_follows_from_the_seed(root):
    plain = windows(root, "drop", 0)
    for name, level, expected in (
        ("shot", 10, 10 * PIXELS * WINDOW_S),
        ("hot", 10, round(0.01 * PIXELS) * HOT_HZ * WINDOW_S),
        ("leak", 5, 5 * PIXELS * WINDOW_S),
    ):
        made = windows(root, name, level)
        added = [len(m) - len(p) for m, p in zip(made, plain, strict=True)]
        np.testing.assert_allclose(added, expected, rtol=0.2)
        again, other = windows(root, name, level), windows(root, name, level, seed=1)
        assert all(np.array_equal(a.t, b.t) for a, b in zip(made, again, strict=True))
        assert not any(np.array_equal(a.x, b.x) for a, b in zip(made, other, strict=True))
    hot = [set(zip(e.x.tolist(), e.y.tolist(), strict=True)) for e in windows(root, "hot", 10)]
    still = [set(zip(e.x.tolist(), e.y.tolist(), strict=True)) for e in plain]
    assert len(set.intersection(*hot) - set.union(*still)) > 10


def test_drops_are_nested(root):
    kept = []
    for level in AXES["drop"].levels:
        events = windows(root, "drop", level)[0]
        kept.append(list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True)))
    shares = [len(one) / len(kept[0]) for one in kept]
    np.testing.assert_allclose(
        shares, [1 - level / 100 for level in AXES["drop"].levels], atol=0.05
    )
    for less, more in zip(kept[1:], kept, strict=False):
        assert set(less) <= set(more)


def test_spans_move_grow_and_are_brought_together(root):
    plain = windows(root, "shift", 0)[0]
    late = windows(root, "shift", 20)[0]
    assert (plain.t0_us - late.t0_us, plain.t1_us - late.t1_us) == (20_000, 20_000)
    short, long = windows(root, "window", 0.2)[0], windows(root, "window", 2)[0]
    assert (short.t1_us - short.t0_us, long.t1_us - long.t0_us) == (10_000, 100_000)
    assert short.t1_us == long.t1_us == plain.t1_us
    fast = windows(root, "rate", 2)[0]
    assert (fast.t0_us, fast.t1_us) == (plain.t0_us, plain.t1_us)
    assert np.array_equal(fast.x, long.x)
    np.testing.assert_allclose((fast.t1_us - fast.t) / (long.t1_us - long.t), 0.5, atol=0.51)
    slow = windows(root, "rate", 0.5)[0]
    assert len(slow) < len(plain)
    assert np.array_equal(windows(root, "rate", 1)[0].t, plain.t)


def test_a_frozen_frame_is_an_earlier_one(root):
    source = open_source(root / "streets")
    chosen = np.flatnonzero(np.array(source.splits) == "test")
    for places in (0, 2, 100):
        view = changed(source, "frame", places, seed=0)
        for k, i in enumerate(chosen):
            expected = source.image(int(chosen[max(0, k - places)]), colour=False)
            assert np.array_equal(view.image(int(i), colour=False), expected)
    source.close()


def test_drives_are_simulated_again_with_the_same_labels_and_other_events(root):
    source = open_source(root / "real")
    last = len(source.ids) - 1
    assert why_not_again(source, ["real"], "night") == ""
    counts = {}
    for axis, level in (("threshold", 1), ("threshold", 0.4), ("night", 0.1)):
        with simulated_again(source, ["real"], axis, level, progress=lambda _: None) as view:
            events = view.live_window(last, "20ms", normalise="raw").events
            counts[axis, level] = len(events)
            if level == 1:
                plain = source.live_window(last, "20ms", normalise="raw").events
                assert all(np.array_equal(getattr(events, n), getattr(plain, n)) for n in "txyp")
    assert counts["threshold", 0.4] > 1.5 * counts["threshold", 1]
    assert counts["night", 0.1] != counts["threshold", 1]
    source.close()
    old = open_source(root / "streets")
    reason = why_not_again(old, ["other"], "night")
    assert reason.startswith("recording other is no simulated drive of version 2: only simulated")


def test_a_sensor_modelled_by_voltages_has_another_light_and_no_other_threshold(no_page, tmp_path):
    simulate_street(
        tmp_path / "volt.hdf5", duration_us=120_000, seed=3, scenario="voltmeter", sensor=SENSOR,
        threads=1,
    )  # fmt: skip
    data = tmp_path / "data"
    encode_dataset(tmp_path / "volt.hdf5", data, windows_us=20_000, held_out=["volt"])
    source = open_source(data)
    counts = []
    for level in (1, 0.1):
        with simulated_again(source, ["volt"], "night", level, progress=lambda _: None) as view:
            events = view.live_window(len(source.ids) - 1, "20ms", normalise="raw").events
            counts.append(len(events))
    plain = source.live_window(len(source.ids) - 1, "20ms", normalise="raw").events
    assert counts[0] == len(plain) != counts[1]
    assert why_not_again(source, ["volt"], "night") == ""
    source.close()
    random_network(tmp_path / "net.pt", "events", data, table=CITYSCAPES_19)
    with pytest.raises(TrainingError, match=r"recording volt .* are modelled by their circuit"):
        eventseg.evaluate_run(
            tmp_path / "net.pt", data, out=tmp_path / "report", device="cpu", stress="threshold"
        )
    assert not (tmp_path / "report").exists()
    assert streets.SET_BY_VOLTAGE == SET_BY_VOLTAGE
    assert [name for name in SCENARIOS if SCENARIOS[name].dvs.voltmeter] == [streets.VOLTMETER]


def test_low_thresholds_become_no_lower_than_the_simulator_takes(tmp_path):
    simulate_street(
        tmp_path / "low.hdf5", duration_us=60_000, seed=3, sensor=SensorSize(24, 32), threads=1,
        settings={"threshold_on": 0.1, "threshold_off": 0.06},
    )  # fmt: skip
    encode_dataset(tmp_path / "low.hdf5", tmp_path / "data", windows_us=20_000, held_out=["low"])
    source = open_source(tmp_path / "data")
    counts = []
    for level in AXES["threshold"].levels:
        with simulated_again(source, ["low"], "threshold", level, progress=lambda _: None) as view:
            counts.append(
                len(view.live_window(len(source.ids) - 1, "20ms", normalise="raw").events)
            )
    assert counts[0] < counts[1] < counts[-2] == counts[-1]
    source.close()
    least = streets.LEAST_THRESHOLD
    assert LIMITS["threshold_on"][0] == LIMITS["threshold_off"][0] == least
    assert LIMITS["light"][0] == streets.LEAST_LIGHT


def test_curves_of_a_run_begin_at_its_score(no_page, root, tmp_path):
    made = eventseg.evaluate_run(
        root / "events.pt", root / "streets", out=tmp_path / "report", device="cpu",
        baselines=False, stress="drop,window", window="50ms",
    )  # fmt: skip
    sections = {section.key: section for section in made.sections}
    assert list(sections) == ["stress_drop", "stress_window", "stress"]
    plain = made.rows[0].scores.miou_truth
    for name in ("drop", "window"):
        lines = [one for one in sections[f"stress_{name}"].lines if one["scene"] == "all"]
        assert [one[name] for one in lines] == list(AXES[name].levels)
        by_level = {one[name]: one for one in lines}
        unchanged = by_level[AXES[name].unchanged]
        assert unchanged["miou_truth"] == pytest.approx(plain, abs=1e-4)
        mious = [one["miou_truth"] for one in lines]
        area = sum((a + b) / 2 for a, b in pairwise(mious)) / 5
        assert sections[f"stress_{name}"].facts["area"] == pytest.approx(area)
        assert "iou_road" in unchanged
        assert {one["scene"] for one in sections[f"stress_{name}"].lines} == {"all", "day"}
    summary = sections["stress"]
    kept = [one["kept"] for one in summary.lines]
    assert summary.facts["kept"] == pytest.approx(np.mean(kept))
    again = eventseg.score_predictions(
        root / "events.pt", root / "streets", out=tmp_path / "again", device="cpu",
        baselines=False, diagnosis=False, stress="drop", boundary=(),
    )  # fmt: skip
    (curve,) = (one for one in again.sections if one.key == "stress_drop")
    assert json.dumps(curve.to_dict()) == json.dumps(sections["stress_drop"].to_dict())
    rgb = eventseg.score_predictions(
        root / "gray.pt", root / "streets", out=tmp_path / "gray", device="cpu",
        baselines=False, diagnosis=False, stress="frame", boundary=(), stress_samples=3,
    )  # fmt: skip
    frame = {one.key: one for one in rgb.sections}["stress_frame"]
    assert {one["samples"] for one in frame.lines} == {3}


@pytest.mark.parametrize(
    "asked",
    [pytest.param({"protocol": "paper"}, marks=pytest.mark.slow), {"size": SensorSize(24, 40)}],
)
def test_curves_have_the_views_and_size_of_the_evaluation(no_page, root, tmp_path, asked):
    made = eventseg.evaluate_run(
        root / "gray.pt", root / "streets", out=tmp_path / "report", device="cpu",
        baselines=False, stress="frame", batch_size=1, classes="evsegnet6", **asked,
    )  # fmt: skip
    lines = {one.key: one for one in made.sections}["stress_frame"].lines
    unchanged = next(one for one in lines if one["scene"] == "all" and one["frame"] == 0)
    scores = made.rows[0].scores
    assert unchanged["samples"] == len(made.rows[0].ids)
    assert (unchanged["miou_truth"], unchanged["accuracy"]) == (
        scores.miou_truth,
        scores.pixel_accuracy,
    )


def test_a_recording_named_all_is_not_the_group_of_all_samples(
    no_page, root, tmp_path, monkeypatch
):
    street_dataset(tmp_path, recordings=("all", "other"))
    monkeypatch.setattr(curves, "missing", lambda *_a, **_k: "no scenario is known")
    made = eventseg.evaluate_run(
        root / "gray.pt", tmp_path / "streets", split="val", out=tmp_path / "report",
        device="cpu", baselines=False, stress="frame", stress_samples=2,
    )  # fmt: skip
    lines = {one.key: one for one in made.sections}["stress_frame"].lines
    assert {one["scene"] for one in lines} == {"all", "recording all"}
    by_level = [[one for one in lines if one["frame"] == level] for level in AXES["frame"].levels]
    for one, other in by_level:
        assert {**one, "scene": ""} == pytest.approx({**other, "scene": ""}, nan_ok=True)
        assert one["samples"] == 2


def test_curves_without_true_pixels_have_a_section_and_no_numbers(tmp_path):
    axis = AXES["drop"]
    nothing = scores(np.zeros((2, 2), np.int64), names=("a", "b"))
    curve = StressCurve(axis, {"all": (nothing,) * len(axis.levels)}, {"all": 3})
    summary, section = summary_section([curve], seed=0), curve_section(curve)
    assert summary.table.lines[0][-2:] == ["-", "-"]
    assert math.isnan(summary.lines[0]["worst"])
    assert section.facts == {"area": None, "kept": None}
    assert "NaN" not in json.dumps([section.to_dict(), summary.to_dict()])
    write_csv_files(tmp_path, [section, summary])
    assert len(list(tmp_path.iterdir())) == 2
    write_csv_files(tmp_path, [replace(section, lines=[]), summary])
    assert [path.name for path in tmp_path.iterdir()] == ["measure-stress.csv"]


def test_the_commands_and_what_they_refuse(no_page, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "import numpy as np\n"
        "def busy(sample):\n"
        "    return (8 * (sample.tensor(normalise='raw')[:2].sum(0) > 0)).astype(np.uint8)\n"
    )
    asked = ("--no-baselines", "--workers", "0", "--out", "out")

    def call(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    made = call(
        "score", "net.py:busy", root / "real", *asked, "--no-diagnosis", "--window", "20ms",
        "--stress", "threshold,shot", "--stress-samples", "2", "--json",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    measures = json.loads(made.stdout)["measures"]
    assert len(measures["stress_threshold"]["lines"]) == 2 * len(AXES["threshold"].levels)
    assert 0 < measures["stress"]["kept"] < 2
    assert Path("out/measure-stress-shot.csv").is_file()
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/x.png").write_bytes(b"")
    for command, predictions, axis, code, words in (
        ("score", "maps", "drop", 1, "a folder of predictions: stress changes the inputs"),
        ("score", root / "gray.pt", "drop", 1, "under stress drop: it sees no events"),
        ("evaluate", root / "events.pt", "frame", 1, "under stress frame: it sees no frames"),
        ("evaluate", root / "events.pt", "night", 1, "only simulated streets are exact"),
        ("evaluate", root / "events.pt", "rain", 2, "'rain' is none of drop, shot"),
    ):
        refused = call(command, predictions, root / "streets", *asked, "--stress", axis)
        assert refused.exit_code == code, refused.output
        assert words in refused.output
    with pytest.raises(TrainingError, match="unknown stress 'rain'; choose from drop"):
        eventseg.evaluate_run(root / "events.pt", root / "streets", stress="rain")
    assert tuple(AXES) == get_args(StressName)
