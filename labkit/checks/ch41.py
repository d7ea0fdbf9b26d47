"""Exercises of chapter 41, pre-training: the update, the schedule, several models as one."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.checks import Exercise, Mark
from labkit.notebook import compare
from labkit.plain import as_array


def _gradients(rng: np.random.Generator) -> Iterator[tuple[list[Tensor], float]]:
    for size, longest in ((0.01, 2.0), (1.0, 1.0), (3.0, 1.5), (30.0, 2.0)):
        yield [torch.tensor(rng.normal(0, size, s)) for s in ((3, 4), (4,), (2, 2))], longest


def _length(gradients: list[Tensor]) -> float:
    return math.sqrt(sum(float((g**2).sum()) for g in gradients))


def _clip_factor(gradients: list[Tensor], longest: float) -> float:
    return min(1.0, longest / _length(gradients))


clip_factor = Exercise(
    name="my_clip_factor",
    points=2,
    reference=_clip_factor,
    cases=_gradients,
    tolerance=1e-6,
    wrong=(
        lambda gradients, longest: longest / _length(gradients),
        lambda gradients, longest: min(_clip_factor([g], longest) for g in gradients),
        lambda gradients, longest: min(1.0, longest / sum(float(g.abs().sum()) for g in gradients)),
        lambda gradients, longest: min(1.0, longest / _length(gradients) ** 2),
        lambda gradients, longest: min(longest, longest / _length(gradients)),
    ),
)


def _weights(
    rng: np.random.Generator,
) -> Iterator[tuple[float, float, tuple[float, float], int, float]]:
    for step, slope in ((1, 1.0), (1, 1e-7), (2, 1.0), (5, 1.0), (100, 1.0)):
        w, g, m = (float(x) for x in rng.normal(0, 1, 3))
        g *= slope  # beside a tiny one, ε counts
        past = step > 1
        v, lr = float(rng.uniform(0.1, 1)), float(rng.uniform(0.01, 0.1))
        yield w, g, (m * past, v * past), step, lr


def _adamw(
    w: float,
    g: float,
    past: tuple[float, float],
    step: int,
    lr: float,
    *,
    decay: float = 0.1,
    eps: float = 1e-8,
) -> tuple[float, float, float]:
    m, v = 0.9 * past[0] + 0.1 * g, 0.99 * past[1] + 0.01 * g**2
    move = (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.99**step)) + eps)
    return w - lr * decay * w - lr * move, m, v


adamw = Exercise(
    name="my_adamw",
    points=4,
    reference=_adamw,
    cases=_weights,
    tolerance=1e-6,
    wrong=(
        lambda w, g, past, step, lr: _adamw(w, g, past, step, lr, decay=0.0),
        lambda w, g, past, step, lr: _adamw(w, g + 0.1 * w, past, step, lr, decay=0.0),
        lambda w, g, past, step, lr: _adamw(w, g, past, 10_000, lr),
        lambda w, g, past, step, lr: _adamw(w, g, past, step, lr, decay=0.1 / lr),
        lambda w, g, past, step, lr: _adamw(w, g, past, step, lr, eps=0.0),
        lambda w, g, past, step, lr: _adamw(w, g, past, step, lr, eps=1e-4),  # √(v + ε)
    ),
)


def _moments(rng: np.random.Generator) -> Iterator[tuple[int, int, int, int, float]]:
    """At each end of each line, beside it and between; every case has other lengths."""
    for place in range(9):
        warmup, level, more = (int(n) for n in rng.integers((2, 4, 2), (9, 30, 9)))
        cooldown = warmup + more
        begin, most = warmup + level, warmup + level + cooldown
        steps = (0, warmup - 1, warmup, warmup + 2, begin - 1, begin, begin + 1, most - 2, most - 1)
        yield steps[place], most, warmup, cooldown, float(rng.uniform(0.1, 1))


def _rate(step: int, max_steps: int, warmup: int, cooldown: int, high: float) -> float:
    return high * min((step + 1) / warmup, 1.0, (max_steps - step) / cooldown)


rate = Exercise(
    name="my_rate",
    points=3,
    reference=_rate,
    cases=_moments,
    tolerance=1e-9,
    wrong=(
        lambda step, *rest: _rate(step - 1, *rest),
        lambda step, most, warmup, cooldown, high: high * min((step + 1) / warmup, 1.0),
        lambda step, most, warmup, cooldown, high: high * min(1.0, (most - step) / cooldown),
        lambda step, most, warmup, cooldown, high: _rate(step, most, warmup, most - warmup, high),
        lambda step, most, warmup, cooldown, high: _rate(step, most, cooldown, warmup, high),
        lambda step, most, warmup, cooldown, high: _rate(step, 40, 5, 10, high),
    ),
    withheld=("labkit.training.optimiser.learning_rate",),
)


def _scores(rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for models, vocab in ((2, 3), (3, 5), (5, 4)):
        logits = torch.tensor(rng.normal(0, 2, (models, 2, 3, vocab)), dtype=torch.float32)
        yield logits, logits.double().softmax(-1).mean(0)


def _mean_of_models(logits: Tensor) -> Tensor:
    return logits.softmax(-1).mean(0).log()


def _same_softmax(case: tuple[Tensor, Tensor], scores: Any) -> Mark:
    """Accept all scores that make the mean probabilities, whatever was added to a row of them."""
    try:
        mine = np.exp(as_array(scores) - as_array(scores).max(axis=-1, keepdims=True))
    except (TypeError, ValueError) as error:
        return Mark(0, f"expected scores of shape {tuple(case[1].shape)}: {error}.")
    difference = compare(mine / mine.sum(axis=-1, keepdims=True), case[1])
    if difference.within(1e-5):
        return Mark(1)
    return Mark(
        0, f"not yet. The softmax of yours ≠ the mean of probabilities: {difference.where}."
    )


mean_of_models = Exercise(
    name="my_mean_of_models",
    points=3,
    reference=_mean_of_models,
    cases=_scores,
    judge=_same_softmax,
    expected="scores whose softmax is the mean of the models' probabilities",
    wrong=(
        lambda logits: logits.mean(0),
        lambda logits: logits.log_softmax(-1).mean(0),
        lambda logits: logits.softmax(-1).mean(0),
        lambda logits: logits.logsumexp(0),
        lambda logits: logits.softmax(-1).mean(0).log2(),
    ),
)
