"""The size of an image file without its pixels."""

from __future__ import annotations

from pathlib import Path

from segscape.image import read_image

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) that `segscape.image.read_image` would give; of a JPEG or PNG only the header is read.

    Raises:
        ImageError: the image cannot be read.
    """
    from PIL import JpegImagePlugin, PngImagePlugin

    # The plugins are called directly, because PIL.Image.open obeys PIL's own process-wide pixel limit.
    plugins = {b"\xff\xd8\xff": JpegImagePlugin.JpegImageFile, b"\x89PNG": PngImagePlugin.PngImageFile}
    try:
        with path.open("rb") as stream:
            head = stream.read(4)
            stream.seek(0)
            plugin = next(plugin for magic, plugin in plugins.items() if head.startswith(magic))
            file = plugin(stream)
            turned = file.getexif().get(_ORIENTATION) in _SIDEWAYS
            return (file.width, file.height) if turned else (file.height, file.width)
    except Exception:  # another format, or damaged, which the reader explains; PIL throws everything on damaged files
        pixels = read_image(path).pixels
        return pixels.shape[0], pixels.shape[1]
