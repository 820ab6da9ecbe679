"""The route from a file to a label map, in a process that is ready."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measure import PHOTO, ROOT, Row, checked, row_of
from photos import large_photo, many_photos

if TYPE_CHECKING:
    from segscape.predict.predictor import Predictor
    from segscape.result import Segmentation

TITLE = "From a file to a label map, in a process that is ready"
ABOUT = """Model `street`. A photo: decoded, through the network, label map and regions in memory; ours by
`Predictor.predict` on its engines. The folder: 200 photos of 640 × 480, in milliseconds a photo; each turn takes the
next 50, and every way writes a PNG of each label map. *All files* is what `segscape predict` writes: overlay and JSON
too. *auto, CRF* has the dense CRF behind the network; the others, like `street` unless asked, do not refine. *int8* is
there if `segscape export street --to openvino --int8 DATA --out out/street-int8` was run before."""
PEER = "torch eager + Pillow"
INT8 = ROOT / "out" / "street-int8"
NUM_PHOTOS, BLOCK = 200, 50


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return ""


def _engines(mode: str) -> dict[str, Predictor]:
    import segscape

    return {
        "auto": segscape.load("street", device="cpu", mode=mode),
        **({"int8": segscape.load(INT8, mode=mode)} if INT8.exists() else {}),
        "auto f32": segscape.load("street", device="cpu", mode=mode, precision="f32"),
        "onnx": segscape.load("street", engine="onnx", mode=mode),
        "torch": segscape.load("street", engine="torch", device="cpu", mode=mode),
    }


def _photo(what: str, path: Path, quick: bool) -> Row:
    from torch_and_pillow import TorchAndPillow

    peer = TorchAndPillow()
    predictors = _engines("latency")
    expected = peer(path)
    ways: dict[str, Callable[[], object]] = {PEER: lambda: peer(path)}
    ways |= {way: partial(p.predict, path, refine="none") for way, p in predictors.items()}
    agrees = {
        way: float((p.predict(path, refine="none").label_map == expected).mean()) for way, p in predictors.items()
    }
    ways["auto, CRF"] = partial(predictors["auto"].predict, path, refine="crf")
    return row_of(what, ways, peer=PEER, quick=quick, agrees=checked(agrees, agrees, 0.95))


def small(quick: bool) -> Row:
    return _photo("one photo, 640 × 480", PHOTO, quick)


def large(quick: bool) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        return _photo("one photo, 4000 × 3000", large_photo(Path(folder) / "large.jpg"), quick)


def folder_of_photos(quick: bool) -> Row:
    from torch_and_pillow import TorchAndPillow, save

    from segscape.predict.files import predict_files
    from segscape.result_files import write_label_png

    peer, block = TorchAndPillow(), 10 if quick else BLOCK
    with tempfile.TemporaryDirectory() as root:
        folder, out = Path(root) / "photos", Path(root) / "out"
        folder.mkdir()
        out.mkdir()
        paths = many_photos(folder, 2 * block if quick else NUM_PHOTOS)
        blocks = [paths[i : i + block] for i in range(0, len(paths), block)]
        seen: dict[str, int] = {}

        def following(way: str) -> list[Path]:
            seen[way] = seen.get(way, -1) + 1
            return blocks[seen[way] % len(blocks)]

        def by_peer() -> None:
            for path in following(PEER):
                save(peer(path), out / f"{path.stem}.png")

        def label_maps(way: str, predictor: Predictor) -> None:
            todo = following(way)
            for path, result in zip(todo, predictor.predict_many(todo, refine="none"), strict=True):
                assert result.label_map is not None
                write_label_png(out / f"{path.stem}.{way}.png", result.label_map, result.label_set)

        def all_files(way: str, predictor: Predictor) -> None:
            for outcome in predict_files(predictor, following(way), out, refine="none"):
                assert outcome.error is None

        predictors = _engines("throughput")
        expected = [peer(path) for path in paths[:3]]
        agrees = {way: _equal(p.predict_many(paths[:3], refine="none"), expected) for way, p in predictors.items()}
        ways: dict[str, Callable[[], object]] = {PEER: by_peer}
        ways |= {way: partial(label_maps, way, p) for way, p in predictors.items()}
        ways["auto, all files"] = partial(all_files, "auto, all files", predictors["auto"])
        return row_of(
            f"a folder of {len(paths)} photos, each",
            ways,
            peer=PEER,
            quick=quick,
            seconds=0,
            least=len(blocks),
            warm=False,
            per=dict.fromkeys(ways, block),
            agrees=checked(agrees, agrees, 0.95),
        )


def _equal(results: Iterable[Segmentation], expected: Sequence[np.ndarray]) -> float:
    return float(np.mean([(r.label_map == e).mean() for r, e in zip(results, expected, strict=True)]))


ROWS: dict[str, Callable[[bool], Row]] = {"photo": small, "12MP": large, "folder": folder_of_photos}
