"""Reader for ADE20K as the scene parsing benchmark has it (Zhou et al. 2017; the archive ADEChallengeData2016).

::

    ROOT/images/training/ADE_train_00000001.jpg        ROOT/annotations/training/ADE_train_00000001.png
    ROOT/images/validation/ADE_val_00000001.jpg        ROOT/annotations/validation/ADE_val_00000001.png
    ROOT/objectInfo150.txt                             the classes in their order, checked where it is there
    ROOT/sceneCategories.txt                           "ADE_train_00000001 airport_terminal", one image a line

In the label files 0 is "other", which is neither trained on nor counted, and i is class i − 1. The splits are called
"train" and "val", as everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from segscape.data.label_files import RawValue
from segscape.data.sample import Dataset, Item
from segscape.data.splits import list_splits
from segscape.errors import DataError
from segscape.labels import Label, LabelSet

KIND = "ade20k"
IMAGES, LABELS = "images", "annotations"
CLASSES, CATEGORIES = "objectInfo150.txt", "sceneCategories.txt"
_SPLITS = {"training": "train", "validation": "val"}

# English, Chinese, colour; + before the colour: a thing.
_CLASSES = """
wall 墙壁 787878 | building 建筑 b47878 | sky 天空 06e6e6 | floor 地板 503232 | tree 树木 04c803
ceiling 天花板 787850 | road 道路 8c8c8c | bed 床 +cc05ff | windowpane 窗户 +e6e6e6 | grass 草地 04fa07
cabinet 柜子 +e005ff | sidewalk 人行道 ebff07 | person 人 +96053d | earth 土地 787846 | door 门 +08ff33
table 桌子 +ff0652 | mountain 山 8fff8c | plant 植物 ccff04 | curtain 窗帘 +ff3307 | chair 椅子 +cc4603
car 汽车 +0066c8 | water 水面 3de6fa | painting 画 +ff0633 | sofa 沙发 +0b66ff | shelf 搁架 +ff0747
house 房屋 ff09e0 | sea 海 0907e6 | mirror 镜子 +dcdcdc | rug 地毯 ff095c | field 田野 7009ff
armchair 扶手椅 +08ffd6 | seat 座位 +07ffe0 | fence 围栏 +ffb806 | desk 书桌 +0aff47 | rock 岩石 ff290a
wardrobe 衣柜 +07ffff | lamp 灯具 +e0ff08 | bathtub 浴缸 +6608ff | railing 栏杆 +ff3d06 | cushion 靠垫 +ffc207
base 底座 ff7a08 | box 箱子 +00ff14 | column 柱子 +ff0829 | signboard 招牌 +ff0599 | chest of drawers 抽屉柜 +0633ff
counter 柜台 +eb0cff | sand 沙地 a09614 | sink 水槽 +00a3ff | skyscraper 摩天大楼 8c8c8c | fireplace 壁炉 +fa0a0f
refrigerator 冰箱 +14ff00 | grandstand 看台 1fff00 | path 小路 ff1f00 | stairs 阶梯 +ffe000 | runway 跑道 99ff00
case 展示柜 +0000ff | pool table 台球桌 +ff4700 | pillow 枕头 +00ebff | screen door 纱门 +00adff
stairway 楼梯 1f00ff | river 河流 0bc8c8 | bridge 桥 ff5200 | bookcase 书柜 +00fff5 | blind 百叶窗 003dff
coffee table 茶几 +00ff70 | toilet 马桶 +00ff85 | flower 花 +ff0000 | book 书 +ffa300 | hill 小山 ff6600
bench 长椅 +c2ff00 | countertop 台面 +008fff | stove 炉灶 +33ff00 | palm 棕榈树 +0052ff
kitchen island 厨房岛台 +00ff29 | computer 电脑 +00ffad | swivel chair 转椅 +0a00ff | boat 小船 +adff00
bar 吧台 00ff99 | arcade machine 街机 +ff5c00 | hovel 棚屋 ff00ff | bus 公共汽车 +ff00f5 | towel 毛巾 +ff0066
light 灯 +ffad00 | truck 卡车 +ff0014 | tower 塔 ffb8b8 | chandelier 吊灯 +001fff | awning 遮阳篷 +00ff3d
streetlight 路灯 +0047ff | booth 亭子 +ff00cc | television 电视 +00ffc2 | airplane 飞机 +00ff52
dirt track 土路 000aff | apparel 衣服 +0070ff | pole 杆 +3300ff | land 地面 00c2ff | bannister 扶手 +007aff
escalator 自动扶梯 00ffa3 | ottoman 脚凳 +ff9900 | bottle 瓶子 +00ff0a | buffet 餐边柜 ff7000 | poster 海报 8fff00
stage 舞台 5200ff | van 面包车 +a3ff00 | ship 轮船 +ffeb00 | fountain 喷泉 +08b8aa | conveyer belt 传送带 8500ff
canopy 顶篷 00ff5c | washer 洗衣机 +b800ff | plaything 玩具 +ff001f | swimming pool 游泳池 00b8ff | stool 凳子 +00d6ff
barrel 木桶 +ff0070 | basket 篮子 +5cff00 | waterfall 瀑布 00e0ff | tent 帐篷 70e0ff | bag 包 +46b8a0
minibike 摩托车 +a300ff | cradle 摇篮 9900ff | oven 烤箱 +47ff00 | ball 球 +ff00a3 | food 食物 +ffcc00
step 台阶 +ff008f | tank 储罐 00ffeb | trade name 商标 +85ff00 | microwave 微波炉 +ff00eb | pot 花盆 +f500ff
animal 动物 +ff007a | bicycle 自行车 +fff500 | lake 湖 0abed4 | dishwasher 洗碗机 +d6ff00 | screen 屏幕 +00ccff
blanket 毯子 1400ff | sculpture 雕塑 +ffff00 | hood 抽油烟机 +0099ff | sconce 壁灯 +0029ff | vase 花瓶 +00ffcc
traffic light 交通灯 +2900ff | tray 托盘 +29ff00 | ashcan 垃圾桶 +ad00ff | fan 风扇 +00f5ff | pier 码头 4700ff
crt screen 显像管屏幕 7a00ff | plate 盘子 +00ffb8 | monitor 显示器 +005cff | bulletin board 公告板 +b8ff00
shower 淋浴间 0085ff | radiator 暖气片 +ffd600 | glass 玻璃杯 +19c2c2 | clock 时钟 +66ff00 | flag 旗帜 +5c00ff
"""


def _labels() -> tuple[Label, ...]:
    labels = []
    for entry in (entry.split() for line in _CLASSES.strip().splitlines() for entry in line.split("|")):
        red, green, blue = bytes.fromhex(entry[-1].lstrip("+"))
        labels.append(Label(" ".join(entry[:-2]), (red, green, blue), entry[-2], thing=entry[-1].startswith("+")))
    return tuple(labels)


ADE20K = LabelSet("ade20k", _labels())
"""The 150 classes of the scene parsing benchmark: the first name of each in objectInfo150.txt, the colours that the
field draws them in (color150; road and skyscraper share one), the 100 things of the Places challenge 2017."""


def detect(root: Path) -> bool:
    """Whether ``root`` has images/ and annotations/ with training/ or validation/ in both."""
    return any((root / IMAGES / name).is_dir() and (root / LABELS / name).is_dir() for name in _SPLITS)


def open_ade20k(root: Path) -> Dataset:
    """Open the folder ``root``.

    Raises:
        DataError: the layout makes no data set, or objectInfo150.txt lists other classes.
    """
    _check_classes(root / CLASSES)
    listed, faults = list_splits(root, images=IMAGES, labels=LABELS)
    splits: dict[str, tuple[Item, ...]] = {}
    for folder, items in listed.items():
        split = _SPLITS.get(folder, folder)
        splits[split] = tuple(replace(x, name=f"{split}/{x.name.removeprefix(f'{folder}/')}") for x in items)
    values: dict[RawValue, int] = {0: ADE20K.ignore_index, **{i + 1: i for i in range(len(ADE20K))}}
    return Dataset(KIND, root, ADE20K, splits, values, faults)


def scene_categories(root: Path) -> dict[str, str]:
    """What sort of scene each image shows, "ADE_train_00000001" -> "airport_terminal"; {} without the file.

    Raises:
        DataError: sceneCategories.txt cannot be read, or a line is not "IMAGE CATEGORY".
    """
    categories: dict[str, str] = {}
    for number, line in enumerate(_lines(root / CATEGORIES), 1):
        words = line.split()
        if len(words) != 2:
            raise DataError(f"{str(root / CATEGORIES)!r}, line {number}: not 'IMAGE CATEGORY': {line[:80]!r}")
        categories[words[0]] = words[1]
    return categories


def _check_classes(path: Path) -> None:
    names = [line.rpartition("\t")[2].partition(",")[0].strip() for line in _lines(path)[1:]]
    if names and tuple(names) != ADE20K.names:
        different = [i for i, (own, known) in enumerate(zip(names, ADE20K.names, strict=False)) if own != known]
        line = different[0] + 2 if different else min(len(names), len(ADE20K)) + 2
        raise DataError(
            f"{str(path)!r}, line {line}: these are not the 150 classes of the scene parsing benchmark; for classes of "
            "your own use a mask folder (images/, labels/, labels.json)"
        )


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank; none if there is no such file."""
    if not path.is_file():
        return []
    try:
        return [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{str(path)!r}: cannot be read ({error}); restore it or remove it") from error
