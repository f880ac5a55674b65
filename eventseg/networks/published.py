"""Published checkpoints: recognised by their tensors, and loaded completely or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.checkpoints import (
    Blueprint,
    TrainedNetwork,
    is_ours,
    restore_network,
)
from eventseg.networks.converters.known import LAYOUTS
from eventseg.networks.converters.layout import Layout, State
from eventseg.networks.inputs import InputKind, InputSpec, Scaling
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.weights import load_file, read_weights, tensors_of
from eventseg.networks.zoo import architecture

SHOWN = 4
"""Names that an error shows of each kind."""

EVSEGNET_SIZE = (224, 352)
"""Height and width that the released code of EV-SegNet resizes its inputs to."""

OWN_LAYOUT = "eventseg"
"""Name of the layout of files with our tensor names."""

COUNTER = "num_batches_tracked"
"""Ending of the counters of batch norms, which old files lack and inference does not use."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Report of loading a checkpoint: tensor names by outcome.

    Parameters
    ----------
    layout : str
        The project whose names the file uses.
    matched, missing, unexpected, mismatched, ignored : tuple of str
        Loaded; not in the file; not in the network; of another shape; known to carry nothing.
    """

    layout: str
    matched: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every tensor of the network was loaded and every one of the file used."""
        return not (self.missing or self.unexpected or self.mismatched)

    def lines(self) -> list[str]:
        """Return the report in words, one line a kind."""
        lines = [f"layout {self.layout}: {len(self.matched)} tensors matched"]
        for kind in ("missing", "unexpected", "mismatched", "ignored"):
            names: tuple[str, ...] = getattr(self, kind)
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                lines.append(f"{len(names)} {kind}: {', '.join(names[:SHOWN])}{more}")
        return lines


@dataclass(frozen=True, eq=False, slots=True)
class Published:
    """A network with published weights.

    Parameters
    ----------
    network : SegmentationNetwork
        The network in evaluation mode.
    blueprint : Blueprint
        How it was built.
    scaling : Scaling
        Scaling of the pictures that it was trained on.
    report : LoadReport
    void_first : bool
        Whether a class for unlabelled pixels, where the file has one, is its first.
    """

    network: SegmentationNetwork
    blueprint: Blueprint
    scaling: Scaling
    report: LoadReport
    void_first: bool = False


def load_published(name: str, path: str | Path, *, unsafe_pickle: bool = False) -> Published:
    """Build the network that a published checkpoint holds, and load it.

    The layout is recognised by the names in the file; options, channels and classes follow from
    its tensors.

    Parameters
    ----------
    name : str
        Name of the network.
    path : path
        File of torch, or beginning of a TensorFlow checkpoint's names.
    unsafe_pickle : bool
        Also read files that hold more than plain values: they can run any code on loading.

    Raises
    ------
    CheckpointError
        A file that cannot be read, is of no known layout of this network, or does not fit it
        tensor by tensor. Nothing is ever loaded in part.
    NetworkError
        An unknown name.
    """
    architecture(name)
    return _published(name, read_weights(Path(path), unsafe_pickle=unsafe_pickle), path=Path(path))


def _published(name: str, state: State, *, path: Path) -> Published:
    layout = _layout(name, state, path=path)
    ignored = tuple(n for n in state if n.startswith(layout.ignored)) if layout.ignored else ()
    kept = {n: tensor for n, tensor in state.items() if n not in set(ignored)}
    options = {**layout.options, **(layout.options_of(kept) if layout.options_of else {})}
    ours = layout.convert(kept)
    in_channels, classes = sizes_of(name, ours, options)
    blueprint = Blueprint(name, in_channels, classes, options=options)
    network = blueprint.build()
    report = load_state(network, ours, layout=layout.name, ignored=ignored)
    if not report.whole:
        raise CheckpointError(f"{path} does not fit {name}: {'; '.join(report.lines())}")
    scaling = layout.scaling_of(kept) if layout.scaling_of else layout.scaling
    return Published(network.eval(), blueprint, scaling, report, layout.void_first)


