"""Checkpoints of hszhao/semseg."""

from __future__ import annotations

from typing import Any

from eventseg.networks.converters.layout import Layout, State, renamed

RULES = {
    "layer0.7.": "backbone.bn1.",
    "layer0.": "backbone.conv1.",
    "layer1.": "backbone.layer1.",
    "layer2.": "backbone.layer2.",
    "layer3.": "backbone.layer3.",
    "layer4.": "backbone.layer4.",
}


def _recognise(names: frozenset[str]) -> bool:
    return {"layer0.0.weight", "ppm.features.0.1.weight", "cls.4.weight"} <= names


def _convert(state: State) -> State:
    return renamed(state, RULES)


def _options_of(state: State) -> dict[str, Any]:
    return {"auxiliary": "aux.4.weight" in state}


PSPNET = Layout(
    "semseg",
    ("pspnet101", "pspnet50"),
    _recognise,
    _convert,
    options_of=_options_of,
    source="hszhao/semseg, MIT",
)
"""PSPNet of its author; RGB, ImageNet's mean and deviation."""
