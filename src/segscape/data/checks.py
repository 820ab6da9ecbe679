"""All faults of a data set in one report, before training starts.

Kinds of faults (E stops training, W does not):

==================  ====  ==========================================================================
layout              E     the data set cannot be opened at all
missing-labels      E     images without labels in a split that needs them
missing-image       W     labels without an image
double-stem         E     two images, or two label files, of one stem
split-list          E/W   a list names images that are not there (E), or one twice (W)
not-in-split        W     images that belong to no split
empty-split         E     a split without images
unreadable-image    E     damaged, not an image, too large
unreadable-labels   E     damaged, a JPEG, of a pixel type that cannot hold classes
size-mismatch       E     labels are not of their image's size
label-values        E     values that are neither a class nor the ignore index
no-truth            W     label files that hold the ignore index alone
absent-class        W     a class that never occurs in the training split
duplicate           E     the same picture in two splits
near-duplicate      W     nearly the same picture in two splits (neighbouring frames of a film may be)
------------------  ----  --------------------------------------------------------------------------
bad-record          E     entries of a COCO file that lack an id, a name or a size
duplicate-id        E     two images or two objects of one id
unknown-image       W     objects of an image that their COCO file does not list
unknown-category    E     objects of a class that is not known
no-mask             E/W   objects without a mask (E), LabelMe's points and lines (W)
bad-polygon         E     outlines of fewer than 3 points, of an odd number of coordinates, with NaN
bad-mask            E     run lengths or masks that cannot be read or are not of the image's size
bad-box             E     boxes that are not four finite numbers
outside-image       W     objects that leave their image by more than a pixel
empty-object        W     objects without a pixel
mixed-classes       W     objects with pixels of several classes (VOC)
==================  ====  ==========================================================================
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from segscape.data import open_dataset
from segscape.data.check_report import CheckReport, SplitStats
from segscape.data.duplicates import Fingerprint, find_shared, fingerprint
from segscape.data.frequencies import ClassFrequencies, ProgressCall, class_frequencies
from segscape.data.label_files import RawValue, raw_counts, read_label_file, show_value
from segscape.data.object_checks import ObjectSummary, object_faults, object_stats
from segscape.data.proposals import propose_map
from segscape.data.sample import UNLABELLED_SPLITS, Dataset, Fault, Item, some
from segscape.errors import ImageError, InputError
from segscape.image import read_image

__all__ = ["CheckReport", "ClassFrequencies", "Fault", "SplitStats", "check_dataset", "class_frequencies"]

_SHOWN = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """What one item's files hold; None or empty where they cannot be read."""

    item: Item
    image_size: tuple[int, int] | None = None  # width, height
    image_error: str = ""
    picture: Fingerprint | None = None
    label_size: tuple[int, int] | None = None
    label_error: str = ""
    values: dict[RawValue, int] | None = None
    objects: ObjectSummary | None = None


def check_dataset(dataset: Dataset | str | os.PathLike[str], progress: ProgressCall | None = None) -> CheckReport:
    """Read every file of a data set and report all its faults; never raises for what the data set holds.

    Args:
        dataset: an open data set, or what `segscape.data.open_dataset` takes.
        progress: shows how far it is (`segscape.progress.Progress` is one).
    """
    if not isinstance(dataset, Dataset):
        try:
            dataset = open_dataset(dataset, strict=False)
        except InputError as error:
            return CheckReport(os.fspath(dataset), None, None, faults=(Fault("layout", "error", (), str(error), ""),))
    items = [(split, item) for split, members in dataset.splits.items() for item in members]
    scans: dict[str, list[_Scan]] = {split: [] for split in dataset.splits}
    for split, item in progress(items, len(items), "checking data") if progress else items:
        scans[split].append(_scan(dataset, item))
    everything = [scan for part in scans.values() for scan in part]
    value_faults, proposed = _check_values(dataset, everything)
    stats = {split: _count(dataset, part) for split, part in scans.items()}
    faults = [
        *dataset.faults,
        *_check_files(dataset, everything),
        *value_faults,
        *object_faults([(scan.item, scan.objects) for scan in everything if scan.objects is not None]),
        *_check_classes(dataset, scans, stats),
        *_check_leaks(dataset, scans),
    ]
    return CheckReport(str(dataset.root), dataset.kind, dataset.label_set, stats, tuple(faults), proposed)


