"""Checkpoints of open-mmlab/mmsegmentation on ResNet-50 and -101 "v1c" at output stride 8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from eventseg.networks.converters.layout import Layout, State, renamed

STEM = (32, 32, 64)
"""Widths of the three convolutions of "v1c"."""

TRUNK = {
    "backbone.stem.": "backbone.conv1.",
    "backbone.stem.7.": "backbone.bn1.",
}

PSPNET_RULES = {
    **TRUNK,
    **{f"decode_head.psp_modules.{i}.1.conv.": f"ppm.features.{i}.1." for i in range(4)},
    **{f"decode_head.psp_modules.{i}.1.bn.": f"ppm.features.{i}.2." for i in range(4)},
    "decode_head.bottleneck.conv.": "cls.0.",
    "decode_head.bottleneck.bn.": "cls.1.",
    "decode_head.conv_seg.": "cls.4.",
    "auxiliary_head.convs.0.conv.": "aux.0.",
    "auxiliary_head.convs.0.bn.": "aux.1.",
    "auxiliary_head.conv_seg.": "aux.4.",
}


def _separable(theirs: str, ours: str) -> dict[str, str]:
    """Return the rules of a separable convolution, from one beginning to another."""
    return {
        f"{theirs}depthwise_conv.conv.": f"{ours}0.",
        f"{theirs}depthwise_conv.bn.": f"{ours}1.",
        f"{theirs}pointwise_conv.conv.": f"{ours}3.",
        f"{theirs}pointwise_conv.bn.": f"{ours}4.",
    }


DEEPLABV3PLUS_RULES: Mapping[str, str] = {
    **TRUNK,
    "decode_head.image_pool.1.conv.": "classifier.aspp.convs.4.1.",
    "decode_head.image_pool.1.bn.": "classifier.aspp.convs.4.2.",
    "decode_head.aspp_modules.0.conv.": "classifier.aspp.convs.0.0.",
    "decode_head.aspp_modules.0.bn.": "classifier.aspp.convs.0.1.",
    **_separable("decode_head.aspp_modules.1.", "classifier.aspp.convs.1."),
    **_separable("decode_head.aspp_modules.2.", "classifier.aspp.convs.2."),
    **_separable("decode_head.aspp_modules.3.", "classifier.aspp.convs.3."),
    "decode_head.bottleneck.conv.": "classifier.aspp.project.0.",
    "decode_head.bottleneck.bn.": "classifier.aspp.project.1.",
    "decode_head.c1_bottleneck.conv.": "classifier.project.0.",
    "decode_head.c1_bottleneck.bn.": "classifier.project.1.",
    **_separable("decode_head.sep_bottleneck.0.", "classifier.classifier.0."),
    **_separable("decode_head.sep_bottleneck.1.", "classifier.classifier.1."),
    "decode_head.conv_seg.": "classifier.classifier.2.",
    "auxiliary_head.convs.0.conv.": "aux_classifier.0.",
    "auxiliary_head.convs.0.bn.": "aux_classifier.1.",
    "auxiliary_head.conv_seg.": "aux_classifier.4.",
}


def _is_pspnet(names: frozenset[str]) -> bool:
    return {"backbone.stem.0.weight", "decode_head.psp_modules.0.1.conv.weight"} <= names


def _is_deeplabv3plus(names: frozenset[str]) -> bool:
    return {"backbone.stem.0.weight", "decode_head.c1_bottleneck.conv.weight"} <= names


def _convert_pspnet(state: State) -> State:
    return renamed(state, PSPNET_RULES)


def _convert_deeplabv3plus(state: State) -> State:
    """Rename, and bring channels into our order where the join of maps has another one."""
    ours = renamed(state, DEEPLABV3PLUS_RULES)
    # Theirs: image's mean (512 channels) before the convolutions. Ours, as the paper: after them.
    _roll(ours, "classifier.aspp.project.0.weight", -512, axis=1)
    # Theirs: pyramid before the 48 low-level channels. Ours, as VainF: after them.
    for name in ours:
        if name.startswith(("classifier.classifier.0.0.", "classifier.classifier.0.1.")):
            _roll(ours, name, 48, axis=0)
    _roll(ours, "classifier.classifier.0.3.weight", 48, axis=1)
    return ours


def _roll(state: State, name: str, channels: int, *, axis: int) -> None:
    if name in state and state[name].dim() > axis:
        state[name] = torch.roll(state[name], channels, axis)


def _options_of(state: State) -> dict[str, Any]:
    return {"auxiliary": "auxiliary_head.conv_seg.weight" in state}


PSPNET = Layout(
    "mmseg",
    ("pspnet101", "pspnet50"),
    _is_pspnet,
    _convert_pspnet,
    options={"stem": STEM, "first_block_dilation": "previous", "align_corners": False},
    options_of=_options_of,
    source="open-mmlab/mmsegmentation, Apache-2.0",
)
"""PSPNet, R50-D8 and R101-D8."""

DEEPLABV3PLUS = Layout(
    "mmseg",
    ("deeplabv3plus_resnet50", "deeplabv3plus_resnet101"),
    _is_deeplabv3plus,
    _convert_deeplabv3plus,
    options={"stem": STEM, "output_stride": 8, "separable": True, "decoder_convs": 2},
    options_of=_options_of,
    source="open-mmlab/mmsegmentation, Apache-2.0",
)
"""DeepLabV3+ with separable convolutions, R50-D8 and R101-D8."""
