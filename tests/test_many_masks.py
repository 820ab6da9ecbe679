import numpy as np
import pytest

from segscape import many_masks
from segscape.errors import InputError
from segscape.masks import RunLengths, crop_to_box, to_coco_counts
from segscape.polygons import to_polygons, to_polygons_of

SIZE = (13, 17)


@pytest.fixture(scope="module")
def crops() -> list[tuple[tuple[int, int, int, int], RunLengths]]:
    rng = np.random.default_rng(0)
    dense = [np.kron(rng.random((5, 6)) < share, np.ones((3, 3), bool))[: SIZE[0], : SIZE[1]] for share in (0.2, 0.5)]
    dense += [rng.random(SIZE) < share for share in (0.01, 0.1, 0.5, 0.9, 1.1)]
    corner = np.zeros(SIZE, bool)
    corner[-1, -1] = corner[0, 0] = True
    return [crop_to_box(mask) for mask in (*dense, corner)]


def test_column_spans_are_those_of_each_mask(crops):
    masks = [mask for _, mask in crops] + [RunLengths((2, 3), np.array([6]))]
    owner, *spans = many_masks.column_spans(masks)
    for i, mask in enumerate(masks):
        np.testing.assert_array_equal([part[owner == i] for part in spans], mask.column_spans())


def test_coco_counts_are_those_of_each_mask(crops):
    boxes, masks = [box for box, _ in crops], [mask for _, mask in crops]
    wanted = [to_coco_counts(mask, box, SIZE) for box, mask in crops]
    assert many_masks.to_coco_counts(masks, boxes, SIZE) == wanted
    assert many_masks.to_coco_counts([RunLengths((2, 3), np.array([6]))], [(0, 0, 3, 2)], SIZE) == [[13 * 17]]


def test_polygons_are_those_of_each_mask(crops):
    boxes, masks = [box for box, _ in crops], [mask for _, mask in crops]
    wanted = [to_polygons(mask, box[:2]) for box, mask in crops]
    assert to_polygons_of(masks, boxes) == wanted
    assert max(len(parts) for parts in wanted) > 10


def test_of_no_masks_there_is_nothing():
    assert [len(part) for part in many_masks.column_spans([])] == [0, 0, 0, 0]
    assert many_masks.to_coco_counts([], [], SIZE) == []
    assert to_polygons_of([], []) == []


@pytest.mark.parametrize(("box", "says"), [((0, 0, 2, 2), "does not fill"), ((15, 0, 18, 2), "leaves the image")])
def test_boxes_that_do_not_fit_are_refused(box, says):
    with pytest.raises(InputError, match=says):
        many_masks.to_coco_counts([RunLengths((2, 3), np.array([0, 6]))], [box], SIZE)
