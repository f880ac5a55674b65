"""Events of many windows changed on the CPU: dropped, moved, swapped, and noise added."""

from __future__ import annotations

import numpy as np
from numba import njit

from eventseg.kernels import augment_cells
from eventseg.kernels.augment_cells import FIRST, KEY, LAST, NOISE, PLACE
from eventseg.kernels.compiled import compiled

_inlined = njit(nogil=True, inline="always")
random_word = _inlined(augment_cells.random_word)
rules_of = _inlined(augment_cells.rules_of)
changed_event = _inlined(augment_cells.changed_event)
noise_event = _inlined(augment_cells.noise_event)


@compiled
def change(t, x, y, p, plan, out_t, out_x, out_y, out_p, height, width):
    """Write the events of each window, changed and in their order, and its noise after them.

    ``plan`` is that of :mod:`eventseg.kernels.augment_cells`; each window has room in the output
    for all of its events, since lost ones keep their place.
    """
    for k in range(len(plan)):
        first, place, key = plan[k, FIRST], plan[k, PLACE], plan[k, KEY]
        events, rules = plan[k, LAST] - first, rules_of(plan, k, height, width)
        for i in range(events):
            # Unsigned, so that no code is made for an index counted from the end.
            at, to = np.uint64(first + i), np.uint64(place + i)
            out_t[to], out_x[to], out_y[to], out_p[to] = changed_event(
                t[at], x[at], y[at], p[at], random_word(key, i), rules
            )
        for j in range(plan[k, NOISE]):
            to, word = place + events + j, events + 2 * j
            when, where = random_word(key, word), random_word(key, word + 1)
            out_t[to], out_x[to], out_y[to], out_p[to] = noise_event(when, where, rules)
