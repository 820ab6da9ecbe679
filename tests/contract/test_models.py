"""What every network keeps. A new one joins with one line in `CASES`; a third party may run this on its own."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segscape.models import MODELS, build_model
from segscape.models.network import Network

CLASSES = 3
SMALL_DECODER = {"aspp_channels": 16, "decoder_channels": 16, "low_channels": 8}
# (key of MODELS, options that keep it small)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("fcn", {"variant": "32s"}),
    ("fcn", {"variant": "16s"}),
    ("fcn", {"variant": "8s"}),
    ("fcn", {"variant": "32s", "output_stride": 8}),
    ("unet", {"base_channels": 4, "depth": 4}),
    ("unet", {"base_channels": 4, "depth": 2, "batch_norm": False}),
    ("unet_backbone", {"decoder_channels": (16, 16, 8, 8, 8)}),
    ("unet_backbone", {"decoder_channels": (16, 8, 8), "backbone": "convnext_atto"}),
    ("deeplabv3", {"aspp_channels": 16}),
    ("deeplabv3plus", SMALL_DECODER),
    ("deeplabv3plus", {"output_stride": 8, "separable": False, **SMALL_DECODER}),
    ("deeplabv3plus", {"backbone": "resnet18", **SMALL_DECODER}),
]
IDS = [" ".join([name, *(f"{k}={v}" for k, v in o.items() if k not in SMALL_DECODER)]) for name, o in CASES]


def build(name: str, options: Mapping[str, Any], seed: int = 0) -> Network:
    """A network whose batch norms have seen a batch: random weights alone let signals vanish or explode."""
    torch.manual_seed(seed)
    model = build_model(name, CLASSES, options).train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model(images(4, 96, 96, seed=seed))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def images(count: int, height: int, width: int, *, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def infer(model: Network, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(x)


def bilinear(low: Tensor, stride: int, height: int, width: int) -> Tensor:
    """``low`` at pixels, as `Network.low_logits` places it: score i lies at (i + ½)·s − ½. Written out by hand."""
    out = low
    for dim, length in ((-2, height), (-1, width)):
        last = low.shape[dim] - 1
        position = ((torch.arange(length) + 0.5) / stride - 0.5).clamp(0, last)
        before = position.floor().long()
        share = (position - before).view(-1, 1) if dim == -2 else position - before
        after = (before + 1).clamp(max=last)
        out = out.index_select(dim, before) * (1 - share) + out.index_select(dim, after) * share
    return out


def assert_same(actual: Tensor, expected: Tensor) -> None:
    """Equal but for rounding, on the scale of the scores."""
    assert expected.std() > 0
    torch.testing.assert_close(actual, expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


@pytest.fixture(scope="module", params=CASES, ids=IDS)
def case(request) -> tuple[str, dict[str, Any]]:
    return request.param


@pytest.fixture(scope="module")
def _built(case) -> Network:
    return build(*case)


@pytest.fixture
def model(_built) -> Network:
    """Its own copy for each test, in eval mode."""
    return copy.deepcopy(_built)


def test_every_network_is_here():
    assert {name for name, _ in CASES} == set(MODELS)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 65), (64, 64)])
def test_any_size(model, size):
    out = infer(model, images(2, *size))
    assert out.shape == (2, CLASSES, *size)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


@pytest.mark.parametrize("num_classes", [1, 7])
def test_any_number_of_classes(case, num_classes):
    name, options = case
    model = build_model(name, num_classes, options).eval()
    assert model.num_classes == num_classes
    assert infer(model, images(1, 32, 32)).shape == (1, num_classes, 32, 32)


@pytest.mark.parametrize("size", [(33, 65), (64, 96)])
def test_low_logits_lie_where_they_say(model, size):
    height, width = size
    x = images(1, height, width)
    with torch.inference_mode():
        low = model.low_logits(x)
    m, s = model.multiple, model.stride
    assert m % s == 0
    assert low.shape == (1, CLASSES, -(-height // m) * m // s, -(-width // m) * m // s)
    assert_same(infer(model, x), bilinear(low, s, height, width))


def test_padding_changes_nothing_but_the_size(model):
    x = images(1, 45, 70)
    m = model.multiple
    padded = F.pad(x, (0, -70 % m, 0, -45 % m), mode="replicate")
    assert_same(infer(model, x), infer(model, padded)[..., :45, :70])


def test_a_fitting_size_is_not_padded(model, monkeypatch):
    x = images(1, 2 * model.multiple, 3 * model.multiple)
    with torch.inference_mode():
        expected = model.score(x)
        monkeypatch.setattr(F, "pad", None)  # only Network pads, unless the backbone pads inside
        monkeypatch.setattr(model, "score", lambda given: expected if given is x else None)
        assert model.low_logits(x) is expected


def test_gradients_reach_every_parameter(model):
    torch.manual_seed(0)
    with torch.no_grad():  # some residual blocks start switched off, with weight 0 in their last batch norm
        for parameter in model.train().parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.01)
    target = torch.arange(2 * 96 * 96).reshape(2, 96, 96) // 500 % CLASSES
    F.cross_entropy(model(images(2, 96, 96)), target).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_a_step_down_the_gradient_lowers_the_loss(model):
    x, target = images(2, 64, 64), torch.zeros(2, 64, 64, dtype=torch.long)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = F.cross_entropy(model(x), target)
    before.backward()
    optimizer.step()
    assert F.cross_entropy(model(x), target) < before


def test_eval_is_deterministic_and_leaves_no_trace(model):
    state = copy.deepcopy(model.state_dict())
    x = images(2, 40, 50)
    assert torch.equal(infer(model, x), infer(model, x))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_train_updates_running_statistics(model):
    before = {name: b.clone() for name, b in model.named_buffers() if name.endswith("num_batches_tracked")}
    model.train()(images(2, 64, 64))
    after = dict(model.named_buffers())
    assert all(after[name] == count + 1 for name, count in before.items())


def test_batch_of_two_is_two_batches_of_one(model):
    x = images(2, 48, 65)
    assert_same(infer(model, x), torch.cat([infer(model, x[:1]), infer(model, x[1:])]))


def test_channels_last_gives_the_same(model):
    x = images(2, 64, 65)
    expected = infer(model, x)
    model.to(memory_format=torch.channels_last)
    assert_same(infer(model, x.to(memory_format=torch.channels_last)), expected)


def test_bfloat16_is_close(model):
    x = images(2, 64, 64)
    expected = infer(model, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = infer(model, x).float()
    assert out.isfinite().all()
    assert (out - expected).norm() / expected.norm() < 0.3  # eight bits through fifty untrained layers; unrelated: 1.4


def test_state_dict_through_safetensors(model, case):
    x = images(1, 40, 50)
    other = build(*case, seed=9)
    assert not torch.allclose(infer(other, x), infer(model, x))
    other.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
    assert torch.equal(infer(other, x), infer(model, x))


def test_same_seed_same_weights(case):
    first, second, other = (build(*case, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
