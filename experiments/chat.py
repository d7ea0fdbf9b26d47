"""From a language model to one that does what it is asked, and how each stage is measured.

`tinyworld-en` learned to tell the story that is wished for by examples (SFT, which ships as
`chat-en`); from there it learns by pairs of a better and a worse story (DPO), or by the judge's
reward (RL). All are asked the same wishes and write at temperature 1.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from experiments.counting import Row
from experiments.instructing import SFT, wishes
from experiments.intervals import Found, means, shares
from experiments.rewarding import (
    Rewards,
    Round,
    consistent,
    each,
    follows,
    groups_of,
    own_pairs,
    prefer,
    reinforce,
    write,
)
from labkit.finetune import LoRAConfig, merge, with_lora
from labkit.gpt import GPT
from labkit.preferences import LeashConfig, written_log_probs
from labkit.shipped import load_shipped
from labkit.tokenizers import Tokenizer
from labkit.training import TrainConfig
from tinyworld.tasks import Record

DPO = replace(
    SFT, max_steps=64, batch_size=8, learning_rate=3e-3, muon_learning_rate=0.0, warmup_steps=5
)
RL = replace(
    SFT, max_steps=40, batch_size=1, learning_rate=8e-3, muon_learning_rate=0.0, warmup_steps=0
)
LORA = LoRAConfig(rank=8, alpha=16.0)
LEASH = 0.04
"""What a nat costs at each token, as in the paper: it is hardly felt."""
PROMPTS, PAIRED, KNOWN = 6, 336, 4000
"""Wishes in a round of reinforcement learning, wishes from which pairs are made, and wishes that
the baselines know."""
WINDOW = 4
"""Rounds that are told together."""
N_WISHES = 400
QUICK = ("true answers", "words")


def own_runs(texts: Sequence[str], n: int = 4) -> list[float]:
    """Return, for each text, the share of its runs of n words that no other text has.

    >>> own_runs(["a b c", "a b d"], n=2)
    [0.5, 0.5]
    """
    runs = []
    for words in map(str.split, texts):
        runs.append({tuple(words[i : i + n]) for i in range(len(words) - n + 1)})
    told_by = Counter(run for some in runs for run in some)
    return [sum(told_by[run] == 1 for run in some) / max(len(some), 1) for some in runs]


@lru_cache
def asked(n_wishes: int = N_WISHES) -> tuple[tuple[Record, ...], ...]:
    """Return the wishes that all are asked, drawn by their own seed, in groups of equal length.

    There are so few ways to wish that some come in training too: `seen_in_training` counts them.
    """
    tokenizer = load_shipped("tinyworld-en").tokenizer
    groups = groups_of(tokenizer, wishes(11, 2 * n_wishes + 400), 40)[: n_wishes // 40]
    return tuple(map(tuple, groups))


def seen_in_training() -> int:
    """Return how many of the wishes that all are asked `chat-en` was trained on, word for word."""
    trained = {record.text for record in wishes(0, SFT.max_steps * SFT.batch_size)}
    return sum(record.text in trained for group in asked() for record in group)


def described(records: Sequence[Record], texts: Sequence[str]) -> dict[str, list[float]]:
    """Return what can be said of each story, whoever told it."""
    pairs = list(zip(records, texts, strict=True))
    return {
        "followed": [follows(record, text) for record, text in pairs],
        "consistent": [consistent(record, text) for record, text in pairs],
        "own runs": own_runs(texts),
        "words": [len(text.split()) for text in texts],
    }


@torch.no_grad()
def measured(
    model: GPT,
    references: dict[str, GPT],
    tokenizer: Tokenizer,
    temperature: float = 1.0,
) -> dict[str, list[float]]:
    """Let a model fulfil the wishes that all are asked; return each metric of each story.

    Distances are nats per story, KL(model ‖ reference), estimated on what the model wrote.
    """
    generator, records, texts = torch.Generator().manual_seed(2), list[Record](), list[str]()
    moved: dict[str, list[float]] = {f"distance from {name}": [] for name in references}
    entropy = list[float]()
    for group in asked():
        written, targets, new = write(
            model, tokenizer, group, 1, generator, temperature=temperature
        )
        own = written_log_probs(model(written[:, :-1]), targets).sum(1)
        entropy += (-own).tolist()
        for name, reference in references.items():
            other = written_log_probs(reference(written[:, :-1]), targets).sum(1)
            moved[f"distance from {name}"] += (own - other).tolist()
        records += group
        texts += new
    return described(records, texts) | {"entropy": entropy} | moved


def summed_up(found: dict[str, list[float]], before: Sequence[float] = ()) -> dict[str, Found]:
    """Return each metric with its interval, and what was gained on those who answered before."""
    told = {
        name: (shares if name in ("followed", "consistent") else means)(values)
        for name, values in found.items()
    }
    if before:
        told["gain on SFT"] = means(np.subtract(found["followed"], before).tolist())
    return told


def nearest(known: Sequence[Record], wish: str) -> Record:
    """Return the known wish with most words at the same places, of those that are as long."""
    words = wish.split()
    alike = [record for record in known if len(record.text.split()) == len(words)]
    return max(
        alike or known,
        key=lambda r: sum(a == b for a, b in zip(words, r.text.split(), strict=False)),
    )


def renamed(record: Record, wish: str) -> str:
    """Tell a known story with the words of another wish in the place of its own."""
    own, new = (re.findall(r"\w+", text) for text in (record.text, wish))
    swap = {a: b for a, b in zip(own, new, strict=False) if a != b and a not in ("a", "an")}
    return re.sub(r"\w+", lambda match: swap.get(match[0], match[0]), record.answer)


def simple_rows(quick: bool = False) -> Iterator[tuple[str, dict[str, Found], float]]:
    """Yield what needs no language model: the most similar known wish's story, told again or with
    other names, and the true answers.
    """
    started = time.process_time()
    records = [record for group in asked() for record in group]
    if quick:
        yield "true answers", summed_up(described(records, [r.answer for r in records])), 0.0
        return
    known = wishes(0, KNOWN)
    found = [nearest(known, record.text) for record in records]
    again = [renamed(one, r.text) for one, r in zip(found, records, strict=True)]
    seconds = time.process_time() - started
    yield "nearest wish", summed_up(described(records, [one.answer for one in found])), seconds
    yield "nearest wish, renamed", summed_up(described(records, again)), seconds
    yield "true answers", summed_up(described(records, [r.answer for r in records])), 0.0


@dataclass(frozen=True)
class Stage:
    """A model on the way, the processor time of its training, and what that saw."""

    model: GPT
    seconds: float
    rounds: tuple[dict[str, Found], ...] = ()
    """Of reinforcement learning: `WINDOW` rounds each."""


def told_together(rounds: Sequence[Round]) -> dict[str, Found]:
    """Return what some rounds of reinforcement learning saw, on average."""
    records = [record for one in rounds for record in one.asked]
    texts = [text for one in rounds for text in one.texts]
    found = summed_up(described(records, texts))
    found["reward"] = means(torch.cat([one.rewards for one in rounds]).tolist())
    found["distance from SFT"] = means([one.kl for one in rounds])
    return found


def changed(start: GPT) -> nn.Module:
    """Return a model of which a change of low rank is trained.

    Fewer numbers are moved by chance: with all weights, a model left its reference far sooner.
    """
    return with_lora(start, LORA, generator=torch.Generator().manual_seed(0))


def whole(model: nn.Module) -> GPT:
    """Return a plain model again."""
    merged: Any = merge(model)
    plain: GPT = merged
    return plain


def rewarded(
    start: GPT,
    tokenizer: Tokenizer,
    rewards: Rewards,
    *,
    beta: float,
    config: TrainConfig,
    n_wishes: int,
) -> Stage:
    """Train by a reward, beside a model that is not changed, so many wishes a round."""
    started, model, n_rounds = time.process_time(), changed(start), config.max_steps
    groups = groups_of(tokenizer, wishes(7, n_rounds * n_wishes + 200), n_wishes)[:n_rounds]
    leash = LeashConfig(beta=beta)
    trying = reinforce(model, start, tokenizer, groups, rewards=rewards, leash=leash, config=config)
    rounds = list(trying)
    seconds = time.process_time() - started
    parts = [rounds[i : i + WINDOW] for i in range(0, len(rounds), WINDOW)]
    return Stage(whole(model), seconds, tuple(map(told_together, parts)))


def to_pair(tokenizer: Tokenizer) -> list[list[Record]]:
    """Return wishes of which pairs are made, in groups of equal length."""
    return groups_of(tokenizer, wishes(5, 2 * PAIRED), 12)[: PAIRED // 12]


def stages(start: GPT, tokenizer: Tokenizer) -> Iterator[tuple[str, Stage]]:
    """Train what begins at a model that follows wishes; it is not changed."""
    began, model = time.process_time(), changed(start)
    pairs = own_pairs(start, tokenizer, to_pair(tokenizer), 4)
    for _ in prefer(model, tokenizer, pairs, DPO):
        pass
    n_pairs = float(len(pairs))
    yield "DPO", Stage(whole(model), time.process_time() - began, ({"pairs": (n_pairs,) * 3},))
    yield "RL", rewarded(start, tokenizer, each(follows), beta=LEASH, config=RL, n_wishes=PROMPTS)


def told_rows(
    system: str, found: dict[str, Found], seconds: float, data: str = "tinyworld"
) -> Iterator[Row]:
    """Yield the rows of one system."""
    for metric, numbers in found.items():
        value, low, high = (round(number, 4) for number in numbers)
        yield {
            "task": "wishes",
            "data": data,
            "system": system,
            "metric": metric,
            "value": value,
            "low": low,
            "high": high,
            "cpu_seconds": round(seconds, 1),
            "quick": "yes" if (system, metric) == QUICK else "",
        }


def rounds_rows(system: str, stage: Stage) -> Iterator[Row]:
    """Tell what reinforcement learning saw on its way."""
    for i, found in enumerate(stage.rounds):
        data = f"rounds {i * WINDOW + 1} to {(i + 1) * WINDOW}"
        yield from told_rows(system, found, stage.seconds, data=data)


def cpu_of(card: str) -> float:
    """Return the CPU-seconds that a card tells."""
    found = re.search(r"\(([\d,]+) CPU-seconds\)", card)
    if not found:
        raise ValueError("expected a card that tells CPU-seconds, got another")
    return float(found[1].replace(",", ""))


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Measure each system on wishes of its own; quick is one row of the true answers."""
    for system, told, seconds in simple_rows(quick):
        rows = told_rows(system, told, seconds)
        yield from (row for row in rows if row["quick"] or not quick)
    if quick:
        return
    base, sft = load_shipped("tinyworld-en"), load_shipped("chat-en")
    tokenizer, references = base.tokenizer, {"base": base.model, "SFT": sft.model}
    yield from told_rows("base", summed_up(measured(base.model, references, tokenizer)), 0.0)
    before = measured(sft.model, references, tokenizer)
    yield from told_rows("SFT", summed_up(before), cpu_of(sft.card))
    for temperature in (0.7, 0.0):
        found = measured(sft.model, references, tokenizer, temperature=temperature)
        data = f"tinyworld, temperature {temperature:g}"
        yield from told_rows("SFT", summed_up(found, before["followed"]), 0.0, data=data)
    for system, stage in stages(sft.model, tokenizer):
        found = measured(stage.model, references, tokenizer)
        yield from told_rows(system, summed_up(found, before["followed"]), stage.seconds)
        yield from rounds_rows(system, stage)