def _scan(dataset: Dataset, item: Item) -> _Scan:
    image_size = picture = label_size = values = objects = None
    image_error = label_error = ""
    try:
        pixels = read_image(item.image).pixels
        image_size, picture = (pixels.shape[1], pixels.shape[0]), fingerprint(pixels)
    except InputError as error:
        image_error = str(error)
    try:
        if dataset.objects is not None:
            objects = ObjectSummary.of(dataset.objects.scan(item))
            label_size = objects.size
        elif item.labels is not None:
            raw = read_label_file(item.labels)
            label_size, values = (raw.shape[1], raw.shape[0]), raw_counts(raw)
    except ImageError:
        pass  # objects whose file says no size: the image was found damaged above
    except InputError as error:
        label_error = str(error) if item.labels is not None else ""  # the listing says which labels are missing
    return _Scan(item, image_size, image_error, picture, label_size, label_error, values, objects)


def _check_files(dataset: Dataset, scans: Sequence[_Scan]) -> Iterable[Fault]:
    for kind, what, broken in (
        ("unreadable-image", "images", [(s.item.image, s.image_error) for s in scans if s.image_error]),
        ("unreadable-labels", "label files", [(s.item.labels, s.label_error) for s in scans if s.label_error]),
    ):
        if broken:
            message = f"{what} that cannot be read, {len(broken)} of {len(scans)} (first: {broken[0][1]})"
            files = _relative(dataset, [path for path, _ in broken])
            yield Fault(kind, "error", files, message, "restore or remove these files")
    odd = [s for s in scans if s.image_size and s.label_size and s.image_size != s.label_size]
    if odd:
        (iw, ih), (lw, lh) = odd[0].image_size or (0, 0), odd[0].label_size or (0, 0)
        turned = all(s.image_size == (s.label_size or ())[::-1] for s in odd)
        message = f"labels not of their image's size, {len(odd)} (first: labels {lw} × {lh}, image {iw} × {ih})"
        fix = "export both at the same size" + ("; these are turned by 90°: apply EXIF orientation" if turned else "")
        named = [s.item.labels if s.objects is None else s.item.image for s in odd]
        yield Fault("size-mismatch", "error", _relative(dataset, named), message, fix)


def _check_values(dataset: Dataset, scans: Sequence[_Scan]) -> tuple[list[Fault], dict[str, int]]:
    """Faults of label values, and the proposed map for all of them."""
    label_set, known = dataset.label_set, dataset.coder.known
    pixels: Counter[RawValue] = Counter()
    files: Counter[RawValue] = Counter()
    for scan in scans:
        pixels.update(scan.values or {})
        files.update((scan.values or {}).keys())
    strays = [value for value, _ in pixels.most_common() if value not in known]
    # 255 is a usual ignore index and, in two-class masks, as usual for the second class.
    binary = set(pixels) == {0, 255} and known.get(255) == label_set.ignore_index and len(label_set) > 1
    if not strays and not binary:
        return [], {}
    proposed, supposed = propose_map(pixels, strays, label_set)
    if binary and not strays:
        message = f"label files hold 0 and 255 alone, and 255 is 'ignore' in label set {label_set.name!r}"
        concerned = [s.item.labels for s in scans if 255 in (s.values or {})]
    else:
        listed = some([f"{show_value(v)} ({pixels[v]} px in {files[v]} files)" for v in strays], _SHOWN)
        message = (
            f"label values that are none of the {len(label_set)} classes (0…{len(label_set) - 1}) nor 'ignore' "
            f"({label_set.ignore_index}): {listed}"
        )
        stray_set = set(strays)
        concerned = [s.item.labels for s in scans if not stray_set.isdisjoint(s.values or {})]
    entries = some([f'"{key}": {target}' for key, target in proposed.items()], _SHOWN)
    place = "into labels.json" if (dataset.root / "labels.json").is_file() else "beside the label set into labels.json"
    fix = f'correct them, or put "map": {{{entries}}} {place} (supposing {supposed})'
    return [Fault("label-values", "error", _relative(dataset, concerned), message, fix)], proposed


