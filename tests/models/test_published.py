"""Weights that torchvision publishes: the real way from an address to a bundle, on files of the same format."""

import hashlib
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detector_help import IMAGENET, first_version, lively, photo
from torch import nn
from torchvision.models.detection import maskrcnn_resnet50_fpn_v2
from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50

from segscape.data.public_sets import COCO
from segscape.errors import ModelError
from segscape.models import published as module
from segscape.models.bundle import load_bundle
from segscape.models.published import PUBLISHED, cache_folder, convert, published_bundle, read_checked
from segscape.predict import locate
from segscape.predict.objects import detect
from segscape.preprocess import Preprocess
from segscape.runtime.torch_engine import TorchDetector

SOURCES = {name: module._source(entry) for name, entry in PUBLISHED.items()}
COCO_PLACES = [i for i, c in enumerate(SOURCES["coco-maskrcnn"][1]) if c not in ("__background__", "N/A")]


def save_as_published(folder: Path, content: Any, stem: str = "weights") -> str:
    """The address of a file whose name ends in the first digits of its SHA-256, as torchvision's do."""
    draft = folder / "draft"
    torch.save(content, draft)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()
    return draft.rename(folder / f"{stem}-{digest[:8]}.pth").as_uri()


def as_before_0_13(state: dict[str, Any]) -> dict[str, Any]:
    """The names that ``maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth`` of 2019 has."""
    renamed = OrderedDict()
    for name, tensor in state.items():
        name = re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name).replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        name = re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", name)
        renamed[name] = tensor
    return renamed


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], Path]:
    """publish(name, content): the weights at the model's address are ``content``; returns the file."""

    def go(name: str, content: Any) -> Path:
        url = save_as_published(tmp_path, content)
        monkeypatch.setattr(module, "_source", lambda _: (url, SOURCES[name][1]))
        return tmp_path / url.rpartition("/")[2]

    return go


# --- what torchvision says of its files


def test_names_are_those_that_the_predictor_knows() -> None:
    assert sorted(PUBLISHED) == sorted(locate.PUBLISHED_MODELS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_addresses_hold_a_digest_and_classes_are_ours(name: str) -> None:
    url, categories = SOURCES[name]
    assert re.fullmatch(r"https://.*-[0-9a-f]{8}\.pth", url)
    if PUBLISHED[name].task == "instance":
        assert len(categories) == 91
        assert tuple(c for c in categories[1:] if c != "N/A") == COCO.names
    else:
        assert [c.replace("__", "") for c in categories] == list(module._label_set(PUBLISHED[name]).names)


# --- from the address to the bundle


def test_coco_maskrcnn_finds_what_torchvisions_network_finds(publish) -> None:
    """As its weights are: of 2019, and with 91 outputs, ten of which no one has trained, so they never win."""
    torch.manual_seed(0)
    theirs = first_version(90).eval()
    lively(theirs)
    missing = [i for i in range(1, 91) if i not in COCO_PLACES]
    assert len(missing) == 10
    with torch.no_grad():
        theirs.roi_heads.box_predictor.cls_score.bias[missing] = -50.0  # type: ignore[union-attr,operator,index]
    content = as_before_0_13(theirs.state_dict())
    theirs.load_state_dict(content)  # the names are torchvision's
    publish("coco-maskrcnn", content)
    ours, card = load_bundle(published_bundle("coco-maskrcnn"))
    assert (card.task, card.label_set, card.preprocess.short_side) == ("instance", COCO, 800)
    engine: Any = TorchDetector(ours, "cpu")  # type: ignore[arg-type]
    for heads in (theirs.roi_heads, ours.roi_heads):
        heads.score_thresh = 0.02  # type: ignore[union-attr]  # random weights share the scores out over the classes
    pixels = photo(1)
    found = detect(engine, Preprocess(*IMAGENET, long_side=267, short_side=160), pixels)
    with torch.inference_mode():
        wanted = theirs([torch.from_numpy(pixels).permute(2, 0, 1) / 255])[0]
    assert len(found.scores) == len(wanted["scores"]) > 5
    np.testing.assert_allclose(found.boxes, wanted["boxes"], atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted["scores"], atol=1e-4)
    assert [COCO_PLACES[label] for label in found.labels] == wanted["labels"].tolist()


@pytest.mark.parametrize(
    ("name", "make", "start"),
    [
        ("voc-deeplab", deeplabv3_resnet50, "DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"),
        ("voc-fcn", fcn_resnet50, "FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"),
    ],
)
def test_voc_models_give_torchvisions_scores(publish, name, make, start) -> None:
    torch.manual_seed(0)
    theirs: nn.Module = make(weights=None, weights_backbone=None, num_classes=21, aux_loss=True).eval()
    publish(name, theirs.state_dict())
    ours, card = load_bundle(published_bundle(name))
    assert (card.task, card.label_set.names[:2]) == ("semantic", ("background", "aeroplane"))
    assert card.training["start"] == f"torchvision {start} (BSD-3-Clause)"
    assert "CC BY" in card.data["terms"]
    assert card.metrics == {}
    x = torch.randn(1, 3, 64, 72)
    with torch.inference_mode():
        wanted = theirs(x)["out"]
        assert wanted.std() > 0.01
        torch.testing.assert_close(ours(x), wanted, atol=1e-4, rtol=0)


def test_the_second_version_fits_its_network() -> None:
    name = "coco-maskrcnn-v2"
    state = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=91).state_dict()
    weights, card = convert(name, PUBLISHED[name], state, SOURCES[name][1])
    bias = "roi_heads.box_predictor.bbox_pred.bias"
    assert weights[bias].equal(state[bias].reshape(91, 4)[[0, *COCO_PLACES]].flatten())
    assert card.training["parameters"] > 40e6


