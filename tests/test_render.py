import itertools

import numpy as np
import pytest
from PIL import ImageFont

from picture_help import CAR, HALVES, LABELS, ROAD, SKY, count, grey, result
from segscape import drawing, render
from segscape.errors import InputError
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.predict.regions import regions_from_label_map
from segscape.result import Region, Segmentation

# --- colours ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_color_labels(dtype):
    colors = render.color_labels(np.array([[0, 1, 2], [3, 255, 0]], dtype), LABELS)
    assert colors.dtype == np.uint8
    assert colors.tolist() == [[[*ROAD], [*CAR], [*SKY]], [[0, 0, 0], [0, 0, 0], [*ROAD]]]


def test_color_labels_takes_ids_beyond_the_palette_and_palettes_beyond_the_ids():
    assert render.color_labels(np.array([[65535]], np.uint16), LABELS).tolist() == [[[0, 0, 0]]]
    wide = LabelSet("wide", LABELS.labels, ignore_index=65535)
    assert render.color_labels(np.array([[1]], np.uint8), wide).tolist() == [[[*CAR]]]


@pytest.mark.parametrize(
    "label_map", [np.zeros((2, 2), np.int32), np.zeros(4, np.uint8), np.zeros((2, 2, 1), np.uint8)]
)
def test_color_labels_refuses_what_is_no_label_map(label_map):
    with pytest.raises(InputError, match="label map"):
        render.color_labels(label_map, LABELS)


# --- overlay ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "left", "right"),
    [(0.0, [100] * 3, [100] * 3), (1.0, [*SKY], [*ROAD]), (0.5, [114, 140, 165], [105, 90, 120])],
)
def test_overlay_blends_photo_and_colors(alpha, left, right):
    picture = render.overlay(grey(20, 40), result(HALVES), alpha)
    x = (picture.shape[1] - 40) // 2
    assert picture[10, x + 5].tolist() == left
    assert picture[10, x + 35].tolist() == right


def touching(*, single_objects: bool, label_map: np.ndarray | None = None, label: int = 1) -> Segmentation:
    """Two objects of one class, side by side, each 20 × 20."""
    regions = [
        Region(i + 1, label, 0.9, (20 * i, 0, 20 * i + 20, 20), 400, RunLengths.from_dense(np.ones((20, 20), bool)))
        for i in range(2)
    ]
    return Segmentation((20, 40), LABELS, label_map, tuple(regions), single_objects=single_objects)


def photo_of(segmentation: Segmentation) -> np.ndarray:
    picture = render.overlay(grey(20, 40), segmentation, 1.0)
    x = (picture.shape[1] - 40) // 2
    return picture[:20, x : x + 40].astype(int)


@pytest.mark.parametrize("label_map", [None, np.ones((20, 40), np.uint8)])
def test_single_objects_have_shades_of_their_classs_colour_and_a_line_between_them(label_map):
    photo = photo_of(touching(single_objects=True, label_map=label_map))
    left, right = photo[10, 5], photo[10, 35]
    assert left.tolist() != right.tolist()
    for shade in (left, right):  # between the class's colour and white or black, but not too far
        assert (np.argsort(shade) == np.argsort(CAR)).all()
        assert 0 < abs(shade - CAR).max() < 130
    assert photo[10, 20].tolist() not in (left.tolist(), right.tolist())
    assert photo[10, 20].sum() > right.sum()


def test_a_line_parts_an_object_from_pixels_of_its_class_that_no_object_claims():
    """The first object's number and the class's id are both 1."""
    left = touching(single_objects=True).regions[:1]
    photo = photo_of(Segmentation((20, 40), LABELS, np.ones((20, 40), np.uint8), left, single_objects=True))
    assert photo[10, 20].sum() > photo[10, 35].sum()


def test_stuff_and_pieces_have_the_colour_of_their_class():
    assert photo_of(touching(single_objects=True, label=0))[10, [5, 35]].tolist() == [[*ROAD]] * 2
    whole = photo_of(touching(single_objects=False, label_map=np.ones((20, 40), np.uint8)))
    assert (whole == CAR).all()


@pytest.mark.parametrize(
    ("single_objects", "label", "name"), [(True, 1, "2 car"), (True, 0, "road"), (False, 1, "car")]
)
def test_the_legend_counts_single_objects(texts, single_objects, label, name):
    render.overlay(grey(20, 40), touching(single_objects=single_objects, label=label))
    assert [text for *_, text in texts] == [name, "100.0 %"]


