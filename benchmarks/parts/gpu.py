"""Networks of label maps on a CUDA GPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from measure import Row, checked, row_of

from parts.dense import SIZE, agreement, image

TITLE = "Networks of label maps on a GPU"
ABOUT = """One image of 512 × 512 in the GPU's memory to its label map in the host's; random weights, but for
`street`. *torch* is eager and in float32; the others are bf16 by autocast and channels-last: eager, compiled, and as a
CUDA graph (`torch.compile(mode="reduce-overhead")`). *Ours* is `TorchEngine` on that GPU, from an array in the host's
memory, with the compiled upsampling on the CPU."""
PEER = "torch"


def missing() -> str:
    """Why this part cannot be run here, or nothing."""
    if not find_spec("torch"):
        return "torch is not installed"
    import torch

    return "" if torch.cuda.is_available() else "this machine has no CUDA GPU"


def network(name: str, quick: bool) -> Row:
    import library_networks as networks
    import torch

    from segscape.runtime.inference import Scores, classify
    from segscape.runtime.torch_engine import TorchEngine

    network, x = networks.NETWORKS[name](), image()
    engine = TorchEngine(network.network(), "cuda")
    plain: Any = copy.deepcopy(network.model).cuda()
    last: Any = copy.deepcopy(network.model).cuda().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    on_gpu = torch.from_numpy(x).cuda()
    nhwc = on_gpu.contiguous(memory_format=torch.channels_last)

    def run(model: Any, pixels: torch.Tensor, bf16: bool) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            return network.label_map(model, pixels).to(torch.uint8).cpu().numpy()

    def ours() -> np.ndarray:
        scores = Scores(engine.low_logits(x)[0], (engine.stride, engine.stride), (SIZE, SIZE))
        return classify(scores, confidence=False)[0]

    ways: dict[str, Callable[[], np.ndarray]] = {
        PEER: partial(run, plain, on_gpu, False),
        "bf16": partial(run, last, nhwc, True),
        "bf16 compiled": partial(run, torch.compile(last), nhwc, True),
        "bf16 CUDA graph": partial(run, torch.compile(last, mode="reduce-overhead"), nhwc, True),
        "ours": ours,
    }
    for _ in range(3):  # a CUDA graph is recorded in the second call
        agrees = checked(agreement(ways), ways, 0.7)
    return row_of(
        network.what, ways, peer=PEER, quick=quick, seconds=10, least=20, agrees=agrees, gflop=network.gflop(SIZE),
        notes=(torch.cuda.get_device_name(),),
    )  # fmt: skip


NAMES = ("fcn-r50", "deeplabv3-r50", "unet-r34", "street", "segformer-b0")
ROWS: dict[str, Callable[[bool], Row]] = {name: partial(network, name) for name in NAMES}
