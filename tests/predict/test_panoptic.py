import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segscape.errors import ConfigError, InputError
from segscape.labels import Label, LabelSet
from segscape.masks import crop_to_box, uncrop
from segscape.predict.label_mapping import join_label_sets
from segscape.predict.panoptic import PanopticParameters, fit_parameters, fuse
from segscape.predict.regions import regions_from_label_map
from segscape.result import Region, Segmentation

STREET = LabelSet(
    "street",
    (
        Label("sky", (1, 1, 1)),
        Label("road", (2, 2, 2)),
        Label("tree", (3, 3, 3)),
        Label("car", (4, 4, 4), thing=True),
        Label("bicyclist", (5, 5, 5), thing=True),
    ),
)
FOUND = LabelSet("found", (Label("car", (9, 9, 9), thing=True), Label("dog", (8, 8, 8), thing=True)))
MAPPING = join_label_sets(STREET, FOUND)
LETTERS = "srtcbd"  # in the order of the joint label set
EVERYTHING = PanopticParameters(0.0, 1.0, 0.0)


def stuff(*rows: str, confidence: np.ndarray | None = None) -> Segmentation:
    label_map = np.array([["srtcb".find(c) if c != "-" else 255 for c in row] for row in rows], np.uint8)
    regions = regions_from_label_map(label_map, STREET)
    return Segmentation(label_map.shape, STREET, label_map, regions, confidence, "A", {"network": 1.0})


def things(size: tuple[int, int], *found: tuple[str, float | None, list[str]]) -> Segmentation:
    regions = []
    for name, score, rows in found:
        box, mask = crop_to_box(np.array([[c == "#" for c in row] for row in rows]))
        regions.append(Region(len(regions) + 1, FOUND.index(name), score, box, mask.area, mask))
    return Segmentation(size, FOUND, None, tuple(regions), None, "B", {"network": 2.0})


def letters(label_map: np.ndarray) -> list[str]:
    return ["".join("-" if v == 255 else LETTERS[v] for v in row) for row in label_map]


def owners(segmentation: Segmentation) -> np.ndarray:
    """(H, W) the id of each pixel's region; fails where two overlap."""
    canvas = np.zeros(segmentation.size, int)
    for region in segmentation.regions:
        mask = uncrop(region.mask, region.box, segmentation.size).to_dense()
        assert not canvas[mask].any()
        canvas[mask] = region.id
    return canvas


def told(segmentation: Segmentation) -> list[tuple[str, float | None, int]]:
    return [(segmentation.label_set[r.label].name, r.score, r.area_px) for r in segmentation.regions]


