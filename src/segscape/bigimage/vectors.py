"""Outlines of a large label map's regions as GeoJSON or GeoPackage, on the ground if the picture lies there."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage.object_parts import WholeObject
from segscape.bigimage.windowed import Georeference
from segscape.errors import ConfigError, ResourceError
from segscape.files import atomic_write, explain_os_error
from segscape.labels import LabelSet
from segscape.masks import Box, RunLengths
from segscape.polygons import Rings, to_polygons
from segscape.scene.scene import SceneRegion

_BATCH = 10_000  # outlines that are in memory as they are written to a GeoPackage
_BYTES_PER_RUN = 120
"""What `segscape.scene.regions` holds of a label map's run at its highest: about fifteen columns of 4 or 8 bytes."""


def check_vectors(path: str | os.PathLike[str], georeference: Georeference | None = None) -> None:
    """Whether outlines can be written to ``path``: asked before the work whose outcome they are.

    Raises:
        ConfigError: another suffix than .geojson and .gpkg, or .gpkg where pyogrio is not installed or GDAL does not
            know the coordinate system.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".geojson", ".gpkg"):
        raise ConfigError(f"outlines are written as .geojson or .gpkg, not {os.fspath(path)!r}")
    if suffix == ".gpkg":
        try:
            import pyogrio  # noqa: F401 (only to say early that it is missing)
        except ImportError:
            raise ConfigError(
                f"{os.fspath(path)!r}: GeoPackage needs pyogrio; install it with: pip install 'segscape[geo]', or "
                "write .geojson"
            ) from None
        if georeference is not None and georeference.epsg is not None:
            from pyogrio import raw

            with _gdal_explained(Path(path), georeference.epsg):  # by writing nothing, in memory
                raw.write(
                    io.BytesIO(),
                    geometry=np.array([], object),
                    fields=np.array([], object),
                    field_data=[],
                    field_mask=None,
                    driver="GPKG",
                    layer="none",
                    geometry_type="MultiPolygon",
                    crs=f"EPSG:{georeference.epsg}",
                )


def write_vectors(
    path: str | os.PathLike[str],
    bands: Iterable[np.ndarray],
    size: tuple[int, int],
    label_set: LabelSet,
    georeference: Georeference | None = None,
    max_memory: int | None = None,
) -> None:
    """Write the connected regions of a label map that comes in bands; specks are merged as in `Segmentation.scene`.

    Each region is one multi-polygon with its id, label, area in pixels and share of the picture. Points are in the
    units of the picture's coordinate system, on pixel corners; without one in pixels, x right and y down.

    Args:
        path: .geojson (RFC 7946; of another coordinate system than longitude and latitude with the member "crs" of
            GeoJSON 2008, which GDAL reads) or .gpkg.
        bands: (rows, W) each, from the top; gone through once, and with ``max_memory`` once before, so that then an
            iterator will not do.
        size: (height, width) of the whole.
        label_set: what the ids mean.
        georeference: of the picture.
        max_memory: bytes that regions may take.

    Raises:
        ConfigError: see `check_vectors`; or .gpkg, and GDAL does not know the coordinate system.
        ResourceError: the regions' runs do not fit into ``max_memory``, or the disk is full or fails.
        InputError: the folder of ``path`` cannot be written to.
    """
    from segscape.scene.regions import regions_of_tiles, scene_regions

    check_vectors(path)
    if max_memory is not None:
        runs = sum(len(band) + int(np.count_nonzero(band[:, 1:] != band[:, :-1])) for band in bands)
        if runs * _BYTES_PER_RUN > max_memory:
            raise ResourceError(
                f"the regions of this picture would take about {runs * _BYTES_PER_RUN / 1e6:.0f} MB, and "
                f"{max_memory / 1e6:.0f} MB are allowed; raise --max-memory or do without outlines"
            )
    run_map, measures, _ = regions_of_tiles(_tiles(bands), size, label_set)
    regions = scene_regions(run_map, measures, label_set, np.zeros(measures.num_regions, bool))
    _write(Path(path), (_outline_of_region(region, georeference) for region in regions), "regions", georeference)


def write_object_outlines(
    path: str | os.PathLike[str],
    objects: Iterable[WholeObject],
    label_set: LabelSet,
    georeference: Georeference | None = None,
) -> None:
    """Write objects as `write_vectors` does regions, each as it comes: with id, label, area and score.

    Raises:
        ConfigError: see `check_vectors`; or .gpkg, and GDAL does not know the coordinate system.
        ResourceError: the disk is full or fails.
        InputError: the folder of ``path`` cannot be written to.
    """
    check_vectors(path)
    outlines = (
        _Outline(
            found.id,
            {
                "object": found.id,
                "label": label_set[found.label].name,
                "label_id": found.label,
                "area_px": found.mask.area,
                "score": None if found.score is None else round(found.score, 4),
            },
            _placed(found.mask, found.box, georeference),
        )
        for found in objects
    )
    _write(Path(path), outlines, "objects", georeference)


@dataclass(frozen=True, slots=True, eq=False)
class _Outline:
    id: int
    properties: dict[str, Any]
    parts: list[Rings]


def _write(path: Path, outlines: Iterable[_Outline], layer: str, georeference: Georeference | None) -> None:
    """For those who have called `check_vectors`."""
    if path.suffix.lower() == ".geojson":
        _write_geojson(path, outlines, georeference)
    else:
        _write_geopackage(path, outlines, layer, georeference)


def _tiles(bands: Iterable[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
    y0 = 0
    for band in bands:
        yield y0, 0, band
        y0 += len(band)


def _outline_of_region(region: SceneRegion, georeference: Georeference | None) -> _Outline:
    properties = {
        "label": region.name,
        "label_id": region.label,
        "area_px": region.area_px,
        "share": round(region.share, 9),
    }
    return _Outline(region.id, properties, _placed(region.mask, region.box, georeference))


def _placed(mask: RunLengths, box: Box, georeference: Georeference | None) -> list[Rings]:
    """A mask's polygons, outsides counter-clockwise and holes clockwise (RFC 7946, section 3.1.6)."""
    parts: list[Any] = to_polygons(mask, offset=box[:2])
    if georeference is None:
        return parts
    a, b, c, d, e, f = georeference.transform
    turned = a * e - b * d < 0  # north up: what runs clockwise seen in rows downwards does so on the ground too
    placed = []
    for rings in parts:
        moved = [[[a * x + b * y + c, d * x + e * y + f] for x, y in ring] for ring in rings]
        placed.append([ring[::-1] for ring in moved] if turned else moved)
    return placed


