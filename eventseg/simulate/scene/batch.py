"""Batches of rays: rows of numbers, one column a ray, that the shading loops work in.

Every loop of a batch reads and writes rows of one flat buffer. The compiler knows how far they are
apart, so it may work on several rays at once. Indices are unsigned, which spares it the question
whether they count from the end.
"""

from __future__ import annotations

import numpy as np

BATCH = 512
"""Rays of a batch: its buffer stays in the first two caches."""

(A, B, S, DX, DY, DZ, X, Y, Z, FOOT, COVER, ALBEDO, OWN, SUN, U, FOOT_U) = (
    np.uint64(row * BATCH) for row in range(16)
)
"""Begin of each row: tangents right and up, depth, direction, place, size of a pixel there, share
that wires cover, albedo, own light, light that falls on it, place along a facade and size there."""

(FIELD, HEIGHT, PITCH, DUTY, SEED) = (np.uint64(row * BATCH) for row in range(16, 21))
"""Rows of facades: albedo of the block, its height, pitch and share of its windows, its seed."""

ROWS = 21
