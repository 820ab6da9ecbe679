"""Pictures and files of a segmentation: the overlay with its legend, palette PNGs, JSON.

Pictures are uint8 (H, W, 3) RGB arrays. Files are made from arrays alone, so no metadata of an input (a place in
its EXIF, a colour profile, a comment) ever reaches an output, and are written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.errors import InputError
from segscape.files import atomic_write, write_bytes
from segscape.labels import LabelSet

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from segscape.result import Region, Segmentation

_PAPER, _INK, _FAINT = (255, 255, 255), (32, 36, 44), (112, 118, 130)
_MIN_CANVAS_PX = 240  # below it a legend cannot be read
_MIN_FONT_PX = 12
_MAX_JPEG_SIDE_PX = 65500
_MAX_STEM_BYTES = 200  # file systems take 255 for a whole name


def overlay(pixels: np.ndarray, segmentation: Segmentation, alpha: float = 0.55) -> np.ndarray:
    """The photo in the colours of its classes, their borders in white, and a legend below.

    The legend lists the classes that occur and their share of the pixels, largest first, in as many rows as they
    need. Pixels without a class stay as they are in the photo. A picture narrower than its legend is centred on a
    wider canvas.

    Args:
        pixels: (H, W, 3) uint8 RGB, the photo.
        segmentation: of size (H, W); without a label map its regions are drawn, small ones over large ones.
        alpha: 0…1, how far the colours cover the photo.

    Returns:
        (H + legend, max(W, 240), 3) uint8 RGB.

    Raises:
        InputError: the photo does not fit the segmentation, or alpha is not in 0…1.
    """
    import cv2

    _check_rgb(pixels)
    if pixels.shape[:2] != segmentation.size:
        raise InputError(f"photo of shape {pixels.shape} does not fit a segmentation of {segmentation.size}")
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be in 0…1, got {alpha}")
    classes, pieces = _class_and_piece_maps(segmentation)
    colors = color_labels(classes, segmentation.label_set)
    if segmentation.single_objects:
        _shade(colors, pieces, segmentation)
    pixels = np.ascontiguousarray(pixels)
    painted = cv2.addWeighted(pixels, 1 - alpha, colors, alpha, 0)
    line = _borders(pieces)
    cv2.copyTo(cv2.addWeighted(painted, 0.35, painted, 0, 0.65 * 255), line, painted)
    if classes.max() >= len(segmentation.label_set):
        cv2.copyTo(pixels, (classes >= len(segmentation.label_set)).view(np.uint8), painted)
    return _above(painted, _legend(segmentation, *pixels.shape[:2]))


def color_labels(label_map: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """A (H, W) uint8 or uint16 label map in the colours of its classes; other ids are black: (H, W, 3) uint8 RGB."""
    import cv2

    table = _palette(label_map, label_set)
    if label_map.dtype == np.uint8:
        return cv2.LUT(cv2.cvtColor(np.ascontiguousarray(label_map), cv2.COLOR_GRAY2RGB), table[None])
    return table[label_map]


def side_by_side(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Pictures in a row, each below its title, aligned at the top.

    Args:
        panels: at least one (title, (H, W, 3) uint8 RGB); sizes may differ.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        InputError: there is no panel, or one is not an RGB picture.
    """
    if not panels:
        raise InputError("side_by_side needs at least one panel")
    for _, picture in panels:
        _check_rgb(picture)
    size_px = _font_size(max(p.shape[0] for _, p in panels), max(p.shape[1] for _, p in panels))
    font = _font(size_px)
    margin, title_px = size_px, round(size_px * 2.2)
    titles = [_one_line(title) for title, _ in panels]
    widths = [max(p.shape[1], int(font.getlength(t)) + 1) for t, (_, p) in zip(titles, panels, strict=True)]
    height = title_px + max(p.shape[0] for _, p in panels) + margin
    canvas, draw = _canvas(height, sum(widths) + margin * (len(panels) + 1))
    x = margin
    for title, width in zip(titles, widths, strict=True):
        draw.text((x, title_px / 2), title, font=font, fill=_INK, anchor="lm")
        x += width + margin
    result = np.array(canvas)
    x = margin
    for (_, picture), width in zip(panels, widths, strict=True):
        result[title_px : title_px + picture.shape[0], x : x + picture.shape[1]] = picture
        x += width + margin
    return result


