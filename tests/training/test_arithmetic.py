"""Precision and memory format of a training: asked for, probed, continued and repeated."""

from __future__ import annotations

import importlib
import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from training_fixtures import tiny, train_tiny

from eventseg.events import SensorSize
from eventseg.networks import build_network
from eventseg.networks.network import SegmentationNetwork
from eventseg.training import arithmetic
from eventseg.training.arithmetic import Arithmetic, arithmetic_of
from eventseg.training.reproduce import reproduce

SIZE = SensorSize(32, 48)
AUTO = {"amp": "auto", "memory_format": "auto"}


@pytest.fixture
def network() -> SegmentationNetwork:
    torch.manual_seed(0)
    return build_network("enet", in_channels=6, classes=4)


def chosen(network: SegmentationNetwork, *, updates: int = 1000, **settings: object) -> Arithmetic:
    config = tiny(**{**AUTO, **settings})
    return arithmetic_of(config, network, size=SIZE, updates=updates)


def test_a_probe_times_all_candidates_and_leaves_network_and_random_numbers(
    network: SegmentationNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a first step can take long enough to count as hopeless.
    monkeypatch.setattr(arithmetic, "HOPELESS", math.inf)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.random.get_rng_state()
    found = chosen(network)
    assert "float32 contiguous" in found.step_ms
    assert "float32 channels_last" in found.step_ms
    assert all(ms > 0 for ms in found.step_ms.values())
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("times_s", "expected"),
    [
        ((1.0, 1.0, 1.0, 1.0), ("off", "contiguous")),
        ((1.0, 0.9, 0.9, 0.9), ("off", "channels_last")),
        ((1.0, 0.99, 2.0, 2.0), ("off", "contiguous")),
        ((1.0, 0.9, 0.89, 0.8), ("off", "channels_last")),
        ((1.0, 0.9, 0.89, 0.7), ("bf16", "channels_last")),
        ((1.0, 1.2, 0.5, 0.6), ("bf16", "contiguous")),
        ((1.0, 0.9, float("inf"), float("inf")), ("off", "channels_last")),
    ],
)
def test_the_fastest_is_chosen_and_bfloat16_only_for_a_fifth(
    network: SegmentationNetwork,
    monkeypatch: pytest.MonkeyPatch,
    times_s: tuple[float, ...],
    expected: tuple[str, str],
) -> None:
    left = iter(times_s)
    monkeypatch.setattr(arithmetic, "step_seconds", lambda *_args, **_options: next(left))
    found = chosen(network)
    assert (found.amp, found.memory_format) == expected
    assert len(found.step_ms) == sum(each < float("inf") for each in times_s)


def test_what_is_asked_is_not_probed(
    network: SegmentationNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        arithmetic, "step_seconds", lambda *_args, **_options: pytest.fail("probed")
    )
    assert chosen(network, amp="bf16", memory_format="contiguous") == Arithmetic(
        "bf16", "contiguous"
    )
    assert chosen(network, updates=99) == Arithmetic("off", "contiguous")
    held = {"amp": "bf16", "memory_format": "channels_last", "step_ms": {}}
    config = tiny(**AUTO)
    continued = arithmetic_of(config, network, size=SIZE, updates=1000, held=held)
    assert continued == Arithmetic("bf16", "channels_last")


