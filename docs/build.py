"""`make docs`: docs/cli.md from the commands' help, docs/recipes.md from the fields, README's results and picture."""

from __future__ import annotations

import inspect
import io
import json
from pathlib import Path

from rich.console import Console

import segscape
from segscape.cli import app
from segscape.files import write_text
from segscape.losses import LOSSES
from segscape.models import MODELS, OBJECT_MODELS, network_class
from segscape.models.bundle import ModelCard, read_card
from segscape.predict.locate import bundled_models
from segscape.render import side_by_side
from segscape.result_files import write_jpeg
from segscape.train.recipe import Recipe

ROOT = Path(__file__).parents[1]
VERBS = (
    "",
    "predict",
    "describe",
    "report",
    "index",
    "query",
    "train",
    "repeat",
    "evaluate",
    "export",
    "tune-crf",
    "tune-objects",
    "data check",
    "data convert",
    "models list",
    "models show",
)
BEGIN, END = "<!-- results: written by `make docs` -->", "<!-- end of results -->"
OBJECTS_BEGIN, OBJECTS_END = "<!-- objects: written by `make docs` -->", "<!-- end of objects -->"
# AP(t) = TP / (TP + FP + FN) at IoU 0.5 and 0.7 of Schmidt et al. 2018, table 1, on a like but not the same subset.
PUBLISHED_NUCLEI = (("Mask R-CNN", 0.832, 0.684), ("StarDist", 0.864, 0.685))
HUGE_BEGIN, HUGE_END = "<!-- huge: written by `make docs` -->", "<!-- end of huge -->"
PRECISION_BEGIN, PRECISION_END = "<!-- precision: written by `make docs` -->", "<!-- end of precision -->"
FOLDS_BEGIN, FOLDS_END = "<!-- folds: written by `make docs` -->", "<!-- end of folds -->"
# CamVid test, 11 classes, the same 367/101/233 split: mIoU in %, input size, pre-training, and where it was published.
PUBLISHED = (
    ("SegNet", 60.1, "480 × 360", "ImageNet", "Badrinarayanan et al. 2017"),
    ("FCN-8s", 57.0, "480 × 360", "ImageNet", "as reported by Jégou et al. 2017"),
    ("DeepLab-LargeFOV", 61.6, "480 × 360", "ImageNet", "as reported by Jégou et al. 2017"),
    ("Dilation8", 65.3, "480 × 360", "ImageNet", "as reported by Jégou et al. 2017"),
    ("FC-DenseNet103", 66.9, "480 × 360", "none", "Jégou et al. 2017"),
    ("BiSeNet-R18", 68.7, "960 × 720", "ImageNet", "Yu et al. 2018"),
    ("BiSeNetV2", 72.4, "960 × 720", "none", "Yu et al. 2021"),
    ("STDC2-Seg", 73.9, "960 × 720", "ImageNet", "Fan et al. 2021"),
)


