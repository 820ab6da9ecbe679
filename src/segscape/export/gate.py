"""Whether a quantised model is still as good: compared with the original class by class, within stated limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from segscape.evaluate.instance import InstanceReport, evaluate_instances
from segscape.evaluate.semantic import SemanticReport, evaluate_semantic

if TYPE_CHECKING:
    from rich.table import Table

    from segscape.data.sample import Dataset
    from segscape.export.quantize import Progress
    from segscape.predict.predictor import Predictor

MEAN = "mean"
"""Name of the row of all classes together."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be lost, all 0…1.

    Attributes:
        class_iou: of a class's IoU.
        mean_iou: of the mIoU.
        ap: of a class's AP of masks (COCO), and of the mean.
    """

    class_iou: float = 0.015
    mean_iou: float = 0.005
    ap: float = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """A class, or `MEAN`: its score before and after, 0…1 or None where it is undefined, and what it may lose."""

    name: str
    before: float | None
    after: float | None
    limit: float

    @property
    def change(self) -> float | None:
        """After less before; a class that only one has a score for went to or came from 0."""
        if self.before is None and self.after is None:
            return None
        return (self.after or 0.0) - (self.before or 0.0)

    @property
    def within(self) -> bool:
        """Whether no more is lost than may be."""
        return self.change is None or self.change >= -self.limit


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model before and after.

    Attributes:
        measure: "IoU" or "AP".
        rows: the mean, then the classes.
        num_images: they were measured on.
    """

    measure: str
    rows: tuple[Row, ...]
    num_images: int

    @property
    def passed(self) -> bool:
        """Whether every row is within its limit."""
        return all(row.within for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types, scores to six decimals."""
        rows = [
            {key: round(value, 6) if isinstance(value, float) else value for key, value in asdict(row).items()}
            for row in self.rows
        ]
        return {"measure": self.measure, "passed": self.passed, "num_images": self.num_images, "rows": rows}

    def table(self) -> Table:
        """For the terminal, in points of percent."""
        from rich.table import Table

        table = Table("", "before", "int8", "change", "may lose", "", title=f"{self.measure}, {self.num_images} images")
        for row in self.rows:
            shown = ("-" if v is None else f"{100 * v:.2f}" for v in (row.before, row.after))
            change = "-" if row.change is None else f"{100 * row.change:+.2f}"
            table.add_row(row.name, *shown, change, f"{100 * row.limit:g}", "" if row.within else "too much")
        return table


def measure(
    predictor: Predictor, dataset: Dataset, split: str, progress: Progress | None = None
) -> SemanticReport | InstanceReport:
    """A model's scores on a split, by `segscape.evaluate`, without resampling.

    What refines label maps behind the network is left out: it is the network that changes.

    Raises:
        as `evaluate_semantic` and `evaluate_instances`.
    """
    if predictor.card.finds_objects:
        return evaluate_instances(
            lambda sample: predictor.predict(sample.pixels, min_score=0.0, keep_image=False),
            dataset,
            split,
            min_score=predictor.default_min_score,
            progress=progress,
            bootstrap=0,
        )
    return evaluate_semantic(
        lambda sample: predictor.predict(sample.pixels, refine="none", keep_image=False),
        dataset,
        split,
        progress=progress,
        bootstrap=0,
    )


def compare(
    before: SemanticReport | InstanceReport, after: SemanticReport | InstanceReport, limits: Limits
) -> Comparison:
    """Two reports of `measure` on the same images."""
    if isinstance(before, SemanticReport) and isinstance(after, SemanticReport):
        rows = [Row(MEAN, before.miou, after.miou, limits.mean_iou)]
        rows += [Row(name, score, after.iou[name], limits.class_iou) for name, score in before.iou.items()]
        return Comparison("IoU", tuple(rows), before.num_images)
    assert isinstance(before, InstanceReport)
    assert isinstance(after, InstanceReport)
    rows = [Row(MEAN, before.map_mask, after.map_mask, limits.ap)]
    rows += [
        Row(name, scores["map_mask"], after.per_class[name]["map_mask"], limits.ap)
        for name, scores in before.per_class.items()
    ]
    return Comparison("AP", tuple(rows), before.num_images)
