"""Initial weights of a run: where they come from, and the record of it in the run folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eventseg.errors import CheckpointError, TrainingError
from eventseg.files.digests import digest_of
from eventseg.files.whole import write_whole
from eventseg.networks import Blueprint, InputSpec
from eventseg.networks.build import imagenet_source, load_imagenet
from eventseg.networks.initial_weights import read_initial
from eventseg.networks.named import parse_named
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.shipped import shipped_file
from eventseg.networks.transfer import (
    TensorOutcome,
    TransferReport,
    network_parts,
    transfer,
)
from eventseg.training.config.settings import NetworkSettings
from eventseg.training.layout import BEST, INIT, RUN

ALLOWED = (
    "random, imagenet, imagenet:PATH, street (the shipped network), a run folder, a checkpoint of "
    "eventseg, or a published one as PATH or NETWORK:PATH"
)
"""Initialisations of a training."""


@dataclass(frozen=True, slots=True)
class Initialisation:
    """Initial weights of a run, as its folder records them.

    Parameters
    ----------
    spec : str
        The setting ``network.init``.
    file : Path, optional
        File that the weights come from; None for those that torchvision fetches.
    sha256 : str
        Digest of that file; empty without one.
    report : TransferReport
    """

    spec: str
    file: Path | None
    sha256: str
    report: TransferReport

    def describe(self) -> dict[str, Any]:
        """Return the entries of ``run.json``."""
        return {
            "spec": self.spec,
            "file": "" if self.file is None else str(self.file.absolute()),
            "sha256": self.sha256,
            "source": self.report.source,
            "share": self.report.share,
            "tensors": self.report.counts,
            "notes": list(self.report.notes),
        }


def initialise(
    network: SegmentationNetwork,
    *,
    settings: NetworkSettings,
    blueprint: Blueprint,
    inputs: InputSpec,
    classes: tuple[str, ...],
) -> Initialisation | None:
    """Load the initial weights that the settings name, or leave those at random.

    Parameters
    ----------
    network : SegmentationNetwork
        Network with random weights.
    settings : NetworkSettings
    blueprint : Blueprint
        How it was built.
    inputs : InputSpec
        Input that it will see.
    classes : tuple of str
        Names of its classes.

    Returns
    -------
    Initialisation or None
        None for ``random``.

    Raises
    ------
    CheckpointError
        No such file or run, a file that cannot be read, or one that hardly fits.
    NetworkError
        A trunk that torchvision has no weights of.
    """
    spec = settings.init
    if spec == "random":
        return None
    file = initial_file(spec)
    if file is not None and not file.is_file():
        run = f"{file.parent} is no run folder: it has no {BEST}"
        if (file.parent / RUN).is_file():
            run = f"{file.parent} has no {BEST}: its training has not ended an epoch"
        raise CheckpointError(
            f"{run if Path(spec).is_dir() else f'no file {file}'}; init must be {ALLOWED}"
        )
    digest = "" if file is None else digest_of(file)
    if spec.partition(":")[0] == "imagenet":
        report = _from_imagenet(network, spec, blueprint=blueprint, inputs=inputs)
    else:
        weights = read_initial(
            spec if parse_named(spec) and not Path(spec).exists() else str(file),
            network=settings.name,
            options=settings.options,
            unsafe_pickle=settings.unsafe_pickle,
        )
        report = transfer(network, weights, blueprint=blueprint, inputs=inputs, classes=classes)
    return Initialisation(spec, file, digest, report)


def initial_file(spec: str) -> Path | None:
    """Return the file that a setting ``network.init`` names, None where it names none."""
    if spec in ("random", "imagenet"):
        return None
    if spec.startswith("imagenet:"):
        return Path(spec.removeprefix("imagenet:"))
    path = Path(spec)
    if shipped := shipped_file(spec):
        return shipped
    named = None if path.exists() else parse_named(spec)
    if named is not None:
        return named.file
    return path / BEST if path.is_dir() else path


def check_initial_file(recorded: Mapping[str, Any] | None, *, root: Path) -> None:
    """Raise a TrainingError where the file that a run started from has changed since or is gone.

    Parameters
    ----------
    recorded : mapping or None
        Entry ``init`` of the run's ``run.json``; None for a run that began with random weights.
    root : Path
        The run folder, for the message.
    """
    if not recorded or not recorded["file"]:
        return
    file = Path(recorded["file"])
    if not file.is_file() or digest_of(file) != recorded["sha256"]:
        state = "has changed since" if file.is_file() else "is no longer there, from which"
        raise TrainingError(
            f"{file} {state} the run in {root} began; restore the file as it was, or give another "
            "folder with --out"
        )


def write_initial(root: Path, report: TransferReport) -> None:
    """Write ``init.csv``: name, outcome and rule of every tensor."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(TensorOutcome._fields)
    table.writerows(report.tensors)
    write_whole(root / INIT, lambda file: file.write(text.getvalue().encode()))


def _from_imagenet(
    network: SegmentationNetwork, spec: str, *, blueprint: Blueprint, inputs: InputSpec
) -> TransferReport:
    """Load ImageNet's weights into the trunk; those of a copy of no numbers show which they are."""
    trace = deepcopy(network)
    for tensor in trace.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    load_imagenet(trace, name=blueprint.name, init=spec)
    load_imagenet(network, name=blueprint.name, init=spec)
    other_input = {
        f"{part.prefix}{name}": f"mean of 3 input channels x 3/{part.channels}"
        for part in network_parts(blueprint, inputs)
        for name in part.of_input
        if part.channels != 3
    }
    parameters = dict(network.named_parameters())
    outcomes, loaded = [], 0
    for name, tensor in trace.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if tensor.isnan().any():
            outcomes.append(TensorOutcome(name, "random", "not in the trunk"))
            continue
        loaded += tensor.numel() if name in parameters else 0
        rule = other_input.get(name, "")
        outcomes.append(TensorOutcome(name, "inflated" if rule else "loaded", rule))
    share = loaded / sum(parameter.numel() for parameter in parameters.values())
    file = imagenet_source(network) if spec == "imagenet" else spec.removeprefix("imagenet:")
    return TransferReport(f"ImageNet weights of the trunk, {file}", tuple(outcomes), share)
