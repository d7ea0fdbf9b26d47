"""What models learn of TinyWorld: bits above the truth, and what their own stories are worth.

All models read the same training stories. Each is scored on the same test stories, whose true
probabilities are known, and then writes stories that the judge reads.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from experiments import counting, gpt
from experiments.counting import Row
from labkit.generation import generate
from labkit.metrics import evaluate, ratio_interval
from labkit.model import LanguageModel
from labkit.ngram import add_k, count_ngrams, kneser_ney
from labkit.tokenizers import BPETokenizer, CharTokenizer, Tokenizer, encode_documents
from labkit.training import train
from tinyworld import Story, TinyWorld, Verdict

TRAIN_STORIES, VAL_STORIES, TEST_STORIES = 40_000, 300, 500
WRITTEN = 300
"""Stories that each model writes for the judge."""
LONGEST_STORY = {"characters": 900, "tokens": 220}
BPE_SIZE = 1024
BPE_STORIES = 20_000


@dataclass(frozen=True)
class Corpus:
    """Stories to learn from and to be measured on."""

    train: list[str]
    val: list[str]
    test: list[Story]

    @property
    def seen(self) -> frozenset[str]:
        """The training stories, to tell which stories are new."""
        return frozenset(self.train)


@lru_cache
def corpus() -> Corpus:
    """Draw the stories, in English."""
    world = TinyWorld.full("en")
    train_stories = [story.text for story in world.stories(TRAIN_STORIES, seed=0)]
    val = [story.text for story in world.stories(VAL_STORIES, seed=0, split="val")]
    return Corpus(train_stories, val, list(world.stories(TEST_STORIES, seed=0, split="test")))


@lru_cache
def bpe() -> BPETokenizer:
    """Learn the tokens that all models on tokens share."""
    return BPETokenizer.train(corpus().train[:BPE_STORIES], BPE_SIZE)


def excess(
    model: LanguageModel,
    tokenizer: Tokenizer,
    stories: Sequence[Story],
    *,
    stride: int | None = None,
) -> Row:
    """Return bits per character above the truth, story by story, with half its 95 % interval."""
    score = evaluate(model, tokenizer, [story.text for story in stories], stride=stride)
    true = [-story.log2_prob for story in stories]
    gap, half = ratio_interval(np.subtract(score.bits, true).tolist(), score.chars)
    return {
        "bits_per_char": round(score.bits_per_char, 4),
        "true_bits": round(sum(true) / sum(score.chars), 4),
        "excess": round(gap, 4),
        "excess_half": round(half, 4),
    }


def write(
    model: LanguageModel, tokenizer: Tokenizer, n: int, *, seed: int, temperature: float = 1.0
) -> list[str]:
    """Let a model write n stories from the beginning."""
    ids = generate(
        model,
        torch.full((n, 1), tokenizer.end),
        LONGEST_STORY[unit_of(tokenizer)],
        generator=torch.Generator().manual_seed(seed),
        temperature=temperature,
        stop=tokenizer.end,
    )
    return [tokenizer.decode(row.tolist()) for row in ids]


def unit_of(tokenizer: Tokenizer) -> str:
    """Say what a token of a tokenizer is."""
    return "characters" if isinstance(tokenizer, CharTokenizer) else "tokens"


def judged(texts: Sequence[str], seen: frozenset[str], language: str = "en") -> Row:
    """Return what the judge says of stories, as shares."""
    world = TinyWorld.full(language)
    verdicts: list[Verdict] = [world.judge(text, seen) for text in texts]
    shares = {
        "grammatical": np.mean([verdict.grammatical for verdict in verdicts]),
        "consistent": np.mean([verdict.consistent for verdict in verdicts]),
        "resolved": np.mean([verdict.consistent and verdict.complete for verdict in verdicts]),
        "novel": np.mean([bool(verdict.novel) for verdict in verdicts]),
    }
    return {name: round(float(share), 4) for name, share in shares.items()}


def counted_rows(orders: dict[str, list[int]]) -> Iterator[Row]:
    """Count n-grams over characters and over tokens, which here are nearly words."""
    texts = corpus()
    for unit, chosen in orders.items():
        tokenizer = bpe() if unit == "tokens" else CharTokenizer.train(texts.train)
        started = time.process_time()
        ids = encode_documents(tokenizer, texts.train)
        counts = count_ngrams(ids, max(chosen), tokenizer.vocab_size)
        shared = time.process_time() - started
        for order in chosen:
            started = time.process_time()
            model = kneser_ney(counts, order)
            seconds = shared + time.process_time() - started
            row: Row = {"model": f"{order}-gram, {unit}", "unit": unit}
            row |= excess(model, tokenizer, texts.test)
            row |= judged(write(model, tokenizer, WRITTEN, seed=1), texts.seen)
            row |= {"parameters": model.n_parameters, "cpu_seconds": round(seconds, 1)}
            yield row | {"quick": "yes" if (unit, order) == ("characters", 3) else ""}


def league_rows(quick: bool = False) -> Iterator[Row]:
    """Train the models of the league table on TinyWorld, each by the recipe of its row."""
    texts = corpus()
    tokenizer = CharTokenizer.train(texts.train)
    ids = encode_documents(tokenizer, texts.train)
    orders = [3] if quick else [3, 1, 2, 5, 7]
    counts = count_ngrams(ids, max(orders), tokenizer.vocab_size)
    for order in orders:
        name = f"{counting.NAMES[order - 1]}, Kneser-Ney" if order > 1 else "unigram"
        found = excess(kneser_ney(counts, order), tokenizer, texts.test)
        yield {"model": name} | found | {"quick": "yes" if order == 3 else ""}
    if quick:
        return
    uniform = add_k(counts, 1, k=1e12)
    yield {"model": "uniform"} | excess(uniform, tokenizer, texts.test) | {"quick": ""}
    for name, recipe in gpt.RECIPES.items():
        text = gpt.text_of(name, texts.train, texts.val)
        model = gpt.model_for(text)
        for _ in train(model, text.train_ids, text.val_ids, replace(recipe, evaluate_every=2600)):
            pass
        yield {"model": name} | excess(model.eval(), text.tokenizer, texts.test) | {"quick": ""}
