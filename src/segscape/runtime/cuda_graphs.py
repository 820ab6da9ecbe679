"""Replaying a network on a GPU: small networks there wait for Python to launch their hundreds of kernels one by one.

A CUDA graph launches all of them at once, for one input size; see https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

_MOST_SIZES = 4  # each keeps the memory of its run
_WARM_UP = 3  # runs before recording, in which libraries choose their algorithms


class CudaGraphs:
    """A function of one tensor, recorded for each input size that comes a second time in a row and replayed then.

    Args:
        function: (N, 3, H, W) on the GPU in, a tensor out; the same kernels for the same sizes.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._recorded: OrderedDict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = OrderedDict()
        self._last: torch.Size | None = None
        self._possible = True
        self._too_large: set[torch.Size] = set()

    def __call__(self, x: Tensor) -> Tensor:
        """The function of ``x``; the tensor returned is written again by the next call."""
        if x.shape not in self._recorded:
            again, self._last = x.shape == self._last, x.shape
            if not (again and self._possible and x.shape not in self._too_large and self._record(x)):
                return self._function(x)
        graph, given, found = self._recorded[x.shape]
        self._recorded.move_to_end(x.shape)
        given.copy_(x)
        graph.replay()
        return found

    def _record(self, x: Tensor) -> bool:
        given = x.clone(memory_format=torch.preserve_format)
        stream = torch.cuda.Stream(x.device)
        stream.wait_stream(torch.cuda.current_stream(x.device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UP):
                    self._function(given)
            torch.cuda.current_stream(x.device).wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                found = self._function(given)
        except torch.OutOfMemoryError:
            self._too_large.add(x.shape)
            return False
        except RuntimeError:  # something in the network cannot be recorded: it runs as it would without
            self._possible = False
            return False
        self._recorded[x.shape] = graph, given, found
        while len(self._recorded) > _MOST_SIZES:
            self._recorded.popitem(last=False)
        return True
