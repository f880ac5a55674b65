"""Confusion matrix of logits on the CPU: the largest logit and the count in one pass.

``argmax`` over the channels of a batch takes longer in torch than the forward pass of a small
network; here rows of pixels stay in the cache and the comparisons are vectorised.
"""

from __future__ import annotations

import numpy as np

from eventseg.kernels.compiled import compiled


@compiled
def count_confusion(logits, labels, matrix):
    """Add the pixels of (N, K, H, W) logits and (N, H, W) labels to ``matrix``, int64 (K, K).

    The first of equal logits is the predicted class. A label of K or more counts nowhere.
    """
    batch, classes, height, width = logits.shape
    best = np.empty(width, logits.dtype)
    predicted = np.empty(width, np.int32)
    for n in range(batch):
        for y in range(height):
            for x in range(width):
                best[x] = logits[n, 0, y, x]
                predicted[x] = 0
            for k in range(1, classes):
                for x in range(width):
                    value = logits[n, k, y, x]
                    larger = value > best[x]
                    best[x] = value if larger else best[x]
                    predicted[x] = k if larger else predicted[x]
            for x in range(width):
                if labels[n, y, x] < classes:
                    matrix[labels[n, y, x], predicted[x]] += 1
