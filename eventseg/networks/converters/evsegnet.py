"""The released weights of EV-SegNet: 679 float32 tensors by the names that Keras gave them.

A name ends in the layer's name and the variable's, such as ``block2_sepconv1/depthwise_kernel``
or ``encoder_adaption/conv_bn/conv2d_4/kernel``; the prefix differs between versions of
TensorFlow (1.14 adds ``segception_small/``) and is not needed, as no two layers have one name.

The trunk's layers are named in Keras's Xception. The others, its four shortcuts and the complete
decoder, have no name of their own: Keras numbers them by kind (``conv2d``, ``conv2d_1``, ...,
``separable_conv2d``, ``batch_normalization``) in the order in which the released code builds
them, which is the order of our modules.

Certain: the order in which the released code builds its layers, from reading it; the 679 names
and shapes that a Keras model with the same layers has in TensorFlow 2.15, and that its logits are
ours; that the index of the released checkpoint holds 679 tensors of such names, without
``segception_small/``. Checked: that TensorFlow 1.11, which wrote it, gives the numbers in the same
order, so that a checkpoint of the released code run there loads and gives its logits. The file
with the released weights themselves could not be had for a test.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import torch
from torch import nn

from eventseg.networks.blocks.xception import SeparableConv2d
from eventseg.networks.converters.layout import Layout, State
from eventseg.networks.evsegnet import EvSegNet
from eventseg.networks.inputs import Scaling

BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
SEPARABLE = {"depthwise.weight": "depthwise_kernel", "pointwise.weight": "pointwise_kernel"}
CONVOLUTION = {"weight": "kernel", "bias": "bias"}

DEPTHWISE = "depthwise_kernel"


def convert_evsegnet(state: State) -> State:
    """Return Keras's tensors by our names, kernels turned to torch's order of axes.

    Parameters
    ----------
    state : dict of str to Tensor
        Kernels (height, width, in, out), depthwise ones (height, width, channels, 1).

    Returns
    -------
    dict of str to Tensor
        Kernels (out, in, height, width), depthwise ones (channels, 1, height, width). A tensor of
        an unknown name is returned as it came.
    """
    ours = keras_names()
    converted: State = {}
    for name, tensor in state.items():
        known = ours.get(_layer_and_variable(name))
        if known is None or known in converted:
            converted[name] = tensor
        elif tensor.dim() == 4:
            axes = (2, 3, 0, 1) if name.endswith(DEPTHWISE) else (3, 2, 0, 1)
            converted[known] = tensor.permute(axes).contiguous()
        else:
            converted[known] = tensor
    return converted


@cache
def keras_names() -> dict[str, str]:
    """Return our name of each released tensor, by ``layer/variable``."""
    with torch.device("meta"):
        network = EvSegNet(6, 6)
    numbers: Counter[str] = Counter()

    def numbered(kind: str) -> str:
        numbers[kind] += 1
        return kind if numbers[kind] == 1 else f"{kind}_{numbers[kind] - 1}"

    names: dict[str, str] = {}
    for path, module in network.named_modules():
        part_of_separable = path.endswith((".depthwise", ".pointwise"))
        if isinstance(module, SeparableConv2d):
            kind, variables = "separable_conv2d", SEPARABLE
        elif isinstance(module, nn.BatchNorm2d):
            kind, variables = "batch_normalization", BATCH_NORM
        elif isinstance(module, nn.Conv2d) and not part_of_separable:
            kind, variables = "conv2d", CONVOLUTION
        else:
            continue
        named = path.startswith("encoder.") and ".shortcut" not in path
        layer = path.removeprefix("encoder.").replace(".", "_") if named else numbered(kind)
        tensors = module.state_dict()
        names |= {
            f"{layer}/{theirs}": f"{path}.{own}"
            for own, theirs in variables.items()
            if own in tensors
        }
    return names


def _layer_and_variable(name: str) -> str:
    return "/".join(name.split("/")[-2:])


def _recognise(names: frozenset[str]) -> bool:
    """Whether there are tensors of Keras's Xception and of a decoder."""
    layers = {_layer_and_variable(name) for name in names}
    return {"block14_sepconv2/pointwise_kernel", "separable_conv2d/depthwise_kernel"} <= layers


LAYOUT_EVSEGNET = Layout(
    name="evsegnet",
    networks=("evsegnet",),
    recognise=_recognise,
    convert=convert_evsegnet,
    scaling=Scaling(top=255.0, mean=(0.0,), std=(1.0,)),
    source="Shathe/Ev-SegNet, no licence stated",
)
"""Frames were fed to the released network as they are, from 0 to 255."""
