"""Right answers to the exercises of chapter 53, as different students might write them."""

import math
from collections import Counter
from functools import cache

import numpy as np
import torch


def my_clipped_matches__counter(candidate, reference, n):
    def runs(words):
        return Counter(zip(*(words[i:] for i in range(n)), strict=False))

    mine = runs(candidate)
    return sum((mine & runs(reference)).values()), sum(mine.values())


def my_clipped_matches__crossing_out(candidate, reference, n):
    left = [reference[i : i + n] for i in range(len(reference) - n + 1)]
    total = max(len(candidate) - n + 1, 0)
    matches = 0
    for i in range(total):
        if candidate[i : i + n] in left:
            left.remove(candidate[i : i + n])
            matches += 1
    return [matches, total]


def my_clipped_matches__array(candidate, reference, n):
    mine = [" ".join(candidate[i : i + n]) for i in range(len(candidate) - n + 1)]
    theirs = [" ".join(reference[i : i + n]) for i in range(len(reference) - n + 1)]
    return np.array([sum(min(mine.count(r), theirs.count(r)) for r in set(mine)), len(mine)])


def my_brevity_penalty__branches(candidate_length, reference_length):
    if candidate_length == 0:
        return 0
    if candidate_length >= reference_length:
        return 1
    return math.e ** (1 - reference_length / candidate_length)


def my_brevity_penalty__minimum(candidate_length, reference_length):
    with np.errstate(divide="ignore"):
        return np.exp(min(0, 1 - np.divide(reference_length, candidate_length)))


def my_bleu__logs(candidates, references):
    matches, totals = Counter(), Counter()
    for said, right in zip(candidates, references, strict=True):
        for n in range(1, 5):
            mine = Counter(tuple(said[i : i + n]) for i in range(len(said) - n + 1))
            theirs = Counter(tuple(right[i : i + n]) for i in range(len(right) - n + 1))
            matches[n] += sum((mine & theirs).values())
            totals[n] += sum(mine.values())
    if min(matches[n] for n in range(1, 5)) == 0:
        return 0.0
    c, r = sum(map(len, candidates)), sum(map(len, references))
    mean = sum(math.log(matches[n] / totals[n]) for n in range(1, 5)) / 4
    return 100 * min(1, math.exp(1 - r / c)) * math.exp(mean)


def my_bleu__product(candidates, references):
    product = 1.0
    for n in range(1, 5):
        matches = total = 0
        for said, right in zip(candidates, references, strict=True):
            left = [right[i : i + n] for i in range(len(right) - n + 1)]
            for i in range(len(said) - n + 1):
                total += 1
                if said[i : i + n] in left:
                    matches += 1
                    left.remove(said[i : i + n])
        product *= matches / total if total else 0
    c, r = sum(len(text) for text in candidates), sum(len(text) for text in references)
    penalty = 1 if c >= r else math.exp(1 - r / c) if c else 0
    return 100 * penalty * product**0.25


def my_bleu__sacrebleu(candidates, references):
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    return metric.corpus_score(
        [" ".join(text) for text in candidates], [[" ".join(text) for text in references]]
    ).score


def my_rouge_l__table(candidate, reference):
    table = np.zeros((len(candidate) + 1, len(reference) + 1), int)
    for i, mine in enumerate(candidate):
        for j, theirs in enumerate(reference):
            best = max(table[i, j + 1], table[i + 1, j])
            table[i + 1, j + 1] = table[i, j] + 1 if mine == theirs else best
    common = table[-1, -1]
    if common == 0:
        return 0.0
    precision, recall = common / len(candidate), common / len(reference)
    return 2 * precision * recall / (precision + recall)


def my_rouge_l__recursion(candidate, reference):
    @cache
    def common(i, j):
        if i == len(candidate) or j == len(reference):
            return 0
        if candidate[i] == reference[j]:
            return 1 + common(i + 1, j + 1)
        return max(common(i + 1, j), common(i, j + 1))

    return torch.tensor(2.0) * common(0, 0) / (len(candidate) + len(reference))


def my_rouge_l__edits(candidate, reference):
    row = list(range(len(reference) + 1))  # insertions and deletions alone
    for i, mine in enumerate(candidate, 1):
        new = [i]
        for j, theirs in enumerate(reference, 1):
            new.append(row[j - 1] if mine == theirs else 1 + min(row[j], new[-1]))
        row = new
    both = len(candidate) + len(reference)
    return (both - row[-1]) / both


def my_segment_targets__pairs(segments, end):
    ids, wanted = [end], [False]
    for some, is_wanted in segments:
        new = list(some) + ([end] if is_wanted else [])
        ids.extend(new)
        wanted.extend([is_wanted] * len(new))
    return [i if w else -100 for i, w in zip(ids[1:], wanted[1:], strict=True)]


def my_segment_targets__directly(segments, end):
    out = []
    for ids, wanted in segments:
        out += [*ids, end] if wanted else [-100] * len(ids)
    return out


def my_segment_targets__tensor(segments, end):
    parts = [
        torch.tensor([*ids, end]) if wanted else torch.full((len(ids),), -100)
        for ids, wanted in segments
    ]
    return torch.cat(parts)
