"""Right answers to the exercises of chapter 43, as different students might write them."""

import heapq
import math

import numpy as np
import torch


def my_tokens_read__begin_and_end(n_prompt, n_new, context):
    read, begin, end = 0, 0, 0
    for length in range(n_prompt, n_prompt + n_new):
        if length - begin > context:
            begin = length - context // 2
            end = begin
        read += length - end
        end = length
    return read


def my_tokens_read__cache(n_prompt, n_new, context):
    cache, read = n_prompt, n_prompt
    for _ in range(n_new - 1):  # the last token is not read
        if cache == context:
            cache = context / 2
            read += cache
        else:
            cache += 1
            read += 1
    return read


def my_tokens_read__recursion(n_prompt, n_new, context):
    room = context - n_prompt  # tokens that can be read one by one
    if n_new - 1 <= room:
        return n_prompt + n_new - 1
    return context + my_tokens_read__recursion(context // 2, n_new - 1 - room, context)


def my_tokens_read__formula(n_prompt, n_new, context):
    half, after_full = context // 2, n_prompt + n_new - 1 - context
    again = math.ceil(after_full / (half + 1)) if after_full > 0 else 0
    return n_prompt + n_new - 1 + again * (half - 1)


def my_beam_step__topk(totals, log_probs, width):
    V = log_probs.shape[1]
    best = torch.topk((totals[:, None] + log_probs).flatten(), width)
    return [[i // V, i % V, t] for t, i in zip(*(x.tolist() for x in best), strict=True)]


def my_beam_step__sorted(totals, log_probs, width):
    options = []
    for row in range(len(totals)):
        for token in range(log_probs.shape[1]):
            options.append((row, token, totals[row].item() + log_probs[row, token].item()))
    options.sort(key=lambda option: option[2], reverse=True)
    return options[:width]


def my_beam_step__heap(totals, log_probs, width):
    sums = (totals.unsqueeze(1) + log_probs).numpy()
    best = heapq.nlargest(width, np.ndenumerate(sums), key=lambda item: item[1])
    return [[*place, total] for place, total in best]


def my_beam_step__tensor(totals, log_probs, width):
    sums = totals.reshape(-1, 1) + log_probs
    places = torch.argsort(-sums.reshape(-1))[:width]
    rows, tokens = places // sums.shape[1], places % sums.shape[1]
    return torch.stack([rows, tokens, sums[rows, tokens]], dim=1)


def my_beam_step__tensors_in_lists(totals, log_probs, width):
    sums = log_probs + totals[:, None]
    result = []
    for _ in range(width):
        row, token = divmod(int(sums.argmax()), sums.shape[1])
        result.append([row, token, sums[row, token].clone()])
        sums[row, token] = -torch.inf
    return result


def my_top_p__sorted(probs, p):
    ordered, order = torch.sort(probs, descending=True, stable=True)
    n = int((ordered.cumsum(0) < p).sum()) + 1
    kept = torch.zeros(len(probs))
    kept[order[:n]] = ordered[:n]
    return kept / kept.sum()


def my_top_p__loop(probs, p):
    numbers = probs.tolist()
    kept, total = [0.0] * len(numbers), 0.0
    for i in sorted(range(len(numbers)), key=lambda i: -numbers[i]):
        kept[i] = numbers[i]
        total += numbers[i]
        if total >= p:
            break
    return torch.tensor([number / total for number in kept])


def my_top_p__numpy(probs, p):
    probs = probs.numpy()
    order = np.argsort(-probs, kind="stable")
    before = np.concatenate([[0], np.cumsum(probs[order])[:-1]])
    mask = np.zeros(len(probs), dtype=bool)
    mask[order[before < p]] = True
    return np.where(mask, probs, 0) / probs[mask].sum()


def my_top_p__one_after_the_other(probs, p):
    kept = torch.zeros_like(probs)
    while kept.sum() < p:
        best = probs.argmax()
        kept[best] = probs[best]
        probs[best] = 0  # changes its argument
    return kept / kept.sum()


def my_min_p__logits(logits, share):
    least = logits.max(dim=-1, keepdim=True).values + math.log(share)
    return torch.where(logits >= least, logits, -torch.inf)


def my_min_p__softmax(logits, share):
    probs = logits.softmax(dim=-1)
    allowed = probs >= share * probs.amax(dim=-1, keepdim=True)
    return logits.masked_fill(~allowed, float("-inf"))


def my_min_p__filled(logits, share):
    kept = torch.full(logits.shape, -torch.inf)
    ratio = (logits - logits.max(dim=1).values[:, None]).exp()
    kept[ratio >= share] = logits[ratio >= share]
    return kept


def my_min_p__loops(logits, share):
    rows = []
    for row in logits.tolist():
        border = max(row) + math.log(share)
        rows.append([z if z >= border else -math.inf for z in row])
    return rows


def my_min_p__in_place(logits, share):
    for row in logits:
        row[row < row.max() + np.log(share)] = -torch.inf
    return logits
