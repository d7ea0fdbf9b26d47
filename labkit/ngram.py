"""N-gram models: counting, and what to do about everything that was never counted.

`count_ngrams` reads a sequence of ids once for each order and keeps every distinct n-gram in sorted
arrays. The models built on the counts satisfy `labkit.model.LanguageModel`: their logits are log
probabilities. A context that is shorter than the order asks for, as at the start of a document, is
used as it is. Nothing here learns by gradient. Built in notebook 12.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labkit.model import check_ids

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
UNKNOWN = -1
PROPERTIES = frozenset(
    {"sums_to_one", "log_probs", "causal", "chunked", "batched", "overfits", "refuses_ids"}
)


@dataclass(frozen=True)
class Level:
    """All distinct n-grams of one order, sorted by context and then by token.

    An n-gram's id is its place here; its context is the id of its first n - 1 tokens in the level
    below. Built in notebook 12.
    """

    keys: NDArray[np.int64]
    """context id · V + last token, ascending; one per distinct n-gram."""
    counts: NDArray[np.int64]
    """How often each n-gram occurred."""
    starts: NDArray[np.int64]
    """Where each context's n-grams begin; one more entry than there are contexts."""
    suffixes: NDArray[np.int64]
    """Id in the level below of each n-gram without its first token."""


@dataclass(frozen=True)
class Counts:
    """How often each n-gram of orders 1 … N occurred. Built in notebook 12."""

    levels: tuple[Level, ...]
    """Level n - 1 holds the n-grams."""
    vocab_size: int
    """Number of token ids, V."""

    @property
    def order(self) -> int:
        """The longest n-gram counted, in tokens."""
        return len(self.levels)

    def n_distinct(self, order: int) -> int:
        """Return the number of different n-grams of an order."""
        return len(self.levels[order - 1].keys)

    def continuations(self, order: int) -> NDArray[np.int64]:
        """Count, for each n-gram, the different tokens that were seen before it."""
        longer = self.levels[order]
        return np.bincount(longer.suffixes, minlength=self.n_distinct(order))


def count_ngrams(ids: Sequence[int] | Ints, order: int, vocab_size: int) -> Counts:
    """Count all n-grams of orders 1 to `order` in one sequence of token ids.

    Raises ValueError for an order below 1, fewer ids than `order`, or an id outside 0 … V - 1.

    >>> counts = count_ngrams([0, 1, 0, 1, 1], order=2, vocab_size=2)
    >>> counts.levels[1].keys.tolist(), counts.levels[1].counts.tolist()  # pairs 01, 10, 11
    ([1, 2, 3], [2, 1, 1])

    Built in notebook 12.
    """
    tokens = np.asarray(ids, dtype=np.int64)
    if order < 1 or len(tokens) < order:
        raise ValueError(f"expected 1 ≤ order ≤ {len(tokens)}, the number of ids, got {order}")
    if tokens.min() < 0 or tokens.max() >= vocab_size:
        raise ValueError(
            f"expected ids from 0 to {vocab_size - 1}, got {tokens.min()} to {tokens.max()}"
        )
    levels: list[Level] = []
    starting_here = np.zeros(len(tokens) + 1, dtype=np.int64)  # the empty n-gram has id 0
    n_contexts = 1
    for n in range(1, order + 1):
        keys, ids_here, counts = np.unique(
            starting_here[:-1] * vocab_size + tokens[n - 1 :],
            return_inverse=True,
            return_counts=True,
        )
        suffixes = np.empty(len(keys), dtype=np.int64)
        suffixes[ids_here] = starting_here[1:]
        starts = np.searchsorted(keys, np.arange(n_contexts + 1) * vocab_size)
        levels.append(Level(keys, counts, starts, suffixes))
        starting_here, n_contexts = ids_here, len(keys)
    return Counts(tuple(levels), vocab_size)


@dataclass(frozen=True)
class Table:
    """What one order contributes: P(w | c) = seen(c, w) + rest(c) · P(w | shorter context).

    Built in notebook 12.
    """

    seen: Floats
    """Probability given to each distinct n-gram itself."""
    rest: Floats
    """Share of each context's probability that is left for the shorter context."""


@dataclass
class NGramCache:
    """The last tokens of each sequence, all that an n-gram model remembers.

    Built in notebook 12.
    """

    ids: Tensor | None = None


