"""Known layouts of published checkpoints, in the order they are tried."""

from eventseg.networks.converters import (
    cgnet,
    denseaspp,
    enet,
    evsegnet,
    fastscnn,
    mmseg_resnet,
    segnet,
    semseg,
    torchvision_deeplabv3,
    unet,
    vainf,
)
from eventseg.networks.converters.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    evsegnet.LAYOUT_EVSEGNET,
    semseg.PSPNET,
    mmseg_resnet.PSPNET,
    mmseg_resnet.DEEPLABV3PLUS,
    torchvision_deeplabv3.DEEPLABV3,
    vainf.DEEPLABV3,
    vainf.DEEPLABV3PLUS,
    enet.DAVIDTVS,
    segnet.MEETSHAH1995,
    unet.MILESIAL,
    denseaspp.DEEPMOTION,
    cgnet.WUTIANYIROSUN,
    cgnet.MMSEG_CGNET,
    fastscnn.TRAMAC,
    fastscnn.MMSEG_FASTSCNN,
)
"""Every layout that can be read; the first that recognises a file is taken."""
