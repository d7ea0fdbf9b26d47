"""GPT-2's architecture, read from bottom to top: attention, feed-forward layer, block, model.

B batch, T time, D model width, H heads, K head width, V vocabulary, F hidden width. The modules own
weights and call `labkit.functional`; they do not train, write or save themselves.
Source: Radford et al. 2019, section 2.3. Built in notebooks 32 and 33.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.cache import Cache, LayerCache
from labkit.functional import attend_fused, causal_mask, gelu, sinusoids
from labkit.model import check_ids

Attend = Callable[..., Tensor]
Mask = Callable[[int, int], Tensor | None]
Turn = Callable[[Tensor, Tensor], Tensor]
Bend = Callable[[Tensor], Tensor]
Norm = Callable[[int], nn.Module]
WEIGHT_STD = 0.02
INTO_STREAM = ("attention.out", "mlp.down")
"""Where a block adds to the residual stream."""
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
    ngram_order: int = 1
    """Length of the longest run of tokens that has a vector of its own; GPT-2 has 1, the token."""
    ngram_rows: int = 16_381
    """Vectors for the runs of each length; a prime number spreads the runs well."""
    ngram_width: int = 32
    """Width of such a vector, before a matrix makes one of width D of all at a place."""

    def __post_init__(self) -> None:
        """Fill in d_ff; raise ValueError where the sizes contradict each other."""
        if self.d_ff == 0:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        for name, value in asdict(self).items():
            if name != "dropout" and value < 1:
                raise ValueError(f"expected {name} of at least 1, got {value}")
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


class Dropout(nn.Dropout):
    """PyTorch's dropout, not even called while it has nothing to do. Built in notebook 32."""

    def forward(self, input: Tensor) -> Tensor:
        """Set a share of the numbers to zero while training: (…) -> (…)."""
        return super().forward(input) if self.training else input


def look_back(n_queries: int, n_keys: int) -> Tensor | None:
    """Return `causal_mask`; None for a single query, which may look at every key anyway.

    Built in notebook 33.
    """
    return None if n_queries == 1 else causal_mask(n_queries, n_keys)


