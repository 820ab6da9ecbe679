"""As much of the ONNX file format as is needed to keep a graph without its weights, in plain Python.

An ONNX file is one protocol-buffer message. Two facts of that encoding do the work: unknown parts can be skipped by
their stated length, and messages written one after another merge, repeated fields being appended. So weights are added
to a graph by writing them behind it, and no library is needed that takes longer to import than a photo to segment.

Field numbers are those of onnx.proto3 (ONNX IR specification).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from segscape.errors import ModelError

# Message kind -> field number -> kind of the message in it. Weights can stand in every place listed.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_GRAPH, _METADATA = 7, 14  # of a model
_NODE, _INITIALIZER = 1, 5  # of a graph
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 1, 2, 8, 9, 13, 14  # of a tensor
_TYPES = {"float32": 1, "int64": 7}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_MAX_DEPTH = 64
MAX_BYTES = 2**31 - 1
"""A protocol-buffer message holds no more."""


def metadata(model: bytes) -> dict[str, str]:
    """The texts beside a model's graph (``metadata_props``).

    Raises:
        ModelError: not an ONNX model.
    """
    found = {}
    for number, _, value in _fields(memoryview(model)):
        if number == _METADATA and isinstance(value, memoryview):
            entry = {n: bytes(v).decode("utf-8", "replace") for n, _, v in _fields(value) if isinstance(v, memoryview)}
            found[entry.get(1, "")] = entry.get(2, "")
    return found


def with_metadata(model: bytes, texts: Mapping[str, str]) -> bytes:
    """The model with texts beside its graph."""
    entries = (_bytes(1, k.encode()) + _bytes(2, v.encode()) for k, v in texts.items())
    return model + b"".join(_bytes(_METADATA, entry) for entry in entries)


def without_weights(model: bytes, names: Iterable[str]) -> tuple[bytes, dict[str, tuple[int, ...]]]:
    """A model less its initializers of these names, and the shapes of those that its nodes read.

    Raises:
        ModelError: not an ONNX model.
    """
    names = set(names)
    rest, read, shapes = [], set(), {}
    for number, raw, value in _fields(memoryview(model)):
        if number != _GRAPH or not isinstance(value, memoryview):
            rest.append(raw)
            continue
        kept = []
        for inner, inner_raw, part in _fields(value):
            if inner == _INITIALIZER and isinstance(part, memoryview):
                name, shape = _name_and_shape(part)
                if name in names:
                    shapes[name] = shape
                    continue
            if inner == _NODE and isinstance(part, memoryview):
                read |= {bytes(v).decode() for n, _, v in _fields(part) if n == 1 and isinstance(v, memoryview)}
            kept.append(inner_raw)
        rest.append(_bytes(_GRAPH, b"".join(kept)))
    return b"".join(rest), {name: shape for name, shape in shapes.items() if name in read}


def with_weights(model: bytes, weights: Mapping[str, np.ndarray]) -> bytes:
    """A model with initializers, each float32 or int64, added to its graph.

    Raises:
        ModelError: it would be larger than an ONNX file can be.
    """
    parts = []
    for name, array in weights.items():
        start = b"".join(_varint(_DIMS << 3 | _VARINT) + _varint(length) for length in array.shape)
        start += _varint(_DATA_TYPE << 3 | _VARINT) + _varint(_TYPES[array.dtype.name]) + _bytes(_NAME, name.encode())
        start += _varint(_RAW_DATA << 3 | _BYTES) + _varint(array.nbytes)
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        parts += [
            _varint(_INITIALIZER << 3 | _BYTES) + _varint(len(start) + array.nbytes) + start,
            little.reshape(-1).view(np.uint8).data,
        ]
    size = sum(len(part) for part in parts)
    if len(model) + size > MAX_BYTES:
        raise ModelError(f"its weights take {size / 1e9:.1f} GB, and an ONNX file holds 2 GB; use the torch engine")
    return b"".join([model, _varint(_GRAPH << 3 | _BYTES), _varint(size), *parts])


def refuse_external_data(model: bytes, where: str) -> None:
    """Nothing that a model needs may lie outside its file: a path in a stranger's model could name any file.

    Raises:
        ModelError: a tensor is kept elsewhere, or this is no ONNX model.
    """
    _walk(memoryview(model), "model", where, _MAX_DEPTH)


def _walk(message: memoryview, kind: str, where: str, depth: int) -> None:
    if not depth:
        raise ModelError(f"{where}: its graph is nested too deeply")
    for number, _, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                raise ModelError(
                    f"{where}: weights {_name_and_shape(message)[0]!r} lie in another file, which is not followed; "
                    "export it with its weights inside"
                )
        elif isinstance(value, memoryview) and (child := _CHILDREN[kind].get(number)):
            _walk(value, child, where, depth - 1)


def _name_and_shape(tensor: memoryview) -> tuple[str, tuple[int, ...]]:
    name, shape = "", []
    for number, _, value in _fields(tensor):
        if number == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode("utf-8", "replace")
        elif number == _DIMS:
            shape += [value] if isinstance(value, int) else _packed(value)
    return name, tuple(shape)


def _packed(values: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(values):
        number, at = _read_varint(values, at)
        numbers.append(number)
    return numbers


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, int | memoryview]]:
    """Number, encoded bytes and value of each field: a memoryview, or the integer of a varint."""
    at, end = 0, len(message)
    while at < end:
        start = at
        key, at = _read_varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _read_varint(message, at)
        elif wire in (_BYTES, _FIXED64, _FIXED32):
            length = {_FIXED64: 8, _FIXED32: 4}.get(wire)
            if length is None:
                length, at = _read_varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise ModelError("not an ONNX model, or it is damaged")
        if at > end or not key >> 3:
            raise ModelError("not an ONNX model, or it is cut short")
        yield key >> 3, message[start:at], value


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        number, at = number | (byte & 127) << shift, at + 1
        if byte < 128:
            return number, at
    raise ModelError("not an ONNX model, or it is cut short")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content
