"""Semantic segmentation from event cameras: raw recordings to tensors, labels and scores.

Everything a notebook needs is here; each name is loaded when it is first used, so that importing
the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventseg.dataset.check import check_dataset as check_dataset
    from eventseg.dataset.reader import EventDataset as EventDataset
    from eventseg.dataset.reader import open_dataset as open_dataset
    from eventseg.dataset.writer import encode_dataset as encode_dataset
    from eventseg.encoding.one_pass import encode_counted as encode_counted
    from eventseg.encoding.one_pass import encode_recording as encode_recording
    from eventseg.encoding.tensors import CHANNELS as CHANNELS
    from eventseg.encoding.tensors import encode as encode
    from eventseg.encoding.tensors import encode_windows as encode_windows
    from eventseg.encoding.tensors import normalise_evsegnet as normalise_evsegnet
    from eventseg.errors import EventsegError as EventsegError
    from eventseg.events import EVENT_DTYPE as EVENT_DTYPE
    from eventseg.events import EventStream as EventStream
    from eventseg.events import SensorSize as SensorSize
    from eventseg.filters.rules import Filters as Filters
    from eventseg.filters.rules import filter_events as filter_events
    from eventseg.filters.rules import parse_filters as parse_filters
    from eventseg.plots.events import figure_sample as figure_sample
    from eventseg.recordings import DDD17Writer as DDD17Writer
    from eventseg.recordings import Recording as Recording
    from eventseg.recordings import open_recording as open_recording
    from eventseg.windows import Windows as Windows
    from eventseg.windows import covered_share as covered_share
    from eventseg.windows import cut_windows as cut_windows
    from eventseg.windows import parse_anchor as parse_anchor
    from eventseg.windows import parse_duration as parse_duration

__version__ = "0.1.0"

_HOME = {
    "EVENT_DTYPE": "events",
    "EventStream": "events",
    "SensorSize": "events",
    "EventsegError": "errors",
    "open_recording": "recordings",
    "Recording": "recordings",
    "DDD17Writer": "recordings",
    "Windows": "windows",
    "cut_windows": "windows",
    "covered_share": "windows",
    "parse_anchor": "windows",
    "parse_duration": "windows",
    "CHANNELS": "tensors",
    "encode": "tensors",
    "encode_windows": "tensors",
    "encode_recording": "recording_tensors",
    "encode_counted": "recording_tensors",
    "normalise_evsegnet": "tensors",
    "EventDataset": "dataset",
    "open_dataset": "dataset",
    "check_dataset": "dataset_check",
    "encode_dataset": "dataset_writer",
    "Filters": "filters",
    "filter_events": "filters",
    "parse_filters": "filters",
    "figure_sample": "plots",
}

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> object:
    """Load a public name from the module it lives in."""
    if name not in _HOME:
        raise AttributeError(f"module 'eventseg' has no attribute {name!r}")
    value = getattr(import_module(f"eventseg.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
