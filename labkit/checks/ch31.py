"""Exercises of chapter 31, attention: NumPy arrays, T queries, S keys, width K."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
ATTENDING = tuple(
    f"labkit.functional.{name}" for name in ("attention_weights", "attend", "attend_fused")
)
"""labkit's ways to the weights of a look and to what it returns."""


def _scores(rng: np.random.Generator) -> Iterator[tuple[Array]]:
    yield (np.array([1.0, 2.0, 0.0]),)
    yield (rng.normal(size=5) + 1_000,)
    yield (rng.normal(size=(3, 4)),)
    far = rng.normal(size=(4, 3)) * 300
    far[0], far[1] = rng.permutation([-1_000, 0, 1_000]), far[1] - 2_000
    yield (far,)


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _overflowing(scores: Array) -> Array:
    """Raise e to the scores as they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True))


def _largest_of_all(scores: Array) -> Array:
    """Subtract one number from all rows, below which a row may vanish."""
    raised = np.exp(scores - scores.max())
    with np.errstate(invalid="ignore"):
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _mean_taken(scores: Array) -> Array:
    """Subtract the mean, above which much may stand."""
    with np.errstate(over="ignore", invalid="ignore"):
        raised = np.exp(scores - scores.mean(axis=-1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _over_all(scores: Array) -> Array:
    """Let the whole matrix sum to one."""
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum())


def _plain_shares(scores: Array) -> Array:
    """Divide by the sum without raising."""
    return np.asarray(scores / (np.abs(scores).sum(axis=-1, keepdims=True) + 1e-9))


softmax = Exercise(
    name="my_softmax",
    points=3,
    reference=_softmax,
    cases=_scores,
    tolerance=1e-4,
    wrong=(
        _overflowing,
        _largest_of_all,
        _mean_taken,
        _over_all,
        _plain_shares,
        lambda scores: _softmax(scores.T).T if scores.ndim == 2 else _softmax(scores)[::-1],
    ),
    withheld=("labkit.functional.softmax", *ATTENDING),
)


def _lookups(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
    for n_keys, width, value_width in ((1, 2, 2), (3, 4, 4), (6, 9, 2), (5, 16, 16)):
        shapes = ((width,), (n_keys, width), (n_keys, value_width))
        query, keys, values = (rng.normal(size=shape) for shape in shapes)
        yield query, keys, values


def _look_up(query: Array, keys: Array, values: Array) -> Array:
    return np.asarray(_softmax(keys @ query / np.sqrt(len(query))) @ values)


look_up = Exercise(
    name="my_look_up",
    points=3,
    reference=_look_up,
    cases=_lookups,
    tolerance=1e-4,
    wrong=(
        lambda query, keys, values: _softmax(keys @ query) @ values,
        lambda query, keys, values: _softmax(keys @ query / len(query)) @ values,
        lambda query, keys, values: values[np.argmax(keys @ query)],
        lambda query, keys, values: _softmax(keys @ query / np.sqrt(len(query)))[:, None] * values,
    ),
    withheld=ATTENDING,
)


def _lengths(rng: np.random.Generator) -> Iterator[tuple[int]]:
    for most in (2, 5, 9, 30):
        yield (int(rng.integers(2, most + 1)),)


def _causal_mask(n_tokens: int) -> Mask:
    return np.tri(n_tokens, dtype=bool)


causal_mask = Exercise(
    name="my_causal_mask",
    points=2,
    reference=_causal_mask,
    cases=_lengths,
    wrong=(
        lambda n_tokens: _causal_mask(n_tokens).T,
        lambda n_tokens: np.tri(n_tokens, k=-1, dtype=bool),
        lambda n_tokens: ~_causal_mask(n_tokens),
        lambda n_tokens: 1.0 * _causal_mask(n_tokens),  # with which ~ and [] do something else
        lambda n_tokens: np.where(_causal_mask(n_tokens), 0.0, -np.inf),
    ),
    withheld=("labkit.functional.causal_mask",),
)


def _masked(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array, Mask]]:
    for n_queries, n_keys, width in ((1, 1, 2), (3, 3, 4), (2, 6, 4), (7, 7, 16)):
        q, k, v = (rng.normal(size=(n, width)) for n in (n_queries, n_keys, n_keys))
        mask = rng.random((n_queries, n_keys)) < 0.6
        mask[:, 0] = True
        if n_queries == 7:  # the only key that the first query may see fits very badly
            q[0], mask[0, 1:] = -400 * k[0] / (k[0] @ k[0]), False
        yield q, 3 * k, v, mask


def _attend(queries: Array, keys: Array, values: Array, mask: Mask) -> Array:
    scores = queries @ keys.T / np.sqrt(queries.shape[-1])
    return np.asarray(_softmax(np.where(mask, scores, -np.inf)) @ values)


def _masked_late(queries: Array, keys: Array, values: Array, mask: Mask) -> Array:
    """Take weights away after the softmax, so that the rest does not sum to one."""
    weights = _softmax(queries @ keys.T / np.sqrt(queries.shape[-1]))
    return np.asarray(np.where(mask, weights, 0) @ values)


def _masked_with(queries: Array, keys: Array, values: Array, mask: Mask, score: float = 0) -> Array:
    """Set forbidden scores to a number that still gets a weight, such as zero."""
    scores = queries @ keys.T / np.sqrt(queries.shape[-1])
    return np.asarray(_softmax(np.where(mask, scores, score)) @ values)


attend = Exercise(
    name="my_attend",
    points=4,
    reference=_attend,
    cases=_masked,
    tolerance=1e-4,
    wrong=(
        _masked_late,
        _masked_with,
        lambda queries, keys, values, mask: _attend(queries, keys, values, np.ones_like(mask)),
        lambda queries, keys, values, mask: _masked_with(queries, keys, values, mask, -100),
        lambda queries, keys, values, mask: _attend(queries, keys * 2, values, mask),
    ),
    withheld=ATTENDING,
)


def _sizes(rng: np.random.Generator) -> Iterator[tuple[int, int, bool]]:
    for most in (4, 50, 3_000):
        for causal in (False, True):
            yield int(rng.integers(3, most + 1)), int(rng.integers(2, 129)), causal


def _multiplications(n_tokens: int, width: int, causal: bool) -> int:
    pairs = n_tokens * (n_tokens + 1) // 2 if causal else n_tokens * n_tokens
    return 2 * pairs * width


multiplications = Exercise(
    name="my_multiplications",
    points=3,
    reference=_multiplications,
    cases=_sizes,
    wrong=(
        lambda n_tokens, width, causal: _multiplications(n_tokens, width, False),
        lambda n_tokens, width, causal: _multiplications(n_tokens, width, causal) // 2,
        lambda n_tokens, width, causal: 2 * n_tokens**2 * width // (2 if causal else 1),
        lambda n_tokens, width, causal: 2 * n_tokens * width**2,
    ),
)
