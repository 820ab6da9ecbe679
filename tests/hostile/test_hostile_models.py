"""Model files from strangers and broken disks: refused with a `ModelError`, fast, and nothing is executed."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segscape.errors import ModelError, SegscapeError
from segscape.models.bundle import load_bundle, read_card
from segscape.models.reading import read_weights

READ = pytest.mark.parametrize("read", [read_card, load_bundle, read_weights])


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "executed")


def parts(bundle: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Header (without card), card and tensor bytes of a bundle."""
    content = bundle.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")["segscape"]), content[8 + length :]


def packed(header: dict[str, Any] | str, card: Any = None, data: bytes = b"") -> bytes:
    """A file of these parts; ``card`` may be text."""
    if isinstance(header, dict):
        if card is not None:
            text = card if isinstance(card, str) else json.dumps(card)
            header = {"__metadata__": {"segscape": text}, **header}
        header = json.dumps(header)
    raw = header.encode()
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw + data


@pytest.fixture
def offer(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "offered.safetensors"
        path.write_bytes(content)
        return path

    return write


@READ
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_refused_and_not_executed(tmp_path, offer, read, protocol):
    made = tmp_path / "made"
    content = pickle.dumps({"state_dict": Evil(made)}, protocol)
    says = "is a pickle .*could run any code" if protocol >= 2 else "not a model bundle"
    with pytest.raises(ModelError, match=says):
        read(offer(content))
    assert not made.exists()
    pickle.loads(content)  # the trap itself works
    assert made.exists()


@READ
@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_checkpoint_is_refused(tmp_path, read, zipped):
    made, path = tmp_path / "made", tmp_path / "net.pt"
    torch.save({"w": torch.zeros(9), "x": Evil(made)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"is a pickle \(\.pt, \.pth\).*it was not opened"):
        read(path)
    assert not made.exists()


@READ
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"cut short \(0 bytes\)"),
        (b"1234567", r"cut short \(7 bytes\)"),
        (b"12345678", "not a model bundle"),
        (struct.pack("<Q", 0) + b"{}", "not a model bundle"),
        (struct.pack("<Q", 1) + b"{", "not a model bundle"),
        (struct.pack("<Q", 2**63) + b"{}" * 50, "not a model bundle"),
        (struct.pack("<Q", 2**64 - 1) + b"{}" * 50, "not a model bundle"),
        (struct.pack("<Q", 101) + b"{}" * 50, "cut short"),
        (b"\xff\xd8\xff\xe0 a photo, not a model", "not a model bundle"),
        (packed("[1, 2]"), "header is not an object"),
        (packed('"text"'), "header is not an object"),
        (packed('{"__metadata__": 5}'), "header is not an object"),
        (packed('{"a": 1, "a": 2}'), "'a' occurs twice"),
        (packed('{"a": {"b": 1, "b": 1}}'), "'b' occurs twice"),
        (packed('{"a": NaN}'), "NaN, which is not a finite number"),
        (packed('{"a": 1e999}'), "1e999, which is not a finite number"),
        (packed('{"a": ' + "9" * 5000 + "}"), "damaged"),
        (packed('{"a": ' + "[" * 100_000), "not a model bundle"),
        (packed('{"a": ' + "[" * 100 + "]" * 100 + "}"), "nested too deeply"),
        (packed('{"a": ' + '{"a":' * 100_000 + "1" + "}" * 100_001), "nested too deeply"),
        (struct.pack("<Q", 8) + b'{"\xff\xfe":1', "not a model bundle"),
        (struct.pack("<Q", 8) + "{}{}".encode("utf-16-le"), "not a model bundle"),
        (packed("{}"), "no Segscape card"),
        (packed('{"__metadata__": {"format": "pt"}}'), "no Segscape card"),
        (packed('{"__metadata__": {"segscape": {"format": 1}}}'), "no Segscape card"),
        (packed({}, "not json"), "damaged"),
        (packed({}, "[]"), "card is not an object but list"),
        (packed({}, "null"), "card is not an object but NoneType"),
        (packed({}, "{}"), "card format None"),
        (packed({}, '{"format": 1, "format": 1}'), "'format' occurs twice"),
        (packed({}, '{"a":' * 5000 + "1" + "}" * 5000), "nested too deeply"),
        (packed({}, "[" * 200_000), "'.*offered"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else None,
)
def test_files_that_are_no_bundle_say_why(offer, read, content, says):
    with pytest.raises(ModelError, match=says):
        read(offer(content))


@pytest.mark.timeout(60)
def test_a_doubled_key_among_many_is_found_at_once(offer):
    keys = [f'"{i}":0' for i in range(100_000)]
    with pytest.raises(ModelError, match="'99999' occurs twice"):
        read_card(offer(packed("{" + ",".join([*keys, keys[-1]]) + "}")))


@READ
def test_places_that_are_no_file(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for place, says in [
        (tmp_path, "is a folder; give the .safetensors file in it"),
        (tmp_path / "missing.safetensors", "no model at"),
        (tmp_path / "pipe", "is a pipe or device"),
        (tmp_path / ("n" * 300), "cannot be read"),
        ("a\0b", "cannot be read"),
    ]:
        with pytest.raises(ModelError, match=says):
            read(place)


def test_safetensors_of_another_program(tmp_path):
    safetensors.torch.save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="holds tensors but no Segscape card"):
        load_bundle(tmp_path / "other.safetensors")


def test_a_bundle_cut_anywhere_is_refused(tiny_bundle, offer):
    content = tiny_bundle.read_bytes()
    header = 8 + struct.unpack("<Q", content[:8])[0]
    cuts = {1, 8, 9, header - 1, header, header + 1, len(content) - 1, *range(17, len(content), len(content) // 60)}
    for cut in sorted(cuts):
        with pytest.raises(ModelError):
            load_bundle(offer(content[:cut]))
    with pytest.raises(ModelError):
        load_bundle(offer(content + b"\0"))


def test_one_changed_bit_in_the_weights_is_found(tiny_bundle, offer):
    content = bytearray(tiny_bundle.read_bytes())
    start = 8 + struct.unpack("<Q", content[:8])[0]
    for place in range(start, len(content), (len(content) - start) // 20):
        content[place] ^= 1
        with pytest.raises(ModelError, match="do not have the hash on their card"):
            load_bundle(offer(bytes(content)))
        content[place] ^= 1
    load_bundle(offer(bytes(content)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("head.bias"), r"'head\.bias' is nothing, but \(3,\) float is needed"),
        (lambda state: state.update(extra=torch.zeros(2)), r"'extra' is \(2,\) float, but nothing is needed"),
        (lambda state: state.update({"head.bias": torch.zeros(4)}), r"'head\.bias' is \(4,\) float, but \(3,\)"),
        (lambda state: state.update({"head.bias": torch.zeros(3, dtype=torch.int64)}), r"is \(3,\) int64, but"),
        (lambda state: state.update({"head.bias": torch.zeros(3, dtype=torch.complex64)}), r"is \(3,\) complex64"),
        (lambda state: state.update({"down.0.1.num_batches_tracked": torch.tensor(1.0)}), r"float, but \(\) int64"),
    ],
)
def test_tensors_that_do_not_fit_the_network(tiny_bundle, tmp_path, change, says):
    state = safetensors.torch.load_file(tiny_bundle)
    card = read_card(tiny_bundle)
    change(state)
    path = tmp_path / "changed.safetensors"
    safetensors.torch.save_file(state, path, {"segscape": card.to_json()})
    with pytest.raises(ModelError, match=says):
        load_bundle(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("network", "options", "says"),
    [
        ("transformer9000", {}, "no network called 'transformer9000'"),
        ("__import__('os')", {}, "no network called"),
        ("unet", {"base_channels": 8, "depth": 2}, "do not fit network 'unet'"),
        ("unet", {"base_channels": 20_000, "depth": 4}, "do not fit network 'unet'"),
        ("unet", {"base_channels": 10**9}, "cannot be made"),
        ("unet", {"base_channels": 10**30}, "cannot be made"),
        ("unet", {"base_channels": -4}, "at least 1"),
        ("unet", {"base_channels": "4"}, "cannot be made"),
        ("unet", {"base_channels": 4.5}, "cannot be made"),
        ("unet", {"depth": 10**6}, "depth of 1…10"),
        ("unet", {"secret": 1}, "has no option secret"),
        ("unet_backbone", {"decoder_channels": [10**12]}, "cannot be made|do not fit"),
        ("unet_backbone", {"decoder_channels": [1] * 10**5}, "one to five"),
        ("unet_backbone", {"backbone": "no_such_net"}, "cannot be made"),
        ("unet_backbone", {"backbone": "hf-hub:somebody/something"}, "is an address"),
        ("unet_backbone", {"backbone": "local-dir:/etc"}, "is an address"),
        ("unet_backbone", {"backbone": 5}, "cannot be made"),
        ("fcn", {"dropout": 7}, "cannot be made"),
        ("deeplabv3plus", {"output_stride": -1}, "must be 8, 16 or 32"),
    ],
)
def test_cards_that_ask_for_the_impossible_fail_fast(tiny_bundle, offer, network, options, says):
    header, card, data = parts(tiny_bundle)
    path = offer(packed(header, {**card, "network": network, "options": options}, data))
    with pytest.raises(ModelError, match=says):
        load_bundle(path)


def test_a_wrong_hash_is_refused(tiny_bundle, offer):
    header, card, data = parts(tiny_bundle)
    load_bundle(offer(packed(header, card, data)))  # the parts put together again do fit
    with pytest.raises(ModelError, match="hash"):
        load_bundle(offer(packed(header, {**card, "sha256": "0" * 64}, data)))


def test_every_thing_a_card_says_may_be_wrong(tiny_bundle, offer):
    header, card, data = parts(tiny_bundle)
    wrong = [None, True, -1, 0.5, 10**30, "", "\ud800", [], [[]], {}, {"": {}}]
    for key in card:
        for value in wrong:
            path = offer(packed(header, {**card, key: value}, data))
            for read in (read_card, load_bundle):
                try:
                    read(path)
                except SegscapeError as error:
                    assert isinstance(error, ModelError)  # noqa: PT017 (some values are right)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "drop", "insert", "copy"]),
        st.floats(0, 1, exclude_max=True),
        st.booleans(),
        st.binary(min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=4,
)
FUZZ = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path) -> None:
    """Only errors of ours may escape, and what is read can be shown."""
    for read in (lambda p: read_card(p), lambda p: load_bundle(p)[1]):
        try:
            card = read(path)
        except SegscapeError:
            continue
        json.dumps(card.to_dict(), allow_nan=False)
        assert card.id
        assert card.summary()


@FUZZ
@given(edits=EDITS)
def test_whatever_happens_to_the_bytes_only_our_errors_escape(tiny_bundle, offer, edits):
    content = bytearray(tiny_bundle.read_bytes())
    header = 8 + struct.unpack("<Q", content[:8])[0]
    for kind, where, in_header, extra in edits:
        at = int(where * (min(header, len(content)) if in_header else len(content)))
        if kind == "flip" and at < len(content):
            content[at] ^= extra[0] or 1
        elif kind == "cut":
            del content[at:]
        elif kind == "drop":
            del content[at : at + len(extra)]
        elif kind == "insert":
            content[at:at] = extra
        else:
            content[at:at] = content[at : at + 64]
    read_or_refuse(offer(bytes(content)))


@FUZZ
@given(data=st.data())
def test_whatever_a_card_says_only_our_errors_escape(tiny_bundle, offer, data):
    header, card, tensors = parts(tiny_bundle)
    place: Any = card
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(JSON)
    read_or_refuse(offer(packed(header, card, tensors)))
