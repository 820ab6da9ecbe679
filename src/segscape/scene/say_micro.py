"""A micrograph in sentences, as a lab note: count, density, covered share, sizes, shapes, clusters.

Numbers in clauses, for a class called nucleus: ``count``, ``density_per_mp`` (per million pixels), ``share``,
``median_area_px``, ``q1_area_px`` and ``q3_area_px`` (quartiles, linearly interpolated), ``min_area_px``,
``max_area_px``, ``elongated`` (number with an elongation of at least 2), ``ragged`` (solidity below 0.9), ``framed``
(touching the frame), ``clusters``, ``clustered`` and ``largest_cluster`` (groups of touching ones, the number in them,
the largest), ``median_spacing_px`` (from the centroid of each to that of its nearest).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from segscape.scene.say_lines import MOST_CLASSES, Grammar, first_and_rest, other_classes, regions_of_class
from segscape.scene.say_parts import Sentence, clause, joined, number, sentence
from segscape.scene.say_plan import UNSURE
from segscape.scene.scene import Scene, SceneRegion
from segscape.scene.vocabulary import counted_en, counted_zh, name_en, plural, role_of

LONG = 2.0
RAGGED = 0.9


def is_micrograph(scene: Scene) -> bool:
    """Whether its label set knows nothing but cells, membranes and background."""
    roles = {role_of(label.name) for label in scene.label_set}
    return roles <= {"cell", "membrane", "background"} and bool(roles & {"cell", "membrane"})


def lab_note(scene: Scene, length: str, grammar: Grammar) -> list[Sentence]:
    """The sentences of a micrograph; see `segscape.scene.describe.describe`."""
    sentences = []
    cells, more_cells = _told(scene, "cell")
    membranes, more_membranes = _told(scene, "membrane")
    for name in cells:
        sentences += _class_note(scene, length, grammar, name)
    if length != "short" or not sentences:
        sentences += [line for name in membranes for line in _membranes(scene, grammar, name)]
    template = "{}共占视野的{}。" if grammar.lang == "zh" else "{} cover {} of the field together."
    rest = other_classes(scene, grammar, [*more_cells, *more_membranes], template)
    sentences += [sentence("{it}", it=it) for it in rest]
    return sentences + (_doubts(scene, grammar) if length == "full" else [])


def _told(scene: Scene, role: str) -> tuple[list[str], Sequence[str]]:
    """Classes of a role that are told of, in the label set's order, absent ones as far as there is room; and those of
    the rest that are there."""
    names = [label.name for label in scene.label_set if role_of(label.name) == role]
    told, rest = first_and_rest([name for name in scene.shares if name in names])
    absent = [name for name in names if name not in scene.shares][: max(0, MOST_CLASSES - len(told))]
    return [name for name in names if name in told or name in absent], rest


def _counted(grammar: Grammar, cells: Sequence[SceneRegion], name: str) -> str:
    """ "57 nuclei", or where touching ones are one piece "57 nucleus regions"."""
    count, single = len(cells), all(cell.single for cell in cells)
    if grammar.lang == "zh":
        zh = grammar.class_name(name)
        return counted_zh(count, name, zh) if single else f"{grammar.number(count)}处{zh}"
    if single:
        return counted_en(count, name)
    return f"{grammar.number(count)} {name_en(name)} region{'s' if count != 1 else ''}"


def _class_note(scene: Scene, length: str, grammar: Grammar, name: str) -> list[Sentence]:
    zh = grammar.lang == "zh"
    cells = regions_of_class(scene, name)
    height, width = scene.size
    field = f"{width} × {height} 像素的视野" if zh else f"field of {width} × {height} px"
    count = len(cells)
    numbers = {"width_px": float(width), "height_px": float(height), f"count({name})": float(count)}
    if not cells:
        text = f"{field}中未见{grammar.class_name(name)}。" if zh else f"No {plural(name)} are seen in a {field}."
        return [sentence("{none}", none=clause(text, (), numbers))]
    share, density = scene.shares[name], 1e6 * count / (height * width)
    numbers |= {f"share({name})": share, f"density_per_mp({name})": density}
    areas = np.array([cell.area_px for cell in cells])
    said = _counted(grammar, cells, name)
    if length == "short":
        median = float(np.median(areas))
        numbers |= {f"median_area_px({name})": median}
        if zh:
            text = f"{field}中有{said}，覆盖{grammar.percent(share)}，" + ("面积" if count == 1 else "面积中位数")
            text += f"{grammar.px(median)}。"
        else:
            verb, of = ("covers", "with an area of") if count == 1 else ("cover", "with a median area of")
            text = f"{said} {verb} {grammar.percent(share)} of a {field}, {of} {grammar.px(median)}."
        return [sentence("{all}", all=clause(text, cells, numbers))]
    if zh:
        text = f"{field}中有{said}，密度为每百万像素{number(density)} 个，覆盖视野的{grammar.percent(share)}。"
    else:
        text = f"the {field} holds {said}, {number(density)} per megapixel, which "
        text += f"{'covers' if count == 1 else 'cover'} {grammar.percent(share)} of it."
    sentences = [sentence("{all}", all=clause(text, cells, numbers)), _sizes(grammar, cells, name, areas)]
    sentences += _shapes(grammar, cells, name, full=length == "full")
    sentences += _clusters(scene, grammar, cells, name)
    return sentences + (_spacing(grammar, cells, name) if length == "full" else [])


def _sizes(grammar: Grammar, cells: Sequence[SceneRegion], name: str, areas: np.ndarray) -> Sentence:
    zh = grammar.lang == "zh"
    if len(cells) < 4:
        values = sorted(areas.tolist())
        numbers = {f"area_px(#{cell.id})": float(cell.area_px) for cell in cells}
        if len(cells) == 1:
            text = f"其面积为{grammar.px(values[0])}。" if zh else f"its area is {grammar.px(values[0])}."
        elif zh:
            text = f"面积分别为{'、'.join(map(number, values[:-1]))}和{grammar.px(values[-1])}。"
        else:
            text = f"their areas are {', '.join(map(number, values[:-1]))} and {grammar.px(values[-1])}."
        return sentence("{sizes}", sizes=clause(text, cells, numbers))
    low, first, median, third, high = (float(value) for value in np.percentile(areas, (0, 25, 50, 75, 100)))
    middle = clause(
        f"面积中位数为{grammar.px(median)}，四分位数为{number(first)} 和{grammar.px(third)}"
        if zh
        else f"the median area is {grammar.px(median)}, with quartiles at {number(first)} and {grammar.px(third)}",
        cells,
        {f"median_area_px({name})": median, f"q1_area_px({name})": first, f"q3_area_px({name})": third},
    )
    ends = clause(
        f"最小{grammar.px(low)}，最大{grammar.px(high)}"
        if zh
        else f"the smallest has {grammar.px(low)}, the largest {grammar.px(high)}",
        [max(cells, key=lambda cell: cell.id), min(cells, key=lambda cell: cell.id)],
        {f"min_area_px({name})": low, f"max_area_px({name})": high},
    )
    return sentence("{middle}；{ends}。" if zh else "{middle}; {ends}.", middle=middle, ends=ends)


def _shapes(grammar: Grammar, cells: Sequence[SceneRegion], name: str, *, full: bool) -> list[Sentence]:
    zh = grammar.lang == "zh"
    long = [cell for cell in cells if cell.elongation >= LONG]
    framed = [cell for cell in cells if cell.frame]
    ragged = [cell for cell in cells if cell.solidity < RAGGED] if full else []
    kinds = [
        ("elongated", long, "呈长形（长宽比不小于 2）", "is|are elongated (at least twice as long as wide)"),
        ("ragged", ragged, "轮廓凹陷（凸度低于 0.9）", "is|are dented in outline (solidity below 0.9)"),
        ("framed", framed, "触及视野边缘，可能不完整", "touches|touch the frame and may be cut off"),
    ]
    items = []
    for key, found, in_zh, in_en in kinds:
        if not found:
            continue
        count = len(found)
        verbs, _, rest = in_en.partition(" ")
        verb = verbs.split("|")[count > 1]
        text = f"{grammar.number(count)}个{in_zh}" if zh else f"{grammar.number(count)} {verb} {rest}"
        items.append(clause(text, found, {f"{key}({name})": float(count)}))
    if not items:
        return []
    if zh:
        items = [replace(item, text=item.text + "，") for item in items[:-1]] + items[-1:]
        return [sentence("其中{items}。", items=items)]
    return [sentence("{items}.", items=joined(items, "en"))]


def _clusters(scene: Scene, grammar: Grammar, cells: Sequence[SceneRegion], name: str) -> list[Sentence]:
    """Groups of touching ones: connected components of the relation "touches"."""
    import networkx

    zh = grammar.lang == "zh"
    ids = {cell.id for cell in cells}
    touching = networkx.Graph((r.subject, r.object) for r in scene.related("touches") if {r.subject, r.object} <= ids)
    clusters = list(networkx.connected_components(touching))
    if not clusters:
        return []
    members = [cell for cell in cells if cell.id in touching]
    most = max(len(cluster) for cluster in clusters)
    numbers = {
        f"clusters({name})": float(len(clusters)),
        f"clustered({name})": float(len(members)),
        f"largest_cluster({name})": float(most),
    }
    said = counted_en(len(members), name)
    if len(clusters) == 1:
        text = f"有{grammar.number(len(members))}个相互接触，聚成一簇。" if zh else f"{said} touch and form a cluster."
    elif zh:
        text = f"有{grammar.number(len(members))}个相互接触，聚成{grammar.number(len(clusters))}簇，"
        text += f"最大的一簇有{grammar.number(most)}个。"
    else:
        text = f"{said} touch one another, in {grammar.number(len(clusters))} clusters of up to {grammar.number(most)}."
    return [sentence("{clusters}", clusters=clause(text, members, numbers))]


def _spacing(grammar: Grammar, cells: Sequence[SceneRegion], name: str) -> list[Sentence]:
    """How far from one to the next, by centroids."""
    if len(cells) < 3:
        return []
    from scipy.spatial import KDTree

    centroids = np.array([cell.centroid for cell in cells])
    apart, _ = KDTree(centroids).query(centroids, k=2)
    median = float(np.median(apart[:, 1]))
    if grammar.lang == "zh":
        text = f"到最近邻的中心距中位数为{grammar.px(median)}。"
    else:
        text = f"the median distance to the nearest neighbour is {grammar.px(median)} between centres."
    return [sentence("{apart}", apart=clause(text, cells, {f"median_spacing_px({name})": median}))]


def _membranes(scene: Scene, grammar: Grammar, name: str) -> list[Sentence]:
    zh = grammar.lang == "zh"
    share, regions = scene.shares.get(name, 0.0), regions_of_class(scene, name)
    numbers = {f"share({name})": share, f"count({name})": float(len(regions))}
    said = grammar.percent(share)
    if not regions:
        text = f"未见{grammar.class_name(name)}。" if zh else f"no {name_en(name)} is seen."
    elif zh:
        how = "连成一片" if len(regions) == 1 else f"由{grammar.number(len(regions))}个互不相连的部分组成"
        text = f"{grammar.class_name(name)}占视野的{said}，{how}。"
    else:
        how = "in one connected piece" if len(regions) == 1 else f"in {grammar.number(len(regions))} separate pieces"
        text = f"{plural(name)} cover {said} of the field, {how}."
    return [sentence("{it}", it=clause(text, regions, numbers))]


def _doubts(scene: Scene, grammar: Grammar) -> list[Sentence]:
    """How many regions the model was unsure of."""
    unsure = [region for region in scene.regions if region.confidence is not None and region.confidence < UNSURE]
    if not unsure:
        return []
    numbers = {f"confidence(#{region.id})": float(region.confidence or 0) for region in unsure}
    count = len(unsure)
    if grammar.lang == "zh":
        text = f"有{grammar.number(count)}个区域的置信度低于 {UNSURE}。"
    else:
        regions = f"{grammar.number(count)} region{'s' if count > 1 else ''}"
        text = f"the model is unsure of {regions} (confidence below {UNSURE})."
    return [sentence("{it}", it=clause(text, unsure, {"count(unsure)": float(count)} | numbers))]
