"""Showing an answer: CSV, a contact sheet of the photos with the regions that matched, an HTML page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePath
from typing import Any

import numpy as np

from segscape.drawing import FAINT, INK, PAPER, fitted, font_for, one_line
from segscape.errors import InputError, ResourceError
from segscape.image import read_image
from segscape.store.answers import Answer, Drawn, Found

_NO_PHOTO = (214, 218, 223)
_TILE = (240, 320)
_MARGIN_PX, _LINE_PX, _FONT_PX = 14, 19, 14
_MOST_COLUMNS, _MOST_TILES = 5, 2000


Regions = Mapping[int, Sequence[Drawn]]
"""Number of an image in the store -> its regions that matched."""


def csv_text(answer: Answer) -> str:
    """The rows as CSV (RFC 4180) with a heading; lists are JSON."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow([json.dumps(v, ensure_ascii=False) if isinstance(v, (list, dict)) else v for v in row])
    return text.getvalue()


def picture(found: Found, regions: Sequence[Drawn], size: tuple[int, int] = _TILE) -> tuple[np.ndarray, str]:
    """The photo, scaled down to fit, with the regions tinted and outlined in the colours of their classes.

    Args:
        found: the image.
        regions: what is to be marked in it.
        size: (height, width) that the picture may have.

    Returns:
        (h, w, 3) uint8 RGB, and "" or what is the matter with the photo, in whose place there is grey.
    """
    import cv2

    scale = min(size[0] / found.height, size[1] / found.width, 1.0)
    height, width = max(1, round(found.height * scale)), max(1, round(found.width * scale))
    canvas, trouble = np.full((height, width, 3), _NO_PHOTO, np.uint8), ""
    try:
        photo = read_image(found.path).pixels
        if photo.shape[:2] != (found.height, found.width):
            trouble = "the photo has changed"
        else:
            canvas = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    except (InputError, ResourceError):
        trouble = "the photo is not there"
    for region in sorted(regions, key=lambda r: -r.mask.area):
        _mark(canvas, region, width / found.width, height / found.height)
    return canvas, trouble


def _mark(canvas: np.ndarray, region: Drawn, scale_x: float, scale_y: float) -> None:
    import cv2

    x0, y0, x1, y1 = region.box
    left, top = int(x0 * scale_x), int(y0 * scale_y)
    right = min(max(left + 1, round(x1 * scale_x)), canvas.shape[1])
    bottom = min(max(top + 1, round(y1 * scale_y)), canvas.shape[0])
    small = cv2.resize(
        region.mask.to_dense().astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_AREA
    )
    # A thin thing covers less than half of each pixel of the small picture; it must not vanish.
    inside = small >= min(0.5, float(small.max()))
    part = canvas[top:bottom, left:right]
    part[inside] = (0.7 * part[inside] + 0.3 * np.array(region.color)).astype(np.uint8)
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(left, top))
    cv2.drawContours(canvas, outlines, -1, (255, 255, 255), 2, cv2.LINE_AA)
    cv2.drawContours(canvas, outlines, -1, region.color, 1, cv2.LINE_AA)
    # The number stands where the region is widest, if it has room there.
    room = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)
    y, x = np.unravel_index(room.argmax(), room.shape)
    text, font, size = str(region.id), cv2.FONT_HERSHEY_SIMPLEX, 0.45
    (width, height), _ = cv2.getTextSize(text, font, size, 1)
    if 2 * room.max() < height:
        return
    at = (
        int(np.clip(left + x - width / 2, 1, max(1, canvas.shape[1] - width - 1))),
        int(np.clip(top + y + height / 2, height + 1, max(height + 1, canvas.shape[0] - 2))),
    )
    cv2.putText(canvas, text, at, font, size, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, text, at, font, size, (255, 255, 255), 1, cv2.LINE_AA)


def contact_sheet(answer: Answer, regions: Regions) -> np.ndarray:
    """All photos that were found as small pictures with their regions marked, file names and reasons below.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: there are too many for one picture.
    """
    from PIL import Image, ImageDraw

    if len(answer.images) > _MOST_TILES:
        raise InputError(f"{len(answer.images)} photos do not fit on one sheet; give a --limit of {_MOST_TILES}")
    columns = min(_MOST_COLUMNS, max(2, len(answer.images)))
    rows = -(-len(answer.images) // columns)
    tile_height, tile_width = _TILE
    names = (name for found in answer.images for name in (found.path, *(m.text() for m in found.matches)))
    font = font_for(_FONT_PX, [answer.question, *names])
    step_x, step_y = tile_width + _MARGIN_PX, tile_height + 2 * _LINE_PX + _MARGIN_PX
    head_px = 2 * _LINE_PX + _MARGIN_PX
    canvas = Image.new("RGB", (columns * step_x + _MARGIN_PX, head_px + max(1, rows) * step_y), PAPER)
    draw = ImageDraw.Draw(canvas)

    def write(x: float, y: float, text: str, fill: tuple[int, int, int], room: float) -> None:
        text = fitted(one_line(text[:500]), font, room)
        draw.text((x, y), text, font=font, fill=fill)

    whole = canvas.width - 2 * _MARGIN_PX
    write(_MARGIN_PX, _MARGIN_PX, answer.question, INK, whole)
    write(_MARGIN_PX, _MARGIN_PX + _LINE_PX, headline(answer), FAINT, whole)
    for i, found in enumerate(answer.images):
        tile, trouble = picture(found, regions.get(found.image, ()))
        x, y = _MARGIN_PX + i % columns * step_x, head_px + _MARGIN_PX + i // columns * step_y
        height, width = tile.shape[:2]
        canvas.paste(Image.fromarray(tile), (x + (tile_width - width) // 2, y + (tile_height - height) // 2))
        if trouble:
            write(x + 8, y + (tile_height - height) // 2 + 6, trouble, INK, tile_width - 16)
        why = "; ".join(match.text() for match in found.matches) or ", ".join(f"#{n}" for n in found.regions)
        write(x, y + tile_height + 3, f"{found.image}  {PurePath(found.path).name}", INK, tile_width)
        write(x, y + tile_height + 3 + _LINE_PX, why, FAINT, tile_width)
    return np.array(canvas)


def page(answer: Answer, regions: Regions, *, lang: str = "en") -> str:
    """The answer as one HTML page that needs nothing else: pictures inside, no scripts."""
    from jinja2 import Environment, StrictUndefined

    text = resources.files("segscape.store").joinpath("answer.html.jinja").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pictures = []
    for found in answer.images:
        tile, trouble = picture(found, regions.get(found.image, ()), (540, 720))
        pictures.append({"found": found, "source": _data_uri(tile), "trouble": trouble})
    return environment.from_string(text).render(
        answer=answer, headline=headline(answer), pictures=pictures, lang=lang, cell=cell
    )


def headline(answer: Answer) -> str:
    """How many there are, and how many of them are shown."""
    shown, total = len(answer.rows), answer.total
    if total is None:
        return f"the first {shown}"
    return f"{total} found" if total == shown else f"{total} found, the first {shown}"


def cell(value: Any) -> str:
    """A value of a row as it stands in a table for people."""
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _data_uri(pixels: np.ndarray) -> str:
    import base64

    import cv2

    full_color = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    content = cv2.imencode(".jpg", pixels[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 85, *full_color))[1]
    return f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"
