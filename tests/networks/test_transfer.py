"""Networks that start from the weights of others: outcome and response of every tensor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from naive_transfer import naive_inflated
from networks_fixtures import logits, one_thread  # noqa: F401 - a fixture
from torch import Tensor

from eventseg.errors import CheckpointError
from eventseg.labels.maps import ClassTable
from eventseg.networks import (
    Blueprint,
    InputSpec,
    Scaling,
    SegmentationNetwork,
    TrainedNetwork,
    save_network,
)
from eventseg.networks.blocks.inflate import ChannelGroup, inflated
from eventseg.networks.converters.unet import RULES
from eventseg.networks.initial_weights import InitialWeights, read_initial
from eventseg.networks.inputs import IMAGENET
from eventseg.networks.published import COUNTER
from eventseg.networks.transfer import TransferReport, transfer

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("a", "b", "c")
SMALL: dict[str, dict[str, Any]] = {
    "fastscnn": {},
    "cgnet": {"blocks_stage2": 2, "blocks_stage3": 2},
    "unet": {"base_width": 4},
}


def built(name: str, channels: int, *, seed: int, classes: int = 3, **more: Any) -> Any:
    """Return blueprint and network, in float64; norms have numbers of their own.

    With ``alike`` the channels of a norm are.
    """
    alike = more.pop("alike", False)
    torch.manual_seed(seed)
    options = {**SMALL.get(name, {}), **more.pop("options", {})}
    blueprint = Blueprint(name, channels, classes, options=options, **more)
    network = blueprint.build().eval().double()
    with torch.no_grad():
        for norm in (m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            # Such that a map's differences reach the end of deep networks too.
            for tensor, least in (
                (norm.running_mean, 0.0), (norm.running_var, 0.1), (norm.weight, 0.5),
                (norm.bias, 0.0),
            ):  # fmt: skip
                spread = torch.rand(()) if alike else torch.rand_like(tensor)
                tensor.copy_(least + 0.1 * spread)
    return blueprint, network


def weights_of(
    network: SegmentationNetwork, kind: str, *, names: tuple[str, ...] | None = NAMES
) -> InitialWeights:
    state = {n: tensor.clone() for n, tensor in network.state_dict().items()}
    inputs = InputSpec(kind, network.in_channels)  # type: ignore[arg-type]
    return InitialWeights(state, network.in_channels, Path("it.pt"), "it", inputs, names)


def moved(
    name: str, theirs: tuple[str, int], ours: tuple[str, int], **more: Any
) -> tuple[Any, Any, TransferReport]:
    """Return a network, the one that began with its weights, and the report."""
    _, source = built(name, theirs[1], seed=1, alike=more.pop("alike", False))
    blueprint, network = built(name, ours[1], seed=2, **more)
    report = transfer(
        network, weights_of(source, theirs[0]), blueprint=blueprint,
        inputs=InputSpec(ours[0], ours[1]), classes=NAMES,  # type: ignore[arg-type]
    )  # fmt: skip
    return source, network, report


def random(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64)


def outcomes(report: TransferReport) -> dict[str, str]:
    return {tensor.name: tensor.outcome for tensor in report.tensors}


@torch.no_grad()
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("channels", [1, pytest.param(5, marks=pytest.mark.slow), 6])
def test_equal_channels_have_the_response_of_before(name: str, channels: int) -> None:
    # Into fewer channels than it injects, CGNet keeps its response only where norms are alike.
    source, network, report = moved(
        name, ("rgb", 3), ("events", channels), alike=name == "cgnet" and channels == 1
    )
    gray = random(2, 1, 48, 64)
    before = logits(source, gray.expand(-1, 3, -1, -1))
    darker = logits(source, gray.expand(-1, 3, -1, -1) / 2)
    assert (before - darker).abs().max() > 1e-3  # it does not shine through norms alone
    after = logits(network, gray.expand(-1, channels, -1, -1))
    torch.testing.assert_close(after, before)
    assert report.share == 1.0
    assert set(outcomes(report).values()) == {"loaded", "inflated"}
    notes = [tensor.note for tensor in report.tensors if tensor.outcome == "inflated"]
    assert notes[0] == f"mean of 3 input channels x 3/{channels}"
    repeated = f"3 input channels in turn for {channels}"
    assert (repeated in notes) == (name == "cgnet" and channels > 1)
    assert list(outcomes(report)) == [n for n in network.state_dict() if not n.endswith(COUNTER)]


@torch.no_grad()
def test_frame_that_joins_events_changes_nothing_and_one_that_leaves_is_0() -> None:
    x = random(2, 7, 48, 64)
    alone, both, report = moved("fastscnn", ("events", 6), ("both", 7))
    assert torch.equal(logits(both, x), logits(both, torch.cat([x[:, :1] * 0, x[:, 1:]], 1)))
    torch.testing.assert_close(logits(both, x), logits(alone, x[:, 1:]))
    assert [t.note for t in report.tensors if t.outcome == "inflated"] == ["frame 0, events copied"]
    together, events, _ = moved("fastscnn", ("both", 7), ("events", 6))
    without = torch.cat([x[:, :1] * 0, x[:, 1:]], 1)
    torch.testing.assert_close(logits(events, x[:, 1:]), logits(together, without))
    gray, joined, _ = moved("fastscnn", ("gray", 1), ("both", 7))
    torch.testing.assert_close(logits(joined, x), logits(gray, x[:, :1]))
    _, frame, _ = moved("fastscnn", ("both", 7), ("gray", 1))
    only = torch.cat([x[:, :1], x[:, 1:] * 0], 1)
    torch.testing.assert_close(logits(frame, x[:, :1]), logits(together, only))


@torch.no_grad()
def test_frame_that_joins_changes_no_response_of_cgnet_which_shows_its_input_later() -> None:
    x = random(2, 7, 48, 64)
    alone, both, report = moved("cgnet", ("events", 6), ("both", 7))
    torch.testing.assert_close(logits(both, x), logits(alone, x[:, 1:]))
    assert report.share == 1.0
    notes = {tensor.note for tensor in report.tensors if tensor.outcome == "inflated"}
    assert notes == {"frame 0, events copied", "frame as initialised, events copied"}
    gray, joined, _ = moved("cgnet", ("gray", 1), ("both", 7))
    torch.testing.assert_close(logits(joined, x), logits(gray, x[:, :1]))
    # One that leaves takes its own weights alone.
    together, events, _ = moved("cgnet", ("both", 7), ("events", 6))
    kept, before = events.state_dict(), together.state_dict()
    for name in ("inject1.bn.running_mean", "inject2.act.weight", "down2.reduce.conv.weight"):
        axis = before[name].dim() > 1
        fixed = before[name].shape[axis] - 7
        for part, old in ((slice(fixed), slice(fixed)), (slice(-6, None), slice(-6, None))):
            places = (slice(None),) * axis
            assert torch.equal(kept[name][*places, part], before[name][*places, old]), name


@torch.no_grad()
@pytest.mark.parametrize("channels", [11, 4, 7])
def test_frame_keeps_its_weights_where_the_events_are_of_another_representation(
    channels: int,
) -> None:
    x = random(2, channels, 48, 64)
    alike = torch.cat([x[:, :1], x[:, 1:2].expand(-1, channels - 1, -1, -1)], 1)
    before = torch.cat([x[:, :1], x[:, 1:2].expand(-1, 6, -1, -1)], 1)
    source, network, _ = moved("fastscnn", ("both", 7), ("both", channels))
    first = "learning_to_downsample.0.conv.weight"
    assert torch.equal(network.state_dict()[first][:, 0], source.state_dict()[first][:, 0])
    torch.testing.assert_close(logits(network, alike), logits(source, before))


@torch.no_grad()
def test_channels_of_another_kind_are_not_taken_for_others_of_the_same_number() -> None:
    x = random(2, 7, 48, 64)
    events = x[:, 1:2].expand(-1, 7, -1, -1)
    before = torch.cat([x[:, :1] * 0, events[:, 1:]], 1)
    source, network, _ = moved("fastscnn", ("both", 7), ("events", 7))
    torch.testing.assert_close(logits(network, events), logits(source, before))
    source, network, _ = moved("fastscnn", ("events", 7), ("both", 7))
    torch.testing.assert_close(
        logits(network, torch.cat([x[:, :1], events[:, 1:]], 1)), logits(source, events)
    )


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["early", "late"])
def test_halves_of_late_fusion_take_the_channels_of_their_kind(fusion: str) -> None:
    _, source = built("fastscnn", 7, seed=1, fusion=fusion)
    blueprint, network = built("fastscnn", 11, seed=2, fusion="late")
    report = transfer(
        network, weights_of(source, "both"), blueprint=blueprint,
        inputs=InputSpec("both", 11), classes=NAMES,
    )  # fmt: skip
    assert report.share == 1.0
    x = random(2, 2, 48, 64)
    frame, events = x[:, :1], x[:, 1:]
    if fusion == "late":
        before = (source.of_frame(frame), source.of_events(events.expand(-1, 6, -1, -1)))
    else:
        of_frame = torch.cat([frame, events.expand(-1, 6, -1, -1) * 0], 1)
        of_events = torch.cat([frame * 0, events.expand(-1, 6, -1, -1)], 1)
        before = (source(of_frame), source(of_events))
    torch.testing.assert_close(network.of_frame(frame), before[0])
    torch.testing.assert_close(network.of_events(events.expand(-1, 10, -1, -1)), before[1])


@pytest.mark.parametrize(
    ("theirs", "ours", "before", "channels"),
    [
        ((4, 3, 2, 2), (4, 6, 2, 2), 3, 6),
        ((4, 5, 1, 1), (4, 8, 1, 1), 3, 6),
        ((5,), (8,), 3, 6),
        ((5,), (7,), 3, 5),
        ((5,), (3,), 3, 1),
        ((4, 5, 1, 1), (4, 7, 1, 1), 3, 5),
        ((6, 1, 2, 2), (3, 1, 2, 2), 6, 3),
        ((7, 5, 1, 1), (4, 2, 1, 1), 4, 1),
    ],
)
def test_inflated_equals_loops(
    theirs: tuple[int, ...], ours: tuple[int, ...], before: int, channels: int
) -> None:
    tensor = torch.randn(theirs, dtype=torch.float64)
    groups = [ChannelGroup("input", range(before), range(channels))]
    got = inflated(tensor, torch.zeros(ours, dtype=torch.float64), groups=groups)
    assert got is not None
    np.testing.assert_allclose(
        got.numpy(), naive_inflated(tensor.numpy(), ours, before=before, channels=channels)
    )


def test_shapes_that_no_rule_fits_stay_random() -> None:
    def tried(theirs: tuple[int, ...], ours: tuple[int, ...]) -> Tensor | None:
        groups = [ChannelGroup("input", range(3), range(6))]
        return inflated(torch.zeros(theirs), torch.zeros(ours), groups=groups)

    assert (
        tried((13, 3, 3, 3), (10, 6, 3, 3)) is None
    )  # ENet: fewer filters beside the pooled input
    assert tried((4, 3), (4, 6, 1, 1)) is None
    assert tried((2,), (5,)) is None  # less than the input itself
    _, source = built("enet", 3, seed=1)
    blueprint, network = built("enet", 6, seed=2)
    kept = network.state_dict()["stem.convolution.weight"].clone()
    report = transfer(
        network, weights_of(source, "rgb"), blueprint=blueprint,
        inputs=InputSpec("events", 6), classes=NAMES,
    )  # fmt: skip
    random = {t.name: t.note for t in report.tensors if t.outcome == "random"}
    assert random == {"stem.convolution.weight": "13x3x3x3 in the file, 10x6x3x3 here"}
    assert torch.equal(network.state_dict()["stem.convolution.weight"], kept)


def test_heads_are_replaced_where_classes_differ_by_number_or_by_name() -> None:
    _, source = built("fastscnn", 6, seed=1)
    for classes, names in ((3, ("a", "b", "other")), (5, tuple("abcde"))):
        blueprint, network = built("fastscnn", 6, seed=2, classes=classes)
        before = {n: tensor.clone() for n, tensor in network.state_dict().items()}
        report = transfer(
            network, weights_of(source, "events"), blueprint=blueprint,
            inputs=InputSpec("events", 6), classes=names,
        )  # fmt: skip
        replaced = [n for n, outcome in outcomes(report).items() if outcome == "replaced"]
        assert replaced == ["logits.1.weight", "logits.1.bias"]
        for name, tensor in network.state_dict().items():
            expected = before if name in replaced else source.state_dict()
            assert name.endswith(COUNTER) or torch.equal(tensor, expected[name]), name
        assert report.share < 1
    # A file without names goes by the number.
    blueprint, network = built("fastscnn", 6, seed=2)
    report = transfer(
        network, weights_of(source, "events", names=None), blueprint=blueprint,
        inputs=InputSpec("events", 6), classes=("x", "y", "z"),
    )  # fmt: skip
    assert report.share == 1.0


def test_auxiliary_heads_are_unused_or_random() -> None:
    _, source = built("fastscnn", 6, seed=1, options={"auxiliary": True})
    blueprint, network = built("fastscnn", 6, seed=2)
    inputs = InputSpec("events", 6)
    weights = weights_of(source, "events")
    report = transfer(network, weights, blueprint=blueprint, inputs=inputs, classes=NAMES)
    unused = [n for n, outcome in outcomes(report).items() if outcome == "unused"]
    assert unused
    assert set(unused) == {
        n for n in source.state_dict() if n not in network.state_dict() and not n.endswith(COUNTER)
    }
    other_blueprint, other = built("fastscnn", 6, seed=3, options={"auxiliary": True})
    weights = weights_of(network, "events")
    report = transfer(other, weights, blueprint=other_blueprint, inputs=inputs, classes=NAMES)
    random = [t for t in report.tensors if t.outcome == "random"]
    assert [t.name for t in random] == unused
    assert {t.note for t in random} == {"not in the file"}


@torch.no_grad()
def test_both_networks_of_late_fusion_start_from_one() -> None:
    _, source = built("fastscnn", 3, seed=1)
    blueprint, network = built("fastscnn", 7, seed=2, fusion="late")
    report = transfer(
        network, weights_of(source, "rgb"), blueprint=blueprint,
        inputs=InputSpec("both", 7), classes=NAMES,
    )  # fmt: skip
    assert report.share == 1.0
    gray = random(1, 1, 48, 64)
    before = logits(source, gray.expand(-1, 3, -1, -1))
    after = logits(network, gray.expand(-1, 7, -1, -1))
    torch.testing.assert_close(after, before)


def test_file_of_another_network_is_refused_and_nothing_moves() -> None:
    _, source = built("unet", 3, seed=1)
    blueprint, network = built("fastscnn", 3, seed=2)
    before = {n: tensor.clone() for n, tensor in network.state_dict().items()}
    unnamed = weights_of(source, "rgb")
    for weights, message in (
        (unnamed, r"it\.pt does not fit this network: 0\.0% of the"),
        (
            replace(unnamed, network="unet"),
            r"it\.pt holds unet and this network is fastscnn: .* \(--network unet\)",
        ),
    ):
        with pytest.raises(CheckpointError, match=message):
            transfer(
                network, weights, blueprint=blueprint, inputs=InputSpec("rgb", 3), classes=NAMES
            )
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())


def test_another_scaling_of_pictures_is_noted() -> None:
    _, source = built("fastscnn", 3, seed=1)
    blueprint, network = built("fastscnn", 3, seed=2)
    weights = weights_of(source, "rgb")
    own = InputSpec("rgb", 3, IMAGENET)
    report = transfer(network, weights, blueprint=blueprint, inputs=own, classes=NAMES)
    (note,) = report.notes
    assert "scaled by top 1, mean 0, deviation 1, rgb, this network sees top 1, mean 0.485" in note
    same = InputSpec("rgb", 3)
    assert transfer(network, weights, blueprint=blueprint, inputs=same, classes=NAMES).notes == ()


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    blueprint, network = built("fastscnn", 6, seed=1)
    table = ClassTable(NAMES, ((0, 0, 0), (1, 0, 0), (2, 0, 0)))
    inputs = InputSpec("events", 6, Scaling(), ("50ms",))
    own = tmp_path / "best.pt"
    save_network(own, TrainedNetwork(network, blueprint, inputs, table, "run x"))
    for spec in (str(own), f"fastscnn:{own}"):
        found = read_initial(spec, network="unet", options={})
        assert (found.source, found.classes, found.inputs) == ("fastscnn, run x", NAMES, inputs)
        assert (found.in_channels, found.file) == (6, own)
    bare = tmp_path / "bare.pth"
    torch.save({"model": network.state_dict()}, bare)
    found = read_initial(str(bare), network="fastscnn", options={})
    assert "published checkpoint bare.pth of layout eventseg" in found.source
    assert (found.in_channels, found.classes, found.inputs) == (6, None, None)
    part = {n: t for n, t in network.state_dict().items() if not n.startswith("classifier.")}
    torch.save(part, tmp_path / "part.pth")
    found = read_initial(str(tmp_path / "part.pth"), network="fastscnn", options={})
    assert (found.in_channels, set(found.state)) == (6, set(part))
    with pytest.raises(CheckpointError, match="of no known layout of cgnet"):
        read_initial(f"cgnet:{bare}", network="fastscnn", options={})


def test_published_file_that_lacks_tensors_is_taken_as_far_as_it_goes(tmp_path: Path) -> None:
    _, source = built("unet", 3, seed=1)
    theirs = {}
    for name, tensor in source.state_dict().items():
        old, new = next((old, new) for old, new in RULES.items() if name.startswith(new))
        theirs[old + name.removeprefix(new)] = tensor
    lost = theirs.pop("down2.maxpool_conv.1.double_conv.0.weight")
    torch.save(theirs, tmp_path / "unet.pth")
    blueprint, network = built("unet", 6, seed=2)
    weights = read_initial(str(tmp_path / "unet.pth"), network="unet", options=blueprint.options)
    assert (weights.source, weights.in_channels) == ("tensors of unet.pth of layout milesial", 3)
    report = transfer(
        network, weights, blueprint=blueprint, inputs=InputSpec("events", 6), classes=NAMES
    )
    assert report.counts == {"loaded": len(outcomes(report)) - 2, "inflated": 1, "random": 1}
    assert outcomes(report)["encoder.2.0.weight"] == "random"
    sizes = [parameter.numel() for parameter in network.parameters()]
    assert report.share == pytest.approx(1 - lost.numel() / sum(sizes))