@pytest.mark.parametrize("turned", [False, True])
def test_overlay_draws_a_light_line_between_classes_and_nowhere_else(turned):
    label_map = HALVES.T if turned else HALVES
    height, width = label_map.shape
    picture = render.overlay(grey(height, width), result(label_map), 1.0)
    x = (picture.shape[1] - width) // 2
    photo = picture[:height, x : x + width]
    row = (photo[:, 10] if turned else photo[10]).astype(int)
    different = [i for i in range(40) if row[i].tolist() not in ([*SKY], [*ROAD])]
    assert different == [20]
    assert (row[20] > ROAD).all()


def test_overlay_leaves_pixels_without_a_class_as_they_are():
    label_map = np.where(HALVES == 2, 255, 0).astype(np.uint8)
    picture = render.overlay(grey(20, 40), result(label_map), 1.0)
    x = (picture.shape[1] - 40) // 2
    assert (picture[:20, x : x + 20] == 100).all()
    assert picture[10, x + 35].tolist() == [*ROAD]


def test_overlay_does_not_change_the_photo():
    photo = grey(20, 40)
    render.overlay(photo, result(HALVES))
    assert (photo == 100).all()


def test_overlay_without_a_label_map_draws_regions_small_over_large_with_borders_between_touching_ones():
    label_map = np.full((30, 60), 255, np.uint8)
    label_map[5:25, 5:55] = 1
    large = regions_from_label_map(label_map, LABELS)[0]
    label_map[:] = 255
    label_map[10:20, 20:40] = 2
    small = regions_from_label_map(label_map, LABELS)[0]
    small = type(small)(2, small.label, None, small.box, small.area_px, small.mask)
    picture = render.overlay(grey(30, 60), result(label_map, label_map=None, regions=(small, large)), 1.0)
    x = (picture.shape[1] - 60) // 2
    assert picture[15, x + 30].tolist() == [*SKY]
    assert picture[7, x + 10].tolist() == [*CAR]
    assert picture[1, x + 1].tolist() == [100] * 3
    twin = type(small)(3, large.label, None, small.box, small.area_px, small.mask)  # same class, own object
    picture = render.overlay(grey(30, 60), result(label_map, label_map=None, regions=(large, twin)), 1.0)
    assert picture[15, x + 20].tolist() not in ([*CAR], [100] * 3)


@pytest.mark.parametrize(
    ("shape", "alpha", "says"),
    [((40, 20, 3), 0.5, "does not fit"), ((20, 40, 3), 1.5, "alpha"), ((20, 40), 0.5, "RGB")],
)
def test_overlay_refuses(shape, alpha, says):
    with pytest.raises(InputError, match=says):
        render.overlay(np.zeros(shape, np.uint8), result(HALVES), alpha)


# --- legend -----------------------------------------------------------------------------------------------------


@pytest.fixture
def texts(monkeypatch):
    """What is drawn as text: (x, y, text) in the order of drawing."""
    drawn = []
    from PIL import ImageDraw

    original = ImageDraw.ImageDraw.text

    def text(self, xy, text, **options):
        drawn.append((*xy, text))
        return original(self, xy, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return drawn


def test_the_legend_lists_the_classes_that_occur_by_area(texts):
    label_map = np.zeros((40, 50), np.uint8)
    label_map[:10] = 2
    label_map[0, :2] = 255  # not counted as a class, but as pixels: 498 of 2000
    picture = render.overlay(grey(40, 50), result(label_map))
    assert [t for *_, t in texts] == ["road", "75.0 %", "sky", "24.9 %"]
    legend = picture[40:]
    assert count(legend, ROAD) > 100
    assert count(legend, SKY) > 100
    assert count(legend, CAR) == 0


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.0 %"), (0.2345, "23.4 %"), (0.001, "0.1 %"), (0.0009, "<0.1 %"), (1e-9, "<0.1 %")]
)
def test_shares_are_rounded_for_reading(share, text):
    assert drawing.percent(share) == text


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 5000), (5000, 1), (37, 61), (240, 240), (360, 480), (1200, 1600)]
)
def test_the_picture_is_whole_at_every_size_and_the_legend_stays_inside(shape, texts):
    label_map = np.resize(np.array([0, 1, 2], np.uint8), shape)
    picture = render.overlay(grey(*shape), result(label_map), 0.0)
    height, width = shape
    assert picture.dtype == np.uint8
    assert picture.shape[1] == max(width, 240)
    legend = picture[height:]
    assert 25 <= len(legend) <= max(100, 0.5 * height)
    # Nothing is cut: a margin of paper runs around the legend.
    assert (legend[[0, -1]] == 255).all()
    assert (legend[:, [0, -1]] == 255).all()
    size_px = drawing.font_size(height, max(width, 240))
    font = ImageFont.load_default(size=size_px)
    assert size_px >= 12
    assert all(0 <= x <= picture.shape[1] for x, *_ in texts)
    names = [(x, y, x + font.getlength(t)) for x, y, t in texts if "%" not in t]
    shares = [(x - font.getlength(t), y, x) for x, y, t in texts if "%" in t]
    entries = sorted((y, a0, b1) for (a0, y, a1), (b0, _, b1) in zip(names, shares, strict=True) if a1 < b0)
    assert len(entries) == len(names)  # no name runs into its share
    assert all(a[2] < b[1] for a, b in itertools.pairwise(entries) if a[0] == b[0])


