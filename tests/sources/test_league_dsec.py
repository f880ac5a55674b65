"""DSEC-Semantic as it is downloaded: a generated tree read event by event and mask by mask."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from league_trees import (
    DSEC,
    DSEC_OFFSET_US,
    DSEC_TEST,
    DSEC_TRAIN,
    ELEVEN,
    Drive,
    calibration,
    doubled,
    rectify_map,
    simulated,
    write_dsec_events,
    write_dsec_tree,
)
from league_use import (
    TRAIN,
    check_is_sent,
    copied,
    league_file,
    opened,
    run,
    same_events,
)
from PIL import Image

from eventseg.errors import (
    DatasetError,
    RecordingError,
    TrainingError,
)
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.table.dsec import DsecEvents
from eventseg.sources.leagues import check_league
from eventseg.sources.leagues.warp import homography, sampled
from eventseg.sources.source import open_source


@pytest.fixture(scope="module")
def dsec(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, tuple[Drive, EventStream]]]:
    root = tmp_path_factory.mktemp("dsec")
    half = SensorSize(DSEC.height // 2, DSEC.width // 2)
    train = doubled(simulated(root / "train.hdf5", sensor=half, duration_us=470_000, seed=7))
    return root / "DSEC", write_dsec_tree(root / "DSEC", train, train.until(3))


def test_dsec_events_are_rectified_and_on_the_clock_of_the_labels(dsec):
    root, sequences = dsec
    league = opened(root)
    assert len(league.ids) == sum(len(drive.frame_us) for drive, _ in sequences.values())
    for i in [*range(15), league.sequences.index(DSEC_TEST[0]) + 2]:
        _, events = sequences[league.sequences[i]]
        t_us = int(league.t_us[i])
        assert t_us > DSEC_OFFSET_US
        for window_us in (50_000, 7_300):
            found = league.live_window(i, f"{window_us}us", normalise="raw").events
            same_events(found, events.between(t_us - window_us, t_us))


def test_dsec_spans_of_any_ends_are_read_by_the_index(dsec):
    root, sequences = dsec
    _, events = sequences[DSEC_TRAIN[0]]
    folder = root / DSEC_TRAIN[0] / "events/left"
    file = DsecEvents(folder / "events.h5", rectify_map=folder / "rectify_map.h5")
    assert file.t_first_us == events.t[0]
    rng = np.random.default_rng(0)
    for _ in range(30):
        t0_us = int(rng.integers(events.t0_us, events.t1_us))
        t1_us = t0_us + int(rng.integers(0, 40_000))
        same_events(file.events(t0_us, t1_us), events.between(t0_us, t1_us))
    same_events(file.events(0, 10**15), events)
    file.close()


def test_dsec_rectification_can_truncate_or_be_left_out(dsec, tmp_path):
    root, _ = dsec
    with h5py.File(root / DSEC_TRAIN[0] / "events/left/events.h5") as file:
        x, y = file["events/x"][:].astype(int), file["events/y"][:].astype(int)
        t = file["events/t"][:].astype(np.int64) + file["t_offset"][()]
    places = rectify_map()[y, x].astype(np.float64)
    inside = ((places > -1) & (places < (640, 480))).all(axis=1)
    for kind, chosen, xs, ys in (
        ("none", np.ones(len(t), bool), x, y),
        ("truncate", inside, *np.trunc(places).astype(int).T),
    ):
        line = f'sequences = ["{DSEC_TRAIN[0]}"]'
        path = league_file(tmp_path / f"{kind}.toml", "dsec", root, f'rectify = "{kind}"', line)
        league = opened(path)
        found = league.live_window(5, "50ms", normalise="raw").events
        part = chosen & (t >= league.t_us[5] - 50_000) & (t < league.t_us[5])
        np.testing.assert_array_equal(found.x, xs[part])
        np.testing.assert_array_equal(found.y, ys[part])


def test_dsec_events_are_read_as_they_are_compressed(dsec, tmp_path):
    plugin = pytest.importorskip("hdf5plugin")
    _, events = dsec[1][DSEC_TRAIN[1]]
    written = write_dsec_events(tmp_path, events, **plugin.Blosc(cname="zstd", clevel=1))
    file = DsecEvents(tmp_path / "events.h5", rectify_map=tmp_path / "rectify_map.h5")
    same_events(file.events(0, 10**15), written)
    same_events(written, events)
    file.close()


def test_dsec_masks_of_11_and_19_classes(dsec, tmp_path):
    root, sequences = dsec
    league = opened(root)
    assert league.label_sets == ("truth", "19classes")
    assert (str(league.size), len(league.classes)) == ("640x440", 11)
    nineteen = league.with_labels("19classes")
    for i in (0, 3, len(league.ids) - 1):
        drive, place = sequences[league.sequences[i]][0], league.samples[i].place
        np.testing.assert_array_equal(league.labels(i), drive.merged(ELEVEN)[place, :440])
        np.testing.assert_array_equal(nineteen.labels(i), drive.labels[place, :440])
    as_truth = opened(league_file(tmp_path / "d.toml", "dsec", root, "classes = 19"))
    np.testing.assert_array_equal(as_truth.labels(3), nineteen.labels(3))
    assert as_truth.label_sets == ("truth", "11classes")
    with pytest.raises(TrainingError, match="no label set 'none'; it has truth, 19classes"):
        open_source(root, label_set="none")


def test_dsec_parts_and_rival_samples(dsec, tmp_path):
    root, _ = dsec
    league = opened(root)
    for name, part in zip(league.sequences, league.published_splits, strict=True):
        assert part == ("test" if name in DSEC_TEST else "train")
    kept = {}
    for kind in ("all", "ess", "openess"):
        path = league_file(tmp_path / f"{kind}.toml", "dsec", root, f'samples = "{kind}"')
        of = opened(path)
        kept[kind] = [s.place for s in of.samples if s.sequence == DSEC_TRAIN[0]]
        assert f"samples {kind}" in of.notes()[0]
    count = len(kept["all"])
    assert kept["all"] == list(range(count))
    assert count > 13
    assert kept["ess"] == list(range(6, count, 2))
    assert kept["openess"] == list(range(12, count))


@pytest.mark.parametrize(
    ("masks", "stamps"),
    [
        ("semantic/11classes/data", "semantic/timestamps.txt"),
        ("semantic/left/11classes/data", "semantic/timestamps.txt"),
        ("semantic/left/11classes", "semantic/semantic_timestamps.txt"),
    ],
)
def test_dsec_trees_as_rival_loaders_want_them(dsec, tmp_path, masks, stamps):
    root, _ = dsec
    name = DSEC_TEST[1]
    tree = copied(root / name, tmp_path / "tree/test" / name)
    shutil.copytree(root / "test" / name / "11classes", tree / masks)
    shutil.copy(root / "test" / name / f"{name}_semantic_timestamps.txt", tree / stamps)
    line = f'sequences = ["{name}"]'
    found = opened(league_file(tmp_path / "d.toml", "dsec", tmp_path / "tree", line))
    expected = opened(root)
    first = expected.sequences.index(name)
    np.testing.assert_array_equal(found.t_us, expected.t_us[first : first + len(found.ids)])
    np.testing.assert_array_equal(found.labels(1), expected.labels(first + 1))


def test_dsec_frames_are_warped_into_the_view_of_the_events(dsec, tmp_path):
    root, sequences = dsec
    league = opened(root)
    i = league.sequences.index(DSEC_TEST[0]) + 1
    drive, _ = sequences[DSEC_TEST[0]]
    picture = league.picture(i, colour=True)
    assert picture.shape == (480, 640, 3)
    expected = drive.frames[1].astype(float)
    difference = np.abs(picture[..., 0] - expected)[20:-20, 20:-20]
    shifted = np.abs(np.roll(picture[..., 0], 2, axis=1) - expected)[20:-20, 20:-20]
    assert difference.mean() < 1 < shifted.mean()
    path = tmp_path / "cam_to_cam.yaml"
    text, to_frame = calibration()
    path.write_text(text)
    np.testing.assert_allclose(homography(path), to_frame, rtol=1e-12)
    np.testing.assert_array_equal(league.image(i, colour=True).shape, (3, 440, 640))
    # Frames that were warped before are taken as they are.
    line = f'sequences = ["{DSEC_TEST[0]}"]'
    tree = copied(root, tmp_path / "tree")
    ready = tree / DSEC_TEST[0] / "images/left/ev_inf"
    ready.mkdir()
    for k, gray in enumerate(drive.frames):
        Image.fromarray(gray).save(ready / f"{k:06d}.png")
    again = opened(league_file(tmp_path / "d.toml", "dsec", tree, line))
    np.testing.assert_array_equal(again.picture(1, colour=False), drive.frames[1])


def test_a_grid_of_whole_pixels_copies_them():
    import torch

    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (1080, 1440, 3), dtype=np.uint8)
    y, x = np.mgrid[0:480, 0:640].astype(np.float64)
    places = np.stack([2 * (x + 31) / 1439 - 1, 2 * (y + 17) / 1079 - 1], axis=-1)
    found = sampled(picture, torch.from_numpy(places.astype(np.float32)))
    assert np.abs(found.astype(int) - picture[17:497, 31:671]).max() <= 1


def test_dsec_faults_are_listed_in_one_error(dsec, tmp_path):
    root, _ = dsec
    tree = copied(root, tmp_path / "tree")
    first, second, third = DSEC_TRAIN[:3]
    shutil.rmtree(tree / first)
    shutil.rmtree(tree / "train" / first)
    (tree / "train" / second / "11classes/000001.png").unlink()
    (tree / third / "events/left/rectify_map.h5").unlink()
    (tree / "train" / third / f"{third}_semantic_timestamps.txt").write_text("12\n11\n")
    (tree / DSEC_TEST[0] / "images/left/rectified/000002.png").unlink()
    with pytest.raises(DatasetError, match="5 problems") as caught:
        open_source(tree)
    message = str(caught.value)
    for part in (
        f"{first} is missing",
        "holds 1 masks, and there are 2 time stamps",
        f"{third} has no events/left/rectify_map.h5",
        "times do not rise at lines 1",
        "1 labels have no frame: 2",
    ):
        assert part in message, part


def test_dsec_files_that_do_not_fit_are_refused(dsec, tmp_path):
    root, _ = dsec
    tree = copied(root / DSEC_TRAIN[0] / "events/left", tmp_path / "left")
    events, places = tree / "events.h5", tree / "rectify_map.h5"
    with h5py.File(events, "r+") as file:
        file["ms_to_idx"][:] = np.r_[file["ms_to_idx"][:][30:], [file["ms_to_idx"][-1]] * 30]
    with pytest.raises(RecordingError, match="ms_to_idx does not fit the times"):
        opened_events = DsecEvents(events, rectify_map=places)
        opened_events.events(opened_events.t_first_us + 50_000, opened_events.t_first_us + 60_000)
    with h5py.File(events, "r+") as file:
        del file["ms_to_idx"]
    with pytest.raises(RecordingError, match="no ms_to_idx"):
        DsecEvents(events, rectify_map=places)
    with h5py.File(places, "r+") as file:
        del file["rectify_map"]
        file["rectify_map"] = np.zeros((640, 480, 2), np.float32)
    with pytest.raises(RecordingError, match=r"must be floats of shape \(480, 640, 2\)"):
        DsecEvents(events, rectify_map=places)
    with pytest.raises(RecordingError, match="no such file"):
        DsecEvents(events, rectify_map=tmp_path / "none.h5")


def test_a_whole_dsec_tree_has_no_problems(dsec):
    assert check_league(dsec[0]) == []


def test_a_dsec_tree_can_be_sent_to_other_processes(dsec):
    check_is_sent(dsec[0])


@pytest.mark.slow
def test_the_commands_train_and_score_on_dsec(dsec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = copied(dsec[0], tmp_path / "DSEC")
    assert run("check", tree) == f"{tree}: whole\n"
    small = ("--set", "size.resize=160x112", "--protocol", "paper")
    run("train", tree, *TRAIN, *small, "--out", "runs/eleven")
    assert "traffic sign" in run("evaluate", "runs/eleven", tree, "--device", "cpu")
    run("train", tree, *TRAIN, *small, "--labels", "19classes", "--out", "runs/nineteen")
    assert "motorcycle" in run("evaluate", "runs/nineteen", tree, "--device", "cpu")
    part = league_file(tmp_path / "p.toml", "dsec", tree, f'sequences = ["{DSEC_TEST[0]}"]')
    frames = ("--split", "test", "--count", 1, "--out", "sheet.png")
    run("view", part, "--run", "runs/eleven", *frames, "--device", "cpu")
