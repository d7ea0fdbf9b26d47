"""GPTs that learn TinyWorld: how long it takes, what comes first, and what it depends on."""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from experiments import meaning
from experiments.counting import Row
from experiments.places import sure_and_wrong, true_words, wasted_by_kind, word_probs
from labkit.functional import rotate
from labkit.gpt import GPT, GPTConfig
from labkit.model import LanguageModel
from labkit.ngram import count_ngrams, kneser_ney
from labkit.tokenizers import encode_documents
from labkit.training import TrainConfig, train
from tinyworld import Story, TinyWorld

CONTEXT = 192
"""Tokens; the longest stories have about as many."""
LONG = TrainConfig(
    max_steps=12_000,
    batch_size=8,
    context_length=CONTEXT,
    learning_rate=6e-3,
    final_learning_rate=1.2e-4,
    muon_learning_rate=0.02,
    weight_decay=0.0,
    warmup_steps=100,
    evaluate_every=100,
    evaluation_batches=5,
    seed=0,
)
MIDDLE, SHORT = (replace(LONG, max_steps=steps) for steps in (1200, 300))
LONGEST = replace(LONG, max_steps=24_000, evaluate_every=1000)
LONGEST_STORIES, LONGEST_MOMENTS = 200_000, (0, 1000, 3000, 6000, 12_000, 18_000)
"""Most of an hour, on so many stories that each is read about one and a half times."""
COOL = 0.7
"""The temperature at which the longest-trained model writes a second time."""
SWEEP = replace(LONG, max_steps=1500, evaluate_every=1500)
MOMENTS = (0, 100, 200, 400, 800, 1600, 3200, 4800, 6400, 8000, 10_000, 12_000)
FIRST_LOOK = 100
LOOKED_AT = 10
"""Test stories that are compared with the truth token by token."""
CONTEXTS = (4, 16, 64)
"""Tokens that a GPT of the sweep sees; the others see the whole story."""
FEWER = (10_000, 2500, 625, 156)
"""Stories that a GPT of the sweep reads, each a quarter of the number before."""


@dataclass(frozen=True)
class Snapshot:
    """A GPT in the middle of its training, or at its end."""

    step: int
    model: GPT
    cpu_seconds: float
    train_loss: float
    """Mean loss since the evaluation before, in nats per token."""
    val_loss: float
    """Loss on held-out stories, in nats per token."""


def new_gpt(context_length: int = CONTEXT) -> GPT:
    """Make GPT-2's architecture with rotated queries and keys, small."""
    config = GPTConfig(
        vocab_size=meaning.BPE_SIZE,
        context_length=context_length,
        n_layers=2,
        n_heads=4,
        d_model=128,
    )
    return GPT(config, generator=torch.Generator().manual_seed(0), turn=rotate)


def encoded(stories: Sequence[str]) -> Tensor:
    """Turn stories into one stream of tokens: (N,)."""
    return torch.tensor(encode_documents(meaning.bpe(), list(stories)))


def trained(
    recipe: TrainConfig, stories: Sequence[str], moments: Sequence[int] = ()
) -> Iterator[Snapshot]:
    """Train on stories; yield a snapshot at some steps and at the end.

    Each sequence begins with a story, if a whole story fits into the context.
    """
    begin = meaning.bpe().end if recipe.context_length == CONTEXT else None
    model = new_gpt(recipe.context_length)
    recipe = replace(recipe, begin_at=begin)
    for record in train(model, encoded(stories), encoded(meaning.corpus().val), recipe):
        if record.step in moments or record.step == recipe.max_steps:
            frozen = copy.deepcopy(model).eval()
            times = {"cpu_seconds": record.cpu_seconds, "val_loss": record.val_loss}
            yield Snapshot(step=record.step, model=frozen, train_loss=record.train_loss, **times)


@lru_cache
def long_training() -> tuple[Snapshot, ...]:
    """Train once for all that is measured of the long training."""
    return tuple(trained(LONG, meaning.corpus().train, MOMENTS))


def meaning_rows(quick: bool = False) -> Iterator[Row]:
    """Compare counting and GPTs on one corpus, at three lengths of training."""
    if quick:
        yield from meaning.counted_rows({"characters": [3]})
        return
    yield from meaning.counted_rows({unit: [3, 1, 2, 5, 8] for unit in meaning.LONGEST_STORY})
    texts = meaning.corpus()
    for recipe in (SHORT, MIDDLE, LONG):
        last = long_training()[-1] if recipe is LONG else [*trained(recipe, texts.train)][-1]
        row: Row = {"model": f"GPT, {recipe.max_steps:,} steps", "unit": "tokens"}
        row |= meaning.excess(last.model, meaning.bpe(), texts.test)
        row |= meaning.judged(written(last.model, meaning.WRITTEN), texts.seen)
        row |= {"parameters": last.model.n_parameters, "cpu_seconds": round(last.cpu_seconds, 1)}
        yield row | {"quick": ""}


