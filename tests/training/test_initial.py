"""Runs that start from trained weights: recorded, resumed without them, refused where changed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from networks_fixtures import on_meta
from training_fixtures import tiny, train_tiny

from eventseg.errors import CheckpointError, TrainingError
from eventseg.files.digests import digest_of
from eventseg.networks import load_network
from eventseg.networks.named import absolute_init
from eventseg.sources.source import open_source
from eventseg.training.initial import initial_file
from eventseg.training.prepare import prepare_run
from eventseg.training.reproduce import reproduce
from eventseg.training.run import train
from eventseg.training.run_record import read_run
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "first"
    train_tiny(data, root, epochs=1)
    return root


def prepared(data: Path, root: Path, **settings: Any) -> Any:
    source = open_source(data)
    try:
        return prepare_run(source, root, config=tiny(**settings), device=torch.device("cpu"))
    finally:
        source.close()


def rows(root: Path) -> dict[str, tuple[str, str]]:
    with (root / "init.csv").open(newline="") as file:
        return {row["name"]: (row["outcome"], row["note"]) for row in csv.DictReader(file)}


def test_run_starts_from_the_weights_of_another(data: Path, first: Path, tmp_path: Path) -> None:
    run = prepared(data, tmp_path / "second", network__init=str(first))
    before = load_network(first / "best.pt").network.state_dict()
    after = run.training.network.state_dict()
    assert all(torch.equal(after[n], tensor) for n, tensor in before.items())
    record = read_run(tmp_path / "second/run.json")["init"]
    assert record["file"] == str(first / "best.pt")
    assert record["sha256"] == digest_of(first / "best.pt")
    assert (record["share"], record["tensors"]) == (1.0, {"loaded": len(rows(tmp_path / "second"))})
    assert read_run(first / "run.json")["init"] is None
    assert not (first / "init.csv").exists()


def test_list_has_every_tensor_and_the_scores_start_there(
    data: Path, first: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(
        main,
        ["train", str(data), "--init", str(first), "--network", "enet", "--input", "both",
         "--classes", "evsegnet6", "--epochs", "1", "--workers", "0", "--device", "cpu",
         "--out", str(tmp_path / "run"), "--no-progress"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "initial weights: enet, run first," in result.stderr
    listed = rows(tmp_path / "run")
    own = on_meta("enet", 7, 6).state_dict()
    assert list(listed) == [n for n in own if not n.endswith("num_batches_tracked")]
    assert listed["logits.weight"] == ("replaced", "16x19x3x3 in the file, 16x6x3x3 here")
    assert listed["stem.convolution.weight"][0] == "random"
    others = set(listed) - {"logits.weight", "stem.convolution.weight"}
    assert {listed[name][0] for name in others} == {"loaded"}
    counts = read_run(tmp_path / "run/run.json")["init"]["tensors"]
    assert counts == {"loaded": len(others), "replaced": 1, "random": 1}
    assert f"{len(others)} loaded, 1 replaced, 1 random; see" in result.stderr


def test_resumed_run_needs_the_file_no_more(data: Path, first: Path, tmp_path: Path) -> None:
    source_run = Path(shutil.copytree(first, tmp_path / "source"))
    settings: dict[str, Any] = {"network__init": str(source_run)}
    train_tiny(data, tmp_path / "straight", **settings)
    stop = [lambda end: end.scores.epoch == 1]
    train_tiny(data, tmp_path / "stopped", callbacks=stop, **settings)
    shutil.rmtree(source_run)
    train_tiny(data, tmp_path / "stopped", resume=True, **settings)
    one, two = ((tmp_path / n / "metrics.csv").read_bytes() for n in ("straight", "stopped"))
    assert one == two
    record = read_run(tmp_path / "stopped/run.json")
    assert record["init"]["file"] == str(source_run / "best.pt")
    assert len(record["resumed"]) == 1
    with pytest.raises(TrainingError, match=r"best\.pt is no longer there, from which the run"):
        reproduce(tmp_path / "straight", out=tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
def test_run_that_never_saved_needs_the_same_file(data: Path, first: Path, tmp_path: Path) -> None:
    source_run = Path(shutil.copytree(first, tmp_path / "source"))
    prepared(data, tmp_path / "run", network__init=str(source_run))
    (other,) = train_tiny(data, tmp_path / "other", epochs=1, seed=1).history
    assert other.epoch == 1
    shutil.copy(tmp_path / "other/best.pt", source_run / "best.pt")
    with pytest.raises(TrainingError, match=r"best\.pt has changed since the run in"):
        train_tiny(data, tmp_path / "run", resume=True, network__init=str(source_run))
    shutil.copy(first / "best.pt", source_run / "best.pt")
    result = train_tiny(data, tmp_path / "run", resume=True, network__init=str(source_run))
    assert len(result.history) == 2


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ("coco", "no file .*coco; init must be random, imagenet, imagenet:PATH, street"),
        ("{data}", r"is no run folder: it has no best\.pt"),
        ("imagenet:gone.pth", "no file .*gone"),
        ("cgnet:{first}/best.pt", "holds the network enet, not cgnet"),
        ("{data}/manifest.toml", "is no file of plain weights|cannot read weights"),
        ("{other}", "does not fit this network: 0.0% of the parameters"),
    ],
)
def test_weights_that_do_not_fit_are_one_error_and_leave_nothing(
    data: Path, first: Path, tmp_path: Path, init: str, message: str
) -> None:
    torch.save({"encoder.weight": torch.zeros(4, 4, 3, 3)}, tmp_path / "other.pth")
    spec = init.format(data=data, first=first, other=tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=message) as raised:
        train_tiny(data, tmp_path / "run", network__init=spec)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_paths_of_initial_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert [absolute_init(spec) for spec in ("random", "imagenet")] == ["random", "imagenet"]
    assert absolute_init("imagenet:a.pth") == f"imagenet:{tmp_path / 'a.pth'}"
    assert absolute_init("cgnet:a.pth") == f"cgnet:{tmp_path / 'a.pth'}"
    assert absolute_init("runs") == str(tmp_path / "runs")
    assert initial_file("random") is None
    assert initial_file("runs") == Path("runs/best.pt")
    assert initial_file("cgnet:a.pth") == Path("a.pth")
    assert initial_file("imagenet:a.pth") == Path("a.pth")


def test_imagenet_weights_are_listed_too(data: Path, tmp_path: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    weights = models.densenet121(weights=None).state_dict()
    torch.save(weights, tmp_path / "densenet.pth")
    settings: dict[str, Any] = {
        "network__name": "denseaspp121", "network__init": f"imagenet:{tmp_path / 'densenet.pth'}"
    }  # fmt: skip
    run = prepared(data, tmp_path / "run", **settings)
    listed = rows(tmp_path / "run")
    first = next(n for n, (outcome, _) in listed.items() if outcome == "inflated")
    assert listed[first][1] == "mean of 3 input channels x 3/6"
    state = run.training.network.state_dict()
    theirs = {n.removeprefix("features."): t for n, t in weights.items()}
    loaded = [n for n, (outcome, _) in listed.items() if outcome == "loaded"]
    assert len(loaded) > 300
    ours_by_tail = [n for n in loaded if any(n.endswith(t) for t in theirs)]
    assert ours_by_tail
    for name in ours_by_tail:
        tail = max((t for t in theirs if name.endswith(t)), key=len)
        assert torch.equal(state[name], theirs[tail])
    record = read_run(tmp_path / "run/run.json")["init"]
    assert record["sha256"] == digest_of(tmp_path / "densenet.pth")
    assert 0.5 < record["share"] < 1


def test_decoder_of_enet_learns_after_its_encoder(data: Path, tmp_path: Path) -> None:
    train_tiny(data, tmp_path / "encoder", epochs=1, network__options={"decoder": False})
    encoder = load_network(tmp_path / "encoder/best.pt").network
    run = prepared(data, tmp_path / "both", network__init=str(tmp_path / "encoder"))
    state, listed = run.training.network.state_dict(), rows(tmp_path / "both")
    for name, tensor in encoder.state_dict().items():
        assert name.startswith("auxiliary.") or torch.equal(state[name], tensor)
    of_decoder = ("up4.", "stage4.", "up5.", "stage5.", "logits.")
    for name, (outcome, _) in listed.items():
        expected = "random" if name.startswith(of_decoder) else "loaded"
        assert outcome == ("unused" if name.startswith("auxiliary.") else expected), name
    assert listed["auxiliary.weight"] == ("unused", "")


def test_python_takes_a_path(data: Path, first: Path, tmp_path: Path) -> None:
    run = train(
        data, tmp_path / "run", config=None, network="enet", init=first, epochs=1, workers=0,
        device="cpu",
    )  # fmt: skip
    assert run.config.network.init == str(first)
    assert json.loads((run.path / "run.json").read_text())["init"]["share"] == 1.0
