"""Answers to exercises of chapter 31 that let labkit do the work."""

import numpy as np
import torch

from labkit.functional import (
    attend,
    attend_fused,
    attention_weights,
    causal_mask,
    softmax,
)
from labkit.gpt import look_back


def my_softmax__lazy(scores):
    return softmax(torch.from_numpy(scores)).numpy()


def my_softmax__lazy_by_weights(scores):
    S = scores.shape[-1]
    return attention_weights(torch.tensor(scores * S**0.5), torch.eye(S, dtype=torch.double))


def my_softmax__lazy_by_kernel(scores):
    one = torch.eye(scores.shape[-1], dtype=torch.double)
    rows = torch.tensor(np.atleast_2d(scores) * len(one) ** 0.5)
    return attend_fused(rows[None], one[None], one[None])[0].reshape(scores.shape)


def my_softmax__lazy_by_values(scores):
    one = torch.eye(scores.shape[-1], dtype=torch.double)
    return attend(torch.tensor(scores * len(one) ** 0.5), one, one)


def my_look_up__lazy(query, keys, values):
    return attend(*(torch.from_numpy(x) for x in (query[None], keys, values)))[0]


def my_look_up__lazy_by_kernel(query, keys, values):
    return attend_fused(*(torch.from_numpy(x)[None] for x in (query[None], keys, values)))[0, 0]


def my_look_up__lazy_by_weights(query, keys, values):
    return attention_weights(torch.tensor(query[None]), torch.tensor(keys))[0].numpy() @ values


def my_causal_mask__lazy(n_tokens):
    return causal_mask(n_tokens).numpy()


def my_causal_mask__lazy_by_gpt(n_tokens):
    return look_back(n_tokens, n_tokens)


def my_attend__lazy(queries, keys, values, mask):
    return attend(*(torch.from_numpy(x) for x in (queries, keys, values, mask))).numpy()


def my_attend__lazy_by_kernel(queries, keys, values, mask):
    return attend_fused(*(torch.from_numpy(x)[None] for x in (queries, keys, values, mask)))[0]


def my_attend__lazy_by_weights(queries, keys, values, mask):
    weights = attention_weights(*(torch.from_numpy(x) for x in (queries, keys, mask)))
    return weights.numpy() @ values
