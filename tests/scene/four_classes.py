"""Label maps of four classes, drawn in letters or by hypothesis."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segscape.labels import Label, LabelSet

LABELS = LabelSet("four", (*(Label(name, (0, 0, 0)) for name in "abc"), Label("t", (9, 9, 9), thing=True)))
VOID = 255
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # numba compiles on first use
MAPS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 1, 1, 2, VOID])
)


def rows(*lines: str) -> np.ndarray:
    """A label map drawn in letters: a, b, c, t are the classes, . is void."""
    return np.array([["abct".index(c) if c in "abct" else VOID for c in line] for line in lines], np.uint8)
