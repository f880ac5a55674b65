"""SegFormer's head in few operations: products that follow each other are multiplied beforehand.

The head maps each level of the trunk to many channels, enlarges all levels to the finest one, joins
them, and maps the joined channels to fewer: two products of matrices with nothing but a bilinear
enlargement between, which acts on each channel alone and whose weights add up to 1. So the levels
may be mapped at once, by the product of both matrices, before they are enlarged, and then added.
Of SegFormer-B0 that is 5 % of the head's multiplications; the result differs by rounding alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CLOSE = 1e-3
"""Largest difference to the head itself, in shares of its largest score, that rounding makes."""


class FoldedHead(nn.Module):
    """Head of ``transformers``' SegFormer with its products folded.

    Parameters
    ----------
    head : nn.Module
        ``decode_head`` of a ``SegformerForSemanticSegmentation``.
    """

    weight0: Tensor
    shift: Tensor

    def __init__(self, head: Any) -> None:
        super().__init__()
        # Version 5 of transformers renamed them.
        levels = getattr(head, "linear_projections", None) or head.linear_c
        norm, fuse = head.batch_norm, head.linear_fuse.weight[:, :, 0, 0].double()
        scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).double()
        width = fuse.shape[1] // len(levels)
        shift = norm.bias.double() - norm.running_mean.double() * scale
        for i, level in enumerate(levels):
            first = (len(levels) - 1 - i) * width  # the coarsest level is joined first
            part = scale[:, None] * fuse[:, first : first + width]
            shift = shift + part @ level.proj.bias.double()
            weight = (part @ level.proj.weight.double()).float()[:, :, None, None]
            self.register_buffer(f"weight{i}", weight.to(memory_format=torch.channels_last))
        self.register_buffer("shift", shift.float())
        self.classifier = head.classifier

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return class scores (N, C, H/4, W/4) of the trunk's levels, the finest first."""
        # Enlarging many channels is quicker where those of a pixel lie together.
        levels = [level.contiguous(memory_format=torch.channels_last) for level in levels]
        size = levels[0].shape[2:]
        x = functional.conv2d(levels[0], self.weight0, self.shift)
        for i, level in enumerate(levels[1:], 1):
            mapped = functional.conv2d(level, getattr(self, f"weight{i}"))
            x += functional.interpolate(mapped, size=size, mode="bilinear")
        scores: Tensor = self.classifier(x.relu_())
        return scores


def folded_head(model: Any) -> FoldedHead | None:
    """Return the folded head of a SegFormer; None if it is not built as expected.

    Both heads see the levels of a small random picture: another version of ``transformers``, or a
    relative of SegFormer, whose head does something else, is found out and left as it is.
    """
    try:
        folded = FoldedHead(model.decode_head).to(model.device).eval()
        picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
        levels = trunk_levels(model, picture.to(model.device))
        ours, theirs = folded(levels), model.decode_head(levels)
    except (AttributeError, IndexError, RuntimeError, TypeError):
        return None
    return folded if (ours - theirs).abs().max() <= CLOSE * theirs.abs().max() else None


def trunk_levels(model: Any, x: Tensor) -> tuple[Tensor, ...]:
    """Return the maps (N, C, h, w) of the trunk's levels, the finest first."""
    output = model.segformer(x, output_hidden_states=True, return_dict=True)
    levels: tuple[Tensor, ...] = output.hidden_states
    return levels
