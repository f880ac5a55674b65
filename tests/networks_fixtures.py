"""Networks as the tests of all of them need them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eventseg.networks import (
    ARCHITECTURES,
    SegmentationNetwork,
    build_network,
)

DEEPER = {"pspnet101", "deeplabv3_resnet101", "deeplabv3plus_resnet101"} | {
    f"denseaspp{depth}" for depth in (161, 169, 201)
}
"""More layers of a kind that a shallower network by the same code has."""
DISTINCT = [name for name in ARCHITECTURES if name not in DEEPER]


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    yield
    torch.set_num_threads(before)


@cache
def on_meta(name: str, in_channels: int, classes: int, **options: Any) -> SegmentationNetwork:
    """Return a network of shapes only; built once, so that no test may change it."""
    with torch.device("meta"):
        return build_network(name, in_channels=in_channels, classes=classes, **options)


def logits(network: nn.Module, x: Tensor) -> Tensor:
    found = network(x)
    assert isinstance(found, Tensor)
    return found
