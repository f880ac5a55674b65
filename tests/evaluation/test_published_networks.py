"""Published checkpoints by ``NETWORK:PATH``, and the size that a network is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn
from torch.nn import functional

from eventseg.errors import CheckpointError, EventsegError, LabelError
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.scored_network import find_network
from eventseg.events import SensorSize
from eventseg.labels.known_classes import table_by_number
from eventseg.labels.maps import load_class_table
from eventseg.networks import (
    Blueprint,
    InputSpec,
    LoadReport,
    Published,
    Scaling,
    TrainedNetwork,
    build_network,
    save_network,
)
from eventseg.networks.inputs import IMAGENET
from eventseg.networks.named import parse_named
from eventseg.networks.published import published_inputs
from eventseg.plots.figure_files import FigureFiles
from eventseg_cli.main import main

CAMVID = load_class_table("camvid11")
HEIGHT, WIDTH = 24, 40


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch):
    """Compute on one thread, and leave the pictures of reports out."""
    monkeypatch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like CamVid, of three random pictures a part."""
    root, random = tmp_path_factory.mktemp("data") / "CamVid", np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for folder in (root / split, root / f"{split}annot"):
            folder.mkdir(parents=True)
        for k in range(3):
            image = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            labels = random.integers(0, 12, (HEIGHT, WIDTH), dtype=np.uint8)
            Image.fromarray(image).save(root / split / f"{k}.png")
            Image.fromarray(labels).save(root / f"{split}annot" / f"{k}.png")
    return root


def save_state(path: Path, *, channels: int = 3, classes: int = 11) -> nn.Module:
    """Write the bare tensors of a random network, as other projects publish them."""
    torch.manual_seed(0)
    network = build_network("fastscnn", in_channels=channels, classes=classes).eval()
    torch.save({"state_dict": network.state_dict()}, path)
    return network


def logits_of(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits = network(x)
    assert isinstance(logits, torch.Tensor)
    return logits


def counted_by_hand(camvid: Path, network: nn.Module, *, shown: tuple[int, int]) -> np.ndarray:
    """Count the test part in loops: ImageNet's scaling, resized to the size that is shown."""
    matrix = np.zeros((11, 11), np.int64)
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (IMAGENET.mean, IMAGENET.std))
    for path in sorted((camvid / "test").iterdir()):
        image = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1) / 255
        x = ((image - mean) / std)[None]
        if shown != (HEIGHT, WIDTH):
            x = functional.interpolate(x, size=shown, mode="bilinear", antialias=True)
        logits = logits_of(network, x)
        if shown != (HEIGHT, WIDTH):
            logits = functional.interpolate(logits, size=(HEIGHT, WIDTH), mode="bilinear")
        guess = logits.softmax(1)[0].argmax(0).numpy()
        truth = np.array(Image.open(camvid / "testannot" / path.name))
        for row, column in zip(truth.ravel().tolist(), guess.ravel().tolist(), strict=True):
            if row < 11:
                matrix[row, column] += 1
    return matrix


