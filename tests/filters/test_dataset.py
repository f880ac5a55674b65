"""Filters of a data set: stored or live, resumed or not, the same events; nothing in silence."""

from __future__ import annotations

import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from recording_fixtures import tree, write_recording

from eventseg.dataset.check import check_dataset
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.opening import open_dataset
from eventseg.dataset.writer import encode_dataset
from eventseg.encoding.tensors import encode
from eventseg.errors import DatasetError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.filters.filtered import survey_filters
from eventseg.filters.hot_pixels import hot_map
from eventseg.filters.rules import Filters, filter_events, parse_filters
from eventseg.recordings import open_recording
from eventseg.simulate.scene.scenarios import scenario_named
from eventseg.simulate.sensor.dvs import DvsSensor
from eventseg.simulate.sensor.dvs_kernel import HOT
from eventseg.simulate.street import simulate_street
from eventseg.windows import parse_anchor
from eventseg_cli.main import main

TINY = SensorSize(6, 8)
FILTERS = parse_filters(["hot:1.2,refractory:5ms,background:2ms"])
WINDOWS = (10_000, 50_000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "rec.hdf5", sensor=TINY)


def kept_of(path: Path, entry) -> object:
    """Return what the filters keep of all events of a recording."""
    with open_recording(path) as opened:
        hot = hot_map(entry.hot_pixels, opened.sensor)
        return filter_events(opened.events(), filters=FILTERS, hot=hot)


@pytest.mark.parametrize("anchor", ["frame", "centre", "stride:70ms", "evsegnet"])
def test_stored_and_live_tensors_hold_what_is_kept(recording, tmp_path, anchor):
    made = encode_dataset(
        [recording], tmp_path / "data", windows_us=WINDOWS, anchor=parse_anchor(anchor),
        filters=FILTERS,
    )  # fmt: skip
    for summary in made.datasets:
        assert check_dataset(summary.path, deep=True) == []
        with open_dataset(summary.path) as dataset:
            entry = dataset.manifest.recording("rec")
            kept = kept_of(recording, entry)
            assert set(entry.dropped) == {"hot", "refractory", "background"}
            assert all(entry.dropped.values())
            assert entry.kept == len(kept)
            assert entry.events == 4_000
            for i in range(len(dataset)):
                for w, window in enumerate(dataset.windows):
                    t0_us, t1_us = dataset.window_of(i, window)
                    stored = dataset.tensor(i, window, normalise="raw")
                    live = dataset.encode_live(i, window, normalise="raw")
                    np.testing.assert_array_equal(live, stored)
                    t, x, y, p = (getattr(kept, name) for name in "txyp")
                    inside = (t0_us <= t) & (t < t1_us)
                    counts = np.zeros((2, *TINY))
                    np.add.at(counts, (1 - p[inside], y[inside], x[inside]), 1)
                    np.testing.assert_array_equal(stored[:2], counts)
                    assert dataset.samples.events[i, w] == inside.sum()


def test_a_live_data_set_and_events_of_any_span(recording, tmp_path):
    encode_dataset([recording], tmp_path / "npy", filters=FILTERS)
    encode_dataset([recording], tmp_path / "none", filters=FILTERS, store="none")
    with open_dataset(tmp_path / "npy") as one, open_dataset(tmp_path / "none") as other:
        np.testing.assert_array_equal(one.samples.events, other.samples.events)
        for i in range(len(one)):
            np.testing.assert_array_equal(one.tensor(i), other.tensor(i))
        kept = kept_of(recording, one.manifest.recording("rec"))
        for span in ((300_000, 333_333), (-500, 2_000), (1_000_000, 2_000_000), (7, 7)):
            made, t = one.events_of(3, span), kept.t
            assert (made.t0_us, made.t1_us) == span
            expected = kept.to_records()[(span[0] <= t) & (t < span[1])]
            np.testing.assert_array_equal(made.to_records(), expected)


def test_windows_of_a_fixed_count_count_what_is_kept(recording, tmp_path):
    anchor = parse_anchor("count:150")
    encode_dataset([recording], tmp_path / "data", anchor=anchor, filters=FILTERS)
    assert check_dataset(tmp_path / "data", deep=True) == []
    with open_dataset(tmp_path / "data") as dataset:
        kept = kept_of(recording, dataset.manifest.recording("rec"))
        assert dataset.samples.events[:, 0].tolist() == [150] * (len(kept) // 150) + (
            [len(kept) % 150] if len(kept) % 150 else []
        )
        t0_us, t1_us = int(kept.t[150]), int(kept.t[299]) + 1
        np.testing.assert_array_equal(
            dataset.tensor(1, normalise="raw"), encode(kept.between(t0_us, t1_us))
        )
    lonely = write_recording(tmp_path / "lonely.hdf5", sensor=SensorSize(1, 1))
    with pytest.raises(WindowError, match="finds no sample"):
        encode_dataset([lonely], tmp_path / "no", anchor=anchor, filters=Filters(support_us=900))


def test_pieces_and_batches_change_nothing(recording, tmp_path, monkeypatch):
    options = {"windows_us": WINDOWS, "filters": FILTERS}
    encode_dataset([recording], tmp_path / "a", **options)
    monkeypatch.setattr("eventseg.encoding.batches.PIECE_EVENTS", 37)
    monkeypatch.setattr("eventseg.encoding.batches.BATCH_EVENTS", 300)
    encode_dataset([recording], tmp_path / "b", **options)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.slow
def test_workers_change_nothing(recording, tmp_path):
    other = write_recording(tmp_path / "rec2.hdf5", sensor=TINY, seed=1)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        encode_dataset([recording, other], out, filters=FILTERS, workers=workers)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")


