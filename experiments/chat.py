"""From a language model to one that does what it is asked, and how each stage is measured.

`tinyworld-en` learns to tell the story that is wished for: by examples (SFT), by pairs of a better
and a worse answer (DPO), and by a reward that the judge gives (RL). Whether a story fulfils a wish
is known. All systems are asked the same wishes and write at temperature 1.
"""

import copy
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from experiments.counting import Row
from labkit.finetune import Classifier, improve, pad, vectors_of
from labkit.generation import generate
from labkit.gpt import GPT
from labkit.preferences import (
    LeashConfig,
    dpo_loss,
    look_back,
    policy_loss,
    reward_loss,
    written_log_probs,
    written_targets,
)
from labkit.shipped import load_shipped
from labkit.tasks import Pieces, chat, encode_pieces, encode_tasks, loss_on_answers
from labkit.tokenizers import Tokenizer
from labkit.training import TrainConfig
from tinyworld import TinyWorld, tasks
from tinyworld.tasks import Record

Reward = Callable[[Record, str], float]
"""From a wish and the story that was told to how good that is."""
CONTEXT, N_TOKENS = 224, 175
"""Tokens that the model reads at most, and that a story may have."""
SFT = TrainConfig(
    max_steps=1600,
    batch_size=6,
    context_length=CONTEXT,
    learning_rate=4e-3,
    final_learning_rate=1e-4,
    schedule="linear",
    warmup_steps=20,
    muon_learning_rate=0.02,
    weight_decay=0.0,
    fused=True,
)

DPO = replace(
    SFT, max_steps=80, batch_size=8, learning_rate=5e-4, muon_learning_rate=0.0, warmup_steps=5
)
RL = replace(
    SFT, max_steps=60, batch_size=1, learning_rate=2e-3, muon_learning_rate=0.0, warmup_steps=0
)
LEASH = LeashConfig(beta=0.02)
PROMPTS, PAIRED = 6, 200
"""Wishes in a round of reinforcement learning, and wishes from which pairs are made."""


@lru_cache
def world() -> TinyWorld:
    """Return the whole world, in English."""
    return TinyWorld.full("en")


def wishes(seed: int, n: int) -> list[Record]:
    """Draw wishes and stories that fulfil them."""
    return list(tasks.instructions(world(), np.random.default_rng(seed), n))


def told(record: Record, answer: str | None = None) -> Pieces:
    """Return a wish and its answer as a chat of two messages."""
    content = record.answer if answer is None else answer
    return chat(
        [{"role": "user", "content": record.text}, {"role": "assistant", "content": content}]
    )


def prompt_ids(tokenizer: Tokenizer, record: Record) -> list[int]:
    """Return the ids of a wish, up to where the model has to write."""
    return encode_pieces(tokenizer, [*told(record)[:1], ("", True)])[0]


def instruct(
    model: GPT, tokenizer: Tokenizer, records: Sequence[Record], config: TrainConfig
) -> Iterator[float]:
    """Fine-tune on wishes with the loss on stories only; yield the loss of each update."""
    pieces = [told(record) for record in records]
    pieces = [one for one in pieces if len(encode_pieces(tokenizer, one)[0]) <= CONTEXT]
    ids, targets = encode_tasks(tokenizer, pieces, CONTEXT)

    def loss_of(now: list[int]) -> Tensor:
        return loss_on_answers(model(pad([ids[i] for i in now])[0]), targets[now])

    return improve(model, len(ids), loss_of, config)


def groups_of(tokenizer: Tokenizer, records: Sequence[Record], size: int) -> list[list[Record]]:
    """Put wishes of equally many tokens together, so many to a group, and leave the rest out."""
    by_length: dict[int, list[Record]] = {}
    groups = []
    for record in records:
        waiting = by_length.setdefault(len(prompt_ids(tokenizer, record)), [])
        waiting.append(record)
        if len(waiting) == size:
            groups.append(waiting.copy())
            waiting.clear()
    return groups


def write(
    model: GPT, tokenizer: Tokenizer, group: Sequence[Record], n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, list[str]]:
    """Tell n stories for each wish of a group: ids (P · n, T), targets (P · n, T - 1), texts."""
    given = torch.tensor([prompt_ids(tokenizer, record) for record in group])
    given = given.repeat_interleave(n, dim=0)
    written = generate(model, given, N_TOKENS, generator=generator, stop=tokenizer.end)
    targets = written_targets(written, given.shape[1], tokenizer.end)
    texts = []
    for row in written[:, given.shape[1] :].tolist():
        until = row.index(tokenizer.end) if tokenizer.end in row else len(row)
        texts.append(tokenizer.decode(row[:until]).strip())
    return written, targets, texts


