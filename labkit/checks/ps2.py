"""Exercises of problem set 2, attention and GPT: what it takes to sing a verse again.

Shapes: B songs, T words, S words kept from before, D model width, H heads, K head width, L layers,
V vocabulary, R ways to change a token, N beginnings.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labkit.checks import Exercise, Mark
from labkit.checks.songs import judge_songs, tongue
from labkit.notebook import compare

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Weights = Sequence[Tensor]
Read = tuple[Tensor, Tensor, Tensor]
Pairs = list[tuple[int, int]]
ATTENDING = (
    "labkit.gpt.Attention.forward",
    *(f"labkit.functional.{name}" for name in ("attention_weights", "attend", "attend_fused")),
)
"""labkit's ways to a look: with one of them, a question about looking is none."""


def _normal(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.tensor(rng.normal(size=shape))


def _matrices(rng: np.random.Generator, D: int) -> tuple[Tensor, ...]:
    """Draw what makes queries, keys, values and the output."""
    return tuple(2 * _normal(rng, D, D) / math.sqrt(D) for _ in range(4))


def _layers(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for B, T, H, K, window in ((1, 3, 1, 2, 2), (2, 6, 2, 3, 1), (2, 9, 3, 4, 4), (1, 5, 4, 1, 8)):
        x = _normal(rng, B, T, H * K)
        x[:, ::2] *= 20 if window == 4 else 1  # scores beside which no mask of -100 is small
        yield x, _matrices(rng, H * K), H, window


def _split(rows: Tensor, n_heads: int) -> Tensor:
    """Cut rows into heads: (B, T, D) -> (B, H, T, K)."""
    return rows.unflatten(2, (n_heads, -1)).transpose(1, 2)


def _window(n_new: int, n_all: int, window: int) -> Tensor:
    """Let the last of all words see themselves and those close before: (T, S), boolean."""
    back = torch.arange(n_all - n_new, n_all)[:, None] - torch.arange(n_all)
    return (back >= 0) & (back < window)


def _look(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float = 0) -> Tensor:
    """Attend in every head and lay the answers side by side: (B, H, T, K) -> (B, T, D)."""
    scores = q @ k.mT / (scale or math.sqrt(q.shape[-1]))
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def _project(x: Tensor, weights: Weights, n_heads: int) -> Read:
    q, k, v = (_split(x @ matrix, n_heads) for matrix in weights[:3])
    return q, k, v


def _windowed_heads(x: Tensor, weights: Weights, n_heads: int, window: int) -> Tensor:
    mask = _window(x.shape[1], x.shape[1], window)
    return _look(*_project(x, weights, n_heads), mask) @ weights[3]


def _scaled_by_width(x: Tensor, weights: Weights, n_heads: int, window: int) -> Tensor:
    """Divide by the root of D instead of K."""
    mask = _window(x.shape[1], x.shape[1], window)
    return _look(*_project(x, weights, n_heads), mask, math.sqrt(x.shape[2])) @ weights[3]


def _masked_late(x: Tensor, weights: Weights, n_heads: int, window: int) -> Tensor:
    """Take weights away after the softmax, so that the rest does not sum to one."""
    q, k, v = _project(x, weights, n_heads)
    looks = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
    looks = looks * _window(x.shape[1], x.shape[1], window)
    return (looks @ v).transpose(1, 2).flatten(2) @ weights[3]


def _strided_heads(x: Tensor, weights: Weights, n_heads: int, window: int) -> Tensor:
    """Give each head every H-th number of a row."""
    order = torch.arange(x.shape[2]).view(-1, n_heads).T.flatten()
    strided = [*(matrix[:, order] for matrix in weights[:3]), weights[3][order]]
    return _windowed_heads(x, strided, n_heads, window)


windowed_heads = Exercise(
    name="my_windowed_heads",
    points=6,
    reference=_windowed_heads,
    cases=_layers,
    tolerance=1e-7,
    wrong=(
        _scaled_by_width,
        _masked_late,
        _strided_heads,
        lambda x, weights, H, window: _windowed_heads(x, weights, H, window + 1),
        lambda x, weights, H, window: _windowed_heads(x, weights, 1, window),
        lambda x, w, H, window: _windowed_heads(x, (*w[:3], torch.eye(len(w[3])).to(x)), H, window),
    ),
    expected="a tensor of the shape of x",
    withheld=ATTENDING,
)


def _readings(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    sizes = ((1, 1, 2, 1, 2, 3), (2, 1, 0, 2, 3, 4), (2, 4, 3, 2, 2, 4), (1, 7, 3, 3, 2, 4))
    for B, T, S, H, K, window in (*sizes, (1, 3, 0, 2, 2, 1), (2, 3, 2, 2, 2, 9)):
        keys, values = _normal(rng, B, H, S, K), _normal(rng, B, H, S, K)
        arguments = (_normal(rng, B, T, H * K), keys, values, _matrices(rng, H * K), window)
        yield (*arguments, _read_on(*arguments))


def _all(x: Tensor, keys: Tensor, values: Tensor, weights: Weights) -> Read:
    """Return the new queries, and all keys and values, old and new."""
    q, k, v = _project(x, weights, keys.shape[1])
    return q, torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)


def _read_on(x: Tensor, keys: Tensor, values: Tensor, weights: Weights, window: int) -> Read:
    q, k, v = _all(x, keys, values, weights)
    out = _look(q, k, v, _window(x.shape[1], k.shape[2], window)) @ weights[3]
    begin = max(0, k.shape[2] - window + 1)
    return out, k[:, :, begin:], v[:, :, begin:]


def _mask_from_the_left(x: Tensor, k: Tensor, v: Tensor, weights: Weights, window: int) -> Read:
    """Let the first new word look where the first of all words may."""
    q, keys, values = _all(x, k, v, weights)
    mask = _window(keys.shape[2], keys.shape[2], window)[: x.shape[1]]
    return _look(q, keys, values, mask) @ weights[3], *_read_on(x, k, v, weights, window)[1:]


def _forgets_first(x: Tensor, k: Tensor, v: Tensor, weights: Weights, window: int) -> Read:
    """Throw away what the last word cannot see before the others have looked."""
    q, keys, values = _all(x, k, v, weights)
    mask = _window(x.shape[1], keys.shape[2], window)
    mask[:, : max(0, keys.shape[2] - window)] = False
    looks = _look(q, keys, values, mask).nan_to_num()
    return looks @ weights[3], *_read_on(x, k, v, weights, window)[1:]


def _judge_reading(case: tuple[Any, ...], got: Any) -> Mark:
    """Compare three tensors, one after the other."""
    x, keys, _, _, window, expected = case
    if not isinstance(got, list | tuple) or len(got) != 3:
        return Mark(0, f"expected a tuple of three tensors, got {type(got).__name__}.")
    for name, mine, ours in zip(("outputs", "keys", "values"), got, expected, strict=True):
        difference = compare(mine, ours)
        if not difference.within(1e-7):
            told = f"{x.shape[1]} new words after {keys.shape[2]}, window {window}"
            return Mark(0, f"{name}, {told}: yours ≠ ours: {difference.where}.")
    return Mark(1)


read_on = Exercise(
    name="my_read_on",
    points=8,
    reference=_read_on,
    cases=_readings,
    judge=_judge_reading,
    wrong=(
        _mask_from_the_left,
        _forgets_first,
        lambda x, k, v, w, n: (_read_on(x, k, v, w, n)[0], *_all(x, k, v, w)[1:]),
        lambda x, k, v, w, n: (
            _read_on(x, k, v, w, n)[0],
            *(part[:, :, -(n - 1) :] for part in _all(x, k, v, w)[1:]),  # all of them for n = 1
        ),
        lambda x, k, v, w, n: (_read_on(x, k, v, w, n)[0], k, v),
        lambda x, k, v, w, n: _read_on(x, k[:, :, :0], v[:, :, :0], w, n),
        lambda x, k, v, w, n: (_read_on(x, k, v, w, 99)[0], *_read_on(x, k, v, w, n)[1:]),
    ),
    expected="outputs, and the keys and values of the last window - 1 words, fewer at the start",
    withheld=ATTENDING,
)


def _tries(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    """Draw who depends on whom, and outputs that show it, each pair in one of R tries alone."""
    sizes = ((1, 3, 2, 2, 0), (3, 6, 4, 3, 1), (2, 9, 5, 9, 3), (2, 4, 3, 0, 2))
    for R, T, V, window, n_leaks in sizes:
        back = np.arange(T)[:, None] - np.arange(T)
        depends = (back >= 0) & (back < window)
        depends[-1, : T - 2] &= rng.random(T - 2) < 0.8
        depends[tuple(rng.permutation(np.argwhere(back < 0))[:n_leaks].T)] = True
        outputs = rng.normal(size=(T, V))
        changed = outputs + rng.normal(0, 1e-10, (R, T, T, V))
        for t, j in np.argwhere(depends):
            moved = rng.uniform(0.01, 1, V)
            changed[rng.integers(R), j, t] += moved - moved.mean()  # all together they cancel
        yield outputs, changed, _reach(outputs, changed)
    yield outputs, changed * 0 + outputs, ([], -1)


def _moves(outputs: Array, changed: Array) -> NDArray[np.bool_]:
    """Say whether output t moves when token j is changed: (T, T), a row for each t."""
    return np.asarray((np.abs(changed - outputs) > 1e-6).any(axis=(0, 3)).T)


def _told(moves: NDArray[np.bool_]) -> tuple[Pairs, int]:
    places = [(int(t), int(j)) for t, j in np.argwhere(moves)]
    return [(t, j) for t, j in places if j > t], max(
        (t - j for t, j in places if t >= j), default=-1
    )


def _reach(outputs: Array, changed: Array) -> tuple[Pairs, int]:
    return _told(_moves(outputs, changed))


def _judge_reach(case: tuple[Any, ...], got: Any) -> Mark:
    """Compare pairs as pairs, whether they are tuples, lists or rows of an array."""
    leaks, reach = case[-1]
    try:
        mine, far = got
        pairs = sorted(tuple(map(int, pair)) for pair in mine)
        right = pairs == sorted(leaks) and float(far) == reach
    except (TypeError, ValueError, OverflowError) as error:
        return Mark(0, f"expected a pair, a list of pairs and a number: {error}.")
    return Mark(1) if right else Mark(0, f"not yet: yours {pairs}, {far} ≠ ours {leaks}, {reach}.")


reach = Exercise(
    name="my_reach",
    points=6,
    reference=_reach,
    cases=_tries,
    judge=_judge_reach,
    wrong=(
        lambda outputs, changed: _told(_moves(outputs, changed).T),
        lambda outputs, changed: _reach(outputs, changed[:1]),
        lambda outputs, changed: _told((changed != outputs).any(axis=(0, 3)).T),
        lambda outputs, changed: _told((np.abs((changed - outputs).sum(3)) > 1e-6).any(axis=0).T),
        lambda outputs, changed: _told((np.abs(changed - outputs) > 0.5).any(axis=(0, 3)).T),
        lambda outputs, changed: (_reach(outputs, changed)[0], _reach(outputs, changed)[1] + 1),
        lambda outputs, changed: ([], _reach(outputs, changed)[1]),
    ),
    expected="the pairs (t, j) that leak, j > t, and the largest t - j at which an output moves",
)


def _songs_seen(rng: np.random.Generator) -> Iterator[tuple[Array, list[int]]]:
    seen = np.array([[1.0, 0, 0], [0.4, 0.6, 0], [0.2, 0.7, 0.1]])
    yield seen[None, None], [5, 7, 5]
    for L, H, T, kinds in ((1, 2, 6, 2), (2, 3, 12, 4), (3, 2, 20, 9)):
        weights = np.tril(rng.uniform(0, 1, (L, H, T, T)) ** 3)
        tokens = rng.integers(0, kinds, T)
        tokens[:2] = 0  # of which the second follows an earlier place of its own token: itself
        yield weights / weights.sum(axis=-1, keepdims=True), tokens.tolist()


def _after(tokens: Sequence[int], back: int = 1, until: int = -1) -> NDArray[np.bool_]:
    """Say which earlier place comes right after an earlier place of the same token: (T, T)."""
    ids = np.asarray(tokens)
    places = np.zeros((len(ids), len(ids)), dtype=bool)
    places[:, back:] = ids[:, None] == ids[None, : len(ids) - back]
    return np.tril(places, until)


def _share(weights: Array, places: NDArray[np.bool_]) -> Array:
    return np.asarray((weights * places).sum(axis=(2, 3)) / places.any(axis=1).sum())


def _last_alone(places: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep of several places the last."""
    return places & (np.cumsum(places[:, ::-1], axis=1)[:, ::-1] == 1)


induction_scores = Exercise(
    name="my_induction_scores",
    points=6,
    reference=lambda weights, tokens: _share(weights, _after(tokens)),
    cases=_songs_seen,
    tolerance=1e-6,
    wrong=(
        lambda weights, tokens: _share(weights, _after(tokens, back=0)),
        lambda weights, tokens: (weights * _after(tokens)).sum(axis=(2, 3)) / len(tokens),
        lambda weights, tokens: _share(weights, _last_alone(_after(tokens))),
        lambda weights, tokens: _share(weights.swapaxes(2, 3), _after(tokens)),
        lambda weights, tokens: _share(weights, _after(tokens, until=0)),
        lambda weights, tokens: _share(weights, _after(tokens)) / _after(tokens).sum(),
    ),
    expected="an array (L, H) of shares from 0 to 1",
    withheld=("viewers.heads.induction_mask", "viewers.heads.scores_of_heads"),
)

WORDS = 32
VERSES = range(8, 15)


def _partners(songs: Ints) -> Ints:
    """Find for each word which comes most often up to twenty words after it."""
    pairs = np.zeros((WORDS, WORDS))
    for lag in range(1, 21):
        np.add.at(pairs, (songs[:, :-lag], songs[:, lag:]), 1)
    return np.asarray(pairs.argmax(axis=1))


def _rule(
    songs: Ints, beginnings: Sequence[list[int]], seconds: float, sure: float = 0.999
) -> Array:
    """Say again, as its partner, the word one verse before, for each length that fits."""
    partner = _partners(songs)
    probs = np.full((len(beginnings), WORDS), (1 - sure) / WORDS)
    for row, text in zip(probs, beginnings, strict=True):
        words = np.array(text)
        fits = [p for p in VERSES if (partner[words[:-p]] == words[p:]).all() and p < len(text)]
        for p in fits:
            row[partner[words[-p]]] += sure / len(fits)
    return probs / probs.sum(axis=1, keepdims=True)


def _any_length(songs: Ints, beginnings: Sequence[list[int]], seconds: float) -> Array:
    """Say again what is some verse before, whatever came until here."""
    probs, partner = np.full((len(beginnings), WORDS), 1e-3), _partners(songs)
    for row, text in zip(probs, beginnings, strict=True):
        np.add.at(row, partner[[text[-p] for p in VERSES if p <= len(text)]], 1)
    return probs / probs.sum(axis=1, keepdims=True)


next_words = Exercise(
    name="my_next_words",
    points=10,
    reference=_rule,
    cases=lambda rng: (tongue(int(rng.integers(2**31)), WORDS, VERSES) for _ in "ab"),
    judge=judge_songs,
    partial=True,
    wrong=(
        lambda songs, beginnings, seconds: np.full((len(beginnings), WORDS), 1 / WORDS),
        lambda songs, beginnings, seconds: _rule(np.zeros_like(songs), beginnings, seconds),
        lambda songs, beginnings, seconds: _rule(songs, beginnings, seconds, -0.5),
        lambda songs, beginnings, seconds: _rule(songs, beginnings, seconds) + 0.01,
    ),
    partly=(
        (_any_length, 3),
        (lambda songs, beginnings, seconds: _rule(songs, beginnings, seconds, 0.5), 7),
    ),
    expected="an array (N, V): for each beginning the probabilities of the word that follows",
)
