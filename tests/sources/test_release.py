"""EV-SegNet's layout, written: as the original loader reads it, and as this package does."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recording_fixtures import tree
from training_fixtures import street_dataset

from eventseg.errors import DatasetError, OutputError
from eventseg.files.locks import locked
from eventseg.labels import load_class_table
from eventseg.labels.maps import merge_labels, merge_of
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues import write_release
from eventseg.sources.source import open_source


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_dataset(tmp_path_factory.mktemp("drives"))


@pytest.fixture(scope="module")
def written(drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("release") / "dataset_our_codification"
    found = write_release(drives, out)
    assert found.notes == ()
    assert found.samples["train"] > 0 < found.samples["test"]
    return out


def original_lists(root: Path, part: str) -> dict[str, list[str]]:
    """Return the lists of files as the original loader makes them, by kind."""
    files = [file for file in glob.glob(os.path.join(root, "*", "*", "*")) if f"/{part}/" in file]  # noqa: PTH118, PTH207
    return {k: sorted(f for f in files if f"/{k}/" in f) for k in ("images", "labels", "events")}


def test_the_original_loader_finds_the_samples_and_their_types(drives, written):
    source = open_source(drives)
    merge = merge_of(source.classes, load_class_table("evsegnet6"))
    place = {name: i for i, name in enumerate(source.ids)}
    count = 0
    for part in ("train", "test"):
        lists = original_lists(written, part)
        names = [Path(file).stem for file in lists["images"]]
        assert names == [Path(file).stem for file in lists["labels"]]
        assert names == [Path(file).stem for file in lists["events"]]
        for name, image, label, event in zip(names, *lists.values(), strict=True):
            i, count = place[name], count + 1
            test = source.splits[i] == "test"
            assert test == (part == "test")
            tensor = np.load(event)
            assert (tensor.shape, tensor.dtype) == ((48, 64, 6), np.dtype("float32"))
            np.testing.assert_array_equal(
                tensor.transpose(2, 0, 1), source.events(i, "50ms", normalise="evsegnet")
            )
            picture, labels = Image.open(image), Image.open(label)
            assert picture.mode == labels.mode == "L"
            expected = np.rint(source.image(i, colour=False)[0] * 255)
            np.testing.assert_array_equal(np.asarray(picture), expected)
            np.testing.assert_array_equal(np.asarray(labels), merge_labels(source.labels(i), merge))
    assert count == int(source.labelled.sum())


def test_what_is_read_back_gives_the_same_tensors(drives, written):
    source, again = open_source(drives), open_source(written)
    assert isinstance(again, Folder)
    assert again.left_out == {}
    place = {name: i for i, name in enumerate(source.ids)}
    assert set(again.ids) == {source.ids[i] for i in np.flatnonzero(source.labelled)}
    for k, name in enumerate(again.ids):
        i = place[name]
        assert again.sequences[k] == source.sequences[i]
        expected = source.events(i, "50ms", normalise="evsegnet")
        np.testing.assert_array_equal(again.events(k, "50ms", normalise="evsegnet"), expected)
        gray = source.image(i, colour=False)
        np.testing.assert_array_equal(again.image(k, colour=False), gray)


def test_a_release_goes_on_and_ends_with_the_same_bytes(drives, written, tmp_path):
    out = tmp_path / "again"

    def stop(now):
        if now.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_release(drives, out, progress=stop)
    assert len(original_lists(out, "train")["events"]) == 3
    (out / "events/train/killed.npy.0123456789.tmp").touch()
    write_release(drives, out)
    assert tree(out) == tree(written)


def test_other_settings_and_strange_files_are_refused(drives, written, tmp_path):
    with pytest.raises(DatasetError, match="release of other settings: window"):
        write_release(drives, written, window="10ms")
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="holds other files"):
        write_release(drives, out)
    out = tmp_path / "own"
    write_release(drives, out)
    np.save(out / "events/train/zzz.npy", np.zeros(3))
    with pytest.raises(DatasetError, match=r"1 files of no sample, first .*zzz.npy"):
        write_release(drives, out)
    before = tree(out)
    with locked(out), pytest.raises(OutputError, match="another process is"):
        write_release(drives, out, window="10ms", overwrite=True)
    assert tree(out) == before
    (out / "images/test/mine").mkdir()
    with pytest.raises(OutputError, match="mine is a folder among the samples; move it"):
        write_release(drives, out, window="10ms", overwrite=True)
    assert tree(out) == before
    (out / "images/test/mine").rmdir()
    found = write_release(drives, out, window="10ms", overwrite=True)
    assert not (out / "events/train/zzz.npy").exists()
    x = np.load(next((out / "events/test").glob("*.npy")))
    i = open_source(drives).ids.index(next((out / "events/test").glob("*.npy")).stem)
    expected = open_source(drives).events(i, "10ms", normalise="evsegnet")
    np.testing.assert_array_equal(x.transpose(2, 0, 1), expected)
    assert sum(found.samples.values()) == int(open_source(drives).labelled.sum())


def test_a_path_that_the_original_loader_would_misread_is_noted(drives, tmp_path):
    found = write_release(drives, tmp_path / "test" / "release")
    assert "a folder named test on its way" in found.notes[0]


def test_data_without_events_or_the_six_channels_are_refused(drives, tmp_path):
    for folder in ("train", "trainannot"):
        (tmp_path / "pictures" / folder).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "pictures" / folder / "a_0.png")
    with pytest.raises(DatasetError, match="holds no events"):
        write_release(tmp_path / "pictures", tmp_path / "out")
    voxels = street_dataset(tmp_path, name="voxels", representation="voxel:2")
    with pytest.raises(DatasetError, match="holds voxel:2; EV-SegNet's layout has the six"):
        write_release(voxels, tmp_path / "out")
    assert not (tmp_path / "out").exists()