def test_columns_of_the_legend_keep_their_distance_at_every_width(texts):
    eleven = LabelSet("s", tuple(Label("x" * (i + 3), (i, i, i)) for i in range(11)))
    for width in range(240, 700, 11):
        texts.clear()
        label_map = np.arange(width, dtype=np.uint8)[None] % 11
        render.overlay(grey(1, width), result(label_map, label_set=eleven))
        names, shares = texts[::2], texts[1::2]
        # The next name begins after its swatch (12 px and more) and a margin on both sides of the gap (12 px each).
        steps = [(b[0] - a[0]) for a, b in zip(shares, names[1:], strict=False) if a[1] == b[1]]
        assert all(step >= 12 + 24 for step in steps)


def test_long_names_are_cut_and_strange_ones_stay_on_their_line(texts):
    strange = LabelSet("s", (Label("a very long name indeed " * 9, ROAD), Label("two\nlines\t<b>", SKY)))
    render.overlay(grey(20, 40), result(np.resize(np.array([0, 1], np.uint8), (20, 40)), label_set=strange))
    names = [t for *_, t in texts if "%" not in t]
    assert names[0].startswith("a very long name")
    assert names[0].endswith("…")
    assert names[1] == "two lines <b>"
    assert ImageFont.load_default(size=12).getlength(names[0]) < 240


def test_many_classes_take_as_many_rows_as_they_need(texts):
    colors = [(i, 99, 255 - i) for i in range(60)]
    many = LabelSet("many", tuple(Label(f"class {i}", color) for i, color in enumerate(colors)))
    label_map = np.arange(60, dtype=np.uint8).repeat(60).reshape(60, 60)
    legend = render.overlay(grey(60, 60), result(label_map, label_set=many))[60:]
    assert len(texts) == 2 * 60
    assert all(count(legend, color) > 50 for color in colors)


@pytest.mark.parametrize("label_map", [np.full((20, 40), 255, np.uint8), None])
def test_a_picture_without_any_class_says_so(label_map, texts):
    picture = render.overlay(grey(20, 40), result(HALVES, label_map=label_map))
    assert [t for *_, t in texts] == ["no class found"]
    assert (picture[:20, 100:140] == 100).all()


# --- panels -----------------------------------------------------------------------------------------------------


def test_side_by_side_keeps_every_panel_as_it_is(texts):
    panels = [
        ("Photo", grey(60, 80, 10)),
        ("Prediction\n", grey(90, 70, 20)),
        ("A title wider than its panel", grey(5, 5, 30)),
    ]
    picture = render.side_by_side(panels)
    assert [count(picture, (v, v, v)) for v in (10, 20, 30)] == [60 * 80, 90 * 70, 5 * 5]
    assert [t for *_, t in texts] == ["Photo", "Prediction", "A title wider than its panel"]
    tops = [np.argwhere((picture == v).all(axis=2)).min(axis=0) for v in (10, 20, 30)]
    assert len({int(y) for y, _ in tops}) == 1
    assert [int(x) for _, x in tops] == [int(x) for x, *_ in texts]
    assert (picture[:, -1] == 255).all()


@pytest.mark.parametrize("panels", [[], [("x", np.zeros((2, 2), np.uint8))], [("x", np.zeros((2, 2, 3)))]])
def test_side_by_side_refuses(panels):
    with pytest.raises(InputError):
        render.side_by_side(panels)
