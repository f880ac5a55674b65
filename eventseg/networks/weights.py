"""Files of weights: plain tensors by name, whatever they are wrapped in."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eventseg.errors import CheckpointError
from eventseg.networks.converters.layout import State
from eventseg.networks.converters.tensorflow1 import read_tf1_checkpoint

WRAPPERS = ("state_dict", "model", "model_state", "model_state_dict", "net", "network")
"""Names under which projects keep the tensors in their files."""

PARALLEL = "module."
"""What torch's parallel wrappers put in front of every name."""


def load_file(path: Path, *, unsafe_pickle: bool = False) -> Any:
    """Return the object that ``torch.save`` wrote, on the CPU.

    Parameters
    ----------
    path : Path
        The file.
    unsafe_pickle : bool
        Also read files that hold more than plain values: they can run any code on loading.

    Raises
    ------
    CheckpointError
        No such file, not a file of torch, or one that holds more than plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"no file of weights {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=not unsafe_pickle)
    except pickle.UnpicklingError as error:
        first = str(error).strip().splitlines()[0]
        if unsafe_pickle:
            raise CheckpointError(f"{path} is no file of weights: {first}") from error
        raise CheckpointError(
            f"{path} is no file of plain weights, or damaged; a file that holds more can run any "
            "code on loading: if you trust it, pass --unsafe-pickle (unsafe_pickle=True)"
        ) from error
    # Damaged archives raise errors of several modules.
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot read weights {path}: {first}") from error


def read_weights(path: Path, *, unsafe_pickle: bool = False) -> State:
    """Return the tensors of a file by name, unwrapped and without ``module.``.

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
        It holds none.
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
    if all(name.startswith(PARALLEL) for name in state):
        state = {name.removeprefix(PARALLEL): tensor for name, tensor in state.items()}
    return state
