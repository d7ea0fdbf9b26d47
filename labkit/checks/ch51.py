"""Exercises of chapter 51: pooling, LoRA, the likelihood of a label, and a fair comparison."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from labkit.checks import Exercise

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
Truths = NDArray[np.bool_]


def _padded(rng: np.random.Generator) -> Iterator[tuple[Array, Whole]]:
    for lengths in ([3], [1, 4], [2, 5, 1, 5], [7, 3, 6]):
        vectors = rng.normal(size=(len(lengths), max(lengths), 3)).round(2)
        for row, length in zip(vectors, lengths, strict=True):
            row[length:] = 99
        yield vectors, np.array(lengths)


def _last_tokens(vectors: Array, lengths: Whole) -> Array:
    return np.stack([row[length - 1] for row, length in zip(vectors, lengths, strict=True)])


last_tokens = Exercise(
    name="my_last_tokens",
    points=2,
    reference=_last_tokens,
    cases=_padded,
    expected="for each text the vector of its last token that is no padding, (B, D)",
    wrong=(
        lambda vectors, lengths: vectors[:, -1],
        lambda vectors, lengths: vectors[:, 0],
        lambda vectors, lengths: _last_tokens(vectors, np.maximum(lengths - 1, 1)),
        lambda vectors, lengths: vectors[:, lengths - 1],
        lambda vectors, lengths: vectors.mean(axis=1),
    ),
    withheld=("labkit.finetune.last_token",),
)

Layer = tuple[Array, Array, Array, Array, Array, float]


def _layers(rng: np.random.Generator) -> Iterator[Layer]:
    for n_texts, n_in, n_out, rank in ((1, 3, 3, 1), (4, 5, 2, 2), (2, 4, 6, 3), (3, 8, 8, 4)):
        x, weight = rng.normal(size=(n_texts, n_in)), rng.normal(size=(n_out, n_in))
        down, up = rng.normal(size=(rank, n_in)), rng.normal(size=(n_out, rank))
        yield x, weight, rng.normal(size=n_out), down, up, float(rng.choice([3, 5, 16]))


def _lora_outputs(
    x: Array, weight: Array, bias: Array, down: Array, up: Array, alpha: float
) -> Array:
    return x @ weight.T + bias + alpha / len(down) * (x @ down.T) @ up.T


lora_outputs = Exercise(
    name="my_lora_outputs",
    points=3,
    reference=_lora_outputs,
    cases=_layers,
    tolerance=1e-9,
    expected="the layer's output plus alpha / R times what goes down and up again, (B, F)",
    wrong=(
        lambda x, w, b, down, up, alpha: _lora_outputs(x, w, b, down, up, len(down)),
        lambda x, w, b, down, up, alpha: _lora_outputs(x, w, b, down, up, alpha * len(down)),
        lambda x, w, b, down, up, alpha: _lora_outputs(x, w, 0 * b, down, up, alpha),
        lambda x, w, b, down, up, alpha: _lora_outputs(x, 0 * w, b, down, up, alpha),
        lambda x, w, b, down, up, alpha: _lora_outputs(x, w, b, down, up, alpha / 2),
    ),
    withheld=("labkit.finetune.LoRA.__init__",),
)


def _changes(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array, float]]:
    for _, weight, _, down, up, alpha in _layers(rng):
        yield weight, down, up, alpha


def _merged(weight: Array, down: Array, up: Array, alpha: float) -> Array:
    return weight + alpha / len(down) * up @ down


def _turned(weight: Array, down: Array, up: Array, alpha: float) -> Array:
    """Multiply the two in the order in which the input meets them."""
    change = down.T @ up.T
    return weight + alpha / len(down) * (change if change.shape == weight.shape else change.T)


merged_weight = Exercise(
    name="my_merged_weight",
    points=3,
    reference=_merged,
    cases=_changes,
    tolerance=1e-9,
    expected="one matrix that does what the weight and its change do together, (F, D)",
    wrong=(
        _turned,
        lambda weight, down, up, alpha: _merged(weight, down, up, len(down)),
        lambda weight, down, up, alpha: _merged(weight, down, up, alpha * len(down)),
        lambda weight, down, up, alpha: _merged(0 * weight, down, up, alpha),
        lambda weight, down, up, alpha: _merged(weight, down, -up, alpha),
    ),
    withheld=("labkit.finetune.LoRA.__init__", "labkit.finetune.merge"),
)


def _scored(rng: np.random.Generator) -> Iterator[tuple[Array, Whole, int]]:
    for length, n_label in ((3, 1), (5, 2), (9, 4), (8, 7)):
        probs = rng.dirichlet(np.ones(6), length)
        yield np.log(probs), rng.integers(0, 6, length), n_label


def _label_log_prob(log_probs: Array, ids: Whole, n_label: int) -> float:
    places = range(len(ids) - n_label, len(ids))
    return float(sum(log_probs[t - 1, ids[t]] for t in places))


def _same_row(log_probs: Array, ids: Whole, n_label: int) -> float:
    """Look for a token in the row that stands beside it, which scores the next one."""
    return float(log_probs[np.arange(len(ids)), ids][-n_label:].sum())


label_log_prob = Exercise(
    name="my_label_log_prob",
    points=4,
    reference=_label_log_prob,
    cases=_scored,
    tolerance=1e-9,
    expected="the sum of the log probabilities of the label's tokens, each given all before it",
    wrong=(
        _same_row,
        lambda log_probs, ids, n: _label_log_prob(log_probs, ids, n) / n,
        lambda log_probs, ids, n: _label_log_prob(log_probs, ids, len(ids) - 1),
        lambda log_probs, ids, n: float(np.exp(_label_log_prob(log_probs, ids, n))),
        lambda log_probs, ids, n: -_label_log_prob(log_probs, ids, n),
    ),
    withheld=("labkit.finetune.label_log_probs",),
)


def _verdicts(rng: np.random.Generator) -> Iterator[tuple[Truths, Truths]]:
    for n, one, other in ((12, 0.5, 0.5), (40, 0.9, 0.6), (300, 0.8, 0.75)):
        yield rng.random(n) < one, rng.random(n) < other
    equal = rng.random(20) < 0.7
    yield equal, equal.copy()
    yield np.arange(9) < 8, np.arange(9) < 2


def _mcnemar(right_a: Truths, right_b: Truths) -> float:
    wins, losses = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    if not wins + losses:
        return 1.0
    return float(stats.binomtest(wins, wins + losses).pvalue)


def _unpaired(right_a: Truths, right_b: Truths) -> float:
    """Compare the two as if each had had texts of its own."""
    table = [[x.sum(), (~x).sum()] for x in (right_a, right_b)]
    return float(stats.fisher_exact(table).pvalue)


def _one_sided(right_a: Truths, right_b: Truths) -> float:
    """Ask only whether the first is better."""
    wins, losses = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return float(stats.binom.sf(wins - 1, wins + losses, 0.5))


def _all_texts(right_a: Truths, right_b: Truths) -> float:
    """Count the texts on which both agree as throws of the coin."""
    wins = int((right_a & ~right_b).sum())
    return float(stats.binomtest(wins, len(right_a)).pvalue)


mcnemar = Exercise(
    name="my_mcnemar",
    points=4,
    reference=_mcnemar,
    cases=_verdicts,
    tolerance=1e-9,
    expected="the probability that a fair coin, thrown once for each text on which one is right "
    "and the other wrong, splits as unevenly as this or more, to either side",
    wrong=(
        _unpaired,
        _one_sided,
        _all_texts,
        lambda a, b: 1 - _mcnemar(a, b),
        lambda a, b: _mcnemar(a, b) / 2,
    ),
)
