"""Right answers to the exercises of chapter 44, as different students might write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F


def my_updates_until__index(steps, losses, target):
    for i in range(1, len(steps)):
        if losses[i] <= target:
            share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
            return steps[i - 1] + share * (steps[i] - steps[i - 1])
    return float("inf")


def my_updates_until__numpy(steps, losses, target):
    there = np.flatnonzero(np.array(losses) <= target)
    if not there.size:
        return np.inf
    i = there[0]
    return np.interp(-target, [-losses[i - 1], -losses[i]], steps[i - 1 : i + 1])


def my_updates_until__while(steps, losses, target):
    i = 0
    while losses[i] > target:
        i += 1
        if i == len(losses):
            return math.inf
    if losses[i] == target:
        return steps[i]  # a whole number
    slope = (losses[i] - losses[i - 1]) / (steps[i] - steps[i - 1])
    return steps[i] - (losses[i] - target) / slope


def my_updates_until__recursion(steps, losses, target):
    if len(losses) == 1:
        return math.inf
    if losses[1] > target:
        return my_updates_until__recursion(steps[1:], losses[1:], target)
    part = (losses[0] - target) / (losses[0] - losses[1])
    return (1 - part) * steps[0] + part * steps[1]


def my_updates_until__float32(steps, losses, target):
    steps, losses = torch.tensor(steps), torch.tensor(losses)
    reached = (losses <= target).nonzero()
    if len(reached) == 0:
        return torch.inf
    i = reached[0, 0]
    share = (losses[i - 1] - target) / (losses[i - 1] - losses[i])
    return torch.lerp(steps[i - 1].float(), steps[i].float(), share)


def my_rms_norm__mean_square(x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True))


def my_rms_norm__library(x):
    return F.rms_norm(x, (x.shape[-1],))


def my_rms_norm__length(x):
    return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1])


def my_rms_norm__numpy(x):
    x = x.numpy()
    return x / np.sqrt(np.mean(x**2, axis=-1))[..., np.newaxis]


def my_rms_norm__recursion(x):
    if x.ndim > 1:
        return torch.stack([my_rms_norm__recursion(part) for part in x])
    mean_square = sum(number**2 for number in x.tolist()) / len(x)
    return x.float() / math.sqrt(mean_square)


def my_rms_norm__in_place(x):
    x /= (x**2).mean(dim=-1, keepdim=True) ** 0.5
    return x


def my_rows__runs(ids, n, base, rows):
    padded = [0] * (n - 1) + [i + 1 for i in ids]
    result = []
    for end in range(len(ids)):
        number = 0
        for digit in padded[end : end + n]:
            number = number * base + digit
        result.append(number % rows)
    return result


def my_rows__rolling(ids, n, base, rows):
    number, result = 0, []
    for i in ids:
        number = (number * base + i + 1) % base**n
        result.append(number % rows)
    return tuple(result)


def my_rows__numpy(ids, n, base, rows):
    digits = np.concatenate([np.zeros(n - 1, dtype=np.int64), np.array(ids) + 1])
    runs = np.lib.stride_tricks.sliding_window_view(digits, n)
    return (runs @ base ** np.arange(n - 1, -1, -1)) % rows


def my_rows__remainders(ids, n, base, rows):
    result = []
    for place in range(len(ids)):
        row = 0
        for j in range(min(n, place + 1)):
            row += (ids[place - j] + 1) * pow(base, j, rows)
        result.append(row % rows)
    return result


def my_rows__torch(ids, n, base, rows):
    number = torch.zeros(len(ids), dtype=torch.long)
    for j in range(n):
        earlier = F.pad(torch.tensor(ids) + 1, (j, 0))[: len(ids)]
        number += earlier * base**j
    return number % rows


def my_orthogonal__loop(matrix, rounds):
    x = matrix / torch.sqrt((matrix**2).sum())
    for _ in range(rounds):
        x = 3 / 2 * x - x @ x.T @ x / 2
    return x


def my_orthogonal__singular_values(matrix, rounds):
    U, S, Vt = torch.linalg.svd(matrix, full_matrices=False)
    S = S / torch.linalg.norm(S)
    for _ in range(rounds):
        S = 1.5 * S - 0.5 * S**3
    return U @ torch.diag(S) @ Vt


def my_orthogonal__numpy(matrix, rounds):
    x = matrix.numpy() / np.linalg.norm(matrix)
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * np.linalg.multi_dot([x, x.T, x])
    return x


def my_orthogonal__recursion(matrix, rounds):
    if rounds == 0:
        return matrix / matrix.norm()
    x = my_orthogonal__recursion(matrix, rounds - 1)
    return (1.5 * torch.eye(len(x)) - 0.5 * (x @ x.mT)) @ x


def my_orthogonal__other_side(matrix, rounds):
    matrix /= matrix.norm()
    for _ in range(rounds):
        matrix = 1.5 * matrix - 0.5 * matrix @ (matrix.T @ matrix)
    return matrix


def my_orthogonal__fused(matrix, rounds):
    x = F.normalize(matrix, dim=(0, 1))
    for _ in range(rounds):
        x = torch.addmm(x, x @ x.T, x, beta=1.5, alpha=-0.5)
    return x
