"""Right answers to the exercises of chapter 31, as different students might write them."""

import math

import numpy as np
import scipy.special
import torch
import torch.nn.functional as F


def my_softmax__numpy(scores):
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def my_softmax__scipy(scores):
    return scipy.special.softmax(scores, axis=-1)


def my_softmax__torch(scores):
    return torch.from_numpy(scores).softmax(dim=-1)


def my_softmax__loops(scores):
    if scores.ndim == 2:
        return [my_softmax__loops(row) for row in scores]
    most = max(scores)
    raised = [math.exp(s - most) for s in scores]
    total = sum(raised)
    return [r / total for r in raised]


def my_softmax__in_place(scores):
    scores -= scores.max(-1)[..., None]
    np.exp(scores, out=scores)
    scores /= scores.sum(-1)[..., None]
    return scores


def my_softmax__logarithm(scores):
    return np.exp(scores - np.logaddexp.reduce(scores, axis=-1, keepdims=True))


def my_softmax__float32(scores):
    return torch.tensor(scores, dtype=torch.float32).softmax(-1)


def softmax(row):
    e = np.exp(row - row.max())
    return e / e.sum()


def my_look_up__three_lines(query, keys, values):
    scores = keys @ query / np.sqrt(query.shape[0])
    weights = softmax(scores)
    return weights @ values


def my_look_up__average(query, keys, values):
    fits = np.exp(np.array([np.dot(query, key) for key in keys]) / len(query) ** 0.5)
    return np.average(values, axis=0, weights=fits)


def my_look_up__torch(query, keys, values):
    query, keys, values = (torch.tensor(x)[None] for x in (query, keys, values))
    return F.scaled_dot_product_attention(query[None], keys, values)[0, 0]


def my_look_up__loops(query, keys, values):
    K, M = len(query), len(values[0])
    total, answer = 0.0, [0.0] * M
    for key, value in zip(keys, values, strict=True):
        weight = math.exp(sum(q * k for q, k in zip(query, key, strict=True)) / math.sqrt(K))
        total += weight
        for m in range(M):
            answer[m] += weight * value[m]
    return [number / total for number in answer]


def my_look_up__float32(query, keys, values):
    query, keys, values = (
        torch.FloatTensor(query),
        torch.FloatTensor(keys),
        torch.FloatTensor(values),
    )
    return torch.softmax(keys @ query / len(query) ** 0.5, dim=0) @ values


def my_causal_mask__compare(n_tokens):
    i = np.arange(n_tokens)
    return i[:, None] >= i[None, :]


def my_causal_mask__triangle(n_tokens):
    return np.tril(np.ones((n_tokens, n_tokens), dtype=bool))


def my_causal_mask__lists(n_tokens):
    return [[j <= i for j in range(n_tokens)] for i in range(n_tokens)]


def my_causal_mask__torch(n_tokens):
    return ~torch.ones(n_tokens, n_tokens, dtype=torch.bool).triu(diagonal=1)


def my_causal_mask__loop(n_tokens):
    mask = np.full((n_tokens, n_tokens), False)
    for i in range(n_tokens):
        mask[i, : i + 1] = True
    return mask


def my_attend__where(queries, keys, values, mask):
    fits = queries @ keys.T / np.sqrt(queries.shape[1])
    fits = np.where(mask, fits, -np.inf)
    raised = np.exp(fits - fits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True) @ values


def my_attend__only_allowed_keys(queries, keys, values, mask):
    outputs = []
    for query, allowed in zip(queries, mask, strict=True):
        weights = softmax(keys[allowed] @ query / math.sqrt(len(query)))
        outputs.append(weights @ values[allowed])
    return outputs


def my_attend__torch(queries, keys, values, mask):
    q, k, v, mask = map(torch.from_numpy, (queries, keys, values, mask))
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask)[0].numpy()


def my_attend__very_negative(queries, keys, values, mask):
    fits = np.einsum("tk,sk->ts", queries, keys) / math.sqrt(queries.shape[1])
    fits[~mask] = -1e9
    return np.einsum("ts,sk->tk", scipy.special.softmax(fits, axis=-1), values)


def my_attend__masked_sums(queries, keys, values, mask):
    raised = np.exp(queries @ keys.T / math.sqrt(keys.shape[1])) * mask
    return (raised @ values) / raised.sum(1)[:, None]


def my_attend__float32(queries, keys, values, mask):
    q, k, v = (torch.from_numpy(x).float() for x in (queries, keys, values))
    scores = (q @ k.T / q.shape[1] ** 0.5).masked_fill(~torch.from_numpy(mask), -torch.inf)
    return scores.softmax(dim=1) @ v


def my_multiplications__formula(n_tokens, width, causal):
    if causal:
        return n_tokens * (n_tokens + 1) * width
    return 2 * n_tokens * n_tokens * width


def my_multiplications__loop(n_tokens, width, causal):
    count = 0
    for i in range(n_tokens):
        looks = i + 1 if causal else n_tokens
        count += looks * width  # scores
        count += looks * width  # weighted mean
    return count


def my_multiplications__division(n_tokens, width, causal):
    pairs = (n_tokens**2 + n_tokens) / 2 if causal else n_tokens**2
    return 2 * width * pairs  # a float


def my_multiplications__mask(n_tokens, width, causal):
    mask = np.ones((n_tokens, n_tokens), bool)
    if causal:
        mask = np.tril(mask)
    return mask.sum() * 2 * width


def my_causal_mask__rows(n_tokens):
    return [torch.arange(n_tokens) <= i for i in range(n_tokens)]
