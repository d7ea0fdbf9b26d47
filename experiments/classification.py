"""From a language model to a classifier, against counting words: where the truth is known and not.

On TinyWorld the shipped model is asked whether somebody is happy. On reviews a small GPT reads the
unlabelled training texts first. All systems see the same labelled texts and the same test texts.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline
from torch import nn

from experiments.counting import Row
from experiments.intervals import shares
from labkit.datasets import load
from labkit.finetune import (
    Classifier,
    LoRAConfig,
    fine_tune,
    label_log_probs,
    last_token,
    mean_token,
    read_all,
    vectors_of,
    with_lora,
)
from labkit.functional import rotate
from labkit.gpt import GPT, GPTConfig
from labkit.shipped import load_shipped
from labkit.tokenizers import BPETokenizer, Tokenizer, encode_documents
from labkit.training import TrainConfig, train
from tinyworld import TinyWorld, tasks

Truths = NDArray[np.bool_]
Cut = Callable[[str], list[str]]
PARTS = ("train", "val", "test")
RECORDS = {"train": 1024, "val": 200, "test": 500}
"""Records of TinyWorld in each part."""
VOCABULARY, LONGEST = 2048, 96
"""Tokens of the reviews' tokenizer, and how many of a review are read at most, the last ones."""
PRETRAINING = TrainConfig(
    max_steps=400,
    batch_size=16,
    context_length=64,
    learning_rate=3e-3,
    muon_learning_rate=0.02,
    warmup_steps=50,
    evaluate_every=100,
    evaluation_batches=10,
    patience=1,
)
MOST_STEPS = 300
"""Updates of fine-tuning: as many as let each text come once, or these."""
TUNING = TrainConfig(
    max_steps=MOST_STEPS,
    batch_size=16,
    context_length=LONGEST,
    learning_rate=1e-3,
    warmup_steps=10,
    weight_decay=0.01,
)
LORA, LORA_RATE = LoRAConfig(rank=4, alpha=8.0), 5e-3
SIZES = (16, 64, 256, 1024)
DRAWS = 5
LABELS = (" was very sad.", " was very happy.")
"""How a story of TinyWorld may go on after somebody's name: words that it knows."""
SYSTEMS = ("naive Bayes", "logistic regression", "head only", "all weights", "LoRA")


@dataclass(frozen=True)
class Task:
    """Texts and whether each is positive, and a model that has read such texts without labels."""

    data: str
    texts: dict[str, list[str]]
    positive: dict[str, Truths]
    cut: Cut
    """What counting counts."""
    ids: dict[str, list[list[int]]]
    model: GPT
    tokenizer: Tokenizer
    pretraining_seconds: float


def english_words(text: str) -> list[str]:
    """Cut a text into words in small letters, as chapter 13 does."""
    return re.findall(r"[a-z0-9']+", text.lower())


def character_pairs(text: str) -> list[str]:
    """Cut a text into pairs of neighbouring characters, as chapter 13 does for Chinese."""
    return [text[i : i + 2] for i in range(len(text) - 1)]


def encoded(tokenizer: Tokenizer, texts: Sequence[str], longest: int) -> list[list[int]]:
    """Turn texts into ids, each after an end-of-text token; of long ones the last ids."""
    return [[tokenizer.end, *tokenizer.encode(text)[-longest:]] for text in texts]


@lru_cache
def tinyworld_task() -> Task:
    """Draw records of TinyWorld: a story so far, and whether the one who is asked for is happy.

    The question is turned into the beginning of a sentence, the name, which the model can go on.
    """
    shipped, world = load_shipped("tinyworld-en"), TinyWorld.full("en")
    drawn = {
        part: list(tasks.sentiments(world, np.random.default_rng(seed), RECORDS[part]))
        for seed, part in enumerate(PARTS)
    }
    texts = {part: [f"{r.text} {name_in(r.question)}" for r in drawn[part]] for part in PARTS}
    happy = {p: np.array([r.answer.startswith("Happy") for r in drawn[p]]) for p in PARTS}
    ids = {part: encoded(shipped.tokenizer, texts[part], 210) for part in PARTS}
    return Task("tinyworld", texts, happy, english_words, ids, shipped.model, shipped.tokenizer, 0)


def name_in(question: str) -> str:
    """Return the name in a question: the one word with a capital after the first."""
    return re.findall(r"(?<=\s)[A-Z]\w+", question)[0]


