"""Descriptions of 20 CamVid test images, from their labels; run as a script, this file writes ``golden/`` anew.

python tests/scene/golden_descriptions.py
"""

import re
from pathlib import Path

from segscape.data.label_files import read_label_file
from segscape.data.label_sets import CAMVID
from segscape.result import Segmentation
from segscape.scene.build import build_scene
from segscape.scene.describe import LENGTHS
from segscape.scene.scene import Scene

GOLDEN = Path(__file__).with_name("golden")
LABELS = Path(__file__).parents[3] / "shared" / "data" / "camvid" / "labels" / "test"
_TITLES = {"en": "Descriptions of CamVid test images, from their labels", "zh": "CamVid 测试图像的描述（依据标注）"}


def chosen() -> list[Path]:
    """Twenty label files, evenly over the test split."""
    files = sorted(LABELS.glob("*.png"))
    return [files[round(i * (len(files) - 1) / 19)] for i in range(20)]


def label_map(path: Path):
    """(H, W) uint8 class ids, 11 where there is none."""
    return read_label_file(path)


def scene_of(path: Path) -> Scene:
    """The scene of a label file."""
    labels = label_map(path)
    return build_scene(Segmentation(labels.shape, CAMVID, labels))


def lengths_of(number: int) -> tuple[str, str]:
    """The two lengths in which image ``number`` is described: normal, and short or full in turn."""
    return "normal", LENGTHS[2 * (number % 2)]


def page(lang: str, scenes: dict[str, Scene]) -> str:
    """All descriptions in one language as Markdown."""
    parts = [f"# {_TITLES[lang]}"]
    for number, (name, scene) in enumerate(scenes.items()):
        parts.append(f"## {name}")
        parts += [f"{length}: {scene.describe(lang, length)}" for length in lengths_of(number)]
    return "\n\n".join(parts) + "\n"


def sections(text: str) -> dict[str, str]:
    """Of a page: image name -> what is written of it."""
    found = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(found[::2], found[1::2], strict=True)}


if __name__ == "__main__":
    found = {path.stem: scene_of(path) for path in chosen()}
    GOLDEN.mkdir(exist_ok=True)
    for lang in _TITLES:
        (GOLDEN / f"{lang}.md").write_text(page(lang, found), "utf-8")
