"""SegNet checkpoints of meetshah1995/pytorch-semseg."""

from __future__ import annotations

from eventseg.networks.converters.layout import Layout, renamed
from eventseg.networks.inputs import Scaling
from eventseg.networks.segnet import DEPTHS


def _rules() -> dict[str, str]:
    """Return the beginning of each name there with ours."""
    rules = {}
    layer = 0
    for level, depth in enumerate(DEPTHS, 1):
        for n in range(1, depth + 1):
            for part in (0, 1):
                rules[f"down{level}.conv{n}.cbr_unit.{part}."] = f"features.{layer + part}."
            layer += 3  # convolution, batch norm, ReLU
        layer += 1  # pooling
    for level, depth in enumerate(DEPTHS, 1):
        for n in range(1, depth + 1):
            for part in (0, 1):
                ours = f"decoder.{len(DEPTHS) - level}.{3 * (n - 1) + part}."
                if (level, n) == (1, depth):
                    ours = f"logits.{part}."
                rules[f"up{level}.conv{n}.cbr_unit.{part}."] = ours
    return rules


RULES = _rules()

MEETSHAH1995 = Layout(
    name="meetshah1995",
    networks=("segnet",),
    recognise=lambda names: (
        {"down1.conv1.cbr_unit.0.weight", "up1.conv2.cbr_unit.0.weight"} <= names
    ),
    convert=lambda state: renamed(state, RULES),
    options={"logits": "normalised"},
    scaling=Scaling(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), order="bgr"),
    source="meetshah1995/pytorch-semseg (MIT)",
)
"""Scaled as its loader of Cityscapes does; its loaders of other data sets subtract a mean."""
