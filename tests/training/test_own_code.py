"""Networks, losses and callbacks of a user's own: trained, kept, found again, refused."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fixtures import one_thread, tiny, train_tiny

from eventseg.errors import CheckpointError, ExtensionError, NetworkError, TrainingError
from eventseg.evaluation.evaluate import evaluate
from eventseg.files.extensions import load_extension, short_extension
from eventseg.networks import Blueprint, build_network, load_network, parameter_count
from eventseg.networks.checkpoints import load_without_values
from eventseg.sources.source import open_source
from eventseg.training import epoch_files
from eventseg.training.losses.losses import LossSpec, segmentation_loss
from eventseg.training.progress import EpochEnd
from eventseg.training.reproduce import reproduce
from eventseg.training.run_record import read_run

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, classes, kind="tensor"):
        super().__init__()
        self.kind = kind
        self.first = nn.Conv2d(in_channels, 4, 3, stride=2, padding=1)
        self.last = nn.Conv2d(4, classes, 1)
        self.side = nn.Conv2d(4, classes, 1)

    def forward(self, x):
        found = self.first(x).relu()
        main, side = self.last(found), self.side(found)
        return {"tensor": main, "tuple": (main, side), "mapping": {"out": main, "aux": side},
                "few": main[:, :-1], "flat": main.mean(), "none": None}[self.kind]

def made(in_channels, classes):
    return Net(in_channels, classes)

number = 3

def nothing(in_channels, classes):
    return "a network"
"""
LOSS = """
from torch.nn import functional

def smooth(logits, labels):
    return functional.cross_entropy(logits, labels, ignore_index=255, label_smoothing=0.1)

def weighted(logits, labels, *, class_weights, pixel_weights=None):
    return functional.cross_entropy(logits, labels, class_weights, ignore_index=255)

def plain(logits, labels):
    return functional.cross_entropy(logits, labels, ignore_index=255)

def per_pixel(logits, labels):
    return functional.cross_entropy(logits, labels, ignore_index=255, reduction="none")

def detached(logits, labels):
    return plain(logits, labels).detach()

def alone(logits):
    return logits.mean()
"""


@pytest.fixture(scope="module", autouse=True)
def _quick():
    before = torch.get_num_threads()
    one_thread()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("picture_curves", "picture_samples"):
            patch.setattr(epoch_files, name, lambda *_a, **_k: None)
        yield
    torch.set_num_threads(before)


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "my_nets.py").write_text(NET)
    return tmp_path / "my_nets.py"


@pytest.fixture
def losses(tmp_path: Path) -> Path:
    (tmp_path / "my_losses.py").write_text(LOSS)
    return tmp_path / "my_losses.py"


