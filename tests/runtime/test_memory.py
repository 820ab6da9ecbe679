"""Memory that stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from segscape.runtime import memory
from segscape.runtime.memory import available_bytes, keep_freed_memory

CODE = """
import resource
import torch
from segscape.runtime.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
for _ in range(2):  # the heap grows to its size in the first round
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.empty(64 * 2**18).fill_(1)  # 64 MiB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux") or not keep_freed_memory(), reason="needs glibc")
def test_the_next_tensor_takes_the_memory_of_the_last() -> None:
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (True, False)
    )
    assert 4 * kept + 1000 < given_back, "page faults"


def test_elsewhere_it_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert keep_freed_memory() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cgroups are Linux's")
@pytest.mark.parametrize(("most", "left"), [("max", None), ("3000000", 1_000_000), ("1000000", 0)])
def test_a_containers_limit_counts(tmp_path, monkeypatch, most, left):
    (tmp_path / "memory.max").write_text(most + "\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    free = available_bytes()
    assert free == left if left is not None else free and free > 3_000_000


def test_available_memory_is_some_of_the_machines():
    free = available_bytes()
    if not sys.platform.startswith("linux"):
        assert free is None
    else:
        assert free is not None
        assert 2**20 < free < 2**50
