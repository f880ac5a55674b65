"""ENet: a deep and narrow encoder of bottlenecks, and a small decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.enet_bottlenecks import (
    DEFINITIONS,
    REGULAR,
    Bottleneck,
    Downsampling,
    Kind,
    Layers,
    Stem,
    Upsampling,
    fitted,
    transposed,
)
from eventseg.networks.blocks.trunk import check_one_of
from eventseg.networks.network import SegmentationNetwork

WIDTH_1, WIDTH_2 = 64, 128
"""Channels at 1/4 and 1/8 of the input's size."""

STAGE_1: tuple[Kind, ...] = (1, 1, 1, 1)
STAGES_2_3: tuple[Kind, ...] = (1, 2, "asymmetric", 4, 1, 8, "asymmetric", 16)
STAGE_4: tuple[Kind, ...] = (1, 1)
STAGE_5: tuple[Kind, ...] = (1,)
"""Bottlenecks after each change of size (Table 1 of the paper)."""


class ENet(SegmentationNetwork):
    """ENet (Paszke et al., 2016).

    Parameters
    ----------
    in_channels, classes : int
        As for every network; see :func:`eventseg.networks.blocks.enet_bottlenecks.stem_filters` for
        inputs that are no picture.
    definition : {"port", "lua"}
        The PyTorch port davidtvs/PyTorch-ENet, or the authors' own program, which is the paper's.
    dilation : bool
        Whether dilated bottlenecks are so; otherwise their dilation is 1.
    regular : bool
        Whether there are regular bottlenecks: those that are neither dilated nor asymmetric and
        keep the size, in encoder and decoder.
    pooling_branch : bool
        Whether bottlenecks that change the size have pooling, and unpooling, beside them.
    dropout : float
        Probability that spatial dropout drops a channel, in [0, 1); a tenth of it in the first
        stage, and in the decoder only in the port.
    auxiliary : {"none", "encoder"}
        Whether a second head, 1x1 on the encoder's output at 1/8, gives logits in training.
    decoder : bool
        Whether there is a decoder. Without it the 1x1 head on the encoder gives the logits: so the
        paper trains the encoder first, and from its weights encoder and decoder (section 5).

    Raises
    ------
    NetworkError
        Another definition or auxiliary head, one beside no decoder, or a dropout outside [0, 1).
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        definition: Literal["port", "lua"] = "port",
        dilation: bool = True,
        regular: bool = True,
        pooling_branch: bool = True,
        dropout: float = 0.1,
        auxiliary: Literal["none", "encoder"] = "none",
        decoder: bool = True,
    ) -> None:
        super().__init__(in_channels, classes)
        check_one_of("definition", definition, DEFINITIONS)
        check_one_of("auxiliary", auxiliary, ("none", "encoder"))
        if not decoder and auxiliary != "none":
            raise NetworkError("without a decoder the head on the encoder is no auxiliary one")
        if not 0 <= dropout < 1:
            raise NetworkError(f"dropout must be in [0, 1), got {dropout}")
        chosen = DEFINITIONS[definition]
        first = Layers(chosen, decoder=False, dropout=dropout / 10)
        encoder = Layers(chosen, decoder=False, dropout=dropout)
        last = Layers(chosen, decoder=True, dropout=dropout if chosen.decoder_dropout else 0.0)

        def stage(width: int, kinds: Sequence[Kind], layers: Layers) -> nn.Module:
            kept = [kind for kind in kinds if regular or kind != REGULAR]
            return nn.Sequential(
                *(
                    Bottleneck(width, kind if dilation or kind == "asymmetric" else 1, layers)
                    for kind in kept
                )
            )

        self.stem = Stem(in_channels, first)
        half = self.stem.width
        self.down1 = Downsampling(half, WIDTH_1, first, pooling_branch=pooling_branch)
        self.stage1 = stage(WIDTH_1, STAGE_1, first)
        self.down2 = Downsampling(WIDTH_1, WIDTH_2, encoder, pooling_branch=pooling_branch)
        self.stage2 = stage(WIDTH_2, STAGES_2_3, encoder)
        self.stage3 = stage(WIDTH_2, STAGES_2_3, encoder)
        self.has_decoder = decoder
        if decoder:
            self.up4 = Upsampling(WIDTH_2, WIDTH_1, last, pooling_branch=pooling_branch)
            self.stage4 = stage(WIDTH_1, STAGE_4, last)
            self.up5 = Upsampling(WIDTH_1, half, last, pooling_branch=pooling_branch)
            self.stage5 = stage(half, STAGE_5, last)
            self.logits = transposed(half, classes, kernel=chosen.logits_kernel, bias=chosen.bias)
        on_encoder = auxiliary == "encoder" or not decoder
        self.auxiliary = nn.Conv2d(WIDTH_2, classes, 1) if on_encoder else None

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return the logits at the input's size and, in training, the encoder's at 1/8 of it.

        Without a decoder those at 1/8 alone.
        """
        at_half = self.stem(x)
        down1, indices1 = self.down1(at_half)
        at_quarter = self.stage1(down1)
        down2, indices2 = self.down2(at_quarter)
        encoded = self.stage3(self.stage2(down2))
        if self.auxiliary is not None and not self.has_decoder:
            return [self.auxiliary(encoded)]
        y = self.stage4(self.up4(encoded, indices2, at_quarter.shape[-2:]))
        y = self.stage5(self.up5(y, indices1, at_half.shape[-2:]))
        logits = [fitted(self.logits(y), x.shape[-2:])]
        if self.training and self.auxiliary is not None:
            logits.append(self.auxiliary(encoded))
        return logits
