"""Means with 95 % intervals, of what the experiments on tasks count."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

Found = tuple[float, float, float]
"""A value and the ends of its 95 % interval."""


def shares(right: Sequence[float]) -> Found:
    """Return the share of what is 1 and not 0, with Wilson's interval."""
    interval = stats.binomtest(int(sum(right)), len(right)).proportion_ci(method="wilson")
    return float(np.mean(right)), float(interval.low), float(interval.high)


def means(values: Sequence[float]) -> Found:
    """Return a mean with the interval of a normal distribution."""
    middle, half = float(np.mean(values)), 1.96 * float(stats.sem(values))
    return middle, middle - half, middle + half


def redrawn(values: Sequence[float], n_draws: int) -> Found:
    """Return a mean with the interval of so many bootstrap draws."""
    drawn = np.random.default_rng(0).choice(values, (n_draws, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(np.mean(values)), float(low), float(high)
