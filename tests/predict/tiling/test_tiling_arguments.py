"""What predict_huge takes and refuses; and that two of it never make one file at once."""

import threading

import numpy as np
import PIL.Image
import pytest
import tifffile
from tiling_help import Boxes, Dies, Stop, noise

from segscape.bigimage import ArrayImage, Georeference
from segscape.bigimage.parts import only_maker
from segscape.errors import ConfigError, InputError, ResourceError
from segscape.predict.tiling.huge import predict_huge
from segscape.predict.tiling.memory import parse_bytes

TILES = {"tile": 192, "margin": 32}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tile": (448,)}, "side or"),
        ({"tile": (448, 448, 448)}, "side or"),
        ({"tile": 448.0}, "whole number"),
        ({"tile": "448"}, "whole number"),
        ({"tile": True}, "whole number"),
        ({"margin": 32.0}, "margin must be a whole number"),
        ({"margin": "x"}, "margin must be a whole number"),
        ({"shrink": None}, "shrink must be a whole number"),
        ({"shrink": 1.5}, "shrink must be a whole number"),
        ({"shrink": 10**6}, "give a smaller one"),
        ({"max_memory": "9" * 400}, "memory must be given"),
        ({"max_memory": "9" * 400 + "TB"}, "memory must be given"),
        ({"order": lambda n: []}, "order must give each of 0 … 2 once"),
        ({"order": lambda n: [0, 0]}, "order must give each of 0 … 2 once"),
        ({"order": lambda n: None}, "order must give"),
        ({"order": None}, "order must give"),
        ({"out": ""}, "out must be the path of a file"),
        ({"out": "."}, "out must be the path of a file"),
        ({"out": 5}, "out must be the path of a file"),
        ({"vectors": ".."}, "vectors must be the path of a file"),
    ],
)
def test_options_that_are_refused(make, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        predict_huge(make(), noise(100, 300), **{"out": tmp_path / "x.tif", **TILES, **options})


def test_a_number_of_bytes_that_python_does_not_write_out():
    with pytest.raises(ConfigError, match="memory must be given"):
        parse_bytes(10**5000)


@pytest.mark.parametrize("source", [None, [], b"II*", 5, object()])
def test_sources_that_are_refused(make, tmp_path, source):
    with pytest.raises(InputError, match=r"give a path, .*a PIL image, (or )?a NumPy array"):
        predict_huge(make(), source, tmp_path / "x.tif", **TILES)


@pytest.mark.parametrize("kind", [np.asarray, PIL.Image.fromarray, ArrayImage])
def test_sources_and_numbers_that_are_taken(make, tmp_path, kind):
    pixels, sides = noise(300, 400), np.int64(192)
    result = predict_huge(make(), kind(pixels), tmp_path / "x.tif", tile=sides, margin=np.int64(32), shrink=np.int64(1))
    np.testing.assert_array_equal(tifffile.imread(result.labels), make().predict(pixels).label_map)


@pytest.mark.parametrize(
    ("source", "out", "vectors"),
    [
        ("a.tif", "x.geojson", "x.geojson"),
        ("a.tif", "x.geojson", "b/../x.geojson"),
        ("a.tif", "x.tif", "link.geojson"),
        ("a.geojson", "x.tif", "a.geojson"),
        ("a.tif", "b/../a.tif", None),
    ],
)
def test_no_two_of_picture_and_results_are_one_file(make, tmp_path, source, out, vectors):
    (tmp_path / "b").mkdir()
    tifffile.imwrite(tmp_path / source, noise(64, 64))
    (tmp_path / "link.geojson").symlink_to(tmp_path / source)
    before = (tmp_path / source).read_bytes()
    with pytest.raises(ConfigError, match="overwrite it; give another path"):
        predict_huge(
            make(), tmp_path / source, tmp_path / out, vectors=None if vectors is None else tmp_path / vectors, **TILES
        )
    assert (tmp_path / source).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["b", source, "link.geojson"])


