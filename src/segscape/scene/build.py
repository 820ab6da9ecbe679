"""From a `Segmentation` to its `Scene`: regions, relations, what is where, what sort of scene."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from segscape.scene.kind import kind_of
from segscape.scene.regions import layout_of, regions_of, scene_regions
from segscape.scene.relations import relations_of
from segscape.scene.scene import Scene
from segscape.scene.vocabulary import role_of

if TYPE_CHECKING:
    from segscape.result import Segmentation


def build_scene(segmentation: Segmentation, *, min_area_px: int | None = None, most_relations: int = 8) -> Scene:
    """What is in a segmented image, where, and how it hangs together.

    Args:
        segmentation: of any model; with the photo, regions have colours, with confidence, each piece its mean.
        min_area_px: smaller connected pieces are merged into their surround (`segscape.scene.regions` has the rule);
            None takes a ten-thousandth of the image, 1024 at most; 1 merges nothing. Single objects always stay.
        most_relations: of each predicate, the strongest so many are kept for each region.

    Raises:
        InputError: min_area_px or most_relations is below 1.
    """
    label_set = segmentation.label_set
    run_map, measures, borders = regions_of(segmentation, min_area_px=min_area_px)
    roles = [role_of(label.name) for label in label_set]
    labels = measures.label[: measures.num_regions]
    ground = np.array([role == "ground" for role in roles])[labels]
    regions = scene_regions(run_map, measures, label_set, ground)
    things = np.array([label.thing for label in label_set])
    areas = np.bincount(labels, weights=measures.area_px[: measures.num_regions], minlength=len(label_set))
    height, width = segmentation.size
    shares = {
        label_set[label].name: float(areas[label]) / (height * width)
        for label in np.argsort(-areas, kind="stable").tolist()
        if areas[label]
    }
    return Scene(
        size=segmentation.size,
        label_set=label_set,
        regions=regions,
        relations=relations_of(measures, borders, run_map, roles, things, most_relations),
        layout=layout_of(run_map, measures, label_set),
        shares=shares,
        kind=kind_of(shares, Counter(region.name for region in regions)),
        single_objects=segmentation.single_objects,
        source="<array>" if segmentation.image is None else segmentation.image.source,
        model=segmentation.model,
        image=segmentation.image,
    )
