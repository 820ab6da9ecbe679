import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage

from segscape.errors import ConfigError, ImageError, InputError, ResourceError
from segscape.predict import files as module
from segscape.predict import pipeline
from segscape.predict.files import predict_files, unique_stems
from segscape.result_files import safe_stem

KINDS = {"overlay": ".overlay.jpg", "labels": ".labels.png", "json": ".json"}


def run(predictor, files, out, **options: Any) -> list[module.Outcome]:
    return list(predict_files(predictor, files, out, **options))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_input_is_overwritten_by_a_result(tiny_predictor, make_photo, tmp_path):
    files = [make_photo("a.png"), make_photo("a.labels.png", seed=1)]
    before = files[1].read_bytes()
    with pytest.raises(ConfigError, match=r"a\.labels\.png' is an input"):
        run(tiny_predictor, files, files[0].parent)
    assert files[1].read_bytes() == before
    assert len(run(tiny_predictor, files, tmp_path / "elsewhere")) == 2
    assert len(run(tiny_predictor, files[:1], files[0].parent / ".")) == 1


def test_each_file_gets_its_results(tiny_predictor, make_photo, tmp_path):
    files = [make_photo(f"{i}.png", width=20 + i, seed=i) for i in range(5)]
    out = tmp_path / "new" / "out"
    outcomes = run(tiny_predictor, files, out)
    assert [outcome.source for outcome in outcomes] == files
    for i, outcome in enumerate(outcomes):
        assert outcome.error is None
        assert outcome.written == {kind: out / f"{i}{suffix}" for kind, suffix in KINDS.items()}
        expected = tiny_predictor.predict(files[i])
        np.testing.assert_array_equal(np.asarray(PilImage.open(outcome.written["labels"])), expected.label_map)
        document = json.loads(outcome.written["json"].read_text("utf-8"))
        assert document["source"] == str(files[i])
        assert document["size"] == {"height": 24, "width": 20 + i}
    assert listing(out) == sorted(f"{i}{suffix}" for i in range(5) for suffix in KINDS.values())


def test_nothing_is_written_without_a_folder(tiny_predictor, make_photo, tmp_path):
    (outcome,) = run(tiny_predictor, [make_photo("a.png")], None)
    assert outcome.written is None
    assert outcome.segmentation.size == (24, 32)
    assert listing(tmp_path) == ["a.png"]


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("bad", [0, 3, 6])
def test_one_bad_file_is_reported_in_its_place_and_stops_nothing(tiny_predictor, make_photo, tmp_path, bad, write):
    files = [make_photo(f"{i}.png", seed=i) for i in range(7)]
    files[bad].write_bytes(files[bad].read_bytes()[:60])
    outcomes = run(tiny_predictor, files, tmp_path / "out" if write else None)
    assert [outcome.source for outcome in outcomes] == files
    assert [i for i, outcome in enumerate(outcomes) if outcome.error] == [bad]
    assert isinstance(outcomes[bad].error, ImageError)
    assert f"{bad}.png" in str(outcomes[bad].error)
    assert outcomes[bad].segmentation is outcomes[bad].written is None
    if write:
        assert len(listing(tmp_path / "out")) == 6 * 3


@pytest.mark.parametrize("error", [ResourceError("out of memory"), InputError("odd")])
def test_what_fails_in_the_network_is_an_outcome_too(tiny_predictor, make_photo, monkeypatch, error):
    files = [make_photo("a.png"), make_photo("b.png", width=33), make_photo("c.png")]
    original = type(tiny_predictor).predict

    def predict(self, image, **options):
        if image.width == 33:
            raise error
        return original(self, image, **options)

    monkeypatch.setattr(type(tiny_predictor), "predict", predict)
    assert [outcome.error for outcome in run(tiny_predictor, files, None)] == [None, error, None]


