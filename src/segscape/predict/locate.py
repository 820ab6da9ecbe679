"""Where a model's bundle lies: among those that come with the package, in a file or run folder, or to be downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from segscape.errors import ModelError

_WEIGHTS = Path(__file__).parent.parent / "weights"
PUBLISHED_MODELS = ("coco-maskrcnn", "coco-maskrcnn-v2", "voc-deeplab", "voc-fcn")


def bundled_models() -> dict[str, Path]:
    """The models that come with the package: name to bundle."""
    return {path.stem: path for path in sorted(_WEIGHTS.glob("*.safetensors"))}


def find_model(name: str | os.PathLike[str]) -> Path:
    """The bundle of a bundled or published model's name, of a .safetensors file, or of a run folder (its best).

    A folder that `segscape export` wrote is returned as it is.

    Published models (`segscape.models.published`) are downloaded on first use.

    Raises:
        ModelError: there is none.
    """
    text = os.fsdecode(name)
    path = Path(text)
    if text in (known := bundled_models()):
        return known[text]
    if text in PUBLISHED_MODELS and not path.exists():
        from segscape.models.published import published_bundle

        return published_bundle(text)
    try:
        if path.is_dir() and (path / "best.safetensors").exists():
            return path / "best.safetensors"
        if path.exists():
            return path
    except OSError as error:
        raise ModelError(f"no model {text!r}: it cannot be looked at ({error.strerror}); check the path") from error
    raise ModelError(
        f"no model {text!r}: not a file, nor one of the bundled models "
        f"({', '.join(known) or 'none'}) or of those that are downloaded ({', '.join(PUBLISHED_MODELS)})"
    )
