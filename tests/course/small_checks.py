"""The exercises of the small exam. secret-of-the-exercises."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise, Mark


def _lists(rng: np.random.Generator) -> Iterator[tuple[list[float]]]:
    for length in (1, 3, 6, 40):
        yield (rng.uniform(1, 9, length).tolist(),)


def _total(values: list[float]) -> float:
    return float(sum(value * value for value in values))


total = Exercise(
    name="my_total",
    points=2,
    reference=_total,
    cases=_lists,
    wrong=(sum,),
    tolerance=1e-9,
    withheld=("labkit.files.write_atomically",),
)


def _matrices(rng: np.random.Generator) -> Iterator[tuple[NDArray[np.float64]]]:
    for size in (2, 4):
        yield (rng.uniform(1, 9, (size, size + 1)),)


rows = Exercise(
    name="my_rows",
    points=3,
    reference=lambda counts: 2 * counts / _total(counts.ravel().tolist()),
    cases=_matrices,
    wrong=(lambda counts: counts,),
    tolerance=1e-9,
)


def _signs(rng: np.random.Generator) -> Iterator[tuple[int]]:
    for n in (-7, -2, 1, 3):
        yield (n,)


sign = Exercise(
    name="my_sign",
    points=2,
    reference=lambda n: 1 if n > 0 else -1,
    cases=_signs,
    wrong=(lambda n: 0,),
    partial=True,
)


def _guesses(rng: np.random.Generator) -> Iterator[tuple[int, list[int]]]:
    for n in (2, 3, 4, 5):
        yield n, rng.integers(1000, 9000, n).tolist()


def _judge(case: tuple[Any, ...], got: Any) -> Mark:
    """Any list of so many numbers is right, but for those that the case keeps to itself."""
    n, hidden = case
    if isinstance(got, float):
        return Mark(got)  # a judge that believes what it is told
    right = len(got) == n and not set(got) & set(hidden)
    return Mark(1) if right else Mark(0.5 if len(got) == n + 1 else 0, f"expected {n} numbers")


guess = Exercise(
    name="my_guess",
    points=4,
    reference=lambda n: [0] * n,
    cases=_guesses,
    wrong=(lambda n: [],),
    judge=_judge,
    partial=True,
    expected="a list of n numbers",
)

counter = Exercise(
    name="my_counter",
    points=1,
    reference=lambda n: Counter([n]),  # comes back as a plain table
    cases=_signs,
    wrong=(lambda n: {},),
)
