"""What goes wrong in pre-training and what helps: too little text, spoiled text, learning rates.

One small GPT learns stories of TinyWorld, each time with one thing changed, and is scored against
the truth: on stories that it never read and on stories that it was trained on.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments import meaning
from experiments.counting import Row
from labkit.functional import rotate
from labkit.gpt import GPT, GPTConfig
from labkit.metrics import evaluate, token_log_probs
from labkit.model import LanguageModel
from labkit.tokenizers import BPETokenizer, encode_documents
from labkit.training import TrainConfig, train
from tinyworld import Story, TinyWorld

SMALL, LARGE, HELD_OUT = 50, 2000, 100
"""Stories of the tiny text, of the large one, and for each measurement."""
RECIPE = TrainConfig(
    max_steps=400,
    batch_size=16,
    context_length=64,
    learning_rate=8e-3,
    final_learning_rate=8e-4,
    warmup_steps=20,
    evaluate_every=25,
)
SHORT = replace(RECIPE, max_steps=200, evaluate_every=200)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and as at be been but by for from had has have he her him his i in is it its my of "
        "on or she so that the their them then there they this to was were with you your",
    )
)
BEFORE = '<div class="story"><p>'
AFTER = "</p></div> Share | Print | Comments (0) | Next page | Terms of use | About us"
"""What stands around a story on a page of the web."""


@dataclass(frozen=True)
class Stories:
    """Texts in three parts, whose true probabilities are known, and their tokens."""

    train: list[Story]
    val: list[Story]
    test: list[Story]
    tokenizer: BPETokenizer


@lru_cache
def stories() -> Stories:
    """Draw the stories, in English, and learn tokens from the large text."""
    world = TinyWorld.full("en")
    read = list(world.stories(LARGE, seed=0))
    val, test = (list(world.stories(HELD_OUT, seed=0, split=name)) for name in ("val", "test"))
    return Stories(read, val, test, BPETokenizer.train([story.text for story in read], 1024))


def encoded(texts: Sequence[str]) -> Tensor:
    """Turn texts into one stream of tokens: (N,)."""
    return torch.tensor(encode_documents(stories().tokenizer, list(texts)))


def learn(
    texts: Sequence[str], recipe: TrainConfig, *, d_model: int = 64, dropout: float = 0.0
) -> tuple[GPT, float]:
    """Train the small GPT on texts; return it and the processor time."""
    config = GPTConfig(
        vocab_size=stories().tokenizer.vocab_size,
        context_length=recipe.context_length,
        n_layers=2,
        n_heads=2,
        d_model=d_model,
        dropout=dropout,
    )
    start = torch.Generator().manual_seed(recipe.seed)
    model = GPT(config, generator=start, turn=rotate)
    *_, last = train(model, encoded(texts), encoded([s.text for s in stories().val]), recipe)
    return model.eval(), last.cpu_seconds


class Ensemble:
    """Several models as one: the mean of their probabilities."""

    properties: frozenset[str] = frozenset()

    def __init__(self, models: Sequence[GPT]) -> None:
        """Keep the models, which share a tokenizer."""
        self.models = models
        self.vocab_size, self.context_length = models[0].vocab_size, models[0].context_length

    def new_cache(self) -> None:
        """Keep nothing: it is only scored."""

    def __call__(self, ids: Tensor, cache: object = None) -> Tensor:
        """Return the logarithm of the mean probability: (B, T) -> (B, T, V)."""
        logs = torch.stack([model(ids).log_softmax(-1) for model in self.models])
        return logs.logsumexp(0) - log(len(self.models))


def scored(model: LanguageModel) -> Row:
    """Return bits per character above the truth, on held-out stories and on training stories."""
    text = stories()
    held_out, read = (
        meaning.excess(model, text.tokenizer, part)["excess"]
        for part in (text.test, text.train[:SMALL])
    )
    return {"held_out": held_out, "training": read}


def without_stop_words(text: str) -> str:
    """Remove the stop words of a text, and the spaces that would stand double."""
    kept = [w for w in text.split() if re.sub(r"\W", "", w).lower() not in STOP_WORDS]
    return " ".join(kept)


def with_deletions(text: str, rng: np.random.Generator) -> str:
    """Delete each word with probability 0.1."""
    words = text.split()
    return " ".join(w for w, kept in zip(words, rng.random(len(words)) >= 0.1, strict=True) if kept)


def with_swaps(text: str, rng: np.random.Generator) -> str:
    """Exchange each word with the next one with probability 0.1."""
    words = text.split()
    for i in np.flatnonzero(rng.random(len(words) - 1) < 0.1):
        words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def augmented(texts: Sequence[str], change: Callable[[str, np.random.Generator], str]) -> list[str]:
    """Return the texts and three changed copies of each."""
    rng = np.random.default_rng(0)
    return [*texts, *(change(text, rng) for _ in range(3) for text in texts)]


def content_bits(model: LanguageModel, texts: Sequence[str]) -> float:
    """Return the bits that a word which is no stop word costs on average, its context given."""
    tokenizer = stories().tokenizer
    spent, words = 0.0, 0
    for text in texts:
        spent += _bits_of_content(model, tokenizer, text)
        words += len(without_stop_words(text).split())
    return spent / words


def _bits_of_content(model: LanguageModel, tokenizer: BPETokenizer, text: str) -> float:
    """Return the bits of all tokens of a text that are not stop words."""
    ids = torch.tensor([[tokenizer.end, *tokenizer.encode(text), tokenizer.end]])
    bits = -token_log_probs(model, ids) / log(2)
    labels = [tokenizer.label(int(i)).strip().lower() for i in ids[0, 1:]]
    return float(sum(b for b, label in zip(bits, labels, strict=True) if label not in STOP_WORDS))


Change = tuple[str, str, list[str], TrainConfig, dict[str, Any]]
"""Group, what is changed, the text, the recipe, and what is given to the model."""


def changes() -> Iterator[Change]:
    """Yield every run of the first table, the plain one first in its group."""
    large = [story.text for story in stories().train]
    small = large[:SMALL]
    yield "tiny text", "nothing", small, RECIPE, {}
    yield "tiny text", "ten times the text", large[: 10 * SMALL], RECIPE, {}
    yield "tiny text", "forty times the text", large, RECIPE, {}
    yield "tiny text", "dropout 0.1", small, RECIPE, {"dropout": 0.1}
    yield "tiny text", "weight decay 1.0", small, replace(RECIPE, weight_decay=1.0), {}
    yield "tiny text", "early stopping", small, replace(RECIPE, patience=2), {}
    yield "tiny text", "half the width", small, RECIPE, {"d_model": 32}
    yield "tiny text", "EMA", small, replace(RECIPE, ema_decay=0.98), {}
    both = replace(RECIPE, weight_decay=1.0, ema_decay=0.98)
    yield "tiny text", "decay, dropout, EMA", small, both, {"dropout": 0.1}
    for name, change in (("deletions", with_deletions), ("swaps", with_swaps)):
        yield "tiny text", name, augmented(small, change), RECIPE, {}
        yield "large text", name, augmented(large, change), RECIPE, {}
    stripped = [without_stop_words(text) for text in large]
    yield "large text", "no stop words", stripped, RECIPE, {}
    yield "large text", "page furniture", [BEFORE + t + AFTER for t in large], RECIPE, {}


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Train with one thing changed at a time, on a tiny text and on a large one."""
    plain: list[GPT] = []
    for group, name, texts, recipe, parts in changes():
        marked = name == "half the width"
        if quick and not marked:
            continue
        for seed in [0] if quick else [0, 1, 2, 3] if name == "nothing" else [0, 1]:
            model, seconds = learn(texts, replace(recipe, seed=seed), **parts)
            row: Row = {"group": group, "change": name, "seed": seed} | scored(model)
            row["content_bits"] = _content_of(name, model)
            row["cpu_seconds"] = round(seconds, 1)
            yield row | {"quick": "yes" if marked and seed == 0 else ""}
            plain += [model] if name == "nothing" else []
    if not quick:
        yield from _ensemble_rows(plain)


