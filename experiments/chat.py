"""From a language model to one that does what it is asked, and how each stage is measured.

`tinyworld-en` learns to tell the story that is wished for: by examples (SFT), by pairs of a better
and a worse answer (DPO), and by a reward that the judge gives (RL). Whether a story fulfils a wish
is known. All systems are asked the same wishes and write at temperature 1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from labkit.finetune import improve, pad
from labkit.generation import generate
from labkit.gpt import GPT
from labkit.preferences import (
    LeashConfig,
    look_back,
    policy_loss,
    written_log_probs,
    written_targets,
)
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
    reward: Reward,
    leash: LeashConfig,
    config: TrainConfig,
    *,
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
    words = set(record.text.rstrip(".").split())
    names = {word for word in words if word[0].isupper()} - {"Tell", "Write"}
    share = np.mean([name in text for name in names]) if names else 1.0
    verdict = world().judge(text)
    return float(0.25 * share + 0.25 * (verdict.consistent and verdict.complete)) + 0.5 * follows(
        record, text
    )
