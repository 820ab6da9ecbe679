"""``segscape data``."""

from __future__ import annotations

from pathlib import Path

from segscape.cli.common import Json, Quiet, Switch, print_json, say
from segscape.progress import Progress


def check(data: str, /, *, json_: Json = False, quiet: Quiet = False) -> int:
    """Read every file of a data set and report all faults at once; exit 1 if there are errors.

    Example: segscape data check my/folder

    Parameters
    ----------
    data
        A folder, or kind:path.
    """
    from segscape.data.checks import check_dataset

    report = check_dataset(data, Progress(quiet=quiet))
    if json_:
        print_json(report.to_dict())
    else:
        for line in report.lines():
            say(line)
    return 0 if report.ok else 1


def convert(
    data: str,
    /,
    *,
    to: str,
    out: Path,
    polygons: Switch = False,
    drop_crowds: Switch = False,
    border_px: int = 2,
    json_: Json = False,
    quiet: Quiet = False,
) -> int:
    """Write a data set of single objects in another format, without loss; images are copied as they are.

    Example: segscape data convert nuclei:my/folder --to coco --out my/coco

    Parameters
    ----------
    data
        A folder, or kind:path.
    to
        numbered, coco, voc, cityscapes, labelme, yolo; or borders: label maps for a U-Net and a watershed.
    out
        A folder that does not exist or is empty.
    polygons
        For coco: masks as polygons, not as run lengths.
    drop_crowds
        Leave crowds out where the format cannot hold them.
    border_px
        For borders: width of the border class in pixels.
    """
    from segscape.data import open_dataset
    from segscape.data.convert import convert as write

    dataset = open_dataset(data)
    options = {"polygons": polygons, "drop_crowds": drop_crowds, "border_px": border_px}
    made = write(dataset, to, out, Progress(quiet=quiet), **options)
    images = {split: len(items) for split, items in made.splits.items()}
    if json_:
        print_json({"kind": made.kind, "path": str(made.root), "images": images})
    else:
        say(f"{made.root}: {made.kind}, " + ", ".join(f"{count} images in {split}" for split, count in images.items()))
    return 0
