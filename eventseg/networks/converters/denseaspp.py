"""DenseASPP checkpoints of DeepMotionAIResearch/DenseASPP."""

from __future__ import annotations

from eventseg.networks.blocks.densenet import undotted
from eventseg.networks.converters.layout import Layout, State, renamed
from eventseg.networks.denseaspp import RATES
from eventseg.networks.inputs import Scaling

RULES = {
    "features.": "backbone.features.",
    # What torchvision has as its last batch norm is there part of one more transition.
    "features.transition4.norm.": "backbone.features.norm5.",
    "features.transition4.conv.": "reduce.",
    "features.norm5.": "norm.",
    **{f"ASPP_{rate}.": f"units.{i}." for i, rate in enumerate(RATES)},
    "classification.1.": "logits.",
}
"""Beginning of a name there, and ours."""


def convert(state: State) -> State:
    """Return the tensors by our names; ``norm.1`` of torch 0.3 is ``norm1`` here."""
    return renamed({undotted(name): tensor for name, tensor in state.items()}, RULES)


DEEPMOTION = Layout(
    name="deepmotion",
    networks=("denseaspp121", "denseaspp161", "denseaspp169", "denseaspp201"),
    recognise=lambda names: (
        {"features.transition4.conv.weight", "ASPP_24.conv1.weight", "classification.1.weight"}
        <= {undotted(name) for name in names}
    ),
    convert=convert,
    # The files are of PyTorch 0.3, whose bilinear enlarging aligned the corners.
    options={"align_corners": True},
    scaling=Scaling(
        mean=(0.290101, 0.328081, 0.286964),
        std=(0.182954, 0.186566, 0.184475),
    ),
    source="DeepMotionAIResearch/DenseASPP (no licence)",
)
"""Trained on Cityscapes. MobileNetDenseASPP is another network and is not recognised."""
