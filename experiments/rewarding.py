"""Learning from what is better and what is worse: pairs, and tries that are rewarded.

The wishes are those of `experiments.instructing`. Whether a story fulfils one is known, so that a
preference and a reward can be given without anybody's labour.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from experiments.instructing import CONTEXT, prompt_ids, told, world
from labkit.finetune import improve, pad
from labkit.generation import generate
from labkit.gpt import GPT
from labkit.preferences import (
    LeashConfig,
    dpo_loss,
    look_back,
    policy_loss,
    written_log_probs,
    written_targets,
)
from labkit.tasks import encode_tasks
from labkit.tokenizers import Tokenizer
from labkit.training import TrainConfig
from tinyworld import tasks
from tinyworld.tasks import Record

N_TOKENS = 175
"""Tokens that a story may have."""
Reward = Callable[[Record, str], float]
"""From a wish and the story that was told to how good that is."""
Rewards = Callable[[Sequence[Record], Sequence[str]], Tensor]
"""The same for many at once, (N,)."""
Pair = tuple[Record, str, str]
"""A wish, a better story and a worse one."""


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
    model: Any,
    tokenizer: Tokenizer,
    group: Sequence[Record],
    n: int,
    generator: torch.Generator,
    *,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor, list[str]]:
    """Tell n stories for each wish of a group: ids (P · n, T), targets (P · n, T - 1), texts."""
    given = torch.tensor([prompt_ids(tokenizer, record) for record in group])
    given = given.repeat_interleave(n, dim=0)
    written = generate(
        model,
        given,
        N_TOKENS,
        generator=generator,
        temperature=temperature,
        stop=tokenizer.end,
    )
    targets = written_targets(written, given.shape[1], tokenizer.end)
    texts = []
    for row in written[:, given.shape[1] :].tolist():
        until = row.index(tokenizer.end) if tokenizer.end in row else len(row)
        texts.append(tokenizer.decode(row[:until]).strip())
    return written, targets, texts


def follows(record: Record, text: str) -> float:
    """Reward a story that fulfils the wish."""
    return float(tasks.follows(record.text, text))


def consistent(record: Record, text: str) -> float:
    """Reward a complete story without a fault, whatever was wished for."""
    verdict = world().judge(text)
    return float(verdict.consistent and verdict.complete)


def each(reward: Reward) -> Rewards:
    """Return the rewards of many stories from the reward of one."""
    return lambda records, texts: torch.tensor(
        [reward(record, text) for record, text in zip(records, texts, strict=True)]
    )


@dataclass
class Round:
    """What one round of reinforcement learning saw."""

    asked: list[Record]
    texts: list[str]
    rewards: Tensor
    kl: float
    """Nats per story between the model and its reference."""


def reinforce(
    model: Any,
    reference: GPT,
    tokenizer: Tokenizer,
    groups: Sequence[Sequence[Record]],
    *,
    rewards: Rewards,
    leash: LeashConfig,
    config: TrainConfig,
    n_answers: int = 8,
) -> Iterator[Round]:
    """Let a model try, and make likelier what was rewarded more than its like; yield each round.

    Every round serves one update.
    """
    generator = torch.Generator().manual_seed(config.seed)
    rounds: list[Round] = []

    def loss_of(now: list[int]) -> Tensor:
        group = groups[now[0]]
        written, targets, texts = write(model, tokenizer, group, n_answers, generator)
        asked = [record for record in group for _ in range(n_answers)]
        found = rewards(asked, texts)
        tried = look_back(model, reference, written, targets, found.view(-1, n_answers))
        kl = float((tried.old - tried.reference).sum(1).mean())
        rounds.append(Round(asked, texts, found, kl))
        return policy_loss(written_log_probs(model(written[:, :-1]), targets), tried, leash)

    for _ in improve(model, len(groups), loss_of, config):
        yield rounds[-1]


def own_pairs(
    model: GPT, tokenizer: Tokenizer, groups: Sequence[Sequence[Record]], n_answers: int
) -> list[Pair]:
    """Let a model answer each wish several times; pair what fulfils it with what does not.

    A wish that is always fulfilled, or never, teaches nothing and gives no pair.
    """
    generator, pairs = torch.Generator().manual_seed(1), list[Pair]()
    for group in groups:
        texts = write(model, tokenizer, group, n_answers, generator)[2]
        for i, record in enumerate(group):
            mine = texts[i * n_answers : (i + 1) * n_answers]
            good = [text for text in mine if follows(record, text)]
            bad = [text for text in mine if not follows(record, text)]
            pairs += [(record, b, w) for b, w in zip(good, bad, strict=False)]
    return pairs


def prefer(
    model: nn.Module,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
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
        parts = [list(range(len(pairs)))[i : i + 16] for i in range(0, len(pairs), 16)]
        rows = [likelihoods(part) for part in parts]
    before = [torch.cat([row[k] for row in rows]) for k in (0, 1)]

    def loss_of(now: list[int]) -> Tensor:
        better, worse = likelihoods(now)
        return dpo_loss(better, worse, before[0][now], before[1][now], beta)

    return improve(model, len(pairs), loss_of, config)
