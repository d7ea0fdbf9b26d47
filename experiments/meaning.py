"""How far models stay above the truth on TinyWorld, where the truth is known.

All models read the same training stories and are scored on the same test stories, whose true
probabilities are known.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from experiments import counting, gpt
from experiments.counting import Row
from labkit.metrics import evaluate, ratio_interval
from labkit.model import LanguageModel
from labkit.ngram import add_k, count_ngrams, kneser_ney
from labkit.tinyworld import Story, TinyWorld
from labkit.tokenizers import CharTokenizer, Tokenizer, encode_documents
from labkit.training import train

TRAIN_STORIES, VAL_STORIES, TEST_STORIES = 40_000, 300, 500


@dataclass(frozen=True)
class Corpus:
    """Stories to learn from and to be measured on."""

    train: list[str]
    val: list[str]
    test: list[Story]


@lru_cache
def corpus() -> Corpus:
    """Draw the stories, in English."""
    world = TinyWorld.full("en")
    train_stories = [story.text for story in world.stories(TRAIN_STORIES, seed=0)]
    val = [story.text for story in world.stories(VAL_STORIES, seed=0, split="val")]
    return Corpus(train_stories, val, list(world.stories(TEST_STORIES, seed=0, split="test")))


def excess(model: LanguageModel, tokenizer: Tokenizer, stories: list[Story]) -> Row:
    """Return bits per character above the truth, story by story, with half its 95 % interval."""
    score = evaluate(model, tokenizer, [story.text for story in stories])
    true = [-story.log2_prob for story in stories]
    gap, half = ratio_interval(np.subtract(score.bits, true).tolist(), score.chars)
    return {
        "bits_per_char": round(score.bits_per_char, 4),
        "true_bits": round(sum(true) / sum(score.chars), 4),
        "excess": round(gap, 4),
        "excess_half": round(half, 4),
    }


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
