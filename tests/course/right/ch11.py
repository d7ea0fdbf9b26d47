"""Right answers to the exercises of chapter 11, as different students might write them."""

import re
from itertools import pairwise

import numpy as np
import torch
from tokenizers.models import BPE


def my_utf8__early_return(code_point):
    if code_point <= 0x7F:
        return [code_point]
    if code_point <= 0x7FF:
        return [0b11000000 | code_point >> 6, 0b10000000 | code_point & 63]
    if code_point <= 0xFFFF:
        return [
            0b11100000 | code_point >> 12,
            0b10000000 | code_point >> 6 & 63,
            0b10000000 | code_point & 63,
        ]
    return [
        0b11110000 | code_point >> 18,
        0b10000000 | code_point >> 12 & 63,
        0b10000000 | code_point >> 6 & 63,
        0b10000000 | code_point & 63,
    ]


def my_utf8__loop(code_point):
    if code_point < 128:
        return [code_point]
    rest, more = code_point, []
    while True:
        rest, last = divmod(rest, 64)
        more.insert(0, 128 + last)
        if rest < 64 >> len(more):  # what is left fits into the first byte
            return [256 - (128 >> len(more)) + rest, *more]


def my_utf8__strings_of_bits(code_point):
    bits = f"{code_point:b}"
    if len(bits) <= 7:
        return (code_point,)
    n = 2 if len(bits) <= 11 else 3 if len(bits) <= 16 else 4
    bits = bits.zfill(6 * (n - 1) + 7 - n)
    first, rest = bits[: 7 - n], bits[7 - n :]
    found = ["1" * n + "0" + first]
    found += ["10" + rest[i : i + 6] for i in range(0, len(rest), 6)]
    return tuple(int(byte, 2) for byte in found)


def my_utf8__numpy(code_point):
    n_more = int(np.searchsorted([0x80, 0x800, 0x10000], code_point, side="right"))
    shifts = 6 * np.arange(n_more, -1, -1)
    marks = np.full(n_more + 1, 128)
    marks[0] = [0, 192, 224, 240][n_more]
    groups = (code_point >> shifts) & 63 if n_more else np.array([code_point])
    return marks | groups


def my_merge__index(symbols, pair):
    first, second = pair
    result = []
    i = 0
    while i < len(symbols):
        if i + 1 < len(symbols) and symbols[i] == first and symbols[i + 1] == second:
            result.append(first + second)
            i = i + 2
        else:
            result.append(symbols[i])
            i = i + 1
    return result


def my_merge__in_place(symbols, pair):
    i = 0
    while i < len(symbols) - 1:
        if symbols[i : i + 2] == list(pair):
            symbols[i : i + 2] = ["".join(pair)]
        i += 1
    return symbols


def my_merge__recursion(symbols, pair):
    if len(symbols) < 2:
        return symbols
    a, b, *rest = symbols
    if (a, b) == pair:
        return [a + b, *my_merge__recursion(rest, pair)]
    return [a, *my_merge__recursion([b, *rest], pair)]


def my_merge__iterator(symbols, pair):
    out, stream = [], iter(symbols)
    waiting = next(stream, None)
    while waiting is not None:
        following = next(stream, None)
        if (waiting, following) == tuple(pair):
            out.append(waiting + following)
            waiting = next(stream, None)
        else:
            out.append(waiting)
            waiting = following
    return tuple(out)


def my_merge__regular_expression(symbols, pair):
    names = {symbol: chr(0xE000 + i) for i, symbol in enumerate({*symbols, *pair})}
    text = "".join(names[s] for s in symbols)
    cut = re.findall(names[pair[0]] + names[pair[1]] + "|.", text)
    symbol_of = {letter: symbol for symbol, letter in names.items()}
    return ["".join(symbol_of[letter] for letter in piece) for piece in cut]


def merge_all(symbols, pair):
    result, skip = [], False
    for a, b in pairwise([*symbols, ""]):
        if skip:
            skip = False
        elif (a, b) == pair:
            result.append(a + b)
            skip = True
        else:
            result.append(a)
    return result


def my_tokenize__in_order(symbols, merges):
    for pair in merges:
        symbols = merge_all(symbols, pair)
    return symbols


def my_tokenize__lowest_rank(symbols, merges):
    rank = {pair: i for i, pair in enumerate(merges)}
    symbols = list(symbols)
    while True:
        ranks = [rank.get(pair, len(merges)) for pair in pairwise(symbols)]
        if min(ranks, default=len(merges)) == len(merges):
            return symbols
        symbols = merge_all(symbols, merges[min(ranks)])


def my_tokenize__one_place_at_a_time(symbols, merges):
    symbols = symbols.copy()
    while True:
        known = [
            (merges.index((symbols[i], symbols[i + 1])), i)
            for i in range(len(symbols) - 1)
            if (symbols[i], symbols[i + 1]) in merges
        ]
        if not known:
            break
        _, i = min(known)
        symbols[i] += symbols.pop(i + 1)
    return symbols


def my_tokenize__recursion(symbols, merges):
    if not merges:
        return tuple(symbols)
    return my_tokenize__recursion(merge_all(symbols, merges[0]), merges[1:])


def my_tokenize__library(symbols, merges):
    known = dict.fromkeys([*symbols, *(s for a, b in merges for s in (a, b, a + b))])
    model = BPE(vocab={symbol: i for i, symbol in enumerate(known)}, merges=merges)
    return [token.value for token in model.tokenize("".join(symbols))]


def my_samples__loop(ids, length):
    rows = []
    start = 0
    while start + length < len(ids):
        rows.append(ids[start : start + length + 1])
        start += length
    return rows


def my_samples__windows(ids, length):
    return np.lib.stride_tricks.sliding_window_view(np.array(ids), length + 1)[::length]


def my_samples__torch(ids, length):
    return torch.tensor(ids).unfold(0, length + 1, length)


def my_samples__reshape(ids, length):
    n_rows = (len(ids) - 1) // length
    inputs = np.array(ids[: n_rows * length]).reshape(n_rows, length)
    targets = np.array(ids[1 : n_rows * length + 1]).reshape(n_rows, length)
    return np.concatenate([inputs, targets[:, -1:]], axis=1).astype(np.float32)


def my_samples__recursion(ids, length):
    if len(ids) <= length:
        return []
    return [tuple(ids[: length + 1]), *my_samples__recursion(ids[length:], length)]
