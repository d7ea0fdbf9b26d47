"""Answers to exercises of chapter 41 that let labkit do the work."""

import torch

from labkit.training import TrainConfig
from labkit.training.optimiser import learning_rate, make_optimisers, set_learning_rate


def recipe(max_steps, warmup, cooldown, high):
    return TrainConfig(
        max_steps=max_steps,
        batch_size=1,
        context_length=1,
        warmup_steps=warmup,
        cooldown_steps=cooldown,
        schedule="wsd",
        learning_rate=high,
        final_learning_rate=0.0,
    )


def my_rate__lazy(step, max_steps, warmup, cooldown, high):
    return learning_rate(step, recipe(max_steps, warmup, cooldown, high))


def my_rate__lazy_by_optimiser(step, max_steps, warmup, cooldown, high):
    config = recipe(max_steps, warmup, cooldown, high)
    optimisers = make_optimisers(torch.nn.Linear(1, 1), config)
    set_learning_rate(optimisers, step, config)
    return optimisers[0].param_groups[0]["lr"]