class NGram:
    """A language model that looks up the last n - 1 tokens in tables of counts.

    Made by `maximum_likelihood`, `add_k` or `kneser_ney`. Built in notebook 12.
    """

    context_length: int | None = None

    def __init__(self, counts: Counts, tables: Sequence[Table], *, interpolates: bool) -> None:
        """Keep one table per order; `interpolates` says whether all orders are mixed."""
        self.counts = counts
        self.tables = tuple(tables)
        self.order = len(self.tables)  # the n of n-gram
        self.interpolates = interpolates
        self.vocab_size = counts.vocab_size
        # Without a context the most likely token is always the same, so no text can be learned.
        self.properties = PROPERTIES if self.order > 1 else PROPERTIES - {"overfits"}

    @property
    def n_parameters(self) -> int:
        """How many counts the model needs: one for each distinct n-gram of the orders it uses."""
        used = range(1, self.order + 1) if self.interpolates else [self.order]
        return sum(self.counts.n_distinct(n) for n in used)

    def new_cache(self) -> NGramCache:
        """Return an empty memory for a sequence passed piece by piece."""
        return NGramCache()

    def __call__(self, ids: Tensor, cache: NGramCache | None = None) -> Tensor:
        """Return log P(next token | tokens so far): (B, T) -> (B, T, V), in nats.

        Raises what `labkit.model.check_ids` raises.
        """
        check_ids(ids, self.vocab_size)
        new = ids.shape[1]
        if cache is not None:
            ids = ids if cache.ids is None else torch.cat([cache.ids, ids], dim=1)
            cache.ids = ids[:, max(0, ids.shape[1] - self.order + 1) :]
        with np.errstate(divide="ignore"):
            scores = np.log(self.probabilities(ids.numpy(force=True))[:, -new:])
        return torch.from_numpy(scores.astype(np.float32))

    def probabilities(self, ids: Ints) -> Floats:
        """Return P(next token | tokens so far) in double precision: (B, T) -> (B, T, V)."""
        lengths = self._context_lengths(ids)
        result = np.full((ids.size, self.vocab_size), 1 / self.vocab_size)
        for n, context in enumerate(self._contexts(ids), start=1):
            used = lengths >= n - 1 if self.interpolates else lengths == n - 1
            rows = np.flatnonzero(used & (context != UNKNOWN))
            self._add_order(n, context.ravel()[rows], rows, result)
        return result.reshape(*ids.shape, self.vocab_size)

    def _add_order(self, n: int, context: Ints, rows: Ints, result: Floats) -> None:
        """Mix order n into the rows of `result`, in place."""
        level, table = self.counts.levels[n - 1], self.tables[n - 1]
        begin = level.starts[context]
        width = level.starts[context + 1] - begin
        keep = np.ones(len(result))
        keep[rows] = table.rest[context]
        result *= keep[:, None]
        entry = np.repeat(begin - np.cumsum(width) + width, width) + np.arange(width.sum())
        token = level.keys[entry] % self.vocab_size
        result.reshape(-1)[np.repeat(rows * self.vocab_size, width) + token] += table.seen[entry]

    def seen(self, ids: Ints) -> NDArray[np.bool_]:
        """Tell at each position whether its whole context was ever followed by a token: (B, T).

        Where it was not, maximum likelihood knows nothing and gives every token 1 / V.
        """
        lengths, answer = self._context_lengths(ids), np.zeros(ids.shape, dtype=bool)
        for n, context in enumerate(self._contexts(ids)):
            known, starts = (lengths == n) & (context != UNKNOWN), self.counts.levels[n].starts
            answer[known] = starts[context[known] + 1] > starts[context[known]]
        return answer

    def _context_lengths(self, ids: Ints) -> Ints:
        """Return how many tokens the context at each position has: (B, T)."""
        return np.broadcast_to(np.minimum(np.arange(ids.shape[1]) + 1, self.order - 1), ids.shape)

    def _contexts(self, ids: Ints) -> list[Ints]:
        """Find the id of the context of each length 0 … n - 1 before the next token: n × (B, T)."""
        found: list[Ints] = [np.zeros(ids.shape, dtype=np.int64)]
        for n, level in enumerate(self.counts.levels[: self.order - 1]):
            before = UNKNOWN if n else 0  # what stands before the first token; nothing has id 0
            shorter = np.pad(found[n][:, :-1], ((0, 0), (1, 0)), constant_values=before)
            keys = shorter * self.vocab_size + ids
            place = np.searchsorted(level.keys, keys).clip(max=len(level.keys) - 1)
            known = (shorter != UNKNOWN) & (level.keys[place] == keys)
            found.append(np.where(known, place, UNKNOWN))
        return found


def maximum_likelihood(counts: Counts, order: int) -> NGram:
    """Estimate P(w | c) = count(c w) / count(c), and 1 / V where c was never seen.

    Raises ValueError for an order that was not counted. Built in notebook 12.
    """
    return add_k(counts, order, k=0.0)


