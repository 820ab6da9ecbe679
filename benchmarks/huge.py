"""Times and measures pictures that are read by windows: seconds per megapixel and the peak of memory, by size.

Each size runs in a fresh process, on a picture synthesised band by band into a tiled BigTIFF (never in memory whole):
the photo given, mirrored and repeated, with noise of its own in each tile, so that no two are alike. Memory is what the
process grows by at its highest after the model has been loaded, which is what --max-memory bounds (Linux only). With
--pipeline the network is replaced by one that costs nothing and gives scores of the same shape: what is left is
reading, blending, classifying and writing. The side 0 is the ordinary route on a picture of 12 megapixels at its own
size. Writes benchmarks/huge.json and prints a table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from run import ROOT, versions

from segscape.files import write_text
from segscape.image import read_image

TILE = 512
ORDINARY = (3000, 4000)


def tiles(photo: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """(TILE, TILE, 3) uint8, from left to right and from top to bottom."""
    height, width = photo.shape[:2]
    for y in range(0, side, TILE):
        for x in range(0, side, TILE):
            rows, columns = np.arange(y, y + TILE) % (2 * height), np.arange(x, x + TILE) % (2 * width)
            rows, columns = np.minimum(rows, 2 * height - 1 - rows), np.minimum(columns, 2 * width - 1 - columns)
            noise = np.random.default_rng((y, x)).integers(-6, 7, (TILE, TILE, 1), np.int16)
            yield np.clip(photo[rows[:, None], columns] + noise, 0, 255).astype(np.uint8)


def synthesise(path: Path, photo: np.ndarray, side: int) -> None:
    import tifffile

    shape = (side, side, 3)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(tiles(photo, side), shape=shape, dtype=np.uint8, tile=(TILE, TILE), photometric="rgb")


class Nothing:
    """An engine that costs nothing: scores of the same shape as another's, from the pixels' colours."""

    def __init__(self, stride: int, num_classes: int) -> None:
        self.name, self.stride, self.concurrency, self._num = "nothing", stride, 1, num_classes

    def low_logits(self, batch: np.ndarray) -> np.ndarray:
        small = batch[:, :, :: self.stride, :: self.stride]
        return np.ascontiguousarray(small[:, np.arange(self._num) % 3] + np.arange(self._num)[:, None, None] / 50)


def one(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a fresh process does: one picture, by tiles or by the ordinary route."""
    from segscape.predict.predictor import Predictor, load
    from segscape.predict.tiling.huge import predict_huge
    from segscape.predict.tiling.memory import give_back_freed, peak_bytes, resident_bytes

    predictor = load(arguments.model, device="cpu", mode=arguments.mode)
    if arguments.pipeline:
        predictor = Predictor(Nothing(predictor.score_engine.stride, len(predictor.card.label_set)), predictor.card)
    photo = read_image(arguments.photo).pixels
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        warm = np.ascontiguousarray(np.resize(photo, (512, 512, 3)))
        predict_huge(predictor, warm, Path(folder) / "warm.tif", tile=256, margin=0)
        path, out = Path(folder) / "big.tif", Path(folder) / "out.tif"
        facts: dict[str, Any] = {}
        if arguments.side:
            synthesise(path, photo, arguments.side)

            def work() -> None:
                result = predict_huge(predictor, path, out, max_memory=arguments.max_memory)
                facts.update(tile=result.plan.tile, margin=result.plan.margin, predicted_bytes=result.predicted_bytes)

            pixels = arguments.side**2
        else:
            image = np.concatenate([np.concatenate(list(tiles(photo, 4096))[i : i + 8], 1) for i in range(0, 64, 8)])
            image = np.ascontiguousarray(image[: ORDINARY[0], : ORDINARY[1]])
            pixels = image.shape[0] * image.shape[1]

            def work() -> None:
                predictor.predict(image, long_side="native", refine="none", keep_image=False)

        give_back_freed()
        before = resident_bytes()
        start, cpu = time.perf_counter(), time.process_time()
        peak = peak_bytes(work)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    return {
        "side": arguments.side,
        "megapixels": round(pixels / 1e6, 2),
        "seconds": round(seconds, 2),
        "seconds_per_megapixel": round(seconds / pixels * 1e6, 4),
        "cpu_seconds_per_megapixel": round(cpu_seconds / pixels * 1e6, 4),
        "peak_bytes": None if peak is None or before is None else peak - before,
        **facts,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", help="any photo: what the synthesised pictures are made of")
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 8192, 16384], help="0: the ordinary route")
    parser.add_argument("--model", default="street")
    parser.add_argument("--max-memory", default="1GB")
    parser.add_argument("--mode", default="latency", help="of the engine: latency or throughput")
    parser.add_argument("--pipeline", action="store_true", help="without the network")
    parser.add_argument("--scratch", help="folder for the pictures; they take 3 bytes a pixel")
    parser.add_argument("--out", default=str(ROOT / "benchmarks" / "huge.json"))
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        print(json.dumps(one(arguments)))
        return
    rows = []
    for side in arguments.sides:
        command = [sys.executable, __file__, *sys.argv[1:], "--side", str(side)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], file=sys.stderr)
    table = Table("side", "megapixels", "s", "s/MP", "CPU s/MP", "peak MB", "predicted MB", "tile")
    for row in rows:
        peak, predicted = row["peak_bytes"], row.get("predicted_bytes")
        table.add_row(
            str(row["side"] or "ordinary"),
            f"{row['megapixels']:.0f}",
            f"{row['seconds']:.1f}",
            f"{row['seconds_per_megapixel']:.3f}",
            f"{row['cpu_seconds_per_megapixel']:.3f}",
            "" if peak is None else f"{peak / 1e6:.0f}",
            "" if predicted is None else f"{predicted / 1e6:.0f}",
            " × ".join(map(str, row.get("tile", ()))),
        )
    Console().print(table)
    facts = {key: getattr(arguments, key) for key in ("model", "mode", "max_memory", "pipeline")}
    packages = versions()
    write_text(arguments.out, json.dumps({**facts, "versions": packages, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
