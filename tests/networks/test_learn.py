"""Slow: every network learns, is exported, compiled, halved and spread over processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks_fixtures import DISTINCT, logits, one_thread  # noqa: F401 - a fixture
from torch import Tensor, nn
from torch.nn import functional

from eventseg.networks import (
    ARCHITECTURES,
    SegmentationNetwork,
    build_network,
)
from eventseg.networks.network import batch_norms

pytestmark = pytest.mark.usefixtures("one_thread")


def pictures(*, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Return four pictures in which every class has a colour, and their labels.

    float32 (4, 3, 64, 96), int64 (4, 64, 96). A slanted line and a level one part each picture.
    """
    made = torch.Generator().manual_seed(0)
    colours = torch.randn(classes, 3, generator=made)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    truth = torch.stack(
        [
            (2 * (x + slant * y > 48) + (y > level)).roll(shift, dims=1)
            for slant, level, shift in ((0.3, 20, 0), (-0.2, 40, 10), (0.1, 30, 20), (0.0, 25, 5))
        ]
    )
    noise = 0.3 * torch.randn(4, 3, 64, 96, generator=made)
    return colours[truth].permute(0, 3, 1, 2) + noise, truth


@torch.no_grad()
def accuracy(network: SegmentationNetwork, x: Tensor, truth: Tensor) -> float:
    """Return the share of right pixels in evaluation mode, with statistics of these pictures.

    Running statistics follow slowly (by 0.7 % a step in EV-SegNet's decoder), and a few steps
    of training leave them far behind the weights. So batch norms take them from one pass over
    the pictures, without dropout, before the network is used as anyone would.
    """
    network.eval()
    for norm in batch_norms(network):
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
        norm.train()
    network(x)
    network.eval()
    found = (logits(network, x).argmax(1) == truth).float().mean().item()
    network.train()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_four_pictures_are_learnt_by_heart(name: str) -> None:
    x, truth = pictures()
    network = build_network(name, in_channels=3, classes=4).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATES.get(name, 1e-3))
    best = accuracy(network, x, truth)
    assert best < 0.7
    for step in range(1, 241):
        loss = functional.cross_entropy(logits(network, x), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:
            best = accuracy(network, x, truth)
            if best > 0.95:
                break
    print(f"{name}: {best:.4f} after {step} steps")
    assert best > 0.95


RATES = {"enet": 5e-3, "cgnet": 5e-3, "fastscnn": 5e-3}
"""Learning rates of the small networks; 1e-3 for the others."""


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", DISTINCT)
def test_exported_networks_give_what_the_network_gives(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build_network(name, in_channels=6, classes=5).eval()
    x = torch.randn(1, 6, 64, 96)
    expected = logits(network, x)
    tolerance = 1e-4 * expected.abs().max().item()
    exported = torch.export.export(network, (x,))
    torch.testing.assert_close(exported.module()(x), expected, rtol=0, atol=tolerance)
    path = tmp_path / "network.onnx"
    torch.onnx.export(exported, (x,), dynamo=True, verbose=False).save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", DISTINCT)
def test_compiled_networks_are_one_graph(name: str) -> None:
    network = build_network(name, in_channels=6, classes=5).eval()
    x = torch.randn(1, 6, 64, 96)
    torch.compiler.reset()  # all networks share one forward, compiled a limited number of times
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    expected = logits(network, x)
    tolerance = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(compiled(x), expected, rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision_and_channels_last(name: str) -> None:
    network = build_network(name, in_channels=6, classes=5).eval()
    x = torch.randn(1, 6, 64, 96)
    expected = logits(network, x)
    scale = expected.abs().max().item()
    last = torch.channels_last
    network, x = network.to(memory_format=last), x.to(memory_format=last)
    torch.testing.assert_close(logits(network, x), expected, rtol=0, atol=1e-4 * scale)
    with torch.autocast("cpu", torch.bfloat16):
        found = logits(network, x)
    assert found.shape == expected.shape
    # Eight bits of mantissa a layer: the logits stay close as a whole, not each.
    error = (found.float() - expected).square().mean().sqrt().item()
    assert error < 0.1 * scale


def one_step(rank: int, folder: Path) -> None:
    """Write the gradients of one of two processes; each sees half of the pictures."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    torch.manual_seed(rank)  # other weights: they must come from the first process
    network = build_network("fastscnn", in_channels=3, classes=4, dropout=0.0)
    x, truth = pictures()
    if rank == 0:
        torch.save(network.state_dict(), folder / "start.pt")
    spread = nn.parallel.DistributedDataParallel(network)
    half = slice(2 * rank, 2 * rank + 2)
    functional.cross_entropy(spread(x[half]), truth[half]).backward()
    torch.save({n: p.grad for n, p in network.named_parameters()}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_mean_gradient_of_both(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(one_step, (tmp_path,), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    x, truth = pictures()
    alone = []
    for rank in (0, 1):
        network = build_network("fastscnn", in_channels=3, classes=4, dropout=0.0)
        network.load_state_dict(torch.load(tmp_path / "start.pt"))
        half = slice(2 * rank, 2 * rank + 2)
        functional.cross_entropy(logits(network, x[half]), truth[half]).backward()
        alone.append({n: p.grad for n, p in network.named_parameters()})
    for name, gradient in found[0].items():
        assert gradient.any(), name
        assert torch.equal(gradient, found[1][name]), name
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(gradient, mean, rtol=1e-4, atol=1e-6)
