"""Exercises of chapter 12, n-grams. Pair counts are (V, V) matrices: row first, column next."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Array = NDArray[np.float64]


def _ids(rng: np.random.Generator) -> Iterator[tuple[list[int], int]]:
    for length in (2, 3, 5, 9, 20, 60):
        size = int(rng.integers(2, 6))
        yield rng.integers(0, size, length).tolist(), size + 1


def _pair_counts(ids: list[int], vocab_size: int) -> Array:
    counts = np.zeros((vocab_size, vocab_size))
    np.add.at(counts, (ids[:-1], ids[1:]), 1)
    return counts


pair_counts = Exercise(
    name="my_pair_counts",
    points=2,
    reference=_pair_counts,
    cases=_ids,
    wrong=(
        lambda ids, vocab_size: _pair_counts(ids, vocab_size).T,
        lambda ids, vocab_size: _pair_counts([*ids, ids[0]], vocab_size),
        lambda ids, vocab_size: _pair_counts(ids, max(ids) + 1),
        lambda ids, vocab_size: np.minimum(_pair_counts(ids, vocab_size), 1),
    ),
    withheld=("labkit.ngram.count_ngrams",),
)


def _log_probs(rng: np.random.Generator) -> Iterator[tuple[list[float], int]]:
    for n_tokens in (1, 2, 7, 40):
        probs = rng.uniform(0.001, 1, n_tokens)
        yield np.log(probs).tolist(), int(n_tokens * rng.integers(2, 5))


def _bits_per_char(log_probs: list[float], n_chars: int) -> float:
    return float(-np.sum(log_probs) / np.log(2) / n_chars)


bits_per_char = Exercise(
    name="my_bits_per_char",
    points=2,
    reference=_bits_per_char,
    cases=_log_probs,
    tolerance=1e-5,  # room for an answer in 32 bits
    wrong=(
        lambda log_probs, n_chars: -np.sum(log_probs) / n_chars,
        lambda log_probs, n_chars: -np.mean(log_probs) / np.log(2),
        lambda log_probs, n_chars: np.sum(log_probs) / np.log(2) / n_chars,
        lambda log_probs, n_chars: 2 ** _bits_per_char(log_probs, n_chars),
    ),
)


def _count_matrices(rng: np.random.Generator) -> Iterator[tuple[Array, float]]:
    for size, k in zip((2, 3, 5, 8), rng.permutation([0.01, 0.25, 0.5, 1]), strict=True):
        counts = rng.integers(0, 6, (size, size)) * rng.integers(0, 2, (size, size))
        counts[0], counts[1, 0] = 0, 3
        counts[:, 4:5] = 0  # a token that never came second
        yield counts.astype(float), float(k)


def _add_k(counts: Array, k: float) -> Array:
    return (counts + k) / (counts.sum(axis=1, keepdims=True) + k * len(counts))


add_k = Exercise(
    name="my_add_k",
    points=3,
    reference=_add_k,
    cases=_count_matrices,
    tolerance=1e-5,
    wrong=(
        lambda counts, k: (counts + k) / (counts.sum(axis=1, keepdims=True) + k),
        lambda counts, k: (counts + k) / (counts.sum(axis=0, keepdims=True) + k * len(counts)),
        lambda counts, k: (counts + 1) / (counts.sum(axis=1, keepdims=True) + len(counts)),
        lambda counts, k: np.where(counts > 0, counts, k) / (counts.sum(axis=1)[:, None] + k),
        lambda counts, k: (counts + k) / (counts.sum(1)[:, None] + k * counts.any(axis=0).sum()),
    ),
    withheld=("labkit.ngram.add_k",),
)


def _copies(rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Runs at every end, of a sample and of a text, and one that overlaps another."""
    yield "", "abc"
    yield "abcde", "abc bcde"
    for length in (5, 30, 200):
        text = "".join(rng.choice(list("abc"), length))
        start = int(rng.integers(0, length // 2))
        yield "d" + text[start : start + 4] + "dc", text
        yield "".join(rng.choice(list("abcd"), 25)), text
    text = "".join(rng.choice(list("abcdefghijklmno"), 60))
    yield from ((text[20:45], text), (text[:9] + "!", text), ("!a!" + text[-9:], text))
    yield f"!a{text}a!", text


def _longest_copy(sample: str, text: str) -> int:
    longest = 0
    for start in range(len(sample)):
        while start + longest < len(sample) and sample[start : start + longest + 1] in text:
            longest += 1
    return longest


def _one_after_the_other(sample: str, text: str) -> int:
    """Begin a run only where the one before has ended."""
    longest = start = 0
    while start < len(sample):
        length = 0
        while start + length < len(sample) and sample[start : start + length + 1] in text:
            length += 1
        longest, start = max(longest, length), start + max(length, 1)
    return longest


longest_copy = Exercise(
    name="my_longest_copy",
    points=3,
    reference=_longest_copy,
    cases=_copies,
    wrong=(
        lambda sample, text: sum(letter in text for letter in sample),
        lambda sample, text: max((n for n in range(99) if sample[:n] in text), default=0),
        lambda sample, text: _longest_copy(sample[1:], text),
        lambda sample, text: _longest_copy(sample[:-1], text),
        lambda sample, text: _longest_copy(sample, text[1:]),
        lambda sample, text: _longest_copy(sample, text[:-1]),
        _one_after_the_other,
        lambda sample, text: _longest_copy(sample, text) + 1,
        lambda sample, text: _longest_copy(sample[::-1], text),
    ),
)


def _discounted(rng: np.random.Generator) -> Iterator[tuple[Array, float]]:
    for counts, _ in _count_matrices(rng):
        yield counts, float(rng.uniform(0.2, 0.9))


def _kneser_ney(counts: Array, discount: float) -> Array:
    before = (counts > 0).sum(axis=0)
    shorter = before / before.sum()
    total = counts.sum(axis=1, keepdims=True)
    followers = (counts > 0).sum(axis=1, keepdims=True)
    divisor = np.maximum(total, 1)
    mixed = np.maximum(counts - discount, 0) / divisor + discount * followers / divisor * shorter
    return np.where(total > 0, mixed, shorter)


def _with_frequencies(counts: Array, discount: float) -> Array:
    """Back off to how often a token came, not to how many tokens came before it."""
    unigram = counts.sum(axis=0) / counts.sum()
    before = (counts > 0).sum(axis=0)
    share = _kneser_ney(counts, discount) - _without_rest(counts, discount)
    return _without_rest(counts, discount) + share * unigram / np.maximum(
        before / before.sum(), 1e-9
    )


def _without_rest(counts: Array, discount: float) -> Array:
    """Take the discount and give it to nobody."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.maximum(counts - discount, 0) / total


def _undiscounted(counts: Array, discount: float) -> Array:
    """Give the rest without having taken it."""
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return _kneser_ney(counts, discount) + (counts > 0) * discount / total


kneser_ney = Exercise(
    name="my_kneser_ney",
    points=5,
    reference=_kneser_ney,
    cases=_discounted,
    tolerance=1e-5,
    wrong=(_with_frequencies, _without_rest, _undiscounted),
    withheld=("labkit.ngram.kneser_ney",),
)
