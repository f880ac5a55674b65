"""U-Net checkpoints of milesial/Pytorch-UNet."""

from __future__ import annotations

from typing import Any

from eventseg.networks.converters.layout import Layout, State, renamed
from eventseg.networks.inputs import Scaling

RULES = {
    "inc.double_conv.": "encoder.0.",
    **{f"down{n}.maxpool_conv.1.double_conv.": f"encoder.{n}." for n in (1, 2, 3, 4)},
    **{f"up{n}.up.": f"up.{n - 1}." for n in (1, 2, 3, 4)},
    **{f"up{n}.conv.double_conv.": f"decoder.{n - 1}." for n in (1, 2, 3, 4)},
    "outc.conv.": "logits.",
}
"""Beginning of a name there, and ours."""


def _options(state: State) -> dict[str, Any]:
    """Return the width of the first level, and how maps are enlarged: that shows in the names."""
    return {
        "base_width": state["inc.double_conv.0.weight"].shape[0],
        "upsampling": "transposed" if "up1.up.weight" in state else "bilinear",
    }


MILESIAL = Layout(
    name="milesial",
    networks=("unet",),
    recognise=lambda names: {"inc.double_conv.0.weight", "outc.conv.weight"} <= names,
    convert=lambda state: renamed(state, RULES),
    options_of=_options,
    scaling=Scaling(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    source="milesial/Pytorch-UNet (GPL-3.0)",
)
"""Either way of upsampling. At sizes that are no multiple of 16 the bilinear network there pads
enlarged maps with zeros; ours enlarges them to the size they should have."""
