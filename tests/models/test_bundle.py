import copy
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from segscape.errors import InputError, ModelError
from segscape.labels import Label, LabelSet
from segscape.models import MODELS, build_model
from segscape.models.bundle import (
    ModelCard,
    load_bundle,
    read_card,
    record_metrics,
    record_objects,
    record_refinement,
    save_bundle,
)
from segscape.models.network import Network
from segscape.preprocess import Preprocess
from segscape.refine.crf import CrfParameters
from segscape.refine.watershed import WatershedParameters

SMALL = {"aspp_channels": 8, "decoder_channels": 8, "low_channels": 8}
# Every network, and a backbone with buffers that are in no state dict (its blur filters).
CASES: list[tuple[str, dict[str, Any]]] = [
    ("fcn", {}),
    ("unet", {"base_channels": 4, "depth": 2}),
    ("unet_backbone", {"decoder_channels": [16, 8]}),
    ("unet_backbone", {"decoder_channels": [16, 8], "backbone": "resnetblur18"}),
    ("deeplabv3", {"aspp_channels": 8}),
    ("deeplabv3plus", SMALL),
]
PLAIN = {"mean": [0, 0, 0], "std": [1, 1, 1], "long_side": None}
LABELS = LabelSet("two", (Label("sky", (1, 2, 3), "天空"), Label("car", (4, 5, 6), "汽车", True)), 7)
FULL = ModelCard(
    name="full",
    network="unet",
    options={"base_channels": 4, "depth": 1},
    label_set=LABELS,
    preprocess=Preprocess((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 640),
    data={"kind": "folder", "images": {"train": 3}},
    metrics={"val": {"miou": 0.5, "iou": {"sky": None}}},
    recipe={"optim": {"lr": 1e-3, "name": "adamw"}, "augment": {"crop": [32, 32]}},
    training={"steps": 10, "parameters": 1234567},
)


def random_net(network: str = "unet", options: dict[str, Any] = FULL.options, seed: int = 0) -> Network:
    """With weights and statistics that are all different from what a new network has."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(network, len(LABELS), options).eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                assert module.num_batches_tracked is not None
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.8, 1.2)
                module.num_batches_tracked.fill_(2**53 + 1)
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.safetensors"


def test_every_network_is_here():
    assert {network for network, _ in CASES} == set(MODELS)


@pytest.mark.parametrize(("network", "options"), CASES, ids=[" ".join([n, *map(str, o.values())]) for n, o in CASES])
def test_what_is_loaded_is_what_was_saved(path, network, options):
    model = random_net(network, options)
    save_bundle(path, model.state_dict(), replace(FULL, network=network, options=options))
    loaded, card = load_bundle(path)
    assert (card.network, dict(card.options)) == (network, options)
    assert not loaded.training
    for tensor in [*loaded.parameters(), *loaded.buffers()]:
        assert tensor.device == torch.device("cpu")
        assert tensor.dtype == (torch.float32 if tensor.is_floating_point() else torch.int64)
    own = loaded.state_dict()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(own[name], tensor, rtol=2**-11, atol=6e-8)
        else:
            assert torch.equal(own[name], tensor)
    rounded = copy.deepcopy(model)
    rounded.load_state_dict({k: v.half().float() if v.is_floating_point() else v for k, v in own.items()})
    x = torch.randn(1, 3, 45, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = rounded(x)
        assert expected.std() > 0
        torch.testing.assert_close(loaded(x), expected)


@pytest.mark.parametrize("half", [True, False])
def test_precision_on_disk(path, half):
    model = random_net()
    save_bundle(path, model.state_dict(), FULL, half=half)
    kinds = {t.dtype for t in safetensors.torch.load_file(path).values()}
    assert kinds == {torch.float16 if half else torch.float32, torch.int64}
    if not half:
        loaded = load_bundle(path)[0].state_dict()
        assert all(torch.equal(loaded[k], v) for k, v in model.state_dict().items())


def test_channels_last_weights_are_saved_as_they_are_meant(path):
    model = random_net()
    expected = model.state_dict()["down.1.0.weight"].clone()
    save_bundle(path, model.to(memory_format=torch.channels_last).state_dict(), FULL, half=False)
    assert torch.equal(load_bundle(path)[0].state_dict()["down.1.0.weight"], expected)


def test_a_loaded_network_can_be_trained(path):
    save_bundle(path, random_net().state_dict(), FULL)
    model = load_bundle(path)[0].train()
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("card", [FULL, ModelCard("bare", "unet", FULL.options, LABELS, Preprocess())])
def test_a_card_comes_back_as_it_was(path, card):
    written = save_bundle(path, random_net().state_dict(), card)
    assert written == replace(card, sha256=written.sha256)
    assert read_card(path) == replace(
        written, preprocess=written.preprocess, recipe=json.loads(json.dumps(dict(card.recipe)))
    )
    assert ModelCard.from_json(card.to_json()).to_dict() == card.to_dict()
    assert len(written.sha256) == 64
    assert written.id == f"{card.name}@{written.sha256[:8]}"


def test_a_file_name_that_is_no_text_may_stand_on_a_card(path):
    odd = replace(FULL, recipe={"data": {"path": "bad\udcff"}})
    save_bundle(path, random_net().state_dict(), odd)
    assert read_card(path).recipe == odd.recipe


def test_the_hash_is_that_of_the_weights_alone(path):
    model = random_net()
    first = save_bundle(path, model.state_dict(), FULL)
    assert save_bundle(path, model.state_dict(), replace(FULL, name="other", metrics={})).sha256 == first.sha256
    assert save_bundle(path, dict(reversed(model.state_dict().items())), FULL).sha256 == first.sha256
    changed = model.state_dict()
    changed["head.bias"] = changed["head.bias"] + 0.5
    assert save_bundle(path, changed, FULL).sha256 != first.sha256


@pytest.mark.parametrize("half", [True, False])
def test_recorded_metrics_change_nothing_else(path, half):
    before = save_bundle(path, random_net().state_dict(), FULL, half=half)
    weights = safetensors.torch.load_file(path)
    after = record_metrics(path, "test", {"miou": 0.75})
    assert after == read_card(path) == replace(before, metrics={**FULL.metrics, "test": {"miou": 0.75}})
    assert load_bundle(path)[1].sha256 == before.sha256
    again = safetensors.torch.load_file(path)
    assert {k: v.dtype for k, v in again.items()} == {k: v.dtype for k, v in weights.items()}
    assert all(torch.equal(again[k], v) for k, v in weights.items())
    assert record_metrics(path, "test", {"miou": None}).summary()["miou"] == {"val": 0.5}


def test_metrics_are_not_recorded_on_a_damaged_bundle(path):
    save_bundle(path, random_net().state_dict(), FULL)
    damaged = path.read_bytes()[:-1] + b"\x55"
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match="hash"):
        record_metrics(path, "test", {"miou": 1.0})
    assert path.read_bytes() == damaged


TUNED = {"crf": CrfParameters(bilateral_weight=7).to_dict(), "default": True, "measured": {"split": "val"}}


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ({}, TUNED, False),
        ({}, {**TUNED, "default": False}, True),
        (TUNED, {**TUNED, "measured": {}}, True),
        (TUNED, {**TUNED, "crf": CrfParameters().to_dict()}, False),
        (TUNED, {**TUNED, "default": False}, False),
        (TUNED, {}, False),
    ],
)
def test_a_recorded_refinement_keeps_metrics_only_if_they_stay_true(path, before, after, kept):
    card = save_bundle(path, random_net().state_dict(), replace(FULL, refine=before))
    assert read_card(path) == card
    changed = record_refinement(path, after)
    assert changed == read_card(path) == replace(card, refine=after, metrics=FULL.metrics if kept else {})
    assert load_bundle(path)[1].sha256 == card.sha256


FLOOD = {"watershed": WatershedParameters().to_dict(), "label": {"name": "cell", "zh": "", "color": [1, 2, 3]}}


@pytest.mark.parametrize(
    ("before", "after", "zoom", "kept"),
    [
        ({}, {"min_score": 0.4, "overlap": True}, 1.0, False),
        ({"min_score": 0.4}, {"min_score": 0.4, "measured": {"split": "val"}}, 1.0, True),
        ({"min_score": 0.4, "measured": {}}, {"min_score": 0.4}, 1.0, True),
        ({"min_score": 0.4}, {"min_score": 0.5}, 1.0, False),
        ({"min_score": 0.4}, {"min_score": 0.4}, 1.5, False),
        ({"overlap": True}, {"overlap": False}, 1.0, False),
        (FLOOD, {}, 1.0, False),
        (FLOOD, {**FLOOD, "measured": {"mean_ap": 0.5}}, 1.0, True),
    ],
)
def test_recorded_objects_keep_metrics_only_if_they_stay_true(path, before, after, zoom, kept):
    card = save_bundle(path, random_net().state_dict(), replace(FULL, objects=before))
    assert read_card(path) == card
    changed = record_objects(path, after, zoom)
    preprocess = replace(card.preprocess, zoom=zoom)
    assert (
        changed
        == read_card(path)
        == replace(card, objects=after, preprocess=preprocess, metrics=FULL.metrics if kept else {})
    )
    assert load_bundle(path)[1].sha256 == card.sha256


def test_what_a_card_says_of_objects():
    plain = replace(FULL, task="instance")
    assert "objects" not in plain.to_dict()
    assert (plain.finds_objects, plain.watershed, plain.result_labels) == (True, None, LABELS)
    assert (FULL.finds_objects, FULL.watershed, FULL.result_labels) == (False, None, LABELS)
    flooding = replace(FULL, objects=FLOOD)
    assert (flooding.finds_objects, flooding.watershed) == (True, WatershedParameters())
    assert flooding.result_labels == LabelSet(LABELS.name, (Label("cell", (1, 2, 3), thing=True),))
    assert ModelCard.from_json(flooding.to_json()) == flooding
    measured = replace(plain, metrics={"val": {"map_mask": 0.25}, "test": {"miou": 0.5}})
    assert measured.summary()["map_mask"] == {"val": 0.25}
    assert "miou" not in measured.summary()


def test_a_network_that_finds_objects_is_loaded_as_it_was_saved(path):
    options = {"channels": 8, "box_channels": 8, "anchor_sizes": [8, 16], "pool_stride": 2}
    model = random_net("mask_rcnn", options)
    save_bundle(
        path, model.state_dict(), replace(FULL, network="mask_rcnn", options=options, task="instance"), half=False
    )
    loaded, card = load_bundle(path)
    assert (card.network, card.options, card.task) == ("mask_rcnn", options, "instance")
    x = torch.randn(1, 3, 48, 64)
    for net in (model, loaded):
        net.roi_heads.score_thresh = 0.0
    with torch.inference_mode():
        found, wanted = (net.detect(x)[0] for net in (loaded, model))
    assert len(wanted["scores"]) == 100
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_a_card_without_refinement_is_as_before_there_was_any(path):
    card = save_bundle(path, random_net().state_dict(), FULL)
    assert "refine" not in card.to_dict()
    assert (card.refine, card.crf, card.refines) == ({}, None, False)
    tuned = replace(card, refine=TUNED)
    assert (tuned.crf, tuned.refines) == (CrfParameters(bilateral_weight=7), True)
    assert ModelCard.from_json(tuned.to_json()) == replace(tuned, recipe=json.loads(json.dumps(dict(card.recipe))))


def test_a_card_is_read_without_its_weights(path):
    saved = save_bundle(path, random_net().state_dict(), FULL)
    content = path.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    path.write_bytes(content[:header] + bytes(len(content) - header))
    assert read_card(path) == saved
    with pytest.raises(ModelError, match="hash"):
        load_bundle(path)


def test_headers_of_any_length_are_read(path):
    """The length stands in the file's first bytes, where pickles have marks of their own: 0x80, and "PK" for zips."""
    model = random_net()
    starts = set()
    for pad in range(0, 264, 8):
        save_bundle(path, model.state_dict(), replace(FULL, name="n" * (1 + pad)))
        starts.add(path.read_bytes()[0])
        assert read_card(path).name == "n" * (1 + pad)
    assert 0x80 in starts
    state = model.state_dict()
    base = struct.unpack("<Q", path.read_bytes()[:8])[0]
    save_bundle(path, state, replace(FULL, name="n" * (257 + 0x4B50 - base)))
    assert path.read_bytes()[:2] == b"PK"
    load_bundle(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_are_not_finite_are_not_saved(path, value):
    state = random_net().state_dict()
    state["head.bias"] = torch.tensor([0.0, value])
    path.write_bytes(b"old")
    with pytest.raises(ModelError, match=r"'head\.bias' are not finite in the stored precision"):
        save_bundle(path, state, FULL)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("x"), {1, 2}])
