"""Loading of a teacher by its specification on the command line."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from eventseg.errors import CheckpointError, MissingExtraError
from eventseg.labels.maps import ClassTable
from eventseg.networks.named import parse_named
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.layout import RUN
from eventseg.pseudolabel.huggingface import HuggingFaceTeacher, load_huggingface
from eventseg.pseudolabel.network_teacher import (
    NetworkTeacher,
    load_foreign,
    load_own,
    load_torchvision,
)
from eventseg.pseudolabel.teacher import Teacher, TeacherSource

DEFAULT_ID = "nvidia/segformer-{}-finetuned-cityscapes-1024-1024"
"""Default teacher: ``b5`` on a GPU, ``b0`` on a CPU."""

CONFIG = "config.json"
"""File that a folder of a Hugging Face model has."""

SYNTAX = (
    "hf:ID, hf:FOLDER, NETWORK:PATH such as pspnet101:train_epoch_200.pth, "
    "torchvision:ARCHITECTURE:PATH, or a run folder or checkpoint that eventseg wrote"
)


def default_teacher(device: torch.device) -> str:
    """Return the specification of the default teacher: SegFormer-B5 on a GPU, B0 on a CPU.

    Raises
    ------
    MissingExtraError
        The extra it needs is not installed.
    """
    if find_spec("transformers") is None:
        raise MissingExtraError(
            "the default teacher, SegFormer, needs the extra hf: uv sync --extra hf, or "
            "pass --teacher pspnet101:PATH with a checkpoint you have"
        )
    return "hf:" + DEFAULT_ID.format("b0" if device.type == "cpu" else "b5")


def load_teacher(
    spec: str,
    *,
    device: torch.device,
    class_table: ClassTable | None = None,
    unsafe_pickle: bool = False,
    licence: str | None = None,
) -> Teacher:
    """Load a teacher.

    Parameters
    ----------
    spec : str
        ``hf:ID`` or a folder of Hugging Face, ``NETWORK:PATH`` for a published checkpoint of one
        of our networks, ``torchvision:ARCHITECTURE:PATH``, or a run folder, whose ``best.pt`` is
        taken, or a checkpoint that eventseg wrote.
    device : torch.device
    class_table : ClassTable, optional
        Classes of the teacher, where its file does not name them.
    unsafe_pickle : bool
        Also read a file of weights that can run any code on loading.
    licence : str, optional
        Licence of the weights. By default what the model card of a Hugging Face model states, or
        its publisher is known to; of other files it is unknown, as the names of tensors tell
        whose code was used and not whose weights they are.

    Raises
    ------
    CheckpointError
        Nothing of the kind, or weights that do not fit.
    LabelError
        Classes of no known table, or of another number than the given table.
    MissingExtraError
        A package of an extra is not installed.
    """
    teacher = _load(spec, device=device, class_table=class_table, unsafe_pickle=unsafe_pickle)
    source = TeacherSource(_absolute(spec), class_table, unsafe_pickle, licence)
    return replace(teacher, source=source, licence=teacher.licence if licence is None else licence)


def load_source(source: TeacherSource, *, device: torch.device) -> Teacher:
    """Load a teacher anew, in another process or onto another device; errors as above."""
    return load_teacher(
        source.spec,
        device=device,
        class_table=source.class_table,
        unsafe_pickle=source.unsafe_pickle,
        licence=source.licence,
    )


def _absolute(spec: str) -> str:
    """Return a specification in which folders and files have absolute paths."""
    kind, _, rest = spec.partition(":")
    if kind == "hf":
        return f"hf:{_absolute_path(rest)}" if Path(rest).is_dir() else spec
    if kind == "torchvision":
        name, _, path = rest.partition(":")
        return f"torchvision:{name}:{_absolute_path(path)}"
    if not Path(spec).is_dir() and (named := parse_named(spec)):
        return f"{named.network}:{_absolute_path(named.path)}"
    return _absolute_path(spec)


def _absolute_path(path: str | Path) -> str:
    return str(Path(path).absolute())


def _load(
    spec: str, *, device: torch.device, class_table: ClassTable | None, unsafe_pickle: bool
) -> HuggingFaceTeacher | NetworkTeacher:
    kind, _, rest = spec.partition(":")
    if kind == "hf" and rest.startswith((".", "/", "~")) and not Path(rest).is_dir():
        raise CheckpointError(f"no folder {rest}: give hf:FOLDER with a model, or hf:ID of the hub")
    if kind == "hf" and rest:
        return load_huggingface(rest, device=device, class_table=class_table)
    if (Path(spec) / RUN).is_file():
        return load_own(find_checkpoint(spec).path, device=device)
    if Path(spec).is_dir():
        if not (Path(spec) / CONFIG).is_file():
            raise CheckpointError(
                f"{spec} holds no teacher: neither {RUN}, as a run folder of eventseg train, nor "
                f"{CONFIG}, as a model of Hugging Face; a teacher is {SYNTAX}"
            )
        return load_huggingface(spec, device=device, class_table=class_table)
    if kind == "torchvision" and rest:
        name, _, path = rest.partition(":")
        if not path:
            raise CheckpointError(f"teacher {spec!r} must be torchvision:ARCHITECTURE:PATH")
        return load_torchvision(
            name, Path(path), device=device, class_table=class_table, unsafe_pickle=unsafe_pickle
        )
    if named := parse_named(spec):
        return load_foreign(
            named.network,
            named.path,
            device=device,
            class_table=class_table,
            unsafe_pickle=unsafe_pickle,
        )
    if not Path(spec).is_file():
        raise CheckpointError(f"no teacher {spec!r}: it must be {SYNTAX}")
    return load_own(Path(spec), device=device)
