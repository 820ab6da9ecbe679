"""Tiled prediction against the whole picture, through an engine that sees exactly 24 pixels far."""

import json
import sys

import cv2
import numpy as np
import pytest
import tifffile
from tiling_help import noise

from segscape import progress
from segscape.bigimage import ArrayImage, Georeference, open_big_image
from segscape.bigimage.label_bands import LabelBands
from segscape.errors import ConfigError, ModelError
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.plan import TilePlan
from segscape.predict.tiling.run import TileRun, network_input
from segscape.preprocess import Preprocess
from segscape.progress import Progress


@pytest.mark.parametrize("size", [(300, 517), (64, 129), (65, 700), (1000, 63), (449, 449)])
@pytest.mark.parametrize("stride", [1, 2, 8])
@pytest.mark.parametrize("tile", [(192, 256), 256])
def test_tiles_equal_the_whole_picture_to_the_pixel(make, tmp_path, size, stride, tile):
    predictor, pixels = make(stride=stride), noise(*size)
    result = predict_huge(predictor, pixels, tmp_path / "x.tif", tile=tile, margin=32)
    whole = predictor.predict(pixels)
    np.testing.assert_array_equal(tifffile.imread(result.labels), whole.label_map)
    assert len(np.unique(whole.label_map)) == 3
    assert result.class_areas == whole.class_areas()
    assert result.size == size


TILES = {"tile": 192, "margin": 32}


def test_the_order_of_tiles_changes_nothing(make, tmp_path):
    pixels, files = noise(400, 700), []
    for number, order in enumerate(
        (range, lambda n: range(n - 1, -1, -1), lambda n: [*range(1, n, 2), *range(0, n, 2)])
    ):
        # A margin of 0 leaves tiles that disagree, so that the order could matter.
        files.append(predict_huge(make(), pixels, tmp_path / f"{number}.tif", tile=192, margin=0, order=order).labels)
    assert len({file.read_bytes() for file in files}) == 1
    assert (tifffile.imread(files[0]) != make().predict(pixels).label_map).any()


def test_the_network_sees_the_picture_smaller_when_it_is_shrunk(make, tmp_path):
    pixels = noise(301, 603)
    result = predict_huge(make(), pixels, tmp_path / "x.tif", shrink=3, **TILES)
    small = cv2.resize(np.pad(pixels, ((0, 2), (0, 0), (0, 0)), mode="edge"), (201, 101), interpolation=cv2.INTER_AREA)
    labels = tifffile.imread(result.labels)
    assert labels.shape == (301, 603)
    np.testing.assert_array_equal(labels[1::3, 1::3], make().predict(small).label_map[:100])


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (np.full((1, 3, 128, 128), np.nan, np.float32), "not finite"),
        (np.zeros((1, 3, 0, 0), np.float32), "no scores for 192 × 192 pixels"),
    ],
)
def test_scores_that_say_nothing_are_told(make, tmp_path, scores, said):
    predictor = make()
    predictor.engine.low_logits = lambda batch: scores
    with pytest.raises(ModelError, match=said):
        predict_huge(predictor, noise(200, 200), tmp_path / "x.tif", **TILES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shrink": 0}, "shrink"),
        ({"tile": 100}, "multiples of 64"),
        ({"tile": 128, "margin": 32}, "from 192 on"),
        ({"tile": 256, "margin": 31}, "multiple of 32"),
        ({"max_memory": "much"}, "memory must be given"),
        ({"max_memory": "0"}, "memory must be given"),
        ({"vectors": "x.shp"}, "geojson"),
        ({"min_score": "banana"}, "makes label maps; it has no min_score"),
        ({"min_score": 0.5}, "makes label maps; it has no min_score"),
    ],
)
def test_options_out_of_range(make, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        predict_huge(make(), noise(64, 64), tmp_path / "x.tif", **{"margin": 0, "tile": 128, **options})


def test_outlines_that_cannot_be_written_are_refused_before_the_work(make, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    predictor = make()
    with pytest.raises(ConfigError, match="needs pyogrio"):
        predict_huge(predictor, noise(64, 64), tmp_path / "x.tif", vectors=tmp_path / "x.gpkg", **TILES)
    assert not predictor.engine.shapes


def test_the_picture_is_never_overwritten(make, tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, noise(64, 64))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="overwrite"):
        predict_huge(make(), path, path, **TILES)
    assert path.read_bytes() == before


@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 7}])
def test_a_file_gives_what_its_pixels_give(make, tmp_path, layout):
    pixels = noise(333, 471)
    tifffile.imwrite(tmp_path / "big.tif", pixels, compression="zlib", photometric="rgb", **layout)
    result = predict_huge(make(), tmp_path / "big.tif", tmp_path / "x.tif", **TILES)
    np.testing.assert_array_equal(tifffile.imread(result.labels), make().predict(pixels).label_map)


def test_a_geotiff_gives_a_label_geotiff_and_outlines_on_the_ground(make, tmp_path):
    place = Georeference.of((0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0), 32633, geographic=False)
    tifffile.imwrite(tmp_path / "big.tif", noise(200, 300), photometric="rgb", tile=(64, 64), extratags=place.tags)
    vectors = tmp_path / "x.geojson"
    result = predict_huge(make(), tmp_path / "big.tif", tmp_path / "x.tif", vectors=vectors, **TILES)
    image = open_big_image(result.labels)
    image.close()
    assert image.georeference is not None
    assert (image.georeference.transform, image.georeference.epsg) == (place.transform, place.epsg)
    document = json.loads(vectors.read_text("utf-8"))
    assert document["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
    points = np.array(
        [
            point
            for f in document["features"]
            for part in f["geometry"]["coordinates"]
            for ring in part
            for point in ring
        ]
    )
    np.testing.assert_array_equal(points.min(0), (1000, 1900))
    np.testing.assert_array_equal(points.max(0), (1150, 2000))


@pytest.mark.parametrize("batch", [2, 3])
def test_batches_change_nothing(make, tmp_path, batch):
    pixels, predictor = noise(500, 700), make()
    plan = TilePlan((500, 700), (192, 192), 32, batch=batch)
    bands = LabelBands(tmp_path / "parts", {}, (500, 700), np.dtype(np.uint8), resume=False)
    run = TileRun(predictor, ArrayImage(pixels), bands, 1, Progress(quiet=True), range)
    assert run.all_rows(plan, None) == plan
    np.testing.assert_array_equal(np.concatenate(list(bands)), make().predict(pixels).label_map)
    assert max(shape[0] for shape in predictor.engine.shapes) == batch


def test_the_input_by_table_is_that_of_the_ordinary_route():
    preprocess = Preprocess((0.4, 0.5, 0.3), (0.2, 0.3, 0.25))
    tiles = [np.random.default_rng(seed).integers(0, 256, (130, 77, 3), np.uint8) for seed in (0, 1)]
    np.testing.assert_array_equal(
        network_input(preprocess, tiles), np.concatenate([preprocess.batch(tile) for tile in tiles])
    )


def test_tiles_and_the_time_left_are_reported(make, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    plan = predict_huge(make(), noise(400, 300), tmp_path / "x.tif", progress=Progress(), **TILES).plan
    lines, total = capsys.readouterr().err.splitlines(), len(plan.rows) * len(plan.columns)
    assert [line.split(",")[0] for line in lines] == [f"predict {i}/{total}" for i in range(1, total + 1)]
    assert lines[-1].endswith("0 s left")