def write_label_png(path: str | os.PathLike[str], label_map: np.ndarray, label_set: LabelSet) -> None:
    """Write a (H, W) label map without loss: uint8 as a palette PNG in the label set's colours, uint16 as grey.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    from PIL import Image

    table = _palette(label_map, label_set)
    if label_map.dtype == np.uint16:
        write_bytes(path, _encode(".png", label_map))
        return
    picture = Image.fromarray(np.ascontiguousarray(label_map))
    picture.putpalette(table.tobytes())
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG")


def write_png(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, without loss.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    _check_rgb(pixels)
    write_bytes(path, _encode(".png", pixels[..., ::-1]))


def write_jpeg(path: str | os.PathLike[str], pixels: np.ndarray, quality: int = 92) -> None:
    """Write (H, W, 3) uint8 RGB as JPEG with full colour resolution; sides over 65500 px are scaled down to that.

    Raises:
        InputError, ResourceError: see `segscape.files.atomic_write`.
    """
    import cv2

    _check_rgb(pixels)
    height, width = pixels.shape[:2]
    if (scale := _MAX_JPEG_SIDE_PX / max(height, width)) < 1:
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    full_color = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    write_bytes(path, _encode(".jpg", pixels[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality, *full_color)))


RESULT_SUFFIXES = {"overlay": ".overlay.jpg", "labels": ".labels.png", "json": ".json"}


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
    text = json.dumps(segmentation.to_dict(), ensure_ascii=False, allow_nan=False) + "\n"
    # A file name that is not valid UTF-8 holds lone surrogates; their backslash form is their JSON escape.
    write_bytes(paths["json"], text.encode("utf-8", "backslashreplace"))
    return paths


def _class_and_piece_maps(segmentation: Segmentation) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) class ids, no class being the label set's ignore index, and (H, W) ids that differ across borders."""
    label_map = segmentation.label_map
    if label_map is not None and not segmentation.single_objects:
        return label_map, label_map
    classes = np.full(segmentation.size, segmentation.label_set.ignore_index, np.uint16)
    pieces = np.zeros(segmentation.size, np.int32)
    if label_map is not None:
        classes[:] = label_map
        np.subtract(-1, label_map, out=pieces, dtype=np.int32, casting="unsafe")  # apart from the regions' numbers
    for number, region in enumerate(_largest_first(segmentation), 1):
        x0, y0, x1, y1 = region.box
        mask = region.mask.to_dense()
        classes[y0:y1, x0:x1][mask] = region.label
        pieces[y0:y1, x0:x1][mask] = number
    return classes, pieces


def _largest_first(segmentation: Segmentation) -> list[Region]:
    return sorted(segmentation.regions, key=lambda r: -r.area_px)


def _shade(colors: np.ndarray, pieces: np.ndarray, segmentation: Segmentation) -> None:
    """Give each object a shade of its own of its class's colour, in place: those that touch can be told apart."""
    palette = segmentation.label_set.palette().astype(float)
    table, shaded = [np.zeros(3)], [False]
    for region in _largest_first(segmentation):
        # The golden ratio spreads neighbouring ids evenly over the range.
        amount = (region.id * 0.61803398875) % 1 * 0.9 - 0.45
        toward = 255.0 if amount > 0 else 0.0
        table.append(palette[region.label] + abs(amount) * (toward - palette[region.label]))
        shaded.append(segmentation.label_set[region.label].thing)
    numbers = np.maximum(pieces, 0)
    there = np.array(shaded)[numbers]
    colors[there] = np.array(table).round().astype(np.uint8)[numbers[there]]


def _borders(pieces: np.ndarray) -> np.ndarray:
    """(H, W) uint8: 1 on the lines between different ids, thicker in larger pictures, else 0."""
    import cv2

    height, width = pieces.shape
    line = np.zeros(pieces.shape, np.uint8)
    line[:, 1:] = pieces[:, 1:] != pieces[:, :-1]
    line[1:] |= pieces[1:] != pieces[:-1]
    thickness = max(1, round((height * width) ** 0.5 / 700))
    if thickness > 1:
        line = cv2.dilate(line, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thickness, thickness)))
    return line


