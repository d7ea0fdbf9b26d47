"""AdamW with two groups of weights, Muon beside it, and the learning rate over time."""

import math

import torch
from torch import nn

from labkit.training.config import TrainConfig

Optimisers = list[torch.optim.Optimizer]


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of an update, counted from 0: a line up, then down as scheduled.

    >>> config = TrainConfig(max_steps=3, batch_size=1, context_length=1, warmup_steps=1,
    ...                      learning_rate=1.0, final_learning_rate=0.0)
    >>> [round(learning_rate(step, config), 3) for step in range(4)]
    [1.0, 1.0, 0.5, 0.0]

    Source of the schedules: Loshchilov & Hutter 2017 (cosine); Hu et al. 2024 (wsd).
    """
    high, low = config.learning_rate, config.final_learning_rate
    if step < config.warmup_steps:
        return high * (step + 1) / config.warmup_steps
    length = config.cooldown_steps or config.max_steps - config.warmup_steps
    begin = config.max_steps - length
    progress = min(max(step - begin, 0) / length, 1.0)
    if config.schedule == "exponential":
        return high * (low / high) ** progress
    if config.schedule == "cosine":
        return low + (high - low) / 2 * (1 + math.cos(math.pi * progress))
    return low + (high - low) * (1 - progress)


def make_optimisers(model: nn.Module, config: TrainConfig) -> Optimisers:
    """Return AdamW, and Muon for the matrices of `model.blocks` if the config asks for it.

    Both decay matrices and embeddings and spare biases and normalisations. Muon turns the gradient
    of a matrix into the nearest orthogonal one, so that all directions move alike; AdamW keeps the
    embeddings and vectors. Each group remembers its highest learning rate as `peak`.
    Source: Loshchilov & Hutter 2019; Jordan et al. 2024; which weights decay follows Radford et al.
    2019. Raises ValueError if Muon is asked for and the model has no blocks.
    """
    hidden = _matrices_of_blocks(model) if config.muon_learning_rate > 0 else []
    apart = {id(p) for p in hidden}
    matrices = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in apart]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    betas = (config.beta_1, config.beta_2)
    fused = config.fused or any(p.is_cuda for p in vectors) or None
    chosen: Optimisers = [
        torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, fused=fused)
    ]
    if hidden:
        rate, decay = config.muon_learning_rate, config.weight_decay
        chosen.append(torch.optim.Muon(hidden, lr=rate, weight_decay=decay))
    for optimiser in chosen:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return chosen


def set_learning_rate(optimisers: Optimisers, step: int, config: TrainConfig) -> None:
    """Give each group its learning rate for an update: the schedule's shape, scaled to its peak."""
    rate = learning_rate(step, config)
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        group["lr"] = rate * (group["peak"] / config.learning_rate)


def _matrices_of_blocks(model: nn.Module) -> list[nn.Parameter]:
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.Module):
        raise ValueError(
            "expected a model with `blocks`, whose matrices Muon trains, got "
            f"{type(model).__name__}: set muon_learning_rate to 0"
        )
    return [p for p in blocks.parameters() if p.ndim == 2]
