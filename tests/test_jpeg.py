"""The direct route for JPEGs gives what Pillow gives, and leaves to Pillow what is unusual."""

import io
import random

import numpy as np
import PIL.Image
import pytest

from segscape import decode
from segscape.errors import ImageError
from segscape.image import as_image, read_image
from segscape.jpeg import read_header


def photo(height, width, mode="RGB"):
    rng = np.random.default_rng(0)
    small = PIL.Image.fromarray(rng.integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), np.uint8))
    return small.resize((width, height), PIL.Image.Resampling.BICUBIC).convert(mode)


def jpeg(im, **options):
    stream = io.BytesIO()
    im.save(stream, "JPEG", **{"quality": 90, **options})
    return stream.getvalue()


def turned(orientation, **options):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    return jpeg(photo(75, 130), exif=exif, **options)


def by_pillow(content):
    """What the route without libjpeg-turbo makes of it: pixels and mode, or the error's text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "read_header", lambda data: None)
        return outcome(content)


def outcome(content):
    try:
        image = read_image(content)
    except ImageError as error:
        return str(error)
    return image.pixels.tobytes(), image.pixels.shape, image.mode


USUAL = {
    "4:4:4": jpeg(photo(75, 130), subsampling=0),
    "4:2:2": jpeg(photo(75, 130), subsampling=1),
    "4:2:0": jpeg(photo(75, 130), subsampling=2),
    "progressive": jpeg(photo(75, 130), progressive=True),
    "grey": jpeg(photo(75, 130, "L")),
    "grey progressive": jpeg(photo(75, 130, "L"), progressive=True),
    "RGB kept": jpeg(photo(75, 130), keep_rgb=True),
    "restarts": jpeg(photo(75, 130), restart_marker_blocks=3),
    "comment and profile": jpeg(photo(75, 130), comment=b"x" * 500, icc_profile=b"y" * 70_000),
    "one pixel": jpeg(photo(1, 1)),
    "trailing bytes": jpeg(photo(20, 20)) + b"more",
    **{f"turned {i}": turned(i) for i in range(10)},
}
UNUSUAL = {
    "CMYK": jpeg(photo(75, 130, "CMYK")),
    "no end": jpeg(photo(75, 130))[:-2],
    "half": jpeg(photo(75, 130))[:2000],
    "no table": jpeg(photo(75, 130)).replace(b"\xff\xc4", b"\xff\xf0"),
    "12 bits": jpeg(photo(75, 130)).replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
    "two components": jpeg(photo(75, 130)).replace(b"\0\x4b\0\x82\x03", b"\0\x4b\0\x82\x02"),
    "no height": jpeg(photo(75, 130)).replace(b"\0\x4b\0\x82", b"\0\0\0\x82"),
    "no header": b"\xff\xd8\xff",
    "short JFIF": b"\xff\xd8\xff\xe0\0\x07JFIF\0" + jpeg(photo(75, 130))[20:],
    "short Adobe": b"\xff\xd8\xff\xee\0\x07Adobe" + jpeg(photo(75, 130))[20:],
}


@pytest.mark.parametrize("content", [*USUAL.values(), *UNUSUAL.values()], ids=[*USUAL, *UNUSUAL])
def test_both_routes_give_the_same(content):
    assert outcome(content) == by_pillow(content)


@pytest.mark.parametrize("content", USUAL.values(), ids=USUAL)
def test_usual_ones_do_not_need_pillows_decoder(monkeypatch, content):
    def none(*arguments):
        raise AssertionError("decoded by Pillow")

    monkeypatch.setattr(decode, "_decode", none)
    read_image(content)


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_treated_alike(seed):
    rng = random.Random(seed)
    content = bytearray(rng.choice([*USUAL.values()]))
    for _ in range(rng.choice([1, 1, 3, 20])):
        content[rng.randrange(3, len(content) if rng.random() < 0.5 else min(700, len(content)))] = rng.randrange(256)
    if rng.random() < 0.3:
        del content[rng.randrange(len(content)) :]
    assert outcome(bytes(content)) == by_pillow(bytes(content))


@pytest.mark.parametrize(
    ("at_least", "expected"),
    [
        (None, (75, 130)),
        ((75, 130), (75, 130)),
        ((1000, 1000), (75, 130)),
        ((39, 1), (75, 130)),
        ((38, 65), (38, 65)),
        ((38, 66), (75, 130)),
        ((20, 33), (38, 65)),
        ((19, 33), (19, 33)),
        ((10, 17), (10, 17)),
        ((1, 1), (10, 17)),
        (lambda size: (size[0] // 4, size[1] // 4), (19, 33)),
    ],
)
@pytest.mark.parametrize("turn", [1, 3, 6])
def test_no_more_is_decoded_than_needed_and_never_less(at_least, expected, turn):
    """Sizes are those of a 75 × 130 image as stored, turned where the image is."""

    def upright(size):
        return size[::-1] if turn == 6 else size

    wanted = at_least if at_least is None or callable(at_least) else upright(at_least)
    image = as_image(turned(turn), at_least=wanted)
    assert image.pixels.shape[:2] == upright(expected)
    assert image.full_size == upright((75, 130))
    assert image.reduced_from == (None if expected == (75, 130) else upright((75, 130)))
    assert image.pixels.flags.c_contiguous
    if turn == 1:  # each pixel stands for a square of k × k
        k = round(75 / expected[0])
        whole = np.pad(read_image(turned(1)).pixels, ((0, -75 % k), (0, -130 % k), (0, 0)), mode="edge")
        means = whole.reshape(expected[0], k, expected[1], k, 3).mean((1, 3))
        assert np.abs(image.pixels - means).mean() < 3


def test_other_formats_are_decoded_whole():
    stream = io.BytesIO()
    photo(30, 40).save(stream, "PNG")
    image = read_image(stream.getvalue(), at_least=(3, 4))
    assert (image.pixels.shape, image.reduced_from, image.full_size) == ((30, 40, 3), None, (30, 40))


def test_limits_hold_before_decoding(monkeypatch):
    with pytest.raises(ImageError, match="9,750 pixels, over the limit of 9,000"):
        read_image(USUAL["4:2:0"], max_pixels=9000, at_least=(1, 1))
    monkeypatch.setattr(decode, "_BYTES_PER_PIXEL", -(2**24))
    monkeypatch.setattr(decode, "read_header", lambda data: pytest.fail("a file too long for its pixels was read"))
    assert read_image(USUAL["4:2:0"], max_pixels=10_000).mode == "RGB"


def test_a_header_says_size_and_mode():
    assert [(h.size, h.mode, h.has_app1) for h in map(read_header, (USUAL["grey"], USUAL["turned 6"])) if h] == [
        ((75, 130), "L", False),
        ((75, 130), "RGB", True),
    ]
    for name in ("CMYK", "12 bits", "two components", "no height", "no header", "short JFIF", "short Adobe"):
        assert read_header(UNUSUAL[name]) is None, name
