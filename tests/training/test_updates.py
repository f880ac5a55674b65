"""One update: confusion matrices, accumulation, precision, memory layout, compilation."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_fixtures import random_batch, tiny, train_tiny, training_of

from eventseg.errors import TrainingError
from eventseg.metrics.confusion_torch import add_confusion, confusion, new_counts
from eventseg.metrics.scores import confusion_matrix, scores
from eventseg.networks import load_network
from eventseg.networks.batch_norms import retake_statistics
from eventseg.networks.memory_format import in_memory_format
from eventseg.networks.network import batch_norms
from eventseg.sources.source import open_source
from eventseg.training.epoch_tables import read_metrics
from eventseg.training.loading import shuffled
from eventseg.training.parts import pick
from eventseg.training.passes import train_pass
from eventseg.training.samples import EpochSample, Samples
from eventseg.training.state import NetworkInTraining, restore

PLAIN: dict[str, Any] = {
    "network__frozen_batch_norm": True, "network__options": {"dropout": 0.0},
    "optimiser__kind": "sgd", "optimiser__learning_rate": 10.0,
}  # fmt: skip
"""Without what looks at a batch as a whole, or at random numbers."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    classes=st.integers(1, 20),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 2**32 - 1),
)
def test_confusion_is_that_of_the_largest_logits(
    shape: tuple[int, int, int],
    classes: int,
    dtype: torch.dtype,
    layout: torch.memory_format,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    batch, height, width = shape
    # A few whole numbers only, so that many logits are equal: the first of them wins.
    values = rng.integers(-3, 4, (batch, classes, height, width))
    labels = rng.choice([*range(classes), 255], shape)
    logits = torch.from_numpy(values).to(dtype).contiguous(memory_format=layout)
    expected = confusion_matrix(labels, values.argmax(1), classes=classes)
    got = confusion(logits, torch.from_numpy(labels), classes=classes)
    np.testing.assert_array_equal(got, expected)


def test_confusion_adds_up_over_batches() -> None:
    counts = new_counts(4, torch.device("cpu"))
    logits = torch.randn(2, 4, 5, 6, requires_grad=True)
    labels = torch.full((2, 5, 6), 255)
    add_confusion(logits, labels, counts)
    assert not counts.any()
    labels[0] = 3
    for _ in range(2):
        add_confusion(logits, labels, counts)
    assert counts.sum() == counts[3].sum() == 2 * 30


def updated(
    training: NetworkInTraining, batches: list[dict[str, Any]], *, updates: int
) -> torch.Tensor:
    """Return all weights after some updates, as one row."""
    train_pass(training, batches, updates=updates)
    return torch.cat([weight.detach().flatten() for weight in training.network.parameters()])


def parts(batch: dict[str, Any], *, of: int) -> list[dict[str, Any]]:
    cut = {name: tensor.split(of) for name, tensor in batch.items()}
    return [dict(zip(cut, each, strict=True)) for each in zip(*cut.values(), strict=True)]


def test_accumulated_batches_are_one_large_batch() -> None:
    batch = random_batch(6)
    large = updated(training_of(tiny(**PLAIN)), [batch], updates=1)
    training = training_of(tiny(**PLAIN, accumulation=3))
    small = updated(training, parts(batch, of=2), updates=1)
    assert training.iteration == 1
    torch.testing.assert_close(small, large, rtol=0, atol=1e-9)
    apart = updated(training_of(tiny(**PLAIN)), parts(batch, of=2), updates=3)
    assert float((apart - large).abs().max()) > 1e-3


def test_the_last_update_of_a_pass_is_the_mean_of_the_batches_it_has() -> None:
    batch = random_batch(4)
    large = updated(training_of(tiny(**PLAIN)), [batch], updates=1)
    training = training_of(tiny(**PLAIN, accumulation=3))
    small = updated(training, parts(batch, of=2), updates=1)
    assert training.iteration == 1
    torch.testing.assert_close(small, large, rtol=0, atol=1e-9)


def test_a_clipped_gradient_has_the_largest_norm() -> None:
    batch = random_batch(2)
    rate = PLAIN["optimiser__learning_rate"]
    begin = updated(training_of(tiny(**PLAIN)), [], updates=1)
    free = updated(training_of(tiny(**PLAIN)), [batch], updates=1) - begin
    clipped = updated(training_of(tiny(**PLAIN, gradient_clip=1e-3)), [batch], updates=1) - begin
    assert float(free.norm()) > 2 * rate * 1e-3
    torch.testing.assert_close(float(clipped.norm()), rate * 1e-3, rtol=1e-3, atol=0)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm())


def test_channels_last_changes_the_layout_and_not_the_update() -> None:
    batch = random_batch(2)
    plain = updated(training_of(tiny(**PLAIN)), [batch], updates=1)
    training = training_of(tiny(**PLAIN, memory_format="channels_last"))
    in_memory_format(training.network, "channels_last")
    seen: list[torch.Tensor] = []
    training.network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    last = updated(training, [batch], updates=1)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last, plain, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("blind")
def test_bf16_trains_weights_that_stay_float32(data: Path, tmp_path: Path) -> None:
    exact = train_tiny(data, tmp_path / "off", epochs=1)
    mixed = train_tiny(data, tmp_path / "bf16", epochs=1, amp="bf16", memory_format="channels_last")
    assert mixed.history[0].train_loss != exact.history[0].train_loss
    assert mixed.history[0].train_loss == pytest.approx(exact.history[0].train_loss, rel=0.02)
    kept = torch.load(tmp_path / "bf16/best.pt", weights_only=True)["state_dict"]
    assert {tensor.dtype for tensor in kept.values()} <= {torch.float32, torch.int64}