def _write_geojson(path: Path, outlines: Iterable[_Outline], georeference: Georeference | None) -> None:
    code = None if georeference is None else georeference.epsg
    crs = "" if code in (None, 4326) else f'"crs":{json.dumps(_crs(code))},'
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection",' + crs + '"features":[')
        for number, outline in enumerate(outlines):
            polygons = [[[*ring, ring[0]] for ring in rings] for rings in outline.parts]
            feature = {
                "type": "Feature",
                "id": outline.id,
                "properties": outline.properties,
                "geometry": {"type": "MultiPolygon", "coordinates": polygons},
            }
            text = json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            file.write((",\n" if number else "\n") + text)
        file.write("\n]}\n")


def _crs(code: int | None) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}


def _write_geopackage(path: Path, outlines: Iterable[_Outline], layer: str, georeference: Georeference | None) -> None:
    from pyogrio import raw

    code = None if georeference is None else georeference.epsg
    types: dict[str, Any] = {"label": object, "label_id": np.int32, "area_px": np.int64}
    types |= {"share": np.float64} if layer == "regions" else {"object": np.int64, "score": np.float64}
    with atomic_write(path) as temporary, _gdal_explained(path, code), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # a picture that lies nowhere
        temporary.unlink()  # GDAL makes the file itself
        coming = iter(outlines)
        batch = list(islice(coming, _BATCH))
        append = False
        while batch or not append:
            raw.write(
                temporary,
                geometry=np.array([_wkb(outline.parts) for outline in batch], object),
                fields=np.array(list(types), object),
                field_data=[
                    np.array([outline.properties[name] for outline in batch], dtype) for name, dtype in types.items()
                ],
                field_mask=None,
                driver="GPKG",
                layer=layer,
                geometry_type="MultiPolygon",
                crs=None if code is None else f"EPSG:{code}",
                append=append,
            )
            append, batch = True, list(islice(coming, _BATCH))


@contextlib.contextmanager
def _gdal_explained(path: Path, code: int | None) -> Iterator[None]:
    """What GDAL refuses within becomes an error of ours; of the system's errors it keeps the text, not the number."""
    from pyogrio.errors import CRSError, DataLayerError, DataSourceError

    try:
        yield
    except CRSError as error:
        raise ConfigError(
            f"{str(path)!r}: GDAL does not know the picture's coordinate system, EPSG:{code}; write .geojson"
        ) from error
    except (DataSourceError, DataLayerError) as error:
        raise explain_os_error(OSError(str(error)), path) from error


def _wkb(parts: list[Rings]) -> bytes:
    """A multi-polygon as well-known binary, little-endian (OGC 06-103r4, section 8.2)."""
    out = [struct.pack("<BII", 1, 6, len(parts))]
    for rings in parts:
        out.append(struct.pack("<BII", 1, 3, len(rings)))
        for ring in rings:
            closed = np.array([*ring, ring[0]], "<f8")
            out.append(struct.pack("<I", len(closed)) + closed.tobytes())
    return b"".join(out)
