"""AdaBN: statistics as computed by hand, a network that stays, and its row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from training_fixtures import one_thread, street_dataset, train_tiny

from eventseg.errors import TrainingError
from eventseg.evaluation.adabn import adapted_to, with_statistics_of
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.labels.maps import ClassTable
from eventseg.networks import (
    Blueprint,
    InputSpec,
    SegmentationNetwork,
    TrainedNetwork,
    load_network,
)
from eventseg.networks.batch_norms import Moments
from eventseg.networks.network import batch_norms
from eventseg.plots.figure_files import FigureFiles
from eventseg.sources.source import open_source
from eventseg.training import epoch_files
from eventseg_cli.main import main

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """Compute on one thread and draw no pictures: they are most of the time here."""
    before = torch.get_num_threads()
    one_thread()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch_files, "picture_curves", lambda *_a, **_k: None)
        patch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)
        patch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")
        yield
    torch.set_num_threads(before)


class Two(SegmentationNetwork):
    """Two convolutions with a norm each, the second of which sees what the first normalised."""

    def __init__(self, *, norms: bool = True) -> None:
        super().__init__(2, 3)
        self.one = nn.Conv2d(2, 4, 3, padding=1)
        self.norm_one = nn.BatchNorm2d(4) if norms else nn.Identity()
        self.two = nn.Conv2d(4, 3, 1)
        self.norm_two = nn.BatchNorm2d(3) if norms else nn.Identity()

    def heads(self, x: Tensor) -> list[Tensor]:
        return [self.norm_two(self.two(self.norm_one(self.one(x)).relu()))]


def trained_of(network: SegmentationNetwork) -> TrainedNetwork:
    classes = ClassTable(("a", "b", "c"), ((0, 0, 0),) * 3)
    return TrainedNetwork(network.eval(), Blueprint("enet", 2, 3), InputSpec("events", 2), classes)


def in_loops(maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and unbiased variance of each channel, number by number."""
    channels = maps[0].shape[1]
    values: list[list[float]] = [[] for _ in range(channels)]
    for x in maps:
        for image in x:
            for k in range(channels):
                values[k] += image[k].ravel().tolist()
    means = [sum(each) / len(each) for each in values]
    variances = [
        sum((value - mean) ** 2 for value in each) / (len(each) - 1)
        for each, mean in zip(values, means, strict=True)
    ]
    return np.array(means), np.array(variances)


def test_statistics_are_those_of_all_pixels_of_all_inputs() -> None:
    torch.manual_seed(0)
    network = Two().double()
    # Batches of other sizes and scales, so that a mean of means would be another number.
    batches = [torch.randn(n, 2, 5, 6).double() * scale + scale for n, scale in ((3, 1), (1, 7))]
    trained = trained_of(network)
    kept = {n: tensor.clone() for n, tensor in network.state_dict().items()}
    adapted = with_statistics_of(trained, batches, device=CPU).network
    first = [network.one(x).detach().numpy() for x in batches]
    second = []
    with torch.no_grad():
        for x in first:
            mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
            normed = (x - mean) / np.sqrt(variance + network.norm_one.eps)
            second.append(network.two(torch.from_numpy(normed).relu()).numpy())
    for norm, maps in (("norm_one", first), ("norm_two", second)):
        mean, variance = in_loops(maps)
        state = adapted.state_dict()
        np.testing.assert_allclose(state[f"{norm}.running_mean"].numpy(), mean, rtol=1e-9)
        np.testing.assert_allclose(state[f"{norm}.running_var"].numpy(), variance, rtol=1e-9)
    # The network itself stays, and so does all but the statistics of the copy.
    assert all(torch.equal(tensor, kept[n]) for n, tensor in network.state_dict().items())
    for name, tensor in adapted.state_dict().items():
        assert "running" in name or "num_batches" in name or torch.equal(tensor, kept[name])
    for norm in batch_norms(adapted):
        assert (norm.training, norm.momentum, len(norm._forward_pre_hooks)) == (False, 0.1, 0)
    adapted.requires_grad_(True)
    adapted.train()(batches[0]).sum().backward()  # type: ignore[union-attr]


def test_moments_of_far_means_keep_their_digits() -> None:
    random, moments = np.random.default_rng(0), Moments()
    values = random.normal(1e6, 1e-2, (7, 2, 3, 4))
    for begin, end in ((0, 1), (1, 6), (6, 7)):
        moments.add(torch.from_numpy(values[begin:end]))
    mean, variance = in_loops([values])
    np.testing.assert_allclose(moments.mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(
        (moments.deviation / (moments.count - 1)).numpy(), variance, rtol=1e-6
    )


def test_network_without_norms_is_refused() -> None:
    with pytest.raises(TrainingError, match="enet has no batch norm with statistics"):
        with_statistics_of(trained_of(Two(norms=False)), [], device=CPU)


def test_row_is_of_the_scored_inputs_and_reads_no_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = street_dataset(tmp_path)
    train_tiny(data, tmp_path / "run", epochs=1, network__name="fastscnn")
    before = (tmp_path / "run/best.pt").read_bytes()
    result = CliRunner().invoke(
        main,
        ["evaluate", str(tmp_path / "run"), str(data), "--adabn", "--no-baselines", "--window",
         "10ms,50ms", "--device", "cpu", "--workers", "0", "--json", "-q"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert [(row["name"], row["window"]) for row in record["rows"]] == [
        ("run", "10ms"), ("run", "50ms"), ("run, AdaBN", "10ms"), ("run, AdaBN", "50ms"),
    ]  # fmt: skip
    plain, adapted = record["rows"][1], record["rows"][3]
    assert plain["sample_set"] == adapted["sample_set"]
    assert plain["confusion"] != adapted["confusion"]
    assert f"statistics of the {adapted['samples']} scored inputs" in adapted["note"]
    assert Path(record["report"]).parent.name.endswith("-nobaselines-adabn")
    assert (tmp_path / "run/best.pt").read_bytes() == before
    _, rows = evaluate_run(
        tmp_path / "run", data, out=tmp_path / "plain", baselines=False, device="cpu"
    )
    np.testing.assert_array_equal(rows[0].matrices.sum(0), plain["confusion"])
    source, trained = open_source(data), load_network(tmp_path / "run/best.pt")

    def forbidden(*_: object) -> None:
        raise AssertionError("a label was read")

    monkeypatch.setattr(type(source), "labels", forbidden)
    indices = np.flatnonzero(np.array(source.splits) == "test")[:3]
    network = adapted_to(trained, source, indices, window="50ms", device=CPU, batch_size=2).network
    x = [source.events(int(i), "50ms", normalise=trained.inputs.normalise) for i in indices]
    expected = with_statistics_of(
        trained, [torch.from_numpy(np.stack(x[:2])), torch.from_numpy(x[2][None])], device=CPU
    ).network.state_dict()
    assert all(torch.equal(tensor, expected[n]) for n, tensor in network.state_dict().items())
    source.close()
