"""Fast-SCNN checkpoints of Tramac/Fast-SCNN-pytorch and of mmseg."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventseg.networks.converters.layout import Layout, State, renamed
from eventseg.networks.fastscnn import BINS, BOTTLENECKS, REPEATS

CONVOLUTION = {"0.": "conv.", "1.": "bn."}
"""Tensors of a convolution with batch norm in Tramac's files; mmseg's names are ours."""

TRAMAC_SEPARABLE = {
    "0.": "depthwise.conv.",
    "1.": "depthwise.bn.",
    "3.": "pointwise.conv.",
    "4.": "pointwise.bn.",
}
TRAMAC_BOTTLENECK = {
    "0.conv.0.": "expand.conv.",
    "0.conv.1.": "expand.bn.",
    "1.conv.0.": "depthwise.conv.",
    "1.conv.1.": "depthwise.bn.",
    "2.": "project.conv.",
    "3.": "project.bn.",
}
MMSEG_SEPARABLE = {"depthwise_conv.": "depthwise.", "pointwise_conv.": "pointwise."}
MMSEG_BOTTLENECK = {"0.": "expand.", "1.": "depthwise.", "2.": "project."}
MMSEG_POOLED = {"conv.": "1.", "bn.": "2."}
MMSEG_HEAD = {"convs.0.": "0.", "conv_seg.": "2."}

ORDER = {
    (group, repeat): REPEATS * group + repeat
    for group in range(len(BOTTLENECKS))
    for repeat in range(REPEATS)
}
"""Our number of a bottleneck by its group and its place there."""


def _under(theirs: str, ours: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {theirs + part: ours + our_part for part, our_part in parts.items()}


def _tramac() -> dict[str, str]:
    rules = {
        **_under("learning_to_downsample.conv.conv.", "learning_to_downsample.0.", CONVOLUTION),
        **_under("global_feature_extractor.ppm.out.conv.", "pyramid_exit.", CONVOLUTION),
        **_under("feature_fusion.dwconv.conv.", "fusion.depthwise.", CONVOLUTION),
        **_under("feature_fusion.conv_lower_res.", "fusion.low.", CONVOLUTION),
        **_under("feature_fusion.conv_higher_res.", "fusion.high.", CONVOLUTION),
        "classifier.conv.1.": "logits.1.",
        **_under("auxlayer.", "stem_head.0.", CONVOLUTION),
        "auxlayer.4.": "stem_head.2.",
    }
    for i in (1, 2):
        stem, classifier = f"learning_to_downsample.{i}.", f"classifier.{i - 1}."
        rules |= _under(f"learning_to_downsample.dsconv{i}.conv.", stem, TRAMAC_SEPARABLE)
        rules |= _under(f"classifier.dsconv{i}.conv.", classifier, TRAMAC_SEPARABLE)
    for (group, repeat), i in ORDER.items():
        block = f"global_feature_extractor.bottleneck{group + 1}.{repeat}.block."
        rules |= _under(block, f"global_features.{i}.", TRAMAC_BOTTLENECK)
    for i in range(len(BINS)):
        pooled = f"global_feature_extractor.ppm.conv{i + 1}.conv."
        rules |= _under(pooled, f"pyramid.features.{i}.", {"0.": "1.", "1.": "2."})
    return rules


def _mmseg() -> dict[str, str]:
    rules = {
        "backbone.learning_to_downsample.conv.": "learning_to_downsample.0.",
        "backbone.global_feature_extractor.out.": "pyramid_exit.",
        "backbone.feature_fusion.dwconv.": "fusion.depthwise.",
        "backbone.feature_fusion.conv_lower_res.": "fusion.low.",
        "backbone.feature_fusion.conv_higher_res.": "fusion.high.",
        "decode_head.conv_seg.": "logits.1.",
        **_under("auxiliary_head.0.", "global_head.", MMSEG_HEAD),
        **_under("auxiliary_head.1.", "stem_head.", MMSEG_HEAD),
    }
    for i in (1, 2):
        stem, classifier = f"learning_to_downsample.{i}.", f"classifier.{i - 1}."
        rules |= _under(f"backbone.learning_to_downsample.dsconv{i}.", stem, MMSEG_SEPARABLE)
        rules |= _under(f"decode_head.convs.{i - 1}.", classifier, MMSEG_SEPARABLE)
    for (group, repeat), i in ORDER.items():
        block = f"backbone.global_feature_extractor.bottleneck{group + 1}.{repeat}.conv."
        rules |= _under(block, f"global_features.{i}.", MMSEG_BOTTLENECK)
    for i in range(len(BINS)):
        pooled = f"backbone.global_feature_extractor.ppm.{i}.1."
        rules |= _under(pooled, f"pyramid.features.{i}.", MMSEG_POOLED)
    return rules


TRAMAC_RULES = _tramac()
MMSEG_RULES = _mmseg()
"""Beginning of a name there, and ours."""


def _tramac_options(state: State) -> dict[str, Any]:
    return {"auxiliary": "auxlayer.0.weight" in state}


def _mmseg_options(state: State) -> dict[str, Any]:
    exit_kernel = state["backbone.global_feature_extractor.out.conv.weight"].shape[-1]
    return {
        "pyramid_exit": f"{exit_kernel}x{exit_kernel}",
        "auxiliary": any(name.startswith("auxiliary_head.") for name in state),
    }


TRAMAC = Layout(
    name="tramac",
    networks=("fastscnn",),
    recognise=lambda names: (
        {"learning_to_downsample.conv.conv.0.weight", "classifier.conv.1.weight"} <= names
    ),
    convert=lambda state: renamed(state, TRAMAC_RULES),
    options={"stem_padding": 0, "depthwise_activation": True, "align_corners": True},
    options_of=_tramac_options,
    source="Tramac/Fast-SCNN-pytorch (Apache-2.0)",
)
"""Trained on Cityscapes."""

MMSEG_FASTSCNN = Layout(
    name="mmseg",
    networks=("fastscnn",),
    recognise=lambda names: (
        {
            "backbone.learning_to_downsample.conv.conv.weight",
            "backbone.global_feature_extractor.out.conv.weight",
        }
        <= names
    ),
    convert=lambda state: renamed(state, MMSEG_RULES),
    options={"fusion_bias": False, "auxiliary_at": "stem+global"},
    options_of=_mmseg_options,
    source="open-mmlab/mmsegmentation (Apache-2.0)",
)
"""Trained on Cityscapes. Older files of mmseg, whose fusion has no depthwise convolution, do not
fit and are refused."""
