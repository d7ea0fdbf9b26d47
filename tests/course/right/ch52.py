"""Right answers to chapter 52's exercises, written otherwise than ours: each must earn all points.

A name is that of the exercise's function, two underscores, and the style. Each function holds all
that it needs, as an answer cell does.
"""

from typing import Any


def my_f1__precision_and_recall(written: list[str], truth: list[str]) -> float:
    """Cross out shared words one by one, then take the harmonic mean."""
    left, shared = list(truth), 0
    for word in written:
        if word in left:
            left.remove(word)
            shared += 1
    if shared == 0:
        return 0
    precision, recall = shared / len(written), shared / len(truth)
    return 2 * precision * recall / (precision + recall)


def my_f1__sorted(written: list[str], truth: list[str]) -> Any:
    """Walk along both sorted lists at once."""
    import numpy as np

    a, b, i, j, shared = sorted(written), sorted(truth), 0, 0, 0
    while i < len(a) and j < len(b):
        shared += a[i] == b[j]
        i, j = i + (a[i] <= b[j]), j + (b[j] <= a[i])
    return np.float64(2 * shared / (len(a) + len(b)))


def my_targets__shifted(prompt: list[int], answer: list[int], end: int) -> list[int]:
    """Join everything, shift by one, and cover the prompt."""
    read = [end, *prompt, *answer]
    following = [*read[1:], end]
    for t in range(len(prompt)):
        following[t] = -100
    return following


def my_targets__as_tensor(prompt: list[int], answer: list[int], end: int) -> Any:
    """Fill a tensor."""
    import torch

    wanted = torch.full((len(prompt) + len(answer) + 1,), -100)
    wanted[len(prompt) : -1] = torch.tensor(answer)
    wanted[-1] = end
    return wanted


def my_best_span__all_pairs(start: Any, end: Any, longest: int) -> tuple[int, int]:
    """Add every start to every end, and cross out what is not allowed."""
    import numpy as np

    n = len(start)
    i, j = np.indices((n, n))
    together = np.where((j >= i) & (j - i < longest), start[:, None] + end, -np.inf)
    first, last = np.unravel_index(together.argmax(), (n, n))
    return int(first), int(last)


def my_best_span__loops(start: Any, end: Any, longest: int) -> list[int]:
    """Keep the best so far."""
    best, found = float("-inf"), [0, 0]
    for i in range(len(start)):
        for j in range(i, len(end)):
            if j - i + 1 <= longest and start[i] + end[j] > best:
                best, found = start[i] + end[j], [i, j]
    return found


def my_ece__loop(sure: Any, right: Any, n_bins: int) -> float:
    """Put each answer into its bin, one after the other."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(n_bins)]
    for p, r in zip(sure, right, strict=True):
        bins[min(int(p * n_bins), n_bins - 1)].append((p, r))
    gap = 0.0
    for group in bins:
        gap += abs(sum(p for p, _ in group) - sum(r for _, r in group))
    return gap / len(sure)


def my_ece__histogram(sure: Any, right: Any, n_bins: int) -> Any:
    """Sum what is in each bin with histograms."""
    import numpy as np

    edges = np.linspace(0, 1, n_bins + 1)
    expected, _ = np.histogram(sure, edges, weights=sure)
    correct, _ = np.histogram(sure, edges, weights=np.asarray(right, dtype=float))
    return np.abs(expected - correct).sum() / len(sure)


def my_bm25_term__numpy(tf: int, df: int, n_docs: int, length: int, mean_length: float) -> Any:
    """The formula in one go."""
    import numpy as np

    idf = np.log1p((n_docs - df + 0.5) / (df + 0.5))
    return idf / (1 + 1.5 * (0.25 + 0.75 * length / mean_length) / tf) if tf else 0.0


def my_bm25_term__named(tf: int, df: int, n_docs: int, length: int, mean_length: float) -> float:
    """Step by step, the logarithm as a difference."""
    from math import log

    k, b = 1.5, 0.75
    rare = log(n_docs + 1) - log(df + 0.5)
    expected = k * (1 - b) + k * b * (length / mean_length)
    return rare * (tf / (tf + expected))
