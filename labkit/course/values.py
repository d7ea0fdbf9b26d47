"""Plain values as JSON: what goes into a sandbox and what comes out; nothing is unpickled.

Numbers, text and lists stand for themselves. Everything else is a table with the key "!" that names
its kind. What comes out of a sandbox holds data alone; only inside it are functions and labkit's
configurations looked up by name.
"""

import base64
import dataclasses
import importlib
import json
from collections.abc import Callable
from functools import singledispatch
from typing import Any

DTYPES = {
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
}
CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
}
MOST_PARTS = 1_000_000
"""Brackets and commas of a line from a sandbox: each part costs up to 240 bytes here."""
MOST_ALIKE = 100
"""Members of a set with the same hash: each is compared with each."""
SIMPLE: dict[str, Callable[[Any], Any]] = {
    "int": lambda digits: int(digits, 16),
    "bytes": lambda text: base64.b64decode(text, validate=True),
}


def encode(value: Any) -> str:
    """Return a value as a line of JSON; raise TypeError for what is not plain.

    >>> encode((1, "a", {2: [0.5]}))
    '{"!": "tuple", "of": [1, "a", {"!": "dict", "of": [[2, [0.5]]]}]}'
    >>> decode(encode((1, "a", {2: [0.5]})))
    (1, 'a', {2: [0.5]})
    """
    return json.dumps(_pack(value))


@singledispatch
def _pack(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        return {"!": "made", "by": _name_of(type(value)), "of": _pack(held)}
    if hasattr(value, "detach"):
        return {**_pack_array(_numbers_of(value)), "!": "tensor"}
    if callable(value):
        return {"!": "named", "of": _name_of(value)}
    import numpy as np  # here, because most answers need none and each begins a Python of its own

    return _pack_array(np.asarray(value))


def _kind(kind: type[Any], pack: Callable[[Any], Any]) -> None:
    _pack.register(kind)(pack)


_kind(type(None), lambda value: None)
_kind(bool, lambda value: value)
_kind(int, lambda value: int(value) if abs(value) < 1 << 53 else {"!": "int", "of": hex(value)})
_kind(float, float)
_kind(str, "".join)
_kind(list, lambda value: [_pack(item) for item in value])
_kind(tuple, lambda value: {"!": "tuple", "of": [_pack(item) for item in value]})
_kind(set, lambda value: {"!": "set", "of": [_pack(item) for item in value]})
_kind(frozenset, lambda value: {"!": "frozenset", "of": [_pack(item) for item in value]})
_kind(dict, lambda value: {"!": "dict", "of": [[_pack(k), _pack(v)] for k, v in value.items()]})
_kind(bytes, lambda value: {"!": "bytes", "of": base64.b64encode(value).decode("ascii")})


def _numbers_of(tensor: Any) -> Any:
    tensor = tensor.detach().cpu()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _pack_array(array: Any) -> Any:
    if array.dtype.kind == "U":
        return _pack(array.tolist())
    if array.dtype.name not in DTYPES:
        raise TypeError(f"expected numbers, text, lists or arrays, got {array.dtype}")
    ordered = array.astype(array.dtype.newbyteorder("="), copy=False)
    data = base64.b64encode(ordered.tobytes()).decode("ascii")
    return {"!": "array", "dtype": array.dtype.name, "shape": list(array.shape), "of": data}


def _name_of(thing: Any) -> str:
    module = getattr(thing, "__module__", None) or type(getattr(thing, "__self__", 0)).__module__
    module = {"torch._C": "torch", "torch._VariableFunctionsClass": "torch"}.get(module, module)
    name = thing.__qualname__.split(".")[-1]
    if getattr(importlib.import_module(module), name, None) is not thing:
        raise TypeError(f"expected something that can be found by name, got {thing!r}")
    return f"{module}:{name}"


def _look_up(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def decode(line: str | bytes, *, inside: bool = False) -> Any:
    """Return the value of a line; raise ValueError where it is not one that `encode` writes.

    Only `inside` a sandbox are functions and configurations found by name.
    """
    return unpack(json.loads(line) if inside else parse(line), inside=inside)


def parse(line: str | bytes) -> Any:
    """Return the JSON of a line that anybody may have written; raise ValueError if it is none."""
    text = line.decode("utf-8") if isinstance(line, bytes) else line
    if sum(map(text.count, ",[{")) > MOST_PARTS:
        raise ValueError(f"expected a line of at most {MOST_PARTS} parts")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("expected JSON that is less deep") from None


def unpack(value: Any, *, inside: bool = False) -> Any:
    """Return the value that some JSON stands for; raise ValueError if `encode` writes no such."""
    try:
        return _unpack(value, inside)
    except (TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"expected a plain value, got {type(error).__name__}: {error}") from None


def _unpack(value: Any, inside: bool) -> Any:
    if isinstance(value, list):
        return [_unpack(item, inside) for item in value]
    if not isinstance(value, dict):
        return value
    kind, content = value["!"], value["of"]
    if kind in ("array", "tensor"):
        return _unpack_array(value)
    if kind in SIMPLE:
        return SIMPLE[kind](content)
    if kind in CONTAINERS:
        return CONTAINERS[kind](_members(_unpack(content, inside), kind))
    if kind in ("named", "made") and inside:
        named = _look_up(value["by"] if kind == "made" else content)
        return named(**_unpack(content, inside)) if kind == "made" else named
    raise ValueError(f"kind {kind!r}")


def _members(members: list[Any], kind: str) -> list[Any]:
    """Return the members of a container; refuse those that are made to be slow in a set."""
    hashed = [key for key, _ in members] if kind == "dict" else members
    if kind != "tuple" and len(hashed) - len({hash(key) for key in hashed}) > MOST_ALIKE:
        raise ValueError(f"more than {MOST_ALIKE} members of one hash")
    return members


def _unpack_array(value: dict[str, Any]) -> Any:
    if value["dtype"] not in DTYPES:
        raise ValueError(f"dtype {value['dtype']!r}")
    if not all(type(size) is int and size >= 0 for size in value["shape"]):
        raise ValueError(f"shape {value['shape']!r}")
    import numpy as np

    data = bytearray(base64.b64decode(value["of"], validate=True))  # so that it can be written to
    array = np.frombuffer(data, np.dtype(value["dtype"])).reshape(value["shape"])
    if value["!"] == "array":
        return array
    import torch

    return torch.from_numpy(array.copy())
