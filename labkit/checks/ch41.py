"""Exercises of chapter 41, pre-training: the update, the schedule, several models as one."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from labkit.checks import Exercise


def _gradients(rng: np.random.Generator) -> Iterator[tuple[list[Tensor], float]]:
    for size, longest in ((0.01, 1.0), (1.0, 1.0), (3.0, 1.5), (30.0, 2.0)):
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
    ),
)


def _weights(
    rng: np.random.Generator,
) -> Iterator[tuple[float, float, tuple[float, float], int, float]]:
    for step in (1, 1, 2, 5, 100):
        w, g, m = (float(x) for x in rng.normal(0, 1, 3))
        past = step > 1
        v, lr = float(rng.uniform(0.1, 1)), float(rng.uniform(0.01, 0.1))
        yield w, g, (m * past, v * past), step, lr


def _adamw(
    w: float, g: float, past: tuple[float, float], step: int, lr: float, *, decay: float = 0.1
) -> tuple[float, float, float]:
    m, v = 0.9 * past[0] + 0.1 * g, 0.99 * past[1] + 0.01 * g**2
    move = (m / (1 - 0.9**step)) / (math.sqrt(v / (1 - 0.99**step)) + 1e-8)
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
    ),
)


def _moments(rng: np.random.Generator) -> Iterator[tuple[int, int, int, int, float]]:
    for step in (0, 4, 5, 12, 29, 30, 31, 38, 39):
        yield step, 40, 5, 10, float(rng.uniform(0.1, 1))


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
    ),
)


def _scores(rng: np.random.Generator) -> Iterator[tuple[Tensor]]:
    for models, vocab in ((2, 3), (3, 5), (5, 4)):
        yield (torch.tensor(rng.normal(0, 2, (models, 2, 3, vocab))),)


def _mean_of_models(logits: Tensor) -> Tensor:
    return logits.softmax(-1).mean(0).log()


mean_of_models = Exercise(
    name="my_mean_of_models",
    points=3,
    reference=_mean_of_models,
    cases=_scores,
    tolerance=1e-6,
    wrong=(
        lambda logits: logits.mean(0),
        lambda logits: logits.log_softmax(-1).mean(0),
        lambda logits: logits.softmax(-1).mean(0),
        lambda logits: logits.softmax(-1).sum(0).log(),
    ),
)
