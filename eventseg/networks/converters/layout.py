"""Description of a published checkpoint's tensor names, one for each layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from eventseg.networks.inputs import IMAGENET, Scaling

State = dict[str, Tensor]
"""Tensors by name, as ``state_dict`` gives and takes them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensor names of one project's checkpoints of one network.

    Parameters
    ----------
    name : str
        The project, such as ``mmseg``.
    networks : tuple of str
        Names of our networks that such files hold.
    recognise : callable
        Whether a set of tensor names (without ``module.``) is of this layout.
    convert : callable
        Foreign tensors to ours, tensor by tensor; a name that it does not know stays as it is
        and is then reported as unexpected. Never drops a tensor that could matter.
    options : mapping
        Options with which our network must be built to hold these tensors, where not default.
    options_of : callable, optional
        Further options that show in the tensors, such as a width or an auxiliary head.
    ignored : tuple of str
        Beginnings of foreign names that carry nothing our network uses, such as optimiser slots.
    scaling : Scaling
        Scaling of the pictures that the network was trained on.
    scaling_of : callable, optional
        The same where it shows in the tensors, such as in the number of classes.
    void_first : bool
        Whether a class for unlabelled pixels, where the file has one, is its first.
    source : str
        Owner/name of the project, and the licence of its code; that of weights is not known by it.
    """

    name: str
    networks: tuple[str, ...]
    recognise: Callable[[frozenset[str]], bool]
    convert: Callable[[State], State]
    options: Mapping[str, Any] = field(default_factory=dict)
    options_of: Callable[[State], dict[str, Any]] | None = None
    ignored: tuple[str, ...] = ()
    scaling: Scaling = IMAGENET
    scaling_of: Callable[[State], Scaling] | None = None
    void_first: bool = False
    source: str = ""


def renamed(state: State, rules: Mapping[str, str]) -> State:
    """Return tensors whose names begin with a key of ``rules`` with that part replaced.

    The longest beginning that fits wins; names that none fits stay.
    """
    longest_first = sorted(rules, key=len, reverse=True)

    def new(name: str) -> str:
        for old in longest_first:
            if name.startswith(old):
                return rules[old] + name[len(old) :]
        return name

    return {new(name): tensor for name, tensor in state.items()}
