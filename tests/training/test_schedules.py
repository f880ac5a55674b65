"""Optimisers, learning-rate schedules and averaged weights against PyTorch's own."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim
from torch.optim import lr_scheduler, swa_utils

from eventseg.errors import NetworkError, TrainingError
from eventseg.training.config.optimisation import ScheduleSpec
from eventseg.training.optimisers import (
    OptimiserSpec,
    averaged_copy,
    build_optimiser,
    parameter_groups,
    set_learning_rate,
    update_average,
)
from eventseg.training.schedules import Plateau, after_score, learning_rate


def torch_rates(make, steps, base=0.1):
    """Return the learning rates of a PyTorch scheduler, one before each step."""
    optimiser = optim.SGD([nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def our_rates(spec, steps, base=0.1, per_epoch=1):
    return [
        learning_rate(spec, i, base=base, iterations=steps, iterations_per_epoch=per_epoch)
        for i in range(steps)
    ]


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_poly_is_that_of_pytorch(power):
    expected = torch_rates(lambda o: lr_scheduler.PolynomialLR(o, 60, power), 60)
    assert our_rates(ScheduleSpec(power=power), 60) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("end", [0.0, 0.01])
def test_cosine_is_that_of_pytorch(end):
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 60, eta_min=end), 60)
    rates = our_rates(ScheduleSpec(kind="cosine", end=end), 60)
    assert rates == pytest.approx(expected, rel=1e-9)
    longer = our_rates(ScheduleSpec(kind="cosine", end=end, length=30), 60)
    assert longer[30:] == pytest.approx([end] * 30, abs=1e-12)


@pytest.mark.parametrize(("steps", "rise"), [(60, 0.3), (100, 0.5), (10, 0.2), (250, 0.1)])
def test_one_cycle_is_that_of_pytorch(steps, rise):
    expected = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=steps, pct_start=rise), steps
    )
    rates = our_rates(ScheduleSpec(kind="one_cycle", rise=rise, end=0.1 / 25e4), steps)
    assert rates == pytest.approx(expected, rel=1e-6)
    assert max(rates) == pytest.approx(0.1, rel=1e-2)


@given(steps=st.integers(1, 40), kind=st.sampled_from(["cosine", "one_cycle"]))
def test_short_trainings_have_rates_too(steps, kind):
    rates = our_rates(ScheduleSpec(kind=kind), steps)
    assert all(0 <= rate <= 0.1 for rate in rates)
    assert sum(rates) > 0


def test_poly_ends_at_its_end_and_stays_there():
    spec = ScheduleSpec(power=0.9, end=0.001, length=90)
    rates = our_rates(spec, 120, base=0.007)
    assert rates[0] == 0.007
    assert rates[45] == pytest.approx(0.001 + 0.006 * 0.5**0.9)
    assert rates[90:] == [0.001] * 30


def test_poly_by_epoch_changes_only_between_epochs():
    spec = ScheduleSpec(unit="epoch", end=1e-9)
    rates = our_rates(spec, 50, per_epoch=10)
    expected = [1e-9 + (0.1 - 1e-9) * (1 - epoch / 5) ** 0.9 for epoch in range(5)]
    assert rates == pytest.approx([rate for rate in expected for _ in range(10)])


def test_poly_by_epoch_of_a_training_that_ends_within_an_epoch():
    rates = our_rates(ScheduleSpec(unit="epoch"), 25, per_epoch=10)
    assert rates[20:] == pytest.approx([0.1 * (1 / 3) ** 0.9] * 5)


def test_step_is_that_of_pytorch():
    spec = ScheduleSpec(kind="step", step=7, factor=0.3)
    expected = torch_rates(lambda o: lr_scheduler.StepLR(o, 7, 0.3), 40)
    assert our_rates(spec, 40) == pytest.approx(expected, rel=1e-9)
    by_epoch = ScheduleSpec(kind="step", unit="epoch", step=7, factor=0.3)
    assert our_rates(by_epoch, 80, per_epoch=2)[::2] == pytest.approx(expected, rel=1e-9)


def test_warm_up_is_pytorchs_linear_one_chained_before_poly():
    def chained(optimiser):
        return lr_scheduler.ChainedScheduler(
            [
                lr_scheduler.LinearLR(optimiser, start_factor=0.25, total_iters=8),
                lr_scheduler.PolynomialLR(optimiser, 40, 0.9),
            ]
        )

    spec = ScheduleSpec(power=0.9, warmup=8, warmup_from=0.25)
    assert our_rates(spec, 40) == pytest.approx(torch_rates(chained, 40), rel=1e-9)


@given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, math.nan]), max_size=40),
    patience=st.integers(0, 3),
    min_delta=st.sampled_from([0.0, 0.07]),
)
def test_plateau_is_that_of_pytorch(scores, patience, min_delta):
    spec = ScheduleSpec(
        kind="plateau", factor=0.5, patience=patience, min_delta=min_delta, end=0.01
    )
    optimiser = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimiser, "max", factor=0.5, patience=patience, threshold=min_delta,
        threshold_mode="abs", min_lr=0.01,
    )  # fmt: skip
    state = Plateau()
    for score in scores:
        scheduler.step(score)
        # As a checkpoint does: the state goes through plain values.
        state = Plateau(**asdict(after_score(spec, state, score=score)))
        rate = learning_rate(
            spec, 5, base=0.1, iterations=100, iterations_per_epoch=10, plateau=state
        )
        assert rate == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)


def test_constant_is_constant():
    assert our_rates(ScheduleSpec(kind="constant"), 5) == [0.1] * 5
    warm = ScheduleSpec(kind="constant", warmup=4)
    assert our_rates(warm, 6) == pytest.approx([0, 0.025, 0.05, 0.075, 0.1, 0.1])


class Small(nn.Module):
    """Two convolutions, one of them depthwise, a norm and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        return self.head(self.norm(self.depthwise(self.stem(x))))


