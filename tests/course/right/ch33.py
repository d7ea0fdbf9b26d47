"""Right answers to the exercises of chapter 33, as different students might write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def my_count_parameters__formula(config):
    V, T, L = config.vocab_size, config.context_length, config.n_layers
    D, F_ = config.d_model, config.d_ff
    return V * D + T * D + L * (4 * D * D + 2 * D * F_ + 9 * D + F_) + 2 * D


def my_count_parameters__shapes(config):
    D, F_ = config.d_model, config.d_ff
    block = [(D,), (D,), (3 * D, D), (3 * D,), (D, D), (D,), (D,), (D,)]
    block += [(F_, D), (F_,), (D, F_), (D,)]
    shapes = [(config.vocab_size, D), (config.context_length, D)]
    for _ in range(config.n_layers):
        shapes.extend(block)
    shapes += [(D,), (D,)]
    return sum(math.prod(shape) for shape in shapes)


def my_count_parameters__numpy(config):
    D, F_ = config.d_model, config.d_ff
    inputs = np.array([D, D, D, F_])
    outputs = np.array([3 * D, D, F_, D])
    block = (inputs * outputs + outputs).sum() + 4 * D
    outside = np.dot([config.vocab_size, config.context_length, 2], [D, D, D])
    return config.n_layers * block + outside


def my_count_parameters__library(config):
    D = config.d_model
    parts = [nn.Embedding(config.vocab_size, D), nn.Embedding(config.context_length, D)]
    parts += [
        nn.TransformerEncoderLayer(D, nhead=1, dim_feedforward=config.d_ff)
        for _ in range(config.n_layers)
    ]
    parts.append(nn.LayerNorm(D))
    return sum(weight.numel() for part in parts for weight in part.parameters())


def my_forward_flops__formula(config):
    T, D, F_ = config.context_length, config.d_model, config.d_ff
    block = 2 * T * (4 * D**2 + 2 * D * F_) + 4 * T**2 * D
    return config.n_layers * block + 2 * T * D * config.vocab_size


def product(rows, inner, columns):
    return 2 * rows * inner * columns


def my_forward_flops__products(config):
    T, D = config.context_length, config.d_model
    flops = 0
    for _ in range(config.n_layers):
        for _ in range(4):  # queries, keys, values and what comes out
            flops += product(T, D, D)
        for _ in range(config.n_heads):
            flops += product(T, D // config.n_heads, T) + product(T, T, D // config.n_heads)
        flops += product(T, D, config.d_ff) + product(T, config.d_ff, D)
    return flops + product(T, D, config.vocab_size)


def my_forward_flops__per_token(config):
    T, D = config.context_length, config.d_model
    matrices = config.n_layers * (4 * D**2 + 2 * D * config.d_ff) + D * config.vocab_size
    attention = config.n_layers * 2 * T * D
    return 2.0 * T * (matrices + attention)  # a float


def my_next_token_loss__gather(logits, ids):
    log_probs = logits.log_softmax(dim=-1)[:, :-1]
    chosen = torch.gather(log_probs, 2, ids[:, 1:].unsqueeze(-1))
    return -chosen.mean()


def my_next_token_loss__cross_entropy(logits, ids):
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:]).item()


def my_next_token_loss__loops(logits, ids):
    surprises = []
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1] - 1):
            probs = torch.softmax(logits[b, t], dim=0)
            surprises.append(-math.log(probs[ids[b, t + 1]]))
    return sum(surprises) / len(surprises)


def my_next_token_loss__numpy(logits, ids):
    scores, targets = logits.numpy()[:, :-1], ids.numpy()[:, 1:]
    right = np.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    return (np.log(np.exp(scores).sum(axis=-1)) - right).mean()


def my_next_token_loss__filled(logits, ids):
    B, T, V = logits.shape
    losses = torch.zeros(B, T - 1)
    right = torch.zeros(B, T, V)
    for b in range(B):
        right[b] = torch.eye(V)[ids[b]]
        losses[b] = -(logits[b].log_softmax(1)[:-1] * right[b, 1:]).sum(1)
    return losses.mean()


def my_next_token_loss__one_hot(logits, ids):
    following = F.one_hot(ids[:, 1:], logits.shape[-1]).float()
    right = torch.einsum("btv,btv->", logits[:, :-1].log_softmax(-1), following)
    return -right / following.sum()
