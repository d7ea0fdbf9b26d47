"""What a GPT keeps of the tokens it has read, so that none is computed twice.

B batch, T new tokens, S all tokens, H heads, K head width. Memory is taken once, for a whole
context, so that a step costs what its own tokens cost. Built in notebook 33.
"""

import torch
from torch import Tensor


class LayerCache:
    """The keys and values that one block has computed so far. Built in notebook 33."""

    def __init__(self, capacity: int) -> None:
        """Start empty; there will be room for `capacity` tokens."""
        self.capacity, self.length = capacity, 0
        self.k = self.v = torch.empty(0)

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append along time and return all: (B, H, T, K) each -> (B, H, S, K) each."""
        B, H, T, K = k.shape
        if self.length == 0:
            self.k, self.v = (k.new_empty(B, H, self.capacity, K) for _ in "kv")
        new = slice(self.length, self.length + T)
        self.k[:, :, new], self.v[:, :, new] = k, v
        self.length += T
        return self.k[:, :, : self.length], self.v[:, :, : self.length]

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these rows of the batch, in this order. Built in notebook 43."""
        self.k, self.v = self.k[rows], self.v[rows]


class Cache:
    """The memory of a whole model: one part for each block, and the ids. Built in notebook 33."""

    def __init__(self, n_layers: int, capacity: int) -> None:
        """Start empty; there will be room for `capacity` tokens."""
        self.layers = [LayerCache(capacity) for _ in range(n_layers)]
        self.ids = torch.empty(1, 0, dtype=torch.long)

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return self.layers[0].length

    def remember(self, ids: Tensor) -> Tensor:
        """Append ids and return all: (B, T) -> (B, S)."""
        self.ids = torch.cat([self.ids, ids], dim=1) if self.length else ids
        return self.ids

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these rows of the batch, in this order. Built in notebook 43."""
        self.ids = self.ids[rows] if self.ids.shape[1] else self.ids
        for layer in self.layers:
            layer.keep_rows(rows)
