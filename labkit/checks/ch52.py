"""Exercises of chapter 52: words in common, a loss mask, a span, calibration, and BM25 by hand."""

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from labkit.checks import Exercise

Array = NDArray[np.float64]
Truths = NDArray[np.bool_]
WORDS = ("in", "barn", "ben", "park", "because", "it", "broke")


def _answers(rng: np.random.Generator) -> Iterator[tuple[list[str], list[str]]]:
    yield ["in", "park"], ["in", "barn"]
    yield ["barn"], ["in", "barn"]
    yield ["ben", "ben", "ben"], ["ben", "and", "ben"]
    yield ["it", "broke"], ["sad"]
    yield [], ["ben"]
    for n, m in ((3, 5), (6, 4), (7, 7), (1, 6)):
        yield rng.choice(WORDS, n).tolist(), rng.choice(WORDS, m).tolist()


def _f1(written: list[str], truth: list[str]) -> float:
    shared = (Counter(written) & Counter(truth)).total()
    return 2 * shared / (len(written) + len(truth))


def _f1_of_sets(written: list[str], truth: list[str]) -> float:
    """Count each word once."""
    mine, theirs = set(written), set(truth)
    return 2 * len(mine & theirs) / (len(mine) + len(theirs))


f1 = Exercise(
    name="my_f1",
    points=2,
    reference=_f1,
    cases=_answers,
    tolerance=1e-9,
    expected="twice the number of shared words, by the number of words of both; 0 without shared "
    "words; a word is shared as often as both have it",
    wrong=(
        _f1_of_sets,
        lambda written, truth: float(written == truth),
        lambda written, truth: _f1(written, truth) / 2,
        lambda written, truth: (Counter(written) & Counter(truth)).total() / len(truth),
        lambda written, truth: sum(w in truth for w in written) / max(len(written), 1),
    ),
    withheld=("labkit.tasks.word_f1",),
)


def _prompts(rng: np.random.Generator) -> Iterator[tuple[list[int], list[int], int]]:
    yield [4, 8], [5], 0
    for n, m in ((1, 1), (6, 2), (3, 5), (9, 1)):
        ids = rng.integers(1, 30, n + m).tolist()
        yield ids[:n], ids[n:], int(rng.choice([0, 31]))


def _targets(prompt: list[int], answer: list[int], end: int) -> list[int]:
    return [-100] * len(prompt) + [*answer, end]


def _unshifted(prompt: list[int], answer: list[int], end: int) -> list[int]:
    """Put each token of the answer at its own place, where it has been read already."""
    return [-100] * (len(prompt) + 1) + answer


targets = Exercise(
    name="my_targets",
    points=3,
    reference=_targets,
    cases=_prompts,
    expected="for every token that is read, the one to write next: -100 as long as that belongs to "
    "the prompt, then the answer's tokens and the end",
    wrong=(
        _unshifted,
        lambda prompt, answer, end: [-100] * len(prompt) + answer,
        lambda prompt, answer, end: [*prompt, *answer, end],
        lambda prompt, answer, end: [-100] * (len(prompt) - 1) + [*answer, end],
        lambda prompt, answer, end: [0] * len(prompt) + [*answer, end],
    ),
    withheld=("labkit.tasks.encode_pieces", "labkit.tasks.encode_tasks"),
)


def _scores(rng: np.random.Generator) -> Iterator[tuple[Array, Array, int]]:
    yield np.array([0.0, 3, 0]), np.array([5.0, 0, 1]), 3
    yield np.array([9.0, 0, 0, 4]), np.array([0.0, 0, 0, 9]), 2
    yield np.array([9.0, 0, 0, 0]), np.array([1.0, 0, 9, 0]), 2
    for n, longest in ((1, 1), (5, 5), (8, 2), (12, 4), (12, 1), (6, 20)):
        yield rng.normal(size=n).round(3), rng.normal(size=n).round(3), longest


def _best_span(start: Array, end: Array, longest: int) -> list[int]:
    n = len(start)
    spans = [(i, j) for i in range(n) for j in range(i, min(n, i + longest))]
    sums = [float(start[i]) + float(end[j]) for i, j in spans]
    return list(spans[sums.index(max(sums))])


def _end_after_start(start: Array, end: Array, longest: int) -> list[int]:
    """Fix the best start, and look for an end only then."""
    i = int(start.argmax())
    return [i, i + int(end[i : i + longest].argmax())]


