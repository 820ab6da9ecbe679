"""Outlines of a large label map's regions as GeoJSON or GeoPackage, on the ground if the picture lies there."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segscape.bigimage.windowed import Georeference
from segscape.errors import ConfigError, ResourceError
from segscape.files import atomic_write
from segscape.labels import LabelSet
from segscape.polygons import Rings, to_polygons
from segscape.scene.scene import SceneRegion

_BYTES_PER_RUN = 120
"""What `segscape.scene.regions` holds of a label map's run at its highest: about fifteen columns of 4 or 8 bytes."""


def write_vectors(
    path: str | os.PathLike[str],
    bands: Iterable[np.ndarray],
    size: tuple[int, int],
    label_set: LabelSet,
    georeference: Georeference | None = None,
    max_memory: int | None = None,
) -> int:
    """Write the connected regions of a label map that comes in bands; specks are merged as in `Segmentation.scene`.

    Each region is one multi-polygon with its id, label, area in pixels and share of the picture. Points are in the
    units of the picture's coordinate system, on pixel corners; without one in pixels, x right and y down.

    Args:
        path: .geojson (RFC 7946; of another coordinate system than longitude and latitude with the member "crs" of
            GeoJSON 2008, which GDAL reads) or .gpkg.
        bands: (rows, W) each, from the top; gone through twice.
        size: (height, width) of the whole.
        label_set: what the ids mean.
        georeference: of the picture.
        max_memory: bytes that regions may take.

    Returns:
        the number of regions.

    Raises:
        ConfigError: another suffix, or .gpkg where pyogrio is not installed.
        ResourceError: the regions' runs do not fit into ``max_memory``, or the disk is full.
    """
    from segscape.scene.regions import regions_of_tiles, scene_regions

    suffix = Path(path).suffix.lower()
    if suffix not in (".geojson", ".gpkg"):
        raise ConfigError(f"outlines are written as .geojson or .gpkg, not {os.fspath(path)!r}")
    if max_memory is not None:
        runs = sum(len(band) + int(np.count_nonzero(band[:, 1:] != band[:, :-1])) for band in bands)
        if runs * _BYTES_PER_RUN > max_memory:
            raise ResourceError(
                f"the regions of this picture would take about {runs * _BYTES_PER_RUN / 1e6:.0f} MB, and "
                f"{max_memory / 1e6:.0f} MB are allowed; raise --max-memory or do without outlines"
            )
    run_map, measures, _ = regions_of_tiles(_tiles(bands), size, label_set)
    regions = scene_regions(run_map, measures, label_set, np.zeros(measures.num_regions, bool))
    if suffix == ".geojson":
        _write_geojson(Path(path), regions, georeference)
    else:
        _write_geopackage(Path(path), regions, georeference)
    return len(regions)


def _tiles(bands: Iterable[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
    y0 = 0
    for band in bands:
        yield y0, 0, band
        y0 += len(band)


def _placed(region: SceneRegion, georeference: Georeference | None) -> list[Rings]:
    """The region's polygons, outsides counter-clockwise and holes clockwise (RFC 7946, section 3.1.6)."""
    parts: list[Any] = to_polygons(region.mask, offset=region.box[:2])
    if georeference is None:
        return parts
    a, b, c, d, e, f = georeference.transform
    turned = a * e - b * d < 0  # north up: what runs clockwise seen in rows downwards does so on the ground too
    placed = []
    for rings in parts:
        moved = [[[a * x + b * y + c, d * x + e * y + f] for x, y in ring] for ring in rings]
        placed.append([ring[::-1] for ring in moved] if turned else moved)
    return placed


def _write_geojson(path: Path, regions: Sequence[SceneRegion], georeference: Georeference | None) -> None:
    code = None if georeference is None else georeference.epsg
    crs = "" if code in (None, 4326) else f'"crs":{json.dumps(_crs(code))},'
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection",' + crs + '"features":[')
        for number, region in enumerate(regions):
            polygons = [[[*ring, ring[0]] for ring in rings] for rings in _placed(region, georeference)]
            feature = {
                "type": "Feature",
                "id": region.id,
                "properties": {
                    "label": region.name,
                    "label_id": region.label,
                    "area_px": region.area_px,
                    "share": round(region.share, 9),
                },
                "geometry": {"type": "MultiPolygon", "coordinates": polygons},
            }
            text = json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            file.write((",\n" if number else "\n") + text)
        file.write("\n]}\n")


def _crs(code: int | None) -> dict[str, Any]:
    return {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{code}"}}


def _write_geopackage(path: Path, regions: Sequence[SceneRegion], georeference: Georeference | None) -> None:
    try:
        from pyogrio import raw
    except ImportError:
        raise ConfigError(
            "GeoPackage needs pyogrio; install it with: pip install 'segscape[geo]', or write .geojson"
        ) from None
    code = None if georeference is None else georeference.epsg
    with atomic_write(path) as temporary:
        temporary.unlink()  # GDAL makes the file itself
        raw.write(
            temporary,
            geometry=np.array([_wkb(_placed(region, georeference)) for region in regions], object),
            fields=np.array(["label", "label_id", "area_px", "share"], object),
            field_data=[
                np.array([region.name for region in regions], object),
                np.array([region.label for region in regions], np.int32),
                np.array([region.area_px for region in regions], np.int64),
                np.array([region.share for region in regions], np.float64),
            ],
            field_mask=None,
            driver="GPKG",
            layer="regions",
            geometry_type="MultiPolygon",
            crs=None if code is None else f"EPSG:{code}",
        )


def _wkb(parts: list[Rings]) -> bytes:
    """A multi-polygon as well-known binary, little-endian (OGC 06-103r4, section 8.2)."""
    out = [struct.pack("<BII", 1, 6, len(parts))]
    for rings in parts:
        out.append(struct.pack("<BII", 1, 3, len(rings)))
        for ring in rings:
            closed = np.array([*ring, ring[0]], "<f8")
            out.append(struct.pack("<I", len(closed)) + closed.tobytes())
    return b"".join(out)
