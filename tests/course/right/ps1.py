"""Right answers to problem set 1, as different students might write them."""

import math
from collections import Counter, defaultdict
from functools import cache

import numpy as np


def my_counts__defaultdict(stories, memory):
    table = defaultdict(Counter)
    for story in stories:
        text = "⊢" + story + "⊣"
        for n in range(memory + 1):
            for i in range(max(n, 1), len(text)):
                table[text[i - n : i]][text[i]] += 1
    return table


def my_counts__growing_suffix(stories, memory):
    table = {}
    for story in stories:
        before = "⊢"
        for char in [*story, "⊣"]:
            context = before[-memory:] if memory else ""
            while True:
                row = table.setdefault(context, {})
                row[char] = row.get(char, 0) + 1
                if not context:
                    break
                context = context[1:]
            before += char
    return table


def my_counts__pairs_first(stories, memory):
    pairs = Counter(
        (text[begin:i], text[i])
        for text in map("⊢{}⊣".format, stories)
        for i in range(1, len(text))
        for begin in range(max(0, i - memory), i + 1)
    )
    table = {context: {} for context, _ in pairs}
    for (context, char), times in pairs.items():
        table[context][char] = times
    return table


def my_saved_bits__numpy(counts, pair, times):
    tokens = [*counts, pair[0] + pair[1]]
    tokens = list(dict.fromkeys(tokens))
    before = np.array([counts.get(token, 0) for token in tokens], dtype=float)
    after = before.copy()
    for token in pair:
        after[tokens.index(token)] -= times
    after[tokens.index(pair[0] + pair[1])] += times

    def bits(n):
        n = n[n > 0]
        return float((n * np.log2(n.sum() / n)).sum())

    return bits(before) - bits(after)


def my_saved_bits__only_what_changes(counts, pair, times):
    def part(n):
        return n * math.log2(n) if n else 0.0

    first, second = pair
    merged = first + second
    changed = {first: counts[first], second: counts[second], merged: counts.get(merged, 0)}
    total = sum(counts.values())
    saved = part(total) - part(total - times) - sum(map(part, changed.values()))
    for token, more in ((first, -times), (second, -times), (merged, times)):
        changed[token] += more
    return saved + sum(map(part, changed.values()))


def my_text_bits__scaled(text, prices):
    probs, scale = {0: 1.0}, 0
    sizes = {len(token) for token in prices}
    for end in range(1, len(text) + 1):
        total = 0.0
        for size in sizes:
            if end - size in probs and text[end - size : end] in prices:
                total += probs[end - size] * 2.0 ** -prices[text[end - size : end]]
        probs[end] = total
        probs.pop(end - max(sizes), None)
        if 0 < max(probs.values()) < 1e-100:
            probs = {place: p * 2.0**300 for place, p in probs.items()}
            scale += 300
    last = probs[len(text)]
    return scale - math.log2(last) if last > 0 else math.inf


def my_text_bits__forward_logaddexp(text, prices):
    logs = np.full(len(text) + 1, -np.inf)
    logs[0] = 0.0
    for begin in range(len(text)):
        if logs[begin] > -np.inf:
            for token, price in prices.items():
                if text.startswith(token, begin):
                    end = begin + len(token)
                    logs[end] = np.logaddexp2(logs[end], logs[begin] - price)
    return -logs[-1]


def my_text_bits__remembering(text, prices):
    @cache
    def rest(begin):
        if begin == len(text):
            return 0.0
        ways = [p + rest(begin + len(t)) for t, p in prices.items() if text.startswith(t, begin)]
        low = min(ways, default=math.inf)
        if low == math.inf:
            return low
        return low - math.log2(sum(2 ** (low - way) for way in ways))

    for begin in range(len(text), -1, -1):  # from the end, so that no call goes deep
        rest(begin)
    return rest(0)


def my_witten_bell__recursive(rows, alphabet):
    if not rows:
        return np.ones(len(alphabet)) / len(alphabet)
    *shorter, row = rows
    below = my_witten_bell__recursive(shorter, alphabet)
    n, kinds = sum(row.values()), len(row)
    if n == 0:
        return below
    share = n / (n + kinds)
    return share * np.array([row.get(c, 0) / n for c in alphabet]) + (1 - share) * below