def grouped(network, **settings):
    """Return {parameter name: (multiplier, weight decay)}."""
    names = {id(p): name for name, p in network.named_parameters()}
    groups = parameter_groups(network, spec=OptimiserSpec(**settings))
    return {names[id(p)]: (g["multiplier"], g["weight_decay"]) for g in groups for p in g["params"]}


def test_every_parameter_is_in_one_group():
    network = Small()
    network.stem.requires_grad_(False)
    groups = parameter_groups(network, spec=OptimiserSpec(multipliers=(("head.", 10.0),)))
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in network.parameters() if p.requires_grad)


def test_depthwise_convolutions_and_norms_can_be_spared_decay():
    found = grouped(Small(), weight_decay=0.1, decay_depthwise=False)
    spared = {name for name, (_, decay) in found.items() if decay == 0}
    assert spared == {"depthwise.weight", "depthwise.bias"}
    found = grouped(Small(), weight_decay=0.1, decay_norms_and_biases=False)
    assert {name for name, (_, decay) in found.items() if decay == 0.1} == {
        "stem.weight", "depthwise.weight", "head.0.weight", "head.1.weight",
    }  # fmt: skip


def test_multipliers_go_by_the_longest_beginning():
    found = grouped(Small(), multipliers=(("head.", 10.0), ("head.1.", 3.0)))
    assert {name: factor for name, (factor, _) in found.items()} == {
        "stem.weight": 1, "stem.bias": 1, "depthwise.weight": 1, "depthwise.bias": 1,
        "norm.weight": 1, "norm.bias": 1, "head.0.weight": 10, "head.0.bias": 10,
        "head.1.weight": 3, "head.1.bias": 3,
    }  # fmt: skip


def test_multipliers_hold_for_both_networks_of_late_fusion():
    pair = nn.ModuleDict({"of_frame": Small(), "of_events": Small()})
    found = grouped(pair, multipliers=(("head.", 10.0),))
    assert sum(factor == 10 for factor, _ in found.values()) == 8


def test_a_multiplier_for_nothing_is_refused():
    with pytest.raises(NetworkError, match=r"'ppm\.'.*depthwise\., head\., norm\., stem\."):
        grouped(Small(), multipliers=(("ppm.", 10.0),))


def test_a_network_with_nothing_to_train_is_refused():
    with pytest.raises(TrainingError, match="no parameter"):
        build_optimiser(Small().requires_grad_(False), spec=OptimiserSpec())


