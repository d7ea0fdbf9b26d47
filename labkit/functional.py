"""The mathematics of a Transformer as pure functions, each with its shapes.

B batch, T time (of queries), S time (of keys), D model width, H heads, K head width, V vocabulary;
`…` stands for any leading dimensions. No function here owns a weight or draws a random number.
Those that PyTorch has in one fast piece call it; the notebooks derive them step by step.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Drop = Callable[[Tensor], Tensor]


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Turn numbers into positive shares that sum to one, exp(x) / Σ exp(x): (…) -> (…).

    >>> softmax(torch.tensor([0.0, math.log(3.0)]))
    tensor([0.2500, 0.7500])

    Built in notebook 31.
    """
    return F.softmax(x, dim=dim)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean surprise -log softmax(logits)[target], in nats: (…, V), (…) -> ().

    >>> cross_entropy(torch.zeros(3, 4), torch.tensor([0, 1, 2])).exp()
    tensor(4.)

    Built in notebook 31.
    """
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Give each vector mean 0 and variance 1, then scale and shift it: (…, D) -> (…, D).

    >>> layer_norm(torch.tensor([1.0, 3.0]), torch.ones(2), torch.zeros(2)).round(decimals=3)
    tensor([-1.,  1.])

    Source: Ba et al. 2016. Built in notebook 32.
    """
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x: Tensor, eps: float = 1e-6) -> Tensor:
    """Give each vector the mean square 1, without a mean to subtract: (…, D) -> (…, D).

    >>> rms_norm(torch.tensor([1.0, 7.0])).round(decimals=3)
    tensor([0.2000, 1.4000])

    Source: Zhang & Sennrich 2019. Built in notebook 44.
    """
    return F.rms_norm(x, x.shape[-1:], eps=eps)


def gelu(x: Tensor) -> Tensor:
    """Let large numbers through and small ones not, smoothly: (…) -> (…).

    The approximation by tanh that GPT-2 uses. Source: Hendrycks & Gimpel 2016, section 2.

    >>> gelu(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([-0.0036,  0.0000,  2.9964])

    Built in notebook 32.
    """
    return F.gelu(x, approximate="tanh")


def squared_relu(x: Tensor) -> Tensor:
    """Square what is positive and drop the rest: (…) -> (…).

    >>> squared_relu(torch.tensor([-3.0, 0.5, 3.0]))
    tensor([0.0000, 0.2500, 9.0000])

    Source: So et al. 2021, section 4.2. Built in notebook 44.
    """
    return F.relu(x).square()


def causal_mask(n_queries: int, n_keys: int | None = None) -> Tensor:
    """Say which keys each query may look at, itself and what came before: (T, S), boolean.

    With fewer queries than keys, the queries are the last of the sequence.
    Raises ValueError for fewer keys than queries.

    >>> causal_mask(2, 3).int()
    tensor([[1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)

    Built in notebook 31.
    """
    n_keys = n_queries if n_keys is None else n_keys
    if n_keys < n_queries:
        raise ValueError(f"expected at least {n_queries} keys, one per query, got {n_keys}")
    return torch.ones(n_queries, n_keys, dtype=torch.bool).tril(n_keys - n_queries)


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return how much each query takes from each key: (…, T, K), (…, S, K) -> (…, T, S).

    Where `mask`, broadcast to (…, T, S), is False the weight is zero; each
    query needs one key that it may look at. Built in notebook 31.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return softmax(scores)


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, drop: Drop | None = None
) -> Tensor:
    """Return for each query the mean of all values, weighted by how well their keys fit.

    o_i = Σ_j α_ij v_j: (…, T, K), (…, S, K), (…, S, K) -> (…, T, K). `drop` is applied to the
    weights α. Source: Vaswani et al. 2017, equation 1. Built in notebook 31.
    """
    weights = attention_weights(q, k, mask)
    return (weights if drop is None else drop(weights)) @ v


def attend_fused(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, drop: Drop | None = None
) -> Tensor:
    """Return what `attend` returns, by PyTorch's kernel that never stores the weights.

    (…, T, K), (…, S, K), (…, S, K) -> (…, T, K). With `drop` there have to be weights to drop, so
    `attend` does it. Built in notebook 31.
    """
    if drop is not None:
        return attend(q, k, v, mask, drop)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def sinusoids(n_positions: int, width: int) -> Tensor:
    """Return fixed vectors for positions, sines and cosines of falling frequency: (T, D).

    Even columns hold sines, odd ones cosines. Source: Vaswani et al. 2017, section 3.5.
    Raises ValueError for an odd width. Built in notebook 32.
    """
    if width % 2:
        raise ValueError(f"expected an even width, a sine and a cosine each, got {width}")
    frequency = 10_000 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(n_positions)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Turn pairs of numbers by angles that grow with the position: (…, T, K), (T,) -> (…, T, K).

    The pair (x_i, x_{i + K/2}) turns by position · 10000^(-2i/K), so that the dot product of two
    rotated vectors depends on how far apart they stand, not on where.
    Source: Su et al. 2021, section 3.2. Raises ValueError for an odd width.

    >>> rotate(torch.tensor([[1.0, 0.0]]), torch.tensor([math.pi / 2])).abs().round(decimals=3)
    tensor([[0., 1.]])

    Built in notebook 32.
    """
    K = x.shape[-1]
    if K % 2:
        raise ValueError(f"expected an even width, pairs of numbers to turn, got {K}")
    frequency = 10_000 ** (-torch.arange(0, K, 2, device=x.device) / K)
    angle = positions[:, None] * frequency  # (T, K / 2)
    cos, sin = angle.cos(), angle.sin()
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def rotate_normalised(x: Tensor, positions: Tensor) -> Tensor:
    """Return what `rotate` makes of vectors of mean square 1: (…, T, K), (T,) -> (…, T, K).

    As `turn` of an attention, no score can then exceed √K, however large the weights grow.
    Source: Henry et al. 2020 (normalised queries and keys). Built in notebook 44.
    """
    return rotate(rms_norm(x), positions)
