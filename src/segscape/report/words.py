"""The page's own words in both languages."""

from __future__ import annotations

from segscape.scene.predicates import PREDICATES

LANGUAGES = {"en": "English", "zh": "中文"}

WORDS: dict[str, tuple[str, str]] = {
    "scenes": ("Scenes", "场景"),
    "filter": ("Filter images: a class, a word, a file name", "筛选图片：类别、词语或文件名"),
    "statistics": ("Over all images", "总体统计"),
    "contents": ("Images", "图片"),
    "regions": ("Regions", "区域"),
    "relations": ("Relations", "关系"),
    "classes": ("Classes", "类别"),
    "class": ("class", "类别"),
    "mean_share": ("mean share", "平均占比"),
    "in_images": ("images", "图片数"),
    "num_regions": ("regions", "区域数"),
    "median_area": ("median area", "面积中位数"),
    "area_histogram": ("Regions by share of the picture", "区域数（按占图比例）"),
    "things_histogram": ("Images by number of things in them", "图片数（按图中物体数）"),
    "kinds": ("Kinds of scene", "场景类型"),
    "share": ("share", "占比"),
    "place": ("place", "位置"),
    "distance": ("distance", "远近"),
    "confidence": ("sure", "置信度"),
    "color": ("colour", "颜色"),
    "num_relations": ("rel.", "关系数"),
    "strength": ("strength", "强度"),
    "strongest": ("The strongest of each kind are listed.", "每类仅列出最强的若干条。"),
    "evidence": ("measured", "依据"),
    "overlay": ("Class colours", "类别着色"),
    "length": ("Length", "长度"),
    "short": ("short", "简"),
    "normal": ("normal", "中"),
    "full": ("full", "详"),
    "view": ("View", "视图"),
    "telling": ("most telling", "最重要"),
    "no_regions": ("No regions: nothing was found in this image.", "没有区域：此图片中未发现任何目标。"),
    "no_relations": ("No relations between regions.", "区域之间没有关系。"),
    "no_photo": ("The photo was not kept; these are the classes alone.", "未保留原图，仅显示类别。"),
    "more_regions": ("more regions, all smaller, are drawn but not listed", "个更小的区域已绘出但未列出"),
    "not_shown": (
        "more images are counted here and in report.json, but not shown below",
        "张图片已计入统计和 report.json，但未在下方显示",
    ),
    "failed": ("could not be read and are not in these figures", "个文件无法读取，未计入统计"),
    "no_match": ("No image has that.", "没有符合的图片。"),
    "untold": (
        "Things that touch are one piece here: the model tells classes apart, not objects.",
        "模型只区分类别、不区分个体：相接触的物体算作一处。",
    ),
    "made": (
        "Every number was measured from the masks. Hover or focus a sentence, a row or a region to see what belongs "
        "together; click or press Enter to keep it lit, Escape to let go.",
        "所有数字均由掩膜测得。将鼠标移到句子、表格行或区域上（或用键盘聚焦），即可看到彼此对应之处；"
        "单击或按回车键保持高亮，按 Esc 取消。",
    ),
    "skip": ("Skip to the images", "跳到图片"),
    "near": ("near", "近"),
    "middle": ("middle", "中"),
    "far": ("far", "远"),
}
"""By key: English, Chinese; distances are under their own names."""


def predicate_words(predicate: str) -> tuple[str, str]:
    """A predicate in English and Chinese, as it stands on its own."""
    return PREDICATES[predicate].words[0], PREDICATES[predicate].zh


def around_object(predicate: str) -> tuple[str, str]:
    """What stands in Chinese before and after the object: ("在", "左边")."""
    before, _, after = PREDICATES[predicate].zh.partition("…")
    return before, after


EVIDENCE = {
    "angle_deg": "角度",
    "border_px": "共同边界",
    "box_gap_px": "外框间距",
    "contact_px": "接触长度",
    "foot_votes": "落地点票数",
    "gap_px": "间距",
    "gap_widths": "间距与宽度之比",
    "junction_votes": "交汇点票数",
    "overlap": "重叠",
    "share_of_border": "占边界比例",
    "share_of_subject": "占自身边界比例",
    "support": "支撑比例",
}
"""What relations were measured from, in Chinese, by the names in `Relation.evidence`; others stand as they are."""
