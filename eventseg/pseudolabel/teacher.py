"""Teacher protocol: pictures in, class probabilities out, with name, digest and licence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from eventseg.errors import CheckpointError
from eventseg.labels.maps import ClassTable
from eventseg.networks.inputs import Scaling

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray (ITU-R BT.601)."""


@dataclass(frozen=True, slots=True)
class TeacherSource:
    """Arguments with which another process loads a teacher.

    Parameters
    ----------
    spec : str
        Specification with absolute paths, see :func:`eventseg.pseudolabel.load_teacher`.
    class_table : ClassTable, optional
        Classes of the teacher, where its file does not name them.
    unsafe_pickle : bool
        Also read a file of weights that can run any code on loading.
    licence : str, optional
        Licence of the weights, where it was given.
    """

    spec: str
    class_table: ClassTable | None = None
    unsafe_pickle: bool = False
    licence: str | None = None


class Teacher(Protocol):
    """A network that gives each pixel of a picture a probability for each of its classes.

    Three attributes are optional: ``training_frame``, height and width of the frames it was trained
    on, ``fixed_input``, whether it resizes every picture to one size, and ``source``, a
    :class:`TeacherSource` that other processes load it from; one without is sent to them whole.
    So is the method ``fast_scores(bfloat16)``, which returns a function from pictures to class
    scores before the softmax at any size, or None; see :mod:`eventseg.pseudolabel.arithmetic`.
    """

    @property
    def name(self) -> str:
        """Kind and file or id, without folders."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the weights and of how pictures are scaled; see :func:`weights_digest`."""
        ...

    @property
    def classes(self) -> ClassTable:
        """Table of its C classes."""
        ...

    @property
    def licence(self) -> str:
        """Licence of the weights as text."""
        ...

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""
        ...

    @property
    def multiple(self) -> int:
        """Height and width of pictures must be multiples of this."""
        ...

    def probabilities(self, pictures: Tensor) -> Tensor:
        """Return class probabilities that add up to 1 at each pixel.

        Parameters
        ----------
        pictures : float32 (N, 3, H, W)
            RGB from 0 to 255, on the teacher's device.

        Returns
        -------
        float32 (N, C, H, W)
            At the size of the pictures, on the same device.
        """
        ...


def has_fixed_input(teacher: Teacher) -> bool:
    """Return whether a teacher resizes every picture to one size, so that scales change nothing."""
    return bool(getattr(teacher, "fixed_input", False))


def weights_digest(state: Mapping[str, Tensor], *, facts: Mapping[str, object]) -> str:
    """Return the SHA-256 of tensors and of the plain facts that determine their use.

    Of the tensors and not of a file, so that a checkpoint need not be read again, and one that
    is stored in another way is the same teacher.

    Parameters
    ----------
    state : mapping of str to Tensor
        Weights by name.
    facts : mapping
        Plain values, such as architecture and scaling.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def scaled(pictures: Tensor, scaling: Scaling, *, channels: int) -> Tensor:
    """Return pictures as a network expects them.

    Parameters
    ----------
    pictures : float32 (N, 3, H, W)
        RGB from 0 to 255.
    scaling : Scaling
        ``(value / 255 * top - mean) / std`` and the order of the channels.
    channels : {1, 3}
        Channels of the network's input; one is the luma of the picture.

    Returns
    -------
    float32 (N, channels, H, W)

    Raises
    ------
    CheckpointError
        A network of other inputs than pictures.
    """
    if channels == 1:
        luma = pictures.new_tensor(LUMA).reshape(1, 3, 1, 1)
        pictures = (pictures * luma).sum(1, keepdim=True)
    elif channels != 3:
        raise CheckpointError(
            f"a network of {channels} input channels is no teacher: it must see gray or RGB "
            "pictures (1 or 3 channels)"
        )
    elif scaling.order == "bgr":
        pictures = pictures.flip(1)
    mean = pictures.new_tensor(scaling.mean).reshape(1, -1, 1, 1)
    std = pictures.new_tensor(scaling.std).reshape(1, -1, 1, 1)
    return (pictures / 255.0 * scaling.top - mean) / std