@lru_cache
def reviews_task(data: str) -> Task:
    """Load reviews in chapter 13's splits, and train a small GPT on the training texts alone."""
    judged = {p: [d for d in getattr(load(data), p) if d.label] for p in PARTS}
    texts = {part: [d.text for d in judged[part]] for part in PARTS}
    positive = {part: np.array([(d.label or 0) > 0 for d in judged[part]]) for part in PARTS}
    tokenizer = BPETokenizer.train(texts["train"], VOCABULARY)
    model, seconds = pretrained(tokenizer, texts)
    ids = {part: encoded(tokenizer, texts[part], LONGEST) for part in PARTS}
    cut = english_words if data == "reviews_en" else character_pairs
    return Task(data, texts, positive, cut, ids, model, tokenizer, seconds)


def new_gpt() -> GPT:
    """Make a GPT of two blocks with rotated queries and keys."""
    config = GPTConfig(
        vocab_size=VOCABULARY,
        context_length=LONGEST + 1,
        n_layers=2,
        n_heads=4,
        d_model=128,
        dropout=0.1,
    )
    return GPT(config, generator=torch.Generator().manual_seed(0), turn=rotate)


def pretrained(tokenizer: Tokenizer, texts: dict[str, list[str]]) -> tuple[GPT, float]:
    """Train on texts without their labels; return the model and the processor time."""
    train_ids, val_ids = (
        torch.from_numpy(encode_documents(tokenizer, texts[p])) for p in ("train", "val")
    )
    model, records = new_gpt(), list[float]()
    for record in train(model, train_ids, val_ids, PRETRAINING):
        records.append(record.cpu_seconds)
    return model, records[-1]


def counted(task: Task, system: str, *, k: float = 1, freedom: float = 1) -> Pipeline:
    """Return an untrained classifier that counts words or pairs."""
    if system == "naive Bayes":
        return make_pipeline(CountVectorizer(analyzer=task.cut), MultinomialNB(alpha=k))
    weighed = TfidfVectorizer(analyzer=task.cut, sublinear_tf=True)
    return make_pipeline(weighed, LogisticRegression(C=freedom, solver="liblinear"))


def answers_by_counting(task: Task, system: str, some: Sequence[int] | None = None) -> Truths:
    """Train on all texts, the setting chosen on val, or on some with the usual one; then test."""
    texts, y = task.texts, task.positive
    if some is not None:
        chosen = counted(task, system)
        return answers(chosen.fit([texts["train"][i] for i in some], y["train"][some]), task)
    settings = [{"k": k} for k in (0.01, 0.1, 1)]
    if system != "naive Bayes":
        settings = [{"freedom": freedom} for freedom in (0.3, 1, 3, 10)]
    tried = [counted(task, system, **one).fit(texts["train"], y["train"]) for one in settings]
    return answers(max(tried, key=lambda one: one.score(texts["val"], y["val"])), task)


def answers(fitted: Pipeline, task: Task) -> Truths:
    """Return what a trained classifier says of the test texts."""
    return np.asarray(fitted.predict(task.texts["test"]), dtype=bool)


def classifier(task: Task, *, lora: bool = False) -> Classifier:
    """Put a head on the model, with low-rank changes if asked for.

    It reads the last token, a name, in a story, and the mean of all in a review.
    """
    body: nn.Module = vectors_of(task.model)
    if lora:
        body = with_lora(body, LORA, generator=torch.Generator().manual_seed(0))
    pool = last_token if task.data == "tinyworld" else mean_token
    return Classifier(body, task.model.config.d_model, 2, pool=pool)


@lru_cache
def vectors(data: str) -> dict[str, NDArray[np.float32]]:
    """Return the vector of each text, the model as it is: (N, D)."""
    task = task_of(data)
    frozen = classifier(task).eval()
    return {part: read_all(frozen.vectors, task.ids[part]).numpy() for part in PARTS}


def task_of(data: str) -> Task:
    """Return a task by its name."""
    return tinyworld_task() if data == "tinyworld" else reviews_task(data)


def answers_by_head(task: Task, some: Sequence[int] | None = None) -> Truths:
    """Fit a head to vectors that stay as they are."""
    x, y = vectors(task.data), task.positive
    rows = np.arange(len(x["train"])) if some is None else np.asarray(some)
    freedoms = (0.01, 0.1, 1, 10) if some is None else (1,)
    tried = [
        LogisticRegression(C=freedom, max_iter=3000).fit(x["train"][rows], y["train"][rows])
        for freedom in freedoms
    ]
    best = max(tried, key=lambda one: one.score(x["val"], y["val"]))
    return np.asarray(best.predict(x["test"]), dtype=bool)