def test_a_card_that_json_cannot_hold_is_not_saved(path, value):
    with pytest.raises(ModelError, match="card of model 'full' cannot be written"):
        save_bundle(path, random_net().state_dict(), replace(FULL, training={"seconds": value}))
    assert not path.exists()


def test_summary():
    assert replace(FULL, options={"backbone": "resnet18"}).summary() == {
        "network": "unet resnet18",
        "classes": 2,
        "data": "folder",
        "terms": "",
        "parameters": 1234567,
        "miou": {"val": 0.5},
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "card format 2, but this version reads 1"),
        ({"name": 5}, "'name' must be text, got int"),
        ({"network": ["unet"]}, "'network' must be text, got list"),
        ({"sha256": None}, "'sha256' must be text"),
        ({"options": [1]}, "'options' must be an object, got list"),
        ({"metrics": {"val": 0.5}}, "'metrics' must hold an object for each split"),
        ({"label_set": {"name": "x", "labels": [], "ignore_index": 255}}, "needs 1 to 65535 labels"),
        ({"label_set": {**LABELS.to_dict(), "ignore_index": float("inf")}}, "incomplete or wrong"),
        ({"preprocess": {"mean": [0, 0], "std": [1, 1, 1], "long_side": None}}, "three finite numbers"),
        ({"preprocess": {"mean": [0, 0, 0], "std": [1, 0, 1], "long_side": None}}, "std above 0"),
        ({"preprocess": {"mean": [0, 0, float("nan")], "std": [1, 1, 1], "long_side": None}}, "finite"),
        ({"preprocess": {"mean": [10**400, 0, 0], "std": [1, 1, 1], "long_side": None}}, "incomplete or wrong"),
        ({"preprocess": {"mean": [0, 0, 0], "std": [1, 1, 1], "long_side": 10**9}}, "long_side"),
        ({"preprocess": {**PLAIN, "short_side": 0}}, "short_side must be a whole number"),
        ({"preprocess": {**PLAIN, "short_side": 1.5}}, "short_side must be a whole number"),
        ({"preprocess": {**PLAIN, "zoom": 0}}, "zoom must be a number in 1/64…64"),
        ({"preprocess": {**PLAIN, "zoom": float("nan")}}, "zoom must be a number"),
        ({"objects": [1]}, "'objects' must be an object, got list"),
        ({"objects": {"min_score": 1.5}}, "'min_score' must be a number in 0…1, got 1.5"),
        ({"objects": {"min_score": True}}, "'min_score' must be a number"),
        ({"objects": {"min_score": float("nan")}}, "'min_score' must be a number"),
        ({"objects": {"overlap": 1}}, "'overlap' must be true or false"),
        ({"objects": {"watershed": {}}}, "watershed parameters must be"),
        ({"objects": {"watershed": 5}}, "incomplete or wrong"),
        ({"objects": {"watershed": WatershedParameters().to_dict()}}, "label"),
        ({"objects": {**FLOOD, "label": {"name": "", "color": [1, 2, 3]}}}, "needs a name"),
        ({"preprocess": {"mean": [0, 0, 0], "std": [1, 1, 1], "long_side": True}}, "long_side"),
        ({"preprocess": None}, "incomplete or wrong"),
        ({"refine": [1]}, "'refine' must be an object, got list"),
        ({"refine": None}, "'refine' must be an object"),
        ({"refine": {"crf": 5}}, "'crf' must be an object"),
        ({"refine": {"crf": {}}}, "CRF parameters must be gaussian_weight"),
        ({"refine": {"crf": {**TUNED["crf"], "iterations": 10**9}}}, "iterations must be a whole number in 1…100"),
        ({"refine": {"crf": {**TUNED["crf"], "bilateral_srgb": "5"}}}, "bilateral_srgb must be a number"),
        ({"refine": {**TUNED, "default": 1}}, "true or false"),
        ({"refine": {"default": True}}, "have a 'crf'"),
    ],
)
def test_cards_that_are_wrong_say_where(change, says):
    with pytest.raises(InputError, match=says):
        ModelCard.from_dict({**FULL.to_dict(), **change})


@pytest.mark.parametrize("key", ["format", *FULL.to_dict().keys()])
def test_cards_that_are_incomplete_say_so(key):
    values = {k: v for k, v in FULL.to_dict().items() if k != key}
    with pytest.raises(InputError, match=key):
        ModelCard.from_dict(values)
