"""Network inputs: kind, channels, size and the scaling of frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import NetworkError

if TYPE_CHECKING:
    from eventseg.encoding.settings import Encoding
    from eventseg.networks.resizing import ResizeRule

InputKind = Literal["events", "gray", "rgb", "both"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Input of a network: kind, channels, windows, encoding and size.

    Parameters
    ----------
    kind : {"events", "gray", "rgb", "both"}
        Event tensor, frame, picture, or the frame's channel followed by the event tensor.
    channels : int
        Channels of the input.
    scaling : Scaling
        How 8-bit values of frames and pictures are scaled.
    windows : tuple of str
        Windows of the events it was trained on, such as ``50ms``.
    normalise : {"evsegnet", "sqrt", "raw"}
        Normalisation of the events.
    size : (int, int), optional
        Height and width that inputs are resized to; by default they keep their own.
    encoding : Encoding, optional
        Encoding of the events it was trained on; None for networks of frames, and for
        checkpoints that were written before they held encodings.
    resize : {"centres", "evsegnet"}
        Rule by which inputs are resized, see :mod:`eventseg.networks.resizing`.
    """

    kind: InputKind
    channels: int
    scaling: Scaling = field(default_factory=lambda: Scaling(1.0, (0.0,), (1.0,)))
    windows: tuple[str, ...] = ()
    normalise: Literal["evsegnet", "sqrt", "raw"] = "evsegnet"
    size: tuple[int, int] | None = None
    encoding: Encoding | None = None
    resize: ResizeRule = "centres"

    @property
    def event_windows(self) -> tuple[str, ...]:
        """Windows of its events; none for an input without events, whatever the run's were."""
        return self.windows if self.kind in ("events", "both") else ()

    def check_encoding(self, encoding: Encoding | None, *, source: str) -> None:
        """Raise a NetworkError where event tensors are not those the network was trained on.

        Parameters
        ----------
        encoding : Encoding or None
            Encoding of the tensors; None where there are no events.
        source : str
            Name of their source, for the message.
        """
        if self.kind not in ("events", "both"):
            return
        if encoding is None:
            raise NetworkError(f"the network sees events, and {source} holds none")
        if self.encoding is not None:
            if conflict := encoding.conflict_with(self.encoding):
                raise NetworkError(
                    f"{source} holds {conflict}: encode the recordings again with that"
                )
            return
        expected = self.channels - (self.kind == "both")
        if expected != encoding.representation.channels:
            raise NetworkError(
                f"{source} holds {encoding.representation} of "
                f"{encoding.representation.channels} channels, the network sees {expected}"
            )


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scaling of pictures for a network: ``(value / 255 * top - mean) / std``.

    Parameters
    ----------
    top : float
        Value that 255 becomes: 1 or 255.
    mean, std : tuple of float (1,) or (3,)
        Mean and deviation in units of ``top``, in the order of the input channels.
    order : {"rgb", "bgr"}
        Order of the input channels.
    """

    top: float = 1.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    order: str = "rgb"


IMAGENET = Scaling()
"""RGB from 0 to 1, less ImageNet's mean, over its deviation."""


def scaled(image: NDArray[np.float32], scaling: Scaling) -> NDArray[np.float32]:
    """Return a picture as a network was or is trained to see it.

    Parameters
    ----------
    image : float32 (1 or 3, H, W)
        Values from 0 to 1, RGB where it has colour.
    scaling : Scaling

    Returns
    -------
    float32 (1 or 3, H, W)
        ``(top * image - mean) / std``.
    """
    ordered = image[::-1] if scaling.order == "bgr" and len(image) == 3 else image
    mean = np.array(scaling.mean, np.float32)[:, None, None]
    std = np.array(scaling.std, np.float32)[:, None, None]
    scaled_image: NDArray[np.float32] = (ordered * np.float32(scaling.top) - mean) / std
    return scaled_image
