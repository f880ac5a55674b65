"""A trained network in one file, with all that is needed to use it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from eventseg.encoding.settings import Encoding
from eventseg.errors import CheckpointError, ExtensionError, NetworkError
from eventseg.files.extensions import absolute_extension, is_extension, load_extension
from eventseg.files.whole import write_whole
from eventseg.labels.maps import ClassTable
from eventseg.labels.tables import table_entries, table_of_entries
from eventseg.networks.build import Fusion, build_network
from eventseg.networks.inputs import InputSpec, Scaling
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.shipped import shipped_file
from eventseg.networks.weights import load_file
from eventseg.networks.zoo import is_foreign

FORMAT = "eventseg network 1"
"""What a file of ours holds under ``format``."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Arguments of :func:`eventseg.networks.build_network` except ``init``.

    For a network of a user's own, ``FILE.py:NAME``, the path becomes absolute, and
    ``code_sha256`` is the digest of the file: without it that of the file as it is now.
    """

    name: str
    in_channels: int
    classes: int
    fusion: Fusion = "early"
    frame_channels: int = 1
    frozen_batch_norm: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    code_sha256: str = ""

    def __post_init__(self) -> None:
        if is_extension(self.name) and not self.code_sha256:
            object.__setattr__(self, "name", absolute_extension(self.name))
            object.__setattr__(self, "code_sha256", load_extension(self.name).sha256)

    def build(self, *, init: str = "random", weights_follow: bool = False) -> SegmentationNetwork:
        """Build the network.

        Parameters
        ----------
        init : str
            As for :func:`eventseg.networks.build_network`.
        weights_follow : bool
            Whether weights are loaded next, so that those of ``smp:`` encoders are not fetched.

        Raises
        ------
        ExtensionError
            The file of a user's own network is not there or has changed.
        """
        name = self.name
        if self.code_sha256:
            own = load_extension(name, sha256=self.code_sha256)
            name = f"{own.path}:{own.name}"
        options = dict(self.options)
        if weights_follow and name.startswith("smp:"):
            options.pop("weights", None)
        return build_network(
            name,
            in_channels=self.in_channels,
            classes=self.classes,
            init=init,
            fusion=self.fusion,
            frame_channels=self.frame_channels,
            frozen_batch_norm=self.frozen_batch_norm,
            **options,
        )

    def build_for_shapes(self) -> SegmentationNetwork:
        """Build the network for the names and shapes of its tensors; their values mean nothing.

        They are on the device meta, which holds none; those of foreign code, which may compute with
        its weights when it is built, are on the CPU. No random number is drawn from torch's own
        generator.
        """
        device = "cpu" if is_foreign(self.name) else "meta"
        with torch.random.fork_rng(devices=[]), torch.device(device):
            return self.build(weights_follow=True)


@dataclass(frozen=True, eq=False, slots=True)
class TrainedNetwork:
    """A network with weights, in evaluation mode.

    Parameters
    ----------
    network : SegmentationNetwork
    blueprint : Blueprint
        How it was built.
    inputs : InputSpec
        Input that it was trained on.
    classes : ClassTable
        Classes of its logits.
    source : str
        Where the weights come from, in words.
    """

    network: SegmentationNetwork
    blueprint: Blueprint
    inputs: InputSpec
    classes: ClassTable
    source: str = ""


def save_network(path: str | Path, trained: TrainedNetwork, **extra: Any) -> None:
    """Write a network to a file by way of a temporary name.

    Parameters
    ----------
    path : path
        The file.
    trained : TrainedNetwork
    **extra
        Further plain values and tensors to keep beside it, such as the optimiser's state.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    content = {
        "format": FORMAT,
        "blueprint": blueprint_table(trained.blueprint),
        "inputs": inputs_table(trained.inputs),
        "classes": table_entries(trained.classes),
        "source": trained.source,
        "state_dict": trained.network.state_dict(),
        **extra,
    }
    # Into memory first: torch reports a full disk as an error of its own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(Path(path), lambda file: file.write(buffer.getbuffer()))


def load_network(path: str | Path) -> TrainedNetwork:
    """Read a network that :func:`save_network` wrote; on the CPU, in evaluation mode.

    Parameters
    ----------
    path : path
        The file, or the name of a shipped network, see :data:`eventseg.networks.SHIPPED`.

    Raises
    ------
    CheckpointError
        No such file, a damaged one, or one of another project; or of a network of a user's own
        whose file is not there or has changed.

    Examples
    --------
    >>> len(load_network(run.path / "best.pt").classes)
    19
    >>> load_network("street-fastscnn").inputs.windows[0]
    '10ms'
    """
    file = shipped_file(path) or Path(path)
    return restore_network(load_file(file), path=file)


