import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segscape.errors import InputError
from segscape.evaluate.metrics import ConfusionMatrix


@settings(deadline=None, max_examples=50)
@given(
    shape=st.tuples(st.integers(0, 9), st.integers(1, 9)),
    num_classes=st.integers(1, 6),
    ignore_index=st.sampled_from([0, 2, 255, -1]),
    kinds=st.tuples(*[st.sampled_from([np.uint8, np.uint16])] * 2),
    seed=st.integers(0, 99),
)
def test_label_maps_are_counted_as_other_integers_are(shape, num_classes, ignore_index, kinds, seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, num_classes, (2, *shape))
    if ignore_index == 255:
        truth[rng.random(shape) < 0.3] = 255
    prediction[truth == ignore_index] = 77  # does not matter there
    compiled, plain = ConfusionMatrix(num_classes, ignore_index), ConfusionMatrix(num_classes, ignore_index)
    for _ in range(2):
        compiled.update(truth.astype(kinds[0])[:, ::-1], prediction.astype(kinds[1])[:, ::-1])
        plain.update(truth, prediction)
    assert compiled.matrix.tolist() == plain.matrix.tolist()
    assert compiled.matrix.sum() == 2 * (truth != ignore_index).sum()


@pytest.mark.parametrize(("truth", "prediction"), [([0, 1, 3], [0, 1, 1]), ([0, 1, 2], [0, 1, 3])])
def test_a_wrong_id_counts_nothing(truth, prediction):
    matrix = ConfusionMatrix(3, 255)
    with pytest.raises(InputError, match="holds class id 3 at"):
        matrix.update(np.uint8([truth]), np.uint8([prediction]))
    assert not matrix.matrix.any()
