"""Vehicle signals of a DDD17 file, brought from the host's clock to the sensor's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.contents import Signal
from eventseg.recordings.ddd17.layout import SIGNAL_UNITS
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.hdf5.storage import DamageError
from eventseg.recordings.hdf5.tables import Table
from eventseg.recordings.report import Tally


def read_signals(
    file: PacketSource, *, host_offset_us: int | None, tally: Tally
) -> dict[str, Signal]:
    """Read every signal that holds data, by name.

    Parameters
    ----------
    file : PacketSource
    host_offset_us : int or None
        Smallest ``host - sensor time``: subtracted from host times to get ``t_us``. It contains
        the least latency of the event path, about a packet's length.
    tally : Tally
        Receives the counts of skipped values.
    """
    signals = {}
    tally.found["signals"] = 0
    for name, table in file.signals.items():
        tally.found["signals"] += 1
        if isinstance(table, str):
            tally.skip("signals", f"{name}: {table}")
            continue
        stored = _values(table)
        if stored is None:
            tally.skip("signals", f"{name}: damaged")
            continue
        rows = stored[stored[:, 0] > 0]
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


def _values(table: Table) -> NDArray[np.float64] | None:
    """Return the stored rows of (host time, value), or None if they cannot be read."""
    try:
        parts = [table.rows(first, stop) for first, stop in table.spans()]
    except DamageError:
        return None
    values = np.concatenate([np.empty((0, 2)), *parts]).astype(np.float64)
    finite = np.isfinite(values[:, 0]) & (np.abs(values[:, 0]) < 2**62)
    values[~finite, 0] = 0
    return values