def test_a_candidate_whose_first_step_is_hopeless_is_left(
    network: SegmentationNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def timed(candidate: Arithmetic, *_args: object) -> float:
        steps.append(candidate.amp)
        return 1.0 if candidate.amp == "off" else 10.0

    monkeypatch.setattr(arithmetic, "_timed_step", timed)
    assert chosen(network).amp == "off"
    assert steps == ["off"] * 6 + ["bf16"] * 2


GPU_STEP_S = {
    ("off", "contiguous"): 0.012,
    ("off", "channels_last"): 0.010,
    ("bf16", "contiguous"): 0.008,
    ("bf16", "channels_last"): 0.004,
}


def test_a_gpu_has_loaded_its_kernels_before_a_step_counts(
    network: SegmentationNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Counter[tuple[str, str]] = Counter()
    batches: set[int] = set()

    def timed(candidate: Arithmetic, _network: object, x: torch.Tensor) -> float:
        kind = (candidate.amp, candidate.memory_format)
        steps[kind] += 1
        batches.add(len(x))
        return GPU_STEP_S[kind] + 0.15 * (steps[kind] == 1)

    monkeypatch.setattr(arithmetic, "_timed_step", timed)
    monkeypatch.setattr(arithmetic, "_on_gpu", lambda _network: True)
    found = chosen(network, batch_size=8)
    assert (found.amp, found.memory_format) == ("bf16", "channels_last")
    assert list(found.step_ms.values()) == [12, 10, 8, 4]
    assert batches == {8}  # a small batch takes the time of its launches


@pytest.mark.parametrize(
    ("batch_size", "processes", "on_gpu", "on_cpu"),
    [(8, 1, 8, 2), (8, 2, 4, 2), (4, 4, 2, 2), (1, 1, 1, 1)],
)
def test_a_gpu_is_probed_with_its_share_of_a_batch(
    network: SegmentationNetwork,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    processes: int,
    on_gpu: int,
    on_cpu: int,
) -> None:
    monkeypatch.setattr(arithmetic, "world", lambda: processes)
    config = tiny(batch_size=batch_size)
    assert arithmetic._probe_batch(config, network) == on_cpu
    monkeypatch.setattr(arithmetic, "_on_gpu", lambda _network: True)
    assert arithmetic._probe_batch(config, network) == on_gpu


@pytest.mark.parametrize(
    ("room", "expected", "batch"),
    [
        ({"off": 8, "bf16": 8}, "off", 8),
        ({"off": 4, "bf16": 8}, "bf16", 8),
        ({"off": 2, "bf16": 3}, "off", 2),
    ],
)
def test_what_does_not_fit_into_memory_is_not_chosen(
    network: SegmentationNetwork,
    monkeypatch: pytest.MonkeyPatch,
    room: dict[str, int],
    expected: str,
    batch: int,
) -> None:
    fitted: list[int] = []

    def timed(candidate: Arithmetic, _network: object, x: torch.Tensor) -> float:
        if len(x) > room[candidate.amp]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        fitted.append(len(x))
        return 1.0

    monkeypatch.setattr(arithmetic, "_timed_step", timed)
    monkeypatch.setattr(arithmetic, "_on_gpu", lambda _network: True)
    found = chosen(network, batch_size=8)
    assert (found.amp, set(fitted)) == (expected, {batch})


def test_a_pass_computes_in_what_is_chosen() -> None:
    for amp, enabled in (("off", False), ("bf16", True)):
        assert arithmetic.autocast(amp, torch.device("cpu"))._enabled == enabled
    with pytest.raises(ValueError, match="amp must be off, bf16 or fp16 in a pass"):
        arithmetic.autocast("auto", torch.device("cpu"))


def test_the_benchmark_of_loaders_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    bench_loader = importlib.import_module("bench_loader")
    config = bench_loader.settings(**AUTO)
    training = bench_loader.training_of("enet", config, 4, torch.device("cpu"))
    assert (training.config.amp, training.config.memory_format) == ("off", "contiguous")


@pytest.mark.slow
@pytest.mark.usefixtures("blind")
def test_a_run_goes_on_and_is_repeated_with_its_own_choice(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arithmetic, "LEAST_UPDATES", 0)
    answers = iter(["bf16", "bf16", "off"])  # a probe at another hour would choose otherwise
    monkeypatch.setattr(
        arithmetic,
        "_fastest",
        lambda *_args, **_options: Arithmetic(next(answers), "channels_last", {"x": 1.0}),
    )
    settings = {**AUTO, "epochs": 2}
    whole = train_tiny(data, tmp_path / "whole", **settings)
    held = json.loads((tmp_path / "whole/run.json").read_text())["arithmetic"]
    assert held == {"amp": "bf16", "memory_format": "channels_last", "step_ms": {"x": 1.0}}
    assert not reproduce(tmp_path / "whole", out=tmp_path / "again").difference
    stopped = train_tiny(
        data,
        tmp_path / "stopped",
        callbacks=[lambda end: end.scores.epoch == 1],
        **settings,
    )
    assert len(stopped.history) == 1
    resumed = train_tiny(data, tmp_path / "stopped", resume=True, **settings)
    assert resumed.history == whole.history