def load_named(name: str, path: Path, *, unsafe_pickle: bool = False) -> TrainedNetwork | Published:
    """Load the checkpoint that ``NETWORK:PATH`` names, of eventseg or of another project.

    A file that eventseg wrote states its inputs and classes, and is taken by what it states: its
    tensor names alone may be those of another project, whose scaling and classes are not its own.

    Parameters
    ----------
    name : str
        Name of the network.
    path : Path
        File of torch, or beginning of a TensorFlow checkpoint's names.
    unsafe_pickle : bool
        As for :func:`load_published`.

    Returns
    -------
    TrainedNetwork or Published
        The first for a checkpoint of eventseg.

    Raises
    ------
    CheckpointError
        As :func:`load_published`, and a checkpoint of eventseg that holds another network.
    NetworkError
        An unknown name.
    """
    architecture(name)
    if path.suffix == ".index" or not path.is_file():  # of TensorFlow, or none
        return load_published(name, path, unsafe_pickle=unsafe_pickle)
    loaded = load_file(path, unsafe_pickle=unsafe_pickle)
    if not is_ours(loaded):
        return _published(name, tensors_of(loaded, path=path), path=path)
    trained = restore_network(loaded, path=path)
    if trained.blueprint.name != name:
        raise CheckpointError(f"{path} holds the network {trained.blueprint.name}, not {name}")
    return trained


def published_inputs(published: Published, *, owner: str) -> InputSpec:
    """Return the input that a published network was trained on, as its layout states it.

    Pictures keep their own size, except in EV-SegNet, which sees 352x224 by its own rule of
    resizing.

    Raises
    ------
    CheckpointError
        Channels of which the layout does not say what they are.
    """
    channels, scaling = published.blueprint.in_channels, published.scaling
    if published.report.layout == "evsegnet":
        kinds: Mapping[int, InputKind] = {1: "gray", 6: "events", 7: "both"}
    else:
        kinds = {len(scaling.mean): "gray" if len(scaling.mean) == 1 else "rgb"}
    if channels not in kinds:
        raise CheckpointError(
            f"{owner} has {channels} input channels, and its layout {published.report.layout!r} "
            f"is known with {' or '.join(map(str, kinds))}: nothing says what they hold"
        )
    if published.report.layout != "evsegnet":
        return InputSpec(kinds[channels], channels, scaling)
    windows = () if channels == 1 else ("50ms",)
    return InputSpec(
        kinds[channels], channels, scaling, windows, size=EVSEGNET_SIZE, resize="evsegnet"
    )


def load_state(
    network: nn.Module, state: State, *, layout: str, ignored: Sequence[str] = ()
) -> LoadReport:
    """Load tensors into a network if all of them fit, and report; otherwise only report."""
    own = network.state_dict()
    counters = {n for n in own if n.endswith(COUNTER)}
    report = LoadReport(
        layout,
        matched=tuple(n for n in own if n in state and own[n].shape == state[n].shape),
        missing=tuple(n for n in own if n not in state and n not in counters),
        unexpected=tuple(n for n in state if n not in own),
        mismatched=tuple(
            f"{n} {tuple(state[n].shape)}, network {tuple(own[n].shape)}"
            for n in own
            if n in state and own[n].shape != state[n].shape
        ),
        ignored=tuple(ignored),
    )
    if report.whole:
        network.load_state_dict({**{n: own[n] for n in counters}, **state})
    return report


def _layout(name: str, state: State, *, path: Path) -> Layout:
    own = Layout(OWN_LAYOUT, (name,), lambda names: names == _names(name), lambda s: s)
    known = [layout for layout in LAYOUTS if name in layout.networks]
    names = frozenset(state)
    for layout in [*known, own]:
        if layout.recognise(names):
            return layout
    first = ", ".join(list(state)[:SHOWN])
    raise CheckpointError(
        f"{path} is of no known layout of {name} ({', '.join(x.name for x in [*known, own])}): "
        f"it begins with {first}"
    )


def _names(name: str) -> frozenset[str]:
    return frozenset(Blueprint(name, 3, 2).build_for_shapes().state_dict())


def sizes_of(name: str, state: State, options: dict[str, Any]) -> tuple[int, int]:
    """Return channels and classes of the network that holds these tensors.

    Found by how the shapes of a network change with either, so that no network need tell.
    """

    def shapes(in_channels: int, classes: int) -> dict[str, torch.Size]:
        network = Blueprint(name, in_channels, classes, options=options).build_for_shapes()
        return {n: tensor.shape for n, tensor in network.state_dict().items()}

    base, more_classes = shapes(3, 19), shapes(3, 20)
    try:
        more_channels = shapes(4, 19)
    except NetworkError:  # it takes no other number of channels
        more_channels = base
    return _solve(base, more_channels, state, 3), _solve(base, more_classes, state, 19)


def _solve(
    base: dict[str, torch.Size], more: dict[str, torch.Size], state: State, value: int
) -> int:
    for name, shape in base.items():
        if name not in state or state[name].dim() != len(shape):
            continue
        for before, after, found in zip(shape, more[name], state[name].shape, strict=True):
            if after != before:
                solved = value + (found - before) / (after - before)
                return int(solved) if solved >= 1 and solved.is_integer() else value
    return value