def test_own_network_is_trained_kept_and_scored(
    data: Path, nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "run"
    train_tiny(data, out, network__name="my_nets.py:Net", epochs=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    trained = load_network(out / "best.pt")
    assert trained.blueprint.name == f"{nets}:Net"
    assert trained.blueprint.code_sha256 == load_extension(f"{nets}:Net").sha256
    assert read_run(out / "run.json")["code"] == {f"{nets}:Net": trained.blueprint.code_sha256}
    stated = load_without_values(out / "best.pt")
    assert (stated.blueprint, stated.inputs) == (trained.blueprint, trained.inputs)
    assert parameter_count(stated.network) == parameter_count(trained.network)
    source = open_source(data)
    (row,) = evaluate(trained, source, windows=("50ms",), workers=1)
    assert row.matrices.sum() > 0
    # The run continues from another folder, and is made again to the same scores.
    train_tiny(data, out, network__name=f"{nets}:Net", epochs=1, resume=True)
    assert reproduce(out, data=data, out=tmp_path / "again").difference == ""

    nets.write_text(NET + "# changed\n")
    with pytest.raises(CheckpointError, match=r"best\.pt needs the code.*my_nets\.py has changed"):
        load_network(out / "best.pt")
    with pytest.raises(TrainingError, match=r"my_nets\.py:Net has changed since the run"):
        train_tiny(data, out, network__name=f"{nets}:Net", epochs=1, resume=True)
    with pytest.raises(TrainingError, match=r"my_nets\.py:Net has changed since .*run\.json"):
        reproduce(out, data=data, out=tmp_path / "third")
    nets.unlink()
    with pytest.raises(CheckpointError, match=r"cannot read .*my_nets\.py"):
        load_network(out / "best.pt")
    Path("my_nets.py").write_text(NET)  # moved to the working folder
    assert load_network(out / "best.pt").network.classes == trained.network.classes


@pytest.mark.parametrize("kind", ["tensor", "tuple", "mapping"])
def test_what_an_own_network_may_return(nets: Path, kind: str) -> None:
    network = build_network(f"{nets}:Net", in_channels=6, classes=3, kind=kind)
    x = torch.randn(2, 6, 9, 13)
    heads = network.train()(x)
    heads = (heads,) if isinstance(heads, torch.Tensor) else heads
    assert [tuple(head.shape) for head in heads] == [(2, 3, 9, 13)] * (1 if kind == "tensor" else 2)
    assert network.eval()(x).shape == (2, 3, 9, 13)  # type: ignore[union-attr]
    both = build_network(f"{nets}:made", in_channels=7, classes=3, fusion="late")
    assert both(torch.randn(1, 7, 9, 13)).shape == (1, 3, 9, 13)  # type: ignore[union-attr]


def test_networks_that_are_none_are_named(nets: Path, tmp_path: Path) -> None:
    def built(spec: str, **options: Any) -> torch.Tensor:
        return build_network(spec, in_channels=6, classes=3, **options)(torch.randn(1, 6, 8, 8))  # type: ignore[return-value]

    for kind, got in (("few", r"\(1, 2, 4, 4\)"), ("flat", r"\(\)"), ("none", "NoneType")):
        with pytest.raises(NetworkError, match=rf"my_nets\.py:Net must return logits .* got {got}"):
            built(f"{nets}:Net", kind=kind)
    with pytest.raises(NetworkError, match="number is a int; name a class or a function"):
        built(f"{nets}:number")
    with pytest.raises(NetworkError, match=r"returns a str; it must return a torch\.nn\.Module"):
        built(f"{nets}:nothing")
    with pytest.raises(NetworkError, match=r"cannot be built .*unexpected keyword argument 'wide'"):
        built(f"{nets}:Net", wide=3)
    with pytest.raises(ExtensionError, match=r"defines no 'net' \(did you mean Net\?\)"):
        built(f"{nets}:net")
    with pytest.raises(ExtensionError, match=r"cannot read .*no\.py.*No such file"):
        Blueprint(f"{tmp_path}/no.py:Net", 6, 3)
    for body, reason in (
        ("1 +", "SyntaxError"), ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit: 3"), ("x = 1\n" * 3 + "y", "NameError"),
    ):  # fmt: skip
        (tmp_path / "bad.py").write_text(body)
        with pytest.raises(ExtensionError, match=rf"bad\.py fails while it is loaded: {reason}"):
            built(f"{tmp_path}/bad.py:Net")


def test_own_files_import_their_neighbours_and_follow_their_content(tmp_path: Path) -> None:
    (tmp_path / "my_parts.py").write_text("width = 5\n")
    file = tmp_path / "main.py"
    file.write_text("import my_parts\nwidth = my_parts.width\n")
    try:
        first = load_extension(f"{file}:width")
        assert (first.value, first.path, first.name) == (5, file, "width")
        file.write_text("width = 6\n")
        assert load_extension(f"{file}:width").value == 6
        with pytest.raises(ExtensionError, match="has changed since width of it was used"):
            load_extension(f"{file}:width", sha256=first.sha256)
    finally:
        importlib.import_module("sys").modules.pop("my_parts", None)
    assert short_extension(f"{file}:width") == "main.py:width"
    assert short_extension("fastscnn") == "fastscnn"
    with pytest.raises(ExtensionError, match=r"is no FILE\.py:NAME"):
        load_extension("fastscnn")


def test_own_loss_trains(data: Path, losses: Path, tmp_path: Path) -> None:
    ours = train_tiny(data, tmp_path / "ours", epochs=1, loss__terms={f"{losses}:plain": 1.0})
    theirs = train_tiny(data, tmp_path / "theirs", epochs=1)
    assert ours.history[0].train_loss == pytest.approx(theirs.history[0].train_loss, rel=1e-5)
    weighed = train_tiny(
        data, tmp_path / "weighed", epochs=1, loss__class_weights="median_frequency",
        loss__terms={f"{losses}:weighted": 0.5, "dice": 1.0},
    )  # fmt: skip
    assert weighed.history[0].train_loss != ours.history[0].train_loss
    losses.write_text(LOSS + "\n")
    with pytest.raises(TrainingError, match=r"my_losses\.py:plain has changed since the run"):
        train_tiny(
            data, tmp_path / "ours", epochs=1, loss__terms={f"{losses}:plain": 1.0}, resume=True
        )


def test_losses_that_are_none_are_named(losses: Path) -> None:
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4, 5))

    def loss(name: str, **weights: Any) -> torch.Tensor:
        spec = LossSpec(terms=((f"{losses}:{name}", 1.0),))
        return segmentation_loss(logits, labels, spec=spec, **weights)

    smooth = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert torch.equal(loss("smooth"), smooth)
    weights = torch.tensor([1.0, 2.0, 3.0])
    expected = torch.nn.functional.cross_entropy(logits, labels, weights)
    assert torch.equal(loss("weighted", class_weights=weights), expected)
    for keyword in ("class_weights", "pixel_weights"):
        with pytest.raises(TrainingError, match=rf"smooth takes no {keyword}, which the settings"):
            loss("smooth", **{keyword: weights})
    with pytest.raises(TrainingError, match=r"tensor of one number, got \(2, 4, 5\)"):
        loss("per_pixel")
    with pytest.raises(TrainingError, match="has no gradient"):
        loss("detached")
    with pytest.raises(TrainingError, match=r"must be a function of \(logits, labels\)"):
        loss("alone")
    with pytest.raises(ExtensionError, match="did you mean smooth"):
        loss("smoot")
    with pytest.raises(TrainingError, match="each once"):
        tiny(loss__terms={"smooth": 1.0})


def test_callbacks_see_every_epoch_and_can_end_training(data: Path, tmp_path: Path) -> None:
    seen: list[EpochEnd] = []
    there: list[bool] = []

    def note(end: EpochEnd) -> int:
        seen.append(end)
        there.append((end.path / "last.pt").is_file() and not end.network.network.training)
        return 1  # only True ends a training

    def stop(end: EpochEnd) -> bool:
        return end.scores.epoch == 2

    made = train_tiny(data, tmp_path / "run", epochs=4, callbacks=[stop, note])
    assert (made.stop_reason, len(made.history)) == ("callback", 2)
    assert [end.scores for end in seen] == list(made.history)
    assert seen[0].best
    assert all(there)
    # What a callback draws from torch changes nothing, and the run can go on.
    whole = train_tiny(
        data, tmp_path / "run", epochs=4, resume=True, callbacks=[lambda _: torch.rand(7)]
    )
    straight = train_tiny(data, tmp_path / "straight", epochs=4)
    assert whole.stop_reason == straight.stop_reason == "length"
    assert repr(whole.history) == repr(straight.history)
