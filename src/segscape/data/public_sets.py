"""The label sets of public data sets of objects (COCO, Pascal VOC, Cityscapes), with their Chinese names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from segscape.data.label_sets import distinct_colors, find_label_set
from segscape.errors import DataError
from segscape.labels import Label, LabelSet

_COCO = """
1 person 人 | 2 bicycle 自行车 | 3 car 汽车 | 4 motorcycle 摩托车 | 5 airplane 飞机 | 6 bus 公共汽车 | 7 train 火车
8 truck 卡车 | 9 boat 船 | 10 traffic light 交通灯 | 11 fire hydrant 消防栓 | 13 stop sign 停车标志
14 parking meter 停车收费表 | 15 bench 长椅 | 16 bird 鸟 | 17 cat 猫 | 18 dog 狗 | 19 horse 马 | 20 sheep 羊
21 cow 牛 | 22 elephant 大象 | 23 bear 熊 | 24 zebra 斑马 | 25 giraffe 长颈鹿 | 27 backpack 背包 | 28 umbrella 雨伞
31 handbag 手提包 | 32 tie 领带 | 33 suitcase 行李箱 | 34 frisbee 飞盘 | 35 skis 双板滑雪板 | 36 snowboard 单板滑雪板
37 sports ball 运动球 | 38 kite 风筝 | 39 baseball bat 棒球棒 | 40 baseball glove 棒球手套 | 41 skateboard 滑板
42 surfboard 冲浪板 | 43 tennis racket 网球拍 | 44 bottle 瓶子 | 46 wine glass 酒杯 | 47 cup 杯子 | 48 fork 叉子
49 knife 刀 | 50 spoon 勺子 | 51 bowl 碗 | 52 banana 香蕉 | 53 apple 苹果 | 54 sandwich 三明治 | 55 orange 橙子
56 broccoli 西兰花 | 57 carrot 胡萝卜 | 58 hot dog 热狗 | 59 pizza 披萨 | 60 donut 甜甜圈 | 61 cake 蛋糕
62 chair 椅子 | 63 couch 沙发 | 64 potted plant 盆栽 | 65 bed 床 | 67 dining table 餐桌 | 70 toilet 马桶 | 72 tv 电视
73 laptop 笔记本电脑 | 74 mouse 鼠标 | 75 remote 遥控器 | 76 keyboard 键盘 | 77 cell phone 手机 | 78 microwave 微波炉
79 oven 烤箱 | 80 toaster 烤面包机 | 81 sink 水槽 | 82 refrigerator 冰箱 | 84 book 书 | 85 clock 时钟 | 86 vase 花瓶
87 scissors 剪刀 | 88 teddy bear 泰迪熊 | 89 hair drier 吹风机 | 90 toothbrush 牙刷
"""


def _entries(text: str) -> list[list[str]]:
    return [entry.split() for line in text.strip().splitlines() for entry in line.split("|")]


_ENTRIES = _entries(_COCO)

COCO_IDS = tuple(int(words[0]) for words in _ENTRIES)
"""COCO's category id of each class."""

COCO = LabelSet(
    "coco",
    tuple(
        Label(" ".join(words[1:-1]), color, words[-1], thing=True)
        for words, color in zip(_ENTRIES, distinct_colors(len(_ENTRIES)), strict=True)
    ),
)
"""The 80 classes of COCO (Lin et al. 2014) in the order of their category ids."""

_VOC = """
aeroplane 飞机 | bicycle 自行车 | bird 鸟 | boat 船 | bottle 瓶子 | bus 公共汽车 | car 汽车 | cat 猫 | chair 椅子
cow 牛 | diningtable 餐桌 | dog 狗 | horse 马 | motorbike 摩托车 | person 人 | pottedplant 盆栽 | sheep 羊 | sofa 沙发
train 火车 | tvmonitor 显示器
"""


def voc_color(index: int) -> tuple[int, int, int]:
    """The colour of entry ``index`` (0…255) of Pascal VOC's palette (VOC development kit, ``VOClabelcolormap``)."""
    red = green = blue = 0
    for bit in range(8):
        red |= (index >> 3 * bit & 1) << 7 - bit
        green |= (index >> 3 * bit + 1 & 1) << 7 - bit
        blue |= (index >> 3 * bit + 2 & 1) << 7 - bit
    return red, green, blue


VOC = LabelSet(
    "voc",
    tuple(Label(name, voc_color(i), zh, thing=True) for i, (name, zh) in enumerate(_entries(_VOC), start=1)),
)
"""The 20 classes of Pascal VOC (Everingham et al. 2010) in their order; in label files class i is i + 1."""

CITYSCAPES_IDS = (24, 25, 26, 27, 28, 31, 32, 33)
"""The number of each Cityscapes class in its label files."""

CITYSCAPES = LabelSet(
    "cityscapes",
    (
        Label("person", (220, 20, 60), "行人", thing=True),
        Label("rider", (255, 0, 0), "骑行者", thing=True),
        Label("car", (0, 0, 142), "汽车", thing=True),
        Label("truck", (0, 0, 70), "卡车", thing=True),
        Label("bus", (0, 60, 100), "公共汽车", thing=True),
        Label("train", (0, 80, 100), "火车", thing=True),
        Label("motorcycle", (0, 0, 230), "摩托车", thing=True),
        Label("bicycle", (119, 11, 32), "自行车", thing=True),
    ),
)
"""The 8 classes of Cityscapes (Cordts et al. 2016) that are told apart object by object."""

CITYSCAPES_19 = LabelSet(
    "cityscapes-19",
    (
        Label("road", (128, 64, 128), "道路"),
        Label("sidewalk", (244, 35, 232), "人行道"),
        Label("building", (70, 70, 70), "建筑"),
        Label("wall", (102, 102, 156), "墙"),
        Label("fence", (190, 153, 153), "围栏"),
        Label("pole", (153, 153, 153), "杆"),
        Label("traffic light", (250, 170, 30), "交通灯"),
        Label("traffic sign", (220, 220, 0), "交通标志"),
        Label("vegetation", (107, 142, 35), "植被"),
        Label("terrain", (152, 251, 152), "绿地"),
        Label("sky", (70, 130, 180), "天空"),
        *CITYSCAPES,
    ),
)
"""The 19 classes that Cityscapes' semantic task is evaluated on, in the order of their train ids."""


def things_called(root: Path, names: Sequence[str]) -> LabelSet:
    """The label set of a data set that says no more of its classes than their names, in the order of their ids.

    It is the one in ``labels.json`` of the folder where that has the same names in the same order; else Chinese names
    and colours are those of the public set (COCO, VOC, Cityscapes) that knows all names, or none.

    Raises:
        DataError: there are no names, one is empty or occurs twice, or ``labels.json`` is damaged.
    """
    stated = find_label_set(root) if (root / "labels.json").is_file() else None
    if stated is not None and stated[0].names == tuple(names):
        return replace(stated[0], labels=tuple(replace(label, thing=True) for label in stated[0]))
    known = next((known for known in (COCO, VOC, CITYSCAPES) if set(names) <= set(known.names)), None)
    if known is not None and tuple(names) == known.names:
        return known
    colors = distinct_colors(len(names))
    try:
        labels = [
            replace(known[known.index(name)], color=color) if known is not None else Label(name, color, thing=True)
            for name, color in zip(names, colors, strict=True)
        ]
        return LabelSet(root.resolve().name or "objects", tuple(labels), max(255, len(labels)))
    except ValueError as error:
        raise DataError(f"data set {str(root)!r}: {error}; correct the names of its classes") from error
