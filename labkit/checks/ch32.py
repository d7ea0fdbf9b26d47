"""Exercises of chapter 32, the block: heads, rotation, two maps that are one, and the order.

Tensors hold 32 bits, as in the chapter: an answer may put them beside its own `torch.zeros`.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from labkit.checks import Exercise

Function = Callable[[Tensor], Tensor]


def _normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.tensor(rng.normal(size=shape), dtype=torch.float32)


def _rows(rng: np.random.Generator) -> Iterator[tuple[Tensor, int]]:
    for time, n_heads, width in ((3, 2, 2), (5, 3, 4), (4, 4, 1), (7, 2, 8)):
        yield _normal(rng, time, n_heads * width), n_heads


def _split_heads(x: Tensor, n_heads: int) -> Tensor:
    return torch.stack(x.chunk(n_heads, dim=-1))


split_heads = Exercise(
    name="my_split_heads",
    points=3,
    reference=_split_heads,
    cases=_rows,
    wrong=(
        lambda x, n_heads: x.reshape(n_heads, len(x), -1),
        lambda x, n_heads: x.view(len(x), -1, n_heads).permute(2, 0, 1),
        lambda x, n_heads: _split_heads(x, n_heads).transpose(0, 1),
        lambda x, n_heads: _split_heads(x, n_heads).flip(0),
    ),
    withheld=("labkit.gpt.Attention.forward",),
)


def _places(rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for time, width in ((1, 2), (4, 4), (3, 8), (6, 16)):
        places = torch.tensor(rng.integers(1, 60, time))
        yield _normal(rng, time, width), places


def _rotate(x: Tensor, positions: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    angle = positions[:, None] * 10_000 ** (-torch.arange(half) / half)
    turned = torch.complex(x[:, :half], x[:, half:]) * torch.polar(torch.ones(()), angle)
    return torch.cat([turned.real, turned.imag], dim=-1)


def _one_speed(x: Tensor, positions: Tensor) -> Tensor:
    """Turn all pairs by the place itself."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = positions[:, None].cos(), positions[:, None].sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _neighbours(x: Tensor, positions: Tensor) -> Tensor:
    """Pair each number with the one beside it."""
    order = torch.arange(x.shape[-1]).view(-1, 2).T.flatten()
    return _rotate(x[:, order], positions)[:, order.argsort()]


rotate = Exercise(
    name="my_rotate",
    points=4,
    reference=_rotate,
    cases=_places,
    tolerance=1e-4,
    wrong=(
        lambda x, positions: _rotate(x, -positions),
        lambda x, positions: _rotate(x, positions - positions[0]),
        _one_speed,
        _neighbours,
    ),
    withheld=("labkit.functional.rotate",),
)


def _maps(rng: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
    for width, hidden in ((2, 3), (3, 3), (4, 16)):
        shapes: list[tuple[int, ...]] = [(hidden, width), (hidden,), (width, hidden), (width,)]
        yield tuple(_normal(rng, *shape) for shape in shapes)


def _fold(up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor) -> Tensor:
    return torch.cat([down @ up, (down @ up_bias + down_bias)[:, None]], dim=1)


fold = Exercise(
    name="my_fold",
    points=3,
    reference=_fold,
    cases=_maps,
    tolerance=1e-4,
    wrong=(
        lambda up, up_bias, down, down_bias: _fold(up, 0 * up_bias, down, down_bias),
        lambda up, up_bias, down, down_bias: _fold(up, up_bias, down, 0 * down_bias),
        lambda up, up_bias, down, down_bias: _fold(up, up_bias, down, down_bias).relu(),
        lambda up, up_bias, down, down_bias: _fold(down.T, up_bias, up.T, down_bias),
    ),
)


def _parts(rng: np.random.Generator) -> Iterator[tuple[Tensor, Function, Function, Function]]:
    for time, width in ((1, 2), (3, 4), (5, 8)):
        x = _normal(rng, time, width)
        yield x, torch.tanh, torch.cos, torch.exp
        yield x, torch.sigmoid, torch.exp, torch.sin


def _block(x: Tensor, norm: Function, attention: Function, mlp: Function) -> Tensor:
    middle = x + attention(norm(x))
    return middle + mlp(norm(middle))


block = Exercise(
    name="my_block",
    points=3,
    reference=_block,
    cases=_parts,
    tolerance=1e-5,
    wrong=(
        lambda x, norm, attention, mlp: mlp(norm(attention(norm(x)))),
        lambda x, norm, attention, mlp: x + attention(norm(x)) + mlp(norm(x)),
        lambda x, norm, attention, mlp: norm(norm(x + attention(x)) + mlp(norm(x + attention(x)))),
        lambda x, norm, attention, mlp: x + mlp(norm(x + attention(norm(x)))),
        lambda x, norm, attention, mlp: _block(x, norm, mlp, attention),
    ),
    withheld=("labkit.gpt.Block.forward",),
)
