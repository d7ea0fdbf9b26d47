"""Right answers to the exercises of chapter 12, as different students might write them."""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import coo_matrix


def my_pair_counts__loops(ids, vocab_size):
    table = [[0] * vocab_size for _ in range(vocab_size)]
    for t in range(len(ids) - 1):
        table[ids[t]][ids[t + 1]] += 1
    return table


def my_pair_counts__counter(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), dtype=int)
    for (a, b), n in Counter(pairwise(ids)).items():
        counts[a, b] = n
    return counts


def my_pair_counts__bincount(ids, vocab_size):
    ids = np.asarray(ids)
    keys = vocab_size * ids[:-1] + ids[1:]
    return np.bincount(keys, minlength=vocab_size**2).reshape(vocab_size, vocab_size)


def my_pair_counts__one_hot(ids, vocab_size):
    rows = torch.nn.functional.one_hot(torch.as_tensor(ids), vocab_size).float()
    return rows[:-1].T @ rows[1:]


def my_pair_counts__sparse(ids, vocab_size):
    ones = np.ones(len(ids) - 1)
    return coo_matrix((ones, (ids[:-1], ids[1:])), shape=(vocab_size, vocab_size)).toarray()


def my_pair_counts__eats_its_argument(ids, vocab_size):
    counts = np.zeros((vocab_size, vocab_size), np.uint8)
    after = ids.pop()
    while ids:
        before = ids.pop()
        counts[before][after] += 1
        after = before
    return counts


def my_bits_per_char__numpy(log_probs, n_chars):
    return -np.sum(log_probs) / np.log(2) / n_chars


def my_bits_per_char__loop(log_probs, n_chars):
    nats = 0
    for log_prob in log_probs:
        nats -= log_prob
    bits = nats / math.log(2)
    return bits / n_chars


def my_bits_per_char__log2(log_probs, n_chars):
    return math.fsum(-math.log2(math.exp(x)) for x in log_probs) / n_chars


def my_bits_per_char__torch(log_probs, n_chars):
    return -torch.tensor(log_probs).sum() / math.log(2) / n_chars  # float32, a tensor


def my_longest_copy__two_ends(sample, text):
    best = start = 0
    for end in range(1, len(sample) + 1):
        while sample[start:end] not in text:
            start += 1
        best = max(best, end - start)
    return best


def my_longest_copy__halving(sample, text):
    def occurs(n):
        return any(sample[i : i + n] in text for i in range(len(sample) - n + 1))

    low, high = 0, len(sample)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if occurs(middle) else (low, middle - 1)
    return low


def my_longest_copy__longest_first(sample, text):
    for n in range(len(sample), 0, -1):
        for start in range(len(sample) - n + 1):
            if sample[start : start + n] in text:
                return n
    return 0


def my_longest_copy__sets(sample, text):
    n = 0
    while n < len(sample):
        n += 1
        mine = {sample[i : i + n] for i in range(len(sample) - n + 1)}
        if not any(run in text for run in mine):
            return np.int64(n - 1)
    return n


def my_add_k__numpy(counts, k):
    return (counts + k) / (counts + k).sum(axis=1, keepdims=True)


def my_add_k__loops(counts, k):
    V = len(counts)
    rows = []
    for row in counts:
        total = sum(row) + k * V
        rows.append([(count + k) / total for count in row])
    return rows


def my_add_k__in_place(counts, k):
    counts += k
    counts /= counts.sum(1)[:, None]
    return counts


def my_add_k__torch(counts, k):
    more = torch.tensor(counts).float() + k
    return torch.nn.functional.normalize(more, p=1, dim=1)


def my_add_k__columns(counts, k):
    more = counts.T + k
    return (more / more.sum(axis=0)).T


def my_kneser_ney__rows(counts, discount):
    before = np.count_nonzero(counts, axis=0)
    shorter = before / np.count_nonzero(counts)
    rows = []
    for row in counts:
        if not row.any():
            rows.append(shorter)
            continue
        kept = np.where(row > 0, row - discount, 0)
        rows.append(kept / row.sum() + (1 - kept.sum() / row.sum()) * shorter)
    return rows


def my_kneser_ney__numpy(counts, discount):
    seen = counts > 0
    shorter = seen.sum(0) / seen.sum()
    total = counts.sum(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        long = (counts - discount).clip(min=0) / total
        share = discount * seen.sum(1, keepdims=True) / total
    return np.nan_to_num(long) + np.nan_to_num(share, nan=1) * shorter


def my_kneser_ney__dictionaries(counts, discount):
    pairs = {(a, b): n for (a, b), n in np.ndenumerate(counts) if n}
    after, before = defaultdict(dict), defaultdict(set)
    for (a, b), n in pairs.items():
        after[a][b] = n
        before[b].add(a)
    V = len(counts)
    result = [[0.0] * V for _ in range(V)]
    for a in range(V):
        for b in range(V):
            shorter = len(before[b]) / len(pairs)
            if a not in after:
                result[a][b] = shorter
                continue
            total = sum(after[a].values())
            taken = discount * len(after[a]) / total
            result[a][b] = max(pairs.get((a, b), 0) - discount, 0) / total + taken * shorter
    return result


def my_kneser_ney__torch(counts, discount):
    counts = torch.tensor(counts, dtype=torch.float32)
    seen = (counts > 0).float()
    shorter = seen.mean(dim=0) / seen.mean(dim=0).sum()
    total = counts.sum(dim=1, keepdim=True)
    mixed = torch.relu(counts - discount) + discount * seen.sum(1, keepdim=True) * shorter
    return torch.where(total > 0, mixed / total, shorter)
