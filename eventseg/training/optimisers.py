"""Optimisers as data, and the parameter groups that recipes ask for."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from inspect import unwrap
from typing import Any, TypeVar

import torch
from torch import Tensor, nn, optim

from eventseg.errors import TrainingError
from eventseg.networks.network import check_beginnings, plain_name
from eventseg.training.config.optimisation import OptimiserSpec


def build_optimiser(network: nn.Module, *, spec: OptimiserSpec) -> optim.Optimizer:
    """Return the optimiser of a network's trainable parameters.

    Each parameter group has a key ``multiplier``, which :func:`set_learning_rate` heeds.

    Raises
    ------
    TrainingError
        No trainable parameter.
    NetworkError
        A multiplier for a beginning that no parameter's name has.
    """
    groups = parameter_groups(network, spec=spec)
    rate, decay = spec.learning_rate, spec.weight_decay
    # On a CPU one loop over a weight takes a third of the time of a loop for each operation; a GPU
    # has loops over many weights at once by default.
    fused = True if groups[0]["params"][0].device.type == "cpu" else None
    if spec.kind == "sgd":
        return _uncompiled(optim.SGD)(
            groups,
            lr=rate,
            momentum=spec.momentum,
            weight_decay=decay,
            nesterov=spec.nesterov,
            fused=fused,
        )
    if spec.kind == "rmsprop":
        return _uncompiled(optim.RMSprop)(
            groups, lr=rate, alpha=spec.alpha, momentum=spec.momentum, weight_decay=decay
        )
    adam = optim.AdamW if spec.kind == "adamw" else optim.Adam
    return _uncompiled(adam)(groups, lr=rate, betas=spec.betas, weight_decay=decay, fused=fused)


@cache
def _uncompiled(kind: type[optim.Optimizer]) -> Callable[..., optim.Optimizer]:
    """Return a kind of optimiser that does without PyTorch's compiler.

    PyTorch hides an optimiser's methods from its compiler and imports the compiler for that, which
    takes as long as to import PyTorch itself. Steps are not compiled here: the methods are the
    plain ones, without gradients.
    """
    plain_step = unwrap(kind.step)

    def step(self: optim.Optimizer, closure: Callable[[], float] | None = None) -> float | None:
        with torch.no_grad():
            loss: float | None = plain_step(self, closure)
        return loss

    hidden = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: unwrap(getattr(optim.Optimizer, name)) for name in hidden}
    return type(kind.__name__, (kind,), {**methods, "step": step})


def set_learning_rate(optimiser: optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every group to a rate times the group's multiplier."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["multiplier"]


def parameter_groups(network: nn.Module, *, spec: OptimiserSpec) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups of one multiplier and one weight decay.

    Returns
    -------
    list of dict
        With ``params``, ``lr``, ``multiplier`` and ``weight_decay``, in the order in which the
        network first names one of the group.
    """
    beginnings = [beginning for beginning, _ in spec.multipliers]
    check_beginnings(network, beginnings, setting="optimiser.multipliers")
    depthwise = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        for parameter in module.parameters()
    }
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        spared = (id(parameter) in depthwise and not spec.decay_depthwise) or (
            parameter.dim() < 2 and not spec.decay_norms_and_biases
        )
        factor, decay = _multiplier(name, spec), 0.0 if spared else spec.weight_decay
        empty: dict[str, Any] = {
            "params": [],
            "lr": spec.learning_rate * factor,
            "multiplier": factor,
            "weight_decay": decay,
        }
        groups.setdefault((factor, decay), empty)["params"].append(parameter)
    if not groups:
        raise TrainingError("this network has no parameter to train")
    return list(groups.values())


def _multiplier(name: str, spec: OptimiserSpec) -> float:
    fitting = [pair for pair in spec.multipliers if plain_name(name).startswith(pair[0])]
    return max(fitting, key=lambda pair: len(pair[0]), default=("", 1.0))[1]


Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network) -> Network:
    """Return a copy that holds the average: in evaluation mode, with nothing to train."""
    return deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, update: int) -> None:
    """Move the averaged weights towards the network's; copy the statistics of batch norms.

    ``average <- d average + (1 - d) weight`` with ``d = min(decay, (1 + update) / (10 + update))``,
    so that a short run does not stay at the weights it began with.

    Parameters
    ----------
    average : nn.Module
        From :func:`averaged_copy` of the network.
    network : nn.Module
    decay : float
        In [0, 1).
    update : int
        Updates made before this one, from 0.
    """
    reached = min(decay, (1 + update) / (10 + update))
    averaged: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(averaged, list(network.parameters()), 1 - reached)
    if kept := list(average.buffers()):
        torch._foreach_copy_(kept, list(network.buffers()))
