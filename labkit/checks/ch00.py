"""The sample exercise of chapter 00: surprise in bits."""

from collections.abc import Iterator, Sequence

import numpy as np

from labkit.checks import Exercise


def _cases(rng: np.random.Generator) -> Iterator[tuple[list[float]]]:
    """One certain guess, two that can be done by hand, then chance."""
    yield ([1.0],)
    yield ([0.5, 0.125],)
    yield ([0.25, 0.25, 1.0],)
    for size in (2, 7, 100):
        yield (rng.uniform(0.01, 1.0, size).tolist(),)


def _mean_bits(probs: Sequence[float]) -> float:
    return float(-np.mean(np.log2(probs)))


def _in_nats(probs: Sequence[float]) -> float:
    return float(-np.mean(np.log(probs)))


def _summed(probs: Sequence[float]) -> float:
    return float(-np.sum(np.log2(probs)))


def _without_sign(probs: Sequence[float]) -> float:
    return float(np.mean(np.log2(probs)))


def _mean_first(probs: Sequence[float]) -> float:
    return float(-np.log2(np.mean(probs)))


mean_bits = Exercise(
    name="my_mean_bits",
    points=1,
    reference=_mean_bits,
    cases=_cases,
    wrong=(_in_nats, _summed, _without_sign, _mean_first),
    tolerance=1e-5,  # room for an answer in 32 bits
)
