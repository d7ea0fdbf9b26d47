"""Right answers to the exercises of chapter 32, as different students might write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def my_split_heads__view(x, n_heads):
    T, D = x.shape
    return x.view(T, n_heads, D // n_heads).transpose(0, 1)


def my_split_heads__slices(x, n_heads):
    K = x.shape[1] // n_heads
    return torch.stack([x[:, h * K : (h + 1) * K] for h in range(n_heads)])


def my_split_heads__filled(x, n_heads):
    T, D = x.shape
    K = D // n_heads
    heads = torch.zeros(n_heads, T, K)
    for h in range(n_heads):
        for t in range(T):
            heads[h, t] = x[t, h * K : (h + 1) * K]
    return heads


def my_split_heads__numpy(x, n_heads):
    return np.array(np.split(x.numpy(), n_heads, axis=1))


def my_split_heads__lists(x, n_heads):
    return [piece.tolist() for piece in x.chunk(n_heads, dim=-1)]


def my_split_heads__rows(x, n_heads):
    return torch.stack([row.reshape(n_heads, -1) for row in x], dim=1)


def my_rotate__halves(x, positions):
    half = x.shape[-1] // 2
    angles = positions[:, None] / 10_000 ** (torch.arange(half) / half)
    a, b = x[:, :half], x[:, half:]
    return torch.cat(
        [a * angles.cos() - b * angles.sin(), b * angles.cos() + a * angles.sin()], dim=1
    )


def my_rotate__loops(x, positions):
    T, K = x.shape
    result = torch.zeros(T, K)
    for t in range(T):
        for m in range(K // 2):
            angle = float(positions[t]) * 10_000 ** (-2 * m / K)
            a, b = x[t, m], x[t, m + K // 2]
            result[t, m] = a * math.cos(angle) - b * math.sin(angle)
            result[t, m + K // 2] = a * math.sin(angle) + b * math.cos(angle)
    return result


def my_rotate__complex(x, positions):
    pairs = np.stack(np.split(x.numpy(), 2, axis=1))
    speeds = 10_000.0 ** (-np.arange(pairs.shape[-1]) / pairs.shape[-1])
    turned = (pairs[0] + 1j * pairs[1]) * np.exp(1j * np.outer(positions, speeds))
    return np.hstack([turned.real, turned.imag])


def my_rotate__matrices(x, positions):
    K = x.shape[1]
    rows = []
    for row, place in zip(x, positions, strict=True):
        turn = torch.zeros(K, K)
        for m in range(K // 2):
            angle = place * 10_000 ** (-2 * m / K)
            turn[m, m] = turn[m + K // 2, m + K // 2] = torch.cos(angle)
            turn[m, m + K // 2] = -torch.sin(angle)
            turn[m + K // 2, m] = torch.sin(angle)
        rows.append(turn @ row)
    return torch.stack(rows)


def my_fold__cat(up, up_bias, down, down_bias):
    bias = down @ up_bias + down_bias
    return torch.cat((down @ up, bias.unsqueeze(1)), dim=-1)


def my_fold__filled(up, up_bias, down, down_bias):
    D = up.shape[1]
    result = torch.empty(D, D + 1)
    result[:, :D] = torch.matmul(down, up)
    result[:, D] = torch.mv(down, up_bias) + down_bias
    return result


def my_fold__probed(up, up_bias, down, down_bias):
    def both(x):
        return F.linear(F.linear(x, up, up_bias), down, down_bias)

    D = up.shape[1]
    zero = both(torch.zeros(D))
    columns = [both(torch.eye(D)[i]) - zero for i in range(D)]
    return torch.stack([*columns, zero], dim=1)


def my_fold__loops(up, up_bias, down, down_bias):
    F_, D = up.shape
    rows = []
    for i in range(D):
        row = [sum(down[i, f] * up[f, j] for f in range(F_)) for j in range(D)]
        row.append(down_bias[i] + sum(down[i, f] * up_bias[f] for f in range(F_)))
        rows.append(row)
    return torch.tensor(rows)


def my_fold__numpy(up, up_bias, down, down_bias):
    up, up_bias, down, down_bias = map(np.asarray, (up, up_bias, down, down_bias))
    wide = np.column_stack([up, up_bias])
    wide = down @ wide
    wide[:, -1] += down_bias
    return wide


def my_block__two_lines(x, norm, attention, mlp):
    x = x + attention(norm(x))
    return x + mlp(norm(x))


def my_block__named_steps(x, norm, attention, mlp):
    taken = attention(norm(x))
    stream = torch.add(taken, x)
    thought = mlp(norm(stream))
    return thought + stream


def my_block__in_place(x, norm, attention, mlp):
    x += attention(norm(x))
    x += mlp(norm(x))
    return x


def my_block__loop(x, norm, attention, mlp):
    for layer in (attention, mlp):
        x = x + layer(norm(x))
    return x


def my_block__recursion(x, norm, *layers):
    if not layers:
        return x
    first, *rest = layers
    return my_block__recursion(x + first(norm(x)), norm, *rest)
