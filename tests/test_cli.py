import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from segscape import cli
from segscape.cli import app, main
from segscape.cli.common import print_json
from segscape.errors import (
    ConfigError,
    DataError,
    ImageError,
    InputError,
    ModelError,
    ResourceError,
    SegscapeError,
    TrainingDiverged,
)
from segscape.models.bundle import read_card
from segscape.predict import locate as locate_module

SOURCE = Path(cli.__file__).parents[2]


def verbs(group: App, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, as it is typed."""
    for name in group:
        if not name.startswith("-"):
            inner = list(verbs(group[name], (*names, name)))
            yield from inner or [(*names, name)]


def fresh_process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=200, **options
    )


# --- help and usage


def test_all_verbs_are_known():
    """A new verb is added here, and to the tests of its own."""
    assert {" ".join(verb) for verb in verbs(app)} == {
        "data check",
        "data convert",
        "describe",
        "evaluate",
        "export",
        "index",
        "models list",
        "models show",
        "predict",
        "query",
        "repeat",
        "report",
        "train",
        "tune-crf",
        "tune-objects",
    }


@pytest.mark.parametrize("verb", list(verbs(app)), ids=" ".join)
def test_every_verb_helps_with_an_example(run, verb):
    code, out, err = run(*verb, "--help")
    assert (code, err) == (0, "")
    assert f"Example: segscape {' '.join(verb)}" in out
    assert "--json" in out
    assert "Exit codes: 0 done" in out
    assert out.count("│ --") <= 13


@pytest.mark.parametrize("arguments", [(), ("--help",), ("data",), ("models",)])
def test_groups_show_their_verbs(run, arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "Usage: segscape" in out


def test_version(run):
    from segscape import __version__

    assert run("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("predict",), "INPUTS"),
        (("predict", "a.jpg", "--colour"), "--colour"),
        (("predict", "-a.jpg"), "-a.jpg"),
        (("predict", "a.jpg", "--workers", "many"), "many"),
        (("predict", "a.jpg", "--model"), "--model"),
        (("preduct", "a.jpg"), "preduct"),
        (("evaluate", "street"), "DATA"),
        (("train",), "RECIPE"),
        (("data", "check", "a", "b"), "b"),
        (("models", "show"), "NAME"),
    ],
)
def test_wrong_usage_says_what_and_exits_with_2(run, arguments, says):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "segscape --help" in err


# --- predict


def test_predict_writes_and_says_what(run, make_photo, tiny_bundle, tmp_path):
    photo = make_photo("a.png")
    code, out, err = run("predict", photo, "--model", tiny_bundle, "--out", "res")
    assert (code, err) == (0, "")
    first, *paths, last = out.splitlines()
    assert last.startswith("tiny@")
    assert " ran on openvino cpu " in last
    assert first.startswith(f"{photo}: 32 × 24, ")
    assert "%" in first
    assert [path.strip() for path in paths] == ["res/a.overlay.jpg", "res/a.labels.png", "res/a.json"]
    assert all((tmp_path / path.strip()).stat().st_size for path in paths)


def test_predict_writes_into_a_folder_of_its_own_by_default(run, make_photo, tiny_bundle, tmp_path):
    assert run("predict", make_photo("a.png"), "--model", tiny_bundle, "--quiet")[0] == 0
    assert (tmp_path / "segscape-out" / "a.json").exists()


@pytest.mark.parametrize("out", [None, "res"])
def test_predict_json_is_one_document(run, make_photo, tiny_bundle, tmp_path, out):
    make_photo("photos/a.png")
    make_photo("photos/b.png", width=20)
    (tmp_path / "photos" / "bad.png").write_text("not a picture")
    code, text, err = run("predict", "photos", "--model", tiny_bundle, "--json", *(["--out", out] if out else []))
    document = json.loads(text)
    assert code == 2
    assert [result["source"] for result in document["results"]] == ["photos/a.png", "photos/b.png"]
    assert [failure["source"] for failure in document["failed"]] == ["photos/bad.png"]
    assert document["model"] == read_card(tiny_bundle).id
    assert "1 of 3 inputs failed" in err
    for result in document["results"]:
        assert all((tmp_path / path).exists() for path in result["written"].values())
        assert len(result["written"]) == (3 if out else 0)
    assert not (tmp_path / "segscape-out").exists()


def test_predict_with_all_its_options(run, make_photo, tiny_bundle):
    make_photo("a.png")
    options = (
        "--tta",
        "flip,scale",
        "--size",
        "64",
        "--engine",
        "torch:cpu",
        "--max-memory",
        "16kB",
        "--workers",
        "2",
        "--quiet",
        "--json",
    )
    code, out, err = run("predict", "a.png", "a.png", "./*.png", "--model", tiny_bundle, *options)
    assert (code, err) == (0, "")
    assert len(json.loads(out)["results"]) == 1


@pytest.mark.parametrize("name", ["-a.png", "--out.png", "new\nline.png", "\x1b[31mred.png", "<b>[bold]x.png"])
def test_predict_of_odd_names(run, make_photo, tiny_bundle, name):
    make_photo(name)
    code, out, err = run("predict", "--model", tiny_bundle, "--out", "res", "--", name)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 5
    assert "\x1b" not in out
    (Path("res") / f"{name.removesuffix('.png')}.json").stat()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("missing.png",), "no such file"),
        (("*.tiff",), "matches no file"),
        (("a.png", "--tta", "turn"), "knows flip, scale, not turn"),
        (("a.png", "--size", "huge"), '"model", "native" or 16'),
        (("a.png", "--engine", "torch:tpu"), "'tpu' cannot be used here"),
        (("a.png", "--refine", "blur"), "refine must be one of model, none, crf"),
        (("a.png", "--max-memory", "100B"), "over the limit of 5"),
        (("a.png", "--max-memory", "much"), "memory must be given as"),
        (("a.png", "--workers", "-1"), "--workers must be 0 or more"),
        (("a.png", "--out", "a.png"), "cannot be written here"),
        (("a.png", "--model", "nosuch"), "no model 'nosuch'"),
        (("a.png", "--model", "a.png"), "not a model bundle"),
        (("a.png", "--model", "."), "is a folder"),
    ],
)
def test_predict_of_what_cannot_be_exits_with_2(run, make_photo, tiny_bundle, arguments, says):
    make_photo("a.png")
    model = () if "--model" in arguments else ("--model", tiny_bundle)
    code, out, err = run("predict", *arguments, *model)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_predict_does_what_is_too_large_by_tiles(run, make_photo, tiny_bundle, tmp_path, monkeypatch):
    from segscape.predict.tiling import huge as tiling

    monkeypatch.setattr(tiling, "measured_bytes_per_pixel", lambda *_: 20.0)
    monkeypatch.setattr(tiling, "measured_margin", lambda *_: 32)
    monkeypatch.setattr(tiling, "ORDINARY_BYTES_PER_PIXEL", 10**7)
    make_photo("in/small.png")
    make_photo("in/big.tif", height=200, width=300)
    for y, x in np.ndindex(2, 2):
        make_photo(f"map/{y}_{x}.png", height=100, width=100)
    arguments = ("in", "tiles:map", "--model", tiny_bundle, "--max-memory", "20GB", "--out", "out", "--quiet")
    code, out, err = run("predict", *arguments, "--json")
    assert (code, err) == (0, "")
    results = json.loads(out)["results"]
    assert [Path(result["source"]).name for result in results] == ["small.png", "big.tif", "map"]
    assert [sorted(result["written"]) for result in results[1:]] == [["json", "labels"]] * 2
    assert results[2]["size"] == {"height": 200, "width": 200}
    assert all(Path(path).exists() for result in results for path in result["written"].values())
    code, out, err = run("predict", *arguments)
    assert (code, err) == (0, "")
    assert "map: 200 × 200, 1 tiles, " in out
    code, out, err = run("predict", "tiles:map", "tiles:nowhere", "--model", tiny_bundle, "--out", "out", "--quiet")
    assert code == 2
    assert "nowhere" in err
    assert "out/map.labels.tif" in out


def test_predict_does_by_tiles_what_it_is_told_to(run, make_photo, tiny_bundle, tmp_path, monkeypatch):
    from segscape.predict.tiling import huge as tiling

    monkeypatch.setattr(tiling, "measured_bytes_per_pixel", lambda *_: 20.0)
    monkeypatch.setattr(tiling, "measured_margin", lambda *_: 32)
    make_photo("a.png", height=200, width=300)
    code, out, _ = run("predict", "a.png", "--model", tiny_bundle, "--tiled", "--out", "out", "--quiet")
    assert code == 0
    assert "a.png: 300 × 200, 1 tiles" in out
    assert (tmp_path / "out" / "a.labels.tif").exists()


def test_predict_by_tiles_spares_its_inputs(run, make_photo, tiny_bundle):
    make_photo("a.tif", height=200, width=300)
    other = make_photo("a.labels.tif", height=20, width=30)
    before = other.read_bytes()
    given = ("a.tif", "a.labels.tif", "--model", tiny_bundle, "--out", ".", "--quiet", "--max-memory", "100kB")
    code, _, err = run("predict", *given)
    assert code == 2
    assert "a result would overwrite it" in err
    assert other.read_bytes() == before


@pytest.mark.parametrize("arguments", [("--json",), ("--out", "o", "--tta", "flip"), ("--out", "o", "--refine", "crf")])
def test_what_tiles_cannot_do_is_refused(run, make_photo, tiny_bundle, arguments):
    make_photo("map/0_0.png")
    code, out, err = run("predict", "tiles:map", "--model", tiny_bundle, *arguments)
    assert (code, out) == (2, "")
    assert "is done by tiles: give --out" in err


def test_a_wrong_option_is_said_once_for_many_files(run, make_photo, tiny_bundle):
    for i in range(3):
        make_photo(f"photos/{i}.png")
    code, _, err = run("predict", "photos", "--model", tiny_bundle, "--tta", "turn", "--quiet")
    assert code == 2
    assert err.count("not turn") == 1


# --- evaluate, data check, models


def test_evaluate_measures_and_records(run, make_mask_folder, tiny_bundle, tmp_path):
    data = make_mask_folder(test=3)
    bundle = tmp_path / "m.safetensors"
    bundle.write_bytes(tiny_bundle.read_bytes())
    code, out, err = run("evaluate", bundle, data, "--json", "--quiet", "--tta", "flip", "--size", "48")
    assert (code, err) == (0, "")
    assert read_card(bundle).metrics == {}
    code, out, err = run("evaluate", bundle, data, "--json", "--quiet", "--record")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["num_images"] == 3
    assert 0 <= report["miou"] <= 1
    assert set(report["iou"]) == {"sky", "road", "car"}
    assert report["ece"] is not None
    recorded = read_card(bundle).metrics["test"]
    assert recorded["miou"] == report["miou"]
    assert recorded["cost"]["photo"] == "32 × 24"
    assert 0 < recorded["cost"]["gflops"] < 1

    code, out, err = run("evaluate", bundle, f"folder:{data}")
    assert code == 0
    assert "road" in out
    assert f"data: folder at {data}" in err


def test_refine_reaches_the_model(run, make_photo, make_mask_folder, tiny_bundle):
    _, out, _ = run("predict", make_photo("a.png"), "--model", tiny_bundle, "--refine", "crf", "--json")
    assert json.loads(out)["results"][0]["timings_ms"]["refine"] > 0
    data = make_mask_folder(test=2)
    scores = {}
    for refine in ("none", "crf", "model"):
        code, out, err = run("evaluate", tiny_bundle, data, "--refine", refine, "--json", "--quiet")
        assert (code, err) == (0, "")
        scores[refine] = json.loads(out)["miou"]
    assert scores["none"] == scores["model"] != scores["crf"]


def test_tune_crf_prints_and_records(run, make_mask_folder, tiny_bundle, tmp_path):
    data = make_mask_folder(val=3)
    bundle = tmp_path / "m.safetensors"
    bundle.write_bytes(tiny_bundle.read_bytes())
    code, out, err = run("tune-crf", bundle, data, "--images", "2", "--trials", "3", "--json", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (len(found["trials"]), found["subset"]["num_images"], found["measured"]["num_images"]) == (3, 2, 3)
    assert read_card(bundle).refine == {}

    code, out, err = run("tune-crf", bundle, data, "--images", "2", "--trials", "3", "--out", "tuned", "--record")
    assert code == 0
    assert "val, 3 images: mIoU" in out
    assert "tuned/tune-crf.json" in out
    assert json.loads(Path("tuned/tune-crf.json").read_text("utf-8"))["crf"] == found["crf"]
    assert read_card(bundle).refine == {key: found[key] for key in ("crf", "default", "measured")}


def test_tuning_says_when_it_made_the_metrics_untrue(run, make_mask_folder, tiny_bundle, tmp_path, monkeypatch):
    from segscape.models.bundle import record_metrics
    from segscape.refine.tune import Tuning

    bundle = tmp_path / "m.safetensors"
    bundle.write_bytes(tiny_bundle.read_bytes())
    record_metrics(bundle, "test", {"miou": 0.5})
    arguments = ("tune-crf", bundle, make_mask_folder(val=1), "--trials", "1", "--record")
    monkeypatch.setattr(Tuning, "helps", False)
    assert "evaluate --record" not in run(*arguments)[2]
    assert read_card(bundle).metrics == {"test": {"miou": 0.5}}
    monkeypatch.setattr(Tuning, "helps", True)
    assert "run `segscape evaluate --record` again" in run(*arguments)[2]
    assert (read_card(bundle).metrics, read_card(bundle).refines) == ({}, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--split", "test"], "no split 'test'"), (["--images", "0"], "1 or more"), (["--trials", "0"], "1 or")],
)
def test_tune_crf_of_what_cannot_be(run, make_mask_folder, tiny_bundle, options, says):
    code, out, err = run("tune-crf", tiny_bundle, make_mask_folder(val=1), *options)
    assert (code, out) == (2, "")
    assert says in err


def test_a_border_class_must_be_one_of_two(run, make_mask_folder, tiny_bundle):
    code, _, err = run("evaluate", tiny_bundle, make_mask_folder(test=1), "--border", "car", "--quiet")
    assert code == 2
    assert "exactly two classes" in err


@pytest.mark.parametrize("wrong", [[], ["--folds", "2", "--seeds", "2"]])
def test_repeat_needs_folds_or_seeds(run, wrong):
    code, _, err = run("repeat", "recipe.toml", *wrong)
    assert code == 2
    assert "--folds or --seeds" in err


def test_evaluate_writes_a_report(run, make_mask_folder, tiny_bundle):
    code, out, err = run(
        "evaluate", tiny_bundle, make_mask_folder(val=2), "--split", "val", "--out", "report", "--quiet"
    )
    assert (code, err) == (0, "")
    assert "report/report.html" in out
    assert "data:image/png;base64" in Path("report/report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("data", "--split", "val"), "has no split 'val'"),
        (("nowhere",), "does not exist"),
        (("video:data",), "no kind"),
    ],
)
def test_evaluate_of_what_is_not_there(run, make_mask_folder, tiny_bundle, arguments, says):
    make_mask_folder(test=1)
    code, out, err = run("evaluate", tiny_bundle, *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_evaluate_on_other_classes_is_refused(run, make_mask_folder, tiny_bundle):
    data = make_mask_folder(test=1)
    text = (data / "labels.json").read_text("utf-8")
    (data / "labels.json").write_text(text.replace('"road"', '"street"'), "utf-8")
    code, _, err = run("evaluate", tiny_bundle, data, "--quiet")
    assert code == 2
    assert "only the model has road" in err


def test_data_check_of_a_sound_data_set(run, make_mask_folder):
    data = make_mask_folder(train=2, test=1)
    code, out, _ = run("data", "check", data)
    assert code == 0
    assert out.splitlines()[-1].startswith("ready to train")
    code, out, err = run("data", "check", data, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["ok"] is True


def test_data_check_exits_with_1_on_faults(run, make_mask_folder):
    data = make_mask_folder(train=2)
    Image.fromarray(np.full((24, 32), 37, np.uint8)).save(data / "labels" / "train" / "0.png")
    code, out, _ = run("data", "check", data, "--json", "--quiet")
    assert code == 1
    assert [fault["kind"] for fault in json.loads(out)["errors"]] == ["label-values"]
    code, out, _ = run("data", "check", data, "--quiet")
    assert code == 1
    assert "37" in out
    assert run("data", "check", "nowhere", "--quiet")[0] == 1


def test_models_are_listed_and_shown(run, tiny_bundle, monkeypatch):
    monkeypatch.setattr(locate_module, "_WEIGHTS", tiny_bundle.parent)
    code, out, err = run("models", "list")
    assert (code, err) == (0, "")
    assert "tiny" in out
    assert "unet" in out
    code, out, _ = run("models", "list", "--json")
    (entry,) = json.loads(out)
    assert (code, entry["name"], entry["network"], entry["classes"]) == (0, "tiny", "unet", 3)
    for name in ("tiny", tiny_bundle):
        code, out, err = run("models", "show", name)
        assert (code, err) == (0, "")
        assert "label_set: sky, road, car" in out
        assert "  base_channels: 4" in out
    code, out, _ = run("models", "show", "tiny", "--json")
    assert json.loads(out) == json.loads(read_card(tiny_bundle).to_json())


def test_models_list_without_any(run, tmp_path, monkeypatch):
    monkeypatch.setattr(locate_module, "_WEIGHTS", tmp_path)
    assert run("models", "list", "--json") == (0, "[]\n", "")
    assert run("models", "list")[0] == 0


def test_models_show_of_no_model(run):
    code, out, err = run("models", "show", "nosuch")
    assert (code, out) == (2, "")
    assert "no model 'nosuch'" in err


def test_train_of_no_recipe(run):
    code, out, err = run("train", "missing.toml")
    assert (code, out) == (2, "")
    assert "missing.toml" in err


# --- what goes wrong


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (SegscapeError("the gate said no"), 1, "the gate said no"),
        (InputError("bad"), 2, "bad"),
        (ImageError("bad"), 2, "bad"),
        (DataError("bad"), 2, "bad"),
        (ModelError("bad"), 2, "bad"),
        (ConfigError("bad"), 2, "bad"),
        (TrainingDiverged("step 5"), 3, "step 5"),
        (ResourceError("disk full"), 4, "disk full"),
        (MemoryError(), 4, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("a bug"), 1, "a fault of Segscape's own: RuntimeError: a bug"),
        (KeyError("x"), 1, "a fault of Segscape's own: KeyError: 'x'"),
        (OSError(5, "Input/output error"), 1, "a fault of Segscape's own"),
    ],
)
def test_exit_codes(run, monkeypatch, error, code, says):
    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr(locate_module, "find_model", fail)
    found, out, err = run("models", "show", "x")
    assert (found, out) == (code, "")
    assert err.startswith("segscape: ")
    assert says in err
    if "own" in says:
        assert "SEGSCAPE_DEBUG=1" in err


def test_debugging_shows_where_it_broke(run, monkeypatch):
    def fail(_name: str) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(locate_module, "find_model", fail)
    monkeypatch.setenv("SEGSCAPE_DEBUG", "1")
    with pytest.raises(RuntimeError, match="a bug"):
        main(["models", "show", "x"])


def test_control_characters_in_an_error_do_not_reach_the_terminal(run):
    _, _, err = run("models", "show", "\x1b]0;owned\x07\nx")
    assert err.isprintable() or set(err) - {"\n"} == {c for c in err if c.isprintable()}


def test_of_a_document_that_is_no_json_nothing_is_printed(capsys):
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"fine": 1, "share": float("nan")})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("told", "found"), [(None, "4"), ("20", "20")])
def test_blas_threads_do_not_spin_unless_told_to(told, found, monkeypatch, capsys):
    monkeypatch.setenv("OPENBLAS_THREAD_TIMEOUT", told or "")
    if not told:
        monkeypatch.delenv("OPENBLAS_THREAD_TIMEOUT")
    main(["models", "list"])
    assert os.environ["OPENBLAS_THREAD_TIMEOUT"] == found


# --- fresh processes (seconds each)


def test_importing_the_command_line_and_its_help_need_no_torch():
    code = (
        "import sys; from segscape.cli import main; main(['--help']); main(['predict', '--help']);"
        "heavy = ('torch', 'cv2', 'timm', 'numba', 'accelerate', 'pydantic', 'matplotlib');"
        "print([m for m in heavy if m in sys.modules])"
    )
    result = fresh_process("-c", code)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_a_fresh_process_segments_a_photo_and_survives_a_closed_pipe(make_photo, tiny_bundle, tmp_path):
    photo = make_photo("a.png")
    arguments = ("-m", "segscape", "predict", str(photo), "--model", str(tiny_bundle), "--json")
    result = fresh_process(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["results"][0]["size"] == {"height": 24, "width": 32}
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    reader, writer = os.pipe()
    os.close(reader)  # as `segscape … | head` leaves it
    process = subprocess.run(
        [sys.executable, "-m", "segscape", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        timeout=200,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, b"")


def test_ctrl_c_ends_a_run_with_130(tiny_bundle, make_photo, tmp_path):
    make_photo("a.png")
    code = (
        "import os, signal, sys\n"
        "from segscape.cli import main\n"
        "from segscape.predict import pipeline\n"
        "pipeline.as_image = lambda *a, **o: (os.kill(os.getpid(), signal.SIGINT), __import__('time').sleep(0.2))\n"
        f"sys.exit(main(['predict', 'a.png', '--model', {str(tiny_bundle)!r}]))\n"
    )
    result = fresh_process("-c", code, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "segscape: interrupted\n"


@pytest.mark.parametrize("option", [["--tta", "flip"], ["--size", "99"], ["--refine", "crf"], ["--refine", "none"]])
def test_only_plain_numbers_go_onto_a_card(option, tiny_bundle, capsys):
    assert main(["evaluate", str(tiny_bundle), "nowhere", "--record", *option]) == 2
    assert "--record" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_exit_4():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "segscape", "models", "list", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment, timeout=200)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert "no space left" in done.stderr
