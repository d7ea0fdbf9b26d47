"""AdamW with two groups of weights, and the learning rate over time."""

import math

import torch
from torch import nn

from labkit.training.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Return the learning rate of an update, counted from 0: a line up, then half a cosine down.

    >>> config = TrainConfig(steps=3, batch_size=1, context_length=1, warmup_steps=1,
    ...                      learning_rate=1.0, final_learning_rate=0.0)
    >>> [round(learning_rate(step, config), 3) for step in range(4)]
    [1.0, 1.0, 0.5, 0.0]
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / (config.steps - config.warmup_steps)
    above = (config.learning_rate - config.final_learning_rate) / 2
    return config.final_learning_rate + above * (1 + math.cos(math.pi * min(progress, 1.0)))


def make_optimiser(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Return AdamW that decays matrices and embeddings and spares biases and normalisations.

    Source: Loshchilov & Hutter 2019; which weights decay follows Radford et al. 2019.
    """
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    betas = (config.beta_1, config.beta_2)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas)
