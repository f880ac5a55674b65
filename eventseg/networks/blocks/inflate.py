"""Weights of RGB networks for any number of input channels."""

from __future__ import annotations

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