class Attention(nn.Module):
    """Multi-head self-attention: each token takes what it needs from those before it.

    `attend`, `mask` and `turn`, which tells queries and keys their places, such as
    `labkit.functional.rotate`, are arguments, so that a notebook can put in its own.
    Built in notebook 32.
    """

    def __init__(
        self,
        config: GPTConfig,
        *,
        attend: Attend = attend_fused,
        mask: Mask = look_back,
        turn: Turn | None = None,
    ) -> None:
        """Make the weights for queries, keys and values, and for the output."""
        super().__init__()
        self.n_heads = config.n_heads
        self.attend, self.mask, self.turn = attend, mask, turn
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model)
        self.out = nn.Linear(config.d_model, config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """Mix information across time: (B, T, D) -> (B, T, D)."""
        B, T, D = x.shape
        heads = self.qkv(x).view(B, T, 3, self.n_heads, -1).transpose(1, 3)  # (B, H, 3, T, K)
        q, k, v = heads.unbind(2)  # (B, H, T, K)
        if self.turn is not None:
            past = 0 if cache is None else cache.length
            places = torch.arange(past, past + T, device=x.device)
            q, k = self.turn(q, places), self.turn(k, places)
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

    def __init__(self, config: GPTConfig, *, bend: Bend = gelu) -> None:
        """Make the weights up to width F and back to D; `bend` is the non-linearity."""
        super().__init__()
        self.bend = bend
        self.up = nn.Linear(config.d_model, config.d_ff)
        self.down = nn.Linear(config.d_ff, config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Work on each token by itself: (B, T, D) -> (B, T, D)."""
        return self.dropout(self.down(self.bend(self.up(x))))


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


def initialise(model: "GPT", generator: torch.Generator) -> None:
    """Draw GPT-2's starting weights, in place.

    Normal with deviation 0.02, and 0.02 / √(2 n_layers) where a block adds to the stream, so that
    the sum over all blocks stays of one size; biases zero, normalisations the identity.
    Built in notebook 33.
    """
    into_stream = WEIGHT_STD / math.sqrt(2 * model.config.n_layers)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            std = into_stream if name.endswith(INTO_STREAM) else WEIGHT_STD
            nn.init.normal_(module.weight, std=std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=WEIGHT_STD, generator=generator)


class NgramVectors(nn.Module):
    """A vector for the last two tokens together, for the last three, …, from tables of fixed size.

    The row of a run is its number in base V + 1 modulo the number of rows, so several runs may
    share one. What counting knows is looked up, and hardly anything is multiplied.
    Source: Pagnoni et al. 2024, section 3.2.1. Built in notebook 44.
    """

    def __init__(self, config: GPTConfig) -> None:
        """Make a table for each length from 2 on, and a matrix that joins what is found."""
        super().__init__()
        self.base, self.rows = config.vocab_size + 1, config.ngram_rows
        n_tables, width = config.ngram_order - 1, config.ngram_width
        self.tables = nn.ModuleList(nn.Embedding(self.rows, width) for _ in range(n_tables))
        self.join = nn.Linear(n_tables * width, config.d_model)

    def forward(self, ids: Tensor) -> Tensor:
        """Return a vector for the runs that end at each token: (B, T) -> (B, T, D)."""
        number, found, T = ids + 1, [], ids.shape[1]
        for n, table in enumerate(self.tables, start=1):
            earlier = F.pad(ids + 1, (n, 0))[:, :T]  # 0 where there is no earlier token
            number = (number + earlier * pow(self.base, n, self.rows)) % self.rows
            found.append(table(number))
        return self.join(torch.cat(found, dim=-1))


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
        entry: Norm = nn.Identity,
        norm: Norm = nn.LayerNorm,
        head: Part | None = None,
        block: Callable[..., nn.Module] = Block,
        start: Callable[["GPT", torch.Generator], None] = initialise,
        **parts: Any,
    ) -> None:
        """Make a model whose weights `start` draws; `norm` and `parts` go to `block`.

        `entry` is what is done to the sum of a token's vectors before the first block. Without a
        `head`, the table of the tokens' vectors also serves, read backwards, to score them.
        """
        super().__init__()
        self.config = config
        self.parts = {"positions": positions, "entry": entry, "norm": norm, "head": head}
        self.parts |= {"start": start, **parts} | ({} if block is Block else {"block": block})
        # PyTorch fills new layers from its global generator, whose state is not ours to change.
        with torch.random.fork_rng(devices=[]):
            self.tokens = nn.Embedding(config.vocab_size, config.d_model)
            self.positions = positions(config)
            self.ngrams = NgramVectors(config) if config.ngram_order > 1 else None
            self.entry = entry(config.d_model)
            self.dropout = Dropout(config.dropout)
            self.blocks = nn.ModuleList(
                block(config, norm=norm, **parts) for _ in range(config.n_layers)
            )
            self.norm = norm(config.d_model)
            self.head = None if head is None else head(config)
        start(self, generator)

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

    def new_cache(self) -> Cache:
        """Return an empty memory of what is read."""
        return Cache(self.config.n_layers, self.context_length)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """Return scores for the next token after each position: (B, T) -> (B, T, V).

        With a cache, `ids` continue what was passed before, and the cache is updated in place.
        Raises what `labkit.model.check_ids` raises, and ValueError if the cache and `ids` together
        are longer than the context.
        """
        past = 0 if cache is None else cache.length
        check_ids(ids, self.vocab_size, self.context_length)
        if past + ids.shape[1] > self.context_length:
            raise ValueError(
                f"expected at most {self.context_length} tokens, the model's context length, got "
                f"{past} in the cache and {ids.shape[1]} more: begin a new cache"
            )
        places = torch.arange(past, past + ids.shape[1], device=ids.device)
        x = self.tokens(ids) + self.positions(places)  # (B, T, D)
        if self.ngrams is not None:
            T = ids.shape[1]
            seen = ids if cache is None else cache.remember(ids)
            x = x + self.ngrams(seen[:, -(T + self.config.ngram_order - 1) :])[:, -T:]
        x = self.dropout(self.entry(x))
        for i, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache.layers[i])
        x = self.norm(x)
        return x @ self.tokens.weight.T if self.head is None else self.head(x)
