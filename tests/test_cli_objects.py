"""The command line on single objects: predict, evaluate, tune, convert, and two models as one."""

import json
from pathlib import Path

import pytest

from segscape.models.bundle import read_card, record_metrics
from segscape.predict import locate as locate_module

OBJECT_KEYS = {"map_mask", "map_box", "ap", "mean_ap", "pq", "precision", "recall", "counts"}


@pytest.fixture
def bundle(tiny_objects, tmp_path):
    """A copy that may be changed."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(tiny_objects.read_bytes())
    return path


# --- predict


def test_objects_are_counted_and_written_without_a_label_map(run, make_photo, tiny_objects, tmp_path):
    photo = make_photo("a.png")
    code, out, err = run("predict", photo, "--model", tiny_objects, "--out", "res", "--min-score", "0.1")
    assert (code, err) == (0, "")
    first, *paths, _ = out.splitlines()
    document = json.loads((tmp_path / "res" / "a.json").read_text("utf-8"))
    count = len(document["regions"])
    assert 1 <= count <= 5
    assert f"ms: {count} car " in first
    assert [path.strip() for path in paths] == ["res/a.overlay.jpg", "res/a.json"]
    assert document["single_objects"] is True
    code, out, _ = run("predict", photo, "--model", tiny_objects, "--json", "--min-score", "1")
    assert (code, json.loads(out)["results"][0]["regions"]) == (0, [])
    code, out, _ = run("predict", photo, "--model", tiny_objects, "--min-score", "1")
    assert "nothing found" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tta", "flip"), "makes objects; it has no tta"),
        (("--refine", "crf"), "makes objects; it has no refine"),
        (("--min-score", "2"), "number in 0…1"),
        (("--min-score", "low"), "number in 0…1"),
    ],
)
def test_options_that_objects_do_not_have(run, make_photo, tiny_objects, arguments, says):
    code, out, err = run("predict", make_photo("a.png"), "--model", tiny_objects, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


# --- two models as one


def test_panoptic_writes_results_and_cocos_format(run, make_photo, tiny_bundle, tiny_objects, tmp_path):
    make_photo("photos/a.png")
    make_photo("photos/b.png", seed=1)
    models = f"{tiny_bundle}+{tiny_objects}"
    code, out, err = run("predict", "photos", "--panoptic", models, "--out", "res", "--min-score", "0.1", "--quiet")
    assert (code, err) == (0, "")
    joined = Path(out.splitlines()[-2].strip())
    document = json.loads(joined.read_text("utf-8"))
    assert [image["file_name"] for image in document["images"]] == ["a.png", "b.png"]
    assert {category["name"] for category in document["categories"]} == {"sky", "road", "car"}
    assert len(document["annotations"]) == 2
    assert (tmp_path / "res" / "a.labels.png").exists()

    code, out, err = run("predict", "photos/a.png", "--panoptic", models, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["model"] == f"{read_card(tiny_bundle).id}+{read_card(tiny_objects).id}"
    assert result["results"][0]["single_objects"] is True
    assert "panoptic" not in result
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "res"]


def test_panoptic_of_files_that_share_a_name_or_cannot_be_read(run, make_photo, tiny_bundle, tiny_objects, tmp_path):
    models = f"{tiny_bundle}+{tiny_objects}"
    bad = tmp_path / "bad.png"
    bad.write_text("not a picture")
    photos = [make_photo("one/a.png"), make_photo("two/a.png", seed=1)]
    code, out, err = run("predict", *photos, bad, "--panoptic", models, "--out", "res", "--quiet")
    assert code == 2
    assert "bad.png" in err
    document = json.loads((tmp_path / "res" / "panoptic.json").read_text("utf-8"))
    assert [image["file_name"] for image in document["images"]] == ["a.png", "a-2.png"]
    code, out, err = run("predict", bad, "--panoptic", models, "--out", "none")
    assert (code, out) == (2, "")
    assert "bad.png" in err
    assert len(err.splitlines()) == 1


def test_a_fusion_is_tuned_and_used(run, make_photo, make_numbered, tiny_bundle, tiny_objects):
    models, data = f"{tiny_bundle}+{tiny_objects}", f"numbered:{make_numbered(val=1)}"
    code, out, err = run("tune-objects", models, data, "--out", "tuned", "--quiet")
    assert (code, err) == (0, "")
    assert out.startswith("PQ of things ")
    (fusion,) = Path("tuned").iterdir()
    code, out, err = run("predict", make_photo("a.png"), "--panoptic", f"{models}@{fusion}", "--json")
    assert (code, err) == (0, "")
    for wrong in (("--record",), ("--zooms", "2")):
        code, out, err = run("tune-objects", models, data, *wrong)
        assert (code, out) == (2, "")
        assert "no card in common" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--panoptic", "{semantic}"), "two models, SEMANTIC+INSTANCE"),
        (("--panoptic", "{semantic}+"), "two models, SEMANTIC+INSTANCE"),
        (("--panoptic", "{objects}+{semantic}"), "in this order: SEMANTIC+INSTANCE; got 'tiny-objects' and 'tiny'"),
        (("--panoptic", "{semantic}+{semantic}"), "one that finds objects"),
        (("--panoptic", "{semantic}+nosuch"), "no model 'nosuch'"),
        (("--panoptic", "{semantic}+{objects}", "--model", "{semantic}"), "leave --model out"),
        (("--panoptic", "{semantic}+{objects}", "--min-score", "7"), "number in 0…1"),
        (("--panoptic", "{semantic}+{objects}@missing.json"), "missing.json"),
    ],
)
def test_panoptic_of_what_cannot_be(run, make_photo, tiny_bundle, tiny_objects, arguments, says):
    given = [text.format(semantic=tiny_bundle, objects=tiny_objects) for text in arguments]
    code, out, err = run("predict", make_photo("a.png"), *given)
    assert (code, out) == (2, "")
    assert says in err


# --- evaluate, tune-objects, models


def test_evaluate_measures_and_records_objects(run, make_numbered, bundle):
    data = f"numbered:{make_numbered(test=2)}"
    code, out, err = run("evaluate", bundle, data, "--json", "--quiet", "--record", "--out", "report")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report.keys() > OBJECT_KEYS
    assert report["num_images"] == 2
    assert all(Path(path).exists() for path in report["written"].values())
    recorded = read_card(bundle).metrics["test"]
    assert recorded["counts"] == report["counts"]
    assert 0 < recorded["cost"]["gflops"] < 1
    code, out, _ = run("evaluate", bundle, data, "--quiet")
    assert code == 0
    assert "AP" in out


def test_data_and_model_of_different_kinds(run, make_numbered, make_mask_folder, tiny_bundle, tiny_objects):
    numbered, folder = f"numbered:{make_numbered(test=1)}", make_mask_folder(test=1)
    for arguments, says in (
        ((tiny_bundle, numbered), "makes label maps; `segscape data convert --to borders`"),
        ((tiny_objects, folder), "has label maps but no single objects"),
        ((tiny_objects, numbered, "--border", "car"), "--border is for label maps"),
        ((tiny_objects, numbered, "--tta", "flip"), "it has no tta"),
    ):
        code, out, err = run("evaluate", *arguments, "--quiet")
        assert (code, out) == (2, "")
        assert says in err


def test_tune_objects_prints_and_records(run, make_numbered, bundle):
    data = f"numbered:{make_numbered(val=2)}"
    code, out, err = run("tune-objects", bundle, data, "--zooms", "1,1.5", "--json", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [trial["zoom"] for trial in found["trials"]] == [1, 1, 1.5, 1.5]
    assert (found["written"], read_card(bundle).objects) == ([], {})

    record_metrics(bundle, "test", {"map_mask": 0.5})
    code, out, err = run("tune-objects", bundle, data, "--zooms", "1,1.5", "--out", "tuned", "--record")
    assert code == 0
    assert out.startswith("mean AP ")
    assert "tuned/tune-objects.json" in out
    assert "run `segscape evaluate --record` again" in err
    card = read_card(bundle)
    assert (card.objects, card.preprocess.zoom, card.metrics) == (found["objects"], found["zoom"], {})

    record_metrics(bundle, "test", {"map_mask": 0.5})
    _, _, err = run("tune-objects", bundle, data, "--zooms", str(found["zoom"]), "--record")
    assert "evaluate --record" not in err, "nothing has changed"
    assert read_card(bundle).metrics == {"test": {"map_mask": 0.5}}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--zooms", "1,big"), "numbers with commas between them"),
        (("--zooms", "100"), "zooms must be in 0.25…8"),
        (("--split", "test"), "no split 'test'"),
    ],
)
def test_tune_objects_of_what_cannot_be(run, make_numbered, tiny_objects, options, says):
    code, out, err = run("tune-objects", tiny_objects, f"numbered:{make_numbered(val=1)}", *options, "--quiet")
    assert (code, out) == (2, "")
    assert says in err


def test_models_of_objects_are_listed_with_their_ap(run, bundle, monkeypatch):
    record_metrics(bundle, "test", {"map_mask": 0.345})
    monkeypatch.setattr(locate_module, "_WEIGHTS", bundle.parent)
    code, out, err = run("models", "list")
    assert (code, err) == (0, "")
    assert "34.5 %" in out
    code, out, _ = run("models", "list", "--json")
    assert json.loads(out)[0]["map_mask"] == {"test": 0.345}


# --- data check and convert


def test_convert_and_check(run, make_numbered):
    data = f"numbered:{make_numbered(train=2, val=1)}"
    code, out, err = run("data", "convert", data, "--to", "coco", "--out", "coco", "--quiet")
    assert (code, err) == (0, "")
    assert out == "coco: coco, 2 images in train, 1 images in val\n"
    code, out, err = run("data", "check", "coco", "--quiet")
    assert code == 0
    assert out.splitlines()[-1].startswith("ready to train")
    code, out, err = run(
        "data", "convert", "coco", "--to", "borders", "--out", "b", "--border-px", "3", "--json", "--quiet"
    )
    assert (code, err) == (0, "")
    assert json.loads(out) == {"kind": "folder", "path": "b", "images": {"train": 2, "val": 1}}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{numbered}", "--to", "video", "--out", "new"), "no kind 'video' to write"),
        (("{numbered}", "--to", "coco", "--out", "{folder}"), "is there already"),
        (("{numbered}", "--to", "borders", "--out", "new", "--border-px", "0"), "at least 1 pixel"),
        (("{folder}", "--to", "coco", "--out", "new"), "no single objects"),
        (("{numbered}", "--to", "coco"), "--out"),
        (("nowhere", "--to", "coco", "--out", "new"), "does not exist"),
    ],
)
def test_convert_of_what_cannot_be(run, make_numbered, make_mask_folder, arguments, says):
    paths = {"numbered": f"numbered:{make_numbered(train=1)}", "folder": make_mask_folder(train=1)}
    code, out, err = run("data", "convert", *(text.format(**paths) for text in arguments), "--quiet")
    assert (code, out) == (2, "")
    assert says in err
    assert not Path("new").exists()


def test_an_image_too_large_for_memory_is_exit_4(run, make_photo, tiny_objects, monkeypatch):
    monkeypatch.setattr("segscape.runtime.memory.available_bytes", lambda: 1000)
    code, _, err = run("predict", make_photo("a.png"), "--model", tiny_objects, "--json")
    assert code == 4
    assert "smaller --size" in err
