"""CUDA twin of the loop that changes events: a batch of windows in one launch, no atomics.

Arguments and the words of random numbers are as in :mod:`eventseg.kernels.augment`; the grid is
as in :mod:`eventseg.kernels.encode_cuda`.
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
    """Write the events of each window, changed and in their order, and its noise after them."""
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
