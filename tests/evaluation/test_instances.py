"""Instance-level and category IoU of an evaluation: against loops, merged, resized, in reports."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import naive_metrics as naive
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from training_fixtures import one_thread, tiny

from eventseg.errors import DatasetError
from eventseg.evaluation.evaluate import Protocol, evaluate
from eventseg.evaluation.report.tables import group_tables
from eventseg.evaluation.report.write import write_report
from eventseg.evaluation.rows import Row, categories_of
from eventseg.labels.maps import ClassTable, load_class_table, merge_of
from eventseg.metrics.instances import CITYSCAPES_MEAN_PIXELS, instance_counts
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, save_network
from eventseg.sources.source import Source, open_source
from eventseg_cli.main import main

NAMES = load_class_table("cityscapes19").names
HEIGHT, WIDTH = 32, 64


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in the layout of Cityscapes: blocks of random ids, things and crowds.

    The last validation picture has no instance file.
    """
    root = tmp_path_factory.mktemp("data") / "Cityscapes"
    rng = np.random.default_rng(4)
    for split, count in (("train", 2), ("val", 4)):
        for k in range(count):
            stem = f"ulm_{k:06d}_000019"
            image = root / "leftImg8bit" / split / "ulm" / f"{stem}_leftImg8bit.png"
            labels = root / "gtFine" / split / "ulm" / f"{stem}_gtFine_labelIds.png"
            for path in (image, labels):
                path.parent.mkdir(parents=True, exist_ok=True)
            noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            Image.fromarray(noise).save(image)
            # Ids of Cityscapes: 0 is unlabelled, 24 person, 26 car, 28 bus, 29 caravan (ignored).
            small = rng.choice([0, 7, 11, 23, 24, 25, 26, 28, 29], (8, 16))
            ids = np.kron(small, np.ones((4, 4), int)).astype(np.uint8)
            Image.fromarray(ids).save(labels)
            number = rng.integers(0, 3, (8, 16))
            things = np.where((small >= 24) & (number > 0), small * 1000 + number, small)
            whole = np.kron(things, np.ones((4, 4), int)).astype(np.uint16)
            if (split, k) != ("val", 3):
                Image.fromarray(whole).save(str(labels).replace("labelIds", "instanceIds"))
    return root


def network() -> TrainedNetwork:
    torch.manual_seed(3)
    blueprint = Blueprint("fastscnn", 1, 19)
    inputs = InputSpec("gray", 1, tiny().input.scaling, ())
    return TrainedNetwork(
        blueprint.build().eval(), blueprint, inputs, load_class_table("cityscapes19")
    )


def seen(
    source: Source, trained: TrainedNetwork, i: int, size: tuple[int, int] | None
) -> np.ndarray:
    gray = source.image(i, colour=False) * np.float32(trained.inputs.scaling.top)
    with torch.inference_mode():
        logits = trained.network(torch.from_numpy(gray)[None])
    assert isinstance(logits, torch.Tensor)
    if size is not None:
        logits = torch.nn.functional.interpolate(logits, size=size, mode="bilinear")
    return logits.softmax(1)[0].numpy()


def nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        ((np.arange(n) + 0.5) * has / n).astype(int)
        for n, has in zip(size, values.shape, strict=True)
    )
    return values[rows][:, columns]


def flat(maps: list[np.ndarray]) -> list[int]:
    return np.concatenate([values.ravel() for values in maps]).tolist()


def test_instance_files_are_read_without_crowds(city: Path) -> None:
    source = open_source(city)
    assert source.splits == ("train",) * 2 + ("val",) * 4
    stored = np.array(
        Image.open(city / "gtFine/val/ulm/ulm_000000_000019_gtFine_instanceIds.png"), np.int32
    )
    found = source.instances(2)
    assert found is not None
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.where(stored < 1000, 0, stored))
    assert {24, 26} & set(np.unique(stored).tolist())  # crowds there are
    assert found.max() > 255
    assert source.instances(5) is None


@pytest.mark.parametrize("size", [None, (16, 32), (8, 48)])
@pytest.mark.parametrize("classes", ["cityscapes19", "evsegnet6"])
def test_instance_iou_equals_loops(city: Path, size: tuple[int, int] | None, classes: str) -> None:
    source, trained, table = open_source(city), network(), load_class_table(classes)
    merge = merge_of("cityscapes19", table)
    (row,) = evaluate(
        trained, source, windows=("50ms",), classes=table, batch_size=3,
        protocol=Protocol(split="val", size=size),
    )  # fmt: skip
    truths, things, guesses = [], [], []
    for i in (2, 3, 4):
        single = seen(source, trained, i, size)
        summed = np.zeros((len(table), *single.shape[1:]), np.float32)
        for old, new in enumerate(merge):
            if new != 255:
                summed[new] += single[old]
        labels = np.array([*merge, *[255] * (256 - len(merge))])[source.labels(i)]
        instances = source.instances(i)
        assert instances is not None
        guesses.append(summed.argmax(0))
        truths.append(nearest(labels, size) if size else labels)
        moved = np.where(instances > 0, instances + 100_000 * i, 0)
        things.append(nearest(moved, size) if size else moved)
    assert row.instances is not None
    assert row.instances.images == 3
    found = row.instance_scores
    assert found is not None
    shape = guesses[0].shape
    shrunk = shape[0] * shape[1] / (2048 * 1024)
    expected = []
    for k, name in enumerate(table.names):
        mean = CITYSCAPES_MEAN_PIXELS.get(name, math.nan) * shrunk if len(table) == 19 else None
        expected.append(
            naive.instance_iou(
                flat(truths), flat(things), flat(guesses), k, mean, table.instances[k]
            )
        )
    np.testing.assert_allclose(found.iiou, expected, rtol=1e-9)
    known = [value for value in expected if not math.isnan(value)]
    assert (row.instances.instances > 0).sum() == (4 if len(table) == 19 else 2)
    assert len(known) >= (row.instances.instances > 0).sum()
    assert found.mean == pytest.approx(sum(known) / len(known))
    assert max(known) > 0