@dataclass
class Round:
    """What one round of reinforcement learning saw."""

    texts: list[str]
    rewards: Tensor
    kl: float
    """Nats per story between the model and its reference."""


def reinforce(
    model: GPT,
    reference: GPT,
    tokenizer: Tokenizer,
    groups: Sequence[Sequence[Record]],
    *,
    reward: Reward,
    leash: LeashConfig,
    config: TrainConfig,
    n_answers: int = 8,
    reuse: int = 1,
) -> Iterator[Round]:
    """Let a model try, and make likelier what was rewarded more than its like; yield each round.

    The answers of a round serve `reuse` updates.
    """
    generator = torch.Generator().manual_seed(config.seed)
    rounds: list[tuple[Round, Callable[[], Tensor]]] = []
    updates = 0

    def begin(group: Sequence[Record]) -> None:
        written, targets, texts = write(model, tokenizer, group, n_answers, generator)
        asked = [record for record in group for _ in range(n_answers)]
        rewards = torch.tensor([reward(r, text) for r, text in zip(asked, texts, strict=True)])
        tried = look_back(model, reference, written, targets, rewards.view(-1, n_answers))
        kl = float((tried.old - tried.reference).sum(1).mean())

        def loss() -> Tensor:
            return policy_loss(written_log_probs(model(written[:, :-1]), targets), tried, leash)

        rounds.append((Round(texts, rewards, kl), loss))

    def loss_of(now: list[int]) -> Tensor:
        if updates % reuse == 0:
            begin(groups[now[0]])
        return rounds[-1][1]()

    for _ in improve(model, len(groups), loss_of, config):
        updates += 1
        if updates % reuse == 0:
            yield rounds[-1][0]


def follows(record: Record, text: str) -> float:
    """Reward a story that fulfils the wish."""
    return float(tasks.follows(record.text, text))


def consistent(record: Record, text: str) -> float:
    """Reward a story without a fault, whatever was wished for."""
    return float(world().judge(text).consistent)


def in_steps(record: Record, text: str) -> float:
    """Reward what of the wish is in the story, and most of all its fulfilment."""
    names = set(re.findall(r"[A-Z][a-z]+", record.text)) - {"Tell", "Write"}
    share = np.mean([name in text for name in names])
    verdict = world().judge(text)
    return float(0.25 * share + 0.25 * (verdict.consistent and verdict.complete)) + 0.5 * follows(
        record, text
    )


def own_pairs(
    model: GPT, tokenizer: Tokenizer, groups: Sequence[Sequence[Record]], n_answers: int
) -> list[tuple[Record, str, str]]:
    """Let a model answer each wish several times; return wishes with a better and a worse answer.

    Better is the first story that fulfils the wish, or, if none does, the one that was drawn with
    it; worse is the first that does not. A wish that is always fulfilled teaches nothing.
    """
    generator, pairs = torch.Generator().manual_seed(1), []
    for group in groups:
        texts = write(model, tokenizer, group, n_answers, generator)[2]
        for i, record in enumerate(group):
            mine = texts[i * n_answers : (i + 1) * n_answers]
            good = [text for text in mine if follows(record, text)]
            bad = [text for text in mine if not follows(record, text)]
            if bad:
                pairs.append((record, (good or [record.answer])[0], bad[0]))
    return pairs


def prefer(
    model: GPT,
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[Record, str, str]],
    config: TrainConfig,
    beta: float = 0.1,
) -> Iterator[float]:
    """Train by DPO, from the model as it is; yield the loss of each update."""
    sides = (
        [told(record, better) for record, better, _ in pairs],
        [told(record, worse) for record, _, worse in pairs],
    )
    coded = [encode_tasks(tokenizer, side, CONTEXT) for side in sides]

    def likelihoods(now: list[int]) -> list[Tensor]:
        return [
            written_log_probs(model(pad([ids[i] for i in now])[0]), targets[now]).sum(1)
            for ids, targets in coded
        ]

    with torch.no_grad():
        rows = [likelihoods([i]) for i in range(len(pairs))]
    before = [torch.cat([row[k] for row in rows]) for k in (0, 1)]

    def loss_of(now: list[int]) -> Tensor:
        better, worse = likelihoods(now)
        return dpo_loss(better, worse, before[0][now], before[1][now], beta)

    return improve(model, len(pairs), loss_of, config)


def preference_ids(tokenizer: Tokenizer, record: Record, answer: str) -> list[int]:
    """Return the ids of a story's beginning and one way to go on."""
    return [tokenizer.end, *tokenizer.encode(f"{record.text} {answer}"), tokenizer.end]


