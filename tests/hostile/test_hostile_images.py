"""Bad image files: always an `ImageError` that names the file and says what to do, never a crash, a hang or a bomb."""

import io
import os
import random
import re
import resource
import struct
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segscape.errors import ImageError
from segscape.image import as_image, image_files, read_image

NOISE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may slow us


def saved(format_, im=NOISE, **options):
    stream = io.BytesIO()
    im.save(stream, format_, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width, height):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def tiff_bomb(width, height, **extra):
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 273: 8, 277: 1, 278: height, 279: 10}
    tags |= {int(k[1:]): v for k, v in extra.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0)


def patched(content, at, *numbers, layout):
    packed = struct.pack(layout, *numbers)
    return content[:at] + packed + content[at + len(packed) :]


def webp_bomb():
    canvas = b"VP8X" + struct.pack("<II", 10, 0) + struct.pack("<I", 59999)[:3] * 2
    body = b"WEBP" + canvas + saved("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


JPEG = saved("JPEG")
BOMBS = {
    "png": png_bomb(60000, 60000),
    "jpeg": patched(JPEG, JPEG.index(b"\xff\xc0") + 5, 60000, 60000, layout=">HH"),
    "gif": patched(saved("GIF"), 6, 60000, 60000, layout="<HH"),
    "bmp": patched(saved("BMP"), 18, 60000, 60000, layout="<ii"),
    "tiff": tiff_bomb(60000, 60000),
    "16-bit tiff": tiff_bomb(60000, 60000, t258=16),
    "tiff tile": tiff_bomb(60, 60, t322=60000, t323=60000),
    "webp": webp_bomb(),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_header_that_declares_60000_by_60000_is_refused_before_anything_is_allocated(tmp_path, kind):
    path = tmp_path / "bomb.png"
    path.write_bytes(BOMBS[kind])
    start, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ImageError, match=r"bomb.png': declares 60000 × 60000 = 3,600,000,000 pixels") as caught:
            read_image(path)
    assert "over the limit of 250,000,000; raise max_pixels" in str(caught.value)
    assert not seen
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 100_000  # KiB


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_the_limit_is_the_callers(format_):
    content = saved(format_)
    assert read_image(content, max_pixels=2400).pixels.shape == (40, 60, 3)
    with pytest.raises(ImageError, match=r"<bytes>': declares 60 × 40 = 2,400 pixels, over the limit of 2,399"):
        read_image(content, max_pixels=2399)


@pytest.mark.parametrize("options", [{}, {"lossless": True}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_limit_reads_every_kind_of_webp_header(mode, options):
    with pytest.raises(ImageError, match="declares 60 × 40"):
        read_image(saved("WEBP", NOISE.convert(mode), **options), max_pixels=9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is empty \(0 bytes\); copy or download it again"),
        (b"Dear reader,\nthis is no image.\n", "is text, whatever its name; JPEG, PNG, WebP, TIFF"),
        ("\ufeffΓειά σου Κόσμε".encode(), "is text"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"<?xml version='1.0'?><svg></svg>", "is an SVG drawing"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"\0\0\0\x1cftypheic\0\0\0\0", "is a HEIC image"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "is an AVIF image"),
        (b"\x93NUMPY\x01\0", "is a NumPy file"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "is no image format we know"),
        (bytes(range(64)), "is no image format we know"),
        (saved("PPM"), "is no image format we know"),
        (saved("ICO"), "is an icon"),
        (saved("PNG")[:8], "this PNG file is damaged, truncated"),
        (b"\xff\xd8\xff", "this JPEG file is damaged, truncated"),
        (b"BM", "this BMP file is damaged"),
        (b"GIF89a", "this GIF file is damaged"),
        (b"II*\0", "this TIFF file is damaged"),
        (b"RIFF\0\0\0\0WEBP", "this WebP file is damaged"),
    ],
    ids=lambda x: "file" if isinstance(x, bytes) else None,
)
def test_what_is_no_image_is_named_for_what_it_is(tmp_path, content, message):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"photo\.png': {message}"):
        read_image(path)


DEEP = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 65536, (40, 60), np.uint16))


