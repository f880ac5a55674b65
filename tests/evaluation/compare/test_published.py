"""Published rows beside own runs, where the data is the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from evaluation.compare.compare_fixtures import CITYSCAPES_19, EVSEGNET_6, NAN, score, summary
from PIL import Image
from training_fixtures import tiny

from eventseg.dataset.manifest import Manifest
from eventseg.evaluation.compare.classes import class_rows, same_data_note
from eventseg.evaluation.compare.published import (
    CAMVID,
    CITYSCAPES,
    DDD17,
    PUBLISHED_ON,
    published_data,
)
from eventseg.evaluation.compare.published_rows import PUBLISHED_HEADER, published_rows
from eventseg.evaluation.compare.runs import Evaluation, Score
from eventseg.labels.maps import load_class_table
from eventseg.splits import EVSEGNET_ROWS
from eventseg.training.config.config import recipe_names
from eventseg.windows import parse_anchor

pytestmark = pytest.mark.usefixtures("single_thread")


def test_published_class_rows_stand_beside_ours() -> None:
    config = tiny(network__name="deeplabv3_resnet50", input__kind="rgb")
    test = Evaluation("h", "cityscapes19", "x", "truth", "val")
    scored = (Score(9, 50.0, 1.0, NAN, NAN, NAN, per_class=(("car", 61.25), ("road", 70.0))),)
    ours = summary({test: {"-": scored}}, name="ours", config=config)
    header, lines = class_rows([ours], test)
    assert header[:2] == ("class", "ours")
    assert header[2].startswith("published: ")
    cells = {line[0]: line[1:] for line in lines}
    assert cells["car"] == ["61.25", "88"]
    assert cells["truck"] == ["-", "11"]
    assert "not of the same data" in same_data_note([ours])[0]
    same = same_data_note([replace(ours, published_data=CITYSCAPES)])
    assert "of the same data: DeepLabV3" in same[0]
    assert same_data_note([summary()]) == []
    # Seeds are mean and deviation; classes of other names have no published column.
    two = scored[0]._replace(per_class=(("flat", 50.0),))
    header, lines = class_rows([replace(ours, scored={test: {"-": (two, two)}})], test)
    assert header == ("class", "ours")
    assert lines == [["flat", "50.00 ± 0.00"]]


def test_published_data_is_known_by_recordings_and_anchor(data: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(data / "manifest.toml")
    assert published_data(data, classes=EVSEGNET_6) == ""
    assert published_data(tmp_path / "gone", classes=EVSEGNET_6) == ""
    entries = tuple(replace(manifest.recordings[0], name=name) for name in EVSEGNET_ROWS)
    settings = replace(manifest.settings, anchor=parse_anchor("evsegnet"))
    replace(manifest, recordings=entries, settings=settings).write(tmp_path / "manifest.toml")
    assert published_data(tmp_path, classes=EVSEGNET_6) == DDD17
    assert published_data(tmp_path, classes=CITYSCAPES_19) == ""
    replace(manifest, recordings=entries[1:], settings=settings).write(tmp_path / "manifest.toml")
    assert published_data(tmp_path, classes=EVSEGNET_6) == ""


def test_camvid_is_known_by_its_drives_and_counts(tmp_path: Path) -> None:
    classes = load_class_table("camvid11").names
    drives = ("0001TP", "0006R0", "0016E5", "Seq05VD")
    tiny_picture = tmp_path / "picture.png"
    Image.new("L", (4, 3)).save(tiny_picture)
    root = tmp_path / "CamVid"
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        for folder in (root / split, root / f"{split}annot"):
            folder.mkdir(parents=True)
            for k in range(count):
                (folder / f"{drives[k % 4]}_{split}{k}.png").hardlink_to(tiny_picture)
    assert published_data(root, classes=classes) == CAMVID
    assert published_data(root, classes=EVSEGNET_6) == ""
    for folder in (root / "val", root / "valannot"):
        (folder / "0001TP_val0.png").unlink()
    assert published_data(root, classes=classes) == ""
    (root / "valannot/0006R0_val1.png").unlink()  # damaged: labels are missing
    assert published_data(root, classes=classes) == ""


def test_published_rows_stand_beside_ours_where_the_data_is_the_same() -> None:
    assert set(PUBLISHED_ON) < set(recipe_names())
    config = tiny(network__name="enet", input__kind="rgb", batch_size=10)

    def made(data: str, classes: str, split: str = "test") -> Evaluation:
        return Evaluation("h", classes, data, "truth", split)

    test, val = (made("x", "camvid11", split) for split in ("test", "val"))
    elsewhere, merged = made("y", "camvid11"), made("x", "evsegnet6")
    ours = summary(
        {test: {"-": score(51.5)}, elsewhere: {"-": score(1), "50ms": score(2)},
         merged: {"-": score(3), "50ms": score(4)}},
        name="ours", config=config, published_data=CAMVID, own=frozenset({test}),
    )  # fmt: skip
    away = replace(ours, name="away", published_data="")
    gray = replace(ours, name="gray", config=replace(config, input=tiny(input__kind="gray").input))
    rows = [
        dict(zip(PUBLISHED_HEADER, line, strict=True))
        for line in published_rows([ours, away, gray])
    ]
    of_camvid = [line for line in rows if line["published"] == "ENet on CamVid"]
    assert {line["comparable"] for line in of_camvid} == {"same data"}
    shown = {(line["split"], line["ours, mIoU %"]) for line in of_camvid}
    rate = f"{config.optimiser.learning_rate:g}"
    assert shown == {
        ("val", f"ours: 50.00 (batch 10, rate {rate})"),
        ("test", f"ours: 51.50 (batch 10, rate {rate})"),
    }
    others = [line for line in rows if line not in of_camvid]
    assert {line["comparable"] for line in others} == {"not comparable"}
    assert {line["ours, mIoU %"] for line in others} == {"-"}
    # An evaluation of the part is better than the last validation.
    (better, *_) = published_rows(
        [replace(ours, scored={val: {"-": score(49.0)}}, own=frozenset({val}))]
    )
    assert better[6].startswith("ours: 49.00 (")
    for changed in ({"protocol": "paper"}, {"validation_share": 0.1}):
        unlike = replace(ours, scored={}, own=frozenset(), config=replace(config, **changed))
        shown = {line[3]: line[6] for line in published_rows([unlike]) if "CamVid" in line[0]}
        judged = "ours: 50.00" if "protocol" in changed else "-"
        assert shown["val"] == "-"
        assert shown["test"].startswith(judged)
    network = tiny(network__name="evsegnet")
    windows = {"250ms": score(3), "10ms": score(1), "50ms": score(2)}
    ours = summary(
        {test: windows}, name="a", config=network, published_data=DDD17, own=frozenset({test})
    )
    rows = [dict(zip(PUBLISHED_HEADER, line, strict=True)) for line in published_rows([ours])]
    events, *others = (line for line in rows if line["published"].startswith("EV-SegNet, settings"))
    assert events["comparable"] == "same data, labels of another teacher"
    assert events["ours, mIoU %"].startswith("a: 10ms 1.00, 50ms 2.00, 250ms 3.00 (batch ")
    assert events["ours, mIoU %"].endswith(", without the validation rows)")
    as_published = replace(ours, config=replace(network, protocol="paper"))
    lines = [
        dict(zip(PUBLISHED_HEADER, line, strict=True)) for line in published_rows([as_published])
    ]
    assert not any("validation rows" in line["ours, mIoU %"] for line in lines)
    assert {line["ours, mIoU %"] for line in others[:2]} == {"-"}  # gray and both
