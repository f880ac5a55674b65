"""Settings that a budget has room for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from training_fixtures import tiny

import eventseg
from eventseg.errors import TrainingError
from eventseg.sources.source import open_source
from eventseg.training import budget
from eventseg.training.budget import LONG, LONG_UPDATES, BudgetPlan, fit_to_budget
from eventseg_cli.main import main

CPU = torch.device("cpu")


@pytest.fixture
def plan(data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BudgetPlan]:
    """Plan for a network that takes a time a pixel, and data that takes none."""
    monkeypatch.setattr(budget, "_load_seconds", lambda *_args: 0.0)

    def planned(
        seconds: float,
        *,
        sample_s: float,
        given: Any = (),
        most_pixels: float = math.inf,
        **settings: Any,
    ) -> BudgetPlan:
        def measured(_source: Any, config: Any, *, size: Any, **_options: Any) -> float:
            pixels = size.height * size.width
            fits = config.batch_size * pixels <= most_pixels
            return sample_s * pixels / (48 * 64) if fits else math.inf

        monkeypatch.setattr(budget, "_sample_seconds", measured)
        monkeypatch.setattr(budget, "SMALLEST_SIDE", 12)
        source = open_source(data)
        config = tiny(**{"batch_size": 8, **settings})
        try:
            return fit_to_budget(
                source, config, budget_us=round(seconds * 1e6), device=CPU, given=given
            )
        finally:
            source.close()

    return planned


def test_updates_and_validations_fill_the_budget(plan: Callable[..., BudgetPlan]) -> None:
    found = plan(1000, sample_s=0.01)
    assert found.config.batch_size == 8
    assert found.config.size.crop is None
    assert found.config.epochs == 0
    assert found.update_s == pytest.approx(0.08)
    epochs = -(-found.config.iterations // 1)  # one batch an epoch: the part has 12 samples
    took = found.config.iterations * found.update_s + epochs * found.validation_s
    assert 0.95 * 900 < took <= 900


def test_statistics_of_batch_norms_and_a_rescale_are_planned(
    plan: Callable[..., BudgetPlan],
) -> None:
    without = plan(1000, sample_s=0.01)
    found = plan(1000, sample_s=0.01, batch_norm_batches=32)
    # One batch of 8 an epoch, seen again by a forward pass of a third of a step.
    assert found.validation_s - without.validation_s == pytest.approx(8 * 0.01 / 3)
    assert found.config.iterations < without.config.iterations
    assert plan(1000, sample_s=0.01, size__rescale=0.5).config.size.crop is None


def test_an_update_takes_the_time_of_all_its_batches(plan: Callable[..., BudgetPlan]) -> None:
    one = plan(1000, sample_s=0.01, batch_size=2)  # 6 batches an epoch: the part has 12 samples
    four = plan(1000, sample_s=0.01, batch_size=2, accumulation=4)
    assert (one.update_s, four.update_s) == (pytest.approx(0.02), pytest.approx(0.06))
    for found, per_epoch in ((one, 6), (four, 2)):
        updates = found.config.iterations
        took = updates * found.update_s + -(-updates // per_epoch) * found.validation_s
        assert 0.95 * 900 < took <= 900
    assert "updates of 4 x 2 samples" in str(four)


def test_what_does_not_fit_gets_smaller_batches_then_crops(
    plan: Callable[..., BudgetPlan],
) -> None:
    smaller = plan(15, sample_s=0.008).config
    assert (smaller.batch_size, smaller.size.crop) == (4, None)
    cropped = plan(15, sample_s=0.03).config
    assert (cropped.batch_size, str(cropped.size.crop)) == (4, "32x24")
    kept = plan(15, sample_s=0.03, given=("batch_size", "size.crop")).config
    assert (kept.batch_size, kept.size.crop) == (8, None)
    assert kept.iterations < cropped.iterations


def test_what_a_gpu_has_no_memory_for_gets_smaller_batches_then_crops(
    plan: Callable[..., BudgetPlan],
) -> None:
    halved = plan(1000, sample_s=0.001, most_pixels=5 * 48 * 64).config
    assert (halved.batch_size, halved.size.crop) == (4, None)
    cropped = plan(1000, sample_s=0.001, most_pixels=3 * 48 * 64).config
    assert (cropped.batch_size, str(cropped.size.crop)) == (4, "32x24")
    with pytest.raises(TrainingError, match="too little memory for batches of 8 samples of 64x48"):
        plan(1000, sample_s=0.001, most_pixels=1, given=("batch_size", "size.crop"))


def test_a_long_training_averages_its_weights(plan: Callable[..., BudgetPlan]) -> None:
    found = plan(2000, sample_s=0.01)
    long = found.config
    assert long.iterations >= LONG_UPDATES
    assert (long.ema_decay, long.augmentation.scale) == (0.995, (0.8, 1.25))
    assert (long.optimiser.kind, long.optimiser.weight_decay) == ("adamw", 0.02)
    assert "averaged weights" in str(found)
    short = plan(100, sample_s=0.01)
    assert short.config.iterations < LONG_UPDATES
    assert long == replace(
        short.config,
        iterations=long.iterations,
        ema_decay=long.ema_decay,
        augmentation=long.augmentation,
        optimiser=long.optimiser,
    )
    assert "averaged" not in str(short)


@pytest.mark.parametrize("path", LONG)
def test_a_long_training_keeps_what_is_given(plan: Callable[..., BudgetPlan], path: str) -> None:
    assert plan(2000, sample_s=0.01, given=(path,)).config.ema_decay == 0


def test_a_long_training_keeps_what_a_recipe_states(plan: Callable[..., BudgetPlan]) -> None:
    found = plan(2000, sample_s=0.01, optimiser__kind="sgd").config
    assert (found.ema_decay, found.optimiser.kind) == (0, "sgd")


def test_a_length_or_no_room_is_refused(plan: Callable[..., BudgetPlan]) -> None:
    with pytest.raises(TrainingError, match="a budget decides the length: leave epochs out"):
        plan(10, sample_s=0.01, given=("epochs",))
    with pytest.raises(TrainingError, match="has room for no update of 75 s"):
        plan(10, sample_s=300.0)


@pytest.mark.usefixtures("blind")
def test_the_command_plans_prints_and_trains(data: Path, tmp_path: Path) -> None:
    called = ["train", str(data), "--device", "cpu", "--workers", "0", "--network", "fastscnn"]
    called += [
        "--set",
        "amp=off",
        "--set",
        "memory_format=contiguous",
    ]  # one step to time, not five
    out = tmp_path / "run"
    planned = CliRunner().invoke(
        main, [*called, "--recipe", "auto", "--budget", "8s", "--print-config"]
    )
    assert planned.exit_code == 0, planned.output
    assert "recipe auto: " in planned.output
    assert "batch_size = " in planned.output
    wrong = CliRunner().invoke(main, [*called, "--budget", "8s"])
    assert wrong.exit_code == 2
    assert "--budget is for --recipe auto" in wrong.output
    run = eventseg.train(data, out, network="fastscnn", workers=0, device="cpu", budget="4s")
    assert run.config.epochs == 0
    assert run.history[-1].iteration == run.config.iterations > 0
    with pytest.raises(TrainingError, match="settings budget beside a complete configuration"):
        eventseg.train(data, tmp_path / "other", config=run.config, budget="4s")