@pytest.mark.parametrize(
    ("semantic", "found", "parameters", "label_map", "regions"),
    [
        (["ssrr"], [], EVERYTHING, ["ssrr"], [("sky", None, 2), ("road", None, 2)]),
        (
            ["srrr"],
            [("car", 0.9, [".##."])],
            EVERYTHING,
            ["sccr"],
            [("car", 0.9, 2), ("sky", None, 1), ("road", None, 1)],
        ),
        # the higher score comes first, and none is lost as long as something is left
        (
            ["rrrr"],
            [("dog", 0.5, [".###"]), ("car", 0.9, ["##.."])],
            EVERYTHING,
            ["ccdd"],
            [("car", 0.9, 2), ("dog", 0.5, 2)],
        ),
        (["rr"], [("dog", 0.5, ["##"]), ("car", 0.9, ["##"])], EVERYTHING, ["cc"], [("car", 0.9, 2)]),
        # a third taken is at most 0.34, not at most 0.33
        (["rrrr"], [("car", 0.9, ["##.."]), ("dog", 0.5, [".###"])], PanopticParameters(0, 0.34, 0), ["ccdd"], None),
        (["rrrr"], [("car", 0.9, ["##.."]), ("dog", 0.5, [".###"])], PanopticParameters(0, 0.33, 0), ["ccrr"], None),
        (["rrrr"], [("car", 0.9, ["##.."]), ("dog", 0.5, ["..##"])], PanopticParameters(0, 0.0, 0), ["ccdd"], None),
        # scores at the limit stay, none is 1
        (["rr"], [("car", 0.5, ["#."]), ("dog", 0.49, [".#"])], PanopticParameters(0.5, 1, 0), ["cr"], None),
        (
            ["rr"],
            [("car", None, ["##"]), ("dog", 0.99, [".#"])],
            PanopticParameters(1.0, 1, 0),
            ["cc"],
            [("car", None, 2)],
        ),
        # a class that objects can be of, unclaimed: in the label map, but no region
        (["rcc"], [("car", 0.9, [".#."])], EVERYTHING, ["rcc"], [("road", None, 1), ("car", 0.9, 1)]),
        # a thing that no object can be of is as stuff
        (["rbb"], [], EVERYTHING, ["rbb"], [("bicyclist", None, 2), ("road", None, 1)]),
        (["r-"], [], EVERYTHING, ["r-"], [("road", None, 1)]),
        # stuff below the share goes to the nearest that stays, and not into objects or unclaimed things
        (["sssstrrrrr"], [], PanopticParameters(0, 1, 0.1), ["sssstrrrrr"], None),
        (["ssssstrrrr"], [], PanopticParameters(0, 1, 0.11), ["sssssxrrrr"], None),
        (["tcr-rr"], [], PanopticParameters(0, 1, 0.2), ["rcr-rr"], None),
        (["ttrrrr"], [("car", 0.9, ["##...."])], PanopticParameters(0, 1, 0.5), ["ccrrrr"], None),
        (["strc"], [], PanopticParameters(0, 1, 0.9), ["strc"], None),  # none would stay
        # its area is what no object covers
        (["tttrrrr"], [("car", 0.9, ["##....."])], PanopticParameters(0, 1, 0.2), ["ccrrrrr"], None),
    ],
)
def test_fusion_by_hand(semantic, found, parameters, label_map, regions):
    seen = stuff(*semantic)
    fused = fuse(seen, things(seen.size, *found), MAPPING, parameters)
    assert fused.label_map is not None
    for got, expected in zip(letters(fused.label_map), label_map, strict=True):
        assert all(e in (g, "x") and (e != "x" or g in "sr") for g, e in zip(got, expected, strict=True)), got
    if regions is not None:
        assert told(fused) == regions
    owners(fused)


def test_pieces_of_stuff_and_of_one_object():
    seen = stuff("sss", "rrr", "sss")
    fused = fuse(seen, things((3, 3), ("car", 0.9, ["#.#", "...", "..."])), MAPPING, EVERYTHING)
    assert told(fused) == [("road", None, 3), ("sky", None, 3), ("car", 0.9, 2), ("sky", None, 1)]
    assert [r.id for r in fused.regions] == [1, 2, 3, 4]
    assert fused.regions[2].box == (0, 0, 3, 1)


def test_the_box_is_that_of_what_is_left():
    fused = fuse(
        stuff("rrrr", "rrrr"),
        things((2, 4), ("car", 0.9, ["###.", "##.."]), ("dog", 0.8, ["..##", "..##"])),
        MAPPING,
        EVERYTHING,
    )
    dog = next(r for r in fused.regions if r.score == 0.8)
    assert (dog.box, dog.mask.to_dense().tolist()) == ((2, 0, 4, 2), [[False, True], [True, True]])
    hidden = things((2, 4), ("car", 0.9, ["###.", "###."]), ("dog", 0.8, ["..##", "..##"]))
    dog = next(r for r in fuse(stuff("rrrr", "rrrr"), hidden, MAPPING, EVERYTHING).regions if r.score == 0.8)
    assert dog.box == (3, 0, 4, 2)


def test_what_else_comes_along():
    confidence = np.array([[0.5, 0.75, 0.25]], np.float32)
    fused = fuse(stuff("ssr", confidence=confidence), things((1, 3), ("car", 0.9, ["..#"])), MAPPING)
    assert told(fused) == [("sky", 0.625, 2), ("car", 0.9, 1)]
    assert fused.confidence is confidence
    assert fused.model == "A+B"
    assert fused.timings_ms == {"semantic network": 1.0, "objects network": 2.0}
    assert fused.label_set == MAPPING.joint