def written(model: GPT, n: int, temperature: float = 1.0) -> list[str]:
    """Let a GPT write n stories."""
    return meaning.write(model, meaning.bpe(), n, seed=1, temperature=temperature)


def training_rows(quick: bool = False) -> Iterator[Row]:
    """Follow the long training: what is learned first?"""
    texts = meaning.corpus()
    words = frozenset(word for text in texts.train for word in text.split())
    looks = iter(long_training()) if not quick else first_looks()
    for look in looks:
        stories = written(look.model, 150)
        row = _at(look) | {"spelled": spelled(stories, words)}
        row |= meaning.judged(stories, texts.seen)
        row |= meaning.excess(look.model, meaning.bpe(), texts.test[:100])
        row |= wasted_by_kind(look.model, meaning.bpe(), texts.test[:LOOKED_AT])
        wrong = sure_and_wrong(look.model, meaning.bpe(), texts.test[:LOOKED_AT])
        row |= {"sure_and_wrong": round(len([*wrong]) / LOOKED_AT, 3)}
        yield row | {"quick": "yes" if look.step == FIRST_LOOK else ""}


def _at(look: Snapshot) -> Row:
    return {
        "step": look.step,
        "cpu_seconds": round(look.cpu_seconds, 1),
        "train_nats": round(look.train_loss, 4),
        "val_nats": round(look.val_loss, 4),
    }


def longest_rows(quick: bool = False) -> Iterator[Row]:
    """Train for most of an hour, and see how many stories are consistent then.

    The quick row is the untrained model's, which has read no story yet and of whose noise a few
    samples tell as much as many.
    """
    n_stories, n_written = (1000, 20) if quick else (LONGEST_STORIES, meaning.WRITTEN)
    world = TinyWorld.full("en")
    texts = [story.text for story in world.stories(n_stories, seed=0)]
    for look in trained(LONGEST, texts, LONGEST_MOMENTS):
        stories, seen = written(look.model, n_written), frozenset(texts)
        cool = meaning.judged(written(look.model, n_written, COOL), seen)
        row = _at(look) | meaning.judged(stories, seen) | {"consistent_cool": cool["consistent"]}
        row |= meaning.excess(look.model, meaning.bpe(), meaning.corpus().test)
        yield row | {"quick": "yes" if look.step == 0 else ""}
        if quick:
            return


def first_looks() -> Iterator[Snapshot]:
    """Train as the long training begins, and yield the snapshot that is measured again."""
    for look in trained(LONG, meaning.corpus().train, [FIRST_LOOK]):
        yield look
        return


def spelled(texts: Sequence[str], words: frozenset[str]) -> float:
    """Return the share of words that occur in the training stories."""
    found = [word for text in texts for word in text.split()]
    return round(sum(word in words for word in found) / max(1, len(found)), 4)


def shuffled(story: Story, rng: np.random.Generator) -> str:
    """Return the text of a story with its sentences in another order."""
    return " ".join(story.sentences[i] for i in rng.permutation(len(story.sentences)))


@lru_cache
def shuffled_stories() -> list[str]:
    """Return the training stories, each with its sentences in another order."""
    rng = np.random.default_rng(0)
    stories = TinyWorld.full("en").stories(meaning.TRAIN_STORIES, seed=0)
    return [shuffled(story, rng) for story in stories]


def sweep_rows(quick: bool = False) -> Iterator[Row]:
    """Vary what is visible, how much is read, and whether the order of sentences is kept.

    N-grams are counted beside the GPTs, on the same stories.
    """
    stories = meaning.corpus().train
    cases: list[tuple[str, int, Sequence[str]]] = [
        *(("stories", n, stories[:n]) for n in reversed(FEWER)),
        ("stories", len(stories), stories),
    ]
    for kind, value, read in cases:
        yield _counted(kind, value, read, 3)
        if quick:
            return
    for order in (1, 2, 5, 8):
        yield _counted("visible", order - 1, stories, order)
    yield _counted("shuffled", 1, shuffled_stories(), 3)
    for kind, value, read in cases:
        yield _learned(kind, value, read, CONTEXT)
    for k in CONTEXTS:
        yield _learned("visible", k, stories, k)
    yield _learned("shuffled", 1, shuffled_stories(), CONTEXT)