def answers_by_tuning(task: Task, *, lora: bool) -> Truths:
    """Train all weights and the head, or low-rank changes and the head."""
    ids, targets = task.ids["train"], torch.tensor(task.positive["train"]).long()
    steps = min(len(ids) // TUNING.batch_size, MOST_STEPS)
    rate = LORA_RATE if lora else TUNING.learning_rate
    model = classifier(task, lora=lora)
    for _ in fine_tune(model, ids, targets, replace(TUNING, max_steps=steps, learning_rate=rate)):
        pass
    return read_all(model, task.ids["test"]).argmax(1).numpy().astype(bool)


def answers_by_prompt(task: Task, *, calibrated: bool) -> Truths:
    """Ask which label the model expects more; calibrated, more than after a name and no story."""
    labels = [task.tokenizer.encode(label) for label in LABELS]
    scores = label_log_probs(task.model, task.ids["test"], labels)
    if calibrated:
        names = [text.split()[-1] for text in task.texts["test"]]
        empty = encoded(task.tokenizer, names, LONGEST)
        scores = scores - label_log_probs(task.model, empty, labels)
    return scores.argmax(1).numpy().astype(bool)


def asked(task: Task, system: str, some: Sequence[int] | None = None) -> Truths:
    """Return what a system says of the test texts; trained on `some` where that is given."""
    if system in ("naive Bayes", "logistic regression"):
        return answers_by_counting(task, system, some)
    if system == "head only":
        return answers_by_head(task, some)
    if system.startswith("label words"):
        return answers_by_prompt(task, calibrated=system.endswith("calibrated"))
    return answers_by_tuning(task, lora=system == "LoRA")


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Measure each system on each task with all labelled texts: accuracy and Wilson's interval."""
    if quick:
        yield result(quick_task(), "naive Bayes")
        return
    for data in ("tinyworld", "reviews_en", "reviews_zh"):
        task = task_of(data)
        prompted = ("label words", "label words, calibrated") if data == "tinyworld" else ()
        for system in (*SYSTEMS, *prompted):
            yield result(task, system)


def quick_task() -> Task:
    """Return the film sentences with a model that has read nothing, which counting does not ask."""
    judged = {p: [d for d in getattr(load("reviews_en"), p) if d.label] for p in PARTS}
    texts = {part: [d.text for d in judged[part]] for part in PARTS}
    positive = {part: np.array([(d.label or 0) > 0 for d in judged[part]]) for part in PARTS}
    tokenizer = BPETokenizer.train(texts["val"], 300)
    return Task("reviews_en", texts, positive, english_words, {}, new_gpt(), tokenizer, 0)


def result(task: Task, system: str) -> Row:
    """Return one row: the share of test texts that a system gets right, and what it costs."""
    vectors.cache_clear()
    started = time.process_time()
    right = asked(task, system) == task.positive["test"]
    seconds = time.process_time() - started
    value, low, high = (round(number, 4) for number in shares(right))
    learned = 0 if system in SYSTEMS[:2] else task.pretraining_seconds
    return {
        "task": "sentiment",
        "data": task.data,
        "system": system,
        "metric": "accuracy",
        "value": value,
        "low": low,
        "high": high,
        "cpu_seconds": round(seconds, 1),
        "pretraining_seconds": round(learned, 1),
        "quick": "yes" if (task.data, system) == ("reviews_en", "naive Bayes") else "",
    }


def curve_rows(quick: bool = False) -> Iterator[Row]:
    """Measure systems on few labelled texts, each size drawn several times; no setting is chosen.

    The interval is Student's over the draws.
    """
    if quick:
        yield few(quick_task(), "naive Bayes", 64)
        return
    for data in ("tinyworld", "reviews_en", "reviews_zh"):
        for system in SYSTEMS[:3]:
            for size in SIZES:
                yield few(task_of(data), system, size)


def few(task: Task, system: str, size: int) -> Row:
    """Return one point of a curve; draw d of a size is the same for all systems."""
    shares = []
    for draw in range(DRAWS):
        rng = np.random.default_rng((draw, size))
        some = rng.permutation(len(task.texts["train"]))[:size].tolist()
        right = asked(task, system, some) == task.positive["test"]
        shares.append(float(right.mean()))
    half = float(stats.t.ppf(0.975, DRAWS - 1) * stats.sem(shares))
    return {
        "data": task.data,
        "system": system,
        "examples": size,
        "draws": DRAWS,
        "value": round(float(np.mean(shares)), 4),
        "half": round(half, 4),
        "quick": "yes" if (task.data, system, size) == ("reviews_en", "naive Bayes", 64) else "",
    }
