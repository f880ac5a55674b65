"""Vehicle signals of a DDD17 file, brought from the host's clock to the sensor's."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from eventseg.recordings.base import Signal
from eventseg.recordings.ddd17.file import HDF5_ERRORS, PacketFile
from eventseg.recordings.ddd17.layout import SIGNAL_UNITS
from eventseg.recordings.report import Tally


def read_signals(
    file: PacketFile, *, host_offset_us: int | None, tally: Tally
) -> dict[str, Signal]:
    """Read every signal that holds data, by name.

    Parameters
    ----------
    file : PacketFile
    host_offset_us : int or None
        Smallest ``host - sensor time``: subtracted from host times to get ``t_us``. It contains
        the least latency of the event path, about a packet's length.
    tally : Tally
        Receives what was skipped.
    """
    signals = {}
    tally.found["signals"] = 0
    for name in sorted(file.file):
        if name == "dvs":
            continue
        tally.found["signals"] += 1
        group = file.file.get(name)
        table = _table(group)
        if table is None:
            tally.skip("signals", f"{name}: no table of (host time, value)")
            continue
        rows = table[table[:, 0] > 0]
        if not len(rows):
            tally.skip("signals", f"{name}: no data")
            continue
        host = rows[:, 0].astype(np.int64)
        tally.repair(f"values of {name} out of order, sorted", int((np.diff(host) < 0).sum()))
        order = np.argsort(host, kind="stable")
        host, value = host[order], rows[order, 1]
        times = host - (host_offset_us or 0)
        for column in (times, host, value):
            column.flags.writeable = False
        signals[name] = Signal(name, SIGNAL_UNITS.get(name, ""), times, host, value)
    if signals and host_offset_us is None:
        tally.notes.append("no host times beside the events: signals stay on the host's clock")
    return signals


def _table(group: Any) -> Any:
    """Return (host time, value) rows as float64 (M, 2), or None if there is no such table."""
    try:
        data = group["data"] if isinstance(group, h5py.Group) else None
        if not isinstance(data, h5py.Dataset) or data.ndim != 2 or data.shape[1] != 2:
            return None
        table = data[:]
        if table.dtype.kind not in "iuf":
            return None
        table = table.astype(np.float64)
        finite = np.isfinite(table[:, 0]) & (np.abs(table[:, 0]) < 2**62)
        table[~finite, 0] = 0
        return table
    except HDF5_ERRORS:
        return None
