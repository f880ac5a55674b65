"""Trained networks from any file: checkpoint, published checkpoint or exported network."""

from __future__ import annotations

from pathlib import Path

from eventseg.errors import CheckpointError
from eventseg.labels.known_classes import table_by_number
from eventseg.labels.maps import ClassTable
from eventseg.networks import TrainedNetwork, load_network
from eventseg.networks.named import NamedCheckpoint
from eventseg.networks.published import load_named, published_inputs
from eventseg.prediction.checkpoint_file import CheckpointFile
from eventseg.prediction.onnx_network import load_onnx

ONNX, TORCH = ".onnx", ".pt2"
"""Suffixes of the files that :func:`eventseg.export` writes."""


def load_trained(
    file: CheckpointFile,
    *,
    classes: ClassTable | None = None,
    data_classes: ClassTable | None = None,
    unsafe_pickle: bool = False,
) -> TrainedNetwork:
    """Load a network with its inputs and classes, on the CPU and in evaluation mode.

    Parameters
    ----------
    file : CheckpointFile
        Checkpoint of eventseg, published checkpoint, or exported ``.onnx`` file.
    classes : ClassTable, optional
        Classes of a published network, where its file does not name them.
    data_classes : ClassTable, optional
        Classes of the data that the network is used on: those of a published network where several
        known tables have its number of classes and the data's is one of them.
    unsafe_pickle : bool
        Also read a published file that can run any code on loading.

    Raises
    ------
    CheckpointError
        A file that cannot be used, or classes given for a file that states its own.
    LabelError
        Classes of no known table, or of another number than the given table.
    NetworkError
        An unknown network.
    MissingExtraError
        An exported file without ONNX Runtime.
    """
    if file.named is not None:
        return _load_named(
            file.named, classes=classes, data_classes=data_classes, unsafe_pickle=unsafe_pickle
        )
    suffix = file.path.suffix.lower()
    if suffix == TORCH:
        raise CheckpointError(
            f"{file.path} is a program of torch, which may run any code when it is loaded: give "
            "the run folder it was exported from, or export it with --format onnx"
        )
    trained = load_onnx(file.path) if suffix == ONNX else load_network(file.path)
    _check_classes_unset(file.path, trained, classes)
    return trained


def check_is_checkpoint(file: CheckpointFile, *, purpose: str) -> None:
    """Raise a CheckpointError for a file whose network cannot be taken apart.

    Parameters
    ----------
    file : CheckpointFile
    purpose : str
        Purpose that needs a checkpoint, such as ``export``.
    """
    if file.path.suffix.lower() in (ONNX, TORCH):
        raise CheckpointError(
            f"{file.path} is exported: {purpose} needs the run folder or checkpoint it was made of"
        )


def _load_named(
    named: NamedCheckpoint,
    *,
    classes: ClassTable | None = None,
    data_classes: ClassTable | None = None,
    unsafe_pickle: bool = False,
) -> TrainedNetwork:
    """Load a checkpoint by its network, with the input it was trained on and its classes."""
    network, path = named
    published = load_named(network, path, unsafe_pickle=unsafe_pickle)
    if isinstance(published, TrainedNetwork):
        _check_classes_unset(path, published, classes)
        return published
    return TrainedNetwork(
        published.network,
        published.blueprint,
        published_inputs(published, owner=named.name),
        table_by_number(
            published.blueprint.classes,
            owner=f"network {named.name}",
            class_table=classes,
            void_first=published.void_first,
            data=data_classes,
            option="--network-classes",
        ),
        f"published checkpoint {path.name}, layout {published.report.layout}",
    )


def _check_classes_unset(path: Path, trained: TrainedNetwork, classes: ClassTable | None) -> None:
    """Raise a CheckpointError where classes are given for a file that states its own."""
    if classes is not None:
        raise CheckpointError(
            f"{path} states its classes ({', '.join(trained.classes.names[:3])}, ...): "
            "leave --network-classes out"
        )
