import json

import numpy as np
import pytest

from segscape.errors import InputError
from segscape.image import Image
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths, from_coco_counts
from segscape.polygons import from_polygons
from segscape.predict.regions import regions_from_label_map
from segscape.result import Region, Segmentation

LABELS = LabelSet("street", (Label("road", (9, 9, 9)), Label("car", (0, 0, 99), thing=True), Label("sky", (5, 5, 5))))
CORNER = RunLengths((2, 2), [0, 3, 1])  # ##
#                                         #.
MAP = np.array([[0, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 0]], np.uint8)
REGION = Region(1, 1, 0.5, (1, 1, 3, 3), 3, CORNER)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"box": (2, 1, 2, 3)}, "empty or outside"),
        ({"box": (3, 1, 1, 3)}, "empty or outside"),
        ({"box": (1, 3, 3, 3)}, "empty or outside"),
        ({"box": (-1, 1, 1, 3)}, "empty or outside"),
        ({"box": (1, -1, 3, 1)}, "empty or outside"),
        ({"box": (1, 1, 4, 3)}, "does not fill its box"),
        ({"box": (1, 1, 3, 4)}, "does not fill its box"),
        ({"area_px": 4}, r"area 4 is not that of its mask \(3\)"),
        ({"mask": RunLengths((2, 2), [4]), "area_px": 0}, "area 0"),
        ({"score": -0.1}, "score -0.1"),
        ({"score": 1.1}, "score 1.1"),
        ({"score": float("nan")}, "score nan"),
    ],
)
def test_regions_that_are_refused(changes, says):
    fields = {"id": 1, "label": 1, "score": 0.5, "box": (1, 1, 3, 3), "area_px": 3, "mask": CORNER}
    with pytest.raises(InputError, match=f"region 1.*{says}"):
        Region(**fields | changes)


@pytest.mark.parametrize("score", [None, 0, 1, 0.25])
def test_scores_that_are_taken(score):
    assert Region(1, 1, score, (1, 1, 3, 3), 3, CORNER).score == score


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": (0, 4), "label_map": np.zeros((0, 4), np.uint8)}, "at least 1"),
        ({"size": (3, 0), "label_map": None}, "at least 1"),
        ({"label_map": MAP.T}, r"label map must be .*\(3, 4\)"),
        ({"label_map": MAP.astype(np.int64)}, "int64"),
        ({"label_map": MAP.astype(bool)}, "bool"),
        ({"confidence": np.zeros((4, 3), np.float32)}, "confidence"),
        ({"confidence": np.zeros((3, 4), np.float64)}, "float64"),
        ({"image": Image(np.zeros((4, 3, 3), np.uint8))}, "image of shape"),
        ({"regions": [Region(1, 1, None, (3, 1, 5, 3), 3, CORNER)]}, "leaves the image"),
        ({"regions": [Region(1, 1, None, (1, 2, 3, 4), 3, CORNER)]}, "leaves the image"),
        ({"regions": [Region(1, 3, None, (1, 1, 3, 3), 3, CORNER)]}, "label 3 is not in"),
        ({"regions": [Region(1, -1, None, (1, 1, 3, 3), 3, CORNER)]}, "label -1 is not in"),
        ({"regions": [REGION, REGION]}, "unique ids"),
    ],
)
def test_segmentations_that_are_refused(changes, says):
    fields = {"size": (3, 4), "label_set": LABELS, "label_map": MAP}
    with pytest.raises(InputError, match=says):
        Segmentation(**fields | changes)


@pytest.mark.parametrize(
    ("label_map", "regions", "areas"),
    [
        (MAP, (), {"road": 8, "car": 4}),
        (MAP.astype(np.uint16), (), {"road": 8, "car": 4}),
        (np.where(MAP, 255, 2).astype(np.uint8), (), {"sky": 8}),  # ignored pixels are of no class
        (np.full((3, 4), 255, np.uint8), (), {}),
        (np.full((3, 4), 65535, np.uint16), (), {}),
        (None, (), {}),
        (None, (REGION, Region(2, 1, None, (0, 0, 2, 2), 3, CORNER)), {"car": 6}),
        (MAP, (REGION,), {"road": 8, "car": 4}),  # the label map decides
    ],
)
def test_class_areas(label_map, regions, areas):
    assert Segmentation((3, 4), LABELS, label_map, regions).class_areas() == areas


def test_class_areas_of_a_map_larger_than_one_band():
    label_map = np.zeros((700, 900), np.uint8)
    label_map[-1, -5:] = 2
    assert Segmentation((700, 900), LABELS, label_map).class_areas() == {"road": 700 * 900 - 5, "sky": 5}


def test_to_dict():
    image = Image(np.zeros((3, 4, 3), np.uint8), source="a/b.png")
    result = Segmentation(
        (3, 4), LABELS, MAP, [REGION], model="street@1", timings_ms={"decode": 1.2345}, image=image
    ).to_dict()
    assert result == {
        "size": {"height": 3, "width": 4},
        "source": "a/b.png",
        "model": "street@1",
        "label_set": LABELS.to_dict(),
        "single_objects": False,
        "classes": [
            {"label": "road", "area_px": 8, "area_share": 0.666667},
            {"label": "car", "area_px": 4, "area_share": 0.333333},
        ],
        "regions": [
            {
                "id": 1,
                "label": "car",
                "label_id": 1,
                "score": 0.5,
                "box": [1, 1, 3, 3],
                "area_px": 3,
                "area_share": 0.25,
                "mask": {"size": [3, 4], "counts": [4, 2, 1, 1, 4]},
                "polygons": [[[[1, 1], [3, 1], [3, 2], [2, 2], [2, 3], [1, 3]]]],
            }
        ],
        "timings_ms": {"decode": 1.23},
    }


def test_to_dict_without_image_score_and_polygons():
    regions = [Region(1, 1, None, (1, 1, 3, 3), 3, CORNER)]
    result = Segmentation((3, 4), LABELS, None, regions).to_dict(polygons=False)
    assert result["source"] is None
    assert result["regions"][0]["score"] is None
    assert Segmentation((3, 4), LABELS, None, regions, single_objects=True).to_dict()["single_objects"] is True
    assert "polygons" not in result["regions"][0]


def test_masks_and_polygons_of_the_dict_rebuild_the_label_map():
    confidence = np.full(MAP.shape, 0.7, np.float32)
    regions = regions_from_label_map(MAP, LABELS, confidence)
    result = json.loads(json.dumps(Segmentation((3, 4), LABELS, MAP, regions, confidence).to_dict(), allow_nan=False))
    rebuilt = np.full(MAP.shape, 255, np.uint8)
    for region in result["regions"]:
        mask = from_coco_counts(region["mask"]["counts"], region["mask"]["size"])
        assert from_polygons(region["polygons"], (3, 4)) == mask
        rebuilt[mask.to_dense()] = region["label_id"]
    np.testing.assert_array_equal(rebuilt, MAP)


def test_plot_needs_the_image():
    with pytest.raises(InputError, match="keep_image=True"):
        Segmentation((3, 4), LABELS, MAP).plot()


def test_plot_and_save(tmp_path):
    image = Image(np.zeros((3, 4, 3), np.uint8), source="photo.png")
    result = Segmentation((3, 4), LABELS, MAP, image=image)
    assert result.plot(alpha=0.0).dtype == np.uint8
    assert not np.array_equal(result.plot(alpha=0.1), result.plot(alpha=0.9))
    assert {p.name for p in result.save(str(tmp_path)).values()} == {
        "photo.overlay.jpg",
        "photo.labels.png",
        "photo.json",
    }