def add_k(counts: Counts, order: int, k: float) -> NGram:
    """Estimate P(w | c) = (count(c w) + k) / (count(c) + k V): Laplace's rule at k = 1.

    Raises ValueError for a negative k or an order that was not counted. Built in notebook 12.
    """
    if k < 0:
        raise ValueError(f"expected k ≥ 0, got {k}")
    tables = []
    for level in _levels(counts, order):
        total = _per_context(level, level.counts) + k * counts.vocab_size
        seen = level.counts / np.repeat(total, np.diff(level.starts))
        rest = _divide(k * counts.vocab_size, total, otherwise=1.0)
        tables.append(Table(seen, rest))
    return NGram(counts, tables, interpolates=False)


def kneser_ney(counts: Counts, order: int, discounts: str | Floats = "three") -> NGram:
    """Interpolate all orders, taking a discount from each count and giving it to shorter contexts.

    The longest order uses counts; shorter ones count the different tokens seen before an n-gram.
    `discounts` says how much is taken from counts of 1, 2, and 3 or more: "one" amount for all,
    "three" amounts (both estimated by `kneser_ney_discounts`), or an (order, 3) array.

    Source: Chen & Goodman 1999, section 3. Raises ValueError for an order that was not counted, and
    for discounts of another shape or outside [0, 1], [0, 2], [0, 3]. Built in notebook 12.
    """
    if not isinstance(discounts, str):
        _check_discounts(discounts, order)
    tables = []
    for n, level in enumerate(_levels(counts, order), start=1):
        values = level.counts if n == order else counts.continuations(n)
        if isinstance(discounts, str):
            by_count = kneser_ney_discounts(values, discounts)
        else:
            by_count = discounts[n - 1]
        taken = np.append(0.0, by_count)[np.minimum(values, 3)]
        total = _per_context(level, values)
        seen = _divide(values - taken, np.repeat(total, np.diff(level.starts)), otherwise=0.0)
        tables.append(Table(seen, _divide(_per_context(level, taken), total, otherwise=1.0)))
    return NGram(counts, tables, interpolates=True)


def kneser_ney_discounts(counts: Ints, kind: str) -> Floats:
    """Estimate what to take from counts of 1, 2, and 3 or more: (3,).

    With n_r the number of n-grams that occurred r times, "one" is n₁ / (n₁ + 2 n₂) for all; "three"
    is Chen & Goodman's D_r = r - (r + 1) Y n_{r+1} / n_r with Y as above. If a count of counts is
    zero or a D_r leaves [0, r], as it does for the letters of a small alphabet, "three" falls
    back to "one", and "one" falls back to 0.5. Raises ValueError for another kind.

    >>> kneser_ney_discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4]), "three").round(2).tolist()
    [0.5, 1.25, 1.0]

    Built in notebook 12.
    """
    if kind not in ("one", "three"):
        raise ValueError(f'expected "one" or "three" discounts, or an array of them, got {kind!r}')
    n1, n2, n3, n4 = (int((counts == r).sum()) for r in (1, 2, 3, 4))
    if n1 == 0 or n2 == 0:
        return np.full(3, 0.5)
    divisor = n1 + 2 * n2
    one = np.full(3, n1 / divisor)
    if kind == "one" or n3 == 0 or n4 == 0:
        return one
    # One division of whole numbers each: a discount of exactly 0 must not round to below 0.
    second, third = 2 - 3 * n1 * n3 / (divisor * n2), 3 - 4 * n1 * n4 / (divisor * n3)
    return np.array([one[0], second, third]) if second >= 0 and third >= 0 else one


def _check_discounts(discounts: Floats, order: int) -> None:
    if discounts.shape != (order, 3):
        raise ValueError(
            f"expected discounts of shape ({order}, 3), a row for each order, got {discounts.shape}"
        )
    outside = ~((discounts >= 0) & (discounts <= [1, 2, 3]))
    if outside.any():
        raise ValueError(
            "expected discounts from 0 to 1, 2 and 3, no more than the counts they are taken from, "
            f"got {discounts[outside][0]:g}"
        )


def _levels(counts: Counts, order: int) -> tuple[Level, ...]:
    if not 1 <= order <= counts.order:
        raise ValueError(
            f"expected an order from 1 to {counts.order}, the longest counted, got {order}"
        )
    return counts.levels[:order]


def _per_context(level: Level, values: Ints | Floats) -> Floats:
    """Sum one value per n-gram over the n-grams of each context."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.diff(sums[level.starts])


def _divide(a: Floats | float, b: Floats, *, otherwise: float) -> Floats:
    """Divide where the divisor is positive."""
    return np.divide(a, b, out=np.full(b.shape, otherwise), where=b > 0)
