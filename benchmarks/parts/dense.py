"""Networks of label maps on the engines that run them, from a normalised image in memory to its label map."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import PHOTO, Row, checked, row_of

if TYPE_CHECKING:
    from library_networks import LibraryNetwork

TITLE = "Networks of label maps"
ABOUT = """A normalised image of 512 × 512 to its label map of that size; 21 classes and random weights, but for
`street-unet` and `street`. *torch* is eager and in float32, as the networks' own docs use them; *bf16* is autocast and
channels-last, which `torch.compile` speeds up further. *ONNX Runtime* runs the whole network, upsampling in it. *Ours*
is one network from graph to label map: coarse scores, then the compiled upsampling with arg-max. *Streams* keeps
several images under way at once and is the time an image. int8 is quantised after training on four views of the photo,
for speed alone: what it costs in accuracy is measured on trained networks, behind the gate of `segscape export
--int8`."""
PEER = "torch"
SIZE, QUICK_SIZE = 512, 256
FLOAT32 = ("ONNX Runtime", "ours onnx", "ours f32")


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    return ""


def image(size: int = SIZE) -> np.ndarray:
    """(1, 3, size, size) float32: the photo, normalised."""
    from segscape.image import read_image
    from segscape.preprocess import Preprocess, resized

    return Preprocess((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).batch(resized(read_image(PHOTO).pixels, size, size))


def compiler() -> str:
    """Why torch.compile cannot work on this CPU, or nothing."""
    named = os.environ.get("CXX")
    return (
        "" if shutil.which(named or "g++") else f"torch.compile needs a C++ compiler, and there is no {named or 'g++'}"
    )


def torch_ways(network: LibraryNetwork, x: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """torch as it comes, and with what it offers for speed on a CPU."""
    import torch

    plain = torch.from_numpy(x)
    nhwc = plain.contiguous(memory_format=torch.channels_last)
    last: Any = copy.deepcopy(network.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(model: Any, image: torch.Tensor, bf16: bool) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network.label_map(model, image).numpy()

    ways = {PEER: partial(run, network.model, plain, False), "torch bf16": partial(run, last, nhwc, True)}
    if not compiler():
        ways["torch.compile bf16"] = partial(run, torch.compile(last), nhwc, True)
    return ways


def whole_onnx(network: LibraryNetwork, x: np.ndarray) -> Callable[[], np.ndarray]:
    """ONNX Runtime as its docs say: the network exported at this size, a session with its defaults."""
    import onnxruntime
    from library_networks import onnx

    content = onnx(lambda image: network.scores(network.model, image), network.model, x, any_size=False)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"image": x})[0]).argmax(1)[0]


def our_engines(network: LibraryNetwork, x: np.ndarray, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Our engines by way, and why others are missing."""
    from segscape.runtime.onnx_engine import OnnxEngine
    from segscape.runtime.openvino_engine import OpenVINOEngine, has_bf16

    graph = network.graph()
    engines: dict[str, Any] = {
        "ours onnx": OnnxEngine(graph),
        "ours f32": OpenVINOEngine(graph, precision="f32", cache=False),
        "ours bf16": OpenVINOEngine(graph, precision="bf16", cache=False),
        "ours streams": OpenVINOEngine(graph, mode="throughput", cache=False),
    }
    notes = [] if has_bf16() else ["this CPU has no bf16 of its own: it is imitated"]
    if find_spec("nncf"):
        int8 = quantized(graph, x, folder)
        engines["ours int8"] = OpenVINOEngine(int8, cache=False)
        engines["ours int8 streams"] = OpenVINOEngine(int8, mode="throughput", cache=False)
    else:
        notes.append("no int8: nncf is not installed")
    return engines, notes


def quantized(graph: Any, x: np.ndarray, folder: Path) -> Any:
    """The graph in int8, by NNCF with its defaults."""
    from segscape.runtime.graphs import Graph
    from segscape.runtime.openvino_core import import_nncf, import_openvino, openvino_core

    nncf, openvino = import_nncf(), import_openvino()
    views = [x, x[..., ::-1].copy(), x * 0.7, x[:, :, ::-1].copy()]
    model = nncf.quantize(openvino_core().read_model(graph.model()), nncf.Dataset(views), subset_size=len(views))
    path = folder / "int8.xml"
    openvino.save_model(model, str(path))
    return Graph("openvino", lambda: path, graph.multiple, graph.stride, f"{graph.key} int8")


def label_map(engine: Any, x: np.ndarray) -> np.ndarray:
    """What `segscape.runtime.inference` does with an engine's scores."""
    from segscape.runtime.inference import Scores, classify

    scores = Scores(engine.low_logits(x)[0], (engine.stride, engine.stride), (x.shape[2], x.shape[3]))
    return classify(scores, confidence=False)[0]


def several(engine: Any, x: np.ndarray, pool: ThreadPoolExecutor, count: int) -> np.ndarray:
    """So many images at once; the last one's label map."""
    return list(pool.map(lambda _: label_map(engine, x), range(count)))[-1]


def network(name: str, quick: bool) -> Row:
    import library_networks as networks
    import torch

    from segscape.threads import num_threads

    torch.set_num_threads(num_threads())
    network, x = networks.NETWORKS[name](), image(QUICK_SIZE if quick else SIZE)
    notes: list[str] = [reason] if (reason := compiler()) else []
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(8) as pool:
        folder = Path(root)
        ways = torch_ways(network, x)
        if find_spec("onnxruntime"):
            ways["ONNX Runtime"] = whole_onnx(network, x)
        engines, more = our_engines(network, x, folder)
        per: dict[str, int] = {}
        for way, engine in engines.items():
            if way.endswith("streams"):
                per[way] = 2 * engine.concurrency
                ways[way] = partial(several, engine, x, pool, per[way])
            else:
                ways[way] = partial(label_map, engine, x)
        agrees = checked(agreement(ways), FLOAT32, 0.999)
        return row_of(
            network.what,
            ways,
            peer=PEER,
            quick=quick,
            seconds=12,
            least=3,
            warm=False,  # by `agreement`
            per=per,
            agrees=agrees,
            gflop=network.gflop(x.shape[2]),
            notes=tuple(notes + more),
        )


def agreement(ways: Mapping[str, Callable[[], np.ndarray]]) -> dict[str, float]:
    """The share of pixels in which each way equals the peer."""
    expected = ways[PEER]()
    return {way: float((work().squeeze() == expected.squeeze()).mean()) for way, work in ways.items() if way != PEER}


NAMES = (
    "fcn-r50",
    "deeplabv3-r50",
    "deeplabv3-mnv3",
    "lraspp-mnv3",
    "unet-r34",
    "street-unet",
    "street",
    "segformer-b0",
)
ROWS: dict[str, Callable[[bool], Row]] = {name: partial(network, name) for name in NAMES}
