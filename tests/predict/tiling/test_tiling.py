"""Tiled prediction against the whole picture, through an engine that sees exactly 24 pixels far."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from segscape import progress
from segscape.bigimage import ArrayImage, Georeference, open_big_image
from segscape.bigimage.label_bands import LabelBands
from segscape.errors import ConfigError, ModelError, ResourceError
from segscape.models.bundle import read_card
from segscape.predict.predictor import Predictor
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.plan import TilePlan
from segscape.predict.tiling.run import TileRun, network_input
from segscape.preprocess import Preprocess
from segscape.progress import Progress

REACH = 24


class Boxes:
    """Scores that are sums of whole numbers over boxes, so exact in float32; padded to a multiple of 32 as networks do.

    Class 0 is a bias, class 1 sees 24 pixels to each side, class 2 nine.
    """

    name, concurrency = "boxes", 1

    def __init__(self, stride: int = 2, fail_above: int | None = None) -> None:
        self.stride, self.fail_above, self.shapes = stride, fail_above, []

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        self.shapes.append(batch.shape)
        if self.fail_above and batch.shape[2] * batch.shape[3] > self.fail_above:
            raise ResourceError("out of memory on the test")
        out = []
        for x in batch:
            levels = np.rint((x[0] + 1) * 127.5)
            bottom, right = -levels.shape[0] % 32, -levels.shape[1] % 32
            levels = np.pad(levels, ((0, bottom), (0, right)), mode="edge").astype(np.float32)
            wide = cv2.boxFilter(levels, -1, (2 * REACH + 1,) * 2, normalize=False, borderType=cv2.BORDER_CONSTANT)
            fine = cv2.boxFilter(levels, -1, (19, 19), normalize=False, borderType=cv2.BORDER_CONSTANT)
            bias = np.full_like(wide, 127 * (2 * REACH + 1) ** 2)
            fine = fine * np.float32(6)
            out.append(
                np.stack((bias, wide, fine))[:, self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]
            )
        return np.stack(out)


@pytest.fixture
def make(tiny_bundle):
    def predictor(**options) -> Predictor:
        return Predictor(Boxes(**options), replace(read_card(tiny_bundle), preprocess=Preprocess()))

    return predictor


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blobs of some 20 pixels, so that classes change everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


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


class Stop(Exception):
    pass


class Dies(Boxes):
    """Fails at its n-th tile."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def low_logits(self, batch):
        if len(self.shapes) == self.after:
            raise Stop
        return super().low_logits(batch)


@pytest.mark.parametrize("after", [1, 5, 8, 13])
def test_what_was_stopped_goes_on_and_gives_the_same_bytes(make, tmp_path, after):
    pixels, options = noise(700, 500), {"tile": 192, "margin": 0}
    reference = predict_huge(make(), pixels, tmp_path / "reference.tif", **options)
    predictor = make()
    predictor.engine = Dies(after)
    with pytest.raises(Stop):
        predict_huge(predictor, pixels, tmp_path / "x.tif", **options)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("read_", "network_"))]
    assert not (tmp_path / "x.tif").exists()
    again = make()
    result = predict_huge(again, pixels, tmp_path / "x.tif", **options)
    assert result.labels.read_bytes() == reference.labels.read_bytes()
    assert result.class_areas == reference.class_areas
    num_tiles = len(result.plan.rows) * len(result.plan.columns)
    assert len(again.engine.shapes) < num_tiles if after > 5 else len(again.engine.shapes) == num_tiles
    assert sorted(path.name for path in tmp_path.iterdir() if "tif" in path.name) == ["reference.tif", "x.tif"]


@pytest.mark.parametrize("change", ["pixels", "margin", "resume", "damage"])
def test_another_job_or_a_damaged_band_starts_anew(make, tmp_path, change):
    pixels, options = noise(700, 500), {"tile": 192, "margin": 0}
    predictor = make()
    predictor.engine = Dies(13)
    with pytest.raises(Stop):
        predict_huge(predictor, pixels, tmp_path / "x.tif", **options)
    if change == "pixels":
        pixels = noise(700, 500, seed=1)
    elif change == "margin":
        options["margin"] = 32
    elif change == "resume":
        options["resume"] = False
    else:
        band = tmp_path / ".x.tif.parts" / "rows-0000000000"
        band.write_bytes(band.read_bytes()[:-1] + b"\0")
    again = make()
    result = predict_huge(again, pixels, tmp_path / "x.tif", **options)
    assert len(again.engine.shapes) == len(result.plan.rows) * len(result.plan.columns)
    fresh = predict_huge(make(), pixels, tmp_path / "fresh.tif", **options)
    assert result.labels.read_bytes() == fresh.labels.read_bytes()


KILLED = """
import sys, time
sys.path[:0] = [{tests!r}, {src!r}]
import numpy as np
from test_tiling import Boxes, noise
from segscape.models.bundle import read_card
from segscape.predict.predictor import Predictor
from segscape.predict.tiling.huge import predict_huge

class Slow(Boxes):
    def low_logits(self, batch):
        time.sleep(0.1)
        return super().low_logits(batch)

from dataclasses import replace
from segscape.preprocess import Preprocess
predictor = Predictor(Slow(), replace(read_card({bundle!r}), preprocess=Preprocess()))
predict_huge(predictor, noise(900, 500), {out!r}, tile=192, margin=0)
"""


def test_kill_9_and_again_gives_the_same_bytes(make, tiny_bundle, tmp_path):
    here = Path(__file__)
    out = tmp_path / "x.tif"
    code = KILLED.format(
        tests=str(here.parent), src=str(here.parents[2] / "src"), bundle=str(tiny_bundle), out=str(out)
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / ".x.tif.parts").glob("rows-*"))) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert not out.exists()
    again = make()
    result = predict_huge(again, noise(900, 500), out, tile=192, margin=0)
    reference = predict_huge(make(), noise(900, 500), tmp_path / "reference.tif", tile=192, margin=0)
    assert len(again.engine.shapes) < len(reference.plan.rows) * len(reference.plan.columns)
    assert result.labels.read_bytes() == reference.labels.read_bytes()


def test_out_of_memory_halves_the_tile_and_goes_on(make, tmp_path):
    pixels = noise(700, 900)
    predictor = make(fail_above=256 * 320)
    result = predict_huge(predictor, pixels, tmp_path / "x.tif", tile=512, margin=32)
    assert result.plan.tile == (256, 256)
    np.testing.assert_array_equal(tifffile.imread(result.labels), make().predict(pixels).label_map)


def test_out_of_memory_with_the_smallest_tiles_says_so(make, tmp_path):
    with pytest.raises(ResourceError, match=r"out of memory with tiles of 192 × 192 \(out of memory on the test\)"):
        predict_huge(make(fail_above=100), noise(300, 300), tmp_path / "x.tif", tile=256, margin=32)


def test_scores_that_are_not_finite_are_told(make, tmp_path):
    predictor = make()
    predictor.engine.low_logits = lambda batch: np.full((1, 3, 128, 128), np.nan, np.float32)
    with pytest.raises(ModelError, match="not finite"):
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
    ],
)
def test_options_out_of_range(make, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        predict_huge(make(), noise(64, 64), tmp_path / "x.tif", **{"margin": 0, "tile": 128, **options})


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
