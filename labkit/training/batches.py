"""Pieces of a long text, drawn at random, as inputs and their targets one place further."""

import torch
from torch import Tensor


def document_starts(ids: Tensor, context_length: int, token: int) -> Tensor:
    """Return the places of a token, such as the end-of-text one, from which a piece fits: (M,).

    Raises ValueError if there is none.
    """
    starts = (ids[: max(0, len(ids) - context_length)] == token).nonzero()[:, 0]
    if not len(starts):
        raise ValueError(
            f"expected token {token} with {context_length} more after it, got none: use more text, "
            "a shorter context, or pieces that begin anywhere"
        )
    return starts


def draw_batch(
    ids: Tensor,
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
    pieces = ids[rows]
    return pieces[:, :-1], pieces[:, 1:]