def my_witten_bell__by_character(rows, alphabet):
    probs = {char: 1 / len(alphabet) for char in alphabet}
    for row in rows:
        if row:
            weight = sum(row.values()) + len(row)
            probs = {c: (row.get(c, 0) + len(row) * p) / weight for c, p in probs.items()}
    return [probs[char] for char in alphabet]


def my_em_step__loops(probs, weights):
    new = [0.0] * len(weights)
    for given in probs:
        total = sum(w * p for w, p in zip(weights, given, strict=True))
        for k, (w, p) in enumerate(zip(weights, given, strict=True)):
            new[k] += w * p / total / len(probs)
    return new


def my_em_step__gradient(probs, weights):
    return weights * (probs / (probs @ weights)[:, None]).sum(axis=0) / len(probs)


def my_em_step__einsum(probs, weights):
    joint = np.einsum("nk,k->nk", probs, weights)
    return np.einsum("nk,n->k", joint, 1 / joint.sum(1)) / len(joint)


def my_witnesses__equal_rows(counts, contexts):
    kept = []
    for context in contexts:
        if context in counts and (not kept or counts[context] != counts[kept[-1]]):
            kept.append(context)
    return kept


def my_witnesses__by_total(counts, contexts):
    first = {}
    for context in contexts:
        first.setdefault(sum(counts.get(context, {}).values()), context)
    first.pop(0, None)
    return list(first.values())


def my_probabilities__continuations_as_sets(stories, alphabet, beginnings):
    memory, before, plain = 9, defaultdict(set), Counter()
    for text in ("⊢" + story + "⊣" for story in stories):
        for i in range(1, len(text)):
            for n in range(min(memory, i) + 1):
                gram = text[i - n : i + 1]
                if n in (memory, i):
                    plain[gram] += 1
                else:
                    before[gram].add(text[i - n - 1])
    counts = plain + Counter({gram: len(found) for gram, found in before.items()})
    rows = defaultdict(dict)
    for gram, n in counts.items():
        rows[gram[:-1]][gram[-1]] = n
    sizes = Counter((len(gram), min(n, 3)) for gram, n in counts.items())
    taken = {
        size: (sizes[size, 1] + 1) / (sizes[size, 1] + 2 * sizes[size, 2] + 3)
        for size in range(1, memory + 2)
    }
    place = {char: i for i, char in enumerate(alphabet)}
    result = []
    for beginning in beginnings:
        text, probs = "⊢" + beginning, np.full(len(alphabet), 1 / len(alphabet))
        for n in range(min(memory, len(text)) + 1):
            row = rows.get(text[len(text) - n :])
            if row:
                total = sum(row.values())
                amount = taken[n + 1]
                probs *= amount * len(row) / total
                for char, times in row.items():
                    probs[place[char]] += (times - amount) / total
        result.append(probs)
    return np.array(result)


def my_probabilities__three_discounts(stories, alphabet, beginnings):
    memory = 12
    table = {}
    for text in ("⊢" + story + "⊣" for story in stories):
        for i in range(1, len(text)):
            for n in range(min(memory, i) + 1):
                row = table.setdefault(text[i - n : i], {})
                row[text[i]] = row.get(text[i], 0) + 1
    fresh = {}
    for context, followers in table.items():
        for char in followers:
            row = fresh.setdefault(context[1:], {}) if context else {}
            row[char] = row.get(char, 0) + 1
    rows = {context: fresh.get(context, row) for context, row in table.items()}
    discounts = []
    for size in range(memory + 1):
        here = [n for context, row in rows.items() if len(context) == size for n in row.values()]
        n1, n2, n3, n4 = (here.count(r) for r in (1, 2, 3, 4))
        if min(n1, n2, n3, n4) == 0:
            discounts.append(np.array([0, 0.5, 0.5, 0.5]))
            continue
        y = n1 / (n1 + 2 * n2)
        three = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        discounts.append(np.clip([0, *three], 0, [0, 1, 2, 3]))
    answer = np.empty((len(beginnings), len(alphabet)))
    for i, beginning in enumerate(beginnings):
        text, probs = "⊢" + beginning, 1 / len(alphabet)
        for n in range(min(memory, len(text)) + 1):
            row = rows.get(text[len(text) - n :])
            if row:
                seen = np.array([row.get(char, 0) for char in alphabet])
                off = discounts[n][np.minimum(seen, 3)]
                probs = (seen - off) / seen.sum() + off.sum() / seen.sum() * probs
        answer[i] = probs
    return answer
