"""What the figures were measured on."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from segscape.threads import num_threads

PACKAGES = (
    "segscape",
    "numpy",
    "numba",
    "opencv-python-headless",
    "pillow",
    "openvino",
    "nncf",
    "onnxruntime",
    "torch",
    "torchvision",
    "transformers",
    "segmentation-models-pytorch",
    "pycocotools",
    "hotcoco",
)
_TOLD = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")


def machine() -> dict[str, Any]:
    """CPU with the instructions that matter here, threads, system and versions; no date and no names."""
    cpu, flags = platform.processor() or platform.machine(), set[str]()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text("utf-8", "replace").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
        flags = set(next((line for line in lines if line.startswith("flags")), "").split())
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu,
        "instructions": [flag for flag in _TOLD if flag in flags],
        "threads": num_threads(),
        "system": platform.system(),
        "versions": versions,
    }
