"""Memory formats: same outputs and gradients, and bfloat16 gradients that are right."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from eventseg.networks import build_network
from eventseg.networks.blocks.depthwise import DepthwiseConv2d
from eventseg.networks.memory_format import (
    MemoryFormat,
    channels_last_copy,
    in_memory_format,
)
from eventseg.training.arithmetic import autocast

CPU = torch.device("cpu")


def gradients(network: nn.Module, x: Tensor, grad: Tensor, *, amp: str) -> list[Tensor]:
    """Return the gradients of all weights for an input and the gradient of the output."""
    network.zero_grad(set_to_none=True)
    with autocast(amp, CPU):
        out = network(x)
    out.backward(grad.to(out.dtype))
    return [parameter.grad.clone() for parameter in network.parameters()]


def far(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest distance of two lists of gradients, relative to the first."""
    return max(float((a - b).norm() / a.norm()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dilation", [(2, 2), (4, 4), (2, 8), (6, 3)])
@pytest.mark.parametrize("channels", [16, 32, 128])
def test_bf16_gradients_of_dilated_depthwise_convolutions_are_right(
    channels: int, dilation: tuple[int, int]
) -> None:
    random = torch.Generator().manual_seed(0)
    convolution = nn.Conv2d(
        channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False
    )
    last = torch.channels_last
    x = torch.randn(4, channels, 32, 44, generator=random).contiguous(memory_format=last)
    grad = torch.randn(x.shape, generator=random).contiguous(memory_format=last)
    exact = gradients(convolution, x, grad, amp="off")
    mended = deepcopy(convolution)
    in_memory_format(mended, "channels_last")
    assert far(exact, gradients(mended, x, grad, amp="bf16")) < 0.02


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"),
    [
        ((16, 22), 3, 2, 1, 1),
        ((15, 21), 3, (2, 1), 0, 1),
        ((17, 20), 5, (1, 3), (2, 1), 1),
        ((24, 19), 3, 2, 2, 2),
        ((16, 16), 3, 2, 3, 1),  # padding beyond the kernel's reach, which PyTorch computes
    ],
)
@pytest.mark.parametrize("last", [False, True])
def test_bf16_gradients_of_strided_depthwise_convolutions_are_right(
    size: tuple[int, int],
    kernel: int,
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    dilation: int,
    last: bool,
) -> None:
    random = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    own = DepthwiseConv2d(32, 32, kernel, stride, padding, dilation, groups=32)
    plain = nn.Conv2d(32, 32, kernel, stride, padding, dilation, groups=32)
    plain.load_state_dict(own.state_dict())
    memory_format = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(3, 32, *size, generator=random).contiguous(memory_format=memory_format)
    found = []
    for convolution, amp in ((own, "bf16"), (plain, "bf16"), (plain, "off"), (own, "off")):
        x_of = x.clone().requires_grad_()
        with autocast(amp, CPU):
            out = convolution(x_of)
        grad = torch.randn(out.shape, generator=random.manual_seed(1)).to(out.dtype)
        out.backward(grad.contiguous(memory_format=memory_format))
        found.append(
            [out.detach().float(), x_of.grad, *(p.grad.clone() for p in convolution.parameters())]
        )
        convolution.zero_grad()
    assert far(found[2], found[0]) < 0.01
    assert far(found[1], found[0]) < 0.01
    assert far(found[2], found[3]) == 0


@pytest.mark.parametrize(
    ("stride", "padding", "amp", "is_own"),
    [(2, 1, "bf16", True), (1, 1, "bf16", False), (2, 3, "bf16", False), (2, 1, "off", False)],
)
def test_only_strided_depthwise_convolutions_in_half_precision_are_own(
    stride: int, padding: int, amp: str, is_own: bool
) -> None:
    convolution = DepthwiseConv2d(4, 4, 3, stride, padding, groups=4, bias=False)
    with autocast(amp, CPU):
        out = convolution(torch.zeros(1, 4, 8, 8))
    assert (type(out.grad_fn).__name__ == "_StridedBackward") == is_own


@pytest.mark.parametrize("name", ["evsegnet", "cgnet", "fastscnn"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_formats_have_the_same_gradients(name: str, memory_format: MemoryFormat) -> None:
    torch.manual_seed(0)
    options = {"width": 0.25} if name == "evsegnet" else {}
    network = build_network(name, in_channels=6, classes=3, **options).double().eval()
    random = torch.Generator().manual_seed(1)
    x = torch.randn(1, 6, 64, 64, generator=random, dtype=torch.float64)
    grad = torch.randn(1, 3, 64, 64, generator=random, dtype=torch.float64)
    plain = gradients(network, x, grad, amp="off")
    in_memory_format(network, memory_format)
    x = x.contiguous(memory_format=getattr(torch, f"{memory_format}_format", torch.channels_last))
    assert far(plain, gradients(network, x, grad, amp="off")) < 1e-9


def test_a_copy_with_channels_last_leaves_the_network_and_shares_the_rest() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 5)).eval()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(x)
    copied = channels_last_copy(network)
    weight, linear = copied[0].weight, copied[2].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert network[0].weight.is_contiguous()
    assert linear.data_ptr() == network[2].weight.data_ptr()
    assert torch.equal(network(x), before)
    last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(copied(last), before, atol=1e-5, rtol=0)