def load_without_values(path: str | Path) -> TrainedNetwork:
    """Read what a file states about a network, without the values of its weights.

    The tensors of the network have shapes and types alone, on the device ``meta``: it can be
    described and counted, and cannot be called.

    Parameters
    ----------
    path : path
        As for :func:`load_network`.

    Raises
    ------
    CheckpointError
        As for :func:`load_network`; damaged values are not noticed.
    """
    file = shipped_file(path) or Path(path)
    return restore_network(load_file(file, values=False), path=file, values=False)


def read_inputs(path: str | Path) -> InputSpec:
    """Return the input that a file of ours states, without its weights and without its network.

    Parameters
    ----------
    path : path
        As for :func:`load_network`.

    Raises
    ------
    CheckpointError
        No such file, a damaged one, or one of another project or version.
    """
    file = shipped_file(path) or Path(path)
    loaded = load_file(file, values=False)
    _check_is_ours(loaded, path=file)
    try:
        return inputs_of(loaded["inputs"])
    except (KeyError, TypeError, ValueError, NetworkError) as error:
        raise _damaged(file, error) from error


def is_ours(loaded: Any) -> bool:
    """Return whether an object read from a file was written by :func:`save_network`."""
    return isinstance(loaded, Mapping) and str(loaded.get("format", "")).startswith("eventseg")


def restore_network(loaded: Any, *, path: Path, values: bool = True) -> TrainedNetwork:
    """Return the network in an object read from a file of ours.

    Parameters
    ----------
    loaded : object
        From :func:`eventseg.networks.weights.load_file`.
    path : Path
        The file, for messages.
    values : bool
        Whether the tensors were loaded with their values.

    Raises
    ------
    CheckpointError
        It is not of ours, of another version, or its parts do not fit each other.
    """
    _check_is_ours(loaded, path=path)
    try:
        blueprint = Blueprint(**loaded["blueprint"])
        inputs = loaded["inputs"]
        network = blueprint.build(weights_follow=True) if values else blueprint.build_for_shapes()
        network.load_state_dict(loaded["state_dict"], assign=not values)
        classes = table_of_entries(loaded["classes"])
        if not len(classes.names) == len(classes.colours) == network.classes:
            raise NetworkError(
                f"{network.classes} classes with {len(classes.names)} names and "
                f"{len(classes.colours)} colours"
            )
        return TrainedNetwork(
            network.eval(),
            blueprint,
            inputs_of(inputs),
            classes,
            loaded["source"],
        )
    except ExtensionError as error:
        raise CheckpointError(f"{path} needs the code it was trained with: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, NetworkError) as error:
        raise _damaged(path, error) from error


def _check_is_ours(loaded: Any, *, path: Path) -> None:
    """Raise a CheckpointError for an object of another project or version."""
    if not is_ours(loaded):
        raise CheckpointError(
            f"{path} was not written by eventseg; for a published checkpoint name its network, "
            "as in pspnet101:PATH"
        )
    if loaded["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {loaded['format']!r}, this version reads {FORMAT!r}"
        )


def _damaged(path: Path, error: Exception) -> CheckpointError:
    """Return the error of a file of ours whose parts are missing or do not fit."""
    first = str(error).strip().splitlines()[0]
    return CheckpointError(f"{path} is damaged or of another version: {first}")


def blueprint_table(blueprint: Blueprint) -> dict[str, Any]:
    """Return a blueprint as plain values."""
    return {**asdict(blueprint), "options": dict(blueprint.options)}


def inputs_table(inputs: InputSpec) -> dict[str, Any]:
    """Return an input specification as plain values."""
    encoding = None if inputs.encoding is None else inputs.encoding.to_dict()
    # Without the encoding, which asdict would take apart.
    return {**asdict(replace(inputs, encoding=None)), "encoding": encoding}


def inputs_of(table: Mapping[str, Any]) -> InputSpec:
    """Return the specification that :func:`inputs_table` gave; older files lack an encoding."""
    encoding = table.get("encoding")
    scaling = table["scaling"]
    parts = {
        # JSON has no tuples.
        "scaling": Scaling(
            **{**scaling, "mean": tuple(scaling["mean"]), "std": tuple(scaling["std"])}
        ),
        "windows": tuple(table["windows"]),
        "size": None if table["size"] is None else tuple(table["size"]),
        "encoding": None if encoding is None else Encoding.from_dict(encoding),
    }
    return InputSpec(**{**table, **parts})
