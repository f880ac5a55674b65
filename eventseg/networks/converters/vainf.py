"""Checkpoints of VainF/DeepLabV3Plus-Pytorch.

The tensors do not tell the output stride at which a network was trained: 16 in most of the
published ones. It is the network's option ``output_stride``, by default 8 for DeepLabV3 and 16
for DeepLabV3+.
"""

from __future__ import annotations

from eventseg.networks.converters.layout import Layout, State, renamed

DEEPLABV3_RULES = {"classifier.classifier.": "classifier."}

DEEPLABV3PLUS_RULES = {
    # Parts of one sequence that keep their numbers in it.
    "backbone.low_level_features.": "backbone.features.",
    "backbone.high_level_features.": "backbone.features.",
}
"""Of MobileNetV2; the names of the other trunks are ours."""


def _is_deeplabv3(names: frozenset[str]) -> bool:
    return {"backbone.conv1.weight", "classifier.classifier.0.project.0.weight"} <= names


def _is_deeplabv3plus(names: frozenset[str]) -> bool:
    return {"classifier.project.0.weight", "classifier.aspp.project.0.weight"} <= names


def _convert_deeplabv3(state: State) -> State:
    return renamed(state, DEEPLABV3_RULES)


def _convert_deeplabv3plus(state: State) -> State:
    return renamed(state, DEEPLABV3PLUS_RULES)


DEEPLABV3 = Layout(
    "vainf",
    ("deeplabv3_resnet50", "deeplabv3_resnet101"),
    _is_deeplabv3,
    _convert_deeplabv3,
    source="VainF/DeepLabV3Plus-Pytorch, MIT",
)
"""DeepLabV3 on ResNets."""

DEEPLABV3PLUS = Layout(
    "vainf",
    (
        "deeplabv3plus_resnet50",
        "deeplabv3plus_resnet101",
        "deeplabv3plus_xception",
        "deeplabv3plus_mobilenetv2",
    ),
    _is_deeplabv3plus,
    _convert_deeplabv3plus,
    source="VainF/DeepLabV3Plus-Pytorch, MIT",
)
"""DeepLabV3+. With Xception the maps differ from VainF's at the borders: see the trunk."""
