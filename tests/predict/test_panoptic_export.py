import json

import cv2
import numpy as np
import pytest

from segscape.errors import InputError
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths, crop_to_box
from segscape.predict.panoptic_export import save_coco_panoptic, to_coco_panoptic
from segscape.result import Region, Segmentation

LABELS = LabelSet("ab", (Label("sky", (1, 2, 3)), Label("car", (4, 5, 6), thing=True)))


def segmentation(*found: tuple[int, list[str]], labels: LabelSet = LABELS) -> Segmentation:
    regions = []
    for label, rows in found:
        box, mask = crop_to_box(np.array([[c == "#" for c in row] for row in rows]))
        regions.append(Region(len(regions) + 1, label, 0.5, box, mask.area, mask))
    return Segmentation((2, 4), labels, None, tuple(regions))


SCENE = segmentation((0, ["#...", "#..."]), (1, [".#..", "...."]), (0, ["...#", "...."]), (1, ["....", "..##"]))
IDS = [[1, 2, 0, 1], [1, 0, 3, 3]]


def test_one_image():
    png, annotation = to_coco_panoptic(SCENE, 7, "a.png")
    assert (png.dtype, png.shape) == (np.uint8, (2, 4, 3))
    assert (png @ [1, 256, 65536]).tolist() == IDS
    assert annotation == {
        "image_id": 7,
        "file_name": "a.png",
        "segments_info": [
            {"id": 1, "category_id": 1, "area": 3, "bbox": [0, 0, 4, 2], "iscrowd": 0},
            {"id": 2, "category_id": 2, "area": 1, "bbox": [1, 0, 1, 1], "iscrowd": 0},
            {"id": 3, "category_id": 2, "area": 2, "bbox": [2, 1, 2, 1], "iscrowd": 0},
        ],
    }


def test_ids_above_255_use_the_next_channel():
    size = (300, 1)
    mask = RunLengths((1, 1), np.array([0, 1]))
    regions = tuple(Region(i + 1, 1, None, (0, i, 1, i + 1), 1, mask) for i in range(300))
    png, _ = to_coco_panoptic(Segmentation(size, LABELS, None, regions), 1, "a.png")
    assert png[[0, 254, 255, 299], 0].tolist() == [[1, 0, 0], [255, 0, 0], [0, 1, 0], [44, 1, 0]]


def test_overlapping_regions_are_refused():
    overlapping = segmentation((1, ["##..", "...."]), (1, [".##.", "...."]))
    with pytest.raises(InputError, match="region 2 overlaps"):
        to_coco_panoptic(overlapping, 1, "a.png")


def test_what_is_written_reads_back(tmp_path):
    path = save_coco_panoptic([(7, "street/a.jpg", SCENE), (9, "b.jpg", segmentation())], tmp_path / "out")
    document = json.loads(path.read_text("utf-8"))
    assert document["images"] == [
        {"id": 7, "file_name": "street/a.jpg", "height": 2, "width": 4},
        {"id": 9, "file_name": "b.jpg", "height": 2, "width": 4},
    ]
    assert [(c["id"], c["name"], c["isthing"]) for c in document["categories"]] == [(1, "sky", 0), (2, "car", 1)]
    first, second = document["annotations"]
    assert first == to_coco_panoptic(SCENE, 7, "a.png")[1]
    assert second == {"image_id": 9, "file_name": "b.png", "segments_info": []}
    for annotation, ids in ((first, IDS), (second, np.zeros((2, 4)).tolist())):
        bgr = cv2.imread(str(path.parent / "panoptic" / annotation["file_name"]), cv2.IMREAD_UNCHANGED)
        assert (bgr[..., ::-1] @ [1, 256, 65536]).tolist() == ids
    assert sorted(p.name for p in path.parent.rglob("*")) == ["a.png", "b.png", "panoptic", "panoptic.json"]


@pytest.mark.parametrize(
    ("results", "match"),
    [
        ([], "no image"),
        ([(1, "a.jpg", SCENE), (1, "b.jpg", SCENE)], "image 1 .'b.jpg'.: another one"),
        ([(1, "x/a.jpg", SCENE), (2, "y/A.png", SCENE)], "another one has this id or name"),
        ([(1, "a.jpg", SCENE), (2, "b.jpg", segmentation(labels=LabelSet("c", LABELS.labels)))], "label set 'c'"),
    ],
)
def test_a_folder_of_images_that_do_not_go_together_gets_no_json(results, match, tmp_path):
    with pytest.raises(InputError, match=match):
        save_coco_panoptic(results, tmp_path)
    assert not (tmp_path / "panoptic.json").exists()
