"""Import and export of label sets: joins, round trips, refusals, stopped imports."""

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
from recording_fixtures import SMALL, tree, write_recording

from eventseg.dataset import check_dataset, encode_dataset
from eventseg.dataset.reader import open_dataset
from eventseg.errors import DatasetError, LabelError, OutputError
from eventseg.labels.files import write_labels
from eventseg.labels.maps import ClassTable, merge_of, paint_labels
from eventseg.labels.table_files import write_class_table
from eventseg.labels.tables import Merge, load_class_table
from eventseg.recordings.progress import Progress
from eventseg.sources import Join, export_labels, import_labels
from eventseg.sources.source import open_source
from eventseg.training.check_path import check_path
from eventseg.windows import parse_anchor
from eventseg_cli.main import main

OWN = ClassTable(
    ("ground", "cart", "rest"), ((9, 0, 0), (0, 9, 0), (0, 0, 9)), "yard", ignored_ids=(7,)
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    recordings = [write_recording(folder / f"{n}.hdf5", seed=k) for k, n in enumerate(("a", "a_2"))]
    encode_dataset(recordings, folder / "data", store="none")
    return folder / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"


def maps_of(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.choice(np.array([0, 1, 2, 255], np.uint8), SMALL) for _ in range(count)]


def put(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, labels, OWN)


def annotated(folder: Path, names: list[str]) -> list[np.ndarray]:
    """Write one label map for each name, and the class table."""
    maps = maps_of(len(names))
    for name, labels in zip(names, maps, strict=True):
        put(folder / f"{name}.png", labels)
    write_class_table(folder / "classes.toml", OWN)
    return maps


def assert_labels(data: Path, expected: dict[str, np.ndarray], *, name: str = "own") -> None:
    with open_dataset(data) as dataset:
        for i, sample in enumerate(dataset.ids):
            if sample in expected:
                np.testing.assert_array_equal(dataset.labels(i, name), expected[sample])
            else:
                assert not (data / f"labels/{name}/{sample}.png").exists()


def test_files_named_by_ids_become_a_set_of_those_samples(data: Path, tmp_path: Path) -> None:
    names = ["a_f000001", "a_f000004", "a_2_f000002"]
    maps = annotated(tmp_path / "own", names)
    summary = import_labels(data, tmp_path / "own", name="own")
    assert (summary.files, summary.samples, summary.of_samples) == (3, 3, 20)
    assert sum(summary.pixels) == 3 * SMALL.height * SMALL.width
    assert_labels(data, dict(zip(names, maps, strict=True)))
    assert check_dataset(data) == []
    source = open_source(data, label_set="own")
    assert source.classes == OWN
    assert source.classes.name == "yard"
    assert {source.ids[i] for i in np.flatnonzero(source.labelled)} == set(names)
    with open_dataset(data) as dataset:
        assert len(dataset.torch(labels="own", window="50ms")) == 3
    (data / "labels/own/a_f000001.png").unlink()
    assert "3 samples that were imported" in " ".join(check_dataset(data))


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        (["a_000003", "a_2_000003"], Join(by="frame")),
        (["a/0004", "a_2/labels/0004"], Join(by="frame", first_frame=1)),
        (["a-frame-3", "a_2_f3"], Join(by="frame")),
        (["a_399000", "a_2_399500"], Join(by="time")),
        (["a_399", "a_2_399.5"], Join(by="time", unit="ms")),
        (["a/0.399", "a_2/0.3995"], Join(by="time", unit="s")),
    ],
)
def test_frames_and_times_name_samples(
    data: Path, tmp_path: Path, names: list[str], rule: Join
) -> None:
    maps = annotated(tmp_path / "own", names)
    summary = import_labels(data, tmp_path / "own", name="own", join=rule)
    assert_labels(data, {"a_f000003": maps[0], "a_2_f000003": maps[1]})
    assert summary.largest_us == (500 if rule.by == "time" else 0)


def test_times_may_count_from_the_first_event(data: Path, tmp_path: Path) -> None:
    with open_dataset(data) as dataset:
        first = dataset.manifest.recording("a").t_first_us
    annotated(tmp_path / "own", [f"a/{399_000 - first}"])
    rule = Join(by="time", from_start=True, tolerance_us=0)
    assert import_labels(data, tmp_path / "own", name="own", join=rule).samples == 1


def test_a_frame_that_samples_share_labels_all_of_them(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "one.hdf5")
    encode_dataset([recording], tmp_path / "data", store="none", anchor=parse_anchor("stride:20ms"))
    maps = annotated(tmp_path / "own", ["picture_2"])
    rule = Join(by="frame")
    summary = import_labels(tmp_path / "data", tmp_path / "own", name="own", join=rule)
    with open_dataset(tmp_path / "data") as dataset:
        sharing = np.flatnonzero(dataset.samples.frame == 2)
        assert len(sharing) == summary.samples > 1
        for i in sharing:
            np.testing.assert_array_equal(dataset.labels(int(i), "own"), maps[0])


