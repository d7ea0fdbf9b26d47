"""Exercises of chapter 44, speed: updates to a loss, a norm, rows of a table, Muon's matrix."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from labkit.checks import Exercise


def _curves(rng: np.random.Generator) -> Iterator[tuple[list[int], list[float], float]]:
    for n in (3, 5, 9):
        steps = np.cumsum(rng.integers(10, 60, n)).tolist()
        losses = (4 * np.exp(-np.arange(n) / 3) + rng.uniform(0, 0.05, n)).tolist()
        yield steps, losses, (losses[0] + 2 * losses[-1]) / 3
        yield steps, losses, min(losses) - 0.1
    yield [0, 10, 20, 30], [4.0, 2.0, 2.2, 1.0], 2.1
    yield [0, 10, 20], [4.0, 2.0, 3.0], 2.0


def _updates_until(steps: Sequence[int], losses: Sequence[float], target: float) -> float:
    for (before, worse), (after, better) in pairwise(zip(steps, losses, strict=True)):
        if worse > target >= better:
            return before + (after - before) * (worse - target) / (worse - better)
    return math.inf


def _first_evaluation(steps: Sequence[int], losses: Sequence[float], target: float) -> float:
    reached = [step for step, loss in zip(steps, losses, strict=True) if loss <= target]
    return reached[0] if reached else math.inf


def _wrong_way_round(steps: Sequence[int], losses: Sequence[float], target: float) -> float:
    for (before, worse), (after, better) in pairwise(zip(steps, losses, strict=True)):
        if worse > target >= better:
            return before + (after - before) * (target - better) / (worse - better)
    return math.inf


def _only_from_above_to_below(
    steps: Sequence[int], losses: Sequence[float], target: float
) -> float:
    for (before, worse), (after, better) in pairwise(zip(steps, losses, strict=True)):
        if worse > target > better:
            return before + (after - before) * (worse - target) / (worse - better)
    return math.inf


updates_until = Exercise(
    name="my_updates_until",
    points=3,
    reference=_updates_until,
    cases=_curves,
    wrong=(
        _first_evaluation,
        _wrong_way_round,
        _only_from_above_to_below,
        lambda steps, losses, target: float(np.interp(target, losses[::-1], steps[::-1])),
        lambda steps, losses, target: min(_updates_until(steps, losses, target), steps[-1]),
    ),
    tolerance=1e-3,
)


def _vectors(rng: np.random.Generator) -> Iterator[tuple[Tensor]]:
    for shape, size in (((4,), 1.0), ((3, 5), 1e-3), ((2, 3, 8), 1.0)):
        yield (torch.tensor(size * rng.normal(1, 3, shape)),)


rms_norm = Exercise(
    name="my_rms_norm",
    points=3,
    reference=lambda x: x / x.square().mean(dim=-1, keepdim=True).sqrt(),
    cases=_vectors,
    wrong=(
        lambda x: (x - x.mean(dim=-1, keepdim=True)) / x.std(dim=-1, correction=0, keepdim=True),
        lambda x: x / x.std(dim=-1, correction=0, keepdim=True),
        lambda x: x / x.norm(dim=-1, keepdim=True),
        lambda x: x / x.square().mean(dim=-1, keepdim=True),
        lambda x: x / (x.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt(),
    ),
    tolerance=1e-4,
    withheld=("labkit.functional.rms_norm",),
)


def _runs(rng: np.random.Generator) -> Iterator[tuple[list[int], int, int, int]]:
    for n, base, rows in ((2, 7, 5), (2, 27, 10**6), (3, 11, 101), (5, 80, 16_381)):
        yield rng.integers(0, base - 1, 12).tolist(), n, base, rows
    yield [3, 1], 4, 10, 997


def _rows(ids: Sequence[int], n: int, base: int, rows: int) -> list[int]:
    numbers = [0] * (n - 1) + [i + 1 for i in ids]
    return [
        sum(numbers[end - j] * base**j for j in range(n)) % rows
        for end in range(n - 1, len(numbers))
    ]


def _from_the_other_end(ids: Sequence[int], n: int, base: int, rows: int) -> list[int]:
    numbers = [0] * (n - 1) + [i + 1 for i in ids]
    return [
        sum(numbers[end - j] * base ** (n - 1 - j) for j in range(n)) % rows
        for end in range(n - 1, len(numbers))
    ]


def _no_place_for_nothing(ids: Sequence[int], n: int, base: int, rows: int) -> list[int]:
    return _rows([i - 1 for i in ids], n, base, rows)


rows = Exercise(
    name="my_rows",
    points=4,
    reference=_rows,
    cases=_runs,
    wrong=(
        _from_the_other_end,
        _no_place_for_nothing,
        lambda ids, n, base, rows: _rows(ids, n, base, rows)[n - 1 :],
        lambda ids, n, base, rows: _rows(ids, n - 1, base, rows),
    ),
    withheld=("labkit.gpt.NgramVectors.forward",),
)


def _matrices(rng: np.random.Generator) -> Iterator[tuple[Tensor, int]]:
    for shape, rounds in (((2, 2), 1), ((3, 5), 4), ((6, 4), 12)):
        yield torch.tensor(rng.normal(0, 2, shape)), rounds
    yield torch.diag(torch.tensor([3.0, 4.0], dtype=torch.float64)), 1


def _orthogonal(matrix: Tensor, rounds: int) -> Tensor:
    x = matrix / matrix.norm()
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return x


def _number_by_number(matrix: Tensor, rounds: int) -> Tensor:
    x = matrix / matrix.norm()
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * x**3
    return x


def _other_length(matrix: Tensor, rounds: int) -> Tensor:
    x = matrix / matrix.norm(dim=-1, keepdim=True)
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return x


orthogonal = Exercise(
    name="my_orthogonal",
    points=4,
    reference=_orthogonal,
    cases=_matrices,
    wrong=(
        _number_by_number,
        _other_length,
        lambda matrix, rounds: _orthogonal(matrix, rounds + 1),
        lambda matrix, rounds: _orthogonal(matrix, rounds) * matrix.norm(),
    ),
    tolerance=1e-9,
)
