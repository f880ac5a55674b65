"""Faults of a league's download and of its file: listed, or refused by name."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from league_use import copied, opened
from PIL import Image

from eventseg.errors import DatasetError, EventsegError, RecordingError
from eventseg.recordings import open_recording
from eventseg.sources.leagues import check_league, open_league
from eventseg.sources.source import open_source


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


def test_other_folders_are_no_leagues(tmp_path):
    assert open_league(tmp_path) is None
    assert open_league(tmp_path / "none") is None
    with pytest.raises(EventsegError):
        open_source(tmp_path)
