"""Networks that find objects: from pixels to masks of the photo's size."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import PHOTO, ROOT, Row, checked, row_of

TITLE = "Networks that find objects"
ABOUT = """From pixels in memory to the objects' masks. Mask R-CNN R50-FPN: torchvision's own network, eager and in
float32, with random weights under which it finds 100 objects in a photo of 640 × 480, seen at 1066 × 800; ours has the
same weights. `nuclei`: the bundled model in torch, eager and in float32, with torchvision's masks. Equal are those of
the peer's objects that ours has too: same class, masks' IoU over 0.9."""
PEER = "torchvision"
_SAME_IOU = 0.9


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return ""


def maskrcnn(quick: bool) -> Row:
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    from segscape.data.public_sets import COCO
    from segscape.image import read_image
    from segscape.models.bundle import ModelCard, save_bundle
    from segscape.models.published import PUBLISHED, under_our_names
    from segscape.threads import num_threads

    sys.path.insert(0, str(ROOT / "tests" / "models"))
    from detector_help import first_version, lively

    torch.set_num_threads(num_threads())
    torch.manual_seed(0)
    published, pixels = PUBLISHED["coco-maskrcnn"], read_image(PHOTO).pixels
    network: Any = first_version(len(COCO))
    lively(network)
    with torch.no_grad():  # else no class of 80 stands out by more than the least score
        network.roi_heads.box_predictor.cls_score.weight.mul_(4)
    size = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).transform  # its own sizes and normalisation
    network.transform.min_size, network.transform.max_size = size.min_size, size.max_size
    network.eval()
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255

    @torch.inference_mode()
    def peer() -> tuple[np.ndarray, np.ndarray]:
        found = network([tensor])[0]
        return (found["masks"][:, 0] > 0.5).numpy(), found["labels"].numpy() - 1

    card = ModelCard(
        name="random",
        network=published.network,
        options=published.options,
        label_set=COCO,
        preprocess=published.preprocess,
        task=published.task,
        data={},
        metrics={},
        recipe={},
        training={},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.safetensors"
        save_bundle(path, under_our_names(network.state_dict(), published.names), card, half=False)
        return _row("Mask R-CNN R50-FPN, 640 × 480", path, pixels, peer, quick, min_score=0.05)


def nuclei(quick: bool) -> Row:
    import torch
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    from segscape.image import read_image
    from segscape.models.bundle import load_bundle
    from segscape.predict.locate import find_model
    from segscape.threads import num_threads

    torch.set_num_threads(num_threads())
    pixels = read_image(PHOTO.with_name("cells.png")).pixels
    model, card = load_bundle(find_model("nuclei"))
    network: Any = model
    lowest = float(card.objects.get("min_score", 0.5))

    @torch.inference_mode()
    def peer() -> tuple[np.ndarray, np.ndarray]:
        batch = card.preprocess.batch(pixels)
        found = network.detect(torch.from_numpy(batch))[0]
        kept = found["scores"] >= lowest
        scale = torch.tensor([pixels.shape[1] / batch.shape[3], pixels.shape[0] / batch.shape[2]] * 2)
        masks = paste_masks_in_image(found["masks"][kept][:, None], found["boxes"][kept] * scale, pixels.shape[:2])
        return (masks[:, 0] > 0.5).numpy(), found["labels"][kept].numpy() - 1

    height, width = pixels.shape[:2]
    return _row(f"`nuclei`, {width} × {height}", find_model("nuclei"), pixels, peer, quick)


def _row(
    what: str,
    bundle: Path,
    pixels: np.ndarray,
    peer: Callable[[], tuple[np.ndarray, np.ndarray]],
    quick: bool,
    **options: Any,
) -> Row:
    import segscape
    from segscape.errors import ConfigError

    predictors: dict[str, Any] = {"ours auto": segscape.load(bundle, device="cpu")}
    notes = [f"auto is {predictors['ours auto'].engine_name}"]
    for way, wanted in (("ours f32", {"engine": "openvino", "precision": "f32"}), ("ours torch", {"engine": "torch"})):
        try:
            predictors[way] = segscape.load(bundle, device="cpu", **wanted)
        except ConfigError as error:
            notes.append(f"no {way}: {error}")
    masks, labels = peer()
    agrees = {}
    for way, predictor in predictors.items():
        result = predictor.predict(pixels, **options)
        agrees[way] = shared(masks, labels, result)
        notes.append(f"{len(labels)} objects by the peer, {len(result.regions)} by {way}")
    checked(agrees, ("ours f32", "ours torch"), 0.95)
    ways: dict[str, Callable[[], object]] = {PEER: peer}
    ways |= {way: (lambda p=predictor: p.predict(pixels, **options)) for way, predictor in predictors.items()}
    return row_of(what, ways, peer=PEER, quick=quick, seconds=40, least=4, agrees=agrees, notes=tuple(notes))


def shared(masks: np.ndarray, labels: np.ndarray, result: Any) -> float:
    """The share of (N, H, W) masks of which ``result`` has one of the same class that overlaps by 0.9."""
    free = list(result.regions)
    found = 0
    for mask, label in zip(masks, labels.tolist(), strict=True):
        area = int(mask.sum())
        for region in free:
            x0, y0, x1, y1 = region.box
            inside = int((mask[y0:y1, x0:x1] & region.mask.to_dense()).sum()) if region.label == label else 0
            if inside > _SAME_IOU * (area + region.area_px - inside):
                free.remove(region)
                found += 1
                break
    return found / max(1, len(labels))


ROWS: dict[str, Callable[[bool], Row]] = {"maskrcnn": maskrcnn, "nuclei": nuclei}
