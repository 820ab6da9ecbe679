"""From a network in torch to a graph."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segscape.errors import ConfigError
from segscape.models.efficientnet_lite import PaddedConv
from segscape.models.network import Network
from segscape.runtime.graphs import INPUT, OUTPUT, packed_graph

OPSET = 17


def trace(model: nn.Module) -> dict[str, bytes]:
    """The graphs of a network by part, without its weights.

    The graphs do not depend on the weights: the network is traced with others, no two tensors alike, because the
    exporter merges equal ones (and in a new network all shifts are zero).

    Returns:
        of a `Network` one, called "": its `Network.score` with any batch size, height and width; of a `MaskRCNN` those
        of `segscape.export.detector_tracing.trace_parts`.

    Raises:
        ConfigError: a network that torch cannot export.
    """
    network = copy.deepcopy(model).eval().cpu().float()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    for module in network.modules():
        if isinstance(module, PaddedConv):
            _fix_padding(module)
    if not isinstance(network, Network):
        from segscape.export.detector_tracing import trace_parts

        return trace_parts(network)
    m = network.multiple
    axes = {INPUT: {0: "n", 2: "height", 3: "width"}, OUTPUT: {0: "n", 2: "score_height", 3: "score_width"}}
    content = to_onnx(network, network.score, torch.zeros(1, 3, 2 * m, 3 * m), axes)
    said = {"multiple": str(m), "stride": str(network.stride)}
    return {"": packed_graph(content, network.state_dict(), said)}


def to_onnx(
    network: nn.Module, forward: Callable[[Tensor], Any], example: Tensor, axes: Mapping[str, dict[int, str]]
) -> bytes:
    """An ONNX model of what ``forward`` makes of one tensor with the network's weights.

    Args:
        network: its state dict's names become those of the weights.
        forward: what to trace; gives a tensor or several.
        example: of its input.
        axes: the input's name and then the outputs', each with the axes whose length may be any.

    Raises:
        ConfigError: torch cannot export it.
    """
    network.forward = forward
    names = list(axes)
    options: dict[str, Any] = {
        "dynamo": False,  # the newer exporter renames weights and takes many times as long
        "opset_version": OPSET,
        "do_constant_folding": False,  # folded weights are no longer those of the bundle
        "training": torch.onnx.TrainingMode.PRESERVE,  # keeps batch norm apart from its convolution
        "input_names": names[:1],
        "output_names": names[1:],
        "dynamic_axes": axes,
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that become constants, as the sizes' multiples are meant to
        path = Path(folder) / "graph.onnx"
        try:
            torch.onnx.export(network, (example,), str(path), **options)
        except Exception as error:  # torch has no one class for what its exporter cannot do
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            raise ConfigError(f"this network cannot become a graph: {reason}") from error
        return path.read_bytes()


def _fix_padding(conv: PaddedConv) -> None:
    """What SAME padding adds is the same for all inputs whose sides are multiples of the stride."""
    if conv.stride[0] == 1:
        return
    pads: list[int] = []
    for k in reversed(conv.kernel_size):
        total = max((k - 1) * conv.dilation[0] + 1 - conv.stride[0], 0)
        pads += [total // 2, total - total // 2]

    def forward(x: Tensor) -> Tensor:
        return nn.Conv2d.forward(conv, F.pad(x, pads))

    conv.forward = forward  # type: ignore[method-assign]
