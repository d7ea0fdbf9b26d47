"""Pieces of a long text, drawn at random, as inputs and their targets one place further."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from labkit.datasets.shards import TokenShards
from labkit.training.config import TrainConfig

VALIDATION_SEED = 1

Tokens = Tensor | TokenShards
"""One stream of token ids, (N,), in memory or on disk."""
Batch = tuple[Tensor, Tensor]
"""Inputs and targets, (B, T) each."""


def document_starts(ids: Tokens, context_length: int, token: int) -> Tensor:
    """Return the places of a token, such as the end-of-text one, from which a piece fits: (M,).

    Raises ValueError if there is none.
    """
    last = len(ids) - context_length
    places = (ids == token).nonzero()[:, 0] if isinstance(ids, Tensor) else ids.places(token)
    starts = torch.as_tensor(places)
    starts = starts[starts < last]
    if not len(starts):
        raise ValueError(
            f"expected token {token} with {context_length} more after it, got none: use more text, "
            "a shorter context, or pieces that begin anywhere"
        )
    return starts


def draw_batch(
    ids: Tokens,
    batch_size: int,
    context_length: int,
    generator: torch.Generator,
    starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw pieces of a text: (N,) -> inputs (B, T), targets (B, T).

    They start anywhere, or at one of `starts`, (M,), which `document_starts` finds.
    Raises ValueError if the text is too short for one piece and its last target.
    """
    if len(ids) <= context_length:
        raise ValueError(
            f"expected a text of more than {context_length} tokens, the context length, got "
            f"{len(ids)}: use more text or a shorter context"
        )
    n_places = len(ids) - context_length if starts is None else len(starts)
    chosen = torch.randint(n_places, (batch_size,), generator=generator)
    chosen = chosen if starts is None else starts[chosen]
    rows = chosen[:, None] + torch.arange(context_length + 1)
    pieces = ids[rows] if isinstance(ids, Tensor) else torch.from_numpy(ids.take(rows.numpy()))
    return pieces[:, :-1], pieces[:, 1:]


class Batches:
    """The batches of one run: drawn in an order for training, always the same held out."""

    def __init__(self, train_ids: Tokens, val_ids: Tokens, config: TrainConfig) -> None:
        """Find where pieces may begin; raise ValueError where a text is too short for one."""
        self.train_ids, self.val_ids, self.config = train_ids, val_ids, config
        self.sizes = (config.batch_size, config.context_length)
        self.train_starts, self.val_starts = (
            None
            if config.begin_at is None
            else document_starts(ids, config.context_length, config.begin_at)
            for ids in (train_ids, val_ids)
        )

    def draw(self, generator: torch.Generator) -> Batch:
        """Draw the next batch for training."""
        return draw_batch(self.train_ids, *self.sizes, generator, self.train_starts)

    def held_out(self) -> Iterator[Batch]:
        """Yield the batches of an evaluation."""
        places = torch.Generator().manual_seed(VALIDATION_SEED)
        for _ in range(self.config.evaluation_batches):
            yield draw_batch(self.val_ids, *self.sizes, places, self.val_starts)

    @property
    def texts(self) -> dict[str, str]:
        """A few words on each text that tell it from another."""
        return {"train": fingerprint(self.train_ids), "val": fingerprint(self.val_ids)}


def fingerprint(ids: Tokens) -> str:
    """Return the length of a text and a sum over 100,000 of its ids: other texts have others."""
    sample = np.linspace(0, len(ids) - 1, num=min(len(ids), 100_000), dtype=np.int64)
    values = ids[torch.from_numpy(sample)].numpy() if isinstance(ids, Tensor) else ids.take(sample)
    weights = np.arange(1, len(sample) + 1, dtype=np.int64)
    return f"{len(ids):,} tokens with sum {int((values * weights).sum()):,}"
