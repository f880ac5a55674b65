"""Any network of segmentation-models-pytorch, by ``smp:ARCHITECTURE/ENCODER``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from eventseg.errors import CheckpointError, MissingExtraError, NetworkError
from eventseg.networks.network import SegmentationNetwork

STRIDE = 32
"""The library's networks take sizes that are a multiple of this."""


class LibraryNetwork(SegmentationNetwork):
    """A network of segmentation-models-pytorch that takes inputs of any size.

    Inputs are padded at the right and at the bottom by repeating the last column and row; the
    logits of the padding are cut off.

    Parameters
    ----------
    in_channels, classes : int
        As for every network.
    architecture : str
        Name of a decoder, such as ``Unet`` or ``Segformer``.
    encoder : str
        Name of an encoder, such as ``resnet34``.
    weights : str, optional
        Encoder weights by the library's name, such as ``imagenet``: it fetches them.
    **options
        Passed to the library.

    Raises
    ------
    MissingExtraError
        The extra ``smp`` is not installed.
    NetworkError
        The library has no such architecture, encoder or option.
    CheckpointError
        Encoder weights that cannot be fetched.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        architecture: str,
        encoder: str,
        weights: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, classes)
        try:
            import segmentation_models_pytorch
        except ImportError as error:
            raise MissingExtraError(
                "networks named smp:ARCHITECTURE/ENCODER need segmentation-models-pytorch: "
                "uv sync --extra smp"
            ) from error
        try:
            self.network = segmentation_models_pytorch.create_model(
                architecture,
                encoder_name=encoder,
                encoder_weights=weights,
                in_channels=in_channels,
                classes=classes,
                **options,
            )
        except OSError as error:  # of the hub and of downloads
            first = str(error).strip().partition("\n")[0]
            raise CheckpointError(
                f"cannot fetch the weights {weights!r} of encoder {encoder}: {first}; leave "
                "weights out to begin at random"
            ) from error
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise NetworkError(f"smp:{architecture}/{encoder} cannot be built: {error}") from error

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return the logits at the input's size."""
        height, width = x.shape[-2:]
        padded = functional.pad(x, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        try:
            logits: Tensor = self.network(padded)
        except AssertionError as error:  # encoders of one size, such as those of ViT
            raise NetworkError(
                f"{type(self.network).__name__} of segmentation-models-pytorch takes no input of "
                f"{width}x{height}: {error}; size.resize sets a size"
            ) from error
        return [logits[..., :height, :width]]