def test_a_bundle_in_the_cache_is_used_again(cache, monkeypatch) -> None:
    cache.mkdir()
    (cache / "voc-fcn.safetensors").touch()
    monkeypatch.setattr(module, "_source", None)
    assert published_bundle("voc-fcn") == cache / "voc-fcn.safetensors"
    assert locate.find_model("voc-fcn") == cache / "voc-fcn.safetensors"


def test_a_file_put_there_by_hand_is_not_fetched(cache, monkeypatch) -> None:
    cache.mkdir()
    (cache / "w-0123.pth").touch()
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    assert module.fetch("https://nowhere/x/w-0123.pth") == cache / "w-0123.pth"


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"SEGSCAPE_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"SEGSCAPE_CACHE": "", "XDG_CACHE_HOME": "/x"}, "/x/segscape"),
        ({"SEGSCAPE_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/home/me"}, "/home/me/.cache/segscape"),
        ({"SEGSCAPE_CACHE": "~/models", "HOME": "/home/me"}, "/home/me/models"),
    ],
)
def test_where_downloads_are_kept(monkeypatch, environment, folder) -> None:
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert cache_folder() == Path(folder)


# --- what is refused


def test_without_a_network_the_message_says_what_to_do(tmp_path, cache, monkeypatch) -> None:
    url = (tmp_path / "not" / "there-0123abcd.pth").as_uri()
    monkeypatch.setattr(module, "_source", lambda _: (url, []))
    with pytest.raises(ModelError, match=rf"cannot be downloaded.*fetch {url} elsewhere and put it into '{cache}'"):
        published_bundle("voc-fcn")
    assert list(cache.iterdir()) == []


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "content", [{"weight": [1.0]}, [torch.zeros(2)], torch.zeros(2), {"a": torch.zeros(1), "b": 1}]
)
def test_what_is_no_state_dict(publish, content) -> None:
    publish("voc-fcn", content)
    with pytest.raises(ModelError, match="holds something else than weights"):
        published_bundle("voc-fcn")


def test_code_in_a_file_is_not_run(publish, tmp_path) -> None:
    publish("voc-fcn", {"weight": Trap(tmp_path / "trapped")})
    with pytest.raises(ModelError, match="cannot be read as weights"):
        published_bundle("voc-fcn")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut short", b"<html>", pickle.dumps({"a": 1}, 2)])
def test_damaged_files_whose_digest_fits(tmp_path, content) -> None:
    path = tmp_path / f"w-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be read as weights|something else"):
        read_checked(path)


@pytest.mark.parametrize("name", ["w-00000000.pth", "w.pth", "weights-.pth"])
def test_a_file_that_is_not_what_its_name_says_is_not_opened(tmp_path, monkeypatch, name) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / name)
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(ModelError, match=r"not the one in its name; delete it to have it fetched anew"):
        read_checked(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "odd"),
    [
        (lambda state: state.pop("classifier.4.bias"), "'head.4.bias' and 0 more"),
        (lambda state: state.update({"classifier.4.bias": torch.zeros(7)}), "'head.4.bias' and 0 more"),
        (lambda state: state.update(extra=torch.zeros(1)), "'extra' and 0 more"),
        (lambda state: state.clear(), "more"),
    ],
)
def test_weights_of_another_network(change, odd) -> None:
    with torch.device("meta"):
        state = fcn_resnet50(weights=None, weights_backbone=None, num_classes=21).state_dict()
    change(state)
    with pytest.raises(ModelError, match=f"do not fit network 'fcn': .*{odd}"):
        convert("voc-fcn", PUBLISHED["voc-fcn"], state, SOURCES["voc-fcn"][1])
