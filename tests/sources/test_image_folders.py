"""Image folders as samples: CamVid, Cityscapes, EV-SegNet's released files, damaged ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from training_fixtures import draw_nothing, one_thread, tiny, train_tiny

from eventseg.errors import DatasetError, TrainingError
from eventseg.labels.maps import load_class_table, paint_labels
from eventseg.networks import load_network
from eventseg.sources.source import open_source
from eventseg.training.parts import pick
from eventseg_cli.main import main


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def picture(path: Path, size: tuple[int, int], *, value: int = 3, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, value, value)).save(path)


def camvid(root: Path, *, size: tuple[int, int] = (64, 48), suffix: str = ".png") -> Path:
    for split in ("train", "val", "test"):
        for k in range(4):
            picture(root / split / f"0001TP_{split}{k}{suffix}", size, value=40 * k, mode="RGB")
            picture(root / f"{split}annot" / f"0001TP_{split}{k}.png", size, value=11 - k)
    return root


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_camvid_layout(tmp_path: Path, suffix: str) -> None:
    source = open_source(camvid(tmp_path / "CamVid", suffix=suffix))
    assert source.splits == ("train",) * 4 + ("val",) * 4 + ("test",) * 4
    assert set(source.sequences) == {"0001TP"}
    assert source.classes.names == load_class_table("camvid11").names
    assert set(np.unique(source.labels(0))) == {255}
    assert set(np.unique(source.labels(1))) == {10}
    assert source.image(1, colour=True).shape == (3, 48, 64)
    np.testing.assert_allclose(source.image(1, colour=False), 40 / 255, rtol=1e-6)
    with pytest.raises(TrainingError, match="pictures and no events"):
        source.events(0, "50ms", normalise="evsegnet")
    with pytest.raises(TrainingError, match="no label set 'guess'; it has truth"):
        open_source(tmp_path / "CamVid", label_set="guess")


def test_info_counts_samples_and_pixels_by_split(tmp_path: Path) -> None:
    root = camvid(tmp_path / "CamVid")
    (root / "train/notes.txt").write_text("by hand")
    (root / "valannot/0001TP_val0.png").unlink()
    asked = CliRunner().invoke(main, ["info", str(root), "--json"])
    assert asked.exit_code == 1
    assert "0001TP_val0" in asked.output
    picture(root / "valannot/0001TP_val0.png", (64, 48), value=8)
    asked = CliRunner().invoke(main, ["info", str(root), "--json"])
    info = json.loads(asked.stdout)
    assert (info["size"], info["samples"]) == ("64x48", 12)
    # Label maps hold 11, 10, 9 and 8 in turn; 11 is void.
    train, val = info["splits"]["train"], info["splits"]["val"]
    assert (train["samples"], train["labelled"], train["sequences"]) == (4, 4, 1)
    counts = {name: n for name, n in train["pixels"].items() if n}
    assert counts == {"bicyclist": 3072, "pedestrian": 3072, "car": 3072, "ignored": 3072}
    assert val["pixels"]["car"] == 2 * 3072
    assert val["pixels"]["ignored"] == 0
    assert sum(info["left_out"].values()) == 1
    text = CliRunner().invoke(main, ["info", str(root)]).stdout
    assert "25.000   50.000" in next(line for line in text.splitlines() if " car " in line)
    assert "left out: 1 " in text


def test_picture_in_two_formats_is_one_sample(tmp_path: Path) -> None:
    root = camvid(tmp_path / "CamVid")
    picture(root / "train/0001TP_train1.jpg", (64, 48), value=200, mode="RGB")
    source = open_source(root)
    assert len(source.ids) == len(set(source.ids)) == 12
    np.testing.assert_allclose(source.image(1, colour=False), 40 / 255, rtol=1e-6)


def test_the_ends_of_drives_validate_where_a_folder_has_no_validation_part(tmp_path: Path) -> None:
    root = tmp_path / "CamVid"
    for split, drive, count in (("train", "a", 20), ("train", "b", 30), ("test", "c", 3)):
        for k in range(count):
            picture(root / split / f"{drive}_{k}.png", (8, 6), mode="RGB")
            picture(root / f"{split}annot" / f"{drive}_{k}.png", (8, 6), value=0)
    source = open_source(root)
    splits = dict(zip(source.ids, source.splits, strict=True))
    # Numbers in names are numbers: picture 9 comes before picture 10.
    expected = {f"a_{k}": "train" if k < 17 else "gap" if k == 17 else "val" for k in range(20)}
    expected |= {f"b_{k}": "train" if k < 25 else "gap" if k < 27 else "val" for k in range(30)}
    assert splits == expected | {f"c_{k}": "test" for k in range(3)}
    assert source.published_splits == ("train",) * 50 + ("test",) * 3
    for protocol, count in (("clean", 42), ("paper", 50)):
        assert len(pick(source, tiny(protocol=protocol, input__kind="rgb"), split="train")) == count
    (root / "valannot").mkdir()
    picture(root / "val/d_0.png", (8, 6), mode="RGB")
    picture(root / "valannot/d_0.png", (8, 6), value=0)
    with_val = open_source(root)
    assert with_val.splits == with_val.published_splits


def test_released_rows_of_the_clean_protocol_validate(tmp_path: Path) -> None:
    root, name = tmp_path / "released", "rec1487593224"
    rows = (870, 1789, 1790, 1989, 1990, 2189)
    for split, recording, chosen in (("train", name, rows), ("test", "rec1487417411", (100,))):
        for row in chosen:
            picture(root / f"images/{split}/{recording}_export_{row}.png", (8, 6))
            picture(root / f"labels/{split}/{recording}_export_{row}.png", (8, 6), value=1)
    source = open_source(root)
    splits = dict(zip(source.ids, source.splits, strict=True))
    expected = ("train", "train", "gap", "gap", "val", "val")
    assert splits == {
        **{f"{name}_export_{row}": split for row, split in zip(rows, expected, strict=True)},
        "rec1487417411_export_100": "test",
    }
    assert source.published_splits.count("train") == 6


@pytest.mark.usefixtures("blind")
def test_training_on_a_folder(tmp_path: Path) -> None:
    made = train_tiny(
        camvid(tmp_path / "CamVid"), tmp_path / "out", epochs=1, input__kind="rgb",
        size__rescale=0.75,
    )  # fmt: skip
    assert len(made.history[0].val_iou) == 11
    # What it was trained at is what it is to be used at.
    assert load_network(tmp_path / "out/best.pt").inputs.size == (36, 48)


def test_folders_that_are_damaged(tmp_path: Path) -> None:
    root = camvid(tmp_path / "CamVid")
    picture(root / "train/0001TP_train1.png", (32, 48), mode="RGB")
    with pytest.raises(DatasetError, match=r"is 32x48, the others of .* are 64x48"):
        open_source(root).image(1, colour=True)
    noisy = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noisy).save(root / "train/0001TP_train2.png")
    whole = (root / "train/0001TP_train2.png").read_bytes()
    (root / "train/0001TP_train2.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"cannot read .*train2\.png"):
        open_source(root).image(2, colour=True)
    (root / "train/notes.txt").write_text("not a picture")
    assert len(open_source(root).ids) == 12
    (root / "valannot/0001TP_val0.png").unlink()
    with pytest.raises(DatasetError, match=r"1 labels are missing, first .*0001TP_val0\.png"):
        open_source(root)
    shutil.rmtree(root / "val")
    assert set(open_source(root).published_splits) == {"train", "test"}
    (root / "trainannot/0001TP_train0.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="cannot read"):
        open_source(root)
    with pytest.raises(DatasetError, match="is no data set"):
        open_source(tmp_path)


def test_leftovers_and_missing_parts_of_folders_are_counted(tmp_path: Path) -> None:
    root = camvid(tmp_path / "CamVid", suffix=".PNG")
    for name in ("train/._0001TP_train1.PNG", "trainannot/._0001TP_train1.png", "train/a.txt"):
        (root / name).write_bytes(b"\x00")
    (root / "train/old").mkdir()
    (root / "trainannot/0001TP_train2.png").rename(root / "trainannot/0001TP_train2.PNG")
    picture(root / "valannot/0001TP_gone.png", (64, 48))
    shutil.rmtree(root / "testannot")
    source = open_source(root)
    assert source.splits == ("train",) * 4 + ("val",) * 4
    assert set(np.unique(source.labels(2))) == {9}
    assert source.left_out == {
        "hidden files, folders and files of other kinds": 4,
        "labels without a picture": 1,
        "pictures of test, which has no labels": 4,
    }


def test_commands_print_what_is_left_out_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*_arguments: object, **_settings: object) -> None:
        raise TrainingError("long enough")

    monkeypatch.setattr("eventseg.training.trainer.train", begin)
    root = camvid(tmp_path / "CamVid")
    assert repr(open_source(root)) == f"Folder({str(root)!r}, 12 samples of 64x48, 11 classes)"
    (root / "train/Thumbs.db").write_bytes(b"\x00")
    picture(root / "valannot/0001TP_gone.png", (64, 48))
    expected = (
        "left out: 1 hidden files, folders and files of other kinds; 1 labels without a picture"
    )
    assert repr(open_source(root)).endswith(f"11 classes; {expected})")
    (tmp_path / "run").mkdir()
    for called, end in (
        (f"train {root} --out {tmp_path}/new --input rgb --device cpu", "error: long enough"),
        (f"evaluate {tmp_path}/run {root}", "is no run folder"),
    ):
        result = CliRunner().invoke(main, called.split())
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines()[0] == f"{root}: {expected}"
        assert end in result.stderr.splitlines()[-1]


def test_folders_of_cityscapes_with_leftovers(tmp_path: Path) -> None:
    root = tmp_path / "Cityscapes"
    for split in ("train", "val", "train_extra"):
        for k in range(2):
            stem = f"ulm_{k:06d}_000019"
            picture(root / f"leftImg8bit/{split}/ulm/{stem}_leftImg8bit.png", (64, 32), mode="RGB")
            if split != "train_extra":
                picture(root / f"gtFine/{split}/ulm/{stem}_gtFine_labelIds.png", (64, 32), value=7)
    (root / "leftImg8bit/train/ulm/._ulm_000000_000019_leftImg8bit.png").write_bytes(b"")
    (root / "leftImg8bit/train/.DS_Store").write_bytes(b"")
    (root / "leftImg8bit/.cache/x").mkdir(parents=True)
    source = open_source(root)
    assert source.splits == ("train",) * 2 + ("val",) * 2
    assert source.left_out["pictures of train_extra, which has no labels"] == 2


def test_released_tensors_without_pictures_are_taken(tmp_path: Path) -> None:
    root = tmp_path / "released"
    for split in ("train", "test"):
        picture(root / f"labels/{split}/rec1_export_5.png", (32, 24), value=5)
        (root / f"events/{split}").mkdir(parents=True)
        np.save(root / f"events/{split}/rec1_export_5.npy", np.ones((24, 32, 6), np.float32))
    source = open_source(root)
    assert source.events(0, "50ms", normalise="evsegnet").shape == (6, 24, 32)
    with pytest.raises(TrainingError, match="holds events and no pictures"):
        source.image(0, colour=False)


def test_pictures_and_labels_of_folders_keep_their_values(tmp_path: Path) -> None:
    root = camvid(tmp_path / "CamVid")
    ramp = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) % 256
    Image.fromarray(ramp * 257).save(root / "train/0001TP_train0.png")
    source = open_source(root)
    np.testing.assert_array_equal(source.image(0, colour=False)[0], np.float32(ramp) / 255)
    table = load_class_table("camvid11")
    ids = (ramp % 11).astype(np.uint8)
    Image.fromarray(paint_labels(ids, table)).save(root / "trainannot/0001TP_train0.png")
    np.testing.assert_array_equal(source.labels(0), ids)
    Image.fromarray(ids.astype(bool)).save(root / "trainannot/0001TP_train1.png")
    with pytest.raises(DatasetError, match=r"train1\.png are 1-bit gray.*give ids as"):
        source.labels(1)


def test_cityscapes_layout(tmp_path: Path) -> None:
    root = tmp_path / "Cityscapes"
    for split, city, kind in (
        ("train", "aachen", "gtFine_labelIds"),
        ("train_extra", "augsburg", "gtCoarse_labelIds"),
        ("val", "ulm", "gtFine_labelTrainIds"),
        ("test", "berlin", "gtFine_labelIds"),
    ):
        stem = f"{city}_000000_000019"
        picture(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png", (64, 32),
                mode="RGB")  # fmt: skip
        folder = kind.partition("_")[0]
        picture(root / folder / split / city / f"{stem}_{kind}.png", (64, 32), value=7)
    source = open_source(root)
    assert source.splits == ("train", "train", "val")
    assert source.sequences == ("aachen", "augsburg", "ulm")
    # Id 7 is road; as a train id 7 is traffic sign.
    assert [int(source.labels(i)[0, 0]) for i in range(3)] == [0, 0, 7]
    assert len(source.classes) == 19


def test_released_layout(tmp_path: Path) -> None:
    root = tmp_path / "released"
    tensors = np.random.default_rng(1).normal(size=(2, 48, 64, 6))
    for split, tensor in zip(("train", "test"), tensors, strict=True):
        name = f"rec1_export_{split}"
        picture(root / "images" / split / f"{name}.png", (64, 48))
        picture(root / "labels" / split / f"{name}.png", (64, 48))
        (root / "events" / split).mkdir(parents=True)
        np.save(root / "events" / split / f"{name}.npy", tensor)
    source = open_source(root)
    assert source.splits == ("train", "test")
    assert source.sequences == ("rec1", "rec1")
    got = source.events(1, "50ms", normalise="evsegnet")
    np.testing.assert_array_equal(got, tensors[1].transpose(2, 0, 1).astype(np.float32))
    assert got.dtype == np.float32
    with pytest.raises(TrainingError, match="no other window"):
        source.events(1, "10ms", normalise="evsegnet")
    path = root / "events/test/rec1_export_test.npy"
    np.save(path, tensors[1][:40])
    with pytest.raises(DatasetError, match="has the shape"):
        source.events(1, "50ms", normalise="evsegnet")
    path.write_bytes(b"")
    with pytest.raises(DatasetError, match="cannot read tensor"):
        source.events(1, "50ms", normalise="evsegnet")
