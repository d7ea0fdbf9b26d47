"""Exercises of chapter 43, decoding: what a cache saves, a step of a beam, two filters."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.checks import Exercise


def _lengths(rng: np.random.Generator) -> Iterator[tuple[int, int, int]]:
    for context in (4, 8, 8, 20):
        yield int(rng.integers(1, context)), int(rng.integers(2 * context, 4 * context)), context
    prompt = int(rng.integers(2, 9))
    yield prompt, int(rng.integers(5, 20)), 100


def _tokens_read(n_prompt: int, n_new: int, context: int) -> int:
    total = begin = end = 0
    for length in range(n_prompt, n_prompt + n_new):
        if length - begin > context:
            begin = end = length - context // 2
        total += length - end
        end = length
    return total


def _one_token_forgotten(n_prompt: int, n_new: int, context: int) -> int:
    lengths = range(n_prompt, n_prompt + n_new)
    full = [context for length in lengths if length > context]
    return n_prompt + n_new - len(full) - 1 + sum(full)


tokens_read = Exercise(
    name="my_tokens_read",
    points=3,
    reference=_tokens_read,
    cases=_lengths,
    wrong=(
        lambda n_prompt, n_new, context: n_prompt + n_new - 1,
        lambda n_prompt, n_new, context: _tokens_read(n_prompt, n_new + 1, context),
        lambda n_prompt, n_new, context: sum(range(n_prompt, n_prompt + n_new)),
        _one_token_forgotten,
    ),
    withheld=("labkit.generation.Reading.next_logits",),
)


def _tensor(numbers: Any) -> Tensor:
    """32 bits, as in the chapter, where an answer may put them into its own `torch.zeros`."""
    return torch.tensor(numbers, dtype=torch.float32)


def _beams(rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Five beams, without ties: in the first three, one text has the best next texts alone."""
    for kept, vocab, width in ((1, 5, 3), (2, 3, 2), (4, 6, 5)):
        log_probs = _tensor(rng.normal(0, 0.5, (kept, vocab))).log_softmax(dim=1)
        # The last of the kept texts is the best, and so good that all the next ones come from it.
        totals = _tensor([*sorted(rng.normal(-9, 1, kept)[:-1]), -1.0])
        yield totals, log_probs, min(width, vocab)
    log_probs = _tensor(rng.normal(0, 0.5, (3, 4))).log_softmax(dim=1)
    yield _tensor(rng.normal(-3, 0.1, 3)), log_probs, 5  # more than one text has next ones
    yield torch.tensor([-1.0, -1.1]), torch.tensor([[0.6, 0.4], [0.9, 0.1]]).log(), 2


def _beam_step(totals: Tensor, log_probs: Tensor, width: int) -> list[list[float]]:
    sums = totals[:, None] + log_probs
    order = sums.flatten().argsort(descending=True)[:width].tolist()
    places = [divmod(place, log_probs.shape[1]) for place in order]
    return [[row, token, float(sums[row, token])] for row, token in places]


def _children_of_each(totals: Tensor, log_probs: Tensor, width: int) -> list[list[float]]:
    best = [[i, int(row.argmax()), float(totals[i] + row.max())] for i, row in enumerate(log_probs)]
    return sorted(best, key=lambda pair: -pair[2])[:width]


def _children_of_the_best(totals: Tensor, log_probs: Tensor, width: int) -> list[list[float]]:
    others = totals < totals.max()
    return _beam_step(totals.masked_fill(others, -math.inf), log_probs, width)


beam_step = Exercise(
    name="my_beam_step",
    points=4,
    reference=_beam_step,
    cases=_beams,
    tolerance=1e-6,
    wrong=(
        _children_of_each,
        _children_of_the_best,
        lambda totals, log_probs, width: _beam_step(0 * totals, log_probs, width),
        lambda totals, log_probs, width: _beam_step(totals, log_probs, width)[::-1],
        lambda totals, log_probs, width: _beam_step(totals, log_probs.exp(), width),
    ),
    withheld=("labkit.generation.beam_search", "labkit.generation._best_pairs"),
)


def _distributions(rng: np.random.Generator) -> Iterator[tuple[Tensor, float]]:
    yield torch.tensor([0.125, 0.5, 0.125, 0.25]), 0.5  # reached exactly, and exact in binary
    yield torch.tensor([0.2, 0.5, 0.1, 0.2]), 0.6  # two are equal at the border, one is kept
    for vocab, p in ((4, 0.3), (6, 0.6), (9, 0.9), (20, 0.8)):
        yield _tensor(rng.dirichlet([0.7] * vocab)), p


def _top_p(probs: Tensor, p: float) -> Tensor:
    ordered, order = probs.sort(descending=True, stable=True)
    before = ordered.cumsum(0) - ordered
    kept = torch.zeros_like(probs)
    kept[order] = torch.where(before < p, ordered, 0.0)
    return kept / kept.sum()


def _with_all_equals(probs: Tensor, p: float) -> Tensor:
    kept = probs * (probs >= probs[_top_p(probs, p) > 0].min())
    return kept / kept.sum()


def _at_most_p(probs: Tensor, p: float) -> Tensor:
    ordered, order = probs.sort(descending=True, stable=True)
    kept = torch.zeros_like(probs)
    kept[order] = torch.where(ordered.cumsum(0) < p, ordered, 0.0)
    return kept / kept.sum()


top_p = Exercise(
    name="my_top_p",
    points=3,
    reference=_top_p,
    cases=_distributions,
    tolerance=1e-6,
    wrong=(
        lambda probs, p: torch.where(_top_p(probs, p) > 0, probs, 0.0),
        lambda probs, p: probs * (probs >= p) / (probs * (probs >= p)).sum(),
        _at_most_p,
        _with_all_equals,
        lambda probs, p: _top_p(probs.flip(0), p).flip(0),  # of equal ones the last
        lambda probs, p: _top_p(probs, min(1.0, p + float(probs.max()))),
        lambda probs, p: _top_p(probs, p + 1e-6),  # one more where p is reached exactly
    ),
    withheld=("labkit.generation.keep_top_p",),
)


def _rows(rng: np.random.Generator) -> Iterator[tuple[Tensor, float]]:
    yield torch.tensor([[0.1, 0.6, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]]).log(), 0.5
    for vocab, share in ((5, 0.5), (9, 0.2), (30, 0.1)):
        yield _tensor(rng.normal(0, 1.5, (3, vocab))), share


def _min_p(logits: Tensor, share: float) -> Tensor:
    border = logits.max(dim=1, keepdim=True).values + math.log(share)
    return logits.masked_fill(logits < border, -math.inf)


min_p = Exercise(
    name="my_min_p",
    points=2,
    reference=_min_p,
    cases=_rows,
    tolerance=1e-6,
    wrong=(
        lambda logits, share: logits.masked_fill(logits.softmax(1) < share, -math.inf),
        lambda logits, share: logits.masked_fill(logits < share * logits.max(), -math.inf),
        lambda logits, share: logits.masked_fill(
            logits < logits.max() + math.log(share), -math.inf
        ),
        lambda logits, share: logits.masked_fill(
            logits < logits.max(dim=1, keepdim=True).values - share, -math.inf
        ),
    ),
    withheld=("labkit.generation.keep_min_p",),
)