@pytest.mark.parametrize("options", [{"tta": ("turn",)}, {"long_side": "huge"}])
def test_a_wrong_option_is_said_once_and_not_for_each_file(tiny_predictor, make_photo, options):
    with pytest.raises(ConfigError):
        run(tiny_predictor, [make_photo("a.png"), make_photo("b.png")], None, **options)


def test_options_reach_the_predictor(tiny_predictor, make_photo):
    (outcome,) = run(tiny_predictor, [make_photo("a.png")], None, confidence=True, long_side=64)
    assert outcome.segmentation.confidence is not None
    (outcome,) = run(tiny_predictor, [make_photo("a.png")], None, max_pixels=5)
    assert isinstance(outcome.error, ImageError)


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg"], ["a"]),
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png", "a.webp"], ["a", "a-2", "a-3"]),
        (["x/a.jpg", "y/a.jpg"], ["a", "a-2"]),
        (["a.jpg", "a.png", "a-2.jpg"], ["a", "a-3", "a-2"]),
        (["a-2.jpg", "a.jpg", "a.png"], ["a-2", "a", "a-3"]),
        (["a-2.jpg", "a-2.png", "a.jpg", "a.png"], ["a-2", "a-2-2", "a", "a-3"]),
        (["A.jpg", "a.png"], ["A", "a-2"]),
        (["straße.jpg", "STRASSE.png"], ["straße", "STRASSE-2"]),
        (["caf\u00e9.jpg", "cafe\u0301.jpg"], ["caf\u00e9", "cafe\u0301-2"]),
        (["a.b.jpg", "a.c.jpg"], ["a.b", "a.c"]),
        (["a\\b.jpg", "a_b.jpg"], ["a\\b", "a_b-2"]),
        (["..jpg", "image.jpg"], [".", "image-2"]),
        ([".hidden", ".hidden.png"], [".hidden", ".hidden-2"]),
    ],
)
def test_unique_stems(names, stems):
    assert unique_stems([Path(name) for name in names]) == stems


@given(
    st.lists(
        st.sampled_from("aAbé") | st.sampled_from(["a-2", "A-2", "a-2-2", "a-3", "x" * 205 + "1", "x" * 205]),
        max_size=12,
    )
)
def test_no_two_results_share_a_file(names):
    stems = unique_stems([Path(f"{name}.jpg") for name in names])
    written = [safe_stem(stem).casefold() for stem in stems]
    assert len(set(written)) == len(written)


def test_many_files_of_one_stem_do_not_take_long():
    assert unique_stems([Path("a.jpg")] * 20_000)[-1] == "a-20000"


def test_json_of_others_is_not_overwritten(tiny_predictor, make_photo, tmp_path):
    (tmp_path / "a.json").write_text('{"shapes": [], "imagePath": "a.png"}')  # LabelMe's
    with pytest.raises(ConfigError, match=r"a\.json' was not written by Segscape"):
        run(tiny_predictor, [make_photo("a.png")], tmp_path)
    (tmp_path / "a.json").unlink()
    for _ in range(2):  # its own it may write again
        assert all(outcome.error is None for outcome in run(tiny_predictor, [tmp_path / "a.png"], tmp_path))


def test_files_of_one_stem_do_not_overwrite_each_other(tiny_predictor, make_photo, tmp_path):
    files = [make_photo("x/a.png", width=20), make_photo("x/a.bmp", width=21), make_photo("y/A.png", width=22)]
    outcomes = run(tiny_predictor, files, tmp_path / "out")
    widths = [json.loads(o.written["json"].read_text("utf-8"))["size"]["width"] for o in outcomes]
    assert widths == [20, 21, 22]
    assert len(listing(tmp_path / "out")) == 9


