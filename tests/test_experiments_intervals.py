"""Intervals of the experiments, beside what is known by hand and what they must enclose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.intervals import means, redrawn, shares


def test_wilsons_interval_by_hand() -> None:
    share, low, high = shares([True] * 84 + [False] * 16)
    z = 1.959964
    middle = (0.84 + z**2 / 200) / (1 + z**2 / 100)
    half = z * np.sqrt(0.84 * 0.16 / 100 + z**2 / 40_000) / (1 + z**2 / 100)
    assert share == 0.84
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_a_normal_interval_by_hand() -> None:
    assert means([1.0, 2.0, 3.0]) == pytest.approx((2, 2 - 1.96 / 3**0.5, 2 + 1.96 / 3**0.5))


def test_a_bootstrap_comes_near_the_normal_interval_of_many_values() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400).tolist()
    assert redrawn(values, 4000) == pytest.approx(means(values), abs=0.02)
    assert redrawn(values, 50) == redrawn(values, 50)


@settings(max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_share_stands_in_its_interval(right: list[bool]) -> None:
    for value, low, high in (shares(right), redrawn([float(one) for one in right], 200)):
        assert 0 <= low <= value <= high <= 1