def test_what_is_being_made_is_left_alone(make, tmp_path):
    pytest.importorskip("fcntl")
    out, pixels, begun, go_on = tmp_path / "x.tif", noise(300, 400), threading.Event(), threading.Event()

    class Waits(Boxes):
        def low_logits(self, batch):
            begun.set()
            assert go_on.wait(60)
            return super().low_logits(batch)

    first = make()
    first.engine = Waits()
    run = threading.Thread(target=predict_huge, args=(first, pixels, out), kwargs=TILES)
    run.start()
    try:
        assert begun.wait(60)
        with pytest.raises(ResourceError, match=r"x\.tif' is being made by another process; wait for it"):
            predict_huge(make(), noise(300, 400, seed=1), out, resume=False, **TILES)
    finally:
        go_on.set()
        run.join()
    np.testing.assert_array_equal(tifffile.imread(out), make().predict(pixels).label_map)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]


def test_a_run_that_failed_leaves_no_lock_and_a_lock_nobody_holds_is_none(make, tmp_path):
    out, pixels, stops = tmp_path / "x.tif", noise(500, 400), make()
    (tmp_path / ".x.tif.lock").touch()  # as after kill -9
    stops.engine = Dies(5)
    with pytest.raises(Stop):
        predict_huge(stops, pixels, out, **TILES)
    assert [path.name for path in tmp_path.iterdir()] == [".x.tif.parts"]
    predict_huge(make(), pixels, out, **TILES)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    fcntl, out, path = pytest.importorskip("fcntl"), tmp_path / "x.tif", tmp_path / ".x.tif.lock"
    real, calls = fcntl.flock, []

    def flock(descriptor, how):
        if not calls:
            path.unlink()  # as the run does that held it until now
        calls.append(descriptor)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    with only_maker(out), pytest.raises(ResourceError, match="another process"), only_maker(out):
        pass
    assert len(calls) == 3
    assert not path.exists()


@pytest.mark.parametrize(("memory", "fits"), [("2GB", True), ("1GB", False), ("800MB", False)])
def test_pieces_of_the_file_are_taken_off_the_memory(make, tmp_path, memory, fits):
    picture = ArrayImage(noise(300, 400))
    picture.piece_bytes = 500_000_000
    if not fits:
        with pytest.raises(ResourceError, match=r"its pieces of 500 MB .* raise --max-memory or write it with smaller"):
            predict_huge(make(), picture, tmp_path / "x.tif", max_memory=memory)
        return
    result = predict_huge(make(), picture, tmp_path / "x.tif", max_memory=memory)
    assert result.predicted_bytes is not None
    assert 1e9 < result.predicted_bytes <= 2e9


def test_a_coordinate_system_that_gdal_does_not_know_is_told_before_the_work(make, tmp_path):
    pytest.importorskip("pyogrio")
    predictor, picture = make(), ArrayImage(noise(100, 300))
    picture.georeference = Georeference.of((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), 12345, geographic=False)
    with pytest.raises(ConfigError, match=r"does not know .* EPSG:12345; write \.geojson"):
        predict_huge(predictor, picture, tmp_path / "x.tif", vectors=tmp_path / "x.gpkg", **TILES)
    assert not predictor.engine.shapes
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_place_that_is_not_finite_is_none(make, tmp_path, value):
    matrix = (value, *np.eye(4).ravel()[1:].tolist())
    tifffile.imwrite(tmp_path / "a.tif", noise(100, 300), extratags=[(34264, 12, 16, matrix)])
    result = predict_huge(make(), tmp_path / "a.tif", tmp_path / "x.tif", vectors=tmp_path / "x.geojson", **TILES)
    np.testing.assert_array_equal(tifffile.imread(result.labels), make().predict(noise(100, 300)).label_map)
    assert "nan" not in (tmp_path / "x.geojson").read_text("utf-8").lower()
