"""Pieces of a long text, drawn at random, as inputs and their targets one place further."""

import torch
from torch import Tensor


def draw_batch(
    ids: Tensor, batch_size: int, context_length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw pieces that may start anywhere: (N,) -> inputs (B, T), targets (B, T).

    Raises ValueError if the text is too short for one piece and its last target.
    """
    if len(ids) <= context_length:
        raise ValueError(
            f"expected a text of more than {context_length} tokens, the context length, got "
            f"{len(ids)}: use more text or a shorter context"
        )
    starts = torch.randint(len(ids) - context_length, (batch_size,), generator=generator)
    rows = starts[:, None] + torch.arange(context_length + 1)
    pieces = ids[rows]
    return pieces[:, :-1], pieces[:, 1:]
