"""Frozen parts of a network: weights and statistics stay, all others learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_fixtures import train_tiny

from eventseg.errors import EventsegError, NetworkError
from eventseg.networks import build_network, load_network
from eventseg.training.config.config import load_config, to_toml
from eventseg.training.run_record import read_run

TRUNK = ("stem.", "down1.", "stage1.")


pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize("ema_decay", [pytest.param(0.0, marks=pytest.mark.slow), 0.9])
def test_frozen_parts_leave_a_run_as_they_came(
    data: Path, tmp_path: Path, ema_decay: float
) -> None:
    train_tiny(data, tmp_path / "first", epochs=1)
    train_tiny(
        data, tmp_path / "tuned", epochs=1, ema_decay=ema_decay,
        network__init=str(tmp_path / "first"), network__frozen=list(TRUNK),
        optimiser__weight_decay=0.1,
    )  # fmt: skip
    before, after = (
        load_network(tmp_path / name / "best.pt").network.state_dict()
        for name in ("first", "tuned")
    )
    assert {n for n in before if n.startswith(TRUNK) and "running" in n}
    for name, tensor in after.items():
        if name.startswith(TRUNK):
            assert torch.equal(tensor, before[name]), name
    learnt = [n for n in after if not n.startswith(TRUNK) and not n.endswith("num_batches_tracked")]
    moved = [n for n in learnt if not torch.equal(after[n], before[n])]
    assert len(moved) > 0.95 * len(learnt)
    network = load_network(tmp_path / "first/best.pt").network
    trained = sum(p.numel() for n, p in network.named_parameters() if not n.startswith(TRUNK))
    assert read_run(tmp_path / "tuned/run.json")["parameters"] == trained


@pytest.mark.parametrize("frozen_batch_norm", [False, True])
@pytest.mark.parametrize("fusion", ["early", "late"])
def test_norms_that_stay_are_those_of_either_setting(fusion: Any, frozen_batch_norm: bool) -> None:
    network = build_network(
        "enet", in_channels=7, classes=3, fusion=fusion, frozen_batch_norm=frozen_batch_norm
    ).freeze(TRUNK)
    for mode in (True, False, True):
        network.train(mode)
        norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
        for name, norm in norms.items():
            bare = name.removeprefix("of_frame.").removeprefix("of_events.")
            frozen = frozen_batch_norm or bare.startswith(TRUNK)
            assert norm.training == (mode and not frozen), name
            assert norm.weight.requires_grad == (not frozen), name
    for name, parameter in network.named_parameters():
        bare = name.removeprefix("of_frame.").removeprefix("of_events.")
        if bare.startswith(TRUNK):
            assert not parameter.requires_grad
    assert network.training


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (["encoder."], r"network\.frozen: no parameter's name begins with 'encoder\.'; this "
         r"network has down1\., down2\., logits\., stage1\."),
        ([""], "begins with ''"),
        (["stem.", "of_frame."], r"begins with 'of_frame\.'"),
        (["stem.", "down", "stage", "up", "logits"], "no parameter to train"),
    ],
)  # fmt: skip
def test_beginnings_that_cannot_be_frozen(
    data: Path, tmp_path: Path, frozen: list[str], message: str
) -> None:
    with pytest.raises(EventsegError, match=message):
        train_tiny(data, tmp_path / "run", network__frozen=frozen)
    if "no parameter's" in message:
        assert not (tmp_path / "run").exists()


def test_frozen_parts_are_a_setting_as_others() -> None:
    config = load_config(overrides={"network.frozen": ["a.", "b."]})
    assert config.network.frozen == ("a.", "b.")
    assert 'frozen = [\n    "a.",' in to_toml(config)
    with pytest.raises(NetworkError, match=r"this network has down1\."):
        build_network("enet", in_channels=3, classes=2).freeze(["backbone."])
