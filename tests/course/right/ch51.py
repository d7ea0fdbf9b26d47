"""Right answers to chapter 51's exercises, written otherwise than ours: each must earn all points.

A name is that of the exercise's function, two underscores, and the style. Each function holds all
that it needs, as an answer cell does.
"""

from collections.abc import Sequence
from typing import Any


def my_last_tokens__by_index(vectors: Any, lengths: Any) -> Any:
    """Choose with two arrays of indices at once."""
    import numpy as np

    return vectors[np.arange(len(vectors)), np.asarray(lengths) - 1]


def my_last_tokens__as_tensor(vectors: Any, lengths: Any) -> Any:
    """Gather along time, in PyTorch."""
    import torch

    x, last = torch.tensor(vectors), torch.tensor(lengths) - 1
    return x.gather(1, last[:, None, None].expand(-1, 1, x.shape[2]))[:, 0]


def my_last_tokens__plain(vectors: Any, lengths: Sequence[int]) -> list[list[float]]:
    """Count along each text until it ends."""
    found = []
    for i, length in enumerate(lengths):
        last: list[float] = []
        for t in range(length):
            last = [float(number) for number in vectors[i][t]]
        found.append(last)
    return found


def my_lora_outputs__one_matrix(
    x: Any, weight: Any, bias: Any, down: Any, up: Any, alpha: float
) -> Any:
    """Put the change into the weight first."""
    return x @ (weight + alpha * (up @ down) / down.shape[0]).T + bias


def my_lora_outputs__rank_by_rank(
    x: Any, weight: Any, bias: Any, down: Any, up: Any, alpha: float
) -> Any:
    """Add the change one pair of directions at a time."""
    import numpy as np

    y = x @ weight.T + bias
    rank = up.shape[1]
    for r in range(rank):
        y = y + (alpha / rank) * np.outer(x @ down[r], up[:, r])
    return y


def my_lora_outputs__as_tensor(
    x: Any, weight: Any, bias: Any, down: Any, up: Any, alpha: float
) -> Any:
    """Let PyTorch's linear layers do it."""
    import torch
    import torch.nn.functional as F

    x, weight, bias, down, up = map(torch.from_numpy, (x, weight, bias, down, up))
    return F.linear(x, weight, bias) + F.linear(F.linear(x, down), up) * alpha / len(down)


def my_merged_weight__by_unit_vectors(weight: Any, down: Any, up: Any, alpha: float) -> Any:
    """Ask what becomes of each unit vector, and stand the answers side by side."""
    import numpy as np

    columns = []
    for e in np.eye(weight.shape[1]):
        columns.append(weight @ e + alpha / len(down) * (up @ (down @ e)))
    return np.stack(columns, axis=1)


def my_merged_weight__einsum(weight: Any, down: Any, up: Any, alpha: float) -> Any:
    """Name the axes."""
    import numpy as np

    return weight + np.einsum("fr,rd->fd", up, down) * (alpha / up.shape[-1])


def my_merged_weight__lists(weight: Any, down: Any, up: Any, alpha: float) -> list[list[float]]:
    """Three loops."""
    rank = len(down)
    return [
        [
            weight[f][d] + alpha / rank * sum(up[f][r] * down[r][d] for r in range(rank))
            for d in range(len(down[0]))
        ]
        for f in range(len(up))
    ]


def my_label_log_prob__shifted(log_probs: Any, ids: Any, n_label: int) -> float:
    """Put each token beside the row before it."""
    pairs = list(zip(log_probs[:-1], ids[1:], strict=True))
    return sum(row[token] for row, token in pairs[-n_label:])


def my_label_log_prob__at_once(log_probs: Any, ids: Any, n_label: int) -> Any:
    """Cut both to the label and choose with two arrays of indices."""
    import numpy as np

    rows, label = log_probs[-n_label - 1 : -1], ids[-n_label:]
    return rows[np.arange(n_label), label].sum()


def my_label_log_prob__product(log_probs: Any, ids: Any, n_label: int) -> float:
    """Multiply the probabilities, and take the logarithm at the end."""
    import math

    product = 1.0
    for t in range(len(ids) - n_label, len(ids)):
        product *= math.exp(log_probs[t - 1][ids[t]])
    return math.log(product)


def my_mcnemar__by_sum(right_a: Any, right_b: Any) -> float:
    """Add up the coefficients of one tail and double them."""
    from math import comb

    wins = sum(bool(a) and not b for a, b in zip(right_a, right_b, strict=True))
    losses = sum(bool(b) and not a for a, b in zip(right_a, right_b, strict=True))
    n = wins + losses
    tail = sum(comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)


def my_mcnemar__with_scipy(right_a: Any, right_b: Any) -> float:
    """Look only at the texts on which the two differ."""
    import numpy as np
    from scipy.stats import binom

    a, b = np.asarray(right_a), np.asarray(right_b)
    differ = a != b
    n, fewer = int(differ.sum()), int(min(a[differ].sum(), b[differ].sum()))
    return float(min(1, 2 * binom.cdf(fewer, n, 0.5)))
