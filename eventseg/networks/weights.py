"""Files of weights: plain tensors by name, whatever they are wrapped in."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eventseg.errors import CheckpointError
from eventseg.networks.converters.layout import State
from eventseg.networks.converters.tensorflow1 import read_tf1_checkpoint
from eventseg.networks.pickled import PLAIN_TYPES, keys_of_object

WRAPPERS = (
    "state_dict",
    "model",
    "model_state",
    "model_state_dict",
    "net",
    "network",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
)
"""Names under which projects keep the tensors in their files; averaged weights are taken only
where the file has no others."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "ema_model.")
"""What wrappers put in front of every name: parallel, compiled and averaged networks, and trainers
that hold the network as an attribute."""

INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
"""What torch puts into names where a part of a network is compiled, sharded or recomputed."""

UNSAFE = re.compile(r"GLOBAL ([\w.]+)")
"""How torch names the first object in a file that it does not build."""

TRUST = "pass --unsafe-pickle (unsafe_pickle=True) to train, evaluate, score or pseudolabel"
"""Advice of errors on files that hold more than plain values."""

SHOWN = 3
"""Keys of such objects that an error shows."""

AVERAGE_COUNTER = "n_averaged"
"""Tensor of ``torch.optim.swa_utils.AveragedModel`` beside those of its network."""


def load_file(path: Path, *, unsafe_pickle: bool = False, values: bool = True) -> Any:
    """Return the object that ``torch.save`` wrote, on the CPU.

    Beside tensors and plain values, files may hold scalars and arrays of NumPy, settings as
    ``argparse.Namespace``, paths, dates and counters: none of them runs code on loading.

    Parameters
    ----------
    path : Path
        The file.
    unsafe_pickle : bool
        Also read files that hold other objects: they can run any code on loading.
    values : bool
        Whether to read the values of the tensors; without them tensors have a shape and a type
        alone, on the device ``meta``, and the time does not grow with the size of the file.

    Raises
    ------
    CheckpointError
        No such file, not a file of torch, or one that holds other objects; the error names the
        key they lie under.
    """
    if not path.is_file():
        raise CheckpointError(f"no file of weights {path}")
    try:
        with torch.serialization.safe_globals(list(PLAIN_TYPES)):
            return torch.load(
                path, map_location="cpu" if values else "meta", weights_only=not unsafe_pickle
            )
    # Damaged archives raise errors of several modules.
    except Exception as error:
        if not _begins_as_torch(path):
            raise CheckpointError(
                f"cannot read weights {path}: it is no file that torch wrote, or its beginning is "
                "damaged"
            ) from error
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):
            if unsafe_pickle:
                raise CheckpointError(f"{path} is no file of weights: {first}") from error
            raise CheckpointError(_refusal(path, str(error))) from error
        raise CheckpointError(
            f"cannot read weights {path}: the file is cut short or damaged ({first})"
        ) from error


def _refusal(path: Path, reason: str) -> str:
    """Return the message for a file that holds more than plain values: which objects, and where."""
    found = UNSAFE.search(reason)
    if found is None:
        return (
            f"{path} is no file of plain weights, or damaged; if you trust it and it holds more, "
            f"{TRUST}"
        )
    keys = keys_of_object(path, found[1])
    where = f" under {', '.join(keys[:SHOWN])}" if keys else ""
    return (
        f"{path} holds an object of {found[1]}{where}, which can run any code on loading: save the "
        f"file without it, or if you trust it, {TRUST}"
    )


def _begins_as_torch(path: Path) -> bool:
    """Return whether a file begins as an archive or a pickle, which torch writes."""
    try:
        with path.open("rb") as file:
            begin = file.read(2)
    except OSError:
        return True  # the error of the reading says more
    return begin == b"PK" or begin[:1] == b"\x80"


def read_weights(path: Path, *, unsafe_pickle: bool = False) -> State:
    """Return the tensors of a file by name, unwrapped and without the prefixes of wrappers.

    Parameters
    ----------
    path : Path
        A file of torch, or the beginning of the names of a TensorFlow checkpoint (the part
        before ``.index``).
    unsafe_pickle : bool
        As for :func:`load_file`.

    Raises
    ------
    CheckpointError
        As for :func:`load_file`, and a file without tensors.
    """
    index = path if path.suffix == ".index" else path.with_name(f"{path.name}.index")
    if index.is_file() and (path == index or not path.is_file()):
        return read_tf1_checkpoint(index.with_suffix(""))
    return tensors_of(load_file(path, unsafe_pickle=unsafe_pickle), path=path)


def tensors_of(loaded: Any, *, path: Path) -> State:
    """Return the tensors by name in an object read from a file.

    Raises
    ------
    CheckpointError
        It holds none, or two that have one name without the prefixes of wrappers.
    """
    for _ in range(3):  # wrappers of wrappers
        inner = (
            next((loaded[name] for name in WRAPPERS if isinstance(loaded.get(name), Mapping)), None)
            if isinstance(loaded, Mapping)
            else None
        )
        if inner is None:
            break
        loaded = inner
    state = (
        {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
        if isinstance(loaded, Mapping)
        else {}
    )
    if not state:
        raise CheckpointError(
            f"{path} holds no tensors by name, neither bare nor under {', '.join(WRAPPERS)}"
        )
    return _without_prefixes(state, path=path)


def _without_prefixes(state: State, *, path: Path) -> State:
    """Return tensors by the names of the bare network."""
    counters = [name for name in state if name.rpartition(".")[2] == AVERAGE_COUNTER]
    kept = {name: tensor for name, tensor in state.items() if name not in counters} or state
    names = list(kept)
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in names)), None):
        names = [name.removeprefix(prefix) for name in names]
    for part in INSIDE:
        names = [name.replace(part, "") for name in names]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CheckpointError(
            f"{path} holds two tensors of the name {twice}, each of another wrapper: save one "
            "network a file"
        )
    return dict(zip(names, kept.values(), strict=True))