@pytest.mark.parametrize(
    ("format_", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("PNG", {"im": DEEP}), ("WEBP", {}),
     ("WEBP", {"lossless": True}), ("BMP", {}), ("GIF", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
     ("TIFF", {"compression": "jpeg"}), ("TIFF", {"im": DEEP}), ("TIFF", {"im": DEEP, "compression": "tiff_deflate"})],
)  # fmt: skip
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.97])
def test_a_file_that_is_cut_short_is_an_error_that_names_it(tmp_path, format_, options, kept):
    content = saved(format_, **options)
    path = tmp_path / "cut.jpg"
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ImageError, match=rf"(?i)cut\.jpg': this {format_} file is damaged, truncated"):
        read_image(path)
    with pytest.raises(ImageError):
        as_image(path.read_bytes())


def test_a_cut_16_bit_tiff_is_found_before_the_decoder_can_grumble(capfd):
    with pytest.raises(ImageError, match="image file is truncated"):
        read_image(saved("TIFF", DEEP)[:-9])
    assert capfd.readouterr().err == ""


def test_a_deep_tiff_with_separate_planes_is_refused_not_misread():
    assert np.array_equal(read_image(tiff_planes(bits=8)).pixels, [[[1, 2, 3]]])
    with pytest.raises(ImageError, match="separate colour planes of 16 bits; save it interleaved"):
        read_image(tiff_planes(bits=16))


def tiff_planes(bits):
    """One pixel, (1, 2, 3) in three planes."""
    tags = {256: (1, 1), 257: (1, 1), 258: (1, bits), 259: (1, 1), 262: (1, 2), 277: (1, 3), 278: (1, 1), 284: (1, 2)}
    at = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags |= {273: (3, at), 279: (3, at + 12)}
    entries = b"".join(struct.pack("<HHII", tag, 4, *value) for tag, value in sorted(tags.items()))
    size = bits // 8
    data_at = at + 24
    tables = struct.pack("<6I", *(data_at + size * i for i in range(3)), size, size, size)
    data = np.array([1, 2, 3], f"<u{size}").tobytes()
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + tables + data


