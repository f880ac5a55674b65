"""Table of the networks: builder, source and published sizes of each name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from eventseg.errors import NetworkError, known_names
from eventseg.files.extensions import is_extension, load_extension

if TYPE_CHECKING:
    from eventseg.networks.network import SegmentationNetwork


class Size(NamedTuple):
    """Size of a network for 6 channels and 6 classes, and its cost for an input of 352x256.

    Parameters
    ----------
    parameters : int
        Trainable parameters.
    gmac : float
        Multiply-accumulates of one forward pass in 10^9, to two decimals.
    stride : int
        Output stride: that of the smallest convolved map.
    """

    parameters: int
    gmac: float
    stride: int


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network that can be built by name.

    Parameters
    ----------
    constructor : str or callable
        Called as ``(in_channels, classes, **options)``. ``MODULE:CLASS`` stands for a class of
        this package whose module is loaded when a network is built, so that names and sizes are
        read without torch.
    size : Size, optional
        Known size; without it, :func:`eventseg.networks.cost.cost` computes it.
    source : str
        Paper or report whose network it is.
    published : str
        Results as published, with data set and split; empty where there is none.
    options : mapping
        Options that the name stands for.
    learning_rate : float
        Rate at which Adam teaches it from random weights: measured on simulated streets (see
        ``docs/learning.md``) or else 1e-3.
    """

    constructor: str | Callable[..., SegmentationNetwork]
    size: Size | None
    source: str
    published: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 1e-3

    @property
    def make(self) -> Callable[..., SegmentationNetwork]:
        """Constructor, loaded."""
        if not isinstance(self.constructor, str):
            return self.constructor
        module, _, name = self.constructor.partition(":")
        loaded: Callable[..., SegmentationNetwork]
        loaded = getattr(import_module(f"eventseg.networks.{module}"), name)
        return loaded