def test_files_of_another_recording_are_not_of_the_only_one(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "first.hdf5")
    data, rule = tmp_path / "data", Join(by="frame")
    encode_dataset([recording], data, store="none")
    folder = tmp_path / "both"
    annotated(folder, ["first/000003", "second/000003", "second_f000004"])
    with pytest.raises(LabelError, match=r"second/000003\.png names no recording"):
        import_labels(data, folder, name="own", join=rule)
    summary = import_labels(data, folder, name="own", join=rule, skip_orphans=True)
    assert (summary.samples, summary.left_out, summary.unnamed) == (1, 2, "")
    annotated(tmp_path / "two", ["second/000003", "third/000004"])
    with pytest.raises(LabelError, match=r"second/000003\.png names no recording"):
        import_labels(data, tmp_path / "two", name="two", join=rule)
    annotated(tmp_path / "one", ["second/000003", "second/000004"])
    summary = import_labels(data, tmp_path / "one", name="one", join=rule)
    assert (summary.samples, summary.unnamed) == (2, "second/")
    assert "  second/NUMBER names no recording: taken for the only one" in summary.lines()


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


def test_pixels_are_ids_or_colours_by_the_file_or_as_said(data: Path, tmp_path: Path) -> None:
    (labels,) = maps_of(1)
    folder = tmp_path / "own"
    folder.mkdir()
    gray = labels.copy()
    gray[0, 0] = 7  # ignored in files of this table
    Image.fromarray(gray).save(folder / "a_f000000.png")
    Image.fromarray(paint_labels(labels, OWN)).save(folder / "a_f000001.png")
    import_labels(data, folder, name="own", classes=OWN)
    gray[0, 0] = 255
    assert_labels(data, {"a_f000000": gray, "a_f000001": labels})
    with pytest.raises(LabelError, match=r"1 of 2 .*f000000\.png are gray, which is no colour"):
        import_labels(data, folder, name="x", classes=OWN, values="colours")
    with pytest.raises(LabelError, match=r"1 of 2 .*f000001\.png are 8-bit RGB, not indexed"):
        import_labels(data, folder, name="x", classes=OWN, values="ids")
    # An indexed file whose palette has the colours at other places, where ids would fit too.
    image = Image.fromarray(np.zeros(SMALL, np.uint8))
    image.putpalette([0, 0, 9])
    image.save(folder / "a_f000000.png")
    import_labels(data, folder, name="c", classes=OWN, values="colours")
    assert_labels(data, {"a_f000000": np.full(SMALL, 2, np.uint8), "a_f000001": labels}, name="c")


def test_what_does_not_fit_is_listed_and_nothing_changes(data: Path, tmp_path: Path) -> None:
    before, folder = tree(data), tmp_path / "own"
    annotated(folder, ["a_f000001", "b_f000001", "a_f000099", "deep/a_f000001"])
    with pytest.raises(LabelError) as caught:
        import_labels(data, folder, name="own")
    for part in ("a_f000099.png is no sample id", "b_f000001.png is no sample id", "--by frame",
                 "a_f000001.png and deep/a_f000001.png are both of a_f000001"):  # fmt: skip
        assert part in str(caught.value)
    with pytest.raises(LabelError, match=r"b_f000001\.png names no recording and number.* a, a_2"):
        import_labels(data, folder, name="own", join=Join(by="frame"))
    shutil.rmtree(folder)
    annotated(folder, ["a_150000"])
    with pytest.raises(LabelError, match=r"a_150000\.png is 49,000 us from the nearest sample of"):
        import_labels(data, folder, name="own", join=Join(by="time"))
    shutil.rmtree(folder)
    annotated(folder, ["a_f000001", "a_f000002", "a_f000003"])
    Image.new("L", (30, 24)).save(folder / "a_f000001.png")
    Image.new("L", (32, 24), 5).save(folder / "a_f000002.png")
    (folder / "a_f000003.png").write_bytes((folder / "a_f000003.png").read_bytes()[:60])
    with pytest.raises(LabelError) as caught:
        import_labels(data, folder, name="own")
    text = str(caught.value)
    assert "3 of 3 label maps cannot be imported" in text
    assert "a_f000001.png are 30x24, the sensor is 32x24" in text
    assert "a_f000002.png hold 5" in text
    assert "cannot read labels" in text
    assert text.count("class table yard has 0 ground, 1 cart, 2 rest") == 1
    assert tree(data) == before


