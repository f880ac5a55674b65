"""Start of a network from the weights of another, tensor by tensor.

A tensor of the same name and shape is loaded. Tensors that depend on the classes, the heads, are
left at random where the classes differ. Tensors that depend on the input's channels are inflated
where these differ, see :mod:`eventseg.networks.blocks.inflate`. All others stay at random,
and nothing happens in silence: every tensor has a line in the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.blocks.inflate import ChannelGroup, channel_groups, inflated, is_repeated
from eventseg.networks.checkpoints import Blueprint
from eventseg.networks.converters.layout import State
from eventseg.networks.initial_weights import InitialWeights
from eventseg.networks.inputs import InputSpec
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.published import COUNTER

LEAST_SHARE = 0.1
"""Least share of the parameters that must come from the file: less is a file of another network."""

SHOWN = 3
"""Tensor names that an error shows."""

Outcome = Literal["loaded", "inflated", "replaced", "random", "unused"]
OUTCOMES: Mapping[Outcome, str] = {
    "loaded": "as in the file",
    "inflated": "for other input channels",
    "replaced": "heads of other classes, left at random",
    "random": "not in the file or of another shape, left at random",
    "unused": "of the file, without a place here",
}
"""Meaning of the outcomes, in the order in which a report counts them."""


class TensorOutcome(NamedTuple):
    """Name of a tensor, its outcome, and the rule or reason in words."""

    name: str
    outcome: Outcome
    note: str = ""


@dataclass(frozen=True, slots=True)
class TransferReport:
    """Report of an initialisation, tensor by tensor.

    Parameters
    ----------
    source : str
        Origin of the weights in words.
    tensors : tuple of TensorOutcome
        Those of the network in its order, then the unused ones of the file. Counters of batch
        norms are left out.
    share : float
        Share of the network's parameters that came from the file.
    notes : tuple of str
        Differences in meaning that no shape shows, such as another scaling of pictures.
    """

    source: str
    tensors: tuple[TensorOutcome, ...]
    share: float
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Number of tensors by outcome, without those of none."""
        outcomes = [tensor.outcome for tensor in self.tensors]
        return {name: outcomes.count(name) for name in OUTCOMES if name in outcomes}

    def __str__(self) -> str:
        """Return source, share and counts on one line."""
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"{self.source}: {self.share:.1%} of the parameters; tensors: {counts}"


class Part(NamedTuple):
    """Network over some input channels: all of a network, or one half of late fusion.

    Parameters
    ----------
    prefix : str
        Beginning of its tensors' names.
    channels : int
        Channels that it sees.
    kind : str
        Kind of these channels, as :class:`eventseg.networks.InputSpec` has it.
    of_input : mapping of str to tuple of int
        Tensors whose shapes depend on its channels, with the axes that grow by one with each.
    of_classes : frozenset of str
        Tensors whose shapes depend on the classes.
    """

    prefix: str
    channels: int
    kind: str
    of_input: Mapping[str, tuple[int, ...]]
    of_classes: frozenset[str]


@torch.no_grad()
def transfer(
    network: SegmentationNetwork,
    weights: InitialWeights,
    *,
    blueprint: Blueprint,
    inputs: InputSpec,
    classes: tuple[str, ...],
) -> TransferReport:
    """Load the weights of another network as far as they fit.

    Parameters
    ----------
    network : SegmentationNetwork
        Network with random weights.
    weights : InitialWeights
    blueprint : Blueprint
        How the network was built.
    inputs : InputSpec
        Input that it will see.
    classes : tuple of str
        Names of its classes. Heads of other names are replaced even where their number is equal;
        a file without names counts by its number.

    Returns
    -------
    TransferReport

    Raises
    ------
    CheckpointError
        Fewer than a tenth of the parameters fit; nothing is loaded then.
    """
    own = network.state_dict()
    other_classes = weights.classes is not None and weights.classes != classes
    taken: State = {}
    used: set[str] = set()
    outcomes: list[TensorOutcome] = []
    for part in network_parts(blueprint, inputs):
        for name in (n for n in own if n.startswith(part.prefix)):
            bare = name.removeprefix(part.prefix)
            # Files of a user's own module do not know the wrapper that it has here.
            names = (name, bare, bare.removeprefix("own."))
            found = next((n for n in names if n in weights.state), None)
            used |= {found} if found else set()
            theirs = None if found is None else weights.state[found]
            if bare.endswith(COUNTER):
                taken |= {} if theirs is None else {name: theirs}
                continue
            of_same_half = found == name != bare
            groups = _groups(weights, part, of_same_half=of_same_half)
            outcome, value = _decide(
                bare, own[name], theirs, part, groups, other_classes=other_classes
            )
            outcomes.append(TensorOutcome(name, *outcome))
            if value is not None:
                taken[name] = value.to(own[name])
    unused = [n for n in weights.state if n not in used and not n.endswith(COUNTER)]
    outcomes += (TensorOutcome(n, "unused") for n in unused)
    share = _share(network, taken)
    if share < LEAST_SHARE:
        raise CheckpointError(
            _refusal(weights, share, blueprint.name, own=list(own), unused=unused)
        )
    network.load_state_dict({**own, **taken})
    notes = tuple(_notes(weights.inputs, inputs))
    return TransferReport(weights.source, tuple(outcomes), share, notes)


def _groups(weights: InitialWeights, part: Part, *, of_same_half: bool) -> list[ChannelGroup]:
    """Return how the channels of a file become those of a part.

    Parameters
    ----------
    of_same_half : bool
        Whether the tensor of the file is of the same half of late fusion.
    """
    kind: str = "" if weights.inputs is None else weights.inputs.kind
    before = weights.in_channels
    if of_same_half:
        frame = weights.frame_channels
        kind, before = part.kind, frame if part.kind == "gray" else before - frame
    return channel_groups(kind, part.kind, before=before, channels=part.channels)


