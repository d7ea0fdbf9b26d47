"""Right answers to the exercise of chapter 00, as different students might write them."""

import math
from statistics import fmean

import numpy as np
import torch


def my_mean_bits__loop(probs):
    total = 0
    for p in probs:
        total += math.log2(1 / p)
    return total / len(probs)


def my_mean_bits__numpy(probs):
    return -np.log2(probs).mean()  # an np.float64


def my_mean_bits__torch(probs):
    return -torch.tensor(probs).log2().mean().item()  # float32 inside


def my_mean_bits__statistics(probs):
    return fmean(-math.log(p) / math.log(2) for p in probs)


def my_mean_bits__recursion(probs):
    if len(probs) == 1:
        return -math.log2(probs[0])
    half = len(probs) // 2
    left, right = probs[:half], probs[half:]
    together = my_mean_bits__recursion(left) * half
    together += my_mean_bits__recursion(right) * len(right)
    return together / len(probs)


def my_mean_bits__eats_its_argument(probs):
    n, total = len(probs), 0.0
    while probs:
        total -= math.log2(probs.pop())
    return total / n
