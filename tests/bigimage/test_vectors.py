"""Outlines of a label map's regions, in both formats."""

import json
import resource
import sys

import numpy as np
import pytest
from window_help import GEO

from segscape.bigimage import Georeference
from segscape.bigimage.vectors import check_vectors, write_object_outlines, write_vectors
from segscape.errors import ConfigError, InputError, ResourceError

SCENE = np.zeros((40, 60), np.uint8)
SCENE[20:] = 1
SCENE[5:15, 10:30] = 2
SCENE[8:12, 15:20] = 0  # a hole in the car, sky again


@pytest.mark.parametrize("place", [None, GEO])
def test_geojson_has_each_region_with_its_holes_the_right_way_round(tmp_path, tiny_labels, place):
    write_vectors(tmp_path / "a.geojson", [SCENE[:13], SCENE[13:]], SCENE.shape, tiny_labels, place)
    document = json.loads((tmp_path / "a.geojson").read_text("utf-8"))
    features = document["features"]
    assert len(features) == 4
    assert {f["properties"]["label"]: f["properties"]["area_px"] for f in features if f["id"] != 4} == {
        "road": 20 * 60, "sky": 20 * 60 - 200, "car": 180,
    }  # fmt: skip
    scale = 0.25 if place else 1
    for feature in features:
        areas = [[_signed(ring) for ring in rings] for rings in feature["geometry"]["coordinates"]]
        assert sum(map(sum, areas)) == pytest.approx(scale * feature["properties"]["area_px"])
        assert all(outside > 0 and all(hole < 0 for hole in holes) for outside, *holes in areas)
        assert all(ring[0] == ring[-1] for rings in feature["geometry"]["coordinates"] for ring in rings)
    car = next(f for f in features if f["properties"]["label"] == "car")
    corners = {tuple(point) for point in car["geometry"]["coordinates"][0][0]}
    wanted = {(10, 5), (30, 5), (30, 15), (10, 15)}
    assert corners == ({(1000 + x / 2, 2000 - y / 2) for x, y in wanted} if place else wanted)
    assert ("crs" in document) is (place is not None)


def _signed(ring: list[list[float]]) -> float:
    x, y = np.array(ring, float).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def test_geopackage(tmp_path, tiny_labels):
    pyogrio = pytest.importorskip("pyogrio")
    write_vectors(tmp_path / "a.gpkg", [SCENE], SCENE.shape, tiny_labels, GEO)
    info = pyogrio.read_info(tmp_path / "a.gpkg")
    assert (info["features"], info["crs"], info["geometry_type"]) == (4, "EPSG:32633", "MultiPolygon")
    _, _, geometry, fields = pyogrio.raw.read(tmp_path / "a.gpkg")
    assert fields[0].tolist()[:2] == ["road", "sky"]
    assert geometry[0][:9] == b"\1\6\0\0\0\1\0\0\0"


def test_bands_are_gone_through_once(tmp_path, tiny_labels):
    write_vectors(tmp_path / "a.geojson", iter([SCENE[:13], SCENE[13:]]), SCENE.shape, tiny_labels)
    assert len(json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]) == 4


def test_outlines_that_do_not_fit(tmp_path, tiny_labels):
    with pytest.raises(ResourceError, match="raise --max-memory or do without"):
        write_vectors(tmp_path / "a.geojson", [SCENE], SCENE.shape, tiny_labels, None, max_memory=1000)


@pytest.mark.parametrize("name", ["a.geojson", "A.GEOJSON", "a.gpkg"])
def test_where_outlines_can_be_written(tmp_path, name):
    if name == "a.gpkg":
        pytest.importorskip("pyogrio")
    check_vectors(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_outlines_of_another_suffix(tmp_path, tiny_labels):
    path = tmp_path / "a.shp"
    for write in (
        lambda: check_vectors(path),
        lambda: write_vectors(path, [SCENE], SCENE.shape, tiny_labels),
        lambda: write_object_outlines(path, [], tiny_labels),
    ):
        with pytest.raises(ConfigError, match=r"\.geojson or \.gpkg"):
            write()


def test_geopackage_without_pyogrio(tmp_path, monkeypatch, tiny_labels):
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    check_vectors(tmp_path / "a.geojson")
    for write in (
        lambda: check_vectors(tmp_path / "a.gpkg"),
        lambda: write_vectors(tmp_path / "a.gpkg", [SCENE], SCENE.shape, tiny_labels),
    ):
        with pytest.raises(ConfigError, match=r"a\.gpkg.*needs pyogrio; install it"):
            write()


@pytest.mark.parametrize("num_bytes", [0, 50_000, 90_000, 150_000])
@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_a_disk_that_is_full(tmp_path, tiny_labels, suffix, num_bytes):
    if suffix == ".gpkg":
        pytest.importorskip("pyogrio")
    noise = np.random.default_rng(0).integers(0, 3, (300, 300), np.uint8).repeat(8, 0).repeat(8, 1)
    path = tmp_path / f"a{suffix}"
    write_vectors(path, [noise], noise.shape, tiny_labels)  # what is compiled on the way is cached on the disk too
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limit[1]))
    try:
        with pytest.raises(ResourceError, match=rf"a\{suffix}.*(free some disk space|check the disk)"):
            write_vectors(path, [noise], noise.shape, tiny_labels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_folder_that_is_a_file(tmp_path, tiny_labels):
    (tmp_path / "out").write_text("no folder")
    with pytest.raises(InputError, match="choose another place"):
        write_vectors(tmp_path / "out" / "a.geojson", [SCENE], SCENE.shape, tiny_labels)


def test_a_coordinate_system_that_gdal_does_not_know(tmp_path, tiny_labels):
    pytest.importorskip("pyogrio")
    nowhere = Georeference.of(GEO.transform, 1, geographic=False)
    with pytest.raises(ConfigError, match=r"a\.gpkg.*does not know.*EPSG:1; write \.geojson"):
        write_vectors(tmp_path / "a.gpkg", [SCENE], SCENE.shape, tiny_labels, nowhere)
    write_vectors(tmp_path / "a.geojson", [SCENE], SCENE.shape, tiny_labels, nowhere)
