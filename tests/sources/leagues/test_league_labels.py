"""Label sets of a user's own beside the masks of a league."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from league_trees import DAVIS
from league_use import league_file, run
from PIL import Image

from eventseg.errors import DatasetError, LabelError
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.report.warning import warning_of
from eventseg.evaluation.scoring.leagues import league_of, published_section
from eventseg.events import SensorSize
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.labels.table_files import write_class_table
from eventseg.sources import selection
from eventseg.sources.leagues.settings import read_settings
from eventseg.sources.own_labels import Join, check_label_sets, export_labels, import_labels
from eventseg.sources.source import open_source
from eventseg.training.check_path import check_path

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