def _counted(kind: str, value: int, stories: Sequence[str], order: int) -> Row:
    started = time.process_time()
    ids = encode_documents(meaning.bpe(), list(stories))
    model = kneser_ney(count_ngrams(ids, order, meaning.BPE_SIZE), order)
    seconds = time.process_time() - started
    row: Row = {"kind": kind, "value": value, "model": f"{order}-gram"}
    row |= meaning.excess(model, meaning.bpe(), meaning.corpus().test[:200])
    row |= meaning.judged(meaning.write(model, meaning.bpe(), 150, seed=1), frozenset(stories))
    quick = "yes" if (kind, value) == ("stories", FEWER[-1]) else ""
    return row | {"cpu_seconds": round(seconds, 1), "quick": quick}


def _learned(kind: str, value: int, stories: Sequence[str], context_length: int) -> Row:
    """Train a GPT, always on as many tokens; beyond its context it sees nothing at all."""
    batch_size = SWEEP.batch_size * CONTEXT // context_length
    recipe = replace(SWEEP, context_length=context_length, batch_size=batch_size)
    *_, last = trained(recipe, stories)
    row: Row = {"kind": kind, "value": value, "model": "GPT"}
    stride = None if context_length == CONTEXT else 1
    row |= meaning.excess(last.model, meaning.bpe(), meaning.corpus().test[:200], stride=stride)
    row |= meaning.judged(written(last.model, 150), frozenset(stories))
    return row | {"cpu_seconds": round(last.cpu_seconds, 1), "quick": ""}


CHOSEN = (
    (9, "afternoon, Paul was in the", "where Paul is, never said before", ""),
    (3, "He had a white", "what he has, never said before", ""),
    (3, "Soon Oscar went back to the", "where Oscar was at the beginning", ""),
    (3, "He thought that the drum was still in the", "where Oscar believes the drum to be", "box"),
    (3, "Your white drum is in the", "where the drum is, as Noah knows", "chest"),
    (11, "on an orange spinning top for", "whose birthday it is", ""),
)
"""A test story, the words up to which it is read, what the next word tells, and a word that is
impossible there but tempting."""
WRONG_PLACES = 12


def places_rows(quick: bool = False) -> Iterator[Row]:
    """Put models beside the truth at chosen places; find where the long-trained is surely wrong."""
    test, tokenizer = meaning.corpus().test, meaning.bpe()
    ids = encode_documents(tokenizer, meaning.corpus().train)
    counts = count_ngrams(ids, 3 if quick else 8, meaning.BPE_SIZE)
    models: dict[str, LanguageModel] = {"3-gram": kneser_ney(counts, 3)}
    if not quick:
        looks = {look.step: look.model for look in long_training()}
        models |= {"8-gram": kneser_ney(counts, 8)}
        models |= {f"GPT, {step:,} steps": looks[step] for step in (400, 1600, LONG.max_steps)}
    for place, (number, upto, about, wrong) in enumerate(CHOSEN[: 1 if quick else None], start=1):
        text = test[number].text
        prefix = text[: text.index(upto) + len(upto)]
        true = true_words(prefix) | ({wrong: 0.0} if wrong else {})
        told = {name: word_probs(m, tokenizer, prefix, [*true]) for name, m in models.items()}
        told = {"truth": list(true.values())} | told
        for source, word, prob in _flat(told, [*true]):
            row: Row = {"place": place, "about": about, "before": prefix, "word": word}
            is_quick = (place, source, word) == (1, "3-gram", next(iter(true)))
            row |= {"source": source, "prob": round(prob, 5), "quick": "yes" if is_quick else ""}
            if is_quick or not quick:
                yield row
    if not quick:
        yield from _wrong_places(looks[LONG.max_steps])


def _wrong_places(model: GPT) -> Iterator[Row]:
    """Name the first places where a model is sure of a word that cannot stand there."""
    stories, name = meaning.corpus().test[LOOKED_AT:], f"GPT, {LONG.max_steps:,} steps"
    found = sure_and_wrong(model, meaning.bpe(), stories)
    for i, (prefix, true, said, prob) in enumerate(islice(found, WRONG_PLACES), start=1):
        row: Row = {"place": f"wrong {i}", "about": f"the story goes on with{true}"}
        row |= {"before": prefix, "word": said.strip(), "source": name}
        yield row | {"prob": round(prob, 5), "quick": ""}


def _flat(told: dict[str, list[float]], words: list[str]) -> Iterator[tuple[str, str, float]]:
    for source, probs in told.items():
        for word, prob in zip(words, probs, strict=True):
            yield source, word, prob
