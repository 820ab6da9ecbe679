"""One label set for a semantic and an instance model that know different classes by different names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from segscape.errors import InputError
from segscape.labels import Label, LabelSet

SYNONYMS: Mapping[str, str] = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "person": "pedestrian",
    "potted plant": "pottedplant",
    "tv": "tvmonitor",
}
"""What COCO calls otherwise than Pascal VOC and CamVid do."""

COCO_AS_CAMVID: Mapping[str, str] = {
    **SYNONYMS,
    "bicycle": "bicyclist",
    "motorcycle": "bicyclist",
    "bus": "car",
    "train": "car",
    "truck": "car",
}
"""What COCO's objects are in the 11 classes of CamVid, where all larger vehicles are cars. CamVid's bicyclist is rider
and bicycle in one; COCO's rider is a person, and so comes out as a pedestrian on a bicyclist."""


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """From the class ids of two label sets to those of a joint one.

    Attributes:
        semantic, objects: the two label sets.
        joint: that of the result: the semantic labels under their ids, then those that only the objects have.
        from_objects: the joint id of each class of ``objects``; a semantic class has the same id in the joint set.
    """

    semantic: LabelSet
    objects: LabelSet
    joint: LabelSet
    from_objects: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "from_objects", tuple(self.from_objects))
        if len(self.from_objects) != len(self.objects):
            raise InputError(
                f"a mapping of {len(self.objects)} classes has {len(self.from_objects)} ids; give one each"
            )
        if len(self.joint) < len(self.semantic) or not all(0 <= i < len(self.joint) for i in self.from_objects):
            raise InputError(f"the joint label set {self.joint.name!r} has too few classes for this mapping")

    def semantic_to_joint(self, label_map: np.ndarray) -> np.ndarray:
        """A label map (H, W) of the semantic set with the joint one's ids: uint8, or uint16 if these need it."""
        dtype = np.uint8 if max(len(self.joint) - 1, self.joint.ignore_index) < 256 else np.uint16
        table = np.full(np.iinfo(label_map.dtype).max + 1, self.joint.ignore_index, dtype)
        table[: len(self.semantic)] = np.arange(len(self.semantic))
        return table[label_map]


def join_label_sets(semantic: LabelSet, objects: LabelSet, aliases: Mapping[str, str] | None = None) -> LabelMapping:
    """Join the label sets of a semantic and an instance model.

    A class of objects is the semantic class of its own name, whatever the case and with "_" or "-" for a space; else
    that of its alias; else a class of its own. What objects are found of is a thing in the joint set, even if the
    semantic set calls it stuff; names and colours are those of the semantic set where it has the class.

    Args:
        semantic, objects: the two label sets.
        aliases: from names of objects to names of semantic classes; those that the sets do not have play no part. None
            takes `SYNONYMS`, or `COCO_AS_CAMVID` if there is a semantic class "bicyclist".

    Raises:
        InputError: together they have more than 65535 classes.
    """
    known = {_plain(name): i for i, name in enumerate(semantic.names)}
    if aliases is None:
        aliases = COCO_AS_CAMVID if "bicyclist" in known else SYNONYMS
    wanted = {_plain(name): _plain(alias) for name, alias in aliases.items()}
    labels: list[Label] = list(semantic)
    ids = []
    for label in objects:
        name = _plain(label.name)
        if name not in known and wanted.get(name) in known:
            name = wanted[name]
        if name not in known:
            known[name] = len(labels)
            labels.append(label)
        labels[known[name]] = replace(labels[known[name]], thing=True)
        ids.append(known[name])
    ignore = 255 if len(labels) <= 255 else 65535
    joint = LabelSet(f"{semantic.name}+{objects.name}", tuple(labels), ignore)
    return LabelMapping(semantic, objects, joint, tuple(ids))


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
