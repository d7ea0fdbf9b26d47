"""The parts that a GPT can be made of, by name, so that a recipe and a checkpoint can say which.

GPT-2's are the first of each kind. The others are what has changed since; chapter 44 measures each.
Shapes: B batch, T time, D model width, V vocabulary. Built in notebook 44.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from labkit.functional import (
    attend,
    attend_fused,
    rotate,
    rotate_normalised,
    squared_relu,
)
from labkit.gpt import (
    GPT,
    INTO_STREAM,
    MLP,
    GPTConfig,
    Sinusoids,
    initialise,
    learned_positions,
)


class NoPositions(nn.Module):
    """Nothing is added to the tokens: where they stand, `rotate` tells queries and keys."""

    def __init__(self, config: GPTConfig) -> None:
        """Take a config like every part."""
        super().__init__()

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Return a zero for each place: (T,) -> (T, 1)."""
        return torch.zeros(len(places), 1, device=places.device)


def squared_relu_mlp(config: GPTConfig) -> MLP:
    """Return a feed-forward layer with `labkit.functional.squared_relu` for its non-linearity."""
    return MLP(config, bend=squared_relu)


def own_head(config: GPTConfig) -> nn.Linear:
    """Return a matrix that scores the tokens, apart from the table of their vectors."""
    return nn.Linear(config.d_model, config.vocab_size, bias=False)


SILENT = (*INTO_STREAM, "head")
"""What says nothing at the start."""


def start_silent(model: GPT, generator: torch.Generator) -> None:
    """Draw starting weights with which no block and no run of tokens says anything yet, in place.

    What is added to the stream is zero at first, so a new model is its embedding, and every part
    grows as far as it helps. A head of its own is zero as well: all tokens are equally likely. The
    other matrices have deviation 1 / (2 √width of what they read).
    Source: Zhang et al. 2019 (the zeros).
    """
    initialise(model, generator)
    for name, module in model.named_modules():
        if name.endswith(SILENT) or name.startswith("ngrams.tables."):
            nn.init.zeros_(module.get_parameter("weight"))
        elif isinstance(module, nn.Linear):
            std = 0.5 / math.sqrt(module.in_features)
            nn.init.normal_(module.weight, std=std, generator=generator)


PARTS: Mapping[str, Mapping[str, Any]] = {
    "positions": {"learned": learned_positions, "sinusoids": Sinusoids, "none": NoPositions},
    "turn": {"none": None, "rotary": rotate, "rotary_normalised": rotate_normalised},
    "entry": {"none": nn.Identity, "rms": nn.RMSNorm},
    "norm": {"layer": nn.LayerNorm, "rms": nn.RMSNorm},
    "head": {"tied": None, "own": own_head},
    "mlp": {"gelu": MLP, "squared_relu": squared_relu_mlp},
    "attend": {"fused": attend_fused, "plain": attend},
    "start": {"gpt2": initialise, "silent": start_silent},
}
"""For each argument of `GPT`, the parts that have a name."""


def named_parts(names: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of `GPT` for names of parts, such as {"norm": "rms"}.

    Raises ValueError, naming what there is, for an unknown kind or name.

    >>> named_parts({"norm": "rms"})
    {'norm': <class 'torch.nn.modules.normalization.RMSNorm'>}
    """
    for kind, name in names.items():
        known = PARTS.get(kind, {})
        if name not in known:
            raise ValueError(f"expected {kind} to be one of {[*known]}, got {name!r}")
    return {kind: PARTS[kind][name] for kind, name in names.items()}


def names_of_parts(model: GPT) -> dict[str, str]:
    """Return the name of each part that differs from GPT-2's; "" for one that has no name.

    >>> config = GPTConfig(vocab_size=5, context_length=8, n_layers=1, n_heads=2, d_model=4)
    >>> names_of_parts(GPT(config, generator=torch.Generator(), norm=nn.RMSNorm, turn=rotate))
    {'norm': 'rms', 'turn': 'rotary'}
    """
    names = {}
    for kind, part in model.parts.items():
        known = list(PARTS.get(kind, {}).items())
        name = next((name for name, named in known if named is part), "")
        if not known or name != known[0][0]:
            names[kind] = name
    return names
