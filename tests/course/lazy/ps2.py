"""Answers to exercises of problem set 2 that let labkit do the work."""

from types import SimpleNamespace

import torch

from labkit.functional import attend, attend_fused, attention_weights
from labkit.gpt import Attention
from viewers.heads import induction_mask, scores_of_heads


def window_of(n_new, n_all, window):
    back = torch.arange(n_all - n_new, n_all)[:, None] - torch.arange(n_all)
    return (back >= 0) & (back < window)


def heads(x, matrix, n_heads):
    return (x @ matrix).unflatten(2, (n_heads, -1)).transpose(1, 2)


def read(x, kept, weights, window, look):
    keys, values = kept
    q, k, v = (heads(x, matrix, keys.shape[1]) for matrix in weights[:3])
    k, v = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
    mask = window_of(x.shape[1], k.shape[2], window)
    out = look(q, k, v, mask).transpose(1, 2).flatten(2) @ weights[3]
    first = max(0, k.shape[2] - window + 1)
    return out, k[:, :, first:], v[:, :, first:]


def nothing_before(x, n_heads):
    return x.new_zeros(len(x), n_heads, 0, x.shape[2] // n_heads)


def weigh(q, k, v, mask):
    return attention_weights(q, k, mask) @ v


def through_attention(x, weights, n_heads, window, cache=None):
    def look(q, k, v, mask):
        scores = q @ k.mT / q.shape[-1] ** 0.5
        return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1) @ v

    parts = SimpleNamespace(
        n_heads=n_heads,
        qkv=lambda x: x @ torch.cat([*weights[:3]], dim=1),
        turn=None,
        mask=lambda n_new, n_all: window_of(n_new, n_all, window),
        training=False,
        attend=look,
        out=lambda rows: rows @ weights[3],
        dropout=lambda rows: rows,
    )
    return Attention.forward(parts, x, cache)


def my_windowed_heads__attend(x, weights, n_heads, window):
    none = nothing_before(x, n_heads)
    return read(x, (none, none), weights, window, attend)[0]


def my_windowed_heads__fused(x, weights, n_heads, window):
    none = nothing_before(x, n_heads)
    return read(x, (none, none), weights, window, attend_fused)[0]


def my_windowed_heads__weights(x, weights, n_heads, window):
    none = nothing_before(x, n_heads)
    return read(x, (none, none), weights, window, weigh)[0]


def my_windowed_heads__attention(x, weights, n_heads, window):
    return through_attention(x, weights, n_heads, window)


def my_read_on__attend(x, keys, values, weights, window):
    return read(x, (keys, values), weights, window, attend)


def my_read_on__fused(x, keys, values, weights, window):
    return read(x, (keys, values), weights, window, attend_fused)


def my_read_on__weights(x, keys, values, weights, window):
    return read(x, (keys, values), weights, window, weigh)


def my_read_on__attention(x, keys, values, weights, window):
    kept = []

    def extend(k, v):
        kept[:] = torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2)
        return kept

    cache = SimpleNamespace(length=keys.shape[2], extend=extend)
    out = through_attention(x, weights, keys.shape[1], window, cache)
    first = max(0, kept[0].shape[2] - window + 1)
    return out, kept[0][:, :, first:], kept[1][:, :, first:]


def my_induction_scores__viewer(weights, tokens):
    return scores_of_heads(weights, [str(token) for token in tokens])["induction"]


def my_induction_scores__mask(weights, tokens):
    followed = induction_mask([str(token) for token in tokens])
    return (weights * followed).sum(axis=(2, 3)) / followed.any(axis=1).sum()
