"""Recipes: defaults, overrides, and every fault named with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from segscape.errors import ConfigError
from segscape.losses import build_loss
from segscape.models import build_model
from segscape.train.recipe import make_recipe, read_recipe

MINIMAL = '[model]\nname = "unet"\n[data]\npath = "folder"\n'
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text('name = "x"\n' + MINIMAL + '[[loss]]\nname = "dice"\n[[loss]]\nname = "lovasz"\nweight = 0.5\n')
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem.replace("_", "-")
    build_model(recipe.model.name, 11, recipe.model.options)
    pixels = [100] * 11
    if recipe.loss:
        build_loss(recipe.loss, num_classes=11, ignore_index=255, class_pixels=pixels, class_image_pixels=pixels)


@pytest.mark.parametrize(
    ("override", "where", "value"),
    [
        ("optim.lr=0.5", ("optim", "lr"), 0.5),
        ("optim.lr = 5e-4", ("optim", "lr"), 5e-4),
        ("name=other", ("name",), "other"),
        ('name="a=b"', ("name",), "a=b"),
        ("data.path=my/fol der", ("data", "path"), "my/fol der"),
        ("augment.crop=[64, 32]", ("augment", "crop"), (64, 32)),
        ("run.tensorboard=false", ("run", "tensorboard"), False),
        ("loss.1.weight=2", ("loss", 1, "weight"), 2),
    ],
)
def test_overrides(recipe_file: Path, override: str, where: tuple, value: object) -> None:
    found = read_recipe(recipe_file, [override])
    for key in where:
        found = found[key] if isinstance(key, int) or isinstance(found, dict) else getattr(found, key)
    assert found == value


def test_options_of_the_network_are_kept_apart(recipe_file: Path) -> None:
    recipe = read_recipe(recipe_file, ["model.base_channels=8", "model.depth=2"])
    assert recipe.model.options == {"base_channels": 8, "depth": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.lr=-1", r"optim\.lr: .*greater than 0"),
        ("optim.lr=nan", r"optim\.lr: "),
        ("optim.speed=1", r"optim\.speed: .*not permitted"),
        ("augment.scale=[2, 1]", r"augment\.scale: .*lowest <= highest"),
        ("augment.crop=[0, 5]", r"augment\.crop\.0"),
        ("run.seed=-1", r"run\.seed"),
        ("loss=[{weight=1}]", "needs a name"),
        ("model.name=mask_rcnn", "mask_rcnn has its own losses; leave .*loss.* out"),
        ("nonsense", "write key=value"),
        ("=3", "write key=value"),
        ("name.x=3", "lies inside a value|is a value"),
        ("loss.7.weight=2", "must be a number below 2"),
        ("loss.x.weight=2", "must be a number below 2"),
    ],
)
def test_faults_name_the_key(recipe_file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(recipe_file, [override])


def test_all_faults_come_at_once() -> None:
    content = {"name": "x", "model": {"name": "unet"}, "data": {}, "optim": {"lr": 0, "epochs": 0}}
    with pytest.raises(ConfigError, match=r"3 fault\(s\)") as caught:
        make_recipe(content, "r.toml")
    assert [key in str(caught.value) for key in ("data.path", "optim.lr", "optim.epochs")] == [True] * 3


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no recipe at"), (b"a = ", "cannot be read"), (b"\xff\xfe", "cannot be read")]
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "r.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_recipe(path)


def test_recipe_round_trip(recipe_file: Path) -> None:
    recipe = read_recipe(recipe_file)
    assert make_recipe(recipe.to_dict()) == recipe
