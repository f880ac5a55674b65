"""Losses of a user's own: functions in a Python file, as terms of the loss."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from eventseg.errors import TrainingError
from eventseg.files.extensions import load_extension, short_extension

WEIGHTS = ("class_weights", "pixel_weights")
"""Keywords that a loss may take besides logits and labels."""


@dataclass(frozen=True, slots=True)
class OwnLoss:
    """A loss function of a user's own, called with the keywords that it takes.

    Parameters
    ----------
    name : str
        ``FILE.py:NAME``, for error messages.
    function : callable
        ``(logits, labels)`` to a scalar tensor; see :func:`load_own_loss`.
    keywords : tuple of str
        Those of :data:`WEIGHTS` that it takes.
    """

    name: str
    function: Any
    keywords: tuple[str, ...]

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        *,
        class_weights: Tensor | None = None,
        pixel_weights: Tensor | None = None,
    ) -> Tensor:
        """Return the loss, a scalar tensor.

        Raises
        ------
        TrainingError
            The function returns something else, or ignores weights that are asked for.
        """
        weights = {"class_weights": class_weights, "pixel_weights": pixel_weights}
        for keyword, weight in weights.items():
            if weight is not None and keyword not in self.keywords:
                raise TrainingError(
                    f"the loss {self.name} takes no {keyword}, which the settings ask for: add "
                    f"the keyword {keyword} to the function, or set loss.class_weights=none and "
                    "loss.weigh_by_confidence=false"
                )
        value = self.function(
            logits, labels, **{keyword: weights[keyword] for keyword in self.keywords}
        )
        if not isinstance(value, Tensor) or value.dim() != 0:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise TrainingError(
                f"the loss {self.name} must return a tensor of one number, got {shape}"
            )
        if logits.requires_grad and not value.requires_grad:
            raise TrainingError(
                f"the loss {self.name} has no gradient: compute it from the logits with torch alone"
            )
        return value


def load_own_loss(spec: str) -> OwnLoss:
    """Load a loss from a file.

    Parameters
    ----------
    spec : str
        ``FILE.py:NAME`` of a function ``NAME(logits, labels)``. Logits are float32
        (N, classes, H, W), labels int64 (N, H, W) with 255 for ignored pixels. It may also take
        the keywords ``class_weights``, float32 (classes,) or None, and ``pixel_weights``, float32
        (N, H, W) or None.

    Raises
    ------
    ExtensionError
        The file or the object in it cannot be loaded.
    TrainingError
        It is no function of logits and labels.
    """
    function, name = load_extension(spec).value, short_extension(spec)
    try:
        signature = inspect.signature(function)
        takes_all = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        keywords = tuple(k for k in WEIGHTS if takes_all or k in signature.parameters)
        signature.bind("logits", "labels", **dict.fromkeys(keywords))
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"the loss {name} must be a function of (logits, labels): {error}"
        ) from error
    return OwnLoss(name, function, keywords)
