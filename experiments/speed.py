"""What the preset `speedrun` reaches, from three random starts."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from experiments.counting import Row
from labkit.datasets import load
from labkit.functional import cross_entropy
from labkit.gpt import GPT
from labkit.tokenizers import CharTokenizer
from labkit.training import train
from labkit.training.recipe import Recipe, new_model, prepare_recipe, read_recipe

SEEDS = (0, 1, 2)


def trained(recipe: Recipe) -> tuple[GPT, Any, float]:
    """Train a preset, evaluating only at the end; return model, text and processor time."""
    recipe = replace(recipe, evaluate_every=recipe.max_steps, evaluation_batches=1)
    text = prepare_recipe(recipe)
    model = new_model(recipe, text.tokenizer)
    *_, last = train(model, text.train_ids, text.val_ids, recipe)
    return model.eval(), text, last.cpu_seconds


@torch.no_grad()
def loss_of_last_tenth(model: GPT, tokenizer: CharTokenizer) -> float:
    """Return nats per character on the usual held-out text, in pieces of the context's length."""
    dataset = load("tinyshakespeare")
    ids = torch.tensor(tokenizer.encode(dataset.val[0].text + dataset.test[0].text))
    T = model.context_length
    n = (len(ids) - 1) // T
    inputs, targets = ids[: n * T].view(n, T), ids[1 : n * T + 1].view(n, T)
    pieces = zip(inputs.split(64), targets.split(64), strict=True)
    return sum(float(cross_entropy(model(x), y)) * len(x) for x, y in pieces) / n


def speedrun_rows(quick: bool = False) -> Iterator[Row]:
    """Run the preset `speedrun` as it is and four times as long, from three random starts."""
    preset = read_recipe("speedrun")
    for times in (1, 4):
        for seed in SEEDS:
            is_quick = times == 1 and seed == 0
            if quick and not is_quick:
                continue
            recipe = replace(preset, seed=seed, max_steps=times * preset.max_steps)
            model, text, seconds = trained(recipe)
            row: Row = {"max_steps": recipe.max_steps, "seed": seed}
            row |= {"nats": round(loss_of_last_tenth(model, text.tokenizer), 4)}
            yield row | {"cpu_seconds": round(seconds, 1), "quick": "yes" if is_quick else ""}