@pytest.mark.parametrize("name", ["new\nline.png", "-dash.png", "<b>x&y.png", "空 天.png", "a'b\"c.png", "%s{0}.png"])
def test_odd_names(tiny_predictor, make_photo, tmp_path, name):
    (outcome,) = run(tiny_predictor, [make_photo(name)], tmp_path / "out")
    stem = name.removesuffix(".png")
    assert {path.name for path in outcome.written.values()} == {stem + suffix for suffix in KINDS.values()}
    assert json.loads(outcome.written["json"].read_text("utf-8"))["source"].endswith(name)


def test_a_name_that_is_no_text(tiny_predictor, make_photo, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png"))
    path.write_bytes(make_photo("a.png").read_bytes())
    (outcome,) = run(tiny_predictor, [path], tmp_path / "out")
    assert json.loads(outcome.written["json"].read_bytes())["source"] == str(path)


def test_where_a_photo_was_taken_reaches_no_output(tiny_predictor, tmp_path):
    secret = b"SECRET-PLACE"
    exif = PilImage.Exif()
    exif[0x010E] = secret.decode()  # ImageDescription
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.5), 3: "E", 4: (2.0, 17.0, 40.2), 29: secret.decode()})
    photo = tmp_path / "a.jpg"
    picture = PilImage.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    picture.save(photo, exif=exif, comment=secret, icc_profile=secret)
    assert photo.read_bytes().count(secret) >= 3
    assert PilImage.open(io.BytesIO(photo.read_bytes())).getexif().get_ifd(0x8825)
    (outcome,) = run(tiny_predictor, [photo], tmp_path / "out")
    for path in outcome.written.values():
        content = path.read_bytes()
        for trace in (secret, b"Exif", b"GPS", b"ICC_PROFILE", b"iCCP", b"eXIf"):
            assert trace not in content
        if path.suffix != ".json":
            opened = PilImage.open(io.BytesIO(content))
            assert not opened.getexif()
            assert {"comment", "icc_profile", "exif"}.isdisjoint(opened.info)


def test_a_place_that_cannot_be_written_to_ends_it(tiny_predictor, make_photo, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written here"):
        run(tiny_predictor, [make_photo("a.png"), make_photo("b.png")], tmp_path / "file")


def test_a_full_disk_ends_it(tiny_predictor, make_photo, tmp_path, monkeypatch):
    files = [make_photo(f"{i}.png") for i in range(8)]

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="no space left"):
        run(tiny_predictor, files, tmp_path / "out")
    assert listing(tmp_path / "out") == []


def test_stopping_early_leaves_no_thread_behind(tiny_predictor, make_photo, tmp_path):
    import threading

    before = threading.active_count()
    outcomes = predict_files(tiny_predictor, [make_photo(f"{i}.png") for i in range(9)], tmp_path / "out")
    next(outcomes)
    outcomes.close()
    assert threading.active_count() == before
    assert not [name for name in listing(tmp_path / "out") if name.startswith(".")]


@pytest.mark.parametrize("workers", [1, 3])
def test_memory_is_bounded_however_many_files_there_are(tiny_predictor, make_photo, tmp_path, monkeypatch, workers):
    decoded, done = [], []
    original = pipeline.as_image

    def as_image(source, **options):
        if isinstance(source, Path):
            decoded.append(source)
            assert len(decoded) - len(done) <= 2 * (module._AHEAD + workers) + 1
        return original(source, **options)

    monkeypatch.setattr(pipeline, "as_image", as_image)
    files = [make_photo(f"{i}.png") for i in range(20)]
    for outcome in predict_files(tiny_predictor, files, tmp_path / "out", workers=workers):
        assert outcome.error is None
        done.append(outcome)
    assert [outcome.source for outcome in done] == files


def test_without_a_folder_files_may_be_decoded_smaller(tiny_predictor, tmp_path):
    PilImage.fromarray(np.zeros((64, 96, 3), np.uint8)).save(path := tmp_path / "a.jpg")
    (outcome,) = run(tiny_predictor, [path], None, long_side=16, keep_image=False)
    assert outcome.segmentation.size == (64, 96)
    assert outcome.segmentation.image is None