def _count(dataset: Dataset, scans: Sequence[_Scan]) -> SplitStats:
    known, count = dataset.coder.known, len(dataset.label_set)
    per_image, ignored = [], 0
    for scan in scans:
        if scan.objects is not None:
            per_image.append(scan.objects.class_pixels(count))
            continue
        classes = np.zeros(count + 1, np.int64)  # the last one: ignored
        for value, pixels in (scan.values or {}).items():
            if value in known:
                classes[min(known[value], count)] += pixels
        per_image.append(classes[:count])
        ignored += int(classes[count])
    sizes = Counter(scan.image_size for scan in scans if scan.image_size is not None)
    return SplitStats(
        num_images=len(scans),
        num_labelled=sum(scan.item.labels is not None for scan in scans),
        sizes=dict(sizes.most_common()),
        frequencies=ClassFrequencies.from_images(per_image, ignored, count),
        objects=object_stats([s.objects for s in scans if s.objects is not None], count)
        if dataset.objects is not None
        else None,
    )


def _check_classes(dataset: Dataset, scans: dict[str, list[_Scan]], stats: dict[str, SplitStats]) -> Iterable[Fault]:
    known, ignore = dataset.coder.known, dataset.label_set.ignore_index
    blank = [
        scan.item.labels
        for part in scans.values()
        for scan in part
        if scan.values and all(known.get(value) == ignore for value in scan.values)
    ]
    if blank:
        message = f"label files that hold 'ignore' ({ignore}) alone, {len(blank)}"
        yield Fault("no-truth", "warning", _relative(dataset, blank), message, "label these images, or remove them")
    if "train" in stats and stats["train"].num_labelled:
        images = stats["train"].frequencies.class_images
        absent = [label.name for i, label in enumerate(dataset.label_set) if not images[i]]
        if absent:
            shown = some(absent, _SHOWN)
            message = f"classes that never occur in split 'train', {len(absent)} of {len(dataset.label_set)}: {shown}"
            fix = "they cannot be learned; add images of them, or take them out of the label set"
            yield Fault("absent-class", "warning", (), message, fix)


def _check_leaks(dataset: Dataset, scans: dict[str, list[_Scan]]) -> Iterable[Fault]:
    """Pictures that two splits share. "trainval" is a union, and unlabelled splits are never measured on."""
    apart = [split for split in scans if split not in (*UNLABELLED_SPLITS, "trainval")]
    for split_a, split_b in combinations(apart, 2):
        a, b = ([scan for scan in scans[split] if scan.picture] for split in (split_a, split_b))
        shared = find_shared([s.picture for s in a if s.picture], [s.picture for s in b if s.picture], _SHOWN)
        if pairs := shared.exact:
            message = f"the same picture in split {split_a!r} and in split {split_b!r}, {len(pairs)} pairs"
            yield Fault("duplicate", "error", _pictures(dataset, a, b, pairs), message, "keep it in one of them")
        if shared.num_near:
            message = (
                f"nearly the same picture in split {split_a!r} and in split {split_b!r}, {shared.num_near} pairs, "
                f"the nearest"
            )
            fix = "look at them: what is measured may be too good"
            yield Fault("near-duplicate", "warning", _pictures(dataset, a, b, shared.nearest), message, fix)


def _pictures(
    dataset: Dataset, a: Sequence[_Scan], b: Sequence[_Scan], pairs: Iterable[tuple[int, int]]
) -> tuple[str, ...]:
    return _relative(dataset, [path for i, j in pairs for path in (a[i].item.image, b[j].item.image)])


def _relative(dataset: Dataset, paths: Iterable[Path | None]) -> tuple[str, ...]:
    return tuple(path.relative_to(dataset.root).as_posix() for path in paths if path is not None)