def test_categories_are_those_of_tables_that_have_them() -> None:
    assert list(categories_of(load_class_table("camvid11")))[:2] == ["flat", "construction"]
    members = categories_of(load_class_table("cityscapes19"))["vehicle"]
    assert [NAMES[k] for k in members] == ["car", "truck", "bus", "train", "motorcycle", "bicycle"]
    # A table without a merge; one of which some classes have no category; one of a user.
    assert categories_of(load_class_table("evsegnet6")) == {}
    assert categories_of(load_class_table("cityscapes34")) == {}
    assert categories_of(ClassTable(("a",), ((0, 0, 0),))) == {}


def test_command_tells_categories_and_instances_with_their_rules(
    city: Path, tmp_path: Path
) -> None:
    trained = network()
    save_network(tmp_path / "net.pt", trained)
    out = tmp_path / "report"
    result = CliRunner().invoke(
        main, ["evaluate", str(tmp_path / "net.pt"), str(city), "--split", "val", "--workers", "0",
               "--device", "cpu", "-q", "--out", str(out)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (row,) = evaluate(trained, open_source(city), windows=("-",), protocol=Protocol(split="val"))
    assert row.instance_scores is not None
    held = json.loads((out / "scores.json").read_text())
    first = held["rows"][0]["scores"]
    assert first["category_miou"] == row.scores.category_miou
    assert first["iiou"]["mean"] == row.instance_scores.mean
    assert first["iiou"]["per_class"]["road"] is None
    assert first["iiou"]["per_class"]["car"] == row.instance_scores.iiou[NAMES.index("car")]
    assert first["iiou"]["samples"] == 3
    assert all("iiou" in line["scores"] for line in held["rows"])  # baselines too
    assert "over the 3 samples with instance ids" in held["rules"]["iIoU"]
    assert "training images of Cityscapes" in held["rules"]["iIoU"]
    with (out / "scores.csv").open(newline="") as file:
        line = next(csv.DictReader(file))
    assert float(line["iiou"]) == row.instance_scores.mean
    assert float(line["iiou_car"]) == row.instance_scores.iiou[NAMES.index("car")]
    assert float(line["category_iou_vehicle"]) == row.scores.categories["vehicle"]
    number = f"{100 * row.instance_scores.mean:.2f}"
    category = f"{100 * row.scores.category_miou:.2f}"
    for text in ((out / "scores.md").read_text(), result.stdout):
        assert f"| mean | {number} |" in text
        assert f"| category mIoU | {category} |" in text
    page = (out / "report.html").read_text()
    assert f"<td>mean</td><td>{number}</td>" in page
    assert "Every instance weighs as much as one of its class" in page


def test_what_cannot_be_scored_is_left_out(tmp_path: Path) -> None:
    table = ClassTable(("a", "b"), ((0, 0, 0), (255, 255, 255)))
    row = Row("net", "-", ("s",), ("x",), np.array([[[5, 1], [2, 9]]]), table)
    write_report(tmp_path, [row], protocol=Protocol(), about={"data digests": {"Wände": "1"}})
    assert "Wände" in (tmp_path / "report.html").read_text()
    assert group_tables([row]) == []
    for name in ("scores.json", "scores.csv", "scores.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert "iiou" not in text.lower()
        assert "categor" not in text.lower()
    # Instance ids, but no instance among what is scored: told as absent, not as 0.
    none = instance_counts(
        np.full((2, 2), 255), np.ones((2, 2), int), np.zeros((2, 2), int), classes=2
    )
    row = Row("net", "-", ("s",), ("x",), row.matrices, table, instances=none)
    write_report(tmp_path, [row], protocol=Protocol(), about={})
    held = json.loads((tmp_path / "scores.json").read_text())["rows"][0]["scores"]["iiou"]
    assert held == {
        "mean": None, "samples": 1, "instances": {"a": 0, "b": 0},
        "per_class": {"a": None, "b": None},
    }  # fmt: skip


def test_damaged_instance_file_is_one_line(city: Path, tmp_path: Path) -> None:
    source = open_source(city)
    path = city / "gtFine/train/ulm/ulm_000000_000019_gtFine_instanceIds.png"
    whole = path.read_bytes()
    try:
        Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
        with pytest.raises(DatasetError, match=r"instanceIds\.png is 4x4, the others of"):
            source.instances(0)
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DatasetError, match=r"cannot read .*instanceIds\.png"):
            source.instances(0)
    finally:
        path.write_bytes(whole)
