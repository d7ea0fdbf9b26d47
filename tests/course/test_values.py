"""Plain values come back as they went; whatever else stands in a line is refused."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labkit.course.values import DTYPES, MOST_PARTS, decode, encode, parse, unpack
from labkit.gpt import GPTConfig

TEXT = st.text(st.characters(codec=None) | st.sampled_from("\0\ud800\udfff猫"), max_size=9)
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=9)
KEYS = st.none() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary(max_size=9)
MEMBERS = KEYS | st.tuples(KEYS, st.tuples(KEYS)) | st.frozensets(KEYS, max_size=3)
VALUES = st.recursive(
    ATOMS | st.sets(MEMBERS, max_size=4) | st.frozensets(MEMBERS, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(MEMBERS, inner, max_size=4)
    ),
    max_leaves=9,
)
ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: arrays(name, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal in kind and content; nan is nan."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or math.isnan(a + b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same([*map(list, a.items())], [*map(list, b.items())])
    return bool(a == b)


@given(VALUES)
def test_plain_values_come_back_as_they_went(value: Any) -> None:
    line = encode(value)
    assert line.isascii()
    assert "\n" not in line
    for back in (
        decode(line),
        decode(line.encode()),
        decode(line, inside=True),
        unpack(parse(line)),
    ):
        assert same(back, value)


@given(ARRAYS)
def test_arrays_come_back_with_kind_and_shape(array: np.ndarray[Any, Any]) -> None:
    back = decode(encode(array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@given(ARRAYS.filter(lambda array: array.ndim > 0))
def test_arrays_that_lie_otherwise_in_memory_come_back_in_order(
    array: np.ndarray[Any, Any],
) -> None:
    for odd in (array.T, array[::-1], array[::2], np.asfortranarray(array)):
        back = decode(encode(odd))
        assert back.shape == odd.shape
        assert back.tobytes() == odd.tobytes()


@given(arrays(st.sampled_from([">i4", "<i4", ">f8", ">u2", ">c8"]), 3))
def test_arrays_of_another_order_of_bytes_keep_their_numbers(array: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(decode(encode(array)), array)


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.int64, torch.int8, torch.uint8, torch.bool],
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (1, 0, 2)])
def test_tensors_come_back_with_kind_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = (torch.arange(math.prod(shape)).reshape(shape) % 2).to(dtype)
    back = decode(encode(tensor))
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(back, tensor)


def test_tensors_of_other_kinds_keep_their_numbers() -> None:
    short = torch.tensor([1.5, -2.25], dtype=torch.bfloat16)
    assert torch.equal(decode(encode(short)), short.float())
    learned = torch.nn.Parameter(torch.ones(2, 3)).T
    assert torch.equal(decode(encode(learned)), torch.ones(3, 2))
    decode(encode(learned)).add_(1)


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (np.float64(0.1), 0.1),
        (np.int64(-7), np.array(-7)),
        (np.bool_(True), np.array(True)),
        (np.str_("猫"), "猫"),
        (np.array(["a", "bc"]), ["a", "bc"]),
        (range(3), np.arange(3)),
        (1j, np.array(1j)),
    ],
)
def test_what_is_nearly_plain_comes_back_plain(value: Any, back: Any) -> None:
    got = decode(encode(value))
    assert type(got) is type(back)
    np.testing.assert_array_equal(got, back)


def test_functions_and_configurations_are_made_inside_a_sandbox_alone() -> None:
    config = GPTConfig(vocab_size=7, context_length=4, n_layers=1, n_heads=1, d_model=4)
    for value in (math.sqrt, torch.nn.functional.gelu, config):
        line = encode(value)
        assert decode(line, inside=True) == value
        with pytest.raises(ValueError, match="kind"):
            decode(line)


@pytest.mark.parametrize(
    "value", [object(), lambda: 0, [object()], {1: object()}, (x for x in "a")]
)
def test_what_is_not_plain_is_not_sent(value: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        encode(value)


NOT_PLAIN = r"\w"  # whichever of the many reasons it is


def an_array(**changes: Any) -> dict[str, Any]:
    return {"!": "array", "dtype": "int8", "shape": [2], "of": "AAE=", **changes}


def of_kind(kind: str, content: Any) -> dict[str, Any]:
    return {"!": kind, "of": content}


def each(key: str, *contents: Any) -> list[dict[str, Any]]:
    """An array with each of some contents at a key."""
    return [an_array(**{key: content}) for content in contents]


HOSTILE: list[Any] = [
    *({}, {"a": 1}, {"!": "list"}),
    *(of_kind(kind, []) for kind in ("object", "named", "made", "__class__", "", "list")),
    *each("!", None, 1, [], {}, "int"),
    *(of_kind("int", text) for text in ("", "g", "0x")),
    *(of_kind("int", 7), of_kind("int", None), of_kind("bytes", 1), of_kind("bytes", ["YQ=="])),
    *(of_kind("bytes", text) for text in ("a", "?", "é")),
    *(of_kind(kind, 1) for kind in ("tuple", "set", "frozenset", "dict")),
    *(of_kind("set", [[]]), of_kind("set", [an_array()]), of_kind("dict", [1])),
    *(of_kind("dict", [[1, 2, 3]]), of_kind("dict", [[[], 1]])),
    {"!": "made", "by": "pathlib:Path", "of": of_kind("dict", [])},
    of_kind("named", "os:system"),
    *each("shape", [-1], [3], [1e3], ["2"], [True, 2], [2**70], "2", 2, None, {"2": 2}),
    *each("shape", [math.inf], [math.nan], [[2]], [1] * 100),
    *each("dtype", "O", "object", "int128", "V8", "<U9", "M8", None, "float64"),
    *each("of", "AA", "AAAA", "", "é", None, 1),
]


@pytest.mark.parametrize("packed", HOSTILE, ids=json.dumps)
def test_lines_that_encode_does_not_write_are_refused(packed: Any) -> None:
    for wrapped in (packed, [packed], of_kind("tuple", [1, packed])):
        with pytest.raises(ValueError, match=NOT_PLAIN):
            decode(json.dumps(wrapped))


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"\xff", b"[" * 100_000, b"1" * 5000, b"\0", b"nul", b'"\xed\xa0\x80"'],
)
def test_lines_that_are_no_json_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=NOT_PLAIN):
        decode(line)


def test_a_line_may_have_so_many_parts_and_no_more() -> None:
    assert len(decode("[" + "0," * (MOST_PARTS - 2) + "0]")) == MOST_PARTS - 1
    for part in ("0,", "[],", "{},"):
        with pytest.raises(ValueError, match="parts"):
            decode("[" + part * MOST_PARTS + "0]")


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict"])
def test_members_that_are_slow_to_tell_apart_are_refused(kind: str) -> None:
    alike = [n * (2**61 - 1) for n in range(1000)]
    pairs = of_kind(kind, [[n, 0] for n in alike] if kind == "dict" else alike)
    with pytest.raises(ValueError, match="members of one hash"):
        decode(json.dumps(pairs))
    assert len(decode(encode(set(range(100_000))))) == 100_000


@given(st.recursive(ATOMS | st.just("!"), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["!", "of", "dtype", "shape", "by", "x"]),
    inner | st.sampled_from(["array", "tensor", "set", "dict", "tuple", "int", "bytes", "int8"]),
)))  # fmt: skip
def test_no_line_is_anything_but_a_value_or_refused(packed: Any) -> None:
    try:
        line = json.dumps(packed)
    except TypeError:  # bytes, which JSON has not
        return
    try:
        decode(line)
    except ValueError:
        return
