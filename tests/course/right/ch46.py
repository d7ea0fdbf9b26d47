"""Right answers to the exercises of chapter 46, as different students might write them."""

import math

import numpy as np
import scipy.stats
import torch
from scipy.special import rel_entr


def my_first_fault__dictionary(events):
    holder = {}
    for i, event in enumerate(events):
        kind, person, thing = event[:3]
        if kind == "find":
            if thing in holder:
                return i
            holder[thing] = person
            continue
        if holder.get(thing) != person:
            return i
        if kind == "give":
            holder[thing] = event[3]
        else:
            del holder[thing]
    return -1


def my_first_fault__pairs(events):
    held = set()
    for i, event in enumerate(events):
        match event:
            case ("find", who, what) if what not in {thing for _, thing in held}:
                held.add((who, what))
            case ("lose", who, what) if (who, what) in held:
                held.remove((who, what))
            case ("give", who, what, other) if (who, what) in held:
                held.remove((who, what))
                held.add((other, what))
            case _:
                return i
    return -1


def my_first_fault__looks_back(events):
    def holder_before(i, thing):
        for event in reversed(events[:i]):
            if event[2] == thing:
                return {"find": event[1], "lose": None, "give": event[-1]}[event[0]]
        return None

    for i, (kind, person, thing, *_) in enumerate(events):
        if holder_before(i, thing) != (None if kind == "find" else person):
            return i
    return -1


def my_first_fault__recursion(events, holder=None, i=0):
    holder = holder or {}
    if i == len(events):
        return -1
    kind, person, thing = events[i][:3]
    if holder.get(thing) != {"find": None, "give": person, "lose": person}[kind]:
        return i
    after = {"find": person, "give": events[i][-1], "lose": None}[kind]
    return my_first_fault__recursion(events, {**holder, thing: after}, i + 1)


def my_first_fault__eats_its_argument(events):
    holder, n = {}, 0
    while events:
        kind, person, thing, *other = events.pop(0)
        if (holder.pop(thing, None) or "") != (person if kind != "find" else ""):
            return np.int64(n)
        if kind != "lose":
            holder[thing] = other[0] if other else person
        n += 1
    return -1


def my_excess__numpy(bits, log2_probs, chars):
    return (bits + log2_probs).sum() / chars.sum()


def my_excess__loop(bits, log2_probs, chars):
    gap = length = 0
    for b, p, c in zip(bits, log2_probs, chars, strict=True):
        gap += b + p
        length += c
    return gap / length


def my_excess__two_means(bits, log2_probs, chars):
    needed = np.sum(bits) / np.sum(chars)
    floor = -np.sum(log2_probs) / np.sum(chars)
    return float(needed - floor)


def my_excess__weighted(bits, log2_probs, chars):
    return np.average((bits + log2_probs) / chars, weights=chars)


def my_excess__torch(bits, log2_probs, chars):
    gaps = torch.tensor(bits) + torch.tensor(log2_probs)
    return gaps.sum() / torch.tensor(chars).sum()


def my_excess__float32(bits, log2_probs, chars):
    bits, log2_probs = bits.astype(np.float32), log2_probs.astype(np.float32)
    return (bits.sum() + log2_probs.sum()) / chars.sum()


def my_kl_bits__mask(true, model):
    true, model = true[true > 0], model[true > 0]
    return np.sum(true * (np.log2(true) - np.log2(model)))


def my_kl_bits__loop(true, model):
    total = 0.0
    for p, q in zip(true, model, strict=True):
        if p > 0:
            total += p * math.log2(p / q)
    return total


def my_kl_bits__scipy(true, model):
    return scipy.stats.entropy(true, model, base=2)


def my_kl_bits__rel_entr(true, model):
    return rel_entr(true, model).sum() / np.log(2)


def my_kl_bits__where(true, model):
    ratio = np.divide(true, model, out=np.ones_like(true), where=true > 0)
    return float(true @ np.log2(ratio, out=np.zeros_like(true), where=true > 0))


def my_kl_bits__torch(true, model):
    some = torch.from_numpy(true) > 0
    true, model = torch.from_numpy(true)[some], torch.from_numpy(model)[some]
    kl = torch.nn.functional.kl_div(model.log(), true, reduction="sum")
    return kl / math.log(2)


def my_kl_bits__float32(true, model):
    total = torch.tensor(0.0)
    for p, q in zip(torch.Tensor(true), torch.Tensor(model), strict=True):
        if p != 0:
            total += p * (p / q).log2()
    return total


def my_head_for__divmod(weights, places):
    taken = weights[:, :, -1, places].sum(axis=-1)
    return divmod(taken.argmax(), taken.shape[1])


def my_head_for__unravel(weights, places):
    taken = weights[:, :, -1][:, :, places].sum(-1)
    return np.unravel_index(np.argmax(taken), taken.shape)


def my_head_for__loops(weights, places):
    best, most = None, -1
    for layer in range(weights.shape[0]):
        for head in range(weights.shape[1]):
            taken = sum(weights[layer, head, -1, place] for place in places)
            if taken > most:
                best, most = (layer, head), taken
    return best


def my_head_for__where(weights, places):
    taken = np.zeros(weights.shape[:2])
    for place in places:
        taken += weights[:, :, -1, place]
    return np.argwhere(taken == taken.max())[0]


def my_head_for__max(weights, places):
    L, H, _, _ = weights.shape
    pairs = [(layer, head) for layer in range(L) for head in range(H)]
    return list(max(pairs, key=lambda pair: weights[pair][-1, places].sum()))


def my_head_for__torch(weights, places):
    taken = torch.from_numpy(weights)[:, :, -1, places].sum(-1)
    return torch.unravel_index(taken.argmax(), taken.shape)