def test_label_maps_of_many_classes_are_uint16():
    many = LabelSet("many", tuple(Label(f"thing {i}", (0, 0, 0), thing=True) for i in range(300)), 999)
    mapping = join_label_sets(STREET, many)
    box, mask = crop_to_box(np.array([[False, True]]))
    objects = Segmentation((1, 2), many, None, (Region(1, 299, 0.9, box, 1, mask),))
    fused = fuse(stuff("s-"), objects, mapping)
    assert fused.label_map is not None
    assert (fused.label_map.dtype, fused.label_map.tolist()) == (np.uint16, [[0, 304]])
    assert mapping.joint.ignore_index == 65535
    assert fuse(stuff("s-"), Segmentation((1, 2), many, None), mapping).label_map.tolist() == [[0, 65535]]


@settings(deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(1, 8))
def test_every_pixel_has_one_owner(data, height, width):
    label_map = data.draw(arrays(np.uint8, (height, width), elements=st.sampled_from([0, 1, 2, 3, 4, 255])))
    regions = []
    for i in range(data.draw(st.integers(0, 5))):
        mask = data.draw(arrays(np.bool_, (height, width)))
        if mask.any():
            box, runs = crop_to_box(mask)
            score = data.draw(st.one_of(st.none(), st.floats(0, 1)))
            regions.append(Region(i + 1, data.draw(st.integers(0, 1)), score, box, runs.area, runs))
    share = st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])
    parameters = PanopticParameters(data.draw(share), data.draw(share), data.draw(share))
    semantic = Segmentation((height, width), STREET, label_map)
    fused = fuse(semantic, Segmentation((height, width), FOUND, None, tuple(regions)), MAPPING, parameters)
    owned = owners(fused)
    labels = {r.id: r.label for r in fused.regions}
    assert fused.label_map is not None
    for id_, label, before in zip(owned.ravel(), fused.label_map.ravel(), label_map.ravel(), strict=True):
        if id_:
            assert labels[id_] == label
        else:  # void: ignored before, or a thing that nothing claims
            assert label == before
            assert before in (3, 255)


def test_results_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="not of one image"):
        fuse(stuff("ss"), things((1, 3)), MAPPING)
    with pytest.raises(InputError, match="no label map"):
        fuse(Segmentation((1, 2), STREET, None), things((1, 2)), MAPPING)
    with pytest.raises(InputError, match="join_label_sets"):
        fuse(stuff("ss"), Segmentation((1, 2), STREET, None), MAPPING)
    with pytest.raises(InputError, match="join_label_sets"):
        fuse(stuff("ss"), things((1, 2)), join_label_sets(FOUND, FOUND))


def test_fit_finds_the_best_of_the_grid():
    truth = np.array([[0, 3, 3, 5]], np.uint8)
    images = [(stuff("srrr"), things((1, 4), ("car", 0.6, [".##."]), ("dog", 0.5, ["..##"])), truth)] * 2

    def right(pairs) -> float:
        return float(np.mean([(fused.label_map == true).mean() for fused, true in pairs]))

    grid = {"min_scores": (0.55, 0.3), "max_taken": (0.2, 0.5), "min_stuff_px_shares": (0.0, 0.3)}
    best, trials = fit_parameters(images, MAPPING, right, **grid)
    assert best == PanopticParameters(0.3, 0.5, 0.0)
    assert len({parameters for parameters, _ in trials}) == 8
    assert dict(trials)[best] == 1.0
    assert dict(trials)[PanopticParameters(0.55, 0.5, 0.0)] == 0.75
    with pytest.raises(InputError, match="at least one image"):
        fit_parameters([], MAPPING, right)


def test_parameters_survive_json_and_are_checked():
    parameters = PanopticParameters(0.25, 0.75, 0.01)
    assert PanopticParameters.from_dict(parameters.to_dict()) == parameters
    with pytest.raises(ConfigError, match="panoptic parameters must be min_score"):
        PanopticParameters.from_dict({"min_score": 0.5})


@pytest.mark.parametrize(
    "values", [(-0.1, 0.5, 0), (0.5, 1.1, 0), (0.5, 0.5, float("nan")), (True, 0.5, 0), ("1", 0, 0)]
)
def test_parameters_out_of_range(values):
    with pytest.raises(ConfigError, match="must be a number in 0…1"):
        PanopticParameters(*values)
