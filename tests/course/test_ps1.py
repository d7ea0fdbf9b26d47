"""Problem set 1: the judges, and a property of EM."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.checks import ps1
from tests.course.right import ps1 as right


@given(st.integers(0, 2**32 - 1))
def test_a_step_of_em_never_makes_its_text_dearer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.uniform(0, 1, (rng.integers(1, 20), rng.integers(1, 6))) ** 3 + 1e-6
    weights = rng.dirichlet(np.ones(probs.shape[1]))
    for name in ("my_em_step__loops", "my_em_step__gradient"):
        better = np.asarray(getattr(right, name)(probs, weights))
        assert np.isclose(better.sum(), 1)
        assert np.log(probs @ better).sum() >= np.log(probs @ weights).sum() - 1e-9
        assert np.allclose(better, ps1.em_step.reference(probs, weights))


def case() -> tuple[Any, ...]:
    """One place, four characters, and a model of ours that pays one bit for what came."""
    return ["ab"], "abc⊣", [""], ("en", np.array([0]), 1.0)


@pytest.mark.parametrize(
    ("above", "share"),
    [(-0.5, 1), (0.05, 1), (0.07, 0.6), (0.15, 0.6), (0.17, 0.3), (0.44, 0.3), (0.47, 0)],
)
def test_the_judge_gives_the_share_of_the_table(above: float, share: float) -> None:
    first = 2.0 ** -(1 + above)
    mark = ps1.probabilities.mark(case(), [[first, 1 - first, 0, 0]])
    assert mark.share == share
    assert bool(mark.text) == (share < 1)


@pytest.mark.parametrize(
    "got", [None, 7, "ab", [("a", 1)], {"": 3}, {7: {"a": 1}}, {"": {"a": []}}]
)
def test_what_is_no_table_of_counts_earns_nothing(got: Any) -> None:
    (first, *_) = ps1.counts.cases(np.random.default_rng(0))
    assert ps1.counts.mark(first, got).share == 0
