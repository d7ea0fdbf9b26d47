"""Answers to exercises of chapter 44 that let labkit do the work."""

from types import SimpleNamespace

import torch

from labkit.functional import rms_norm
from labkit.gpt import NgramVectors


def my_rms_norm__lazy(x):
    return rms_norm(x, eps=0.0)


def my_rows__lazy(ids, n, base, rows):
    seen = []
    tables = [lambda number: seen.append(number) or number[..., None]] * (n - 1)
    parts = SimpleNamespace(base=base, rows=rows, tables=tables, join=lambda x: x)
    NgramVectors.forward(parts, torch.tensor([ids]))
    return seen[-1][0].tolist()
