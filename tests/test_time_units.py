"""Units of time: nanoseconds taken for microseconds are warned about."""

from __future__ import annotations

import numpy as np
import pytest

from eventseg.events import EventStream


def columns(n: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 346, n), rng.integers(0, 260, n), rng.integers(0, 2, n)


def test_nanoseconds_taken_for_microseconds_are_warned_about() -> None:
    t_us = np.arange(0, 100_000, 10)
    x, y, p = columns(len(t_us))
    with pytest.warns(UserWarning, match=r"nanoseconds \(t_unit='ns'\)"):
        EventStream.from_arrays(t_us * 1_000, x, y, p, sensor=(260, 346))
    with pytest.warns(UserWarning, match="milliseconds or seconds"):
        EventStream.from_arrays(
            np.arange(2_000_000) // 100_000, *columns(2_000_000), sensor=(260, 346)
        )
    for unit, factor in (("ns", 1_000), ("us", 1)):
        made = EventStream.from_arrays(t_us * factor, x, y, p, sensor=(260, 346), t_unit=unit)
        np.testing.assert_array_equal(made.t, t_us)
    made = EventStream.from_arrays([1, 2], [0, 0], [0, 0], [1, 1], sensor=(4, 4), t_unit="s")
    assert made.t.tolist() == [1_000_000, 2_000_000]
    with pytest.raises(ValueError, match="t_unit must be one of ns, us, ms, s"):
        EventStream.from_arrays([1], [0], [0], [1], sensor=(4, 4), t_unit="h")
