"""Exercises of chapter 33, GPT: the loss, its targets, and what a model consists of."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from labkit.checks import Exercise
from labkit.gpt import GPTConfig

MADE = tuple(f"labkit.gpt.{name}.__init__" for name in ("GPT", "Block", "Attention", "MLP"))
"""With a model at hand, counting what it holds and does is no exercise."""


def _logits(rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    for batch, time, vocab in ((1, 2, 3), (2, 5, 4), (3, 8, 7)):
        yield (
            torch.tensor(rng.normal(0, 2, (batch, time, vocab)), dtype=torch.float32),
            torch.tensor(rng.integers(0, vocab, (batch, time))),
        )


def _next_token_loss(logits: Tensor, ids: Tensor) -> float:
    loss = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    return float(loss.detach())


next_token_loss = Exercise(
    name="my_next_token_loss",
    points=3,
    reference=_next_token_loss,
    cases=_logits,
    tolerance=1e-5,
    wrong=(
        lambda logits, ids: float(cross_entropy(logits.flatten(0, 1), ids.flatten())),
        lambda logits, ids: float(
            cross_entropy(logits[:, 1:].flatten(0, 1), ids[:, :-1].flatten())
        ),
        lambda logits, ids: _next_token_loss(logits, ids) / np.log(2),
        lambda logits, ids: _next_token_loss(logits, ids) * (ids.shape[1] - 1),
    ),
    withheld=("labkit.metrics.token_log_probs",),
)


def _configs(rng: np.random.Generator) -> Iterator[tuple[GPTConfig]]:
    for _ in range(6):
        heads = int(rng.integers(1, 5))
        yield (
            GPTConfig(
                vocab_size=int(rng.integers(10, 99)),
                context_length=int(rng.integers(4, 70)),
                n_layers=int(rng.integers(1, 6)),
                n_heads=heads,
                d_model=heads * int(rng.integers(2, 9)),
                d_ff=int(rng.integers(5, 90)),
            ),
        )


def _count_parameters(config: GPTConfig) -> int:
    D, F = config.d_model, config.d_ff
    block = 4 * D + (D + 1) * 3 * D + (D + 1) * D + (D + 1) * F + (F + 1) * D
    embeddings = (config.vocab_size + config.context_length) * D
    return embeddings + config.n_layers * block + 2 * D


count_parameters = Exercise(
    name="my_count_parameters",
    points=4,
    reference=_count_parameters,
    cases=_configs,
    wrong=(
        lambda c: _count_parameters(c) + c.vocab_size * c.d_model,
        lambda c: _count_parameters(c) - 2 * c.d_model,
        lambda c: _count_parameters(c) - c.n_layers * (5 * c.d_model + c.d_ff),
        lambda c: _count_parameters(c) * c.n_heads,
    ),
    withheld=MADE,
)


def _forward_flops(config: GPTConfig) -> int:
    T, D, F = config.context_length, config.d_model, config.d_ff
    per_token = config.n_layers * (4 * D * D + 2 * D * F) + config.vocab_size * D
    return 2 * T * per_token + 2 * config.n_layers * 2 * T * T * D


forward_flops = Exercise(
    name="my_forward_flops",
    points=4,
    reference=_forward_flops,
    cases=_configs,
    wrong=(
        lambda c: _forward_flops(c) // 2,
        lambda c: _forward_flops(c) - 4 * c.n_layers * c.context_length**2 * c.d_model,
        lambda c: _forward_flops(c) - 2 * c.context_length * c.vocab_size * c.d_model,
        lambda c: _forward_flops(c) * c.n_heads,
    ),
    withheld=MADE,
)
