"""GPT-2's architecture, read from bottom to top: attention, feed-forward layer, block, model.

B batch, T time, D model width, H heads, K head width, V vocabulary, F hidden width. The modules own
weights and call `labkit.functional`; they do not train, write or save themselves.
Source: Radford et al. 2019, section 2.3. Built in notebooks 32 and 33.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from labkit.functional import attend_fused, causal_mask, gelu, sinusoids
from labkit.model import check_ids

Attend = Callable[..., Tensor]
Mask = Callable[[int, int], Tensor | None]
Norm = Callable[[int], nn.Module]
WEIGHT_STD = 0.02
PROPERTIES = frozenset(
    ["sums_to_one", "causal", "chunked", "batched", "overfits", "refuses_ids", "refuses_length"]
)


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The sizes of a GPT. Built in notebook 32."""

    vocab_size: int
    """Number of token ids, V."""
    context_length: int
    """The longest sequence it can read, in tokens."""
    n_layers: int
    """Number of blocks."""
    n_heads: int
    """Number of attention heads per block, H."""
    d_model: int
    """Width of the vector that stands for a token, D."""
    d_ff: int = 0
    """Hidden width of the feed-forward layer, F; 0 chooses 4 · d_model."""
    dropout: float = 0.0
    """Share of numbers that are set to zero while training, 0 to below 1."""

    def __post_init__(self) -> None:
        """Fill in d_ff; raise ValueError where the sizes contradict each other."""
        if self.d_ff == 0:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        for name in ("vocab_size", "context_length", "n_layers", "n_heads", "d_model", "d_ff"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, got {getattr(self, name)}")
        if self.d_model % self.n_heads:
            raise ValueError(
                f"expected d_model to be a multiple of n_heads, got {self.d_model} and "
                f"{self.n_heads}: each head has d_model / n_heads numbers"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected 0 ≤ dropout < 1, got {self.dropout}")

    @property
    def d_head(self) -> int:
        """Width of one head, K."""
        return self.d_model // self.n_heads


Part = Callable[[GPTConfig], nn.Module]


class LayerCache:
    """The keys and values that one block has computed so far. Built in notebook 33."""

    def __init__(self) -> None:
        """Start empty."""
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append along time and return all: (B, H, T, K) each -> (B, H, S, K) each."""
        self.k = k if self.k is None else torch.cat([self.k, k], dim=2)
        self.v = v if self.v is None else torch.cat([self.v, v], dim=2)
        return self.k, self.v


class Attention(nn.Module):
    """Multi-head self-attention: each token takes what it needs from those before it.

    `attend` and `mask` are arguments, so that a notebook can put in its own.
    Built in notebook 32.
    """

    def __init__(
        self, config: GPTConfig, *, attend: Attend = attend_fused, mask: Mask = causal_mask
    ) -> None:
        """Make the weights for queries, keys and values, and for the output."""
        super().__init__()
        self.n_heads = config.n_heads
        self.attend, self.mask = attend, mask
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Mix information across time: (B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)  # (B, H, T, K)
        if cache is not None:
            k, v = cache.extend(k, v)
        mask = self.mask(T, k.shape[2])
        mask = mask if mask is None else mask.to(x.device)
        if self.training and self.dropout.p > 0:
            mixed = self.attend(q, k, v, mask, self.dropout)  # (B, H, T, K)
        else:
            mixed = self.attend(q, k, v, mask)  # (B, H, T, K)
        return self.dropout(self.out(mixed.transpose(1, 2).reshape(B, T, D)))


class MLP(nn.Module):
    """The feed-forward layer: two linear maps, a non-linearity between. Built in notebook 32."""

    def __init__(self, config: GPTConfig) -> None:
        """Make the weights up to width F and back to D."""
        super().__init__()
        self.up = nn.Linear(config.d_model, config.d_ff)
        self.down = nn.Linear(config.d_ff, config.d_model)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Work on each token by itself: (B, T, D) -> (B, T, D)."""
        return self.dropout(self.down(gelu(self.up(x))))


class Block(nn.Module):
    """Attention, then the feed-forward layer, each added to its input. Built in notebook 32."""

    def __init__(
        self, config: GPTConfig, *, norm: Norm = nn.LayerNorm, mlp: Part = MLP, **parts: Any
    ) -> None:
        """Make both halves with their normalisations; `parts` go to `Attention`."""
        super().__init__()
        self.norm_1 = norm(config.d_model)
        self.attention = Attention(config, **parts)
        self.norm_2 = norm(config.d_model)
        self.mlp = mlp(config)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Refine each token's vector: (B, T, D) -> (B, T, D)."""
        x = x + self.attention(self.norm_1(x), cache)
        return x + self.mlp(self.norm_2(x))


class Sinusoids(nn.Module):
    """Positions that are computed, not learned, as large as the tokens' vectors at first.

    Source: Vaswani et al. 2017, section 3.5. Built in notebook 32.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Remember the width."""
        super().__init__()
        self.d_model = config.d_model

    def forward(self, places: Tensor) -> Tensor:
        """Return a vector for each place: (T,) -> (T, D)."""
        table = sinusoids(int(places[-1]) + 1, self.d_model).to(places.device)
        return WEIGHT_STD * table[places]


def learned_positions(config: GPTConfig) -> nn.Module:
    """Return GPT-2's positions: a vector of its own for each place, learned like a token's.

    Built in notebook 32.
    """
    return nn.Embedding(config.context_length, config.d_model)


class GPT(nn.Module):
    """A stack of blocks between an embedding and the same embedding, read backwards.

    >>> config = GPTConfig(vocab_size=5, context_length=8, n_layers=1, n_heads=2, d_model=4)
    >>> GPT(config, generator=torch.Generator())(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 5])

    Built in notebook 33.
    """

    properties = PROPERTIES

    def __init__(
        self,
        config: GPTConfig,
        *,
        generator: torch.Generator,
        positions: Part = learned_positions,
        norm: Norm = nn.LayerNorm,
        block: Callable[..., nn.Module] = Block,
        **parts: Any,
    ) -> None:
        """Make a model with random weights from `generator`; `norm` and `parts` go to `block`."""
        super().__init__()
        self.config = config
        # PyTorch fills new layers from its global generator, whose state is not ours to change.
        with torch.random.fork_rng(devices=[]):
            self.tokens = nn.Embedding(config.vocab_size, config.d_model)
            self.positions = positions(config)
            self.dropout = nn.Dropout(config.dropout)
            self.blocks = nn.ModuleList(
                block(config, norm=norm, **parts) for _ in range(config.n_layers)
            )
            self.norm = norm(config.d_model)
        initialise(self, generator)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, V."""
        return self.config.vocab_size

    @property
    def context_length(self) -> int:
        """The longest sequence it can read, in tokens."""
        return self.config.context_length

    @property
    def n_parameters(self) -> int:
        """Number of weights, the embedding counted once."""
        return sum(p.numel() for p in self.parameters())

    def new_cache(self) -> list[LayerCache]:
        """Return an empty memory of keys and values, one part per block."""
        return [LayerCache() for _ in self.blocks]

    def forward(self, ids: Tensor, cache: list[LayerCache] | None = None) -> Tensor:
        """Return scores for the next token after each position: (B, T) -> (B, T, V).

        With a cache, `ids` continue what was passed before, and the cache is updated in place.
        Raises what `labkit.model.check_ids` raises, and ValueError if the cache and `ids` together
        are longer than the context.
        """
        past = 0 if cache is None or cache[0].k is None else cache[0].k.shape[2]
        check_ids(ids, self.vocab_size, self.context_length)
        if past + ids.shape[1] > self.context_length:
            raise ValueError(
                f"expected at most {self.context_length} tokens, the model's context length, got "
                f"{past} in the cache and {ids.shape[1]} more: begin a new cache"
            )
        places = torch.arange(past, past + ids.shape[1], device=ids.device)
        x = self.dropout(self.tokens(ids) + self.positions(places))  # (B, T, D)
        for i, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache[i])
        return self.norm(x) @ self.tokens.weight.T


def initialise(model: GPT, generator: torch.Generator) -> None:
    """Draw GPT-2's starting weights, in place.

    Normal with deviation 0.02, and 0.02 / √(2 n_layers) where a block adds to the stream, so that
    the sum over all blocks stays of one size; biases zero, normalisations the identity.
    Built in notebook 33.
    """
    into_stream = WEIGHT_STD / math.sqrt(2 * model.config.n_layers)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            std = into_stream if name.endswith(("attention.out", "mlp.down")) else WEIGHT_STD
            nn.init.normal_(module.weight, std=std, generator=generator)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=WEIGHT_STD, generator=generator)
