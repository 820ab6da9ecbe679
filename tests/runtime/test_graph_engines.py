"""OpenVINO and ONNX Runtime against torch: the same scores from the same bundle."""

import gc
import threading
from pathlib import Path

import numpy as np
import pytest

from graph_help import SMALL, noise, save_small
from segscape.errors import ConfigError, ModelError, ResourceError
from segscape.models import MODELS
from segscape.runtime import graphs, openvino_engine
from segscape.runtime.choose import open_engine
from segscape.runtime.graphs import bundle_graph
from segscape.runtime.onnx_engine import OnnxEngine
from segscape.runtime.openvino_engine import OpenVINOEngine

BOTH = pytest.mark.parametrize("engine", ["openvino", "onnx"])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path / "cache"))


def test_every_network_is_here():
    assert {network for network, _ in SMALL} == set(MODELS)


@pytest.mark.parametrize(("network", "options"), SMALL, ids=[network for network, _ in SMALL])
def test_scores_equal_torch_at_any_size(tmp_path, tiny_labels, network, options):
    path = save_small(tmp_path / "m.safetensors", network, options, tiny_labels)
    torch_engine = open_engine(path, "torch", device="cpu").engine
    engines = [OpenVINOEngine(bundle_graph(path), precision="f32"), OnnxEngine(bundle_graph(path))]
    for size, n in [((1, 1), 1), ((64, 96), 1), ((70, 41), 2)]:
        wanted = torch_engine.low_logits(noise(*size, n))
        assert wanted.std() > 0
        for engine in engines:
            found = engine.low_logits(noise(*size, n))
            assert (found.dtype, found.shape, engine.stride) == (np.float32, wanted.shape, torch_engine.stride)
            np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, wanted.std()), rtol=1e-4)


@BOTH
def test_one_graph_serves_every_model_of_its_architecture(tmp_path, tiny_labels, engine, monkeypatch):
    """Also one whose tensors are partly equal, as a new network's are: the exporter would have merged them."""
    first = save_small(tmp_path / "a.safetensors", *SMALL[1], tiny_labels)
    open_engine(first, engine)
    monkeypatch.setattr(graphs, "_make", None)  # from here on none is made
    second = save_small(tmp_path / "b.safetensors", *SMALL[1], tiny_labels, seed=1)
    found = open_engine(second, engine, precision="f32").engine.low_logits(noise(9, 9))
    np.testing.assert_allclose(found, open_engine(second, "torch").engine.low_logits(noise(9, 9)), atol=1e-4)
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 1


@BOTH
@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_threads_get_their_own_scores(tiny_bundle, engine, mode):
    chosen = open_engine(tiny_bundle, engine, mode=mode).engine
    assert chosen.concurrency >= 1
    batches = [noise(20 + i, 30, seed=i) for i in range(6)]
    alone = [chosen.low_logits(b) for b in batches]
    together: dict[int, np.ndarray] = {}

    def run(i: int) -> None:
        for _ in range(5):
            together[i] = chosen.low_logits(batches[i])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(batches))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i, expected in enumerate(alone):
        np.testing.assert_allclose(together[i], expected, atol=1e-6)


def test_what_openvino_compiled_is_kept_and_used_and_a_damaged_one_made_anew(tiny_bundle, tmp_path, monkeypatch):
    wanted = OpenVINOEngine(bundle_graph(tiny_bundle)).low_logits(noise(8, 8))
    (blob,) = (tmp_path / "cache" / "openvino").iterdir()
    graph = bundle_graph(tiny_bundle)

    def never() -> bytes:
        raise AssertionError("the weights were read")

    unread = graphs.Graph("onnx", never, graph.multiple, graph.stride, graph.key)
    kept = OpenVINOEngine(unread)
    gc.collect()  # its weights lie in the file, and are read anew for each size
    for size in (8, 24, 8):
        fresh = OpenVINOEngine(graph, cache=False).low_logits(noise(size, size))
        np.testing.assert_array_equal(kept.low_logits(noise(size, size)), fresh)
    with pytest.raises(AssertionError, match="weights were read"):
        OpenVINOEngine(unread, precision="f32" if openvino_engine.has_bf16() else "bf16")
    sound = blob.read_bytes()
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    for damaged in (b"damaged", b"", bytes(4), sound[:-1], bytes(flipped)):
        blob.write_bytes(damaged)
        np.testing.assert_array_equal(OpenVINOEngine(graph).low_logits(noise(8, 8)), wanted)
        assert blob.stat().st_size > 1000
        blob.write_bytes(damaged)
        with pytest.raises(AssertionError, match="weights were read"):
            OpenVINOEngine(unread)