def _legend(segmentation: Segmentation, height: int, width: int) -> np.ndarray:
    """The strip below a photo of height × width: (rows, max(width, 240), 3) uint8 RGB."""
    label_set = segmentation.label_set
    areas = sorted(segmentation.class_areas().items(), key=lambda item: -item[1])
    names = [_one_line(name) for name, _ in areas]
    if segmentation.single_objects:
        counts = Counter(label_set[r.label].name for r in segmentation.regions if label_set[r.label].thing)
        names = [
            f"{counts[name]} {shown}" if counts[name] else shown for shown, (name, _) in zip(names, areas, strict=True)
        ]
    shares = [_percent(area / (height * width)) for _, area in areas]
    width = max(width, _MIN_CANVAS_PX)
    size_px = _font_size(height, width)
    font = _font(size_px)
    margin, swatch, gap, row_px = size_px, round(size_px * 1.1), round(size_px * 0.55), round(size_px * 1.75)
    inner = width - 2 * margin
    share_px = max((font.getlength(share) for share in shares), default=0)
    names = [_fitted(name, font, inner - swatch - 2 * gap - share_px) for name in names]
    name_px = max((font.getlength(name) for name in names), default=0)
    entry_px = swatch + gap + name_px + gap + share_px
    most = max(1, int((inner + 2 * margin) // (entry_px + 2 * margin)))
    num_rows = max(1, -(-len(names) // most))
    num_columns = max(1, -(-len(names) // num_rows))
    # From margin to margin, but entries of a short row stay together.
    pitch = min((inner - entry_px) / max(1, num_columns - 1), entry_px + 5 * margin)

    canvas, draw = _canvas(num_rows * row_px + margin, width)
    if not names:
        draw.text((margin, margin / 2 + row_px / 2), "no class found", font=font, fill=_FAINT, anchor="lm")
    for i, ((name, _), shown, share) in enumerate(zip(areas, names, shares, strict=True)):
        row, column = divmod(i, num_columns)
        x = margin + column * pitch
        y = margin / 2 + (row + 0.5) * row_px
        box = (round(x), round(y - swatch / 2), round(x) + swatch, round(y - swatch / 2) + swatch)
        color = label_set[label_set.index(name)].color
        draw.rounded_rectangle(box, swatch / 5, fill=color, outline=_FAINT if sum(color) > 600 else None)
        draw.text((x + swatch + gap, y), shown, font=font, fill=_INK, anchor="lm")
        draw.text((x + entry_px, y), share, font=font, fill=_FAINT, anchor="rm")
    return np.array(canvas)


def _above(picture: np.ndarray, strip: np.ndarray) -> np.ndarray:
    """One picture on top of another that is at least as wide, centred."""
    height, width = picture.shape[:2]
    result = np.empty((height + strip.shape[0], strip.shape[1], 3), np.uint8)
    x = (strip.shape[1] - width) // 2
    result[:height, :x] = result[:height, x + width :] = _PAPER
    result[:height, x : x + width] = picture
    result[height:] = strip
    return result


def _percent(share: float) -> str:
    return "<0.1 %" if share < 0.001 else f"{share:.1%}".replace("%", " %")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _fitted(text: str, font: FreeTypeFont | ImageFont, width_px: float) -> str:
    """The text, its end replaced by … where it is too wide."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip() + "…"


def _font_size(height: int, width: int) -> int:
    """Font size in px for a picture: readable when the picture is looked at as a whole."""
    return max(_MIN_FONT_PX, round(min((height * width) ** 0.5 * 0.028, width / 20)))


def _font(size_px: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size=size_px)


def _canvas(height: int, width: int) -> tuple[Any, Any]:
    """An empty PIL picture and what draws on it."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (width, height), _PAPER)
    return canvas, ImageDraw.Draw(canvas)


def _palette(label_map: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """The label set's colours for every value of the label map's type: (256 or 65536, 3) uint8."""
    if label_map.ndim != 2 or label_map.dtype not in (np.uint8, np.uint16):
        raise InputError(f"a label map must be uint8 or uint16 (H, W), got {label_map.dtype} {label_map.shape}")
    table = np.zeros((np.iinfo(label_map.dtype).max + 1, 3), np.uint8)
    colors = label_set.palette()[: len(table)]
    table[: len(colors)] = colors
    return table


def _check_rgb(pixels: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"a picture must be uint8 (H, W, 3) RGB, got {pixels.dtype} {pixels.shape}")


def _encode(suffix: str, array: np.ndarray, options: Sequence[int] = ()) -> bytes:
    import cv2

    return cv2.imencode(suffix, np.ascontiguousarray(array), list(options))[1].tobytes()


def safe_stem(stem: str) -> str:
    """A file stem that stays within its folder and a file system's limit on names; different ones stay different."""
    stem = re.sub(r"[/\\\0]", "_", stem)
    raw = stem.encode("utf-8", "surrogateescape")
    if len(raw) > _MAX_STEM_BYTES:
        stem = raw[:_MAX_STEM_BYTES].decode("utf-8", "ignore") + "-" + hashlib.sha256(raw).hexdigest()[:8]
    return stem if stem.strip(". ") else "image"