@pytest.mark.parametrize("shown", [None, (48, 64), (16, 20)])
def test_published_network_is_scored_with_its_own_scaling_at_the_shown_size(
    camvid: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shown: tuple[int, int] | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    network = save_state(tmp_path / "net.pth")
    size = () if shown is None else ("--input-size", f"{shown[1]}x{shown[0]}")
    result = CliRunner().invoke(
        main,
        ["evaluate", f"fastscnn:{tmp_path / 'net.pth'}", str(camvid), *size, "--device", "cpu",
         "--workers", "0", "--no-baselines", "--json", "-q"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    (row,) = record["rows"]
    assert row["name"] == "fastscnn:net.pth"
    expected = counted_by_hand(camvid, network, shown=shown or (HEIGHT, WIDTH))
    np.testing.assert_array_equal(row["confusion"], expected)
    folder = Path(record["report"]).parent
    name = "evaluation-CamVid@*-truth-test-clean" + ("" if shown is None else f"-input{size[1]}")
    assert list((tmp_path / "runs" / "fastscnn-net").glob(f"{name}-nobaselines")) == [
        tmp_path / folder
    ]
    about = record["about"]
    assert about["input size"] == ("that of the data" if shown is None else size[1])
    assert "layout eventseg" in about["weights"]
    assert "0.485" in about["scaling"]


def test_sizes_that_are_shown_and_scored_are_apart(camvid: Path, tmp_path: Path) -> None:
    network = save_state(tmp_path / "net.pth")
    (_, rows) = evaluate_run(
        f"fastscnn:{tmp_path / 'net.pth'}", camvid, out=tmp_path / "report", device="cpu",
        baselines=False, input_size=SensorSize(48, 64), size=SensorSize(12, 20),
    )  # fmt: skip
    image = torch.from_numpy(np.array(Image.open(camvid / "test" / "0.png"))).permute(2, 0, 1)
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (IMAGENET.mean, IMAGENET.std))
    x = functional.interpolate(
        ((image / 255 - mean) / std)[None], size=(48, 64), mode="bilinear", antialias=True
    )
    logits = functional.interpolate(logits_of(network, x), size=(12, 20), mode="bilinear")
    guess = np.bincount(logits.argmax(1).ravel().numpy(), minlength=11)
    truth = np.array(Image.open(camvid / "testannot" / "0.png"))[1::2, 1::2]
    assert rows[0].matrices[0].sum() == (truth < 11).sum()
    assert (rows[0].matrices[0].sum(0) <= guess).all()


def test_classes_of_a_published_network(camvid: Path, tmp_path: Path) -> None:
    def scored(words: str, **settings: Any) -> Any:
        return evaluate_run(
            words, camvid, out=tmp_path / "report", device="cpu", baselines=False, **settings
        ).rows[0]

    save_state(tmp_path / "four.pth", classes=4)
    with pytest.raises(LabelError, match=r"4 classes without names.*--network-classes TABLE"):
        scored(f"fastscnn:{tmp_path / 'four.pth'}")
    with pytest.raises(LabelError, match=r"has 4 classes, the given table has 11.*network-classes"):
        scored(f"fastscnn:{tmp_path / 'four.pth'}", network_classes="camvid11")
    assert not (tmp_path / "report").exists()
    save_state(tmp_path / "net.pth")
    row = scored(f"fastscnn:{tmp_path / 'net.pth'}", network_classes="camvid11")
    assert row.classes == CAMVID


def test_data_decides_between_tables_of_one_number() -> None:
    dsec = load_class_table("dsec11")
    assert table_by_number(11, owner="x", data=dsec) == dsec
    assert table_by_number(11, owner="x", data=CAMVID) == CAMVID
    with pytest.raises(LabelError, match="fits camvid11 and dsec11"):
        table_by_number(11, owner="x", data=load_class_table("cityscapes19"))
    # A number that one table has is not moved by the data.
    nineteen = load_class_table("cityscapes19")
    assert table_by_number(19, owner="x", data=CAMVID) == nineteen


def test_own_checkpoint_by_its_network_keeps_what_it_states(camvid: Path, tmp_path: Path) -> None:
    blueprint, scaling = Blueprint("fastscnn", 3, 11), Scaling(255.0, (9.0,) * 3, (2.0,) * 3)
    torch.manual_seed(3)
    trained = TrainedNetwork(
        blueprint.build().eval(), blueprint, InputSpec("rgb", 3, scaling), CAMVID
    )
    path = tmp_path / "own.pt"
    save_network(path, trained)
    settings: dict[str, Any] = {"device": "cpu", "baselines": False}
    named, bare = (
        evaluate_run(words, camvid, out=tmp_path / f"report{k}", **settings).rows[0]
        for k, words in enumerate((f"fastscnn:{path}", str(path)))
    )
    np.testing.assert_array_equal(named.matrices, bare.matrices)
    for words in (f"fastscnn:{path}", str(path)):
        with pytest.raises(CheckpointError, match="states its classes"):
            evaluate_run(words, camvid, network_classes="camvid11", **settings)


@pytest.mark.parametrize(
    ("network", "mean", "channels", "layout", "expected"),
    [
        ("fastscnn", IMAGENET.mean, 3, "tramac", ("rgb", None, "centres", ())),
        ("evsegnet", (0.0,), 6, "evsegnet", ("events", (224, 352), "evsegnet", ("50ms",))),
        ("evsegnet", (0.0,), 1, "evsegnet", ("gray", (224, 352), "evsegnet", ())),
        ("evsegnet", (0.0,), 7, "evsegnet", ("both", (224, 352), "evsegnet", ("50ms",))),
        ("fastscnn", IMAGENET.mean, 6, "eventseg", None),
        ("evsegnet", (0.0,), 3, "evsegnet", None),
    ],
)
def test_inputs_of_published_networks(
    network: str, mean: tuple[float, ...], channels: int, layout: str, expected: Any
) -> None:
    published = Published(
        nn.Identity(),  # type: ignore[arg-type]
        Blueprint(network, channels, 6),
        Scaling(1.0, mean, (1.0,) * len(mean)),
        LoadReport(layout, ()),
    )
    if expected is None:
        with pytest.raises(CheckpointError, match=f"has {channels} input channels.*nothing says"):
            published_inputs(published, owner="it")
        return
    inputs = published_inputs(published, owner="it")
    assert (inputs.kind, inputs.size, inputs.resize, inputs.windows) == expected
    assert (inputs.channels, inputs.scaling.mean) == (channels, mean)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("nowhere", 2, "no folder or file 'nowhere'"),
        ("cgnet:", 1, "must be cgnet:PATH"),
        ("cgnet:gone.pth", 1, "no file of weights gone.pth"),
        ("cgnet:{net}", 1, "of no known layout of cgnet"),
        ("mynet:{net}", 1, "no file of weights mynet:"),
    ],
)
def test_networks_that_cannot_be_had(
    camvid: Path, tmp_path: Path, words: str, code: int, message: str
) -> None:
    save_state(tmp_path / "net.pth")
    result = CliRunner().invoke(
        main, ["evaluate", words.format(net=tmp_path / "net.pth"), str(camvid), "-q"]
    )
    assert (result.exit_code, message in result.output) == (code, True), result.output
    assert not (tmp_path / "runs").exists()