def _decide(
    name: str,
    own: Tensor,
    theirs: Tensor | None,
    part: Part,
    groups: list[ChannelGroup],
    *,
    other_classes: bool,
) -> tuple[tuple[Outcome, str], Tensor | None]:
    """Return outcome and note of a tensor, and its new value where it has one."""
    if theirs is None:
        return ("random", "not in the file"), None
    shapes = f"{_text(theirs.shape)} in the file, {_text(own.shape)} here"
    if name in part.of_classes and (other_classes or theirs.shape != own.shape):
        return ("replaced", "other classes" if theirs.shape == own.shape else shapes), None
    axes = part.of_input.get(name, ())
    in_place = all(group.name == "input" or group.theirs == group.own for group in groups)
    if theirs.shape == own.shape and (not axes or in_place):
        return ("loaded", ""), theirs
    if name in part.of_input:
        # A tensor of the same shape may still have its channels in other places.
        value = inflated(
            theirs, own, groups=groups, axes=axes if theirs.shape == own.shape else None
        )
        if value is not None:
            return ("inflated", _rule(theirs, own, groups, axes)), value
    return ("random", shapes), None


def _rule(theirs: Tensor, own: Tensor, groups: list[ChannelGroup], axes: tuple[int, ...]) -> str:
    """Return the rule of :func:`inflated` for a tensor in words."""
    channels = sum(len(group.own) for group in groups)
    joined = any(own.shape[axis] > channels for axis in axes)
    rules = []
    for name, group, ours in groups:
        before, now = len(group), len(ours)
        of = "" if name == "input" else f"{name}: "
        if before == now:
            rules.append(f"{name} copied")
        elif not before:
            rules.append(f"{name} {'0' if theirs.dim() > 1 else 'as initialised'}")
        elif not now:
            rules.append(f"{name} left out")
        elif is_repeated(before, now, joined=joined):
            rules.append(f"{of}{before} input channels in turn for {now}")
        else:
            rules.append(f"{of}mean of {before} input channels x {before}/{now}")
    return ", ".join(rules)


def network_parts(blueprint: Blueprint, inputs: InputSpec) -> Iterator[Part]:
    """Yield the networks that a blueprint stands for, with the tensors that depend on input."""
    halves = {"": (blueprint.in_channels, inputs.kind)}
    if blueprint.fusion == "late":
        frame = blueprint.frame_channels
        halves = {
            "of_frame.": (frame, "gray"),
            "of_events.": (blueprint.in_channels - frame, "events"),
        }
    single = replace(blueprint, fusion="early")
    for prefix, (channels, kind) in halves.items():
        one = _shapes(replace(single, in_channels=channels))
        try:
            more_input = _shapes(replace(single, in_channels=channels + 1))
        except NetworkError:  # it takes no other number of channels
            more_input = one
        more_classes = _shapes(replace(single, in_channels=channels, classes=blueprint.classes + 1))
        yield Part(
            prefix,
            channels,
            kind,
            {n: _grown(one[n], more_input.get(n)) for n in one if one[n] != more_input.get(n)},
            frozenset(n for n in one if one[n] != more_classes.get(n)),
        )


def _grown(one: torch.Size, more: torch.Size | None) -> tuple[int, ...]:
    """Return the axes that are longer by one."""
    if more is None or len(one) != len(more):
        return ()
    return tuple(axis for axis, size in enumerate(one) if more[axis] == size + 1)


def _shapes(blueprint: Blueprint) -> dict[str, torch.Size]:
    return {n: tensor.shape for n, tensor in blueprint.build_for_shapes().state_dict().items()}


def _share(network: SegmentationNetwork, taken: State) -> float:
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    return sum(size for name, size in sizes.items() if name in taken) / sum(sizes.values())


def _refusal(
    weights: InitialWeights, share: float, name: str, *, own: list[str], unused: list[str]
) -> str:
    if weights.network not in (None, name):
        return (
            f"{weights.file} holds {weights.network} and this network is {name}: {share:.1%} of "
            f"the parameters fit; train that one (--network {weights.network}), or give other "
            "weights"
        )
    asked, held = (", ".join(names[:SHOWN]) for names in (own, unused or list(weights.state)))
    return (
        f"{weights.file} does not fit this network: {share:.1%} of the parameters have a tensor of "
        f"their name and shape in it; the network has {asked}, ..., the file {held}, ...; for a "
        "published checkpoint of another network name it, as in NETWORK:PATH"
    )


def _notes(theirs: InputSpec | None, own: InputSpec) -> Iterator[str]:
    """Yield the differences between two inputs that no shape shows."""
    if theirs is None:
        return
    frames, events = ("gray", "rgb", "both"), ("events", "both")
    if theirs.kind in frames and own.kind in frames and theirs.scaling != own.scaling:
        yield (
            f"it was trained on pictures scaled by {_scaling(theirs)}, this network sees "
            f"{_scaling(own)}: input.scaling sets it"
        )
    if theirs.kind in events and own.kind in events and theirs.encoding and own.encoding:
        if conflict := own.encoding.conflict_with(theirs.encoding):
            yield f"this network sees events of {conflict}"
        elif theirs.normalise != own.normalise:
            yield f"its events were normalised as {theirs.normalise}, here as {own.normalise}"


def _scaling(inputs: InputSpec) -> str:
    scaling = inputs.scaling
    mean, std = (" ".join(f"{x:g}" for x in each) for each in (scaling.mean, scaling.std))
    return f"top {scaling.top:g}, mean {mean}, deviation {std}, {scaling.order}"


def _text(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "one number"
