"""What the presets `speedrun` and `laptop` reach, from three random starts."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from experiments import gpt, meaning
from experiments.counting import Row, league_row, split_texts
from labkit.datasets import load
from labkit.functional import cross_entropy
from labkit.gpt import GPT
from labkit.metrics import evaluate
from labkit.model import LanguageModel
from labkit.ngram import count_ngrams, kneser_ney
from labkit.tokenizers import BPETokenizer, CharTokenizer, Tokenizer, encode_documents
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


LONGEST = {"characters": 10, "tokens": 10}
"""The highest order that is counted; beyond the best one the score gets worse, slowly."""
TODAY = "GPT, today's recipe"


def laptop_rows(quick: bool = False) -> Iterator[Row]:
    """Score n-grams of every order and the preset `laptop` on Shakespeare's held-out works.

    The first start of the preset is the league's row of chapter 44.
    """
    recipe = read_recipe("laptop")
    train_texts, _, _ = split_texts(load("shakespeare"))
    yield from _counted("characters", CharTokenizer.train(train_texts), quick)
    if quick:
        return
    yield from _counted("tokens", BPETokenizer.train(train_texts, recipe.vocab_size))
    for seed in SEEDS:
        model, text, seconds = trained(replace(recipe, seed=seed))
        n_tokens = recipe.max_steps * recipe.batch_size * recipe.context_length
        cost = {"parameters": model.n_parameters, "train_tokens": n_tokens, "cpu_seconds": seconds}
        row: Row = {"unit": "tokens", "order": "", "seed": seed}
        row |= scored(model, text.tokenizer, TODAY, "44" if seed == 0 else "", cost)
        yield row | {"excess": excess_on_stories(recipe) if seed == 0 else "nan", "quick": ""}


def _counted(unit: str, tokenizer: Tokenizer, quick: bool = False) -> Iterator[Row]:
    """Score Kneser-Ney by order; quickly, only the trigram."""
    train_texts, _, _ = split_texts(load("shakespeare"))
    ids = encode_documents(tokenizer, train_texts)
    for order in [3] if quick else range(1, LONGEST[unit] + 1):
        started = time.process_time()
        model = kneser_ney(count_ngrams(ids, order, tokenizer.vocab_size), order)
        seconds = time.process_time() - started
        cost = {"parameters": model.n_parameters, "train_tokens": len(ids), "cpu_seconds": seconds}
        row: Row = {"unit": unit, "order": order, "seed": ""}
        row |= scored(model, tokenizer, f"Kneser-Ney, {unit}", "", cost)
        yield row | {"quick": "yes" if (unit, order) == ("characters", 3) else ""}


def scored(
    model: LanguageModel, tokenizer: Tokenizer, name: str, chapter: str, cost: Mapping[str, float]
) -> Row:
    """Return a row like the league's, and bits per character on the validation works."""
    _, val, test = split_texts(load("shakespeare"))
    row = asdict(league_row(name, chapter, evaluate(model, tokenizer, test), **cost))
    return row | {"val_bits": round(evaluate(model, tokenizer, val).bits_per_char, 4)}


def excess_on_stories(recipe: Recipe) -> object:
    """Return what the recipe wastes, in bits per character, when it reads TinyWorld instead."""
    texts = meaning.corpus()
    text = gpt.text_of(gpt.TOKENS, texts.train, texts.val)
    model = new_model(recipe, text.tokenizer)
    for _ in train(model, text.train_ids, text.val_ids, recipe):
        pass
    return meaning.excess(model.eval(), text.tokenizer, texts.test)["excess"]
