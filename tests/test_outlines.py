"""Outlines as arrays: the compiled loops and their twins in Python give the same, to the byte."""

import json
import subprocess
import sys

import numpy as np
import pytest

from segscape import outline_kernels, outlines
from segscape.masks import RunLengths


def masks_of(case: str) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    hole_in_hole = np.zeros((9, 9), bool)
    for i in range(4):
        hole_in_hole[i : 9 - i, i : 9 - i] = i % 2 == 0
    return {
        "none": [],
        "empty": [np.zeros((2, 3), bool)],
        "one pixel": [np.ones((1, 1), bool)],
        "touching itself": [np.kron(np.eye(4), np.ones((2, 2))) > 0, ~np.eye(7, dtype=bool)],
        "holes in holes": [hole_in_hole, ~hole_in_hole],
        "noise": [rng.random((23, 31)) < share for share in (0.2, 0.5, 0.6, 0.9)],
        "some empty": [np.zeros((1, 1), bool), np.ones((2, 2), bool), np.zeros((3, 1), bool)],
    }[case]


CASES = ("none", "empty", "one pixel", "touching itself", "holes in holes", "noise", "some empty")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("corner", [(0, 0), (-3, 7), (9_999, 4_000_000_000)])
def test_the_twins_give_the_same(monkeypatch, case, corner):
    masks = [RunLengths.from_dense(mask) for mask in masks_of(case)]
    found = []
    for kernels in (outline_kernels, None):
        monkeypatch.setattr(outlines, "_kernels", lambda _, kernels=kernels: kernels)
        made = outlines.outlines_of(masks, [corner] * len(masks))
        found.append((made.to_lists(), made.to_json()))
    assert found[0] == found[1]
    assert [json.loads(text) for text in found[0][1]] == found[0][0]


def test_numba_is_imported_only_when_there_is_much_to_do():
    code = (
        "import sys; import numpy as np; from segscape import outlines; from segscape.masks import RunLengths\n"
        "mask = RunLengths.from_dense(np.random.default_rng(0).random((40, 40)) < 0.5)\n"
        "json = outlines.outlines_of([mask], [(0, 0)]).to_json(); print('numba' in sys.modules)\n"
        "outlines._CORNERS_IN_PYTHON = 10\n"
        "again = outlines.outlines_of([mask], [(0, 0)]).to_json(); print('numba' in sys.modules, json == again)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False", "True", "True"], done.stderr


@pytest.mark.parametrize("seed", range(5))
def test_the_twins_cut_any_permutation_into_the_same_rings(seed):
    rng = np.random.default_rng(seed)
    vertex = np.sort(np.concatenate((np.arange(40), rng.choice(40, 25, replace=False))))
    following = rng.permutation(len(vertex))
    for compiled, plain in zip(
        outline_kernels.trace(following, vertex), outlines.trace_in_python(following, vertex), strict=True
    ):
        np.testing.assert_array_equal(compiled, plain)
