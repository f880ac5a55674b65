"""Imports of label sets into a data set: joins, refusals, stopped imports."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recording_fixtures import SMALL, tree, write_recording
from sources.own_labels.label_set_fixtures import OWN, annotated, assert_labels, maps_of, put

from eventseg.dataset import check_dataset, encode_dataset
from eventseg.dataset.opening import open_dataset
from eventseg.errors import DatasetError, LabelError
from eventseg.labels.maps import paint_labels
from eventseg.labels.table_files import write_class_table
from eventseg.labels.tables import load_class_table
from eventseg.recordings.progress import Progress
from eventseg.sources import Join, import_labels
from eventseg.sources.source import open_source
from eventseg.windows import parse_anchor


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
    for name in ("Own", "TRUTH"):  # one folder with own and truth on Windows
        with pytest.raises(LabelError, match="one folder where case does not count"):
            import_labels(data, tmp_path / "own", name=name, overwrite=True)
    assert_labels(data, {"a_f000001": np.zeros(SMALL, np.uint8)})


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
