"""How a model learns to answer prompts, what it is compared with, and how answers are measured.

`experiments.translation` and `experiments.summaries` share it. Every model writes greedily.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from sacrebleu.metrics import BLEU, CHRF
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from experiments.counting import Row
from experiments.intervals import redrawn, shares
from labkit.finetune import fine_tune
from labkit.gpt import GPT, GPTConfig
from labkit.parts import named_parts
from labkit.tasks import Writer, asked, encode_tasks, loss_on_answers, write_answers
from labkit.tokenizers import Tokenizer
from labkit.training import TrainConfig

Pairs = list[tuple[str, str]]
"""Prompts and what should follow each."""
PARTS = {
    "positions": "none",
    "turn": "rotary_normalised",
    "norm": "rms",
    "mlp": "squared_relu",
    "start": "silent",
}
CONFIG = TrainConfig(
    max_steps=600,
    batch_size=32,
    context_length=224,
    learning_rate=4e-3,
    final_learning_rate=1e-4,
    muon_learning_rate=0.02,
    warmup_steps=20,
    schedule="linear",
    weight_decay=0.0,
)
RESAMPLES = 1000
MODEL, MEMORY = "this course's model", "translation memory"


class Trained(Writer):
    """A writer that says where its model's blocks are, so that Muon trains their matrices."""

    @property
    def blocks(self) -> nn.Module:
        """The blocks of the model."""
        return self.model.get_submodule("blocks")


@dataclass(frozen=True, kw_only=True)
class Work:
    """Pairs to learn from, prompts to answer, and the model that does it."""

    train: Pairs
    prompts: list[str]
    tokenizer: Tokenizer
    model: GPT
    config: TrainConfig
    n_tokens: int
    """Tokens of an answer at most."""


def answered(work: Work) -> tuple[list[str], float]:
    """Train a model and return what it writes, with the processor time of both."""
    started = time.process_time()
    longest = work.config.context_length
    told = [asked(*pair) for pair in work.train]
    size = [len(work.tokenizer.encode(a + b)) for a, b in work.train]
    kept = [pieces for pieces, n in zip(told, size, strict=True) if n < longest - 4]
    ids, targets = encode_tasks(work.tokenizer, kept, longest)
    writer = Trained(work.model)
    for _ in fine_tune(writer, ids, targets, work.config, loss=loss_on_answers):
        pass
    read = [[(prompt, False)] for prompt in work.prompts]
    none = torch.Generator()  # greedy writing draws nothing
    said = write_answers(work.model, work.tokenizer, read, work.n_tokens, generator=none)
    return [text.strip() for text in said], time.process_time() - started


def new_gpt(tokenizer: Tokenizer, *, n_layers: int = 2, dropout: float = 0.0) -> GPT:
    """Return an untrained model of chapter 44's parts that also looks runs of tokens up."""
    config = GPTConfig(
        vocab_size=tokenizer.vocab_size,
        context_length=512,
        n_layers=n_layers,
        n_heads=4,
        d_model=128,
        ngram_order=3,
        dropout=dropout,
    )
    return GPT(config, generator=torch.Generator().manual_seed(0), **named_parts(PARTS))


def nearest(known: Sequence[str], asked_for: Sequence[str]) -> list[int]:
    """Return for each text the place of the known one that shares most runs of 1 to 3 characters.

    Rare runs count more, and long texts no more than short ones.
    """
    cut = TfidfVectorizer(analyzer="char", ngram_range=(1, 3))
    table = cut.fit_transform(known)
    return [int((table @ row.T).toarray().argmax()) for row in cut.transform(asked_for)]


def remembered(train: Pairs, prompts: Sequence[str]) -> tuple[list[str], float]:
    """Answer with the answer to the nearest prompt: a translation memory."""
    started = time.process_time()
    places = nearest([prompt for prompt, _ in train], prompts)
    return [train[i][1] for i in places], time.process_time() - started


def row(name: str, metric: str, value: float, ends: tuple[float, float], seconds: float) -> Row:
    """Return one row; `name` is task, data and system, and `ends` those of the interval."""
    task, data, system = name.split(" | ")
    quick = (data, system, metric) == ("interface_en_zh", MEMORY, "BLEU") and task.endswith("zh")
    return {
        "task": task,
        "data": data,
        "system": system,
        "metric": metric,
        "value": round(value, 4),
        "low": round(ends[0], 4),
        "high": round(ends[1], 4),
        "cpu_seconds": round(seconds, 1),
        "quick": "yes" if quick else "",
    }


def overlap_rows(
    name: str, said: Sequence[str], right: Sequence[str], language: str, seconds: float
) -> Iterator[Row]:
    """Measure BLEU and chrF of all texts together, from 0 to 100, with bootstrapped intervals."""
    for metric in (BLEU(tokenize="zh" if language == "zh" else "13a"), CHRF()):
        score = metric.corpus_score(said, [right], n_bootstrap=RESAMPLES)
        told = score.format(width=4, is_json=True, signature=metric.get_signature().format())
        value, half = score.score, json.loads(told).get("confidence_var", 0.0)
        called = "BLEU" if isinstance(metric, BLEU) else "chrF"
        yield row(name, called, value, (value - half, value + half), seconds)


def share_row(name: str, metric: str, right: Sequence[bool], seconds: float) -> Row:
    """Return a share of texts with Wilson's interval."""
    share, *ends = shares(right)
    return row(name, metric, share, (ends[0], ends[1]), seconds)


def mean_row(name: str, metric: str, values: Sequence[float], seconds: float) -> Row:
    """Return a mean with the interval of its bootstrap."""
    mean, *ends = redrawn(values, RESAMPLES)
    return row(name, metric, mean, (ends[0], ends[1]), seconds)
