"""DDD17 of the ESS repack as it is downloaded, league files, and labels of a user's own."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from league_trees import (
    DAVIS,
    ESS_TRAIN,
    NS_ORIGIN,
    SIX,
    Drive,
    simulated,
    write_ess_tree,
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

from eventseg.encoding import encode
from eventseg.errors import (
    DatasetError,
    EventsegError,
    LabelError,
    RecordingError,
    TrainingError,
)
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.report.warning import warning_of
from eventseg.evaluation.scoring.leagues import league_of, published_section
from eventseg.events import SensorSize
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.labels.table_files import write_class_table
from eventseg.recordings import open_recording
from eventseg.sources import selection
from eventseg.sources.leagues import League, check_league, open_league
from eventseg.sources.leagues.settings import read_settings
from eventseg.sources.own_labels import Join, check_label_sets, export_labels, import_labels
from eventseg.sources.source import open_source
from eventseg.training.check_path import check_path

WINDOWS_US = (10_000, 50_000, 250_000, 30_000)
"""Windows with an index file in the ESS repack, and one without."""


@pytest.fixture(scope="module")
def ess(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Drive]]:
    root = tmp_path_factory.mktemp("ess")
    train = simulated(root / "train.hdf5", sensor=DAVIS, duration_us=700_000, seed=7)
    test = simulated(root / "test.hdf5", sensor=DAVIS, duration_us=200_000, seed=8)
    return root / "DDD17", write_ess_tree(root / "DDD17", train, test)


# DDD17 in the ESS repack


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


def test_ess_faults_are_listed_in_one_error(ess, tmp_path):
    root, _ = ess
    tree = copied(root, tmp_path / "tree")
    shutil.rmtree(tree / "dir3")
    with (tree / "dir4/events.dat.t").open("ab") as file:
        file.write(b"cut")
    places = tree / "dir6/events.dat.xyp"
    places.write_bytes(places.read_bytes()[:-60])
    masks = tree / "dir1/segmentation_masks"
    shutil.copy(masks / "segmentation_00000001.png", masks / "segmentation_00000099.png")
    (tree / "dir1/imgs/img_00000002.png").unlink()
    rows = np.load(tree / "dir0/index/index_10ms.npy")
    rows[3, 1] = 10**9
    np.save(tree / "dir0/index/index_10ms.npy", rows)
    shutil.rmtree(tree / "dir7/segmentation_masks")
    (tree / "dir7/segmentation_masks.zip").write_bytes(b"")
    with pytest.raises(DatasetError, match="7 problems") as caught:
        open_source(tree)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "dir3 is missing",
        "dir4/events.dat.t has",
        "no multiple of 8",
        "dir6/events.dat.t holds",
        "1 masks have no row in index_10ms.npy",
        "frames 99",
        "1 masks have no frame: 2",
        "1 rows reach past the",
        "first row 3",
        "unpack segmentation_masks.zip",
    ):
        assert part in message, part
    assert len(check_league(tree)) >= 7


def test_ess_masks_of_wrong_size_ids_or_colours_are_refused(ess, tmp_path):
    root, _ = ess
    tree = copied(root, tmp_path / "tree")
    league = opened(tree)
    mask = league.samples[4].masks[0]
    for picture, reason in (
        (Image.new("L", (346, 260)), r"is 346x260; masks of this league are 346x200"),
        (Image.new("L", (346, 200), 6), r"holds the ids 6; evsegnet6 has 0 to 5"),
        (Image.new("RGB", (346, 200), (128, 64, 128)), "is in colours"),
    ):
        picture.save(mask)
        with pytest.raises(DatasetError, match=reason):
            league.labels(4)
        assert any(str(mask) in problem for problem in check_league(tree))
    mask.write_bytes(mask.read_bytes()[:40])
    with pytest.raises(DatasetError, match="cannot read"):
        league.labels(4)


def test_ess_events_outside_the_sensor_are_damage(ess, tmp_path):
    root, _ = ess
    tree = copied(root, tmp_path / "tree")
    places = np.fromfile(tree / "dir0/events.dat.xyp", np.int16).reshape(-1, 3)
    places[5] = (346, 0, 1)
    places[6] = (0, 0, 3)
    places.tofile(tree / "dir0/events.dat.xyp")
    with pytest.raises(RecordingError, match=r"dir0: 2 of the events .* lie outside"):
        opened(tree).events(0, "50ms", normalise="raw")
    with open_recording(tree / "dir0/events.dat.t") as recording:
        assert recording.n_events == len(places) - 2
        assert "skipped 2" in "; ".join(recording.report.lines())
    assert any("2 events lie outside" in problem for problem in check_league(tree))


def test_ess_times_of_another_unit_or_a_damaged_index_are_refused(ess, tmp_path):
    root, _ = ess
    tree = copied(root, tmp_path / "tree")
    path = tree / "dir0/index/index_50ms.npy"
    rows = np.load(path)
    np.save(path, rows // (1_000, 1, 1))
    with pytest.raises(DatasetError, match="must be of another unit"):
        open_source(tree)
    for values, reason in (
        (rows.astype(np.int32), "int32, which cannot hold nanoseconds"),
        (rows.astype(float), r"float64 \(\d+, 3\); an index has integers"),
        (rows[:, :2], r"\(\d+, 2\); an index has integers of shape"),
        (rows[:0], r"\(0, 3\)"),
        (rows[::-1], "have a time that is not after the row before"),
        (rows[:, [0, 2, 1]], "end before they start"),
        (rows[:5], "have .* rows; they must have as many"),
    ):
        np.save(path, values)
        with pytest.raises(DatasetError, match=reason):
            open_source(tree)
    path.write_bytes(b"rubbish")
    with pytest.raises(DatasetError, match="is no array of NumPy, or damaged"):
        open_source(tree)
    with pytest.raises(DatasetError, match="is one directory of DDD17 in the ESS repack"):
        open_source(tree / "dir1")


def test_a_whole_ess_tree_has_no_problems(ess):
    assert check_league(ess[0]) == []


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


# League files, and any league


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "lacks league and root"),
        ('league = "kitti"\nroot = "."', "'kitti' is none of 'ddd17', 'dsec'"),
        ('league = "dsec"\nroot = "."\nsplit = "ess"', "split is a setting of ddd17"),
        ('league = "dsec"\nroot = "."\nclasses = 12', "classes = 12 is none of 11, 19"),
        ('league = "dsec"\nroot = "."\nbins = 5', "bins is no setting of a league"),
        ('league = "dsec"\nroot = "."\nsequences = "a"', "must be a list of names"),
        ('league = "dsec"\nroot = "."\nrepresentation = "voxel:x"', "voxel"),
        ('league = "ddd17"\nroot = "gone"', "there is no folder"),
        ('league = "ddd17"\nroot = "."\nsequences = ["dir2"]', "dir2 is no directory"),
        ("league = [", "cannot read"),
    ],
)
def test_league_files_of_wrong_content(tmp_path, text, reason):
    path = tmp_path / "league.toml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=reason):
        open_source(path)


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


def test_other_folders_are_no_leagues(tmp_path):
    assert open_league(tmp_path) is None
    assert open_league(tmp_path / "none") is None
    with pytest.raises(EventsegError):
        open_source(tmp_path)


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


# Labels of a user's own

SIX_CLASSES = load_class_table("evsegnet6")
YARD = ClassTable(("ground", "cart", "rest"), ((9, 0, 0), (0, 9, 0), (0, 0, 9)), "yard")


@pytest.fixture
def own(ess, tmp_path):
    """A league file whose label sets lie outside the download."""
    lines = ('sequences = ["dir0", "dir1"]', 'label_sets = "sets"')
    return league_file(tmp_path / "ess.toml", "ddd17", ess[0], *lines)


def test_label_sets_lie_in_the_root_wherever_the_file_is_named_from(ess, tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    file = league_file(tmp_path / "conf/ess.toml", "ddd17", Path("data"), 'sequences = ["dir0"]')
    monkeypatch.chdir(tmp_path)
    for path in (Path("conf/ess.toml"), file):
        assert read_settings(path).label_sets == path.parent / "data" / "label_sets"


def annotated(folder: Path, names: list[str], size: SensorSize) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    maps = [rng.choice(np.array([0, 1, 2, 255], np.uint8), size) for _ in names]
    for name, labels in zip(names, maps, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_labels(folder / name, labels, YARD)
    write_class_table(folder / "classes.toml", YARD)
    return maps


@pytest.mark.parametrize("size", [DAVIS, SensorSize(200, 346)], ids=["of frames", "of masks"])
@pytest.mark.parametrize(
    ("names", "join"),
    [
        (["dir0_00000002.png", "dir1/00000003.png"], {}),
        (["dir0/2.png", "dir1_frame_000003.png"], {"by": "frame"}),
        (["dir0/{}.png", "dir1/{}.png"], {"by": "time", "unit": "ms", "from_start": True}),
    ],
    ids=["id", "frame", "time"],
)
def test_own_labels_of_a_league(ess, own, tmp_path, size, names, join):
    root, drives = ess
    before = sorted(path for path in root.rglob("*"))
    if "unit" in join:
        times = [(drives["dir0"], 1), (drives["dir1"], 2)]
        after = [(d.frame_us[k] - d.events.t[0]) / 1_000 for d, k in times]
        names = [name.format(f"{ms:.3f}") for name, ms in zip(names, after, strict=True)]
    maps = annotated(tmp_path / "yard", names, size)
    summary = import_labels(own, tmp_path / "yard", name="own", join=Join(**join))
    assert (summary.files, summary.samples, summary.largest_us) == (2, 2, 0)
    assert sum(summary.pixels) == 2 * size.height * size.width  # of the files, as they are
    assert sorted(path for path in root.rglob("*")) == before
    league = open_source(own, label_set="own")
    assert [league.ids[i] for i in np.flatnonzero(league.labelled)] == [
        "dir0_00000002", "dir1_00000003"
    ]  # fmt: skip
    assert league.classes == YARD
    for i, labels in zip(np.flatnonzero(league.labelled), maps, strict=True):
        np.testing.assert_array_equal(league.labels(i), labels[:200])
    assert selection.part(league, split="test").tolist() == [league.ids.index("dir1_00000003")]
    masks = open_source(own)
    assert masks.labelled.all()
    assert league.digests.keys() - masks.digests.keys() == {"labels own"}


@pytest.mark.parametrize("by", ["id", "frame"])
def test_label_sets_of_a_league_survive_a_round_trip(own, tmp_path, by):
    masks = open_source(own)
    assert export_labels(own, tmp_path / "out", name="truth", by=by).files == len(masks.ids)
    import_labels(own, tmp_path / "out", name="again", join=Join(by=by))
    again = open_source(own, label_set="again")
    assert again.classes == masks.classes
    for i in range(len(masks.ids)):
        np.testing.assert_array_equal(again.labels(i), masks.labels(i))
    files = export_labels(own, tmp_path / "second", name="again", by=by).files
    assert files == len(masks.ids)


def test_check_reads_the_label_sets_of_a_league(own, tmp_path):
    names = ["dir0_00000002", "dir0_00000003", "dir1_00000003"]
    annotated(tmp_path / "yard", [f"{name}.png" for name in names], DAVIS)
    import_labels(own, tmp_path / "yard", name="own")
    root = tmp_path / "sets"
    # Maps of sequences that this file does not list may lie in the same folder.
    assert run("check", own) == f"{own}: whole\n"
    wrong, damaged, missing = (root / f"labels/own/{name}.png" for name in names)
    Image.new("L", (346, 200), 77).save(wrong)
    damaged.write_bytes(b"none")
    missing.unlink()
    (root / "labels/own/a.png.0f.tmp").write_bytes(b"half")
    (root / "labels/other").mkdir()
    (root / "labels.partial/own").mkdir(parents=True)
    left, stopped, stray, count, size, unread = check_label_sets(own)
    assert left == f"{root}: labels/own/a.png.0f.tmp is left over from a stopped run: " + (
        "--repair removes it"
    )
    assert "labels.partial/own is left over from a stopped run: run" in stopped
    assert "labels/other is no set of label_sets.toml; move it away" in stray
    assert "labels/own holds 2 label maps, not those of the 3 samples" in count
    assert "dir0_00000002.png: 346x200, its sample is 346x260; run labels import again" in size
    assert "dir0_00000003.png" in unread
    Image.new("L", (346, 260), 77).save(wrong)
    assert "dir0_00000002.png: labels 77; class table yard has" in check_label_sets(own)[4]
    assert check_path(own, repair=True).repaired == ["labels/own/a.png.0f.tmp removed"]
    (root / "label_sets.toml").write_text("schema = 9")
    (problem,) = check_label_sets(own)
    assert "has schema 9" in problem


def test_labels_that_fit_no_league_are_listed(own, tmp_path):
    annotated(tmp_path / "yard", ["dir0_00000002.png"], SensorSize(20, 30))
    with pytest.raises(LabelError, match="are 30x20, frames are 346x260 and masks 346x200"):
        import_labels(own, tmp_path / "yard", name="own")
    with pytest.raises(LabelError, match=r"the set truth .* is its own masks"):
        import_labels(own, tmp_path / "yard", name="truth")
    with pytest.raises(DatasetError, match="has no label set 'own'; it has truth"):
        export_labels(own, tmp_path / "out", name="own")
    annotated(tmp_path / "yard", ["dir5_00000003.png"], DAVIS)
    with pytest.raises(LabelError, match="is no sample id"):
        import_labels(own, tmp_path / "yard", name="own")


def test_scores_of_own_labels_are_not_those_of_the_league(own, tmp_path):
    # The six classes of the league, but labels of a user's own.
    write_labels(tmp_path / "yard/dir1_00000003.png", np.zeros(DAVIS, np.uint8), SIX_CLASSES)
    import_labels(own, tmp_path / "yard", name="own", classes=SIX_CLASSES)
    source = open_source(own, label_set="own")
    row = SimpleNamespace(classes=SIX_CLASSES)
    assert league_of(source, row) == "ddd17"
    assert published_section(source, row) is None
    assert warning_of(None, source, Protocol(), "own") == ""
    assert "the teacher x" in warning_of(None, source.with_labels("truth"), Protocol(), "x")


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
