"""Attention weights out of models: labkit's GPTs, those of Hugging Face, or arrays as they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from viewers.heads import Weights


@dataclass(frozen=True)
class Attentions:
    """What every head of a model takes from where, in one text."""

    weights: Weights
    """(L, H, T, S): layers, heads, queries, keys."""
    queries: tuple[str, ...]
    """The T tokens that look."""
    keys: tuple[str, ...]
    """The S tokens that are looked at; mostly the same."""

    def __post_init__(self) -> None:
        """Raise ValueError where weights and tokens do not fit."""
        expected = (len(self.queries), len(self.keys))
        if self.weights.ndim != 4 or self.weights.shape[2:] != expected or not self.weights.size:
            raise ValueError(
                f"expected weights of shape (layers, heads, {expected[0]} queries, {expected[1]} "
                f"keys), got {self.weights.shape}: give one token for each row and each column"
            )

    def minus(self, other: "Attentions") -> "Attentions":
        """Return the difference to another text or another checkpoint, for `attention` to draw.

        Tokens that differ are shown as "mine / theirs". Raises ValueError for different shapes.
        """
        if self.weights.shape != other.weights.shape:
            raise ValueError(
                f"expected as many layers, heads and tokens, got {self.weights.shape} and "
                f"{other.weights.shape}: compare texts of as many tokens"
            )
        both = (
            tuple(a if a == b else f"{a} / {b}" for a, b in zip(mine, theirs, strict=True))
            for mine, theirs in ((self.queries, other.queries), (self.keys, other.keys))
        )
        return Attentions(self.weights - other.weights, *both)


def read_attention(
    source: Any, text: str | Sequence[str], tokenizer: Any = None, *, keys: Any = None
) -> Attentions:
    """Return the weights with which a model reads a text, or those of an array, with their tokens.

    `source` is a labkit GPT or a causal or encoder model of Hugging Face, with its `tokenizer`; or
    an array (L, H, T, S) or (T, S), or a list of L layers, with the tokens in place of a text and,
    for attention across two texts, the `keys`. The model is left as it was.
    Raises ValueError where they do not fit, TypeError for a model that shows no weights.
    """
    if isinstance(source, Attentions):
        return source
    if not hasattr(source, "parameters"):
        tokens = tuple(text)
        return Attentions(_stacked(source), tokens, tokens if keys is None else tuple(keys))
    if tokenizer is None or not isinstance(text, str):
        raise ValueError(
            "expected a text and the model's tokenizer: attention(model, text, tokenizer)"
        )
    read = _of_transformers if hasattr(source, "get_input_embeddings") else _of_labkit
    return read(source, text, tokenizer)


def _stacked(source: Any) -> Weights:
    if isinstance(source, (list, tuple)) and np.ndim(_plain(source[0])) > 2:
        layers = [np.asarray(_plain(layer), dtype=np.float32) for layer in source]
        return np.stack([layer[0] if layer.ndim == 4 else layer for layer in layers])
    one = np.asarray(_plain(source), dtype=np.float32)
    return one[None, None] if one.ndim == 2 else one


def _plain(values: Any) -> Any:
    return values.detach().float().cpu().numpy() if hasattr(values, "detach") else values


def _of_labkit(model: Any, text: str, tokenizer: Any) -> Attentions:
    """Let each block attend as ever, and note the weights on the way."""
    import torch

    attentions = [module for module in model.modules() if hasattr(module, "attend")]
    if not attentions:
        raise TypeError(
            f"expected a GPT whose attention is an argument, got {type(model).__name__}: compute "
            "its weights and pass them as an array"
        )
    ids = tokenizer.encode(text)
    with torch.no_grad(), _noted(attentions) as seen, resting(model):
        model(torch.tensor([ids]))
    tokens = tuple(tokenizer.label(i) for i in ids)
    return Attentions(_stacked(seen), tokens, tokens)


@contextmanager
def _noted(attentions: Sequence[Any]) -> Iterator[list[Any]]:
    """Note the weights of each attention while it works; afterwards all is as it was."""
    from labkit.functional import attention_weights

    seen: list[Any] = []
    before = [module.attend for module in attentions]

    def noting(attend: Any) -> Any:
        def attend_and_note(q: Any, k: Any, v: Any, mask: Any = None, *rest: Any) -> Any:
            seen.append(attention_weights(q, k, mask))
            return attend(q, k, v, mask, *rest)

        return attend_and_note

    try:
        for module, attend in zip(attentions, before, strict=True):
            module.attend = noting(attend)
        yield seen
    finally:
        for module, attend in zip(attentions, before, strict=True):
            module.attend = attend


@contextmanager
def resting(model: Any) -> Iterator[None]:
    """Switch training off for a while; then each part is in the mode that it was in."""
    modes = [(part, part.training) for part in model.modules()]
    try:
        yield model.train(False) and None
    finally:
        for part, was_training in modes:
            part.training = was_training


def _of_transformers(model: Any, text: str, tokenizer: Any) -> Attentions:
    """Ask a Hugging Face model for its weights, which only its eager attention has."""
    import torch

    ids = tokenizer(text)["input_ids"]
    was = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")
        with torch.no_grad(), resting(model):
            found = model(torch.tensor([ids]), output_attentions=True).attentions
    finally:
        model.set_attn_implementation(was)
    if not found:
        raise TypeError(
            f"expected attention weights of {type(model).__name__}, got none: load it with "
            'attn_implementation="eager", or pass its weights as an array'
        )
    tokens = tuple(tokenizer.decode([i]) for i in ids)
    return Attentions(_stacked(found), tokens, tokens)
