"""The tables of a store: what they hold, and the statements that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LAYOUT = 1
"""Of the tables; a store of another layout is made anew from its Parquet parts, or refused."""
SCENE_VERSION = 1
"""Raised when the same label map gives another scene: what was indexed before is then replaced."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, DuckDB's type, and what stands in it."""

    name: str
    type: str
    meaning: str


TABLES: Mapping[str, tuple[Column, ...]] = {
    "images": (
        Column("id", "INTEGER", "number of the image in this store, never given twice"),
        Column("path", "VARCHAR", "where the photo was, absolute; bytes that are no text are escaped"),
        Column("content_hash", "VARCHAR", "SHA-256 of the file, hexadecimal"),
        Column("file_bytes", "BIGINT", "size of the file"),
        Column("modified_ns", "BIGINT", "when the file was last changed, nanoseconds since 1970"),
        Column("model", "VARCHAR", "name and hash of the model, e.g. street@3fa9c1d2"),
        Column("scene_version", "INTEGER", "version of the rules by which a scene is made"),
        Column("label_set", "VARCHAR", "name of the label set"),
        Column("width", "INTEGER", "of the image, pixels"),
        Column("height", "INTEGER", "of the image, pixels"),
        Column("kind", "VARCHAR", "kind of scene: street, indoor, …, unknown"),
        Column("kind_strength", "DOUBLE", "0…1"),
        Column("kind_reasons", "VARCHAR[]", "what spoke for it"),
        Column("single_objects", "BOOLEAN", "whether regions of things are single objects"),
        Column("description_en", "VARCHAR", "the scene in English sentences"),
        Column("description_zh", "VARCHAR", "the scene in Chinese sentences"),
        Column("indexed_at", "TIMESTAMP", "when it was indexed, UTC"),
    ),
    "regions": (
        Column("image", "INTEGER", "images.id"),
        Column("id", "INTEGER", "1, 2, 3, … within the image, by falling area"),
        Column("class", "VARCHAR", "English name of the class"),
        Column("single", "BOOLEAN", "one object that a model told apart; if not, a connected piece of its class"),
        Column("area_px", "BIGINT", "number of pixels"),
        Column("share", "DOUBLE", "of the image's pixels, 0…1"),
        Column("x0", "INTEGER", "left of the box, pixels"),
        Column("y0", "INTEGER", "top of the box"),
        Column("x1", "INTEGER", "right of the box, outside"),
        Column("y1", "INTEGER", "bottom of the box, outside"),
        Column("cx", "DOUBLE", "x of the centroid, pixels"),
        Column("cy", "DOUBLE", "y of the centroid, pixels"),
        Column("orientation_deg", "DOUBLE", "direction of the longer axis, −90 < … ≤ 90, counter-clockwise"),
        Column("elongation", "DOUBLE", "longer axis over shorter axis, ≥ 1"),
        Column("perimeter_px", "DOUBLE", "length of the outline (Cauchy–Crofton)"),
        Column("border_px", "BIGINT", "pixel edges to anything else"),
        Column("solidity", "DOUBLE", "area over that of the convex hull, 0…1"),
        Column("parts", "INTEGER", "number of 8-connected pieces"),
        Column("holes", "INTEGER", "number of holes"),
        Column("place", "VARCHAR", "cell of the picture: top left, top, …, centre, …, bottom right"),
        Column("frame", "VARCHAR[]", "sides of the image that it touches: left, top, right, bottom"),
        Column("nearness", "DOUBLE", "0…1, nearest is 1, by where it stands on the ground; null without ground"),
        Column("distance", "VARCHAR", "near, middle or far, from nearness"),
        Column("confidence", "DOUBLE", "0…1; null when the model gave none"),
        Column("color", "VARCHAR", "mean colour, #rrggbb"),
        Column("color_name", "VARCHAR", "its English name"),
        Column("mask", "VARCHAR", "COCO's compressed run lengths of size (y1 − y0, x1 − x0), cropped to the box"),
    ),
    "relations": (
        Column("image", "INTEGER", "images.id"),
        Column("subject", "INTEGER", "regions.id"),
        Column("subject_class", "VARCHAR", "its class"),
        Column("predicate", "VARCHAR", "touches, on, supports, inside, …"),
        Column("object", "INTEGER", "regions.id"),
        Column("object_class", "VARCHAR", "its class"),
        Column("other", "INTEGER", "regions.id, the second object of between; else null"),
        Column("other_class", "VARCHAR", "its class"),
        Column("strength", "DOUBLE", "0…1"),
        Column("evidence", "JSON", 'what it was measured from, e.g. {"border_px": 34}'),
    ),
    "labels": (
        Column("label_set", "VARCHAR", "name of the label set"),
        Column("label", "INTEGER", "class id in it"),
        Column("class", "VARCHAR", "English name"),
        Column("zh", "VARCHAR", "Chinese name, or empty"),
        Column("color", "VARCHAR", "the class's colour in pictures, #rrggbb"),
        Column("thing", "BOOLEAN", "countable (car), or stuff (sky)"),
    ),
    "moved": (
        Column("image", "INTEGER", "images.id of an image whose file was moved or touched"),
        Column("path", "VARCHAR", "as in images"),
        Column("file_bytes", "BIGINT", "as in images"),
        Column("modified_ns", "BIGINT", "as in images"),
    ),
    "removed": (Column("image", "INTEGER", "images.id of an image that was replaced"),),
}
"""What a Parquet part holds, in the order in which it is taken in. ``moved`` and ``removed`` are of parts alone."""

VIEWS: Mapping[str, tuple[str, str]] = {
    "classes": (
        "one row for each class of each image: `image`, `class`, `count` of regions, `share` of the pixels",
        "SELECT image, class, count(*) AS count, sum(share) AS share FROM regions GROUP BY image, class",
    )
}
ABOUT: Mapping[str, str] = {
    "images": "one row for each image and model",
    "regions": "one row for each region of an image",
    "relations": "one row for each relation, in both directions where a relation has an inverse",
    "labels": "one row for each class that a model of the store knows",
}


def columns_sql(table: str) -> str:
    """The column definitions between the brackets of CREATE TABLE."""
    return ", ".join(f'"{column.name}" {column.type}' for column in TABLES[table])


def unnest_sql(table: str) -> str:
    """A query whose result are rows given as one list a column: parameters $1, $2, …"""
    return "SELECT " + ", ".join(
        f'unnest(${number}::{column.type}[]) AS "{column.name}"' for number, column in enumerate(TABLES[table], 1)
    )


def markdown() -> str:
    """The tables as documentation."""
    parts = []
    for table, about in ABOUT.items():
        rows = [f"| `{c.name}` | {c.type} | {c.meaning} |" for c in TABLES[table]]
        parts.append("\n".join((f"### {table}\n", f"{about}\n", "| column | type | |", "|---|---|---|", *rows)))
    parts += [f"### {view}\n\n{about}" for view, (about, _) in VIEWS.items()]
    return "\n\n".join(parts) + "\n"
