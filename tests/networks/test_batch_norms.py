"""Statistics of batch norms taken anew: those of the inputs, nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eventseg.networks import build_network
from eventseg.networks.batch_norms import retake_statistics
from eventseg.networks.network import batch_norms


def batches(count: int, *, channels: int = 3) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(count)
    return [
        (k + 1) * torch.randn(2 + k % 2, channels, 5, 7, generator=random) + k for k in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_statistics_are_those_of_all_pixels(count: int) -> None:
    norm = nn.BatchNorm2d(3, momentum=0.007)
    network = nn.Sequential(norm, nn.Dropout(0.9))
    inputs = batches(count)
    retake_statistics(network, [norm], inputs)
    values = np.concatenate([x.numpy().transpose(1, 0, 2, 3).reshape(3, -1) for x in inputs], 1)
    np.testing.assert_allclose(norm.running_mean.numpy(), values.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), values.var(1, ddof=1), rtol=1e-5)
    assert norm.momentum == 0.007
    assert not network.training
    assert not norm.training
    assert not norm._forward_pre_hooks


def test_all_but_the_statistics_of_given_norms_stays() -> None:
    torch.manual_seed(0)
    network = build_network("enet", in_channels=6, classes=3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    norms = list(batch_norms(network))[:3]
    inputs = [torch.randn(2, 6, 32, 32) for _ in range(2)]
    retake_statistics(network, norms, inputs)
    changed = {
        name for name, value in network.state_dict().items() if not torch.equal(value, before[name])
    }
    names = {module: name for name, module in network.named_modules()}
    expected = {f"{names[n]}.{of}" for n in norms for of in ("running_mean", "running_var")}
    assert changed - {f"{names[n]}.num_batches_tracked" for n in norms} == expected


def test_without_a_batch_nothing_changes_and_an_error_leaves_the_momentum() -> None:
    norm = nn.BatchNorm2d(3)
    retake_statistics(norm, [norm], [])
    assert torch.equal(norm.running_mean, torch.zeros(3))
    with pytest.raises(IndexError):
        retake_statistics(norm, [norm], [torch.zeros(3)])
    assert norm.momentum == 0.1
    assert not norm.training
    assert not norm._forward_pre_hooks
