"""Predictions of a user's own function, called with one sample after the other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eventseg.encoding.settings import Normalisation, Tensor
from eventseg.errors import ExtensionError
from eventseg.evaluation.scoring.arrays import Prediction, prediction_of
from eventseg.evaluation.scoring.settings import Values
from eventseg.events import EventStream, SensorSize
from eventseg.files.digests import digest_of
from eventseg.files.extensions import is_extension, load_extension
from eventseg.labels.maps import ClassTable
from eventseg.sources.source import Source

PREFIX = "python:"
"""Begin of the name of a function in a module: ``python:MODULE:FUNCTION``."""


@dataclass(frozen=True, eq=False, slots=True)
class ScoredSample:
    """Sample as a function sees it: events, tensor and frame, never labels.

    Parameters
    ----------
    id : str
    recording : str
        Recording or drive that it is of.
    size : SensorSize
        Height and width of its labels.
    classes : tuple of str (K,)
        Names of the classes to predict.
    window : str
        Window of the events.
    """

    id: str
    recording: str
    size: SensorSize
    classes: tuple[str, ...]
    window: str
    _source: Source = field(repr=False)
    _index: int = field(repr=False)
    _normalise: Normalisation | None = field(default=None, repr=False)

    def events(self, window: str | None = None) -> EventStream:
        """Return the events of a window that ends at the sample, by default of :attr:`window`."""
        # The normalisation belongs to tensors: events are the same with any.
        live = self._source.live_window(self._index, window or self.window, normalise="raw")
        return live.events

    def tensor(
        self, window: str | None = None, *, normalise: Normalisation | None = None
    ) -> Tensor:
        """Return the tensor of the events, float32 (C, H, W), as the data set encodes them.

        Parameters
        ----------
        window : str, optional
        normalise : {"evsegnet", "sqrt", "raw"}, optional
            By default ``evsegnet`` for the six channels and ``raw`` for other representations.
        """
        encoding = self._source.encoding
        if encoding is None:
            raise ExtensionError(f"{self._source.path} holds no events; use frame()")
        chosen = self._normalise or normalise
        if chosen is None:
            chosen = encoding.normalised(None).normalise
        return self._source.events(self._index, window or self.window, normalise=chosen)

    def frame(self, *, colour: bool = False) -> Tensor:
        """Return the frame, float32 (1, H, W), or (3, H, W) in colour, from 0 to 1."""
        return self._source.image(self._index, colour=colour)


@dataclass(frozen=True, eq=False, slots=True)
class Function:
    """A function that predicts samples.

    Parameters
    ----------
    name : str
        Name of its row.
    call : callable
        Called with a :class:`ScoredSample`; returns class ids (H, W), or logits or probabilities
        (K, H, W).
    classes : ClassTable
    window : str
    values : {"auto", "logits", "probabilities"}
    about : mapping
    normalise : {"evsegnet", "sqrt", "raw"}, optional
        Normalisation of all tensors in place of the one that the function asks for.
    """

    name: str
    call: Callable[[ScoredSample], Any]
    classes: ClassTable
    window: str
    values: Values = "auto"
    about: dict[str, Any] = field(default_factory=dict)
    normalise: Normalisation | None = None

    def predict(self, source: Source, i: int) -> Prediction:
        """Return the prediction of a sample.

        Raises
        ------
        ExtensionError
            The function raises an error.
        LabelError
            It returns neither class ids nor scores of the classes.
        """
        sample = ScoredSample(
            source.ids[i],
            source.sequences[i],
            source.size,
            self.classes.names,
            self.window,
            source,
            i,
            self.normalise,
        )
        try:
            found = self.call(sample)
        except Exception as error:  # whatever a user's code raises
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ExtensionError(
                f"{self.name} fails on sample {sample.id}: {reason}; call it on that sample by "
                "itself to see where"
            ) from error
        if isinstance(found, torch.Tensor):
            found = found.detach().cpu().numpy()
        return prediction_of(
            np.asarray(found),
            classes=self.classes,
            values=self.values,
            what=f"the result of {self.name} on sample {sample.id}",
        )


def is_function(spec: object) -> bool:
    """Return whether predictions are those of a function: itself, or its name."""
    return callable(spec) or (
        isinstance(spec, str) and (spec.startswith(PREFIX) or is_extension(spec))
    )


def load_function(spec: object) -> tuple[str, Callable[[ScoredSample], Any], dict[str, Any]]:
    """Return name, function and origin of ``python:MODULE:FUNCTION`` or ``FILE.py:FUNCTION``.

    Raises
    ------
    ExtensionError
        No such module, file or function.
    """
    if callable(spec):
        return str(getattr(spec, "__name__", type(spec).__name__)), spec, {"function": repr(spec)}
    text = str(spec)
    if is_extension(text.removeprefix(PREFIX)):
        found = load_extension(text.removeprefix(PREFIX))
        call, path, digest = found.value, found.path, found.sha256
    else:
        module_name, _, name = text.removeprefix(PREFIX).partition(":")
        if not module_name or not name:
            raise ExtensionError(
                f"{text!r} names no function; give python:MODULE:FUNCTION or FILE.py:FUNCTION"
            )
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = importlib.import_module(module_name)
        except Exception as error:  # whatever the module raises while it is loaded
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ExtensionError(f"cannot load {module_name} of {text!r}: {reason}") from error
        finally:
            sys.path.remove(str(Path.cwd()))
        if not hasattr(module, name):
            raise ExtensionError(f"module {module_name} has no {name!r}, which {text!r} names")
        call, path = getattr(module, name), Path(module.__file__ or "")
        digest = digest_of(path) if path.is_file() else ""
    if not callable(call):
        raise ExtensionError(f"{text!r} is {type(call).__name__}, not a function of a sample")
    return text.removeprefix(PREFIX), call, {"function": text, "file": path.name, "sha256": digest}
