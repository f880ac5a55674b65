"""Statistics of batch norms taken anew: means over batches, nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eventseg.networks import build_network
from eventseg.networks.batch_norms import retake_statistics


def batches(count: int, *, channels: int = 3) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(count)
    return [
        (k + 1) * torch.randn(2 + k % 2, channels, 5, 7, generator=random) + k for k in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_statistics_are_means_over_batches(count: int) -> None:
    norm = nn.BatchNorm2d(3, momentum=0.007)
    network = nn.Sequential(norm, nn.Dropout(0.9))
    inputs = batches(count)
    assert retake_statistics(network, inputs) == count
    moments = [
        (x.numpy().mean((0, 2, 3)), x.numpy().transpose(1, 0, 2, 3).reshape(3, -1).var(1, ddof=1))
        for x in inputs
    ]
    mean, variance = (np.mean(values, axis=0) for values in zip(*moments, strict=True))
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=1e-5)
    assert norm.momentum == 0.007
    assert not network.training
    assert not norm.training


def test_weights_and_frozen_batch_norms_stay() -> None:
    torch.manual_seed(0)
    for frozen in (False, True):
        network = build_network("enet", in_channels=6, classes=3)
        if frozen:
            network.freeze_batch_norm()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        retake_statistics(network, [torch.randn(2, 6, 32, 32) for _ in range(2)])
        changed = {
            name
            for name, value in network.state_dict().items()
            if not torch.equal(value, before[name])
        }
        statistics = {name for name in before if "running" in name or "num_batches" in name}
        assert changed == (set() if frozen else statistics)


def test_without_a_batch_nothing_changes_and_an_error_leaves_the_momentum() -> None:
    norm = nn.BatchNorm2d(3)
    assert retake_statistics(norm, []) == 0
    assert torch.equal(norm.running_mean, torch.zeros(3))
    with pytest.raises(ValueError, match="4D input"):
        retake_statistics(norm, [torch.zeros(3)])
    assert norm.momentum == 0.1
    assert not norm.training
