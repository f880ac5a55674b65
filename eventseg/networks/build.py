"""A network by name, with any number of channels and classes."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from eventseg.errors import CheckpointError, NetworkError, known_names
from eventseg.networks.blocks.late_fusion import LateFusion
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.weights import read_weights
from eventseg.networks.zoo import ARCHITECTURES, architecture

Fusion = Literal["early", "late"]


def build_network(
    name: str,
    *,
    in_channels: int,
    classes: int,
    init: str = "random",
    fusion: Fusion = "early",
    frame_channels: int = 1,
    frozen_batch_norm: bool = False,
    **options: Any,
) -> SegmentationNetwork:
    """Build a network.

    Parameters
    ----------
    name : str
        A key of :data:`eventseg.networks.ARCHITECTURES`, ``smp:ARCHITECTURE/ENCODER``, or
        ``FILE.py:NAME``: a class or function in a file of your own, called as
        ``NAME(in_channels, classes, **options)``, that gives a module which returns logits.
    in_channels : int
        Channels of the input: 3 for RGB, 1 for gray, 6 for events, 7 for gray and events.
    classes : int
        Classes of the logits.
    init : str
        ``random``; ``imagenet`` for the trunk that torchvision has weights of, which it fetches
        once; ``imagenet:PATH`` for the same from a local file. The first convolution is inflated
        to the number of channels.
    fusion : {"early", "late"}
        One network over all channels, or two over the first ``frame_channels`` and the others,
        their logits averaged.
    frame_channels : int
        Channels of the frame, for late fusion.
    frozen_batch_norm : bool
        Whether batch norms keep their statistics, scales and shifts.
    **options
        Options of the network's class.

    Returns
    -------
    SegmentationNetwork
        float (N, in_channels, H, W) to logits (N, classes, H, W).

    Raises
    ------
    NetworkError
        An unknown name, option or initialisation, or no channels or classes.
    CheckpointError
        A file of initial weights that does not fit.
    ExtensionError
        A file of your own that cannot be loaded.

    Examples
    --------
    >>> network = build_network("fastscnn", in_channels=6, classes=6)
    """
    if fusion == "late":
        if not 0 < frame_channels < in_channels:
            raise NetworkError(
                f"late fusion needs channels of frame and events, got {in_channels} with "
                f"{frame_channels} of the frame"
            )
        network: SegmentationNetwork = LateFusion(
            _build(name, frame_channels, classes, options),
            _build(name, in_channels - frame_channels, classes, options),
        )
    elif fusion == "early":
        network = _build(name, in_channels, classes, options)
    else:
        raise NetworkError(f"fusion must be early or late, got {fusion!r}")
    if init != "random":
        load_imagenet(network, name=name, init=init)
    return network.freeze_batch_norm() if frozen_batch_norm else network


def _build(
    name: str, in_channels: int, classes: int, options: dict[str, Any]
) -> SegmentationNetwork:
    chosen = architecture(name)
    make = chosen.make
    _check_options(name, options, signature(make).parameters)
    try:
        return make(in_channels, classes, **{**chosen.options, **options})
    except (NetworkError, CheckpointError):
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{option}={value!r}" for option, value in options.items())
        raise NetworkError(
            f"{name} cannot be built{' with ' if given else ''}{given}: {error}"
        ) from error


def _check_options(
    name: str, options: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> None:
    """Raise a NetworkError for an option that the constructor does not have."""
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    known = [option for option in parameters if option not in ("in_channels", "classes")]
    for option in options:
        if option not in known:
            raise NetworkError(
                f"{name} cannot be built: no option {option!r}{known_names(option, known)}"
            )


def load_imagenet(network: SegmentationNetwork, *, name: str, init: str) -> None:
    """Load ImageNet weights into the trunk of a network, or into both of late fusion.

    Parameters
    ----------
    network : SegmentationNetwork
    name : str
        Its name, for errors.
    init : str
        ``imagenet``, or ``imagenet:PATH`` for a local file.

    Raises
    ------
    NetworkError
        Another initialisation, or a trunk that torchvision has no weights of.
    CheckpointError
        A file that cannot be had or does not fit; nothing is loaded then.
    """
    kind, _, path = init.partition(":")
    if kind != "imagenet":
        raise NetworkError(f"init must be random, imagenet or imagenet:PATH, got {init!r}")
    parts = (network.of_frame, network.of_events) if isinstance(network, LateFusion) else (network,)
    for part in parts:
        trunk = part.imagenet_trunk()
        if trunk is None:
            having = [n for n in ARCHITECTURES if _has_trunk(n)]
            raise NetworkError(
                f"torchvision has no ImageNet weights for the trunk of {name}; it has them for "
                f"{', '.join(having)}"
            )
        part.load_trunk(read_weights(Path(path)) if path else _fetched(trunk))


def _has_trunk(name: str) -> bool:
    with torch.device("meta"):
        return build_network(name, in_channels=3, classes=2).imagenet_trunk() is not None


def imagenet_source(network: SegmentationNetwork) -> str:
    """Return torchvision's file of the ImageNet weights of a trunk; its name holds a digest.

    Such as ``resnet50-11ad3fa6.pth``, eight digits of the SHA-256 that torchvision checks; empty
    for a network whose trunk has none.
    """
    from torchvision.models import get_model_weights

    part = network.of_frame if isinstance(network, LateFusion) else network
    trunk = part.imagenet_trunk()
    if trunk is None:
        return ""
    url: str = get_model_weights(trunk)["DEFAULT"].url
    return url.rpartition("/")[2]


def _fetched(trunk: str) -> dict[str, Tensor]:
    """Return torchvision's default ImageNet weights of a trunk, from its cache or the network."""
    from torchvision.models import get_model_weights

    try:
        weights = get_model_weights(trunk)["DEFAULT"]
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot fetch the ImageNet weights of {trunk}: {error}; give a local file as "
            "imagenet:PATH"
        ) from error
    return state