def _content_of(name: str, model: GPT) -> object:
    """Return the bits of a content word where that is compared, on the kind of text it knows."""
    texts = [story.text for story in stories().test]
    if name == "no stop words":
        return round(content_bits(model, [without_stop_words(text) for text in texts]), 4)
    return round(content_bits(model, texts), 4) if name == "forty times the text" else ""


def _ensemble_rows(models: list[GPT]) -> Iterator[Row]:
    """Score the models trained on the tiny text together: two, two others, and all four."""
    for seed, members in enumerate((models[:2], models[2:], models)):
        name = f"ensemble of {len(members)}"
        row: Row = {"group": "tiny text", "change": name, "seed": seed % 2}
        row |= scored(Ensemble(members))
        yield row | {"content_bits": "", "cpu_seconds": "", "quick": ""}


def schedules() -> dict[str, TrainConfig]:
    """Return the recipes that differ in how the learning rate moves."""
    base = replace(SHORT, learning_rate=1e-2, final_learning_rate=1e-3)
    flat = replace(base, final_learning_rate=1e-2)
    return {
        "cosine": base,
        "linear": replace(base, schedule="linear"),
        "exponential": replace(base, schedule="exponential"),
        "wsd": replace(base, schedule="wsd", cooldown_steps=40),
        "constant": flat,
        "constant, EMA": replace(flat, ema_decay=0.95),
        "cosine, no warm-up": replace(base, warmup_steps=0),
    }


def rates_rows(quick: bool = False) -> Iterator[Row]:
    """Sweep the learning rate under a cosine, then the schedules at one learning rate."""
    swept = {
        f"{rate:g}": replace(SHORT, learning_rate=rate, final_learning_rate=rate / 10)
        for rate in RATES
    }
    groups = {"rate": swept, "schedule": {} if quick else schedules()}
    text = stories()
    large, val = ([story.text for story in part] for part in (text.train, text.val))
    for group, recipes in groups.items():
        for name, recipe in recipes.items():
            marked = name == "0.003"
            for seed in [] if quick and not marked else [0] if quick else [0, 1]:
                model, seconds = learn(large, replace(recipe, seed=seed))
                score = evaluate(model, text.tokenizer, val).bits_per_char
                row: Row = {"group": group, "change": name, "seed": seed}
                row |= {"bits_per_char": round(score, 4), "cpu_seconds": round(seconds, 1)}
                yield row | {"quick": "yes" if marked and seed == 0 else ""}
