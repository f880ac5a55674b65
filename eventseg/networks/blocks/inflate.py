"""Weights of trained networks for other numbers of input channels."""

from __future__ import annotations

import torch
from torch import Tensor

from eventseg.errors import CheckpointError


def inflate(weight: Tensor, *, in_channels: int) -> Tensor:
    """Return a first convolution over RGB as one over any number of channels.

    Every channel gets the mean over red, green and blue, times 3 / in_channels: an input whose
    channels are all alike then has the output of a gray picture. Carreira and Zisserman, I3D,
    arXiv 1705.07750, section 2.4, inflate over time in this way.

    Parameters
    ----------
    weight : float (O, 3, k, k)
    in_channels : int
        Channels of the input; for 3 the weight is returned as it is.

    Returns
    -------
    float (O, in_channels, k, k)

    Raises
    ------
    CheckpointError
        The weight is not over three channels.
    """
    if weight.dim() != 4 or weight.shape[1] != 3:
        raise CheckpointError(
            f"only a convolution over RGB, (O, 3, k, k), can be inflated, got {tuple(weight.shape)}"
        )
    if in_channels == 3:
        return weight
    mean = weight.mean(1, keepdim=True) * (3 / in_channels)
    return mean.repeat(1, in_channels, 1, 1)


def inflated(theirs: Tensor, shape: torch.Size, *, before: int, channels: int) -> Tensor | None:
    """Return a tensor over other input channels, or None where no rule fits its shape.

    An axis over ``f + before`` channels, of which the input's are the last, becomes one over ``f +
    channels``; the first f stay. An input of equal channels keeps its response, since along the
    summed axis of a convolution

    - each channel of the input alone (f = 0) is the mean over those before, times ``before /
      channels``: the rule of :func:`inflate`;
    - channels that join others behind norms and activations of their own, as in CGNet (f > 0), are
      repeated in turn, each divided by the number of its repetitions. Into fewer channels they
      cannot be repeated: there they are means as above, and the response is another one.

    Means and repetitions of norms and slopes, which are not summed, are not scaled.

    Parameters
    ----------
    theirs : Tensor
    shape : torch.Size
        Shape that is wanted.
    before, channels : int
        Input channels of `theirs` and of the result.
    """
    if theirs.dim() != len(shape):
        return None
    value = theirs
    for axis, size in enumerate(shape):
        if theirs.shape[axis] == size:
            continue
        fixed = size - channels
        if fixed < 0 or theirs.shape[axis] - before != fixed:
            return None
        summed = theirs.dim() > 1 and axis == 1
        stay, of_input = value.narrow(axis, 0, fixed), value.narrow(axis, fixed, before)
        shares = _shares(before, channels, repeated=fixed > 0 and channels >= before).to(value)
        if not summed:
            shares = shares / shares.sum(1, keepdim=True)
        mixed = torch.tensordot(shares, of_input, dims=([1], [axis])).movedim(0, axis)
        value = torch.cat([stay, mixed], dim=axis)
    return value


def _shares(before: int, channels: int, *, repeated: bool) -> Tensor:
    """Return the share of each channel before in each new one, (channels, before).

    Each channel before has shares of sum 1, so that sums over equal channels stay.
    """
    if not repeated:
        return torch.full((channels, before), 1 / channels, dtype=torch.float64)
    shares = torch.eye(before, dtype=torch.float64)[torch.arange(channels) % before]
    return shares / shares.sum(0)


def shared_channels(theirs: str, own: str, *, before: int, channels: int) -> list[int] | None:
    """Return their channel of each of ours where events or frame are the same, -1 for new ones.

    A frame that joins events, or leaves them, moves no weight of the channels that both networks
    see; those of a new channel begin at 0, so that the response is exactly that of before.

    Parameters
    ----------
    theirs, own : str
        Kinds of input: ``both`` is one channel of the frame followed by the events.
    before, channels : int
        Channels of both inputs.

    Returns
    -------
    list of int (channels,) or None
        None where no such rule applies: other kinds, or events of another number of channels.
    """
    pair = (theirs, own)
    if pair == ("events", "both") and channels == before + 1:
        return [-1, *range(before)]
    if pair == ("both", "events") and before == channels + 1:
        return list(range(1, before))
    if pair == ("gray", "both") and before == 1:
        return [0] + [-1] * (channels - 1)
    return [0] if pair == ("both", "gray") else None
