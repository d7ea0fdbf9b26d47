"""Answers to exercises of chapter 32 that let labkit do the work."""

from types import SimpleNamespace

import torch

from labkit.functional import rotate
from labkit.gpt import Attention, Block


def my_split_heads__lazy(x, n_heads):
    seen = []
    parts = SimpleNamespace(
        n_heads=n_heads,
        qkv=lambda x: torch.cat([x, x, x], dim=-1),
        turn=None,
        mask=lambda *sizes: None,
        training=False,
        attend=lambda q, *others: seen.append(q) or q,
        out=lambda x: x,
        dropout=lambda x: x,
    )
    Attention.forward(parts, x[None])
    return seen[0][0]


def my_rotate__lazy(x, positions):
    return rotate(x, positions)


def my_block__lazy(x, norm, attention, mlp):
    def attend(x, cache):
        return attention(x)

    parts = SimpleNamespace(norm_1=norm, attention=attend, norm_2=norm, mlp=mlp)
    return Block.forward(parts, x)