def cli_page() -> str:
    """The help of every verb as a page."""
    parts = ["# The command line\n", "Written by `make docs` from the commands' own help; do not edit.\n"]
    for verb in VERBS:
        text = io.StringIO()
        console = Console(file=text, width=100, color_system=None)
        app([*verb.split(), "--help"], console=console, exit_on_error=False, print_error=False)
        lines = "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())
        parts.append(f"## segscape {verb}".rstrip() + f"\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


def recipes_page() -> str:
    """Every key of a recipe, with its default and meaning, and the options of networks and losses."""
    parts = [
        "# Recipes\n",
        "Written by `make docs` from the fields themselves; do not edit. A recipe is a TOML file; "
        "[recipes/](../recipes) holds the ones behind the bundled models. "
        "`--set optim.lr=5e-4` changes a key on the command line, `--set loss.0.weight=2` one in a list.\n",
    ]
    sections = {"top level": Recipe}
    for name, field in Recipe.model_fields.items():
        if inspect.isclass(field.annotation) and hasattr(field.annotation, "model_fields"):
            sections[f"[{name}]"] = field.annotation
    for title, model in sections.items():
        parts += [f"## {title}\n", "| key | default | what it does |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            if f"[{name}]" in sections:
                continue
            default = "required" if field.is_required() else f"`{json.dumps(field.default)}`"
            parts.append(f"| `{name}` | {default} | {' '.join((field.description or '').split())} |")
        parts.append("")
    networks = {name: network_class(name) for name in (*MODELS, *OBJECT_MODELS)}
    for title, classes in (("Networks and their options, in `[model]`", networks), ("Losses, in `[[loss]]`", LOSSES)):
        parts += [f"## {title}\n", "| name | options |", "|---|---|"]
        for name, cls in classes.items():
            parts.append(f"| `{name}` | {', '.join(options(cls)) or 'none'} |")
        parts.append("")
    return "\n".join(parts)


def options(cls: type) -> list[str]:
    """Keyword arguments of a network or loss that a recipe may set, with their defaults."""
    given = ("num_classes", "ignore_index", "class_pixels", "class_image_pixels")
    found = []
    for name, parameter in inspect.signature(cls).parameters.items():
        if name not in given and parameter.default is not inspect.Parameter.empty:
            found.append(f"`{name}` = {json.dumps(parameter.default, default=str)}")
    return found


def results_table(cards: list[ModelCard]) -> str:
    """Our test numbers, from the cards, beside the published ones."""
    lines = [
        "| model | CamVid test mIoU, % | photo | pre-training | parameters | GFLOPs | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for card in cards:
        test = card.metrics.get("test")
        if card.data.get("kind") != "camvid" or not test:
            continue
        low, high = (f"{100 * end:.1f}" for end in test["miou_interval"])
        network = f"{card.network}, {card.options.get('backbone', 'no backbone')}"
        seen = card.preprocess.network_size((360, 480))
        size = "480 × 360" if seen == (360, 480) else f"480 × 360, seen at {seen[1]} × {seen[0]}"
        network += ", with the dense CRF" if card.refines else ""
        score = f"**{100 * test['miou']:.1f}** ({low}…{high}){_over_seeds(card)}"
        lines.append(
            f"| **{card.name}** ({network}) | {score} | {size} | "
            f"ImageNet | {card.training['parameters'] / 1e6:.2f} M | {test['cost']['gflops']:.1f} | "
            f"`segscape evaluate {card.name}`, weights {card.sha256[:8]} |"
        )
    for name, miou, size, start, source in PUBLISHED:
        lines.append(f"| {name} | {miou:.1f} | {size} | {start} | | | {source} |")
    return "\n".join(lines)


def _over_seeds(card: ModelCard) -> str:
    repeated = card.metrics.get("repeated")
    if not repeated:
        return ""
    miou = repeated["scores"]["miou"]
    return f", {len(miou['values'])} seeds: {100 * miou['mean']:.1f} ± {100 * miou['sd']:.1f}"


def folds_table(cards: list[ModelCard]) -> str:
    """Cross-validated scores of membrane models, mean ± standard deviation over the folds."""
    lines = [
        "| model | folds | pixel error | IoU of membrane | V_Rand | V_info | challenge's pixel error | parameters |",
        "|---|---|---|---|---|---|---|---|",
    ]
    keys = ("pixel_error", "iou membrane", "v_rand", "v_info", "challenge_pixel_error")
    for card in cards:
        scores = card.metrics.get("repeated", {}).get("scores", {})
        if "v_rand" in scores:
            cells = [f"{scores[key]['mean']:.4f} ± {scores[key]['sd']:.4f}" for key in keys]
            folds, millions = len(scores["v_rand"]["values"]), card.training["parameters"] / 1e6
            lines.append(f"| **{card.name}** ({card.network}) | {folds} | {' | '.join(cells)} | {millions:.2f} M |")
    return "\n".join(lines)


def logged_cards() -> list[ModelCard]:
    """Cards of models that were measured but are not bundled (`segscape models show RUN --json`)."""
    paths = sorted((ROOT / "recipes" / "log").glob("*/card.json"))
    return [ModelCard.from_json(path.read_text(encoding="utf-8")) for path in paths]


def objects_table(cards: list[ModelCard]) -> str:
    """Average precision on the nuclei's test split, dark and bright images apart, beside the published numbers."""
    thresholds = ("0.50", "0.60", "0.70", "0.80", "0.90")
    heads = " | ".join(f"AP {t}" for t in thresholds)
    lines = [
        f"| model | images | {heads} | by image: 0.50, 0.70 | COCO mask AP | parameters |",
        "|---|---|" + "---|" * (len(thresholds) + 3),
    ]
    for card in cards:
        test = card.metrics.get("test")
        if not card.finds_objects or not test:
            continue
        millions = f"{card.training['parameters'] / 1e6:.2f} M"
        network = f"**{card.name}** ({card.network}, {card.options.get('backbone')})"
        # COCO's usual 100 detections an image are too few here.
        coco = test.get("map_mask_all", test["map_mask"])
        for name, group in sorted(test["groups"].items(), reverse=True):
            scores = " | ".join(f"{group['ap'][t]:.3f}" for t in thresholds)
            by_image = ", ".join(f"{group['ap_by_image'][t]:.3f}" for t in ("0.50", "0.70"))
            lines.append(
                f"| {network} | {name}, {group['num_images']} | {scores} | {by_image} | "
                f"{coco:.3f} (dark and bright) | {millions} |"
            )
    for name, half, seven in PUBLISHED_NUCLEI:
        lines.append(f"| {name} (Schmidt et al. 2018) | fluorescence | {half:.3f} | | {seven:.3f} | | | | |")
    return "\n".join(lines)


def huge_table() -> str:
    """What `benchmarks/huge.py` measured."""
    lines = [
        "| picture | tiles | seconds | … per megapixel | CPU seconds per megapixel | peak of memory | predicted |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in json.loads((ROOT / "benchmarks" / "huge.json").read_text("utf-8"))["rows"]:
        picture = f"{row['side']}²" if row["side"] else f"{row['megapixels']:.0f} megapixels, ordinary route"
        predicted = f"{row['predicted_bytes'] / 1e9:.2f} GB" if "predicted_bytes" in row else ""
        lines.append(
            f"| {picture} | {' × '.join(map(str, row.get('tile', ())))} | {row['seconds']:.0f} | "
            f"{row['seconds_per_megapixel']:.3f} | {row['cpu_seconds_per_megapixel']:.2f} | "
            f"{row['peak_bytes'] / 1e9:.2f} GB | {predicted} |"
        )
    return "\n".join(lines)


def precision_table() -> str:
    """What `benchmarks/precision.py` measured."""
    lines = [
        "| model | computed in | mIoU or mask AP | change | worst class | same pixels | times torch |",
        "|---|---|---|---|---|---|---|",
    ]
    names = {"f32": "float32", "bf16": "bf16", "int8": "int8"}
    for model, found in json.loads((ROOT / "benchmarks" / "precision.json").read_text("utf-8")).items():
        for way, row in found["rows"].items():
            first, layers = f"`{model}`" if way == "f32" else "", ""
            if way == "int8" and found["layers"]:
                layers = f", {found['layers'][0]} of {found['layers'][1]} layers"
            change = worst = ""
            if way != "f32":
                change = _points(row["change"])
                worst = f"{_points(row['worst_change'])} {row['worst_class']}"
            same = f"{100 * row['same_pixels']:.2f} %" if row["same_pixels"] is not None and way != "f32" else ""
            lines.append(
                f"| {first} | {names[way]}{layers} | {100 * row['score']:.2f} | {change} | {worst} | {same} | "
                f"{row['times_torch']:.1f} |"
            )
    return "\n".join(lines)


def _points(change: float) -> str:
    return f"{100 * change:+.2f}".replace("-", "−")


def replace_between(text: str, begin: str, end: str, content: str) -> str:
    """``text`` with ``content`` on lines of its own between two markers, each of which it holds once."""
    assert text.count(begin) == text.count(end) == 1, f"{begin} … {end}"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> None:
    write_text(ROOT / "docs" / "cli.md", cli_page())
    write_text(ROOT / "docs" / "recipes.md", recipes_page())
    result = segscape.load("street", engine="torch", device="cpu").predict(ROOT / "examples" / "photos" / "street.jpg")
    assert result.image
    panels = [("photo (rendered)", result.image.pixels), ("what `street` sees", result.plot())]
    write_jpeg(ROOT / "docs" / "street.jpg", side_by_side(panels))
    for page, begin, end, table in (
        ("huge.md", HUGE_BEGIN, HUGE_END, huge_table()),
        ("export.md", PRECISION_BEGIN, PRECISION_END, precision_table()),
    ):
        path = ROOT / "docs" / page
        write_text(path, replace_between(path.read_text(encoding="utf-8"), begin, end, table))
    readme = ROOT / "README.md"
    cards = [read_card(path) for path in bundled_models().values()]
    text = replace_between(readme.read_text(encoding="utf-8"), BEGIN, END, results_table(cards))
    text = replace_between(text, OBJECTS_BEGIN, OBJECTS_END, objects_table([*cards, *logged_cards()]))
    write_text(readme, replace_between(text, FOLDS_BEGIN, FOLDS_END, folds_table(cards)))


if __name__ == "__main__":
    main()
