"""Writers of formats whose masks are images: numbered objects, Pascal VOC, Cityscapes, borders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from segscape.data import cityscapes
from segscape.data.borders import BORDERS, border_classes
from segscape.data.objects import Objects
from segscape.data.public_sets import CITYSCAPES, CITYSCAPES_IDS, voc_color
from segscape.data.sample import Item, some
from segscape.data.voc import CLASSES, IMAGES, LISTS, OBJECTS, VOID
from segscape.data.writing import Target, kept_ids, name_objects, painted, stem_of, write_file, write_json, write_labels
from segscape.errors import DataError


def _write_png(path: Path, values: np.ndarray, palette: list[int] | None = None) -> None:
    from PIL import Image as PilImage

    path.parent.mkdir(parents=True, exist_ok=True)
    image = PilImage.fromarray(values)
    if palette is not None:
        image.putpalette(palette)
    image.save(path, "PNG")


class NumberedWriter:
    """Images beside 16-bit PNGs (`segscape.data.numbered`)."""

    holds_crowds = False

    def __init__(self, target: Target) -> None:
        self.target = target
        if len(labels := target.dataset.label_set) != 1:
            raise DataError(
                f"the format 'numbered' holds one class, and the data set has {len(labels)} ({some(labels.names)}); "
                "coco, labelme, yolo and voc can hold them"
            )

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        if len(objects) > 65535:
            raise DataError(f"{item.name!r}: has {len(objects)} objects, and 16 bits number 65535; write coco")
        numbers = painted(item, objects, kept_ids(objects, 65535), "numbered")
        _write_png(self.target.root / "labels" / f"{item.name}.png", numbers)
        return self.target.root / "images" / f"{item.name}{item.image.suffix}"

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""
        write_labels(self.target)


class VocWriter:
    """Pascal VOC (`segscape.data.voc`)."""

    holds_crowds = False

    def __init__(self, target: Target) -> None:
        self.target = target
        if len(target.dataset.label_set) >= VOID:
            raise DataError(
                f"the format 'voc' holds {VOID - 1} classes, not {len(target.dataset.label_set)}; write coco"
            )
        # Splits are lists here, so that names must differ between splits.
        stems = Counter(stem for stem, _ in {(stem_of(item), item.image) for item in target.items})
        self.flat = all(count == 1 for count in stems.values())
        self.lists: dict[str, list[str]] = {split: [] for split in target.dataset.splits}
        self.palette = [level for i in range(256) for level in voc_color(i)]

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        if len(objects) >= VOID:
            raise DataError(f"{item.name!r}: has {len(objects)} objects, and 'voc' numbers {VOID - 1}; write coco")
        stem = stem_of(item) if self.flat else f"{split}_{stem_of(item)}"
        root = self.target.root
        for folder, values in ((OBJECTS, kept_ids(objects, VOID - 1)), (CLASSES, objects.labels + 1)):
            content = painted(item, objects, values, "voc").astype(np.uint8)
            _write_png(root / folder / f"{stem}.png", content, self.palette)
        self.lists[split].append(stem)
        return root / IMAGES / f"{stem}{item.image.suffix}"

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""
        for split, stems in self.lists.items():
            if stems:
                write_file(self.target.root / LISTS / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))
        write_labels(self.target)


class CityscapesWriter:
    """Cityscapes (`segscape.data.cityscapes`)."""

    holds_crowds = True

    def __init__(self, target: Target) -> None:
        self.target = target
        names = target.dataset.label_set.names
        if strange := [name for name in names if name not in CITYSCAPES.names]:
            raise DataError(
                f"the format 'cityscapes' holds the classes {', '.join(CITYSCAPES.names)}, not {some(strange)}; "
                "coco, labelme, yolo and voc can hold them"
            )
        self.codes = np.array([CITYSCAPES_IDS[CITYSCAPES.index(name)] for name in names])

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        if item.image.suffix.lower() != ".png":
            raise DataError(
                f"{str(item.image)!r}: images in the format 'cityscapes' are PNG; convert them, or write coco"
            )
        codes = self.codes[objects.labels]
        numbers = np.where(objects.crowd, codes, objects.ids)
        if (objects.ids // cityscapes.PER_CLASS != codes)[~objects.crowd].any():
            place = np.zeros(len(objects), np.int64)
            for code in np.unique(codes):
                same = (codes == code) & ~objects.crowd
                place[same] = np.arange(np.count_nonzero(same))
            if (place >= cityscapes.PER_CLASS).any():
                raise DataError(
                    f"{item.name!r}: has over 1000 objects of a class; coco, labelme and yolo can hold them"
                )
            numbers = np.where(objects.crowd, codes, codes * cityscapes.PER_CLASS + place)
        values, counts = np.unique(numbers, return_counts=True)
        if doubled := values[counts > 1].tolist():
            ids = objects.ids[np.isin(numbers, doubled)]
            raise DataError(
                f"{item.name!r}: {name_objects(ids)} are crowds of one class, and the format 'cityscapes' holds one of "
                "them an image; coco and labelme can hold them"
            )
        root, stem = self.target.root, stem_of(item)
        city, _, name = stem.rpartition("/")
        city = city.replace("/", "-") or name.partition("_")[0]
        numbered = painted(item, objects, numbers, "cityscapes")
        _write_png(root / cityscapes.TRUTH / split / city / f"{name}{cityscapes.TRUTH_END}", numbered)
        return root / cityscapes.IMAGES / split / city / f"{name}{cityscapes.IMAGE_END}"

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""


class BorderWriter:
    """A mask folder of `segscape.data.borders`."""

    holds_crowds = True

    def __init__(self, target: Target) -> None:
        self.target = target

    def write(self, split: str, item: Item, objects: Objects) -> Path:
        """See `segscape.data.writing.Writer`."""
        classes = border_classes(objects, self.target.border_px)
        _write_png(self.target.root / "labels" / f"{item.name}.png", classes)
        return self.target.root / "images" / f"{item.name}{item.image.suffix}"

    def finish(self) -> None:
        """See `segscape.data.writing.Writer`."""
        write_json(self.target.root / "labels.json", BORDERS.to_dict())
