"""Batch norms that normalise by the samples of all processes, on the CPU and on GPUs alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eventseg.training.distributed import joined, side_by_side, summed, world

PIXELS = (0, 2, 3)
"""Dimensions of a map (N, C, H, W) that are summed over."""


def synchronise(network: nn.Module) -> None:
    """Replace the batch norms of a network by synchronised ones, in place.

    Parameters, statistics and their names stay. Without other processes nothing is done.
    """
    if not joined():
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and not isinstance(child, SyncedBatchNorm2d):
                setattr(parent, name, SyncedBatchNorm2d.of(child))


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the maps of all processes in training; as any other in evaluation.

    :class:`torch.nn.SyncBatchNorm` is for GPUs only; this one has one code path for gloo and NCCL.
    A batch of one value a channel in all processes is normalised by the running statistics.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> SyncedBatchNorm2d:
        """Return a synchronised norm that shares the tensors of another."""
        synced = cls(
            norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
        )
        synced._parameters = norm._parameters
        synced._buffers = norm._buffers
        return synced.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, (N, C, h, w)."""
        if not (self.training and joined()):
            return super().forward(x)
        if world() == 1 and x.numel() == x.shape[1]:  # others have a sample at least
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        count, mean, deviation = moments_over_processes(x)
        self._follow(count, mean, deviation)
        normalised: Tensor = _Normalised.apply(
            x, self.weight, self.bias, mean, deviation / count, count, self.eps
        )
        return normalised

    @torch.no_grad()
    def _follow(self, count: Tensor, mean: Tensor, deviation: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        if self.running_mean is None or self.running_var is None:
            return
        share = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            share = 1 / float(self.num_batches_tracked) if share is None else share
        like = self.running_mean
        self.running_mean.lerp_(mean.to(like), share or 0.0)
        self.running_var.lerp_((deviation / (count - 1)).to(like), share or 0.0)


@torch.no_grad()
def moments_over_processes(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return count, mean and summed squared deviation of each channel, over all processes.

    The moments of each process are pooled in the order of their ranks, in float64, so that all of
    them have the same bits (Chan et al. 1983).

    Parameters
    ----------
    x : float (N, C, h, w)
        Maps of this process.

    Returns
    -------
    count : float64 ()
        It stays on the device: to read it would wait for all that runs there.
    mean, deviation : float64 (C,)
    """
    count = x.numel() // x.shape[1]
    variance, mean = torch.var_mean(_precise(x), dim=PIXELS, correction=0)
    own = torch.cat([mean.double(), variance.double() * count, mean.new_tensor([count]).double()])
    return pooled(side_by_side(own))


def pooled(parts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return moments of parts as those of the whole: see :func:`moments_over_processes`.

    Parameters
    ----------
    parts : float64 (parts, 2 C + 1)
        Mean and summed squared deviation of each channel, then the count.
    """
    counts = parts[:, -1:]
    means, deviations = parts[:, :-1].chunk(2, dim=1)
    total = counts.sum()
    mean = (means * counts).sum(0) / total
    between = ((means - mean).square() * counts).sum(0)
    return total, mean, deviations.sum(0) + between


class _Normalised(torch.autograd.Function):
    """``weight (x - mean) / sqrt(variance + eps) + bias`` with statistics that depend on x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        eps: float,
    ) -> Tensor:
        precise = torch.promote_types(x.dtype, torch.float32)
        mean, variance = mean.to(precise), variance.to(precise)
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), count)
        return functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse, count = ctx.saved_tensors
        g, distance = _precise(gradients[0]), _precise(x) - _of_channels(mean)
        along = torch.stack([g.sum(PIXELS), (g * distance).sum(PIXELS)])
        # Weight and bias take the sums of this process, which the gradients' mean is over.
        of_bias, of_weight = along[0], along[1] * inverse
        means = (summed(along.to(torch.float64, copy=True)) / count).to(g.dtype)
        scale = inverse if weight is None else inverse * weight
        of_x = g - _of_channels(means[0]) - distance * _of_channels(inverse.square() * means[1])
        of_x = (of_x * _of_channels(scale)).to(x.dtype)
        own = (None, None) if weight is None else (of_weight, of_bias)
        return of_x, *own, None, None, None, None


def _of_channels(values: Tensor) -> Tensor:
    return values[:, None, None]


def _precise(x: Tensor) -> Tensor:
    """Return a map in float32, or in float64 where it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
