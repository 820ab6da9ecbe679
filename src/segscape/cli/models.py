"""``segscape models``."""

from __future__ import annotations

from typing import Any

from segscape.cli.common import Json, console, print_json, say


def list_models(*, json_: Json = False) -> int:
    """List the bundled models.

    Example: segscape models list
    """
    from rich.table import Table

    from segscape.models.reading import read_card
    from segscape.predict.locate import bundled_models

    cards = {name: read_card(path) for name, path in bundled_models().items()}
    if json_:
        print_json([{"name": name, "path": str(bundled_models()[name]), **c.summary()} for name, c in cards.items()])
        return 0
    table = Table("model", "network", "classes", "data", "parameters", "mIoU or mask AP")
    for name, card in cards.items():
        row = card.summary()
        measured = row["map_mask" if card.finds_objects else "miou"]
        scores = ", ".join(f"{split} {100 * score:.1f} %" for split, score in measured.items())
        millions = f"{row['parameters'] / 1e6:.2f} M" if row["parameters"] else ""
        table.add_row(name, row["network"], str(row["classes"]), row["data"], millions, scores)
    console().print(table)
    return 0


def show(name: str, /, *, json_: Json = False) -> int:
    """Print a model's card: network, classes, data and its terms, numbers, recipe.

    Example: segscape models show street

    Parameters
    ----------
    name
        A bundled model, a bundle or a run folder.
    """
    from segscape.export.folder import card_of
    from segscape.predict.locate import find_model

    card = card_of(find_model(name)).to_dict()
    if json_:
        print_json(card)
        return 0
    card["label_set"] = ", ".join(label["name"] for label in card["label_set"]["labels"])
    for line in _outline(card):
        say(line)
    return 0


def _outline(values: dict[str, Any], indent: str = "") -> list[str]:
    """Nested tables as indented lines."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_outline(value, indent + "  ")]
        elif value not in (None, "", {}, []):
            shown = f"{value:.4f}" if isinstance(value, float) and 0.001 <= abs(value) < 1 else str(value)
            lines.append(f"{indent}{key}: {shown}")
    return lines