def test_a_cache_that_cannot_be_written_is_done_without(tiny_bundle, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGSCAPE_CACHE", str(tmp_path / "file"))
    assert OpenVINOEngine(bundle_graph(tiny_bundle)).low_logits(noise(8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("flags", "native"),
    [({"avx512f", "avx512_bf16"}, True), ({"asimd", "bf16"}, True), ({"avx512f", "avx2"}, False), (set(), False)],
)
def test_auto_is_bf16_only_where_the_cpu_has_it(tiny_bundle, monkeypatch, flags, native):
    monkeypatch.setattr(openvino_engine, "_cpu_flags", lambda: flags)
    assert OpenVINOEngine(bundle_graph(tiny_bundle)).name == f"openvino cpu {'bf16' if native else 'f32'}"


@pytest.mark.parametrize("options", [{"precision": "f64"}, {"mode": "fast"}])
def test_options_that_are_none(tiny_bundle, options):
    with pytest.raises(ConfigError, match="is one of"):
        OpenVINOEngine(bundle_graph(tiny_bundle), **options)


@BOTH
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("sizes differ")])
def test_faults_while_running(tiny_bundle, engine, error):
    chosen = open_engine(tiny_bundle, engine).engine

    class Failing:
        def infer(self, *_args, **_options):
            raise error

        run = infer

    if engine == "openvino":
        chosen._network._requests.get()
        chosen._network._requests.put(Failing())
    else:
        chosen._network._session = Failing()
    says = (
        ("sizes differ", ModelError) if "sizes" in str(error) else ("out of memory on the CPU at 7 × 5", ResourceError)
    )
    for _ in range(2):  # a failed call keeps no place
        with pytest.raises(says[1], match=says[0]):
            chosen.low_logits(noise(5, 7))


@BOTH
def test_weights_that_do_not_fit_are_refused(tmp_path, tiny_labels, engine):
    from safetensors.torch import load_file

    from segscape.models.bundle import read_card, save_bundle

    path = save_small(tmp_path / "m.safetensors", *SMALL[1], tiny_labels)
    open_engine(path, engine)
    state, card = load_file(path), read_card(path)
    for changed in (
        {**state, "head.bias": state["head.bias"][:2]},
        {k: v for k, v in state.items() if k != "head.bias"},
    ):
        save_bundle(path, changed, card)
        with pytest.raises(ModelError, match=r"'head\.bias' is (float16 \(2,\)|nothing), but float \(3,\) is needed"):
            open_engine(path, engine)


def test_the_package_has_the_graphs_of_its_models_as_torch_makes_them_now():
    from segscape.export.tracing import trace
    from segscape.models.bundle import load_bundle
    from segscape.predict.locate import bundled_models
    from segscape.runtime.onnx_format import metadata

    names = set()
    for path in bundled_models().values():
        model, card = load_bundle(path)
        for part, content in trace(model).items():
            names.add(graphs.graph_name(card, part))
            shipped = graphs._SHIPPED / graphs.graph_name(card, part)
            assert shipped.stat().st_size < 300_000
            found = graphs.find_graph(card, part)
            assert found is not None
            assert metadata(found) == metadata(content)
    assert {p.name for p in graphs._SHIPPED.iterdir()} == names


@pytest.mark.parametrize("engine", ["openvino", "onnx"])
@pytest.mark.parametrize("name", ["street-fcn", "membrane"])
def test_bundled_models_score_as_in_torch(engine, name):
    from segscape.predict.locate import find_model

    batch = noise(50, 70)
    path = Path(find_model(name))
    wanted = open_engine(path, "torch", device="cpu").engine.low_logits(batch)
    found = open_engine(path, engine, precision="f32").engine.low_logits(batch)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
