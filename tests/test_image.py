"""Every format and pixel mode becomes exactly the RGB it should, on tiny images made here."""

import io
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segscape.errors import ImageError, InputError
from segscape.image import Image, as_image, image_files, read_image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
COLORS = np.array([[RED, GREEN, BLUE], [WHITE, BLACK, (10, 128, 200)]], np.uint8)


def saved(im, format_, **options):
    stream = io.BytesIO()
    im.save(stream, format_, **options)
    return stream.getvalue()


def mode_image(mode, *values):
    """A PIL image of one row."""
    im = PIL.Image.new(mode, (len(values), 1))
    im.putdata(values)
    return im


def palette_image(*indices):
    im = mode_image("P", *indices)
    im.putpalette([*RED, *GREEN, *BLUE])
    return im


def png(samples, extra=b"", depth=None, size=None):
    """PNG bytes of (H, W) or (H, W, 2 | 3 | 4) uint8 or uint16, or of packed rows (with depth and size)."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = size or samples.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if samples.ndim == 2 else samples.shape[2]]
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, depth or samples.dtype.itemsize * 8, kind, 0, 0, 0)
    extra = chunk(extra[:4], extra[4:]) if extra else b""
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def tiff(array, order="<", photometric=1, deflate=False, bits=None, planar=1, size=None, **extra):
    """TIFF bytes of one strip; ``extra`` are further SHORT tags by number (``t338=2``)."""
    samples = 1 if array.ndim == 2 else array.shape[2]
    data = array.astype(array.dtype.newbyteorder(order)).tobytes()
    data = zlib.compress(data) if deflate else data
    height, width = size or array.shape[:2]
    format_ = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    tags = {256: [width], 257: [height], 258: [bits or array.dtype.itemsize * 8] * samples, 259: [8 if deflate else 1]}
    tags |= {262: [photometric], 273: [0], 277: [samples], 278: [height], 279: [len(data)], 284: [planar]}
    tags |= {339: [format_] * samples} | {int(k[1:]): [v] for k, v in extra.items()}
    outside_at = 8 + 2 + 12 * len(tags) + 4
    outside_size = sum(2 * len(v) for v in tags.values() if len(v) > 2)
    tags[273] = [outside_at + outside_size]
    entries = outside = b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            outside, packed = outside + packed, struct.pack(f"{order}I", outside_at + len(outside))
        entries += struct.pack(f"{order}HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(f"{order}IH", 8, len(tags)) + entries + struct.pack(f"{order}I", 0)
    return head + outside + data


def grey(*values):
    return [(v, v, v) for v in values]


U16 = np.array([[0, 128, 129, 32768, 65535]], np.uint16)
U16_GREY = grey(0, 0, 1, 128, 255)  # round(v / 257)
RGB16 = np.array([[[0, 129, 65535], [385, 386, 257]]], np.uint16)
RGB16_AS_8 = [(0, 1, 255), (1, 2, 1)]
RGBA16 = np.array([[[65535, 0, 0, 65535], [0, 0, 0, 0], [0, 0, 0, 51 * 257]]], np.uint16)
RGBA16_AS_8 = [RED, WHITE, (204, 204, 204)]


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (saved(mode_image("1", 0, 255), "PNG"), "1", [BLACK, WHITE]),
        (saved(mode_image("1", 0, 255), "TIFF", compression="group4"), "1", [BLACK, WHITE]),
        (saved(mode_image("L", 0, 7, 255), "PNG"), "L", grey(0, 7, 255)),
        (saved(mode_image("LA", (9, 255), (0, 0), (0, 51)), "PNG"), "LA", grey(9, 255, 204)),
        (saved(mode_image("RGBA", (*RED, 255), (*BLUE, 0), (*BLACK, 128)), "PNG"), "RGBA", [RED, WHITE, (127,) * 3]),
        (saved(mode_image("RGBA", (*RED, 255), (*BLUE, 0)), "WEBP", lossless=True), "RGBA", [RED, WHITE]),
        (saved(mode_image("RGBA", (*RED, 255), (*BLUE, 0)), "TIFF"), "RGBA", [RED, WHITE]),
        (saved(palette_image(2, 0, 1), "PNG"), "P", [BLUE, RED, GREEN]),
        (saved(palette_image(2, 0, 1), "TIFF"), "P", [BLUE, RED, GREEN]),
        (saved(palette_image(2, 0, 1), "BMP"), "P", [BLUE, RED, GREEN]),
        (saved(palette_image(2, 0, 1), "GIF"), "P", [BLUE, RED, GREEN]),
        (saved(palette_image(2, 0, 1), "PNG", transparency=1), "P", [BLUE, RED, WHITE]),
        (saved(palette_image(2, 0, 1), "GIF", transparency=1), "P", [BLUE, RED, WHITE]),
        (saved(palette_image(2, 0, 1), "PNG", transparency=b"\0\xff\x33"), "P", [(204, 204, 255), WHITE, GREEN]),
        (saved(mode_image("L", 5, 6), "PNG", transparency=6), "L", grey(5, 255)),
        (saved(mode_image("RGB", RED, GREEN), "PNG", transparency=GREEN), "RGB", [RED, WHITE]),
        (png(np.array([[0b00011011]], np.uint8), b"tRNS\0\1", depth=2, size=(1, 4)), "L", grey(0, 255, 170, 255)),
        (saved(mode_image("CMYK", (0, 255, 255, 0), (0, 0, 0, 0)), "TIFF"), "CMYK", [RED, WHITE]),
        (saved(PIL.Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "JPEG", quality=100), "CMYK", [RED]),
        (saved(PIL.Image.new("YCbCr", (1, 1), (76, 85, 255)), "TIFF"), "YCbCr", [(254, 0, 0)]),
        # 16 bits
        (png(U16), "I;16", U16_GREY),
        (png(U16, b"tRNS\x80\0"), "I;16", [*U16_GREY[:3], WHITE, WHITE]),
        (saved(PIL.Image.fromarray(U16), "TIFF", compression="tiff_lzw"), "I;16", U16_GREY),
        (saved(PIL.Image.fromarray(U16), "TIFF", big_tiff=True), "I;16", U16_GREY),
        (tiff(U16), "I;16", U16_GREY),
        (tiff(U16, ">"), "I;16B", U16_GREY),
        (tiff(U16, ">", deflate=True), "I;16B", U16_GREY),
        (tiff(U16, photometric=0), "I;16", grey(255, 255, 254, 127, 0)),
        (tiff(np.array([[0x00, 0x08, 0x00], [0xFF, 0xF0, 0x10]], np.uint8).reshape(1, 6), bits=12, size=(1, 4)), "I;16",
         grey(0, 128, 255, 1)),
        (png(RGB16), "RGB;16", RGB16_AS_8),
        (png(RGB16, b"tRNS\1\x81\1\x82\1\1"), "RGB;16", [RGB16_AS_8[0], WHITE]),
        (png(np.array([[[129, 65535], [0, 0], [0, 51 * 257]]], np.uint16)), "RGBA;16", grey(1, 255, 204)),
        (png(RGBA16), "RGBA;16", RGBA16_AS_8),
        (tiff(RGB16, photometric=2), "RGB;16", RGB16_AS_8),
        (tiff(RGB16, ">", photometric=2), "RGB;16", RGB16_AS_8),
        (tiff(RGB16, ">", photometric=2, deflate=True), "RGB;16", RGB16_AS_8),
        (tiff(RGBA16, photometric=2, t338=2), "RGBA;16", RGBA16_AS_8),
        (tiff(np.array([[[65535, 0, 0, 9]]], np.uint16), photometric=2, t338=0), "RGB", [RED]),
        # 32 bits and more
        (tiff(np.array([[0, 7, 255]], np.int32)), "I", grey(0, 7, 255)),
        (tiff(np.array([[0, 129, 65535]], np.int32), ">", deflate=True), "I", grey(0, 1, 255)),
        (tiff(np.array([[-100, 0, 100]], np.int16), ">", deflate=True), "I", grey(0, 128, 255)),
        (tiff(np.array([[0, 2**31, 2**32 - 1]], np.uint32)), "I", grey(0, 128, 255)),
        (tiff(np.array([[0, 0.25, 1]], np.float32)), "F", grey(0, 64, 255)),
        (tiff(np.array([[0, 0.25, 1]], np.float32), ">", deflate=True), "F", grey(0, 64, 255)),
        (tiff(np.array([[0, 0.25, 1]], np.float64)), "F", grey(0, 64, 255)),
        (tiff(np.array([[-1, 0, 3]], np.float32)), "F", grey(0, 64, 255)),
        (tiff(np.array([[np.nan, 1, 5, np.inf, -np.inf]], np.float32)), "F", grey(0, 0, 255, 255, 0)),
        (tiff(np.full((1, 2), np.nan, np.float32)), "F", grey(0, 0)),
        (tiff(np.full((1, 2), 7.5, np.float32)), "F", grey(0, 0)),
        (tiff(np.full((1, 2), -5, np.int32)), "I", grey(0, 0)),
        (tiff(np.array([[-1.7e308, 1.7e308]], np.float64)), "F", grey(0, 255)),
        (tiff(np.array([[[0, 0.25, 1]]], np.float32), photometric=2), "RGB;32", [(0, 64, 255)]),
    ],
    ids=lambda x: "file" if isinstance(x, bytes) else None,
)  # fmt: skip
def test_every_mode_becomes_exactly_this_rgb(content, mode, expected):
    image = read_image(content)
    assert image.pixels.tolist() == [[list(color) for color in expected]]
    assert (image.mode, image.source) == (mode, "<bytes>")
    assert image.pixels.flags.writeable  # torch.from_numpy warns of an array that is not


def test_lab():
    # TIFF 6.0, section 23: L* · 255 / 100, a* and b* as signed bytes; these are sRGB's white, black and red.
    lab = np.array([[[255, 0, 0], [0, 0, 0], [138, 81, 70]]], np.uint8)
    image = read_image(tiff(lab, photometric=8))
    assert image.mode == "LAB"
    assert np.abs(image.pixels[0].astype(int) - [WHITE, BLACK, RED]).max() <= 6


@pytest.mark.parametrize(
    ("format_", "options"),
    [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
     ("TIFF", {"big_tiff": True})],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x.jpg", "x", "x.txt"])
def test_lossless_formats_are_exact_whatever_the_name(tmp_path, format_, options, name):
    path = tmp_path / name
    PIL.Image.fromarray(COLORS).save(path, format_, **options)
    image = read_image(path)
    assert np.array_equal(image.pixels, COLORS)
    assert (image.source, image.mode, image.height, image.width) == (str(path), "RGB", 2, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(options):
    flat = PIL.Image.new("RGB", (20, 10), (200, 30, 90))
    image = read_image(saved(flat, "JPEG", quality=95, **options))
    assert image.pixels.shape == (10, 20, 3)
    assert np.abs(image.pixels.astype(int) - (200, 30, 90)).max() <= 3


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_several(format_):
    frames = [PIL.Image.new("RGB", (2, 1), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format_ == "WEBP" else {}
    content = saved(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    assert read_image(content).pixels.tolist() == [[[*RED], [*RED]]]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5000), (5000, 1)])
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_extreme_sizes(height, width, format_):
    image = read_image(saved(PIL.Image.new("RGB", (width, height), RED), format_))
    assert image.pixels.shape == (height, width, 3)
    assert np.abs(image.pixels.astype(int) - RED).max() <= 3


@pytest.mark.parametrize("content", [png, tiff, lambda a: tiff(a, ">")], ids=["png", "tiff", "big-endian tiff"])
def test_a_16_bit_ramp_keeps_its_256_levels_in_order_and_proportion(content):
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    levels = read_image(content(ramp)).pixels[..., 0].ravel().astype(int)
    assert set(levels) == set(range(256))
    assert (np.diff(levels) >= 0).all()
    assert np.abs(levels - ramp.ravel() / 257).max() <= 0.5


def test_dark_16_bit_grey_is_not_stretched():
    assert read_image(png(np.array([[0, 100, 2570]], np.uint16))).pixels[0, :, 0].tolist() == [0, 0, 10]


# The 3 × 2 image A B C / D E F, and what a viewer shows for each orientation (Exif 2.32, tag 274).
UPRIGHT = {1: "ABC DEF", 2: "CBA FED", 3: "FED CBA", 4: "DEF ABC", 5: "AD BE CF", 6: "DA EB FC", 7: "FC EB DA",
           8: "CF BE AD"}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "lzw", "16-bit PNG", "16-bit TIFF", "PIL", "PIL TIFF"])
def test_exif_orientation(orientation, kind):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    im = PIL.Image.fromarray(np.repeat(np.array([[0, 1, 2], [3, 4, 5]], np.uint8)[..., None] * 40, 3, axis=2))
    match kind:
        case "lzw":
            content = saved(im, "TIFF", exif=exif, compression="tiff_lzw")
        case "16-bit PNG":
            content = png(np.asarray(im).astype(np.uint16) * 257, b"eXIf" + exif.tobytes()[6:])
        case "16-bit TIFF":
            content = tiff(np.asarray(im).astype(np.uint16) * 257, photometric=2, t274=orientation)
        case _:
            format_ = {"PIL": "PNG", "PIL TIFF": "TIFF"}.get(kind, kind)
            options = {"lossless": True} if format_ == "WEBP" else {}
            content = saved(im, format_, exif=exif, **options)
    image = as_image(PIL.Image.open(io.BytesIO(content)) if kind.startswith("PIL") else content)
    letters = [["ABCDEF"[v // 40] for v in row] for row in image.pixels[..., 0]]
    assert " ".join("".join(row) for row in letters) == UPRIGHT[orientation]
    assert image.pixels.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_a_jpeg(orientation):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    blocks = np.kron(np.array([[0, 1, 2], [3, 4, 5]], np.uint8) * 40, np.ones((16, 16), np.uint8))
    pixels = read_image(saved(PIL.Image.fromarray(blocks), "JPEG", exif=exif, quality=95)).pixels
    letters = [["ABCDEF"[round(v / 40)] for v in row] for row in pixels[8::16, 8::16, 0]]
    assert " ".join("".join(row) for row in letters) == UPRIGHT[orientation]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_unknown_orientation_turns_nothing(orientation):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    assert np.array_equal(read_image(saved(PIL.Image.fromarray(COLORS), "PNG", exif=exif)).pixels, COLORS)


def test_no_setting_of_the_users_is_changed_and_pils_own_limit_does_not_apply(monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 2)
    filters = list(warnings.filters)
    for format_ in ("PNG", "JPEG", "BMP", "TIFF"):
        assert read_image(saved(PIL.Image.fromarray(COLORS), format_)).height == 2
    assert PIL.Image.MAX_IMAGE_PIXELS == 2
    assert list(warnings.filters) == filters


def test_many_threads_read_at_once_and_leave_the_warning_filters_as_they_were():
    content = saved(palette_image(2, 0, 1), "PNG", transparency=b"\0\xff\x33")
    filters, seen = list(warnings.filters), []
    threads = [
        threading.Thread(target=lambda: seen.extend(read_image(content).pixels[0, 2].tolist() for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[*GREEN]] * 160
    assert list(warnings.filters) == filters


# ---- as_image


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 7]], np.uint8), grey(0, 7)),
        (np.array([[[0], [7]]], np.uint8), grey(0, 7)),
        (np.array([[False, True]]), [BLACK, WHITE]),
        (np.array([[RED, BLUE]], np.uint8), [RED, BLUE]),
        (np.array([[[*RED, 255], [*BLUE, 0]]], np.uint8), [RED, WHITE]),
        (U16, U16_GREY),
        (U16.astype(">u2"), U16_GREY),
        (RGB16, RGB16_AS_8),
        (np.array([[0, 0.25, 1]], np.float16), grey(0, 64, 255)),
        (np.array([[0, 0.25, 1]], np.float32), grey(0, 64, 255)),
        (np.array([[[1, 0, 0, 1], [0, 0, 0, 0.2]]], np.float64), [RED, (204, 204, 204)]),
    ],
)
def test_arrays(array, expected):
    image = as_image(array)
    assert image.pixels.tolist() == [[list(color) for color in expected]]
    assert image.source == "<array>"


def test_an_array_is_copied_and_may_be_strided():
    array = COLORS.copy()
    image = as_image(array[:, ::-1])
    array[:] = 0
    assert np.array_equal(image.pixels, COLORS[:, ::-1])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 4, 4, 3), np.uint8), r"must be \(H, W\).*got \(3, 4, 4, 3\)"),
        (np.zeros((3, 40, 50), np.uint8), r"channels-first: use x.transpose\(1, 2, 0\)"),
        (np.zeros((4, 4, 2), np.uint8), r"got \(4, 4, 2\)"),
        (np.zeros(4, np.uint8), r"got \(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), "not empty"),
        (np.zeros((4, 4), np.int32), "got int32; convert it"),
        (np.array([["a"]]), "got <U1"),
        (np.array([[0, 1.5]]), r"0…1, got 0…1\.5"),
        (np.array([[-0.1, 1]]), r"got -0\.1…1"),
        (np.array([[np.nan, 1]]), "replace NaN"),
        ([[1, 2]], "cannot make an image of list"),
        (None, "cannot make an image of NoneType"),
        (7, "cannot make an image of int"),
    ],
)
def test_what_is_no_image_is_an_input_error(x, message):
    with pytest.raises(InputError, match=message):
        as_image(x)


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "P", "PA", "LA", "La", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16",
     "I;16B"],
)  # fmt: skip
def test_pil_images_of_every_mode(mode):
    image = as_image(PIL.Image.new(mode, (3, 2)))
    assert (image.pixels.shape, image.mode, image.source) == ((2, 3, 3), mode, "<array>")


def test_pil_image_big_endian_16_bit_dark_grey():
    im = PIL.Image.frombytes("I;16B", (2, 1), np.array([[100, 200]], ">u2").tobytes())
    assert as_image(im).pixels[0, :, 0].tolist() == [0, 1]


def test_as_image_of_an_image_a_path_and_bytes(tmp_path):
    path = tmp_path / "x.png"
    PIL.Image.fromarray(COLORS).save(path)
    image = read_image(str(path))
    assert as_image(image) is image
    for x in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), PIL.Image.open(path)):
        assert np.array_equal(as_image(x).pixels, COLORS)
    assert as_image(PIL.Image.open(path)).source == str(path)
    with pytest.raises(ImageError, match="6 pixels, over the limit of 5; raise max_pixels"):
        as_image(path, max_pixels=5)
    with pytest.raises(InputError, match="got list; use as_image"):
        read_image([1])


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4))))
def test_alpha_on_white_is_the_rounded_exact_value(rgba):
    alpha = rgba[..., 3:] / 255
    exact = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(as_image(rgba).pixels - exact).max() <= 0.5 + 1e-9


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))))
def test_array_to_png_and_back(array):
    image = as_image(array)
    content = saved(PIL.Image.fromarray(image.pixels), "PNG")
    assert np.array_equal(read_image(content).pixels, np.broadcast_to(array, (*array.shape[:2], 3)))


# ---- Image


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((2, 3), np.uint8), r"got uint8 \(2, 3\)"),
        (np.zeros((2, 3, 4), np.uint8), r"\(2, 3, 4\)"),
        (np.zeros((2, 3, 3)), "got float64"),
        (np.zeros((0, 3, 3), np.uint8), r"\(0, 3, 3\)"),
        ([[0]], "got list"),
        (np.zeros((3, 2, 3), np.uint8).swapaxes(0, 1), "C-contiguous"),
    ],
)
def test_an_image_checks_its_fields(pixels, message):
    with pytest.raises(InputError, match=message):
        Image(pixels)


def test_an_image_source_and_mode_are_text():
    with pytest.raises(InputError, match="must be text"):
        Image(COLORS, source=Path("x"))  # type: ignore[arg-type]


def test_an_image_is_frozen():
    with pytest.raises(AttributeError):
        Image(COLORS).mode = "L"  # type: ignore[misc]


# ---- image_files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with files in it (image_files does not look inside them)."""
    monkeypatch.chdir(tmp_path)
    for name in ("10.png", "2.JPG", "1.tiff", ".hidden.png", "notes.txt", "sub/3.webp", "sub/deep/4.gif", "[a]*.png",
                 "a\nb.png", "-rf.png", "[bold]<b>.png", "empty/x.txt"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


DIRECT = ["1.tiff", "2.JPG", "10.png", "-rf.png", "[a]*.png", "[bold]<b>.png", "a\nb.png"]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["."], DIRECT),
        (["sub"], ["sub/3.webp"]),
        (["notes.txt"], ["notes.txt"]),
        (["sub", "10.png", "1.tiff"], ["sub/3.webp", "10.png", "1.tiff"]),
        (["10.png", "./10.png", "sub/../10.png", "1*"], ["10.png", "1.tiff"]),
        (["[a]*.png"], ["[a]*.png"]),
        (["[0-9]*"], ["1.tiff", "2.JPG", "10.png"]),
        (["*.txt"], ["notes.txt"]),
        (["s*"], None),
        (["sub/*"], ["sub/3.webp"]),
        (["**/*.gif"], ["sub/deep/4.gif"]),
        (["-rf.png", "a\nb.png", "[bold]<b>.png"], ["-rf.png", "a\nb.png", "[bold]<b>.png"]),
        ("10.png", ["10.png"]),
        ([], []),
    ],
)
def test_files_folders_and_patterns(folder, inputs, expected):
    if expected is None:
        with pytest.raises(InputError, match="matches no file"):
            image_files(inputs)
    else:
        assert [str(p) for p in image_files(inputs)] == expected


def test_absolute_patterns(folder):
    assert image_files([f"{folder}/sub/*.webp", folder / "sub"]) == [folder / "sub/3.webp"]


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("empty", "'empty': no images in this folder"),
        ("*.bmp", r"'\*\.bmp': this pattern matches no file"),
        ("none.png", "'none.png': no such file or folder"),
        ("", "'': no such file"),
        ("a\n[x].png", r"'a\\n\[x\]\.png': this pattern"),
    ],
)
def test_an_input_that_gives_nothing_is_named(folder, given_, message):
    with pytest.raises(InputError, match=message):
        image_files(["10.png", given_])


# ---- the import


def test_importing_the_core_is_quick_and_brings_no_torch():
    # Processor time, because on a busy machine the clock measures the others.
    code = (
        "import sys, time; start = time.process_time(); import segscape; took = time.process_time() - start; "
        "segscape.Image; "
        "print(took, *(m for m in ('torch', 'cv2', 'PIL') if m in sys.modules))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(3)
    ]
    assert [run[1:] for run in runs] == [[]] * 3
    assert min(float(run[0]) for run in runs) < 0.3
