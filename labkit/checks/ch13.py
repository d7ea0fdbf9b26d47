"""Exercises of chapter 13, naive Bayes. Of two classes, praise comes first."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Array = NDArray[np.float64]


def _documents(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array]]:
    for n_classes, n_words, longest in ((2, 3, 4), (2, 5, 9), (3, 4, 6), (2, 6, 4000)):
        prior = rng.dirichlet(np.full(n_classes, 2.0))
        words = rng.dirichlet(np.full(n_words, 5.0), n_classes)
        counts = rng.integers(0, longest, n_words).astype(float)
        counts[:2] = longest, 0
        yield np.log(prior), np.log(words), counts


def _class_probs(log_prior: Array, log_word_probs: Array, counts: Array) -> Array:
    scores = log_prior + log_word_probs @ counts
    ways = np.exp(scores - scores.max())
    return ways / ways.sum()


def _underflowing(log_prior: Array, log_word_probs: Array, counts: Array) -> Array:
    """Leave log space too early."""
    ways = np.exp(log_prior + log_word_probs @ counts)
    return ways / max(ways.sum(), 1e-300)


def _dividing_scores(log_prior: Array, log_word_probs: Array, counts: Array) -> Array:
    """Divide log probabilities as if they were probabilities."""
    scores = log_prior + log_word_probs @ counts
    return scores / scores.sum()


class_probs = Exercise(
    name="my_class_probs",
    points=3,
    reference=_class_probs,
    cases=_documents,
    tolerance=1e-9,
    expected="the probability of each class given the words, (C,), summing to one for any length",
    wrong=(
        _underflowing,
        _dividing_scores,
        lambda prior, words, counts: _class_probs(0 * prior, words, counts),
        lambda prior, words, counts: _class_probs(prior, words, np.minimum(counts, 1)),
        lambda prior, words, counts: _class_probs(prior * counts.sum(), words, counts),
    ),
)


def _bags(rng: np.random.Generator) -> Iterator[tuple[Array, Array, float]]:
    for n_words in (2, 3, 7, 20):
        praise, complaint = rng.integers(0, 6, (2, n_words)).astype(float)
        praise[:2], complaint[:2] = (0, 3), (7, 0)
        yield praise, complaint, float(rng.choice([0.1, 0.5, 2]))


def _word_weights(praise: Array, complaint: Array, k: float) -> Array:
    shares = [(bag + k) / (bag.sum() + k * len(bag)) for bag in (praise, complaint)]
    return np.asarray(np.log(shares[0]) - np.log(shares[1]))


def _own_vocabularies(praise: Array, complaint: Array, k: float) -> Array:
    """Let each class count only the words that it has seen as its vocabulary."""
    shares = [(bag + k) / (bag.sum() + k * (bag > 0).sum()) for bag in (praise, complaint)]
    return np.asarray(np.log(shares[0]) - np.log(shares[1]))


word_weights = Exercise(
    name="my_word_weights",
    points=3,
    reference=_word_weights,
    cases=_bags,
    tolerance=1e-9,
    expected="for each word the log of P(word | praise) / P(word | complaint), both smoothed, (V,)",
    wrong=(
        _own_vocabularies,
        lambda praise, complaint, k: -_word_weights(praise, complaint, k),
        lambda praise, complaint, k: _word_weights(praise, complaint, 1),
        lambda praise, complaint, k: np.log(praise + k) - np.log(complaint + k),
        lambda praise, complaint, k: np.exp(_word_weights(praise, complaint, k)),
    ),
)


def _presences(rng: np.random.Generator) -> Iterator[tuple[Array, Array]]:
    for n_texts, n_words, n_classes in ((1, 3, 2), (4, 5, 2), (6, 9, 3)):
        present = rng.integers(0, 2, (n_texts, n_words)).astype(float)
        present[0, :2] = 1, 0
        yield present, rng.uniform(0.05, 0.9, (n_classes, n_words))


def _bernoulli_log_probs(present: Array, probs: Array) -> Array:
    return present @ np.log(probs).T + (1 - present) @ np.log(1 - probs).T


bernoulli_log_probs = Exercise(
    name="my_bernoulli_log_probs",
    points=3,
    reference=_bernoulli_log_probs,
    cases=_presences,
    tolerance=1e-9,
    expected="log P(which words are there and which are not | class), (N, C)",
    wrong=(
        lambda present, probs: present @ np.log(probs).T,
        lambda present, probs: (2 * present - 1) @ np.log(probs).T,
        lambda present, probs: _bernoulli_log_probs(present, probs).T,
        lambda present, probs: np.exp(_bernoulli_log_probs(present, probs)),
        lambda present, probs: _bernoulli_log_probs(1 - present, probs),
    ),
)


def _forecasts(rng: np.random.Generator) -> Iterator[tuple[Array, Array, int]]:
    for n, n_bins in ((8, 2), (60, 5), (300, 10), (5, 20)):
        confidence = 1 - 0.5 * rng.beta(0.8, 1.5, n)
        confidence[:2] = 1.0, 0.51
        yield confidence, (rng.random(n) < confidence).astype(float), n_bins


def _reliability(confidence: Array, right: Array, n_bins: int) -> Array:
    rows = np.zeros((n_bins, 3))
    place = np.minimum((2 * (confidence - 0.5) * n_bins).astype(int), n_bins - 1)
    for i in set(place.tolist()):
        here = place == i
        rows[i] = confidence[here].mean(), right[here].mean(), here.sum()
    return rows


def _centred(confidence: Array, right: Array, n_bins: int) -> Array:
    """Report the middle of a bin in place of the mean confidence in it."""
    rows = _reliability(confidence, right, n_bins)
    rows[:, 0] = (0.5 + (np.arange(n_bins) + 0.5) / n_bins / 2) * (rows[:, 2] > 0)
    return rows


def _without_the_surest(confidence: Array, right: Array, n_bins: int) -> Array:
    """Lose what is exactly 1."""
    return _reliability(confidence[confidence < 1], right[confidence < 1], n_bins)


reliability = Exercise(
    name="my_reliability",
    points=3,
    reference=_reliability,
    cases=_forecasts,
    tolerance=1e-9,
    expected="for each bin its mean confidence, the share that is right, and how many it holds, "
    "(n_bins, 3)",
    wrong=(
        _centred,
        _without_the_surest,
        lambda confidence, right, n_bins: _reliability(0.5 + confidence / 2, right, n_bins),
        lambda confidence, right, n_bins: _reliability(confidence, right, n_bins)[:, [1, 0, 2]],
        lambda confidence, right, n_bins: _reliability(confidence, right, n_bins) / len(right),
    ),
)

NEGATIONS = {"not", "no", "never", "isn't"}


def _sentences(rng: np.random.Generator) -> Iterator[tuple[list[str], set[str]]]:
    yield [], NEGATIONS
    words = ["good", "film", "a", "story", "is"]
    for length in (3, 8, 30):
        some = rng.choice([*words, *sorted(NEGATIONS), *".,;:!?"], length).tolist()
        a, b, c, d = rng.choice(words, 4).tolist()
        yield [a, "never", b, c, ",", d, "not", "no", a, *some], NEGATIONS


def _mark_negation(tokens: list[str], negations: set[str]) -> list[str]:
    marked, negated = [], False
    for token in tokens:
        if token in negations:
            negated = True
        elif token in ".,;:!?":
            negated = False
        inside = negated and token not in negations
        marked.append(f"not_{token}" if inside else token)
    return marked


def _next_word_only(tokens: list[str], negations: set[str]) -> list[str]:
    """Mark one word and stop."""
    before = ["", *tokens]
    plain = {*negations, *".,;:!?"}
    return [
        f"not_{token}" if left in negations and token not in plain else token
        for left, token in zip(before, tokens, strict=False)
    ]


def _to_the_end(tokens: list[str], negations: set[str]) -> list[str]:
    """Never stop at a mark."""
    places = [i for i, token in enumerate(tokens) if token in negations]
    first = min(places, default=len(tokens))
    plain = {*negations, *".,;:!?"}
    return [
        f"not_{token}" if i > first and token not in plain else token
        for i, token in enumerate(tokens)
    ]


def _switching(tokens: list[str], negations: set[str]) -> list[str]:
    """Let a second negation undo the first."""
    marked, negated = [], False
    for token in tokens:
        if token in negations:
            negated = not negated
        elif token in ".,;:!?":
            negated = False
        marked.append(f"not_{token}" if negated and token not in negations else token)
    return marked


mark_negation = Exercise(
    name="my_mark_negation",
    points=3,
    reference=_mark_negation,
    cases=_sentences,
    expected="the tokens, with not_ before each word from a negation to the next of . , ; : ! ?",
    wrong=(
        _next_word_only,
        _to_the_end,
        _switching,
        lambda tokens, negations: [
            t for t in _mark_negation(tokens, negations) if t not in ".,;:!?"
        ],
        lambda tokens, negations: [
            f"not_{t}" if t in negations else t for t in _mark_negation(tokens, negations)
        ],
    ),
)
