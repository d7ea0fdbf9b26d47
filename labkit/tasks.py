"""Tasks as text: what is given, what should follow, and a loss on what should follow alone.

A task is told in pieces, each a text and whether the model has to write it: for a question these
are `[("Who has the bell? ", False), ("Ben.", True)]`. What a model writes ends with the end-of-text
token, which is how it says that it is done; that token also stands before everything, as it does
before each document in pre-training. B batch, T time, V vocabulary, N texts.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from labkit.functional import cross_entropy
from labkit.generation import generate
from labkit.model import LanguageModel
from labkit.tokenizers import Tokenizer

IGNORED = -100
"""Stands in targets where there is nothing to learn; PyTorch leaves it out of a cross-entropy."""
Pieces = Sequence[tuple[str, bool]]
"""Texts in their order, each with whether the model has to write it."""
TURNS = {"system": "{}\n", "user": "\nUser: {}\nAssistant:", "assistant": " {}"}
"""How a message of each role is told."""


def asked(prompt: str, answer: str) -> Pieces:
    """Return the pieces of a task with one prompt and one answer. Built in notebook 52."""
    return [(prompt, False), (answer, True)]


def chat(messages: Iterable[Mapping[str, str]]) -> Pieces:
    r"""Return the pieces of a dialogue: the model writes what the assistant says.

    >>> chat([{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."}])
    [('\nUser: Hello!\nAssistant:', False), (' Hi.', True)]

    Raises ValueError for another role than system, user and assistant. Built in notebook 54.
    """
    pieces = []
    for message in messages:
        role = message["role"]
        if role not in TURNS:
            raise ValueError(f"expected the role {', '.join(TURNS)}, got {role!r}")
        pieces.append((TURNS[role].format(message["content"]), role == "assistant"))
    return pieces


def encode_pieces(tokenizer: Tokenizer, pieces: Pieces) -> tuple[list[int], list[int]]:
    """Return ids and targets of equal length; a target is the next id, or `IGNORED`.

    Each piece is encoded by itself, so that a prompt has the same ids whatever follows.
    Built in notebook 52.
    """
    ids, wanted = [tokenizer.end], [False]
    for text, is_wanted in pieces:
        new = tokenizer.encode(text) + [tokenizer.end] * is_wanted
        ids += new
        wanted += [is_wanted] * len(new)
    pairs = zip(ids[1:], wanted[1:], strict=True)
    return ids[:-1], [token if is_wanted else IGNORED for token, is_wanted in pairs]


def encode_tasks(
    tokenizer: Tokenizer, tasks: Iterable[Pieces], context_length: int
) -> tuple[list[list[int]], Tensor]:
    """Return the ids of each task, and the targets of all, (N, T), filled up with `IGNORED`.

    Raises ValueError for a task that is longer than the context. Built in notebook 52.
    """
    encoded = [encode_pieces(tokenizer, pieces) for pieces in tasks]
    longest = max((len(ids) for ids, _ in encoded), default=0)
    if longest > context_length:
        raise ValueError(
            f"expected tasks of at most {context_length} tokens, got one of {longest}: leave it out"
        )
    targets = torch.full((len(encoded), longest), IGNORED)
    for row, (_, wanted) in zip(targets, encoded, strict=True):
        row[: len(wanted)] = torch.tensor(wanted, dtype=torch.int64)
    return [ids for ids, _ in encoded], targets


class Writer(nn.Module):
    """A language model as `labkit.finetune.fine_tune` calls it, with the lengths of the texts.

    What is filled up stands after a text, where no earlier place can see it. Built in notebook 52.
    """

    model: Any

    def __init__(self, model: nn.Module) -> None:
        """Keep the model, which is trained itself and not copied."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the scores of what follows: (B, T), (B,) -> (B, T, V)."""
        scores: Tensor = self.model(ids)
        return scores


def loss_on_answers(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean surprise, in nats, at what the model has to write: (B, T, V), (B, S) -> ().

    S is T or more: of the longest task of all, and not of this batch. Built in notebook 52.
    """
    return cross_entropy(logits, targets[:, : logits.shape[1]])


def write_answers(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Sequence[Pieces],
    n_tokens: int,
    *,
    generator: torch.Generator,
    temperature: float = 0.0,
) -> list[str]:
    """Let a model write what comes next after each prompt, at most `n_tokens` tokens of it.

    Prompts of one length are read together. Built in notebook 52.
    """
    read = [encode_pieces(tokenizer, [*pieces, ("", True)])[0] for pieces in prompts]
    answers = [""] * len(read)
    for length in sorted({len(ids) for ids in read}):
        chosen = [i for i, ids in enumerate(read) if len(ids) == length]
        written = generate(
            model,
            torch.tensor([read[i] for i in chosen]),
            n_tokens,
            generator=generator,
            temperature=temperature,
            stop=tokenizer.end,
        )
        for i, ids in zip(chosen, written[:, length:].tolist(), strict=True):
            until = ids.index(tokenizer.end) if tokenizer.end in ids else len(ids)
            answers[i] = tokenizer.decode(ids[:until])
    return answers


def answer_words(text: str) -> list[str]:
    """Return the words by which answers are compared: small letters, no articles, no signs.

    As in SQuAD: Rajpurkar et al. 2016, section 6.1. Built in notebook 52.
    """
    return [word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the")]


def word_f1(written: str, truth: str) -> float:
    """Return the F1 of the words that two answers share, each as often as both have it, 0 to 1.

    Two answers without words are equal. Built in notebook 52.
    """
    mine, theirs = Counter(answer_words(written)), Counter(answer_words(truth))
    if not mine or not theirs:
        return float(mine == theirs)
    return 2 * (mine & theirs).total() / (mine.total() + theirs.total())