ARCHITECTURES: dict[str, Architecture] = {
    "evsegnet": Architecture(
        "evsegnet:EvSegNet",
        Size(22_863_406, 10.63, 32),
        "Alonso and Murillo, EV-SegNet, CVPRW 2019 (Segception small)",
        "DDD17 test, 6 classes: 54.81 (events), 64.98 (gray), 68.36 (both)",
        learning_rate=9e-3,
    ),
    "pspnet101": Architecture(
        "pspnet:PSPNet",
        Size(65_702_534, 90.03, 8),
        "Zhao et al., PSPNet, CVPR 2017",
        "Cityscapes val: 78.63, multi-scale 79.29 (semseg); 79.76 / 81.01 (mmseg)",
        {"depth": 101},
    ),
    "pspnet50": Architecture(
        "pspnet:PSPNet",
        Size(46_710_406, 63.37, 8),
        "Zhao et al., PSPNet, CVPR 2017",
        "",
        {"depth": 50},
    ),
    "deeplabv3_resnet50": Architecture(
        "deeplabv3:DeepLabV3",
        Size(39_644_422, 56.44, 8),
        "Chen et al., DeepLabV3, 2017, as torchvision builds it",
        "CamVid test: 61.4 (ENet study); Cityscapes val: 45 (report)",
        {"depth": 50},
    ),
    "deeplabv3_resnet101": Architecture(
        "deeplabv3:DeepLabV3",
        Size(58_636_550, 83.10, 8),
        "Chen et al., DeepLabV3, 2017",
        "",
        {"depth": 101},
    ),
    "deeplabv3plus_resnet50": Architecture(
        "deeplabv3plus:DeepLabV3Plus",
        Size(39_767_398, 20.66, 16),
        "Chen et al., DeepLabV3+, ECCV 2018",
        "Cityscapes val: 80.09 (mmseg, output stride 8); 56.15 (re-implementation)",
        {"trunk": "resnet50"},
    ),
    "deeplabv3plus_resnet101": Architecture(
        "deeplabv3plus:DeepLabV3Plus",
        Size(58_759_526, 27.33, 16),
        "Chen et al., DeepLabV3+, ECCV 2018",
        "Cityscapes val: 76.2 (VainF); 80.97 (mmseg, output stride 8)",
        {"trunk": "resnet101"},
    ),
    "deeplabv3plus_xception": Architecture(
        "deeplabv3plus:DeepLabV3Plus",
        Size(37_047_534, 18.82, 16),
        "Chen et al., DeepLabV3+, ECCV 2018",
        "",
        {"trunk": "xception"},
    ),
    "deeplabv3plus_mobilenetv2": Architecture(
        "deeplabv3plus:DeepLabV3Plus",
        Size(5_222_726, 5.82, 16),
        "Chen et al., DeepLabV3+, ECCV 2018",
        "Cityscapes val: 72.1 (VainF)",
        {"trunk": "mobilenetv2"},
    ),
    "unet": Architecture(
        "unet:UNet",
        Size(31_039_686, 66.41, 16),
        "Ronneberger et al., U-Net, MICCAI 2015, padded and with batch norm",
        "Cityscapes val, 10 classes: 38 (report)",
    ),
    "denseaspp121": Architecture(
        "denseaspp:DenseASPP",
        Size(8_279_430, 13.46, 8),
        "Yang et al., DenseASPP, CVPR 2018",
        "",
        {"depth": 121},
    ),
    "denseaspp161": Architecture(
        "denseaspp:DenseASPP",
        Size(35_386_854, 53.54, 8),
        "Yang et al., DenseASPP, CVPR 2018",
        "Cityscapes: 79.9 val, 80.6 test",
        {"depth": 161},
    ),
    "denseaspp169": Architecture(
        "denseaspp:DenseASPP",
        Size(18_408_334, 27.61, 8),
        "Yang et al., DenseASPP, CVPR 2018",
        "",
        {"depth": 169},
    ),
    "denseaspp201": Architecture(
        "denseaspp:DenseASPP",
        Size(28_621_302, 41.88, 8),
        "Yang et al., DenseASPP, CVPR 2018",
        "",
        {"depth": 201},
    ),
    "enet": Architecture(
        "enet:ENet",
        Size(349_977, 0.66, 8),
        "Paszke et al., ENet, 2016",
        "Cityscapes: 58.3 test, 59.5 val (port); CamVid test: 52.3 (ENet study)",
        learning_rate=5e-3,
    ),
    "segnet": Architecture(
        "segnet:SegNet",
        Size(29_448_198, 55.43, 16),
        "Badrinarayanan et al., SegNet, PAMI 2017",
        "Cityscapes test: 57.0; CamVid val: 60.88 (ENet study)",
    ),
    "cgnet": Architecture(
        "cgnet:CGNet",
        Size(499_044, 1.19, 8),
        "Wu et al., CGNet, TIP 2021",
        "Cityscapes test: 64.8; CamVid test: 65.6, 63.2 (ENet study)",
        learning_rate=1e-2,
    ),
    "fastscnn": Architecture(
        "fastscnn:FastSCNN",
        Size(1_137_238, 0.31, 32),
        "Poudel et al., Fast-SCNN, BMVC 2019",
        "Cityscapes: 68.0 test; 70.96 val (mmseg), 54.84 val (Tramac)",
        learning_rate=2e-2,
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
        # Loaded here, as all networks are: names are read without torch.
        from eventseg.networks.own import build_own

        make = partial(build_own, load_extension(name).value, spec=name)
        return Architecture(make, None, f"own network {name}")
    if name.startswith("smp:"):
        decoder, slash, encoder = name.removeprefix("smp:").partition("/")
        if not slash or not decoder or not encoder:
            raise NetworkError(
                f"{name!r} is no smp:ARCHITECTURE/ENCODER, such as smp:Unet/resnet34"
            )
        return Architecture(
            "smp:LibraryNetwork",
            None,
            "segmentation-models-pytorch",
            options={"architecture": decoder, "encoder": encoder},
        )
    if name not in ARCHITECTURES:
        listed = (
            "eventseg networks lists all; or give smp:ARCHITECTURE/ENCODER, or FILE.py:NAME of "
            "your own"
        )
        raise NetworkError(
            f"unknown network {name!r}{known_names(name, list(ARCHITECTURES), listed=listed)}"
        )
    return ARCHITECTURES[name]


def is_foreign(name: str) -> bool:
    """Return whether the code of a network is not of this project: a user's own, or ``smp:``."""
    return is_extension(name) or name.startswith("smp:")


def usual_learning_rate(name: str, *, optimiser: str) -> float:
    """Return the learning rate that a network is trained at where none is given.

    Parameters
    ----------
    name : str
        As for :func:`architecture`.
    optimiser : str
        ``adam`` and ``adamw`` have the network's own rate, ``sgd`` 0.01 and others 1e-3.
    """
    if optimiser in ("adam", "adamw"):
        return architecture(name).learning_rate
    return 1e-2 if optimiser == "sgd" else 1e-3
