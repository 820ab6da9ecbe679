"""Our few lines of the ONNX format against the onnx package."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segscape.errors import ModelError
from segscape.runtime import onnx_format

onnx = pytest.importorskip("onnx")


def model(*, external: str = "") -> bytes:
    """y = x + w, or w inside of an If's branch, a Constant or a function."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    w = onnx.numpy_helper.from_array(np.array([1, 2], np.float32), "w")
    if external:
        onnx.external_data_helper.set_external_data(w, "../../secret", 0, 8)
        w.ClearField("raw_data")
    x, y = (helper.make_tensor_value_info(n, kind, [2]) for n in "xy")
    nodes, inside = [helper.make_node("Add", ["x", "w"], ["y"])], []
    if external == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=w))
    elif external == "branch":
        branch = helper.make_graph([helper.make_node("Identity", ["w"], ["v"])], "b", [], [], [w])
        nodes.append(helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))
    else:
        inside = [w, onnx.numpy_helper.from_array(np.zeros((3, 1), np.float32), "unread")]
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], inside)).SerializeToString()


@pytest.mark.parametrize("external", ["initializer", "constant", "branch"])
def test_weights_in_another_file_are_refused_wherever_they_stand(external):
    onnx_format.refuse_external_data(model(), "'m'")
    with pytest.raises(ModelError, match="'m': weights 'w' lie in another file"):
        onnx_format.refuse_external_data(model(external=external), "'m'")


def test_weights_out_and_in_again():
    bare, shapes = onnx_format.without_weights(model(), ["w", "unread"])
    assert shapes == {"w": (2,)}, "what no node reads is not asked for"
    assert not onnx.ModelProto.FromString(bare).graph.initializer
    kept = onnx_format.without_weights(model(), ["w"])[0]
    assert [i.name for i in onnx.ModelProto.FromString(kept).graph.initializer] == ["unread"]
    whole = onnx.ModelProto.FromString(onnx_format.with_weights(bare, {"w": np.array([3, 4], np.float32)}))
    onnx.checker.check_model(whole)
    (w,) = whole.graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(w), np.array([3, 4], np.float32))
    assert [n.op_type for n in whole.graph.node] == ["Add"]


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=9), st.tuples(st.lists(st.integers(0, 300), max_size=2), st.booleans()), max_size=4
    )
)
def test_any_weights_are_read_by_onnx_as_they_were(stated):
    arrays = {n: np.arange(np.prod(s), dtype=np.int64 if i else np.float32).reshape(s) for n, (s, i) in stated.items()}
    found = onnx.ModelProto.FromString(onnx_format.with_weights(b"", arrays)).graph.initializer
    assert {t.name for t in found} == set(arrays)
    for tensor in found:
        array = onnx.numpy_helper.to_array(tensor)
        assert array.dtype == arrays[tensor.name].dtype
        np.testing.assert_array_equal(array, arrays[tensor.name])


def test_texts_beside_the_graph():
    said = onnx_format.with_metadata(model(), {"multiple": "32", "名": "值"})
    assert onnx_format.metadata(said) == {"multiple": "32", "名": "值"}
    assert {p.key: p.value for p in onnx.ModelProto.FromString(said).metadata_props} == {"multiple": "32", "名": "值"}


def test_more_than_an_onnx_file_holds_is_refused(monkeypatch):
    monkeypatch.setattr(onnx_format, "MAX_BYTES", 100)
    with pytest.raises(ModelError, match="an ONNX file holds 2 GB"):
        onnx_format.with_weights(b"", {"w": np.zeros(50, np.float32)})


@given(st.binary(max_size=200), st.integers(0, 400), st.integers(0, 255))
def test_whatever_the_bytes_only_our_error_escapes(random, place, value):
    damaged = bytearray(model())
    damaged[place % len(damaged)] = value
    for content in (random, bytes(damaged), bytes(damaged[: place % len(damaged)])):
        for read in (onnx_format.metadata, lambda m: onnx_format.refuse_external_data(m, "m")):
            with contextlib.suppress(ModelError):
                read(content)
