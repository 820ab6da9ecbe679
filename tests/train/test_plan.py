"""Anchors, levels and sizes from the objects of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from train_help import QUIET, blobs_recipe, make_blobs

from segscape.data import open_dataset
from segscape.data.objects import Objects, ObjectScan
from segscape.data.sample import Dataset, Item
from segscape.errors import DataError
from segscape.labels import Label, LabelSet
from segscape.masks import RunLengths
from segscape.models import build_model
from segscape.train import setup
from segscape.train.plan import object_plan, plan_for

KEYS = ("zoom", "anchor_sizes", "anchor_stride", "pool_stride", "max_objects")


@pytest.mark.parametrize(
    ("sizes", "most", "plan"),
    [
        pytest.param([20] * 9, 50, (1, [20], 4, 2, 100), id="all alike"),
        pytest.param([5] * 9, 67, (1.6, [10], 4, 2, 150), id="five pixels become eight"),
        pytest.param([2] * 9, 400, (2, [10], 4, 2, 600), id="never more than twice the size"),
        pytest.param([8] * 9, 66, (1, [10], 4, 2, 100), id="eight pixels are enough"),
        pytest.param([31] * 9, 1, (1, [20, 40], 4, 2, 100), id="finer features below 32 px"),
        pytest.param([32] * 9, 1, (1, [20, 40], 4, 4, 100), id="large enough for stride 4"),
        pytest.param([39.9] * 9, 1, (1, [20, 40], 4, 4, 100), id="just below an anchor's size"),
        pytest.param([40] * 9, 1, (1, [40], 8, 4, 100), id="coarser anchors for larger objects"),
        pytest.param([100] * 99 + [800], 7, (1, [80, 160, 320, 640], 8, 4, 100), id="one giant"),
        pytest.param([12] * 50 + [3000] * 50, 7, (1, [10, 20, 40, 80, 160], 4, 4, 100), id="five levels"),
        pytest.param([6] * 20 + [60] * 80, 7, (1.33, [10, 20, 40, 80], 4, 4, 100), id="a tenth is small"),
        pytest.param([6] * 9 + [60] * 91, 7, (1, [10, 20, 40, 80], 4, 4, 100), id="less than a tenth is small"),
    ],
)
def test_plans(sizes: list[float], most: int, plan: tuple) -> None:
    assert plan_for(np.array(sizes, float), most) == dict(zip(KEYS, plan, strict=True))


@given(st.lists(st.floats(0.5, 8000), min_size=1, max_size=40), st.integers(1, 3000))
def test_every_plan_fits_the_network(sizes: list[float], most: int) -> None:
    plan = plan_for(np.array(sizes), most)
    strides = [s for s in (2, 4, 8, 16, 32, 64) if s >= plan["anchor_stride"]]
    assert 1 <= len(plan["anchor_sizes"]) <= len(strides)
    assert plan["anchor_stride"] in (plan["pool_stride"], 2 * plan["pool_stride"], 4 * plan["pool_stride"])
    assert all(b == 2 * a for a, b in zip(plan["anchor_sizes"], plan["anchor_sizes"][1:], strict=False))
    assert 1 <= plan["zoom"] <= 2
    assert plan["max_objects"] >= max(100, 1.5 * most)
    assert plan["max_objects"] % 50 == 0


@pytest.mark.parametrize("sizes", [[5.0], [12.0, 3000.0], [500.0]])
def test_the_network_takes_a_plan(sizes: list[float]) -> None:
    plan = plan_for(np.array(sizes), 5)
    del plan["zoom"]
    build_model("mask_rcnn", 1, {"channels": 4, "box_channels": 4, **plan})


class Source:
    """Objects by the name of the item: crowds are True."""

    def __init__(self, rows: dict[str, list[tuple[int, int, bool]]]) -> None:
        self.rows = rows

    def dataset(self) -> tuple[Dataset, tuple[Item, ...]]:
        items = tuple(Item(name, Path(name), Path(name)) for name in self.rows)
        labels = LabelSet("one", (Label("a", (1, 2, 3)),))
        return Dataset("fake", Path("nowhere"), labels, {"train": items}, objects=self), items

    def files(self, item: Item) -> tuple[Path, ...]:
        return ()

    def scan(self, item: Item) -> ObjectScan:
        rows = self.rows[item.name]
        masks = [RunLengths.from_dense(np.ones((h, w), bool)) for w, h, _ in rows]
        boxes = [(0, 0, w, h) for w, h, _ in rows]
        return ObjectScan(Objects.of((64, 64), zip([0] * len(rows), boxes, masks, strict=True), [c for *_, c in rows]))


def test_sizes_are_of_boxes_and_crowds_are_left_out() -> None:
    dataset, items = Source({"a": [(40, 10, False), (64, 64, True)], "b": [], "c": [(20, 20, False)] * 70}).dataset()
    assert object_plan(dataset, items) == plan_for(np.array([20.0] * 71), 70)
    seen = []
    object_plan(dataset, items, lambda values, total, text: seen.append((total, text)) or values)
    assert seen == [(3, "measuring objects")]


@pytest.mark.parametrize("rows", [{"a": []}, {"a": [(9, 9, True)]}, {}])
def test_without_one_object_there_is_nothing_to_learn(rows: dict) -> None:
    with pytest.raises(DataError, match="nowhere: not one object in the training split"):
        object_plan(*Source(rows).dataset())


@pytest.mark.parametrize(
    ("model", "data", "options", "zoom"),
    [
        ({}, {}, {"anchor_sizes": [10, 20], "anchor_stride": 4, "pool_stride": 2, "max_objects": 100}, 1.0),
        ({"anchor_stride": 8}, {"predict_zoom": 3}, {"anchor_stride": 8, "pool_stride": 2}, 3),
        ({"anchor_sizes": [7], "max_objects": 9}, {}, {"anchor_sizes": [7], "max_objects": 9}, 1.0),
        ({"backbone": "resnet50_fpn"}, {}, {"backbone": "resnet50_fpn", "max_objects": 100}, 1.0),
    ],
)
def test_what_the_recipe_states_is_kept(tmp_path: Path, model: dict, data: dict, options: dict, zoom: float) -> None:
    root = make_blobs(tmp_path)
    recipe = blobs_recipe(root, model={"name": "mask_rcnn", **model}, **{f"data__{k}": v for k, v in data.items()})
    task, found, found_zoom = setup.make_task(recipe, open_dataset(f"numbered:{root}"), None, QUIET)  # type: ignore[arg-type]
    assert (task.name, found_zoom) == ("instance", zoom)
    assert {key: found[key] for key in options} == options
    if "backbone" in model:
        assert found == options, "torchvision's networks come with their anchors"