def test_orphans_may_be_left_out(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001", "a_f000099"])
    summary = import_labels(data, tmp_path / "own", name="own", skip_orphans=True)
    assert (summary.samples, summary.left_out) == (1, 1)
    annotated(tmp_path / "none", ["a_f000099"])
    with pytest.raises(LabelError, match="is no sample id"):
        import_labels(data, tmp_path / "none", name="own", skip_orphans=True)


def test_a_stopped_import_ends_with_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotated(tmp_path / "own", [f"a_f{k:06d}" for k in range(10)])
    shutil.copytree(data, tmp_path / "straight")
    import_labels(tmp_path / "straight", tmp_path / "own", name="own")

    def stop(now: Progress) -> None:
        if now.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_labels(data, tmp_path / "own", name="own", progress=stop)
    assert "labels.partial/own is left over" in " ".join(check_dataset(data))
    import_labels(data, tmp_path / "own", name="own")
    assert tree(data) == tree(tmp_path / "straight")
    # Stopped between the files and the manifest.
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            import_labels(data, tmp_path / "own", name="own", values="ids", overwrite=True)
    import_labels(data, tmp_path / "own", name="own", values="ids")
    with open_dataset(data) as dataset:
        assert dataset.manifest.label_settings["own"]["values"] == "ids"
    assert check_dataset(data) == []


def test_a_set_is_replaced_only_where_asked(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001"])
    assert import_labels(data, tmp_path / "own", name="own").pixels
    again = import_labels(data, tmp_path / "own", name="own")
    assert again.to_dict()["already"]
    put(tmp_path / "own/a_f000001.png", np.zeros(SMALL, np.uint8))
    with pytest.raises(DatasetError, match=r"made otherwise \(files_sha256 was .*--overwrite"):
        import_labels(data, tmp_path / "own", name="own")
    import_labels(data, tmp_path / "own", name="own", overwrite=True)
    assert_labels(data, {"a_f000001": np.zeros(SMALL, np.uint8)})


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


def test_hand_labels_may_be_the_truth(data: Path, tmp_path: Path) -> None:
    names = [f"{n}_f{k:06d}" for n in ("a", "a_2") for k in range(0, 10, 2)]
    annotated(tmp_path / "own", names)
    import_labels(data, tmp_path / "own", name="truth")
    source = open_source(data)
    assert int(source.labelled.sum()) == 10
    assert check_dataset(data) == []


def test_a_known_table_keeps_its_name_and_merges(data: Path, tmp_path: Path) -> None:
    table = load_class_table("evsegnet6")
    put(tmp_path / "own/a_f000001.png", np.zeros(SMALL, np.uint8))
    write_class_table(tmp_path / "own/classes.toml", table)
    import_labels(data, tmp_path / "own", name="own")
    with open_dataset(data) as dataset:
        assert dataset.manifest.labels["own"].name == "evsegnet6"


def test_the_commands(data: Path, tmp_path: Path) -> None:
    annotated(tmp_path / "own", ["a_f000001"])
    asked = ["labels", "import", str(data), str(tmp_path / "own"), "--set", "own"]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    assert "1 files for 1 of 20 samples, 3 classes" in result.stdout
    result = CliRunner().invoke(main, [*asked, "--json"])
    assert json.loads(result.stdout)["already"]
    out = str(tmp_path / "out")
    result = CliRunner().invoke(main, ["labels", "export", str(data), out, "--set", "own"])
    assert result.exit_code == 0, result.output
    assert "1 label maps of own in 3 classes" in result.stdout
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


def pictures(root: Path) -> Path:
    """Write a folder of labelled pictures in the classes of OWN."""
    for k, name in enumerate(("train/a_1", "train/a_2", "val/b_1", "test/monday/0001")):
        path = root / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SMALL, 3), k, np.uint8)).save(path)
        put(root / "labels" / f"{name}.png", np.full(SMALL, k % 3, np.uint8))
    write_class_table(root / "classes.toml", OWN)
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("a_1", "monday_0001"),
        ("a_1", "monday/0001"),
        ("train/a_1", "test/monday/0001"),
        ("a_1", "0001"),
    ],
)
def test_pictures_take_label_sets_and_give_them(tmp_path: Path, names: tuple[str, str]) -> None:
    root = pictures(tmp_path / "mine")
    before = tree(root)
    maps = annotated(tmp_path / "own", list(names))
    (tmp_path / "own/classes.toml").unlink()  # the classes of the pictures then
    summary = import_labels(root, tmp_path / "own", name="second")
    assert (summary.files, summary.samples, summary.of_samples) == (2, 2, 4)
    assert {name: content for name, content in tree(root).items() if name in before} == before
    source = open_source(root, label_set="second")
    assert source.ids == ("a_1", "a_2", "b_1", "monday_0001")
    assert source.labelled.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(source.labels(0), maps[0])
    np.testing.assert_array_equal(source.labels(3), maps[1])
    assert import_labels(root, tmp_path / "own", name="second").to_dict()["already"]
    for name, count in (("second", 2), ("truth", 4)):
        out = tmp_path / f"out_{name}"
        assert export_labels(root, out, name=name, colour=True).files == count
        import_labels(root, out, name=f"{name}_again")
        again, first = (open_source(root, label_set=n) for n in (f"{name}_again", name))
        assert again.classes == first.classes
        for i in np.flatnonzero(first.labelled):
            np.testing.assert_array_equal(again.labels(int(i)), first.labels(int(i)))


