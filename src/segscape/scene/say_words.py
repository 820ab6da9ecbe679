"""What is known of class names: the role a class has in a scene, its plural, its Chinese measure word.

`WORDS` is the table, by role; `segscape.scene.vocabulary` reads it. An entry is ``name:measure word``, then where
needed ``:plural``, then where no public label set of ours has the name ``=Chinese name``. As a plural, "~" stands for a
mass noun (some grass), "the" for what there is one of (the sky), "pair" for a plural that comes in pairs (a pair of
scissors), "all" for any other plural (stairs). Without a plural it is the regular one.
"""

WORDS = {
    "ground": """
        road:段:the | pavement:段:the | sidewalk:段:the | floor:片:the | ground:片:the=地面 | street:段:the=街道
        grass:片:~ | earth:片:~ | field:片 | sand:片:~ | path:条 | runway:条 | dirt track:条 | land:片:~
        terrain:片:~ | lane:条=车道 | lane marking:条=车道线 | crosswalk:条=人行横道 | parking:片:~=停车区
        rail track:条=轨道 | snow:片:~=雪地 | beach:片:beaches=沙滩 | playing field:片=运动场 | step:级 | pier:座
    """,
    "sky": """
        sky:片:the | cloud:朵=云
    """,
    "water": """
        water:片:~ | sea:片:the | river:条 | lake:片 | waterfall:道 | swimming pool:个 | ocean:片:the=海洋
        pond:片=池塘 | fountain:座
    """,
    "structure": """
        building:栋 | house:栋 | skyscraper:栋 | hovel:间 | tower:座 | bridge:座 | wall:面 | ceiling:面:the
        fence:道 | railing:道 | bannister:道 | pole:根 | column:根 | door:扇 | screen door:扇 | windowpane:扇
        window:扇=窗户 | stairs:段:all | stairway:段 | escalator:部 | grandstand:座 | stage:个 | booth:个
        awning:个 | canopy:个 | tent:顶 | base:个 | fireplace:个 | mountain:座 | hill:座 | rock:块 | tunnel:条=隧道
        guard rail:道=护栏 | roof:个=屋顶 | conveyer belt:条 | bar:个 | pylon:座=铁塔
    """,
    "vegetation": """
        tree:棵 | vegetation:片:~ | plant:株 | palm:棵 | flower:朵 | bush:丛:bushes=灌木 | hedge:道=树篱
        forest:片=森林 | leaf:片:leaves=叶子
    """,
    "vehicle": """
        car:辆 | truck:辆 | bus:辆:buses | train:列 | motorcycle:辆 | motorbike:辆 | minibike:辆 | bicycle:辆
        van:辆 | boat:艘 | ship:艘 | airplane:架 | aeroplane:架 | bike:辆=自行车 | caravan:辆=房车 | trailer:辆=拖车
        tram:辆=有轨电车 | vehicle:辆=车辆 | plane:架=飞机
    """,
    "person": """
        person:个:people | pedestrian:名 | bicyclist:名 | rider:名 | cyclist:名=骑车人 | motorcyclist:名=摩托车手
        man:名:men=男子 | woman:名:women=女子 | child:名:children=孩子 | face:张=人脸
    """,
    "animal": """
        animal:只 | bird:只 | cat:只 | dog:只 | horse:匹 | sheep:只:sheep | cow:头 | elephant:头 | bear:只
        zebra:匹 | giraffe:只 | fish:条:fish=鱼
    """,
    "furniture": """
        chair:把 | armchair:把 | swivel chair:把 | seat:个 | couch:张:couches | sofa:张 | bench:条:benches
        stool:个 | ottoman:个 | bed:张 | cradle:个 | table:张 | dining table:张 | diningtable:张 | coffee table:张
        pool table:张 | desk:张 | counter:个 | countertop:个 | kitchen island:个 | buffet:个 | cabinet:个
        wardrobe:个 | chest of drawers:个:chests of drawers | shelf:个:shelves | bookcase:个 | case:个 | mirror:面
        lamp:盏 | chandelier:盏 | sconce:盏 | light:盏 | curtain:幅 | blind:幅 | rug:块 | cushion:个 | pillow:个
        blanket:条 | painting:幅 | poster:张 | toilet:个 | bathtub:个 | shower:个 | sink:个 | refrigerator:台
        oven:台 | stove:台 | microwave:台 | dishwasher:台 | washer:台 | toaster:台 | hood:台 | radiator:个 | fan:台
        tv:台:TVs | tvmonitor:台 | television receiver:台 | television:台=电视 | screen:块 | crt screen:台
        monitor:台 | computer:台 | bulletin board:块 | arcade machine:台
    """,
    "food": """
        food:份:~ | banana:根 | apple:个 | sandwich:个:sandwiches | orange:个 | broccoli:朵:~ | carrot:根
        hot dog:个 | pizza:张 | donut:个 | cake:块 | fruit:个:~=水果 | vegetable:份=蔬菜 | bread:块:~=面包
        rice:份:~=米饭
    """,
    "item": """
        traffic light:个 | fire hydrant:个 | stop sign:个 | sign:个 | traffic sign:个 | signboard:块 | trade name:块
        streetlight:盏 | parking meter:个 | flag:面 | ashcan:个 | sculpture:座 | backpack:个 | umbrella:把
        handbag:个 | bag:个 | tie:条 | suitcase:个 | frisbee:个 | skis:副:pair | snowboard:块 | sports ball:个
        ball:个 | kite:只 | baseball bat:根 | baseball glove:只 | skateboard:块 | surfboard:块 | tennis racket:支
        bottle:个 | wine glass:只:wine glasses | glass:只:glasses | cup:个 | fork:把 | knife:把:knives | spoon:把
        bowl:个 | plate:个 | tray:个 | pot:个 | potted plant:盆 | pottedplant:盆 | laptop:台 | mouse:个:mice
        remote:个 | keyboard:个 | cell phone:部 | book:本 | clock:个 | vase:个 | scissors:把:pair | teddy bear:只
        hair drier:个 | toothbrush:支:toothbrushes | box:个:boxes | basket:个 | barrel:个 | tank:个 | towel:条
        apparel:件:~ | plaything:个 | phone:部=电话 | traffic cone:个=锥桶 | license plate:块=车牌
    """,
    "cell": """
        cell:个 | nucleus:个:nuclei | cytoplasm:片:~=细胞质 | mitochondrion:个:mitochondria=线粒体 | vesicle:个=囊泡
    """,
    "membrane": """
        membrane:条 | cell membrane:条=细胞膜 | boundary:条=边界
    """,
    "background": """
        background:片:the=背景 | void:片:the=空白 | other:片:~=其他 | unlabeled:片:~=未标注
    """,
}
