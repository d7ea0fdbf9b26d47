"""Right answers to chapter 13's exercises, written otherwise than ours: each must earn all points.

A name is that of the exercise's function, two underscores, and the style. Each function holds all
that it needs, as an answer cell does.
"""

from collections.abc import Sequence
from typing import Any


def my_class_probs__added_in_log_space(log_prior: Any, log_word_probs: Any, counts: Any) -> Any:
    """Subtract the log of the sum, which numpy adds up without leaving log space."""
    import numpy as np

    scores = np.array(log_prior, dtype=float)
    for word, times in enumerate(counts):
        scores += times * np.asarray(log_word_probs)[:, word]
    return np.exp(scores - np.logaddexp.reduce(scores))


def my_class_probs__by_differences(
    log_prior: Sequence[float], log_word_probs: Sequence[Sequence[float]], counts: Sequence[float]
) -> list[float]:
    """Compare each class with every other: 1 / (sum of the odds against it), in plain Python."""
    import math

    scores = [
        prior + sum(times * log for times, log in zip(counts, logs, strict=True))
        for prior, logs in zip(log_prior, log_word_probs, strict=True)
    ]
    probs = []
    for mine in scores:
        gaps = [other - mine for other in scores]
        too_far = max(gaps) > 700
        probs.append(0.0 if too_far else 1 / sum(math.exp(gap) for gap in gaps))
    return probs


def my_word_weights__one_word_at_a_time(
    praise_counts: Sequence[float], complaint_counts: Sequence[float], k: float
) -> list[float]:
    """Take the log of a ratio of ratios, word by word, in plain Python."""
    import math

    n_words = len(praise_counts)
    totals = sum(praise_counts) + k * n_words, sum(complaint_counts) + k * n_words
    return [
        math.log((a + k) * totals[1] / ((b + k) * totals[0]))
        for a, b in zip(praise_counts, complaint_counts, strict=True)
    ]


def my_word_weights__as_a_table(praise_counts: Any, complaint_counts: Any, k: float) -> Any:
    """Stack the two bags, smooth the table, and subtract its rows."""
    import numpy as np

    table = np.vstack([praise_counts, complaint_counts]) + k
    logs = np.log(table / table.sum(axis=1, keepdims=True))
    return -np.diff(logs, axis=0)[0]


def my_bernoulli_log_probs__choosing(present: Any, probs: Any) -> Any:
    """Choose for each word the probability of what happened, then multiply in log space."""
    import numpy as np

    there = np.asarray(present)[:, None, :] > 0
    chosen = np.where(there, probs, 1 - np.asarray(probs))
    return np.log(chosen).sum(axis=-1)


def my_bernoulli_log_probs__linear(present: Any, probs: Any) -> Any:
    """Start from the empty text and add what each word that is there changes."""
    import numpy as np

    probs = np.asarray(probs)
    empty = np.log1p(-probs).sum(axis=1)
    return empty + np.asarray(present) @ (np.log(probs) - np.log1p(-probs)).T


def my_reliability__histograms(confidence: Any, right: Any, n_bins: int) -> Any:
    """Let numpy count, and add up, between the edges of the bins."""
    import numpy as np

    edges = np.linspace(0.5, 1, n_bins + 1)
    size = np.histogram(confidence, edges)[0]
    sums = [np.histogram(confidence, edges, weights=w)[0] for w in (confidence, right)]
    divisor = np.maximum(size, 1)
    return np.column_stack([sums[0] / divisor, sums[1] / divisor, size])


def my_reliability__plain_lists(
    confidence: Sequence[float], right: Sequence[bool], n_bins: int
) -> list[list[float]]:
    """Put each forecast into its list, in plain Python."""
    bins: list[list[tuple[float, float]]] = [[] for _ in range(n_bins)]
    for sure, good in zip(confidence, right, strict=True):
        bins[min(n_bins - 1, int((sure - 0.5) / 0.5 * n_bins))].append((sure, float(good)))
    rows = []
    for held in bins:
        n = len(held)
        sums = [sum(pair[i] for pair in held) for i in (0, 1)]
        rows.append([sums[0] / n, sums[1] / n, float(n)] if n else [0.0, 0.0, 0.0])
    return rows


def my_mark_negation__pieces(tokens: list[str], negations: set[str]) -> list[str]:
    """Cut at the marks first; in each piece, what comes after the first negation is marked."""
    pieces: list[list[str]] = [[]]
    for token in tokens:
        if token in (".", ",", ";", ":", "!", "?"):
            pieces += [[token], []]
        else:
            pieces[-1].append(token)
    marked = []
    for piece in pieces:
        first = next((i for i, token in enumerate(piece) if token in negations), len(piece))
        for i, token in enumerate(piece):
            marked.append("not_" + token if i > first and token not in negations else token)
    return marked


def my_mark_negation__looking_back(tokens: list[str], negations: set[str]) -> list[str]:
    """Look back from each word to the nearest negation or mark."""
    result = []
    for i, token in enumerate(tokens):
        back = i - 1
        while back >= 0 and tokens[back] not in negations and tokens[back] not in list(".,;:!?"):
            back -= 1
        after_negation = back >= 0 and tokens[back] in negations
        plain = token in negations or token in list(".,;:!?")
        result.append(token if plain or not after_negation else "not_" + token)
    return result
