"""DDD17 in the ESS repack as samples, with its own events or those of raw recordings."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from league_trees import ESS_TRAIN, NS_ORIGIN, SIX
from league_use import TRAIN, check_is_sent, copied, league_file, opened, run, same_events

from eventseg.encoding import encode
from eventseg.errors import DatasetError, RecordingError, TrainingError
from eventseg.recordings import open_recording
from eventseg.sources.leagues import League, check_league
from eventseg.sources.source import open_source

WINDOWS_US = (10_000, 50_000, 250_000, 30_000)
"""Windows with an index file in the ESS repack, and one without."""


# Samples of the repack


def test_ess_windows_hold_the_events_before_each_frame(ess):
    root, drives = ess
    league = opened(root)
    assert len(league.ids) == sum(len(drive.frame_us) for drive in drives.values()) - 2
    for i, name in enumerate(league.sequences):
        drive, number = drives[name], int(league.ids[i].rpartition("_")[2])
        frame_us = int(drive.frame_us[number - 1])
        assert league.t_us[i] == frame_us + NS_ORIGIN // 1_000
        for window_us in WINDOWS_US:
            found = league.live_window(i, f"{window_us // 1000}ms", normalise="raw").events
            same_events(
                found,
                drive.events.between(frame_us - window_us, frame_us),
                shift_us=NS_ORIGIN // 1_000,
            )
            assert (found.t1_us, found.t1_us - found.t0_us) == (league.t_us[i], window_us)


def test_ess_windows_are_the_slices_that_the_index_files_name(ess):
    # The published loaders map both files and slice start:end of row (number - 1); a negative
    # start is 0.
    root, _ = ess
    league = opened(root)
    i = league.ids.index("dir0_00000002")
    t = np.memmap(root / "dir0/events.dat.t", np.int64, "r")
    xyp = np.memmap(root / "dir0/events.dat.xyp", np.int16, "r").reshape(-1, 3)
    frame, end, start = np.load(root / "dir0/index/index_250ms.npy")[1]
    assert start < 0
    found = league.live_window(i, "250ms", normalise="raw").events
    np.testing.assert_array_equal(found.t, t[max(start, 0) : end] // 1_000)
    np.testing.assert_array_equal(np.stack([found.x, found.y, found.p], 1), xyp[0:end])
    assert t[end - 1] < frame <= t[end]
    assert league.covered("250ms")[i] < 1 == league.covered("10ms")[i]


def test_ess_windows_follow_the_index_where_it_is_an_event_off(ess, tmp_path):
    # A comment of the loaders calls the second column the last event before the frame: read with
    # their exclusive end that is one event fewer.
    root, drives = ess
    tree = copied(root, tmp_path / "tree")
    path = tree / "dir0/index/index_50ms.npy"
    rows = np.load(path)
    rows[:, 1] -= 1
    np.save(path, rows)
    i, frame_us = 9, int(drives["dir0"].frame_us[9])
    expected = drives["dir0"].events.between(frame_us - 50_000, frame_us)
    found = opened(tree).live_window(i, "50ms", normalise="raw").events
    assert len(found) == len(expected) - 1
    np.testing.assert_array_equal(found.x, expected.x[:-1])
    rows[:, 1] += 200
    np.save(path, rows)
    with pytest.raises(RecordingError, match=r"row 9 of .*index_50ms.npy gives 0 events before"):
        opened(tree).live_window(i, "50ms", normalise="raw")
    assert any("index_50ms.npy: " in problem for problem in check_league(tree))


def test_ess_masks_and_frames_are_the_top_rows_of_the_drive(ess):
    root, drives = ess
    league = opened(root)
    assert str(league.size) == "346x200"
    for i, name in enumerate(league.sequences):
        row = int(league.ids[i].rpartition("_")[2]) - 1
        np.testing.assert_array_equal(league.labels(i), drives[name].merged(SIX)[row, :200])
        np.testing.assert_array_equal(league.picture(i, colour=False), drives[name].frames[row])
        assert league.image(i, colour=True).shape == (3, 200, 346)


def test_ess_tensors_are_those_of_the_encoder(ess):
    root, drives = ess
    league = opened(root)
    frame_us = int(drives["dir0"].frame_us[8])
    expected = encode(
        drives["dir0"].events.between(frame_us - 50_000, frame_us),
        encoding=league.encoding.normalised("evsegnet"),
    )
    i = league.ids.index("dir0_00000009")
    np.testing.assert_array_equal(league.events(i, "50ms", normalise="evsegnet"), expected)
    # Later by a span, as for the baseline of a late clock.
    late = league.events(
        i, "50ms", normalise="raw", change_window=lambda span: (span[0] - 9_000, span[1] - 9_000)
    )
    earlier = drives["dir0"].events.between(frame_us - 59_000, frame_us - 9_000)
    np.testing.assert_array_equal(late, encode(earlier, encoding=league.encoding))


def test_ess_parts_are_chosen_by_name_in_both_readings(ess, tmp_path):
    root, _ = ess
    league = opened(root)
    parts = {name: set() for name in ("train", "test", "other")}
    for name, part in zip(league.sequences, league.published_splits, strict=True):
        parts[part].add(name)
    assert parts == {"train": set(ESS_TRAIN), "test": {"dir1"}, "other": {"dir5"}}
    assert Counter(league.published_splits)["other"] == 1
    held_back = Counter(league.splits)
    assert min(held_back[part] for part in ("train", "gap", "val")) > 0
    assert held_back["test"] == Counter(league.published_splits)["test"]
    of_ess = opened(league_file(tmp_path / "ess.toml", "ddd17", root, 'split = "ess"'))
    assert dict(zip(of_ess.sequences, of_ess.published_splits, strict=True)) == {
        **dict.fromkeys(ESS_TRAIN, "train"), "dir1": "val", "dir5": "test",
    }  # fmt: skip
    assert of_ess.splits == of_ess.published_splits
    assert of_ess.digests != league.digests


def test_ess_directories_of_other_names_do_not_move_the_parts(ess, tmp_path):
    root, _ = ess
    tree = copied(root, tmp_path / "tree")
    shutil.copytree(tree / "dir1", tree / "dir2")
    shutil.move(tree / "dir5", tree / "dir5_old")
    league = opened(tree)
    assert league.published_splits == tuple(
        part for part in opened(root).published_splits if part != "other"
    )
    notes = "; ".join(league.notes())
    assert "dir2, dir5_old is left out here, and moves the positions" in notes
    assert "dir5, which has a single mask, is not there" in notes


def test_an_ess_directory_is_a_recording(ess):
    root, drives = ess
    with open_recording(root / "dir1/events.dat.t") as recording:
        assert recording.name == "dir1"
        same_events(recording.events(), drives["dir1"].events, shift_us=NS_ORIGIN // 1_000)
        np.testing.assert_array_equal(
            recording.frames.t_us, drives["dir1"].frame_us + NS_ORIGIN // 1_000
        )
        np.testing.assert_array_equal(recording.frames.image(2), drives["dir1"].frames[2])
        again = pickle.loads(pickle.dumps(recording))
        assert again.n_events == recording.n_events
        again.close()


# Raw recordings in place of the repack's events


def test_raw_recordings_are_joined_to_the_directories_by_time(ess, tmp_path):
    root, _ = ess
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, given in (("rec1487417411", "test"), ("rec1487339175", "train")):
        (raw / f"{name}.hdf5").symlink_to(root.parent / f"{given}.hdf5")
    part = ('sequences = ["dir0", "dir1"]', f'raw = "{raw}"')
    path = league_file(tmp_path / "raw.toml", "ddd17", root, *part)
    joined, repack = opened(path), opened(root)
    for i, name in enumerate(joined.ids):
        k = repack.ids.index(name)
        for window in ("50ms", "30ms"):
            found = joined.live_window(i, window, normalise="raw").events
            same_events(found, repack.live_window(k, window, normalise="raw").events)
    notes = "; ".join(joined.notes())
    shift = -NS_ORIGIN // 1_000
    for name, recording in (("dir0", "rec1487339175"), ("dir1", "rec1487417411")):
        assert (
            f"{name} is {recording}, whose clock is {shift} us off, by end of exposure: 100.00%"
            in notes
        )
    # The published rows of the test recording begin at 100, 5 s after the drive's end.
    assert "dir1: 0 of 6 masks lie in published rows of rec1487417411, of which 3,890" in notes
    assert "dir0: 21 of 21 masks lie in published rows of rec1487339175" in notes
    again = pickle.loads(pickle.dumps(joined))
    x = joined.events(4, "50ms", normalise="raw")
    np.testing.assert_array_equal(again.events(4, "50ms", normalise="raw"), x)
    assert joined.digests != repack.digests
    np.testing.assert_array_equal(joined.covered("50ms"), repack.covered("50ms")[joined_in(repack)])


def joined_in(league: League) -> list[int]:
    return [i for i, name in enumerate(league.sequences) if name in ("dir0", "dir1")]


def test_raw_recordings_that_differ_are_reported_or_refused(ess, tmp_path):
    root, _ = ess
    raw, tree = tmp_path / "raw", copied(root, tmp_path / "tree")
    raw.mkdir()
    (raw / "test.hdf5").symlink_to(root.parent / "test.hdf5")
    # A tenth of the events lies one column off: the recording is still the one.
    places = np.fromfile(tree / "dir1/events.dat.xyp", np.int16).reshape(-1, 3)
    places[::10, 0] = (places[::10, 0] + 1) % 346
    places.tofile(tree / "dir1/events.dat.xyp")
    one = ('sequences = ["dir1"]', f'raw = "{raw}"')
    notes = "; ".join(opened(league_file(tmp_path / "one.toml", "ddd17", tree, *one)).notes())
    assert "of its frames and 90." in notes
    assert "test is none of the recordings of EV-SegNet" in notes
    two = ('sequences = ["dir0", "dir1"]', f'raw = "{raw}"')
    with pytest.raises(DatasetError, match="dir0: none of 1 raw recordings holds its frames and"):
        open_source(league_file(tmp_path / "two.toml", "ddd17", tree, *two))
    (raw / "damaged.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(DatasetError, match=r"2 problems: .*damaged\.hdf5"):
        open_source(tmp_path / "two.toml")
    gone = league_file(tmp_path / "gone.toml", "ddd17", tree, f'raw = "{tmp_path / "none"}"')
    with pytest.raises(DatasetError, match=r"there is no folder .* of raw recordings"):
        open_source(gone)


def test_a_league_file_names_sequences_and_a_representation(ess, tmp_path):
    root, _ = ess
    path = league_file(
        tmp_path / "part.toml", "ddd17", root, 'sequences = ["dir0", "dir1"]',
        'representation = "voxel:5"',
    )  # fmt: skip
    source = open_source(path)
    assert set(source.sequences) == {"dir0", "dir1"}
    assert source.events(5, "50ms", normalise="raw").shape == (5, 200, 346)
    assert source.path == path


def test_an_ess_tree_can_be_sent_to_other_processes(ess):
    check_is_sent(ess[0])


def test_a_league_without_frames_says_so(ess, tmp_path):
    root, _ = ess
    tree = copied(root, tmp_path / "tree")
    for folder in tree.glob("dir*/imgs"):
        shutil.rmtree(folder)
        (folder.parent / "video.mp4").write_bytes(b"")
    league = opened(tree)
    assert "only video.mp4" in "; ".join(league.notes())
    assert not league.has_frames
    with pytest.raises(TrainingError, match="has no frame of dir0_00000001"):
        league.image(0, colour=False)
    assert replace(league, label_set="truth").events(3, "10ms", normalise="raw").shape[0] == 6


# What a user with the downloads types


def test_the_commands_train_and_score_on_the_ess_repack(ess, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = copied(ess[0], tmp_path / "DDD17")
    assert run("check", tree) == f"{tree}: whole\n"
    assert "read as ddd17: split names" in run("info", tree)
    small = ("--set", "size.resize=176x104")
    run("train", tree, *TRAIN, *small, "--out", "runs/events", "--window", "50ms")
    report = run("evaluate", "runs/events", tree, "--device", "cpu", "--save-predictions", "maps")
    assert "clock 50 ms late" in report
    assert "labels of other recordings" in report
    # The maps that were scored give the same score again.
    run("evaluate", tree, "--predictions", "maps", "--out", "again")
    (page,) = Path("runs/events").glob("evaluation-*/scores.json")
    scores, same = json.loads(page.read_text()), json.loads(Path("again/scores.json").read_text())
    assert scores["rows"][0]["confusion"] == same["rows"][0]["confusion"]


@pytest.mark.slow
def test_the_commands_label_audit_draw_and_release_the_ess_repack(ess, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = copied(ess[0], tmp_path / "DDD17")
    two = league_file(tmp_path / "part.toml", "ddd17", tree, 'sequences = ["dir0", "dir1"]')
    small = ("--set", "size.resize=176x104")
    run("train", tree, *TRAIN, *small, "--input", "gray", "--out", "runs/teacher")
    teach = ("--labels", "taught", "--scales", 1, "--threshold", 0, "--device", "cpu", "-q")
    run("pseudolabel", two, "--teacher", "runs/teacher/best.pt", *teach)
    assert "mIoU" in run("audit", two, "--labels", "taught", "--truth", "truth")
    taught = open_source(two, label_set="taught")
    assert taught.labels(3).shape == (200, 346)
    assert (tree / "label_sets/labels/taught/dir0_00000004.png").is_file()
    run("train", two, *TRAIN, *small, "--labels", "taught", "--out", "runs/taught")
    run("predict", "runs/taught", two, "--split", "test", "--out", "predicted", "-q")
    assert len(list(Path("predicted/labels").glob("dir1_*.png"))) > 3
    run("view", two, "--labels", "taught", "--count", 1, "--out", "sheet.png")
    run("release", two, "release", "-q")
    assert len(list(Path("release/events/test").glob("dir1_*.npy"))) > 3
