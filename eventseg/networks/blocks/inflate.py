"""Weights of trained networks for other numbers of input channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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


class ChannelGroup(NamedTuple):
    """Input channels of one meaning, in a file and in the network that is loaded.

    Parameters
    ----------
    name : str
        ``frame``, ``events``, or ``input`` where the channels have no meaning in common.
    theirs, own : range
        Channels of the file and of the network; either may be empty.
    """

    name: str
    theirs: range
    own: range


def channel_groups(theirs: str, own: str, *, before: int, channels: int) -> list[ChannelGroup]:
    """Return the groups in which channels of a file become those of a network.

    A frame, gray or of colours, goes to the frame and events go to the events, so that a frame
    that joins events, or leaves them, moves no weight of the channels that both inputs have. Inputs
    without a kind in common are one group.

    Parameters
    ----------
    theirs, own : str
        Kinds of input: ``both`` is one channel of the frame followed by the events. An unknown
        kind is empty.
    before, channels : int
        Channels of both inputs.
    """
    of_file, of_network = _ranges(theirs, before), _ranges(own, channels)
    if not of_file.keys() & of_network.keys():
        return [ChannelGroup("input", range(before), range(channels))]
    return [
        ChannelGroup(name, of_file.get(name, range(0)), of_network.get(name, range(0)))
        for name in ("frame", "events")
        if name in of_file or name in of_network
    ]


def _ranges(kind: str, channels: int) -> dict[str, range]:
    if kind == "both":
        return {"frame": range(1), "events": range(1, channels)}
    name = {"gray": "frame", "rgb": "frame", "events": "events"}.get(kind)
    return {} if name is None else {name: range(channels)}


def inflated(
    theirs: Tensor,
    initial: Tensor,
    *,
    groups: Sequence[ChannelGroup],
    axes: Sequence[int] | None = None,
) -> Tensor | None:
    """Return a tensor over other input channels, or None where no rule fits its shape.

    An axis over ``f + before`` channels, of which the input's are the last, becomes one over ``f +
    channels``; the first f stay. Groups of as many channels are copied, and new ones are 0 along
    the summed axis of a convolution: the response is then exactly that of before. In a group of
    another number of channels, an input of equal channels keeps its response, since along that axis

    - each channel of the input alone (f = 0) is the mean over those before, times ``before /
      channels``: the rule of :func:`inflate`;
    - channels that join others behind norms and activations of their own, as in CGNet (f > 0), are
      repeated in turn, each divided by the number of its repetitions. Into fewer channels they
      cannot be repeated: there they are means as above, and the response is another one.

    Means and repetitions of norms and slopes, which are not summed, are not scaled; those of new
    channels are the initial ones.

    Parameters
    ----------
    theirs : Tensor
    initial : Tensor
        Initial values of the network's tensor, of the shape that is wanted.
    groups : sequence of ChannelGroup
        From :func:`channel_groups`.
    axes : sequence of int, optional
        Axes over input channels; by default those of another length.
    """
    shape = initial.shape
    if theirs.dim() != len(shape):
        return None
    before = sum(len(group.theirs) for group in groups)
    channels = sum(len(group.own) for group in groups)
    if axes is None:
        axes = [axis for axis, size in enumerate(shape) if theirs.shape[axis] != size]
    value = theirs
    for axis in axes:
        fixed = shape[axis] - channels
        if fixed < 0 or theirs.shape[axis] - before != fixed:
            return None
        summed = theirs.dim() > 1 and axis == 1
        stay, of_input = value.narrow(axis, 0, fixed), value.narrow(axis, fixed, before)
        shares = _shares(groups, before, channels, joined=fixed > 0).to(value)
        sums = shares.sum(1, keepdim=True)
        if not summed:
            shares = shares / sums.masked_fill(sums == 0, 1)
        mixed = torch.tensordot(shares, of_input, dims=([1], [axis])).movedim(0, axis)
        if not summed and bool((sums == 0).any()):
            if value.dim() > 1:  # filters over channels that the file does not have
                return None
            mixed = torch.where(
                sums[:, 0] == 0, initial.narrow(0, fixed, channels).to(mixed), mixed
            )
        value = torch.cat([stay, mixed], dim=axis)
    return value


def _shares(groups: Sequence[ChannelGroup], before: int, channels: int, *, joined: bool) -> Tensor:
    """Return the share of each channel before in each new one, (channels, before).

    Each channel before has shares of sum 1, so that sums over equal channels stay; of 0 where its
    group has no new channel.
    """
    shares = torch.zeros(channels, before, dtype=torch.float64)
    for theirs, own in ((group.theirs, group.own) for group in groups):
        if not (len(theirs) and len(own)):
            continue
        if len(own) == len(theirs) or is_repeated(len(theirs), len(own), joined=joined):
            of_group = torch.eye(len(theirs), dtype=torch.float64)
            of_group = of_group[torch.arange(len(own)) % len(theirs)]
            of_group /= of_group.sum(0)
        else:
            of_group = torch.full((len(own), len(theirs)), 1 / len(own), dtype=torch.float64)
        shares[own.start : own.stop, theirs.start : theirs.stop] = of_group
    return shares


def is_repeated(before: int, channels: int, *, joined: bool) -> bool:
    """Return whether channels are repeated in turn: into more that join others (f > 0)."""
    return joined and channels > before
