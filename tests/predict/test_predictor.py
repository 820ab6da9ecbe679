import gc
import io
import threading
import weakref
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

import segscape
from segscape.errors import ConfigError, ImageError, ModelError, ResourceError
from segscape.image import Image, read_image
from segscape.models.bundle import read_card
from segscape.predict import locate, pipeline, predictor
from segscape.predict.locate import bundled_models, find_model
from segscape.predict.predictor import Predictor, load
from segscape.preprocess import Preprocess
from segscape.refine import crf
from segscape.refine.crf import CrfParameters
from segscape.runtime.inference import Scores, classify, probabilities, run_network


class Recorder:
    """An engine that remembers what it saw; class 2 everywhere."""

    name, stride, concurrency = "recorder", 1, 1

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        self.seen.append(batch.shape[2:])
        logits = np.zeros((1, 3, *batch.shape[2:]), np.float32)
        logits[:, 2] = 1
        return logits


@pytest.fixture
def recorder(tiny_bundle) -> Predictor:
    return Predictor(Recorder(), read_card(tiny_bundle))


def assert_same(a: segscape.Segmentation, b: segscape.Segmentation) -> None:
    np.testing.assert_array_equal(a.label_map, b.label_map)
    assert [(r.label, r.box, r.area_px, r.score) for r in a.regions] == [
        (r.label, r.box, r.area_px, r.score) for r in b.regions
    ]


def test_a_model_is_found_by_path_by_run_folder_and_by_name(tiny_bundle, tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    (run / "best.safetensors").write_bytes(tiny_bundle.read_bytes())
    assert find_model(tiny_bundle) == find_model(str(tiny_bundle)) == tiny_bundle
    assert find_model(run) == run / "best.safetensors"
    monkeypatch.setattr(locate, "_WEIGHTS", tiny_bundle.parent)
    assert bundled_models() == {"tiny": tiny_bundle}
    assert find_model("tiny") == tiny_bundle
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()  # a folder that happens to have a model's name does not hide it
    assert find_model("tiny") == tiny_bundle
    for name in ("tiny", run, str(tiny_bundle)):
        assert load(name, device="cpu").card.id == read_card(tiny_bundle).id


@pytest.mark.parametrize("name", ["treet", "no/such/file.safetensors", "x" * 400, "a\0b"])
def test_an_unknown_model_names_those_there_are(monkeypatch, tiny_bundle, name):
    monkeypatch.setattr(locate, "_WEIGHTS", tiny_bundle.parent)
    with pytest.raises(ModelError, match=r"no model .*(bundled models \(tiny\)|cannot be looked at)"):
        load(name)


def test_without_bundled_models_it_says_none(monkeypatch, tmp_path):
    monkeypatch.setattr(locate, "_WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match=r"bundled models \(none\)"):
        find_model("street")


def test_a_run_folder_without_a_best_model(tmp_path):
    with pytest.raises(ModelError, match="is a folder"):
        load(tmp_path)


def test_an_unknown_device(tiny_bundle):
    with pytest.raises(ConfigError, match="'tpu' cannot be used here"):
        load(tiny_bundle, device="tpu")


def test_the_public_way_in(tiny_bundle, make_photo):
    result = segscape.load(tiny_bundle, device="cpu").predict(make_photo("a.png"))
    assert isinstance(result, segscape.Segmentation)
    assert segscape.load is load


def test_every_kind_of_input_gives_the_same_result(tiny_predictor, make_photo):
    path = make_photo("a.png")
    expected = tiny_predictor.predict(path)
    assert len(set(np.unique(expected.label_map))) > 1
    pil = PilImage.open(path)
    for source in (str(path), path.read_bytes(), pil, np.asarray(pil), read_image(path)):
        assert_same(tiny_predictor.predict(source), expected)


def test_what_a_segmentation_says(tiny_predictor, make_photo, tiny_labels):
    path = make_photo("a.png", height=21, width=35)
    result = tiny_predictor.predict(path)
    assert result.size == (21, 35)
    assert result.label_set == tiny_labels
    assert result.label_map.dtype == np.uint8
    assert result.model == tiny_predictor.card.id
    assert result.model.startswith("tiny@")
    assert list(result.timings_ms) == ["decode", "network", "upsample", "regions"]
    assert all(ms >= 0 for ms in result.timings_ms.values())
    assert sum(region.area_px for region in result.regions) == 21 * 35
    assert sum(result.class_areas().values()) == 21 * 35
    assert result.image is not None
    assert result.image.source == str(path)
    assert result.plot().shape[1] >= 35


def test_confidence_and_image_only_if_asked_for(tiny_predictor):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8)
    plain = tiny_predictor.predict(pixels)
    assert plain.confidence is None
    assert plain.image is not None
    full = tiny_predictor.predict(pixels, confidence=True, keep_image=False)
    assert full.image is None
    assert full.confidence.dtype == np.float32
    assert full.confidence.min() >= 1 / 3 - 1e-6
    assert full.confidence.max() <= 1
    assert_same(plain, full)
    for region in full.regions:  # a region's score is the mean confidence over its pixels
        x0, y0, x1, y1 = region.box
        mask = region.mask.to_dense()
        assert region.score == pytest.approx(full.confidence[y0:y1, x0:x1][mask].mean(), abs=1e-5)


def test_scores_of_pieces_in_a_large_photo_are_near_the_mean_confidence(tiny_predictor):
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC)
    for long_side, same in ((160, False), (320, False), (321, True), (640, True)):
        quick = tiny_predictor.predict(pixels, long_side=long_side)
        exact = tiny_predictor.predict(pixels, long_side=long_side, confidence=True)
        np.testing.assert_array_equal(quick.label_map, exact.label_map)
        assert [(r.label, r.box) for r in quick.regions] == [(r.label, r.box) for r in exact.regions]
        scores = np.array([[r.score for r in result.regions] for result in (quick, exact)])
        np.testing.assert_allclose(scores[0], scores[1], atol=0 if same else 0.02)
        assert same == (scores[0] == scores[1]).all()


