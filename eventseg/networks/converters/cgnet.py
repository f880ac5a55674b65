"""CGNet checkpoints of wutianyiRosun/CGNet, its authors', and of mmseg."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from eventseg.networks.converters.layout import Layout, State, renamed
from eventseg.networks.inputs import Scaling

GATE = {"F_glo.fc.0.": "gate.squeeze.", "F_glo.fc.2.": "gate.excite."}

AUTHORS_BLOCK = {
    **GATE,
    "conv1x1.": "reduce.",
    "F_loc.conv.": "local.",
    "F_sur.conv.": "surroundings.",
    "bn_prelu.": "joint.",
    "bn.": "joint.bn.",
    "act.": "joint.act.",
    "reduce.conv.": "project.",
}
"""Parts of a block of the authors; those that halve the size have ``bn`` and ``act`` apart."""

MMSEG_BLOCK = {
    **GATE,
    "conv1x1.conv.": "reduce.conv.",
    "conv1x1.bn.": "reduce.bn.",
    "conv1x1.activate.": "reduce.act.",
    "F_loc.": "local.",
    "F_sur.": "surroundings.",
    "bn.": "joint.bn.",
    "activate.": "joint.act.",
    "bottleneck.": "project.",
}
"""Parts of a block of mmseg."""

AUTHORS = {
    **{f"level1_{i}.": f"stage1.{i}." for i in range(3)},
    "b1.": "inject1.",
    "bn_prelu_2.": "inject2.",
    "bn_prelu_3.": "tail.",
    # The second with dropout before it.
    "classifier.0.conv.": "logits.",
    "classifier.1.conv.": "logits.",
}
MMSEG = {
    **{
        f"backbone.stem.{i}.{part}.": f"stage1.{i}.{ours}."
        for i in range(3)
        for part, ours in (("conv", "conv"), ("bn", "bn"), ("activate", "act"))
    },
    **{
        f"backbone.bn_prelu_{i}.{part}.": f"{block}.{ours}."
        for i, block in enumerate(("inject1", "inject2", "tail"))
        for part, ours in enumerate(("bn", "act"))
    },
    "decode_head.conv_seg.": "logits.",
}

CITYSCAPES_RGB = (72.39239876, 82.90891754, 73.15835921)
"""Mean of Cityscapes as mmseg subtracts it, red first."""

MMSEG_SCALING = Scaling(top=255.0, mean=CITYSCAPES_RGB, std=(1.0, 1.0, 1.0))

AUTHORS_CITYSCAPES = Scaling(top=255.0, mean=CITYSCAPES_RGB[::-1], std=(1.0, 1.0, 1.0))
"""The authors take the mean of pictures read blue first, and subtract it from red first."""

AUTHORS_CAMVID = Scaling(top=255.0, mean=(105.658, 103.330, 99.625), std=(1.0, 1.0, 1.0))
"""The same slip on CamVid; with the mean turned round, the published weights score far less."""

CAMVID_CLASSES = 11


def authors_scaling(state: State) -> Scaling:
    """Return the scaling of the authors' training pictures: CamVid's if there are 11 classes.

    Their files of both data sets have the same names; only the number of classes tells.

    Parameters
    ----------
    state : dict of Tensor
        A file of theirs.
    """
    logits = convert_authors(state)["logits.weight"]
    return AUTHORS_CAMVID if len(logits) == CAMVID_CLASSES else AUTHORS_CITYSCAPES


def convert_authors(state: State) -> State:
    """Return the tensors of a file of wutianyiRosun/CGNet by our names.

    Weight decay has left half of the numbers in them subnormal, which a processor takes many
    times as long over: such numbers become 0. No logit of a CamVid picture changed by it.
    """
    blocks = {}
    for name in state:
        if match := re.match(r"level([23])_0\.", name):
            blocks[match[0]] = f"down{match[1]}."
        elif match := re.match(r"level([23])\.(\d+)\.", name):
            blocks[match[0]] = f"stage{match[1]}.{match[2]}."
    ours = renamed(state, AUTHORS | _rules(blocks, AUTHORS_BLOCK))
    return {name: _flushed(tensor) for name, tensor in ours.items()}


def convert_mmseg(state: State) -> State:
    """Return the tensors of a file of mmseg by our names.

    There the stages at 1/4 and 1/8 are called 1 and 2, and start with the block that halves.
    """
    blocks = {}
    for name in state:
        if match := re.match(r"backbone\.level([12])\.(\d+)\.", name):
            stage, block = int(match[1]) + 1, int(match[2])
            blocks[match[0]] = f"stage{stage}.{block - 1}." if block else f"down{stage}."
    return renamed(state, MMSEG | _rules(blocks, MMSEG_BLOCK))


def _flushed(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    subnormal = tensor.abs() < torch.finfo(tensor.dtype).tiny
    return tensor.masked_fill(subnormal, 0)


def _rules(blocks: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    return {
        block + part: our_block + our_part
        for block, our_block in blocks.items()
        for part, our_part in parts.items()
    }


def _options(ours: State) -> dict[str, Any]:
    """Return the options of the network that holds tensors of our names."""

    def blocks(stage: int) -> int:
        # One more, which halves the size.
        return 1 + len({n.split(".")[1] for n in ours if n.startswith(f"stage{stage}.")})

    return {
        "blocks_stage2": blocks(2),
        "blocks_stage3": blocks(3),
        "logits_bias": "logits.bias" in ours,
    }


WUTIANYIROSUN = Layout(
    name="wutianyirosun",
    networks=("cgnet",),
    recognise=lambda names: (
        "level2_0.F_loc.conv.weight" in names
        and bool(names & {"classifier.0.conv.weight", "classifier.1.conv.weight"})
    ),
    convert=convert_authors,
    options_of=lambda state: _options(convert_authors(state)),
    scaling=AUTHORS_CITYSCAPES,
    scaling_of=authors_scaling,
    source="wutianyiRosun/CGNet (MIT)",
)
"""Trained on Cityscapes or CamVid: see :func:`authors_scaling`."""

MMSEG_CGNET = Layout(
    name="mmseg",
    networks=("cgnet",),
    recognise=lambda names: (
        {"backbone.stem.0.conv.weight", "backbone.level1.0.F_loc.weight"} <= names
    ),
    convert=convert_mmseg,
    options_of=lambda state: _options(convert_mmseg(state)),
    scaling=MMSEG_SCALING,
    source="open-mmlab/mmsegmentation (Apache-2.0)",
)
"""Trained on Cityscapes."""
