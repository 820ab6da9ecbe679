"""Files of a segmentation: the overlay as JPEG, label maps as palette PNG, the result as JSON.

Files are made from arrays alone, so no metadata of an input (a place in its EXIF, a colour profile, a comment) ever
reaches an output, and are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segscape.files import atomic_write, write_bytes, write_text
from segscape.labels import LabelSet
from segscape.outlines import outlines_of
from segscape.render import check_rgb, overlay, palette_of

if TYPE_CHECKING:
    from segscape.result import Segmentation

_MAX_JPEG_SIDE_PX = 65500
_MAX_STEM_BYTES = 200  # file systems take 255 for a whole name
RESULT_SUFFIXES = {"overlay": ".overlay.jpg", "labels": ".labels.png", "json": ".json"}


def write_label_png(path: str | os.PathLike[str], label_map: np.ndarray, label_set: LabelSet) -> None:
    """Write a (H, W) label map without loss: uint8 as a palette PNG in the label set's colours, uint16 as grey.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    from PIL import Image

    table = palette_of(label_map, label_set)
    if label_map.dtype == np.uint16:
        write_bytes(path, _png(label_map))
        return
    picture = Image.fromarray(np.ascontiguousarray(label_map))
    picture.putpalette(table.tobytes())
    with atomic_write(path) as temporary:
        # Runs are what label maps consist of: a third of the time, and files hardly larger.
        picture.save(temporary, format="PNG", compress_type=zlib.Z_RLE)


def write_png(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, without loss.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    check_rgb(pixels)
    write_bytes(path, _png(pixels[..., ::-1]))


def write_jpeg(path: str | os.PathLike[str], pixels: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB as JPEG with full colour resolution; sides over 65500 px are scaled down to that.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    import simplejpeg

    check_rgb(pixels)
    height, width = pixels.shape[:2]
    if (scale := _MAX_JPEG_SIDE_PX / max(height, width)) < 1:
        import cv2

        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    write_bytes(path, simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", "444"))


def save_segmentation(segmentation: Segmentation, folder: Path, stem: str | None = None) -> dict[str, Path]:
    """Write what a segmentation holds into ``folder`` (made if missing), each file whole or not at all.

    Args:
        segmentation: to write.
        folder: where to.
        stem: of the file names; None takes that of the image's source, or "image". Path separators become "_".

    Returns:
        "overlay": STEM.overlay.jpg, if the image was kept; "labels": STEM.labels.png, if there is a label map;
        "json": STEM.json (UTF-8).

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    image = segmentation.image
    if stem is None:
        source = image.source if image is not None else ""
        stem = "" if re.fullmatch("<.*>", source) else Path(source).stem  # "<array>" names no file
    base = folder / safe_stem(stem)
    paths: dict[str, Path] = {}
    if image is not None:
        paths["overlay"] = base.with_name(base.name + RESULT_SUFFIXES["overlay"])
        write_jpeg(paths["overlay"], overlay(image.pixels, segmentation))
    if segmentation.label_map is not None:
        paths["labels"] = base.with_name(base.name + RESULT_SUFFIXES["labels"])
        write_label_png(paths["labels"], segmentation.label_map, segmentation.label_set)
    paths["json"] = base.with_name(base.name + RESULT_SUFFIXES["json"])
    write_text(paths["json"], result_json(segmentation) + "\n")
    return paths


def result_json(segmentation: Segmentation) -> str:
    """`Segmentation.to_dict` as JSON, without the lists of which its polygons would consist: they are most of it.

    Raises:
        ValueError: a number is not finite.
    """
    document = segmentation.to_dict(polygons=False)
    for region in document["regions"]:
        region["polygons"] = 0
    text = json.dumps(document, ensure_ascii=False, allow_nan=False)
    masks, boxes = [r.mask for r in segmentation.regions], [r.box for r in segmentation.regions]
    # Nothing else is written so: within a JSON string there is no quotation mark without a backslash.
    pieces = text.split('"polygons": 0}')
    outlines = (f'"polygons": {polygons}}}' for polygons in outlines_of(masks, boxes).to_json())
    return "".join(chain.from_iterable(zip(pieces, (*outlines, ""), strict=True)))


def safe_stem(stem: str) -> str:
    """A file stem that stays within its folder and a file system's limit on names; different ones stay different."""
    stem = re.sub(r"[/\\\0]", "_", stem)
    raw = stem.encode("utf-8", "surrogateescape")
    if len(raw) > _MAX_STEM_BYTES:
        stem = raw[:_MAX_STEM_BYTES].decode("utf-8", "ignore") + "-" + hashlib.sha256(raw).hexdigest()[:8]
    return stem if stem.strip(". ") else "image"


def _png(array: np.ndarray) -> bytes:
    import cv2

    return cv2.imencode(".png", np.ascontiguousarray(array))[1].tobytes()
