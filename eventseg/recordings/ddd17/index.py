"""The index of a recording: one line a packet, built in one pass over the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.contents import SPECIALS_DTYPE, Epoch
from eventseg.recordings.ddd17.clock import continuous_clock
from eventseg.recordings.ddd17.layout import (
    FRAME,
    NO_TIME,
    POLARITY,
    SPECIAL,
    TIMESTAMP_RESET,
    TIMESTAMP_WRAP,
    WRAP_US,
)
from eventseg.recordings.ddd17.packets import (
    ISLAND_DTYPE,
    PACKET_DTYPE,
    STORED_FRAME_DTYPE,
    STORED_SPECIAL_DTYPE,
    Block,
    describe_block,
)
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.ddd17.strays.marks import sound_marks
from eventseg.recordings.ddd17.strays.removal import without_strays
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.report import Tally

INDEX_DTYPES = {
    "packets": PACKET_DTYPE,
    "frames": STORED_FRAME_DTYPE,
    "specials": SPECIALS_DTYPE,
    "islands": ISLAND_DTYPE,
}
BLOCK_DTYPES = {**INDEX_DTYPES, "specials": STORED_SPECIAL_DTYPE}


@dataclass(frozen=True, eq=False)
class Index:
    """All that is known of a file whatever its sensor's size; times are continuous, in us.

    Parameters
    ----------
    packets : structured array (P,)
        PACKET_DTYPE: packets of polarity events and inertial samples with anything kept,
        in file order.
    frames : structured array (F,)
        STORED_FRAME_DTYPE, in file order; the stamps themselves are as stored.
    specials : structured array (S,)
        SPECIALS_DTYPE, sorted by time.
    islands : structured array (I,)
        ISLAND_DTYPE: stretches with events inside packets longer than a gap.
    epochs : tuple of Epoch
    host_offset_us : int or None
        Smallest ``host - continuous time``.
    tally : Tally
    """

    packets: NDArray[np.void]
    frames: NDArray[np.void]
    specials: NDArray[np.void]
    islands: NDArray[np.void]
    epochs: tuple[Epoch, ...]
    host_offset_us: int | None
    tally: Tally


def build_index(file: PacketSource, *, progress: Callable[[float], None] | None = None) -> Index:
    """Read a file once and describe every packet.

    Parameters
    ----------
    file : PacketSource
    progress : callable, optional
        Called with the share done, 0 to 1.
    """
    tally = Tally(
        found=Counter(dict.fromkeys(("packets", "events", "frames", "imu", "specials"), 0))
    )
    blocks: list[Block] = []
    damaged: list[int] = []
    stored = file.blocks()
    for number, (first, stop) in enumerate(stored, start=1):
        block = file.block(first, stop)
        host = file.host_times(first, stop)
        for i in np.flatnonzero((host <= 0) & (block.header_sizes > 0)):
            host[i] = file.host_digits(first + int(i))
            tally.repair("host times taken from the digits of column 0", int(host[i] > 0))
        damaged += block.damaged
        blocks.append(describe_block(block, file, first_row=first, host=host, tally=tally))
        if progress is not None:
            progress(number / len(stored))
    for reason, count in file.left_out().items():
        tally.found["packets"] += count
        tally.skip("packets", reason, count)
    if damaged:
        tally.notes.append(f"rows of dvs/data that could not be read: {_ranges(damaged)}")
    packets, frames, specials, islands = (
        np.concatenate([np.empty(0, dtype), *(getattr(block, name) for block in blocks)])
        for name, dtype in BLOCK_DTYPES.items()
    )
    if len(packets):
        specials = sound_marks(packets, specials, tally=tally)
        islands = without_strays(packets, specials, islands, file=file, tally=tally)
    return _on_one_clock(packets, frames, specials, islands, tally=tally)


def _on_one_clock(
    packets: NDArray[np.void],
    frames: NDArray[np.void],
    specials: NDArray[np.void],
    islands: NDArray[np.void],
    *,
    tally: Tally,
) -> Index:
    clock = continuous_clock(
        packets,
        specials["row"][specials["type"] == TIMESTAMP_RESET],
        specials["row"][specials["type"] == TIMESTAMP_WRAP],
        tally=tally,
    )
    packets["base"] = clock.bases
    for name in ("t_first", "t_last", "t_min", "t_max"):
        packets[name] += clock.bases
    rows = packets["row"]
    islands_base = clock.bases[np.searchsorted(rows, islands["row"])]
    islands["t_min"] += islands_base
    islands["t_max"] += islands_base
    frames["base"] = clock.bases[np.searchsorted(rows, frames["packet_row"])]
    return Index(
        packets[(packets["kept"] > 0) & (packets["kind"] != FRAME) & (packets["kind"] != SPECIAL)],
        frames,
        _placed_specials(specials, packets),
        islands,
        clock.epochs,
        clock.host_offset_us,
        tally,
    )


def _placed_specials(specials: NDArray[np.void], packets: NDArray[np.void]) -> NDArray[np.void]:
    """Return the special events on the continuous clock, sorted by time.

    A WRAP stands at the last microsecond before the wrap and a RESET at zero of the new clock:
    their own stamps mean nothing.
    """
    base = packets["base"][np.searchsorted(packets["row"], specials["row"])]
    placed = np.zeros(len(specials), SPECIALS_DTYPE)
    placed["type"], placed["data"] = specials["type"], specials["data"]
    placed["t"] = base + np.where(specials["type"] == TIMESTAMP_RESET, 0, specials["t"])
    events = packets[(packets["kind"] == POLARITY) & (packets["kept"] > 0)]
    latest = np.maximum.accumulate(events["t_max"])
    for i in np.flatnonzero(specials["type"] == TIMESTAMP_WRAP):
        placed["t"][i] = base[i] + NO_TIME
        before = int(np.searchsorted(events["row"], specials["row"][i])) - 1
        if before >= 0 and placed["t"][i] - latest[before] > WRAP_US // 2:
            placed["t"][i] -= WRAP_US  # a packet that already carries the new overflow
    return placed[np.argsort(placed["t"], kind="stable")]


def _ranges(numbers: list[int]) -> str:
    """Return ascending numbers as ranges, the first twenty of them."""
    cuts = np.flatnonzero(np.diff(numbers) > 1) + 1
    parts = np.split(np.array(numbers), cuts)
    words = [str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts[:20]]
    rest = sum(len(part) for part in parts[20:])
    return ", ".join(words) + (f" and {rest:,} more" if rest else "")


def cached_index(
    file: PacketSource, progress: Callable[[float], None] | None
) -> tuple[Index, str | None]:
    """Return the index, from the cache if it is there, and a note on the cache."""
    if not file.plain:  # the next copy may be laid out in another way
        return build_index(file, progress=progress), None
    index = _unpacked(load_arrays(file.path, variant=file.variant))
    if index is not None:
        if progress is not None:
            progress(1.0)
        return index, None
    index = build_index(file, progress=progress)
    return index, store_arrays(file.path, *_packed(index), variant=file.variant)


def _packed(index: Index) -> tuple[dict[str, NDArray[np.void]], dict[str, Any]]:
    arrays = {name: getattr(index, name) for name in INDEX_DTYPES}
    facts = {
        "epochs": [asdict(epoch) for epoch in index.epochs],
        "host_offset_us": index.host_offset_us,
        "tally": index.tally.to_dict(),
    }
    return arrays, facts


def _unpacked(stored: tuple[dict[str, NDArray[Any]], dict[str, Any]] | None) -> Index | None:
    if stored is None:
        return None
    arrays, facts = stored
    if {name: array.dtype for name, array in arrays.items()} != INDEX_DTYPES:
        return None
    try:
        return Index(
            **arrays,
            epochs=tuple(Epoch(**epoch) for epoch in facts["epochs"]),
            host_offset_us=facts["host_offset_us"],
            tally=Tally.from_dict(facts["tally"]),
        )
    except (KeyError, TypeError):
        return None