def test_a_stopped_run_goes_on_and_other_filters_are_refused(recording, tmp_path):
    out = tmp_path / "data"

    def stop(progress):
        if progress.stage == "encode" and progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_dataset([recording], out, filters=FILTERS, progress=stop)
    with pytest.raises(
        DatasetError, match=r"filters was hot:1\.2, refractory:5ms, background:2ms, now none"
    ):
        encode_dataset([recording], out)
    encode_dataset([recording], out, filters=FILTERS)
    encode_dataset([recording], tmp_path / "at once", filters=FILTERS)
    assert tree(out) == tree(tmp_path / "at once")
    with pytest.raises(DatasetError, match=r"filters was .*, now hot:2"):
        encode_dataset([recording], out, filters=parse_filters(["hot:2"]))
    assert encode_dataset([recording], out, filters=FILTERS).datasets[0].already


def test_a_manifest_without_filters_says_nothing_of_them(recording, tmp_path):
    encode_dataset([recording], tmp_path / "data")
    text = (tmp_path / "data" / "manifest.toml").read_text()
    assert not {"filters", "dropped", "hot_pixels"} & set(tomllib.loads(text))
    assert not {"dropped", "hot_pixels"} & set(tomllib.loads(text)["recordings"][0])
    manifest = Manifest.read(tmp_path / "data" / "manifest.toml")
    assert not manifest.settings.filters
    assert manifest.recording("rec").kept == 4_000
    with pytest.raises(DatasetError, match="filters was none, now hot:3"):
        encode_dataset([recording], tmp_path / "data", filters=Filters(3.0))


def test_check_notices_other_hot_pixels_and_counts(recording, tmp_path):
    encode_dataset([recording], tmp_path / "data", filters=FILTERS)
    path = tmp_path / "data" / "manifest.toml"
    text = path.read_text()
    count = Manifest.read(path).recording("rec").dropped["refractory"]
    path.write_text(text.replace(f"refractory = {count}", f"refractory = {count + 1}"))
    assert check_dataset(tmp_path / "data") == []
    (problem,) = check_dataset(tmp_path / "data", deep=True)
    assert "what the filters drop of rec differs" in problem
    path.write_text(text.replace("hot_pixels = [", "hot_pixels = [48,"))
    differs, outside = check_dataset(tmp_path / "data", deep=True)
    assert "what the filters drop of rec differs" in differs
    assert "hot pixels run from" in outside
    path.write_text(text.replace("hot:1.2", "luke-warm"))
    (problem,) = check_dataset(tmp_path / "data")
    assert "filter 'luke-warm' must be one of hot" in problem


def test_encode_command_takes_filters_and_tells_what_they_drop(recording, tmp_path):
    def run(*options):
        arguments = ["encode", str(recording), "--out", str(tmp_path / "data"), *options]
        return CliRunner().invoke(main, arguments)

    for wrong, message in (
        ("refractory:5", "a number and a unit"),
        ("noise", "must be one of hot"),
        ("hot,hot", "given twice"),
    ):
        refused = run("--filter", wrong)
        assert refused.exit_code == 2
        assert message in " ".join(refused.stderr.split())
        assert not (tmp_path / "data").exists()
    done = run("--filter", "background:2ms,hot:1.2", "--filter", "refractory:5ms")
    assert done.exit_code == 0, done.output
    entry = Manifest.read(tmp_path / "data" / "manifest.toml").recording("rec")
    hot, refractory, background = entry.dropped.values()
    words = (
        f"dropped {hot:,} hot of {len(entry.hot_pixels)} pixels, {refractory:,} refractory, "
        f"{background:,} background ({1 - entry.kept / entry.events:.1%} of all events)"
    )
    assert words in done.output


def test_hot_pixels_and_noise_of_the_simulator_are_found(tmp_path):
    path, sensor, seed = tmp_path / "drive.hdf5", SensorSize(90, 120), 7
    simulate_street(
        path,
        duration_us=1_000_000,
        seed=seed,
        scenario="faulty-pixels",
        sensor=sensor,
        threads=1,
        version=1,
    )
    with h5py.File(path.with_suffix(".truth.h5")) as truth:
        signal = truth["events/signal"][:].astype(bool)
    filters = parse_filters(["hot", "background"])
    with open_recording(path) as recording:
        survey, events = survey_filters(recording, filters), recording.events()
    hot = hot_map(survey.hot_pixels, sensor)
    # Which events are kept, by filtering each with its number in place of its polarity.
    numbered = EventStream(
        events.t, events.x, events.y, np.arange(len(events)), sensor, events.t0_us, events.t1_us
    )
    kept = np.zeros(len(events), bool)
    kept[filter_events(numbered, filters=filters, hot=hot).p] = True
    made_hot = DvsSensor(sensor, scenario_named("faulty-pixels").dvs, seed=seed).pixels[:, HOT] > 0
    on_hot, is_hot = (each.reshape(sensor)[events.y, events.x] for each in (made_hot, hot))
    assert (hot.ravel() & made_hot).sum() >= 0.9 * hot.sum()
    assert (is_hot & on_hot & ~signal).sum() > 0.75 * (on_hot & ~signal).sum()
    assert (is_hot & signal).sum() < 0.01 * signal.sum()
    # A small sensor sees fewer neighbours of an edge: more of the signal goes than at full size.
    assert (~signal).mean() > 0.06
    assert (~kept & ~signal).sum() > 0.75 * (~signal).sum()
    assert (kept & signal).sum() > 0.8 * signal.sum()
    assert (~signal)[kept].mean() < 0.025