def test_named_checkpoints() -> None:
    assert parse_named("smp:Unet/resnet34:a.pth") == ("smp:Unet/resnet34", Path("a.pth"))
    assert parse_named("cgnet:C:/x.pth") == ("cgnet", Path("C:/x.pth"))
    assert parse_named("runs/first") is None
    assert parse_named("hf:b0") is None
    file = find_network("smp:Unet/resnet34:a/b.pth", checkpoint="best.pt")
    assert file.folder == Path("runs/smp_Unet_resnet34-b")
    with pytest.raises(EventsegError, match="smp:Unet/resnet34:PATH"):
        parse_named("smp:Unet/resnet34")


@pytest.mark.slow
def test_published_cgnet_scores_on_camvid(shared_data: Path, tmp_path: Path) -> None:
    """Its authors' network gives 65.34 mIoU and 90.28 % on these files."""
    weights = shared_data / "weights" / "cgnet_m3n21_camvid_trainval.pth"
    (row,) = evaluate_run(
        f"cgnet:{weights}", shared_data / "camvid", out=tmp_path, device="cpu", baselines=False
    ).rows
    assert 100 * row.scores.miou_present == pytest.approx(65.34, abs=0.1)
    assert 100 * row.scores.pixel_accuracy == pytest.approx(90.28, abs=0.1)
