"""The loop of `segscape.evaluate.metrics.ConfusionMatrix`, compiled by numba."""

from __future__ import annotations

from segscape.compiled import compiled


@compiled
def count(truth, prediction, ignore_index, matrix):  # type: ignore[no-untyped-def]
    """Count pixels; False at the first that holds no class, when not all are counted.

    Args:
        truth, prediction: (N,) unsigned integers.
        ignore_index: true pixels of it are not counted.
        matrix: (C, C) int64, added to; ``matrix[t, p]`` pixels of true class t were predicted as p.
    """
    num_classes = matrix.shape[0]
    for i in range(truth.size):
        t, p = truth[i], prediction[i]
        if t != ignore_index:
            if t >= num_classes or p >= num_classes:
                return False
            matrix[t, p] += 1
    return True