def test_fp16_on_a_cpu_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="amp fp16 needs a CUDA device; use bf16 or off"):
        train_tiny(data, tmp_path / "out", amp="fp16")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("blind")
def test_the_averaged_weights_are_validated_and_kept(data: Path, tmp_path: Path) -> None:
    train_tiny(data, tmp_path / "out", epochs=1, ema_decay=0.9)
    best = torch.load(tmp_path / "out/best.pt", weights_only=True)["state_dict"]
    last = torch.load(tmp_path / "out/last.pt", weights_only=True)
    learning = last["training"]["network"]
    assert all(torch.equal(best[name], last["state_dict"][name]) for name in best)
    assert any(not torch.equal(best[name], learning[name]) for name in best)


@pytest.mark.usefixtures("blind")
def test_a_run_of_before_goes_on_with_its_averaged_weights(data: Path, tmp_path: Path) -> None:
    train_tiny(data, tmp_path / "now", iterations=2, epochs=0, ema_decay=0.9)
    held = torch.load(tmp_path / "now/last.pt", weights_only=True)
    before = {**held["training"], "average": held["state_dict"]}
    learning = before.pop("network")
    torch.save({**held, "state_dict": learning, "training": before}, tmp_path / "before.pt")
    kept = {}
    for name in ("now/last.pt", "before.pt"):
        training = training_of(tiny(ema_decay=0.9), classes=held["blueprint"]["classes"])
        average = deepcopy(training.network)
        restore(tmp_path / name, replace(training, average=average))
        kept[name] = [*training.network.parameters(), *average.parameters()]
    assert all(map(torch.equal, *kept.values()))
    half = len(kept["before.pt"]) // 2
    assert not all(map(torch.equal, kept["before.pt"][:half], kept["before.pt"][half:]))


@pytest.mark.slow
@pytest.mark.usefixtures("blind")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_learns_the_same(data: Path, tmp_path: Path) -> None:
    exact = train_tiny(data, tmp_path / "plain", epochs=1)
    compiled = train_tiny(data, tmp_path / "compiled", epochs=1, compile=True)
    assert compiled.history[0].train_loss == pytest.approx(exact.history[0].train_loss, rel=1e-2)
    kept = torch.load(tmp_path / "compiled/best.pt", weights_only=True)["state_dict"]
    plain = torch.load(tmp_path / "plain/best.pt", weights_only=True)["state_dict"]
    assert kept.keys() == plain.keys()


@pytest.mark.usefixtures("blind")
def test_chosen_epochs_and_clean_train_scores_are_kept(data: Path, tmp_path: Path) -> None:
    """A clean score is that of the kept checkpoint on the training samples as they are."""
    source = open_source(data)
    config = tiny(epochs=2, keep_epochs=[1], clean_train_samples=5, optimiser__learning_rate=0.02)
    made = train_tiny(data, tmp_path / "out", config=config)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.pt")) == [
        "best.pt", "epoch-1.pt", "last.pt",
    ]  # fmt: skip
    part = pick(source, config, split="train")
    spread = part[np.linspace(0, len(part) - 1, 5).round().astype(int)]
    trained = load_network(tmp_path / "out/epoch-1.pt")
    samples = Samples(source, config, len(trained.classes), training=False)
    counts = np.zeros((len(trained.classes),) * 2, np.int64)
    for index in spread.tolist():
        sample = samples[EpochSample(0, index)]
        with torch.inference_mode():
            found = trained.network(sample["x"][None]).argmax(1)[0].numpy()
        counts += confusion_matrix(sample["labels"].numpy(), found, classes=len(counts))
    found = scores(counts)
    assert made.history[0].clean_miou == pytest.approx(100 * found.miou_present)
    assert made.history[0].clean_accuracy == pytest.approx(100 * found.pixel_accuracy)
    kept = [row.clean_miou for row in read_metrics(tmp_path / "out")[0]]
    assert kept == [row.clean_miou for row in made.history]
    source.close()


@pytest.mark.usefixtures("blind")
def test_statistics_are_those_of_training_batches_before_validation(
    data: Path, tmp_path: Path
) -> None:
    """With one batch of all samples, unaugmented: those of a pass over the training part."""
    still = {"augmentation__flip": 0.0, "batch_size": 12, "epochs": 1, "batch_norm_batches": 1}
    config = tiny(**still)
    train_tiny(data, tmp_path / "out", config=config)
    source = open_source(data)
    part = pick(source, config, split="train")
    trained = load_network(tmp_path / "out/last.pt")
    samples = Samples(source, config, len(trained.classes), training=False)
    order = shuffled(part, seed=config.seed, epoch=0)[:12]
    x = torch.stack([samples[EpochSample(0, int(i))]["x"] for i in order])
    found = [norm.running_mean.clone() for norm in batch_norms(trained.network)]
    norms = list(batch_norms(trained.network))
    retake_statistics(trained.network, norms, [x])
    for before, norm in zip(found, norms, strict=True):
        torch.testing.assert_close(before, norm.running_mean, rtol=1e-4, atol=1e-5)
    source.close()
