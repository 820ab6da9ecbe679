"""From masks to a `Scene`: regions, relations, what is where, what sort of scene."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from segscape.labels import LabelSet
from segscape.scene.kind import kind_of
from segscape.scene.measures import Borders, Measures
from segscape.scene.regions import layout_of, regions_of, regions_of_tiles, scene_regions
from segscape.scene.relations import relations_of
from segscape.scene.run_map import RunMap
from segscape.scene.scan import Tile
from segscape.scene.scene import Scene
from segscape.scene.vocabulary import role_of

if TYPE_CHECKING:
    from segscape.result import Segmentation

_MOST_RELATIONS = 8


def build_scene(
    segmentation: Segmentation, *, min_area_px: int | None = None, most_relations: int = _MOST_RELATIONS
) -> Scene:
    """What is in a segmented image, where, and how it hangs together.

    Args:
        segmentation: of any model; with the photo, regions have colours, with confidence, each piece its mean.
        min_area_px: smaller connected pieces are merged into their surround (`segscape.scene.specks` has the rule);
            None takes a ten-thousandth of the image, 1024 at most; 1 merges nothing. Single objects always stay.
        most_relations: of each predicate, the strongest so many are kept for each region.

    Raises:
        InputError: min_area_px or most_relations is below 1.
    """
    return _scene(
        *regions_of(segmentation, min_area_px=min_area_px),
        segmentation.label_set,
        most_relations,
        single_objects=segmentation.single_objects,
        source="<array>" if segmentation.image is None else segmentation.image.source,
        model=segmentation.model,
        image=segmentation.image,
    )


def build_scene_of_tiles(
    tiles: Iterable[Tile | tuple[Any, ...]],
    size: tuple[int, int],
    label_set: LabelSet,
    *,
    min_area_px: int | None = None,
    most_relations: int = _MOST_RELATIONS,
    source: str = "<array>",
    model: str = "",
) -> Scene:
    """The scene of a label map that comes in tiles: that of the whole map, which is never in memory.

    Args:
        tiles: see `segscape.scene.scan.scan_tiles`.
        size: (height, width) of the whole.
        label_set: what the ids mean.
        min_area_px, most_relations: see `build_scene`.
        source, model: as in `Scene`.

    Raises:
        InputError: see `build_scene` and `segscape.scene.scan.scan_tiles`.
    """
    measured = regions_of_tiles(tiles, size, label_set, min_area_px=min_area_px)
    return _scene(*measured, label_set, most_relations, single_objects=False, source=source, model=model)


def _scene(
    run_map: RunMap, measures: Measures, borders: Borders, label_set: LabelSet, most_relations: int, **given: Any
) -> Scene:
    roles = [role_of(label.name) for label in label_set]
    labels = measures.label[: measures.num_regions]
    ground = np.array([role == "ground" for role in roles])[labels]
    regions = scene_regions(run_map, measures, label_set, ground)
    things = np.array([label.thing for label in label_set])
    areas = np.bincount(labels, weights=measures.area_px[: measures.num_regions], minlength=len(label_set))
    height, width = measures.size
    shares = {
        label_set[label].name: float(areas[label]) / (height * width)
        for label in np.argsort(-areas, kind="stable").tolist()
        if areas[label]
    }
    return Scene(
        size=measures.size,
        label_set=label_set,
        regions=regions,
        relations=relations_of(measures, borders, run_map, roles, things, most_relations),
        layout=layout_of(run_map, measures, label_set),
        shares=shares,
        kind=kind_of(shares, Counter(region.name for region in regions)),
        **given,
    )
