"""Predicting without torch: in processes in which importing it fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segscape.runtime.graphs import bundle_graph

# A machine without torch and what comes with it.
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""
MAIN = WITHOUT_TORCH + "from segscape.cli import main\nsys.exit(main(sys.argv[1:]))"


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("engine", ["auto", "openvino", "onnx"])
def test_a_bundled_model_predicts(cache, make_photo, engine):
    done = python(MAIN, "predict", make_photo("a.png"), "--engine", engine, "--refine", "none", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["engine"]["name"].startswith("onnx" if engine == "onnx" else "openvino")
    assert document["engine"]["reason"] == (
        "the fastest that is installed for a CPU" if engine == "auto" else "asked for"
    )
    assert document["results"][0]["model"].startswith("street@")


@pytest.mark.parametrize("model", [("--model", "nuclei"), ("--panoptic", "street+nuclei")])
def test_objects_and_all_pixels(cache, make_photo, model):
    done = python(MAIN, "predict", make_photo("a.png"), *model, "--refine", "none", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document["engine"]["name"].replace("+", " ").split()) <= {"openvino", "cpu", "bf16", "f32"}
    assert "nuclei@" in document["results"][0]["model"]


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_exported_objects_are_those_that_torch_gives(cache, run, tiny_objects, make_photo, tmp_path, to):
    import segscape

    assert run("export", tiny_objects, "--to", to, "--out", "exported")[0] == 0
    photo = make_photo("a.png", height=45, width=70)
    code = f"""{WITHOUT_TORCH}
import json, segscape
found = segscape.load(sys.argv[1], engine="{to}", precision="f32").predict(sys.argv[2], min_score=0)
print(json.dumps([[r.box, r.area_px] for r in found.regions]))"""
    done = python(code, tmp_path / "exported", photo)
    assert done.returncode == 0, done.stderr
    wanted = segscape.load(tiny_objects, engine="torch", device="cpu").predict(photo, min_score=0).regions
    assert json.loads(done.stdout) == [[list(r.box), r.area_px] for r in wanted]
    assert len(wanted) > 0


@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_an_exported_model_gives_the_masks_that_torch_gives(cache, make_photo, tiny_bundle, run, tmp_path, to):
    import numpy as np

    import segscape

    assert run("export", tiny_bundle, "--to", to, "--out", "exported")[0] == 0
    photo = make_photo("a.png", height=45, width=70)
    code = (
        f"{WITHOUT_TORCH}\nimport numpy as np, segscape\np = segscape.load(sys.argv[1], engine='{to}', precision='f32')"
    )
    code += "\nnp.save(sys.argv[3], p.predict(sys.argv[2]).label_map)"
    done = python(code, tmp_path / "exported", photo, tmp_path / "masks.npy")
    assert done.returncode == 0, done.stderr
    wanted = segscape.load(tiny_bundle, engine="torch", device="cpu").predict(photo).label_map
    assert len(np.unique(wanted)) > 1
    np.testing.assert_array_equal(np.load(tmp_path / "masks.npy"), wanted)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--engine", "torch"), "needs PyTorch"),
        (("--model", "{bundle}"), "making it takes torch"),
        (("--model", "{objects}"), "making it takes torch"),
    ],
)
def test_what_needs_torch_says_so(cache, make_photo, tiny_bundle, tiny_objects, arguments, says):
    arguments = [a.format(bundle=tiny_bundle, objects=tiny_objects) for a in arguments]
    done = python(MAIN, "predict", make_photo("a.png"), *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_graph_in_the_cache_is_enough(cache, make_photo, tiny_bundle):
    bundle_graph(tiny_bundle)
    done = python(MAIN, "predict", make_photo("a.png"), "--model", tiny_bundle, "--json")
    assert done.returncode == 0, done.stderr


def test_cards_are_read_and_listed(cache):
    done = python(MAIN, "models", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert "street" in {model["name"] for model in json.loads(done.stdout)}
