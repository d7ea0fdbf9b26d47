"""The one interface of the book: a language model turns token ids into scores for the next token.

Shapes, here and everywhere: B batch, T time, D model width, H heads, K head width, V vocabulary,
F hidden width. Counting models and neural ones both satisfy `LanguageModel`, so one evaluator, one
sampler and one league table serve them all.
"""

from typing import Any, Protocol

import torch
from torch import Tensor


class LanguageModel(Protocol):
    """Anything that scores every possible next token after every prefix of a sequence."""

    @property
    def properties(self) -> frozenset[str]:
        """Names of the tests of `tests/model_suite.py` that the model claims to pass."""

    @property
    def vocab_size(self) -> int:
        """Number of token ids, V."""

    @property
    def context_length(self) -> int | None:
        """The longest sequence that may be passed, in tokens; None if any length may."""

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        """Score the next token after each position: (B, T) -> (B, T, V).

        With a `cache` from `new_cache`, `ids` continue what was passed before, and the cache is
        updated in place.
        """

    def new_cache(self) -> Any:
        """Return an empty memory, with which a sequence can be passed piece by piece."""


def check_ids(ids: Tensor, vocab_size: int, context_length: int | None = None) -> None:
    """Refuse ids that no model could score.

    Raises TypeError if they are not integers, and ValueError if they are not (B, T) with T ≥ 1, if
    one is outside 0 … V - 1, or if the sequence is longer than the context.
    """
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise TypeError(f"expected integer token ids, got {ids.dtype}: encode the text first")
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ValueError(
            f"expected ids of shape (B, T) with T ≥ 1, got {tuple(ids.shape)}: "
            "for one sequence write ids[None]"
        )
    if context_length is not None and ids.shape[1] > context_length:
        raise ValueError(
            f"expected at most {context_length} tokens, the model's context length, got "
            f"{ids.shape[1]}: pass the last {context_length}"
        )
    if int(ids.min()) < 0 or int(ids.max()) >= vocab_size:
        outside = (ids < 0) | (ids >= vocab_size)
        where = tuple(outside.nonzero()[0].tolist())
        raise ValueError(
            f"expected token ids from 0 to {vocab_size - 1}, got {int(ids[where])} at "
            f"{where}: was the text encoded with this model's tokenizer?"
        )
