"""Objects of an image: checked when made, made from numbers, listed with their faults."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from object_sets import dense, write_numbered

from segscape.data import open_dataset
from segscape.data.objects import ObjectFault, ObjectList, Objects, ObjectScan, objects_from_numbers
from segscape.data.sample import Item
from segscape.errors import DataError, InputError
from segscape.masks import RunLengths

unhurried = settings(deadline=None)  # other work may slow us
DOT = RunLengths((1, 1), np.array([0, 1]))


def row(*bits):
    return RunLengths.from_dense(np.array([bits], bool))


@pytest.mark.parametrize(
    ("box", "mask", "words"),
    [
        ((0, 0, 1, 1), DOT, None),
        ((3, 2, 4, 3), DOT, None),
        ((4, 2, 5, 3), DOT, r"box \(4, 2, 5, 3\)"),
        ((3, 3, 4, 4), DOT, "does not fit an image"),
        ((-1, 0, 0, 1), DOT, "does not fit an image"),
        ((1, 1, 1, 1), DOT, "does not fit an image"),
        ((0, 0, 2, 1), DOT, r"with a mask of \(1, 1\)"),
    ],
)
def test_boxes_lie_in_the_image_and_are_filled_by_their_masks(box, mask, words):
    if words is None:
        assert len(Objects.of((3, 4), [(0, box, mask)])) == 1
    else:
        with pytest.raises(InputError, match=words):
            Objects.of((3, 4), [(0, box, mask)])


@pytest.mark.parametrize("field", ["labels", "boxes", "crowd", "ids"])
def test_all_arrays_are_as_long_as_the_masks(field):
    parts = {"labels": np.zeros(1, int), "boxes": np.array([[0, 0, 1, 1]]), "crowd": np.zeros(1, bool)}
    parts |= {"ids": np.ones(1, int)}
    Objects((3, 4), masks=(DOT,), **parts)
    with pytest.raises(InputError, match=field):
        Objects((3, 4), masks=(DOT,), **(parts | {field: np.concatenate((parts[field], parts[field]))}))


def test_no_crowds_and_ids_from_1_unless_told():
    rows = [(2, (0, 0, 1, 1), DOT), (0, (1, 0, 2, 1), DOT)]
    plain = Objects.of((3, 4), rows)
    assert (plain.labels.tolist(), plain.crowd.tolist(), plain.ids.tolist()) == ([2, 0], [False, False], [1, 2])
    told = Objects.of((3, 4), rows, [True, False], [9, 4])
    assert (told.crowd.tolist(), told.ids.tolist()) == ([True, False], [9, 4])
    none = Objects.of((3, 4), [])
    assert (len(none), none.boxes.shape, none.labels.dtype) == (0, (0, 4), np.int64)


def test_later_objects_cover_earlier_ones_in_numbers():
    objects = Objects.of((2, 3), [(0, (0, 0, 2, 1), row(1, 1)), (0, (1, 0, 3, 1), row(1, 1))], ids=[50, 7])
    assert objects.numbered().tolist() == [[1, 2, 2], [0, 0, 0]]
    assert objects.numbered().dtype == np.int32


@pytest.mark.parametrize("which", [np.array([False, True, True]), np.array([1, 2])])
def test_some_of_the_objects(which):
    rows = [(i, (i, 0, i + 1, 1), DOT) for i in range(3)]
    some = Objects.of((2, 3), rows, [False, False, True], [5, 6, 7]).chosen(which)
    assert (some.labels.tolist(), some.ids.tolist(), some.crowd.tolist()) == ([1, 2], [6, 7], [False, True])
    assert (some.boxes[:, 0].tolist(), len(some.masks)) == ([1, 2], 2)


@unhurried
@given(arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 1, 2, 700])))
def test_numbers_become_objects_with_all_their_parts(numbers):
    objects = objects_from_numbers(numbers, label=3)
    present = [n for n in np.unique(numbers).tolist() if n]
    assert dense(objects) == {n: (3, False, (numbers == n).tolist()) for n in present}
    for number, (x0, y0, x1, y1) in zip(present, objects.boxes.tolist(), strict=True):
        ys, xs = np.nonzero(numbers == number)
        assert (x0, y0, x1, y1) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    assert [numbers[objects.numbered() == i + 1].tolist() for i in range(len(present))] == [
        [n] * int((numbers == n).sum()) for n in present
    ]


def test_a_list_keeps_what_can_be_read_and_notes_the_rest():
    found = ObjectList((2, 3))
    full = RunLengths.from_dense(np.array([[0, 1, 1], [0, 0, 0]], bool))
    found.add(7, 1, full, crowd=True)
    found.add(7, 1, full)
    found.add(8, 0, RunLengths((2, 3), np.array([6])))
    found.check_inside(np.array([(-1.0, 0.0), (3.5, 2.0)]), 9)
    found.check_inside(np.array([(0.0, -1.5), (3.0, 2.0)]), 9)
    found.check_inside(np.array([(0.0, 0.0), (3.0, 3.5)]), 10)
    scan = found.scan()
    assert dense(scan.objects) == {7: (1, True, [[False, True, True], [False, False, False]])}
    assert scan.objects.boxes.tolist() == [[1, 0, 3, 1]]
    assert [(f.kind, f.severity, f.number) for f in scan.faults] == [
        ("duplicate-id", "error", 7),
        ("empty-object", "warning", 8),
        ("outside-image", "warning", 9),
        ("outside-image", "warning", 10),
    ]


def test_warnings_are_read_over_and_errors_are_not():
    objects = Objects.of((2, 3), [])
    warning = ObjectFault("empty-object", "warning", 4, "has no pixel")
    assert ObjectScan(objects, (warning,)).strict("a.json") is objects
    error = ObjectFault("no-mask", "error", 5, "has no segmentation")
    with pytest.raises(DataError, match=r"'a\.json': object 5: has no segmentation; correct"):
        ObjectScan(objects, (warning, error)).strict("a.json")


@pytest.fixture
def dataset(tmp_path):
    return open_dataset(f"numbered:{write_numbered(tmp_path, {'train/a': [[0, 1, 1], [2, 0, 0]]})}")


def test_images_come_with_their_objects(dataset):
    sample = dataset.read_instances(dataset.split("train")[0])
    assert (sample.name, sample.pixels.shape, sample.objects.size) == ("train/a", (2, 3, 3), (2, 3))
    assert sample.objects.ids.tolist() == [1, 2]


def test_objects_of_another_size_are_refused(dataset):
    item = dataset.split("train")[0]
    item.labels.write_bytes((write_numbered(dataset.root / "x", {"b": [[1, 2]]}) / "labels/b.png").read_bytes())
    with pytest.raises(DataError, match="objects of an image of 2 × 1 pixels do not fit"):
        dataset.read_instances(item)


def test_a_data_set_has_objects_or_label_maps(dataset, tmp_path):
    with pytest.raises(DataError, match=r"\(numbered\) has single objects but no label maps; train a network"):
        dataset.read(dataset.split("train")[0])
    maps = open_dataset(f"folder:{tmp_path}")
    with pytest.raises(DataError, match=r"\(folder\) has label maps but no single objects"):
        maps.read_objects(Item("train/a", tmp_path, tmp_path))
