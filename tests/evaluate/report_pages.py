"""Reading the pages that reports write, for their tests."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


class Page(HTMLParser):
    """What a browser would load, and the text it would show."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.sources, self.tags = "", [], []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "srcset", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"

    def is_self_contained(self) -> bool:
        """Whether a browser shows it whole without a network or a script."""
        loads = [source for source in self.sources if not source.startswith("data:image/")]
        active = {"script", "link", "iframe"} & set(self.tags)
        return (
            bool(self.sources) and not loads and not active and "url(" not in self.text and "@import" not in self.text
        )


def picture(uri: str) -> np.ndarray:
    """(H, W, 3) int of a data URI."""
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def check_picture(path: Path) -> None:
    """A PNG that can be read as a figure."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 400