OPTIMISERS = {
    "adam": partial(optim.Adam, lr=0.1, betas=(0.8, 0.99), weight_decay=0.01),
    "adamw": partial(optim.AdamW, lr=0.1, betas=(0.8, 0.99), weight_decay=0.01),
    "sgd": partial(optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "rmsprop": partial(optim.RMSprop, lr=0.1, alpha=0.9, momentum=0.9, weight_decay=0.01),
}
SPECS = {
    "adam": {"betas": (0.8, 0.99)},
    "adamw": {"betas": (0.8, 0.99)},
    "sgd": {"momentum": 0.9, "nesterov": True},
    "rmsprop": {"alpha": 0.9, "momentum": 0.9},
}


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_optimisers_take_pytorchs_steps(kind):
    """To the bit those of its one loop over a weight, and those of its plain loops to rounding."""
    # In float64: Adam makes steps of the rounding where a gradient is 0, as before a batch norm.
    ours, fused, plain = Small().double(), Small().double(), Small().double()
    for network in (fused, plain):
        network.load_state_dict(ours.state_dict())
    spec = OptimiserSpec(kind=kind, learning_rate=0.5, weight_decay=0.01, **SPECS[kind])
    made = build_optimiser(ours, spec=spec)
    set_learning_rate(made, 0.1)
    one_loop = {} if kind == "rmsprop" else {"fused": True}
    steps = (
        (ours, made),
        (fused, OPTIMISERS[kind](fused.parameters(), **one_loop)),
        (plain, OPTIMISERS[kind](plain.parameters())),
    )
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    for _ in range(3):
        for network, optimiser in steps:
            optimiser.zero_grad()
            network(x).square().mean().backward()
            optimiser.step()
    for a, b, c in zip(ours.parameters(), fused.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)
        torch.testing.assert_close(a, c, rtol=1e-9, atol=1e-9)


def test_a_rate_is_set_with_each_groups_multiplier_and_survives_a_checkpoint():
    spec = OptimiserSpec(kind="sgd", learning_rate=1.0, multipliers=(("head.", 10.0),))
    optimiser = build_optimiser(Small(), spec=spec)
    assert [group["lr"] for group in optimiser.param_groups] == [1, 10]
    again = build_optimiser(Small(), spec=spec)
    again.load_state_dict(optimiser.state_dict())
    set_learning_rate(again, 0.5)
    assert [group["lr"] for group in again.param_groups] == [0.5, 5]


@pytest.mark.parametrize(
    ("kind", "settings", "word"),
    [
        (OptimiserSpec, {"kind": "lion"}, "lion"),
        (OptimiserSpec, {"learning_rate": -0.1}, "learning rate"),
        (OptimiserSpec, {"learning_rate": math.nan}, "learning rate"),
        (OptimiserSpec, {"kind": "sgd", "momentum": 1.0}, "momentum"),
        (OptimiserSpec, {"momentum": 0.9}, "no momentum"),
        (OptimiserSpec, {"kind": "sgd", "nesterov": True}, "nesterov"),
        (OptimiserSpec, {"multipliers": (("a", -1.0),)}, "'a'"),
        (ScheduleSpec, {"kind": "linear"}, "linear"),
        (ScheduleSpec, {"rise": 1.0}, "rise"),
        (ScheduleSpec, {"unit": "batch"}, "batch"),
        (ScheduleSpec, {"factor": 1.0}, "factor"),
        (ScheduleSpec, {"step": 0}, "step"),
        (ScheduleSpec, {"end": -1.0}, "end"),
    ],
)
def test_wrong_settings_are_refused(kind, settings, word):
    with pytest.raises(TrainingError, match=word):
        kind(**settings)


def test_averaged_weights_are_those_of_pytorch_and_statistics_are_copied():
    network = Small()
    average = averaged_copy(network)
    peer = swa_utils.AveragedModel(network, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.6))
    peer.update_parameters(network)  # the first call copies
    optimiser = build_optimiser(network, spec=OptimiserSpec(learning_rate=0.05))
    for step in range(4):
        network(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimiser.step()
        # From update 20 on the decay is the one asked for.
        update_average(average, network, decay=0.6, update=20 + step)
        peer.update_parameters(network)
    for a, b, current in zip(
        average.parameters(), peer.module.parameters(), network.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b)
        assert not torch.equal(a, current)
        assert not a.requires_grad
    assert torch.equal(average.norm.running_var, network.norm.running_var)
    assert average.norm.num_batches_tracked == 4
    assert not average.training


def test_the_first_updates_average_over_less():
    network = nn.Linear(1, 1, bias=False)
    average = averaged_copy(network)
    nn.init.constant_(average.weight, 0.0)
    nn.init.constant_(network.weight, 1.0)
    update_average(average, network, decay=0.999, update=0)
    assert average.weight.item() == pytest.approx(0.9)