def test_labels_of_another_drive_are_of_no_picture(tmp_path: Path) -> None:
    root, folder = tmp_path / "mine", tmp_path / "own"
    for k, name in enumerate(("a/001", "a/002")):
        put(root / "labels" / f"{name}.png", np.full(SMALL, k, np.uint8))
        (root / "images/a").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*SMALL, 3), k, np.uint8)).save(root / f"images/{name}.png")
    write_class_table(root / "classes.toml", OWN)
    annotated(folder, ["b/001", "b/002"])
    with pytest.raises(LabelError, match=r"b/001\.png is no name of a picture; b/002\.png is no"):
        import_labels(root, folder, name="second")
    maps = annotated(folder, ["a/001", "a/002"])
    summary = import_labels(root, folder, name="second", skip_orphans=True)
    assert (summary.files, summary.samples, summary.left_out) == (2, 2, 2)
    source = open_source(root, label_set="second")
    for i, labels in enumerate(maps):
        np.testing.assert_array_equal(source.labels(i), labels)


def test_folders_of_labels_agree_with_those_of_the_picture(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    for k, name in enumerate(("labels/train/a_1", "test/monday/0001", "monday/monday_0001")):
        annotated(tmp_path / str(k), [name])
        assert import_labels(root, tmp_path / str(k), name=f"set{k}").samples == 1
    for k, name in enumerate(("tuesday/0001", "monday/a_1", "x/monday/0001", "train/x/a_1"), 5):
        annotated(tmp_path / str(k), [name])
        with pytest.raises(LabelError, match="is no name of a picture"):
            import_labels(root, tmp_path / str(k), name=f"set{k}")


def test_pictures_are_checked_with_their_sets(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    annotated(tmp_path / "own", ["a_1", "monday_0001"])
    import_labels(root, tmp_path / "own", name="own")
    report = check_path(root)
    assert (report.kind, report.problems) == ("pictures", [])
    Image.new("RGB", (5, 4)).save(root / "images/train/a_1.png")
    Image.new("L", (SMALL.width, SMALL.height), 9).save(root / "labels/val/b_1.png")
    shutil.copy(root / "label_sets/labels/own/a_1.png", root / "label_sets/labels/own/c_1.png")
    size, ids, count, stray = check_path(root).problems
    assert size.endswith("a_1.png 5x4; make them of one size")
    assert "b_1.png" in ids
    assert "labels/own holds 3 label maps, not those of the 2 samples" in count
    assert "labels/own/c_1.png belongs to no picture; move it away" in stray


def test_what_does_not_fit_pictures_is_refused(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    before = tree(root)
    annotated(tmp_path / "own", ["a_1", "c_1"])
    with pytest.raises(LabelError, match=r"c_1\.png is no name of a picture\. Name them by pict"):
        import_labels(root, tmp_path / "own", name="second")
    with pytest.raises(LabelError, match=r"folder of pictures, which have no frame: join by id"):
        import_labels(root, tmp_path / "own", name="second", join=Join(by="frame"))
    with pytest.raises(LabelError, match=r"truth of .* its own labels, .*mine/labels: put PNGs"):
        import_labels(root, tmp_path / "own", name="truth", skip_orphans=True)
    with pytest.raises(LabelError, match=r"pictures, which have no frame; export by id"):
        export_labels(root, tmp_path / "out", name="truth", by="frame")
    with pytest.raises(DatasetError, match=r"no label set 'second'; it has truth"):
        export_labels(root, tmp_path / "out", name="second")
    assert tree(root) == before
    Image.new("L", (30, 24)).save(tmp_path / "own/a_1.png")
    with pytest.raises(LabelError, match=r"a_1\.png are 30x24, the pictures are 32x24"):
        import_labels(root, tmp_path / "own", name="second", skip_orphans=True)


def test_an_audit_compares_pictures_that_both_sets_have(tmp_path: Path) -> None:
    root = pictures(tmp_path / "mine")
    annotated(tmp_path / "own", ["a_1", "monday_0001"])
    import_labels(root, tmp_path / "own", name="second")
    asked = ["audit", str(root), "--labels", "second", "--truth", "truth", "--split", "all"]
    result = CliRunner().invoke(main, [*asked, "--out", str(tmp_path / "audit"), "--json"])
    assert result.exit_code == 0, result.output
    assert [row["id"] for row in json.loads(result.stdout)["frames"]] == ["a_1", "monday_0001"]