def learn_rewards(
    base: GPT, tokenizer: Tokenizer, records: Sequence[Record], config: TrainConfig
) -> tuple[Classifier, Iterator[float]]:
    """Return a reward model, a number for each text, and the training that makes it one."""
    model = Classifier(vectors_of(base), base.config.d_model, 1)
    better = [preference_ids(tokenizer, record, record.answer) for record in records]
    worse = [preference_ids(tokenizer, record, record.rejected) for record in records]

    def loss_of(now: list[int]) -> Tensor:
        both = [better[i] for i in now] + [worse[i] for i in now]
        rewards = model(*pad(both))[:, 0]
        return reward_loss(rewards[: len(now)], rewards[len(now) :])

    return model, improve(model, len(records), loss_of, config)


def shares(right: Sequence[float]) -> tuple[float, float, float]:
    """Return a share and Wilson's interval."""
    interval = stats.binomtest(int(sum(right)), len(right)).proportion_ci(method="wilson")
    return float(np.mean(right)), float(interval.low), float(interval.high)


def means(values: Sequence[float]) -> tuple[float, float, float]:
    """Return a mean and the interval of a normal distribution."""
    middle, half = float(np.mean(values)), 1.96 * float(stats.sem(values))
    return middle, middle - half, middle + half


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


@torch.no_grad()
def measured(
    model: GPT, references: dict[str, GPT], tokenizer: Tokenizer, n_wishes: int = 200
) -> dict[str, tuple[float, float, float]]:
    """Let a model fulfil wishes that nobody trained on; return each metric with its interval.

    Distances are nats per story, KL(model ‖ reference), estimated on what the model wrote.
    """
    generator, asked, texts = torch.Generator().manual_seed(2), list[Record](), list[str]()
    moved: dict[str, list[float]] = {name: [] for name in references}
    for group in groups_of(tokenizer, wishes(11, 2 * n_wishes + 100), 10)[: n_wishes // 10]:
        written, targets, new = write(model, tokenizer, group, 1, generator)
        own = written_log_probs(model(written[:, :-1]), targets).sum(1)
        for name, reference in references.items():
            other = written_log_probs(reference(written[:, :-1]), targets).sum(1)
            moved[name] += (own - other).tolist()
        asked += group
        texts += new
    verdicts = [world().judge(text) for text in texts]
    found = {
        "follows": shares([follows(r, text) for r, text in zip(asked, texts, strict=True)]),
        "consistent": shares([v.consistent and v.complete for v in verdicts]),
        "own runs": means(own_runs(texts)),
        "words": means([len(text.split()) for text in texts]),
    }
    return found | {f"distance from {name}": means(values) for name, values in moved.items()}


def stages() -> Iterator[tuple[str, GPT, float]]:
    """Yield each model on the way, a copy of its own, and the processor time of its stage."""
    shipped = load_shipped("tinyworld-en")
    model, tokenizer = shipped.model, shipped.tokenizer
    yield "base", copy.deepcopy(model), 0.0
    started = time.process_time()
    for _ in instruct(model, tokenizer, wishes(0, 10_000), SFT):
        pass
    yield "SFT", copy.deepcopy(model), time.process_time() - started
    started, by_pairs = time.process_time(), copy.deepcopy(model)
    asked = groups_of(tokenizer, wishes(5, 2 * PAIRED), 10)[: PAIRED // 10]
    for _ in prefer(by_pairs, tokenizer, own_pairs(model, tokenizer, asked, 4), DPO):
        pass
    yield "DPO", by_pairs, time.process_time() - started
    started, by_reward = time.process_time(), copy.deepcopy(model)
    groups = groups_of(tokenizer, wishes(7, 1000), PROMPTS)
    for _ in reinforce(
        by_reward, model, tokenizer, groups, reward=in_steps, leash=LEASH, config=RL
    ):
        pass
    yield "RL", by_reward, time.process_time() - started


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Measure each stage on wishes of its own: what it does, how varied, and how far it moved."""
    tokenizer = load_shipped("tinyworld-en").tokenizer
    references: dict[str, GPT] = {}
    for system, model, seconds in stages():
        if system in ("base", "SFT"):
            references[system] = model
        found = measured(model, references, tokenizer)
        for metric, numbers in found.items():
            value, low, high = (round(number, 4) for number in numbers)
            row = {"task": "wishes", "data": "tinyworld", "system": system, "metric": metric}
            is_quick = (system, metric) == ("base", "follows")
            yield row | {
                "value": value,
                "low": low,
                "high": high,
                "cpu_seconds": round(seconds, 1),
                "quick": "yes" if is_quick else "",
            }
            if quick and is_quick:
                return
