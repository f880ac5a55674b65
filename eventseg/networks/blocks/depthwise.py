"""A convolution within each channel whose strided gradient is fast in half precision on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

HALVES = (torch.bfloat16, torch.float16)


class DepthwiseConv2d(nn.Conv2d):
    """``nn.Conv2d`` with as many groups as channels, or without groups: an ordinary one.

    PyTorch 2.15 with oneDNN computes the input's gradient of a strided depthwise convolution in
    half precision without vector instructions: that of 384 channels takes a hundred times as long
    as the convolution itself. Here it is a convolution too, of the output's gradient with zeros
    between its pixels. Everything else is left to ``nn.Conv2d``.
    """

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        autocast = torch.is_autocast_enabled("cpu")
        precision = torch.get_autocast_dtype("cpu") if autocast else x.dtype
        half_on_cpu = x.device.type == "cpu" and precision in HALVES
        if not (half_on_cpu and torch.is_grad_enabled() and self._is_strided_depthwise()):
            plain: Tensor = super()._conv_forward(x, weight, bias)
            return plain
        strided: Tensor = _Strided.apply(
            x.to(precision), weight.to(precision), self.stride, self.padding, self.dilation
        )
        return strided if bias is None else strided + bias.to(precision)[:, None, None]

    def _is_strided_depthwise(self) -> bool:
        reach = (
            step * (side - 1) for step, side in zip(self.dilation, self.kernel_size, strict=True)
        )
        return (
            self.groups == self.in_channels == self.out_channels > 1
            and max(self.stride) > 1
            and self.padding_mode == "zeros"
            and not isinstance(self.padding, str)
            and all(pad <= far for pad, far in zip(self.padding, reach, strict=True))
        )


class _Strided(torch.autograd.Function):
    """The convolution of each channel, with a gradient of the input that is a convolution."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        # x and weight (N, C, H, W) and (C, 1, kh, kw), in half precision.
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return functional.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        geometry = ctx.geometry
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _input_gradient(grad, weight, x.shape[-2:], *geometry)
        if ctx.needs_input_grad[1]:
            stride, padding, dilation = geometry
            of_weight = torch.ops.aten.convolution_backward(
                grad, x, weight, None, stride, padding, dilation, False, (0, 0), len(weight),
                (False, True, False),
            )[1]  # fmt: skip
        return of_x, of_weight, None, None, None


def _input_gradient(
    grad: Tensor,
    weight: Tensor,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Tensor:
    """Return the gradient of an input of a size, (N, C, H, W)."""
    reach = [step * (length - 1) for step, length in zip(dilation, weight.shape[-2:], strict=True)]
    # The output before every `stride`th pixel of it was taken.
    height, width = (
        length + 2 * pad - far for length, pad, far in zip(size, padding, reach, strict=True)
    )
    spread = grad.new_zeros(len(grad), height, width, grad.shape[1]).permute(0, 3, 1, 2)
    spread[..., :: stride[0], :: stride[1]] = grad
    around = [far - pad for far, pad in zip(reach, padding, strict=True)]
    return functional.conv2d(spread, weight.flip(2, 3), None, 1, around, dilation, len(weight))
