"""Figures over many scenes: shares, counts, histograms. Scenes come one by one and are not kept."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segscape.labels import Label
from segscape.report.relation_lines import one_way
from segscape.scene.scene import Scene

AREA_EDGES = tuple(float(f"{10.0 ** (half / 2):.1g}") for half in range(-8, 1))
"""Bins of the histogram of region areas, in shares of the image: half a decade each, from 0.01 % to all of it."""
_MOST_BINS = 12


@dataclass(slots=True)
class ClassFigures:
    """What is known of one class: its label, and of its regions the number, the areas and the images they are in."""

    label: Label
    share_sum: float = 0.0
    num_images: int = 0
    areas_px: array[int] = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Statistics:
    """Figures over the scenes that were added. Classes are told apart by name, also across label sets; a relation
    and its inverse are one."""

    num_images: int = 0
    num_regions: int = 0
    num_relations: int = 0
    classes: dict[str, ClassFigures] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    area_counts: list[int] = field(default_factory=lambda: [0] * len(AREA_EDGES))
    num_things: list[int] = field(default_factory=list)

    def add(self, scene: Scene) -> None:
        """Take one scene into account."""
        self.num_images += 1
        self.num_regions += len(scene.regions)
        self.num_relations += len(one_way(scene))
        self.kinds[scene.kind.name] += 1
        self.num_things.append(sum(scene.label_set[region.label].thing for region in scene.regions))
        for label in scene.label_set:
            if label.name in scene.shares:
                figures = self.classes.setdefault(label.name, ClassFigures(label))
                figures.share_sum += scene.shares[label.name]
                figures.num_images += 1
        for region in scene.regions:
            figures = self.classes.setdefault(region.name, ClassFigures(scene.label_set[region.label]))
            figures.areas_px.append(region.area_px)
        shares = np.array([region.share for region in scene.regions])
        for number, count in zip(*np.unique(_area_bin(shares), return_counts=True), strict=True):
            self.area_counts[number] += int(count)

    def class_rows(self) -> list[dict[str, Any]]:
        """A row for each class that occurred, by falling mean share over all images.

        Keys: label, zh, color, mean_share (0…1), num_images, num_regions, median_area_px (None without a region).
        """
        rows = [
            {
                "label": name,
                "zh": figures.label.zh,
                "color": list(figures.label.color),
                "mean_share": figures.share_sum / self.num_images,
                "num_images": figures.num_images,
                "num_regions": len(figures.areas_px),
                "median_area_px": float(np.median(figures.areas_px)) if figures.areas_px else None,
            }
            for name, figures in self.classes.items()
        ]
        return sorted(rows, key=lambda row: (-row["mean_share"], row["label"]))

    def things_histogram(self) -> tuple[list[int], list[int]]:
        """Regions of things in an image: the lower end of each bin of whole numbers, and the images in it.

        All bins are equally wide, 1, 2 or 5 times a power of ten, and at most twelve.
        """
        largest = max(self.num_things, default=0)
        widths = (factor * 10**power for power in range(20) for factor in (1, 2, 5))
        width = next(width for width in widths if largest // width < _MOST_BINS)
        counts = Counter(number // width for number in self.num_things)
        num_bins = largest // width + 1
        return [i * width for i in range(num_bins)], [counts[i] for i in range(num_bins)]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        starts, images = self.things_histogram()
        return {
            "num_images": self.num_images,
            "num_regions": self.num_regions,
            "num_relations": self.num_relations,
            "kinds": dict(self.kinds.most_common()),
            "classes": self.class_rows(),
            "region_area_histogram": {"share_from": [0.0, *AREA_EDGES[:-1]], "regions": list(self.area_counts)},
            "things_histogram": {"things_from": starts, "images": images},
        }


def _area_bin(shares: np.ndarray) -> np.ndarray:
    """The bin of each share: 0 below the first edge, then from edge to edge; all of the image is in the last."""
    return np.minimum(np.searchsorted(AREA_EDGES, shares, "right"), len(AREA_EDGES) - 1)