def test_a_truncated_pil_image_is_an_image_error():
    with pytest.raises(ImageError, match="this PIL image is damaged, truncated"):
        as_image(PIL.Image.open(io.BytesIO(JPEG[: len(JPEG) * 6 // 10])))


def test_folders_missing_files_and_the_like_say_what_they_are(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, message in {
        "": "is a folder, not an image; name a file in it",
        "none.png": "no such file; check the path",
        "file/x.png": "cannot be opened",
        "pipe": "is a pipe or device, not a file",
        "loop": "cannot be opened",
        "x" * 300: "cannot be opened",
        "nul\0.png": r"cannot be opened \(embedded null byte\)",
    }.items():
        with pytest.raises(ImageError, match=message) as caught:
            read_image(f"{tmp_path}/{name}")
        assert repr(f"{tmp_path}/{name}") in str(caught.value)


def test_a_file_without_rights(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(saved("PNG"))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises(ImageError, match=r"secret.png': no permission to read it; check the rights"):
        read_image(path)


@pytest.mark.parametrize(
    "name", ["a\nb.png", "-rf.png", "[bold]x.png", "<b>&amp;.png", "日本 .png", "*?.png", "'\".png"]
)
def test_odd_file_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(saved("PNG"))
    [path] = image_files([name])
    assert read_image(path).source == name
    Path(name).write_bytes(b"")
    with pytest.raises(ImageError, match=re.escape(f"{name!r}: is empty")) as caught:
        read_image(name)
    assert "\n" not in str(caught.value)


def test_a_file_name_that_is_not_utf_8(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(saved("PNG"))
    [found] = image_files([tmp_path])
    assert read_image(found).height == 40
    with pytest.raises(ImageError, match=r"\\udcff.png'") as caught:
        read_image(found, max_pixels=1)
    str(caught.value).encode()


def exif_block(orientation):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    exif[282], exif[306] = 72.0, "2020:01:01 00:00:00"
    exif.get_ifd(0x8769)[33434] = 0.5
    return exif.tobytes()


@unhurried
@given(st.data())
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_never_prevents_reading(format_, data):
    block = bytearray(exif_block(6))
    for at in data.draw(st.lists(st.integers(0, len(block) - 1), max_size=8)):
        block[at] = data.draw(st.integers(0, 255))
    # The header is written by PIL, which refuses to write another.
    block = bytes(block[: data.draw(st.integers(10, len(block)))])
    block = block if format_ == "JPEG" else b"Exif\0\0" + block[6:]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        image = read_image(saved(format_, exif=block))
    assert sorted(image.pixels.shape) == [3, 40, 60]
    assert not seen


@pytest.mark.parametrize("tag", [34665, 34853, 700, 33723, 282])
@pytest.mark.parametrize("value", [0, 7, 90, 2**31])
@pytest.mark.parametrize("orientation", [1, 6])
def test_broken_metadata_in_a_tiff_never_prevents_reading(tag, value, orientation):
    tags = {256: 3, 257: 2, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: 2, 279: 6, 274: orientation, tag: value}
    tags[273] = 14 + 12 * len(tags)
    entries = b"".join(struct.pack("<HHII", key, 4, 1, number) for key, number in sorted(tags.items()))
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + bytes(range(6))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        pixels = read_image(content).pixels[..., 0]
    assert pixels.tolist() == ([[0, 1, 2], [3, 4, 5]] if orientation == 1 else [[3, 0], [4, 1], [5, 2]])
    assert not seen


@pytest.mark.parametrize("transparency", [b"\0\x80\xff", 3])
def test_no_warning_of_pils_escapes(transparency):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        read_image(saved("PNG", NOISE.convert("P"), transparency=transparency))
    assert not seen


MAGIC = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08",
         b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0", b"BM", b"GIF89a"]  # fmt: skip


@settings(unhurried, max_examples=300)
@given(st.sampled_from(MAGIC), st.binary(max_size=300))
def test_random_bytes_after_a_valid_magic_raise_nothing_but_image_errors(magic, rest):
    with pytest.raises(ImageError):
        read_image(magic + rest, max_pixels=10_000)


VALID = [saved("JPEG"), saved("JPEG", progressive=True), saved("JPEG", NOISE.convert("CMYK")), saved("PNG"),
         saved("PNG", DEEP), saved("PNG", NOISE.convert("P"), transparency=3), saved("WEBP"),
         saved("WEBP", NOISE.convert("RGBA"), lossless=True), saved("TIFF"), saved("TIFF", compression="tiff_lzw"),
         saved("TIFF", DEEP), saved("TIFF", NOISE.convert("1"), compression="group4"), saved("BMP"),
         saved("GIF")]  # fmt: skip


def damage(content, seed):
    """A few bytes changed, half of the time in the head, and perhaps a piece cut out."""
    dice, content = random.Random(seed), bytearray(content)
    for _ in range(dice.randint(1, 12)):
        content[dice.randrange(min(len(content), 150) if dice.random() < 0.5 else len(content))] = dice.randrange(256)
    if dice.random() < 0.3:
        at = dice.randrange(len(content))
        del content[at : at + dice.randint(1, 100)]
    return bytes(content)


@settings(unhurried, max_examples=400)
@given(st.sampled_from(VALID), st.integers(0, 2**32))
def test_damaged_files_give_an_image_or_an_image_error(content, seed):
    try:
        image = read_image(damage(content, seed), max_pixels=100_000)
    except ImageError:
        return
    assert image.pixels.size <= 300_000


def test_a_large_file_that_fits_the_limit_on_paper_is_an_error_too():
    with pytest.raises(ImageError, match="damaged, truncated"):
        read_image(png_bomb(2000, 2000))


def test_too_little_memory_is_an_image_error(tmp_path):
    path = tmp_path / "vast.png"
    path.write_bytes(png_bomb(30000, 30000))
    # In a process of its own, which may have 2 GiB; the pixels would need 3.6.
    code = (
        "import resource, sys\n"
        "from segscape.image import read_image\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "try: read_image(sys.argv[1], max_pixels=10**9)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"ImageError {str(path)!r}: not enough memory to decode this PNG file")
