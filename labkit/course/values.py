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

import numpy as np

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
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"!": "array", "dtype": array.dtype.name, "shape": list(array.shape), "of": data}


def _name_of(thing: Any) -> str:
    module = getattr(thing, "__module__", None) or type(getattr(thing, "__self__", 0)).__module__
    module = {"torch._C": "torch", "torch._VariableFunctionsClass": "torch"}.get(module, module)
    name = f"{module}:{thing.__qualname__.split('.')[-1]}"
    if _look_up(name) is not thing:
        raise TypeError(f"expected something that can be found by name, got {thing!r}")
    return name


def _look_up(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def decode(line: str | bytes, *, inside: bool = False) -> Any:
    """Return the value of a line; raise ValueError where it is not one that `encode` writes.

    Only `inside` a sandbox are functions and configurations found by name.
    """
    try:
        return _unpack(json.loads(line), inside)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
        raise ValueError(f"expected a plain value, got a line that is none: {error}") from None


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
        return CONTAINERS[kind](_unpack(content, inside))
    if kind in ("named", "made") and inside:
        named = _look_up(value["by"] if kind == "made" else content)
        return named(**_unpack(content, inside)) if kind == "made" else named
    raise ValueError(f"kind {kind!r}")


def _unpack_array(value: dict[str, Any]) -> Any:
    if value["dtype"] not in DTYPES:
        raise ValueError(f"dtype {value['dtype']!r}")
    data = bytearray(base64.b64decode(value["of"], validate=True))  # so that it can be written to
    array = np.frombuffer(data, np.dtype(value["dtype"])).reshape([int(n) for n in value["shape"]])
    if value["!"] == "array":
        return array
    import torch

    return torch.from_numpy(array.copy())
