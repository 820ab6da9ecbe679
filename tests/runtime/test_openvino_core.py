"""OpenVINO and the process around it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

INTERRUPTED = """
import gc, os, signal, sys
from segscape.predict.predictor import load
first = load(sys.argv[1], engine="openvino")
second = load(sys.argv[1], engine="openvino", precision="f32")
del first
gc.collect()
del second
gc.collect()
bytearray(10_000_000)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signals of POSIX")
def test_ctrl_c_interrupts_also_after_engines_are_gone(tiny_bundle):
    command = [sys.executable, "-c", INTERRUPTED, str(tiny_bundle)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


IMPORTED = """
import sys
from segscape.runtime.openvino_core import {function}
{function}()
print(sorted({{"openvino.tools.ovc", "openvino_telemetry"}} & set(sys.modules)))
import openvino
print(type(openvino.convert_model).__name__)
"""


@pytest.mark.parametrize("function", ["openvino_core", "import_nncf"])
def test_nothing_that_sends_statistics_is_imported(function):
    if function == "import_nncf":
        pytest.importorskip("nncf")
    code = IMPORTED.format(function=function)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "[]\nfunction\n"), done.stderr


OPERATIONS = """
import sys
from segscape.runtime.openvino_core import import_openvino
openvino = import_openvino()
print("openvino.opset13.ops" in sys.modules)
from openvino import opset13
import openvino.opset8 as opset8
from openvino.opset1.ops import relu
x = openvino.opset1.parameter([1, 3], openvino.Type.f32.to_dtype())
print([node.get_type_name() for node in (opset13.softmax(x, 1), opset8.relu(x), relu(x), openvino.opset16.tanh(x))])
"""


def test_operations_to_build_graphs_with_are_there_when_asked_for():
    done = subprocess.run([sys.executable, "-c", OPERATIONS], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "False\n['Softmax', 'Relu', 'Relu', 'Tanh']\n"), done.stderr


TOGETHER = """
import threading, time
from numpy.lib import NumpyVersion
original = NumpyVersion.__init__

def slow(self, version):
    time.sleep(0.3)
    original(self, version)

NumpyVersion.__init__ = slow  # runs while OpenVINO fills its table
from segscape.runtime.openvino_core import openvino_core
openvino_core()
import openvino
threads = [threading.Thread(target=openvino.Type.f32.to_dtype, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_come_first_at_once_do_not_wait_for_each_other():
    subprocess.run([sys.executable, "-c", TOGETHER], check=True, timeout=60)
