"""ENet checkpoints of davidtvs/PyTorch-ENet."""

from __future__ import annotations

from eventseg.networks.converters.layout import Layout, renamed
from eventseg.networks.inputs import Scaling

BLOCK = {
    "ext_conv1.": "reduce.",
    "ext_conv2.": "middle.",
    "ext_conv3.": "expand.",
    "out_activation.": "activation.",
}
"""Parts of a bottleneck that keeps or halves the size."""

UP_BLOCK = {
    "main_conv1.": "shortcut.",
    "ext_conv1.": "reduce.",
    "ext_tconv1.": "enlarge.",
    "ext_tconv1_bnorm.": "middle.0.",
    "ext_conv2.": "expand.",
}
"""Parts of a bottleneck that doubles the size; its activations are ReLUs, without tensors."""

KINDS = ("regular", "dilated", "asymmetric", "dilated") * 2
"""Names of the bottlenecks of stages 2 and 3."""

BLOCKS = {
    "downsample1_0.": "down1.",
    **{f"regular1_{n}.": f"stage1.{n - 1}." for n in (1, 2, 3, 4)},
    "downsample2_0.": "down2.",
    # Stage 2 counts its downsampling as 0, stage 3 has none.
    **{f"{kind}2_{n}.": f"stage2.{n - 1}." for n, kind in enumerate(KINDS, 1)},
    **{f"{kind}3_{n}.": f"stage3.{n}." for n, kind in enumerate(KINDS)},
    "regular4_1.": "stage4.0.",
    "regular4_2.": "stage4.1.",
    "regular5_1.": "stage5.0.",
}
UP_BLOCKS = {"upsample4_0.": "up4.", "upsample5_0.": "up5."}

RULES = {
    "initial_block.main_branch.": "stem.convolution.",
    "initial_block.batch_norm.": "stem.norm.",
    "initial_block.out_activation.": "stem.activation.",
    **{
        block + part: our_block + our_part
        for blocks, parts in ((BLOCKS, BLOCK), (UP_BLOCKS, UP_BLOCK))
        for block, our_block in blocks.items()
        for part, our_part in parts.items()
    },
    "transposed_conv.": "logits.",
}
"""Beginning of a name there, and ours."""

DAVIDTVS = Layout(
    name="davidtvs",
    networks=("enet",),
    recognise=lambda names: (
        {
            "initial_block.main_branch.weight",
            "initial_block.out_activation.weight",
            "transposed_conv.weight",
        }
        <= names
    ),
    convert=lambda state: renamed(state, RULES),
    options={"definition": "port"},
    scaling=Scaling(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    void_first=True,
    source="davidtvs/PyTorch-ENet (MIT)",
)
"""The names since activations are no longer shared. Files of older versions, with ``out_prelu``,
hold another network (its upsampling bottlenecks end in one more ReLU) and are not recognised."""
