"""Exports of label sets: round trips, edits that are kept, class tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from recording_fixtures import SMALL, tree
from sources.own_labels.label_set_fixtures import OWN, annotated, assert_labels, put

from eventseg.dataset import check_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.errors import DatasetError, LabelError, OutputError
from eventseg.labels.maps import ClassTable, merge_of
from eventseg.labels.table_files import write_class_table
from eventseg.labels.tables import Merge, load_class_table
from eventseg.sources import Join, export_labels, import_labels
from eventseg_cli.main import main


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("by", ["id", "frame"])
def test_a_round_trip_is_equal(data: Path, tmp_path: Path, colour: bool, by: str) -> None:
    names = [f"{n}_f{k:06d}" for n in ("a", "a_2") for k in range(10)]
    maps = annotated(tmp_path / "own", names)
    import_labels(data, tmp_path / "own", name="own")
    export_labels(data, tmp_path / "out", name="own", colour=colour, by=by)
    files = list((tmp_path / "out").rglob("*.png"))
    assert len(files) == 20
    with Image.open(files[0]) as image:
        assert image.mode == ("RGB" if colour else "P")
    import_labels(data, tmp_path / "out", name="again", join=Join(by=by))
    assert_labels(data, dict(zip(names, maps, strict=True)), name="again")
    with open_dataset(data) as dataset:
        assert dataset.manifest.labels["again"] == dataset.manifest.labels["own"]
    assert check_dataset(data) == []


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_any_labels_survive_a_round_trip(made: Path, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=8, max_size=8))
    labels = np.resize(np.array(kinds, np.uint8), SMALL)
    root = made.parent / "trip"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(made, root / "data")
    put(root / "own/a_f000000.png", labels)
    import_labels(root / "data", root / "own", name="own", classes=OWN)
    export_labels(root / "data", root / "out", name="own", colour=True)
    import_labels(root / "data", root / "out", name="again")
    assert_labels(root / "data", {"a_f000000": labels}, name="again")


def test_an_export_does_not_overwrite_edits(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001", "a_f000002"])
    import_labels(data, tmp_path / "own", name="own")
    export_labels(data, tmp_path / "out", name="own")
    first = tree(tmp_path / "out")
    export_labels(data, tmp_path / "out", name="own")
    put(tmp_path / "out/a_f000001.png", np.zeros(SMALL, np.uint8))
    with pytest.raises(OutputError, match=r"a_f000001\.png is there already and differs"):
        export_labels(data, tmp_path / "out", name="own")
    export_labels(data, tmp_path / "out", name="own", overwrite=True)
    assert tree(tmp_path / "out") == first
    with pytest.raises(DatasetError, match="has no label set 'other'; it has own"):
        export_labels(data, tmp_path / "out", name="other")


def test_an_export_keeps_an_edited_class_table(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001", "a_f000002"])
    import_labels(data, tmp_path / "own", name="own")
    table = tmp_path / "out/classes.toml"
    export_labels(data, tmp_path / "out", name="own")
    first = tree(tmp_path / "out")
    table.write_text(table.read_text().replace("cart", "waggon"))
    (tmp_path / "out/a_f000001.png").unlink()
    edited = tree(tmp_path / "out")
    with pytest.raises(OutputError, match=r"classes\.toml is there already and differs"):
        export_labels(data, tmp_path / "out", name="own")
    assert tree(tmp_path / "out") == edited
    export_labels(data, tmp_path / "out", name="own", overwrite=True)
    assert tree(tmp_path / "out") == first


def test_an_export_leaves_no_label_maps_of_an_earlier_one(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name, files in (("three", ["a_f000001", "a_f000002", "a_2_f000003"]),
                        ("one", ["a_f000002"])):  # fmt: skip
        annotated(tmp_path / name, files)
        import_labels(data, tmp_path / name, name=name)
    export_labels(data, out, name="three", by="frame")
    export_labels(data, out, name="three", overwrite=True)
    assert not (out / "a").exists()
    before = tree(out)
    with pytest.raises(
        OutputError, match=r"has 2 PNGs that are no files of this export, .*--overwrite"
    ):
        export_labels(data, out, name="one")
    assert tree(out) == before
    export_labels(data, out, name="one", overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["a_f000002.png", "classes.toml"]


def test_an_export_removes_no_files_of_others(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001"])
    import_labels(data, tmp_path / "own", name="own")
    out = tmp_path / "out"
    export_labels(data, out, name="own")
    put(out / "holiday.png", np.zeros(SMALL, np.uint8))
    with pytest.raises(OutputError, match=r"has 1 PNGs that .*holiday\.png: .* move them away"):
        export_labels(data, out, name="own", overwrite=True)
    (out / "holiday.png").rename(out / "a_f000002.png")
    (out / "classes.toml").unlink()
    with pytest.raises(OutputError, match=r"has 1 PNGs that .*a_f000002\.png: .* move them away"):
        export_labels(data, out, name="own", overwrite=True)


def test_colours_that_do_not_tell_classes_are_not_exported(data: Path, tmp_path: Path) -> None:
    put(tmp_path / "own/a_f000001.png", np.zeros(SMALL, np.uint8))
    for colours, other in ((((0, 0, 0), (1, 1, 1), (2, 2, 2)), "ignored pixels"),
                           (((1, 1, 1), (1, 1, 1), (2, 2, 2)), "another class")):  # fmt: skip
        table = ClassTable(OWN.names, colours)
        import_labels(data, tmp_path / "own", name="own", classes=table, overwrite=True)
        with pytest.raises(LabelError, match=f"has the colour .* of {other}"):
            export_labels(data, tmp_path / "out", name="own", colour=True)
        export_labels(data, tmp_path / "ids", name="own", overwrite=True)


def test_the_commands(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001"])
    asked = ["labels", "import", str(data), str(tmp_path / "own"), "--set", "own"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    assert "1 file for 1 of 20 samples, 3 classes" in result.stdout
    result = CliRunner().invoke(main, [*asked, "--json"])
    assert json.loads(result.stdout)["already"]
    out = str(tmp_path / "out")
    result = CliRunner().invoke(main, ["labels", "export", str(data), out, "--set", "own"])
    assert result.exit_code == 0, result.output
    assert "1 label map of own in 3 classes" in result.stdout
    for name in ("import", "export"):
        result = CliRunner().invoke(main, ["labels", name, str(data), str(tmp_path / "own")])
        assert (result.exit_code, "Missing option '--set'" in result.stderr) == (2, True)
    (tmp_path / "own/classes.toml").unlink()
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 1
    assert "has no classes.toml, which names its classes" in result.stderr


MERGING = ClassTable(
    OWN.names,
    OWN.colours,
    "yard",
    (False, True, False),
    merges=(
        Merge("two", "", (("ground", ("low",)), ("ignored", ("high",)))),
        Merge("three", "by day", (("rest", ("a", "b")), ("cart", ("c",)))),
        Merge("three", "by night", (("ground", ("a", "b", "c")),)),
    ),
)


def test_merges_of_an_own_table_survive_manifest_and_export(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001"])
    import_labels(data, tmp_path / "own", name="own", classes=OWN)
    write_class_table(tmp_path / "own/classes.toml", MERGING)
    # The labels are the same: only the merges are renewed.
    again = import_labels(data, tmp_path / "own", name="own")
    assert (again.pixels, again.merges) == ((), True)
    assert not import_labels(data, tmp_path / "own", name="own").merges
    export_labels(data, tmp_path / "out", name="own")
    with open_dataset(data) as dataset:
        held = dataset.manifest.labels["own"]
    three = ClassTable(("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), "three")
    for table in (held, load_class_table(tmp_path / "out/classes.toml")):
        assert (table.merges, table.instances) == (MERGING.merges, MERGING.instances)
        assert merge_of(three, table) == (2, 2, 1)
        assert merge_of(three, table, reading="by night") == (0, 0, 0)
    assert check_dataset(data) == []


def test_a_manifest_with_merges_of_no_class_is_one_error(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001"])
    import_labels(data, tmp_path / "own", name="own", classes=MERGING)
    text = (data / "manifest.toml").read_text()
    (data / "manifest.toml").write_text(
        text.replace("[labels.own.merge.two]\nground", "[labels.own.merge.two]\nfloor")
    )
    with pytest.raises(DatasetError, match=r"is no manifest: merge\.two: 'floor' is no class"):
        open_dataset(data)
