"""Table of the networks: builder, source and published sizes of each name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any

from eventseg.errors import NetworkError
from eventseg.files import is_extension, load_extension
from eventseg.networks.cgnet import CGNet
from eventseg.networks.deeplabv3 import DeepLabV3
from eventseg.networks.deeplabv3plus import DeepLabV3Plus
from eventseg.networks.denseaspp import DenseASPP
from eventseg.networks.enet import ENet
from eventseg.networks.evsegnet import EvSegNet
from eventseg.networks.fastscnn import FastSCNN
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.own import build_own
from eventseg.networks.pspnet import PSPNet
from eventseg.networks.segnet import SegNet
from eventseg.networks.smp import LibraryNetwork
from eventseg.networks.unet import UNet


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be built by name.

    Parameters
    ----------
    make : callable
        Constructor ``(in_channels, classes, **options)``.
    source : str
        Paper or report whose network it is.
    published : str
        Results as published, with data set and split; empty where there is none.
    options : mapping
        Options that the name stands for.
    """

    make: Callable[..., SegmentationNetwork]
    source: str
    published: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


ARCHITECTURES: dict[str, Architecture] = {
    "evsegnet": Architecture(
        EvSegNet,
        "Alonso and Murillo, EV-SegNet, CVPRW 2019 (Segception small)",
        "DDD17 test, 6 classes: 54.81 (events), 64.98 (gray), 68.36 (both)",
    ),
    "pspnet101": Architecture(
        PSPNet,
        "Zhao et al., PSPNet, CVPR 2017",
        "Cityscapes val: 78.63, multi-scale 79.29 (semseg); 79.76 / 81.01 (mmseg)",
        {"depth": 101},
    ),
    "pspnet50": Architecture(PSPNet, "Zhao et al., PSPNet, CVPR 2017", "", {"depth": 50}),
    "deeplabv3_resnet50": Architecture(
        DeepLabV3,
        "Chen et al., DeepLabV3, 2017, as torchvision builds it",
        "CamVid test: 61.4 (ENet study); Cityscapes val: 45 (report)",
        {"depth": 50},
    ),
    "deeplabv3_resnet101": Architecture(
        DeepLabV3, "Chen et al., DeepLabV3, 2017", "", {"depth": 101}
    ),
    "deeplabv3plus_resnet50": Architecture(
        DeepLabV3Plus,
        "Chen et al., DeepLabV3+, ECCV 2018",
        "Cityscapes val: 80.09 (mmseg, output stride 8); 56.15 (re-implementation)",
        {"trunk": "resnet50"},
    ),
    "deeplabv3plus_resnet101": Architecture(
        DeepLabV3Plus,
        "Chen et al., DeepLabV3+, ECCV 2018",
        "Cityscapes val: 76.2 (VainF); 80.97 (mmseg, output stride 8)",
        {"trunk": "resnet101"},
    ),
    "deeplabv3plus_xception": Architecture(
        DeepLabV3Plus, "Chen et al., DeepLabV3+, ECCV 2018", "", {"trunk": "xception"}
    ),
    "deeplabv3plus_mobilenetv2": Architecture(
        DeepLabV3Plus,
        "Chen et al., DeepLabV3+, ECCV 2018",
        "Cityscapes val: 72.1 (VainF)",
        {"trunk": "mobilenetv2"},
    ),
    "unet": Architecture(
        UNet,
        "Ronneberger et al., U-Net, MICCAI 2015, padded and with batch norm",
        "Cityscapes val, 10 classes: 38 (report)",
    ),
    "denseaspp121": Architecture(
        DenseASPP, "Yang et al., DenseASPP, CVPR 2018", "", {"depth": 121}
    ),
    "denseaspp161": Architecture(
        DenseASPP,
        "Yang et al., DenseASPP, CVPR 2018",
        "Cityscapes: 79.9 val, 80.6 test",
        {"depth": 161},
    ),
    "denseaspp169": Architecture(
        DenseASPP, "Yang et al., DenseASPP, CVPR 2018", "", {"depth": 169}
    ),
    "denseaspp201": Architecture(
        DenseASPP, "Yang et al., DenseASPP, CVPR 2018", "", {"depth": 201}
    ),
    "enet": Architecture(
        ENet,
        "Paszke et al., ENet, 2016",
        "Cityscapes: 58.3 test, 59.5 val (port); CamVid test: 52.3 (ENet study)",
    ),
    "segnet": Architecture(
        SegNet,
        "Badrinarayanan et al., SegNet, PAMI 2017",
        "Cityscapes test: 57.0; CamVid val: 60.88 (ENet study)",
    ),
    "cgnet": Architecture(
        CGNet,
        "Wu et al., CGNet, TIP 2021",
        "Cityscapes test: 64.8; CamVid test: 65.6, 63.2 (ENet study)",
    ),
    "fastscnn": Architecture(
        FastSCNN,
        "Poudel et al., Fast-SCNN, BMVC 2019",
        "Cityscapes: 68.0 test; 70.96 val (mmseg), 54.84 val (Tramac)",
    ),
}
"""The networks that can be built by name."""


def architecture(name: str) -> Architecture:
    """Return a network by its name, ``smp:ARCHITECTURE/ENCODER``, or ``FILE.py:NAME``.

    Raises
    ------
    NetworkError
        An unknown name: the known ones are listed.
    ExtensionError
        A file of a user's own that cannot be loaded.
    """
    if is_extension(name):
        make = load_extension(name).value
        return Architecture(partial(build_own, make, spec=name), f"own network {name}")
    if name.startswith("smp:"):
        decoder, slash, encoder = name.removeprefix("smp:").partition("/")
        if not slash or not decoder or not encoder:
            raise NetworkError(
                f"{name!r} is no smp:ARCHITECTURE/ENCODER, such as smp:Unet/resnet34"
            )
        return Architecture(
            LibraryNetwork,
            "segmentation-models-pytorch",
            options={"architecture": decoder, "encoder": encoder},
        )
    if name not in ARCHITECTURES:
        near = get_close_matches(name, ARCHITECTURES, 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise NetworkError(
            f"unknown network {name!r}{hint}; known are {', '.join(ARCHITECTURES)}, "
            "smp:ARCHITECTURE/ENCODER, and FILE.py:NAME of your own"
        )
    return ARCHITECTURES[name]
