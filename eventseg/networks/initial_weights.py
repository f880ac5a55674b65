"""Tensors that a training starts from: of a run, of our checkpoint or of a published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.errors import CheckpointError
from eventseg.networks.checkpoints import TrainedNetwork, is_ours, restore_network
from eventseg.networks.converters.known import LAYOUTS
from eventseg.networks.converters.layout import State
from eventseg.networks.inputs import InputSpec
from eventseg.networks.named import NamedCheckpoint, parse_named
from eventseg.networks.published import (
    Published,
    load_named,
    load_published,
    published_inputs,
    sizes_of,
)
from eventseg.networks.weights import load_file, read_weights


@dataclass(frozen=True, eq=False, slots=True)
class InitialWeights:
    """Tensors of a network that has been trained, and their meaning as far as it is known.

    Parameters
    ----------
    state : dict of str to Tensor
        Tensors by our names.
    in_channels : int
        Channels of its input.
    file : Path
        File they were read from.
    source : str
        Their origin in words.
    inputs : InputSpec, optional
        Input that it was trained on; None where the file does not say.
    classes : tuple of str, optional
        Names of its classes; None where the file does not name them.
    network : str, optional
        Name of the network; None where the file does not tell it.
    frame_channels : int
        Channels of the frame, for tensors of late fusion.
    """

    state: State
    in_channels: int
    file: Path
    source: str
    inputs: InputSpec | None = None
    classes: tuple[str, ...] | None = None
    network: str | None = None
    frame_channels: int = 1


def read_initial(
    spec: str, *, network: str, options: Mapping[str, Any], unsafe_pickle: bool = False
) -> InitialWeights:
    """Read the tensors that an initialisation names.

    Parameters
    ----------
    spec : str
        Checkpoint of eventseg, published checkpoint, or ``NETWORK:PATH``.
    network : str
        Name of the network that is trained: a published file without a name is taken for one
        of it.
    options : mapping
        Options of that network.
    unsafe_pickle : bool
        Also read files that can run any code on loading.

    Raises
    ------
    CheckpointError
        No such file, or one that cannot be read or does not fit the network that it is named
        after.
    """
    file = Path(spec)
    named = None if file.exists() else parse_named(spec)
    if named is not None:
        found = load_named(named.network, named.path, unsafe_pickle=unsafe_pickle)
        if isinstance(found, TrainedNetwork):
            return _of_own(found, named.path)
        return _of_published(named, found)
    loaded = load_file(file, unsafe_pickle=unsafe_pickle)
    if is_ours(loaded):
        return _of_own(restore_network(loaded, path=file), file)
    try:
        published = load_published(network, file, unsafe_pickle=unsafe_pickle)
    except CheckpointError:
        # A part of a network, such as an encoder, or one that lacks some: its names alone decide.
        state = read_weights(file, unsafe_pickle=unsafe_pickle)
        names = frozenset(state)
        known = [layout for layout in LAYOUTS if network in layout.networks]
        layout = next((layout for layout in known if layout.recognise(names)), None)
        ours = state if layout is None else layout.convert(state)
        channels, _ = sizes_of(network, ours, dict(options))
        of_layout = "" if layout is None else f" of layout {layout.name}"
        return InitialWeights(ours, channels, file, f"tensors of {file.name}{of_layout}")
    return _of_published(NamedCheckpoint(network, file), published)


def _of_own(trained: TrainedNetwork, file: Path) -> InitialWeights:
    return InitialWeights(
        trained.network.state_dict(),
        trained.blueprint.in_channels,
        file,
        f"{trained.blueprint.name}, {trained.source or file.name}",
        trained.inputs,
        trained.classes.names,
        trained.blueprint.name,
        trained.blueprint.frame_channels,
    )


def _of_published(named: NamedCheckpoint, published: Published) -> InitialWeights:
    try:
        inputs = published_inputs(published, owner=named.path.name)
    except CheckpointError:  # nothing says what its channels hold
        inputs = None
    return InitialWeights(
        published.network.state_dict(),
        published.blueprint.in_channels,
        named.file,
        f"{named.network}, published checkpoint {named.path.name} of layout "
        f"{published.report.layout}",
        inputs,
        network=named.network,
    )
