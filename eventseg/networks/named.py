"""Published checkpoints by one text, ``NETWORK:PATH``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from eventseg.errors import CheckpointError
from eventseg.networks.shipped import shipped_file
from eventseg.networks.zoo import ARCHITECTURES


class NamedCheckpoint(NamedTuple):
    """Checkpoint of another project and the network that it holds.

    Parameters
    ----------
    network : str
        Name of the network.
    path : Path
        File of torch, or beginning of a TensorFlow checkpoint's names.
    """

    network: str
    path: Path

    @property
    def file(self) -> Path:
        """File whose digest stands for the weights: of a TensorFlow checkpoint its index."""
        index = self.path.with_name(f"{self.path.name}.index")
        return index if index.is_file() and not self.path.is_file() else self.path

    @property
    def name(self) -> str:
        """Network and file name, ``NETWORK:FILE``."""
        return f"{self.network}:{self.path.name}"

    @property
    def folder_name(self) -> str:
        """Name for a folder of results."""
        return f"{self.network}-{self.path.stem}".replace("/", "_").replace(":", "_")


def absolute_init(init: str) -> str:
    """Return the setting ``network.init`` with an absolute path where it names a file or folder.

    Examples
    --------
    >>> absolute_init("imagenet")
    'imagenet'
    """
    if init in ("random", "imagenet") or shipped_file(init) is not None:
        return init
    if init.startswith("imagenet:"):
        return f"imagenet:{Path(init.removeprefix('imagenet:')).absolute()}"
    named = None if Path(init).exists() else parse_named(init)
    if named is not None:
        return f"{named.network}:{named.path.absolute()}"
    return str(Path(init).absolute())


def parse_named(spec: str) -> NamedCheckpoint | None:
    """Return network and path of ``NETWORK:PATH``; None for a text that names no network.

    Raises
    ------
    CheckpointError
        A network without a path.

    Examples
    --------
    >>> parse_named("smp:Unet/resnet34:unet.pth").network
    'smp:Unet/resnet34'
    >>> parse_named("runs/fastscnn") is None
    True
    """
    network, colon, rest = spec.partition(":")
    if network == "smp" and colon:
        architecture, colon, rest = rest.partition(":")
        network = f"smp:{architecture}"
    if network not in ARCHITECTURES and not network.startswith("smp:"):
        return None
    if not rest:
        raise CheckpointError(f"{spec!r} names no file: it must be {network}:PATH")
    return NamedCheckpoint(network, Path(rest))
