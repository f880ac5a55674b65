"""Order of samples in their recordings: by time, or by name where times are unknown.

Stretches held back for validation, blocks of intervals and the nearest training frame follow it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eventseg.splits import members_of


def recording_ranks(
    ids: Sequence[str], sequences: Sequence[str], *, times_us: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the place of each sample among those of its recording, int64 (N,), 0 for the first.

    Parameters
    ----------
    ids : sequence of str (N,)
        Ids of the samples. Without times they give the order, numbers in them as numbers, so
        that frame 9 comes before frame 10.
    sequences : sequence of str (N,)
        Recording of each sample.
    times_us : int64 (N,), optional
        Time of each sample on the clock of its recording.
    """
    ranks = np.zeros(len(ids), np.int64)
    for part in members_of(sequences).values():
        if times_us is None:
            ordered = np.array(sorted(part.tolist(), key=lambda i: _name_key(ids[i])), np.int64)
        else:
            ordered = part[np.argsort(times_us[part], kind="stable")]
        ranks[ordered] = np.arange(len(ordered))
    return ranks


def _name_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    pieces = re.findall(r"\d+|\D+", name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces], name
