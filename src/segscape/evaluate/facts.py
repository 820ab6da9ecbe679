"""What every report says besides its scores: the machine, and all of it in JSON's own types."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segscape.labels import LabelSet


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: floats to six decimals, arrays as lists, keys as they are."""
    match value:
        case LabelSet():
            return value.to_dict()
        case np.ndarray():
            return value.tolist()
        case float():
            return round(value, 6)
        case Mapping():
            return {key: plain(x) for key, x in value.items()}
        case tuple() | list():
            return [plain(x) for x in value]
        case _:
            return value


def machine() -> dict[str, Any]:
    """CPU, usable cores, the GPU if one is in use, and the versions of what computes the numbers."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text(errors="replace").splitlines() if line.startswith("model name")]
        cpu = lines[0].partition(":")[2].strip() if lines else cpu
    # Asked only of a torch that the model has loaded already: importing it here would cost seconds.
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_initialized() else None
    versions = {"python": platform.python_version()}
    for module in ("segscape", "numpy", "torch", "openvino", "hotcoco"):
        if module in sys.modules:
            versions[module] = getattr(sys.modules[module], "__version__", "") or importlib.metadata.version(module)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "gpu": gpu, "versions": versions}
