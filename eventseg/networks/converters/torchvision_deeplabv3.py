"""Checkpoints of torchvision's DeepLabV3, whose tensors have our names."""

from __future__ import annotations

from typing import Any

from eventseg.networks.converters.layout import Layout, State


def _recognise(names: frozenset[str]) -> bool:
    return {"backbone.conv1.weight", "classifier.0.project.0.weight"} <= names


def _convert(state: State) -> State:
    return dict(state)


def _options_of(state: State) -> dict[str, Any]:
    return {"auxiliary": "aux_classifier.4.weight" in state}


DEEPLABV3 = Layout(
    "torchvision",
    ("deeplabv3_resnet50", "deeplabv3_resnet101"),
    _recognise,
    _convert,
    options_of=_options_of,
    source="pytorch/vision, BSD-3-Clause",
)
"""DeepLabV3 at output stride 8, with and without its auxiliary head."""