@pytest.mark.parametrize(
    ("options", "decoded", "seen"),
    [
        ({}, (48, 64), [(12, 16)]),
        ({"keep_image": False}, (24, 32), [(12, 16)]),
        ({"keep_image": False, "tta": ("scale",)}, (48, 64), [(9, 12), (12, 16), (15, 20)]),
        ({"keep_image": False, "long_side": 17}, (48, 64), [(13, 17)]),
        ({"keep_image": False, "long_side": "native"}, (48, 64), [(48, 64)]),
    ],
)
def test_a_file_is_decoded_at_twice_what_the_network_sees_if_it_need_not_be_kept(recorder, options, decoded, seen):
    object.__setattr__(recorder.card, "preprocess", Preprocess(long_side=16))
    photo = PilImage.fromarray(np.zeros((48, 64, 3), np.uint8))
    photo.save(file := io.BytesIO(), "JPEG")
    assert recorder.reader(**options)(file.getvalue()).pixels.shape == (*decoded, 3)
    result = recorder.predict(file.getvalue(), **options)
    assert recorder.engine.seen == seen
    assert result.size == result.label_map.shape == (48, 64)
    assert (result.image is None) == (options.get("keep_image") is False)


def test_decoded_smaller_it_gives_nearly_the_same(tiny_predictor, tmp_path):
    rows, columns = np.indices((600, 803))
    pixels = np.stack([rows * 255 // 600, columns * 255 // 803, (rows // 100 + columns // 100) % 2 * 200], 2)
    PilImage.fromarray(pixels.astype(np.uint8)).save(path := tmp_path / "a.jpg", quality=95)
    whole = tiny_predictor.predict(path, long_side=100)
    small = tiny_predictor.predict(path, long_side=100, keep_image=False)
    assert tiny_predictor.reader(long_side=100, keep_image=False)(path).pixels.shape == (150, 201, 3)
    assert len(np.unique(whole.label_map)) > 1
    assert np.mean(whole.label_map == small.label_map) > 0.98


@pytest.mark.parametrize(
    ("long_side", "seen"),
    [("model", (24, 32)), ("native", (48, 64)), (128, (96, 128)), ("128", (96, 128)), (16, (12, 16))],
)
def test_long_side(recorder, long_side, seen):
    object.__setattr__(recorder.card, "preprocess", Preprocess(long_side=32))
    result = recorder.predict(np.zeros((48, 64, 3), np.uint8), long_side=long_side)
    assert recorder.engine.seen == [seen]
    assert result.size == result.label_map.shape == (48, 64)
    assert recorder.card.preprocess.long_side == 32


@pytest.mark.parametrize(
    "long_side", [0, -1, 15, 65537, 1.5, None, True, "big", "", "²", "12.5", "-64", "9" * 5000, "1e3", [640]]
)
def test_a_long_side_that_is_none(recorder, long_side):
    with pytest.raises(ConfigError, match='"model", "native" or 16…65536'):
        recorder.predict(np.zeros((4, 4, 3), np.uint8), long_side=long_side)
    assert not recorder.engine.seen


@pytest.mark.parametrize(("tta", "views"), [((), 1), (("flip",), 2), (("scale",), 3), (("flip", "scale"), 6)])
def test_augmentations_reach_the_network(recorder, tta, views):
    recorder.predict(np.zeros((8, 8, 3), np.uint8), tta=tta)
    assert len(recorder.engine.seen) == views


def test_an_unknown_augmentation(recorder):
    with pytest.raises(ConfigError, match="not turn"):
        recorder.predict(np.zeros((8, 8, 3), np.uint8), tta=("turn",))
    with pytest.raises(ConfigError, match=r"takes a list of kinds, e\.g\. tta=\['flip'\]"):
        recorder.predict(np.zeros((8, 8, 3), np.uint8), tta="flip")


TUNED = CrfParameters(gaussian_weight=9, gaussian_sxy=2)


def says(predictor: Predictor, **refine: Any) -> Predictor:
    """The predictor with another card."""
    return Predictor(predictor.engine, replace(predictor.card, refine=refine))


def assert_refined(result: segscape.Segmentation, predictor: Predictor, pixels: np.ndarray, p: CrfParameters) -> None:
    scores = run_network(predictor.engine, predictor.card.preprocess, pixels)
    expected = crf.refine(probabilities(scores), pixels, p)
    np.testing.assert_array_equal(result.label_map, expected.argmax(axis=0))
    np.testing.assert_allclose(result.confidence, expected.max(axis=0), atol=1e-6)
    assert list(result.timings_ms) == ["decode", "network", "refine", "upsample", "regions"]


@pytest.mark.parametrize("size", [(24, 32), (70, 80)])
def test_refinement_draws_upon_the_photo(tiny_predictor, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    options: dict[str, Any] = {"confidence": True}
    plain = tiny_predictor.predict(pixels, **options)
    assert_same(tiny_predictor.predict(pixels, refine="none", **options), plain)
    assert "refine" not in plain.timings_ms
    refined = tiny_predictor.predict(pixels, refine="crf", **options)
    assert_refined(refined, tiny_predictor, pixels, CrfParameters())
    assert (refined.label_map != plain.label_map).mean() > 0.01
    assert refined.label_map.dtype == np.uint8
    assert_refined(tiny_predictor.predict(pixels, refine=TUNED, **options), tiny_predictor, pixels, TUNED)


def test_the_card_says_whether_and_how_to_refine(tiny_predictor):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    tuned = says(tiny_predictor, crf=TUNED.to_dict(), default=False)
    assert "refine" not in tuned.predict(pixels).timings_ms
    assert_refined(tuned.predict(pixels, refine="crf", confidence=True), tuned, pixels, TUNED)
    always = says(tiny_predictor, crf=TUNED.to_dict(), default=True)
    assert_refined(always.predict(pixels, confidence=True), always, pixels, TUNED)
    assert_same(always.predict(pixels, refine="none"), tiny_predictor.predict(pixels))
    assert "refine" not in always.predict(pixels, long_side=48).timings_ms, "measured at the model's own size alone"
    assert "refine" in always.predict(pixels, long_side=48, refine="crf").timings_ms


def test_a_large_photo_is_refined_at_the_size_the_network_saw(tiny_predictor):
    pixels = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    card = replace(tiny_predictor.card, preprocess=replace(tiny_predictor.card.preprocess, long_side=32))
    predictor = Predictor(tiny_predictor.engine, card)
    small = cv2.resize(pixels, (32, 24), interpolation=cv2.INTER_AREA)
    seen = run_network(predictor.engine, card.preprocess, small)
    marginals = crf.refine(probabilities(seen), small, CrfParameters())
    expected, _ = classify(Scores(np.log(marginals), (4.0, 4.0), (96, 128)))
    refined = predictor.predict(pixels, refine="crf")
    assert (refined.label_map == expected).mean() > 0.999
    assert (refined.label_map != predictor.predict(pixels, refine="none").label_map).mean() > 0.01


@pytest.mark.parametrize("refine", ["", "CRF", "bilateral", None, True, {}, 3])
def test_an_unknown_refinement(recorder, refine):
    with pytest.raises(ConfigError, match="refine must be one of model, none, crf"):
        recorder.predict(np.zeros((8, 8, 3), np.uint8), refine=refine)
    assert not recorder.engine.seen


def test_what_is_too_large_to_refine_is_refused_before_the_network_runs(recorder, monkeypatch):
    monkeypatch.setattr(crf, "MAX_VALUES", 3 * 8 * 8)
    recorder.predict(np.zeros((8, 8, 3), np.uint8), refine="crf")
    recorder.predict(np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ResourceError, match="--refine none"):
        recorder.predict(np.zeros((8, 9, 3), np.uint8), refine="crf")
    assert len(recorder.engine.seen) == 2


def test_large_images_are_refused_before_they_are_decoded(recorder, make_photo):
    with pytest.raises(ImageError, match="768"):
        recorder.predict(make_photo("a.png"), max_pixels=767)
    recorder.predict(make_photo("a.png"), max_pixels=768)


@pytest.mark.parametrize("where", ["low_logits", "as_image", "regions_from_label_map"])
def test_out_of_memory_anywhere_is_a_resource_error(recorder, monkeypatch, where):
    def fail(*_args: Any, **_options: Any) -> Any:
        raise MemoryError

    owner = {"low_logits": recorder.engine, "as_image": pipeline, "regions_from_label_map": predictor}[where]
    monkeypatch.setattr(owner, where, fail)
    with pytest.raises(ResourceError, match="out of memory; give a smaller"):
        recorder.predict(np.zeros((8, 8, 3), np.uint8))


def test_an_image_that_would_be_far_too_large(recorder):
    # 4 · 10¹⁵ pixels: only asked for, never there.
    object.__setattr__(recorder.card, "preprocess", Preprocess(long_side=2**26))
    with pytest.raises(ResourceError, match="out of memory"):
        recorder.predict(np.zeros((2, 2, 3), np.uint8))


def test_many_keep_their_order(tiny_predictor, make_photo):
    paths = [make_photo(f"{i}.png", width=20 + i, seed=i) for i in range(7)]
    results = list(tiny_predictor.predict_many(paths, confidence=True))
    assert [result.image.source for result in results] == [str(path) for path in paths]
    for path, result in zip(paths, results, strict=True):
        assert_same(result, tiny_predictor.predict(path))
        assert result.confidence is not None
    assert list(tiny_predictor.predict_many([])) == []
    assert len(list(tiny_predictor.predict_many(iter(paths[:2])))) == 2


def test_many_decode_the_next_while_the_network_works(recorder, monkeypatch):
    decoded = [threading.Event() for _ in range(4)]

    def decode(i: int, **_options: Any) -> Image:
        decoded[i].set()
        return Image(np.zeros((4, 4, 3), np.uint8), str(i))

    original = recorder.engine.low_logits

    def low_logits(batch: np.ndarray) -> np.ndarray:
        following = len(recorder.engine.seen) + 1
        if following < 4:  # while the network works on one image, the next gets decoded
            assert decoded[following].wait(timeout=30)
        return original(batch)

    monkeypatch.setattr(pipeline, "as_image", lambda x, **o: x if isinstance(x, Image) else decode(x, **o))
    monkeypatch.setattr(recorder.engine, "low_logits", low_logits)
    assert [r.image.source for r in recorder.predict_many(range(4))] == ["0", "1", "2", "3"]


def test_many_never_run_far_ahead(recorder):
    taken = []

    def sources():
        for i in range(50):
            taken.append(i)
            yield np.zeros((4, 4, 3), np.uint8)

    results = recorder.predict_many(sources())
    next(results)
    assert len(taken) <= 4
    results.close()


def test_many_hold_no_result_that_was_given(recorder):
    results = recorder.predict_many(np.zeros((4, 4, 3), np.uint8) for _ in range(5))
    given = weakref.ref(next(results).label_map)
    gc.collect()
    assert given() is None
    results.close()


def test_many_stop_at_the_first_bad_image(recorder, make_photo, tmp_path):
    (tmp_path / "bad.png").write_text("text")
    results = recorder.predict_many([make_photo("a.png"), tmp_path / "bad.png", make_photo("b.png")])
    next(results)
    with pytest.raises(ImageError, match=r"bad\.png"):
        next(results)