best_span = Exercise(
    name="my_best_span",
    points=3,
    reference=_best_span,
    cases=_scores,
    expected="first and last place, of all spans with last ≥ first and at most `longest` places "
    "the one with the largest sum of start and end score",
    wrong=(
        _end_after_start,
        lambda start, end, longest: [int(start.argmax()), int(end.argmax())],
        lambda start, end, longest: _best_span(start, end, longest + 1),
        lambda start, end, longest: _best_span(start, end, len(start)),
        lambda start, end, longest: _best_span(end, start, longest),
    ),
    withheld=("labkit.finetune.best_spans",),
)


def _sure(rng: np.random.Generator) -> Iterator[tuple[Array, Truths, int]]:
    yield np.array([0.9, 0.8, 0.1]), np.array([True, False, True]), 2
    yield np.ones(4), np.array([True, True, False, True]), 10
    for n, bins in ((30, 5), (200, 10), (50, 4)):
        sure = rng.random(n).round(3) * 0.998 + 0.001
        yield sure, rng.random(n) < 0.5, bins


def _ece(sure: Array, right: Truths, n_bins: int) -> float:
    which = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    groups = [which == k for k in range(n_bins)]
    return float(
        sum(abs(sure[g].mean() - right[g].mean()) * g.sum() for g in groups if g.any()) / len(sure)
    )


def _unweighted(sure: Array, right: Truths, n_bins: int) -> float:
    """Let every bin count the same, however few answers are in it."""
    which = np.minimum((sure * n_bins).astype(int), n_bins - 1)
    gaps = [
        abs(sure[which == k].mean() - right[which == k].mean())
        for k in range(n_bins)
        if (which == k).any()
    ]
    return float(np.mean(gaps))


ece = Exercise(
    name="my_ece",
    points=4,
    reference=_ece,
    cases=_sure,
    tolerance=1e-9,
    expected="the gap between mean confidence and share of right answers in each bin, weighted by "
    "the share of answers in it",
    wrong=(
        _unweighted,
        lambda sure, right, n_bins: _ece(sure, right, 1),
        lambda sure, right, n_bins: float(abs(sure - right).mean()),
        lambda sure, right, n_bins: _ece(sure, right, n_bins) * n_bins,
        lambda sure, right, n_bins: float(((sure - right) ** 2).mean()),
    ),
)

Term = tuple[int, int, int, int, float]


def _terms(rng: np.random.Generator) -> Iterator[Term]:
    yield 0, 3, 57, 100, 200.0
    for tf, df, length, mean in ((1, 1, 100, 100), (3, 20, 400, 150), (9, 56, 30, 90)):
        yield tf, df, 57, length, float(mean)
    for _ in range(4):
        n = int(rng.integers(5, 500))
        tf, df = int(rng.integers(1, 20)), int(rng.integers(1, n))
        yield tf, df, n, int(rng.integers(20, 900)), float(rng.integers(50, 400))


def _bm25(tf: int, df: int, n_docs: int, length: int, mean_length: float) -> float:
    rare = math.log(1 + (n_docs - df + 0.5) / (df + 0.5))
    return rare * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * length / mean_length))


def _no_length(tf: int, df: int, n_docs: int, length: int, mean_length: float) -> float:
    """Forget that a long text has more of every word."""
    return _bm25(tf, df, n_docs, 1, 1.0)


def _unsaturated(tf: int, df: int, n_docs: int, length: int, mean_length: float) -> float:
    """Let the tenth time count as much as the first."""
    return tf * math.log(1 + (n_docs - df + 0.5) / (df + 0.5))


bm25_term = Exercise(
    name="my_bm25_term",
    points=3,
    reference=_bm25,
    cases=_terms,
    tolerance=1e-9,
    expected="how rare the word is, times how often it stands in the text, saturated and corrected "
    "for the text's length, with k = 1.5 and b = 0.75",
    wrong=(
        _no_length,
        _unsaturated,
        lambda tf, df, n, length, mean: _bm25(tf, n - df, n, length, mean),
        lambda tf, df, n, length, mean: _bm25(tf, df, n, round(mean), float(length)),
        lambda tf, df, n, length, mean: _bm25(tf, df, n, length, mean) / math.log(2),
    ),
)
