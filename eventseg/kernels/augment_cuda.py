"""CUDA twin of the loop that changes events: a batch of windows in one launch, no atomics.

The plan of changes, one row a window, and the words of random numbers are those of
:mod:`eventseg.kernels.augment_cells`; :mod:`eventseg.kernels.augment` is the loop on the CPU. The
second axis of the grid counts windows, the first walks their events in strides.
"""

from __future__ import annotations

from eventseg.kernels import augment_cells
from eventseg.kernels.augment_cells import FIRST, KEY, LAST, NOISE, PLACE
from eventseg.kernels.cuda_device import cuda, inlined

random_word = inlined(augment_cells.random_word)
rules_of = inlined(augment_cells.rules_of)
changed_event = inlined(augment_cells.changed_event)
noise_event = inlined(augment_cells.noise_event)


@cuda.jit
def change(t, x, y, p, plan, out_t, out_x, out_y, out_p, height, width):
    """Write the events of each window, changed and each in its place, and its noise after them.

    Parameters
    ----------
    t, x, y, p : columns of all events
    plan : int64 (K, 13)
        A row for each window.
    out_t, out_x, out_y, out_p : columns of the changed events
        Long enough for all events of the plan and its noise; dropped events keep their places.
    height, width : int
        Sensor in pixels.
    """
    start, k = cuda.grid(2)
    stride = cuda.gridsize(2)[0]
    first, place, key = plan[k, FIRST], plan[k, PLACE], plan[k, KEY]
    events, rules = plan[k, LAST] - first, rules_of(plan, k, height, width)
    for i in range(start, events, stride):
        at, to = first + i, place + i
        out_t[to], out_x[to], out_y[to], out_p[to] = changed_event(
            t[at], x[at], y[at], p[at], random_word(key, i), rules
        )
    for j in range(start, plan[k, NOISE], stride):
        to, word = place + events + j, events + 2 * j
        when, where = random_word(key, word), random_word(key, word + 1)
        out_t[to], out_x[to], out_y[to], out_p[to] = noise_event(when, where, rules)
