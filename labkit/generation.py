"""Writing: from a model's scores to the next token, again and again.

Each filter is a pure function from logits to logits, (B, V) -> (B, V), in the order in which
`generate` applies them: repetition penalty, temperature, top-k, top-p, min-p. What a filter rules
out gets -inf. Chance comes from an explicit `torch.Generator`. `beam_search` leaves nothing to it.
Built in notebook 43.
"""

import math

import torch
from torch import Tensor

from labkit.model import LanguageModel


def penalise_repetition(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Make tokens that already occur in `ids`, (B, T), less likely: (B, V) -> (B, V).

    Positive logits are divided by the penalty and negative ones multiplied.
    Source: Keskar et al. 2019 (CTRL), section 4.1. Raises ValueError for a penalty below 1.
    """
    if penalty < 1:
        raise ValueError(f"expected a repetition penalty of at least 1 (none), got {penalty}")
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, ids, True)
    return torch.where(seen, lowered, logits)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Sharpen (below 1) or flatten (above 1) a distribution; 0 keeps only the most likely token.

    Of equally likely tokens, 0 keeps the first. Raises ValueError for a negative temperature.
    """
    if temperature < 0:
        raise ValueError(f"expected a temperature of at least 0 (greedy), got {temperature}")
    if temperature == 0:
        return keep_top_k(logits, 1)
    return logits / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k most likely tokens; of ties at the border, the lower ids.

    Source: Fan et al. 2018, section 5.4. Raises ValueError for k below 1.
    """
    if k < 1:
        raise ValueError(f"expected top-k of at least 1 token, got {k}")
    border = logits.topk(min(k, logits.shape[1])).values[:, -1:]
    above, tied = logits > border, logits == border
    room = k - above.sum(dim=1, keepdim=True)
    kept = above | (tied & (tied.cumsum(dim=1) <= room))
    return logits.masked_fill(~kept, float("-inf"))


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of most likely tokens whose probability together reaches p.

    Source: Holtzman et al. 2020, section 3.1. Raises ValueError for p outside (0, 1].
    """
    if not 0 < p <= 1:
        raise ValueError(f"expected 0 < top-p ≤ 1, got {p}")
    ordered, order = logits.sort(dim=1, descending=True, stable=True)
    probs = ordered.double().softmax(dim=1)
    mass_before = probs.cumsum(dim=1) - probs
    unlikely = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, order, mass_before >= p)
    return logits.masked_fill(unlikely, float("-inf"))


def keep_min_p(logits: Tensor, share: float) -> Tensor:
    """Keep the tokens that are at least `share` times as likely as the most likely one.

    Source: Nguyen et al. 2024, section 3. Raises ValueError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"expected 0 < min-p ≤ 1, got {share}")
    border = logits.max(dim=1, keepdim=True).values + math.log(share)
    return logits.masked_fill(logits < border, float("-inf"))


def sample(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one token from each row's distribution: (B, V) -> (B,)."""
    return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


class Reading:
    """A model that reads a text as it grows, and computes only what is new.

    When the context is full, the older half is forgotten and the newer one read again, so that
    reading on stays fast. Of a first text that is too long, the end is read. Built in notebook 43.
    """

    def __init__(self, model: LanguageModel) -> None:
        """Begin before the first token."""
        self.model, self.cache = model, model.new_cache()
        self.begin = self.end = 0

    def next_logits(self, ids: Tensor) -> Tensor:
        """Return the scores of what follows, given the whole text so far: (B, T) -> (B, V)."""
        limit = self.model.context_length
        if limit is not None and ids.shape[1] - self.begin > limit:
            kept = limit if self.end == 0 else max(limit // 2, 1)
            self.begin = self.end = ids.shape[1] - kept
            self.cache = self.model.new_cache()
        logits = self.model(ids[:, self.end :], self.cache)[:, -1]
        self.end = ids.shape[1]
        return logits

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these rows of the batch, in this order, each as often as it is named.

        A cache that cannot be put in another order is given up, and the text is read again.
        """
        if hasattr(self.cache, "keep_rows"):
            self.cache.keep_rows(rows)
        else:
            self.cache, self.end = self.model.new_cache(), self.begin


@torch.no_grad()
def generate(
    model: LanguageModel,
    ids: Tensor,
    n_tokens: int,
    *,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop: int | None = None,
) -> Tensor:
    """Continue each sequence by up to `n_tokens` tokens: (B, T) -> (B, T + n).

    A row that has drawn `stop` is filled up with it; when all have, writing ends early. With a
    temperature of 0 the most likely token is taken, of equal ones the first. What happens at the
    end of the context, `Reading` says. Equal generators give equal texts.
    """
    reading = Reading(model)
    ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for _ in range(n_tokens):
        with torch.inference_mode():  # a tenth faster than without gradients alone
            logits = reading.next_logits(ids)
        if repetition_penalty != 1:
            logits = penalise_repetition(logits, ids, repetition_penalty)
        if temperature == 0:
            drawn = logits.argmax(dim=1)
        else:
            drawn = sample(_filtered(logits, temperature, top_k, top_p, min_p), generator)
        if stop is not None:
            drawn = torch.where(ended, stop, drawn)
            ended |= drawn == stop
        ids = torch.cat([ids, drawn[:, None]], dim=1)
        if stop is not None and ended.all():
            break
    return ids


def _filtered(
    logits: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
) -> Tensor:
    """Apply the filters that were asked for, in their order: (B, V) -> (B, V)."""
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    return logits if min_p is None else keep_min_p(logits, min_p)


@torch.no_grad()
def beam_search(
    model: LanguageModel,
    ids: Tensor,
    n_tokens: int,
    *,
    width: int,
    stop: int | None = None,
    length_power: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Look for the likeliest continuations of one text: (1, T) -> (W, T + n) and (W,).

    At each step every kept text is continued by every token, and the best `width` are kept. They
    are returned, best first, with their log-probabilities in nats. A text that has ended is filled
    up with `stop` at no cost. Texts are compared by log-probability divided by length to the power
    of `length_power`; at 0 short ones are favoured. Built in notebook 43.
    Source: Sutskever et al. 2014, section 3.2. Raises ValueError for several texts or no width.
    """
    if len(ids) != 1 or width < 1:
        raise ValueError(
            f"expected one text, and a width of at least 1, got {len(ids)} texts and a width of "
            f"{width}: search once for each text"
        )
    reading, scores = Reading(model), torch.zeros(1, dtype=torch.double, device=ids.device)
    lengths, ended = torch.zeros_like(scores), scores > 0
    for _ in range(n_tokens):
        steps = reading.next_logits(ids).double().log_softmax(dim=1)  # (W, V)
        totals = scores[:, None] + _ended_stay(steps, ended, stop)
        lengths = lengths + (~ended).double()
        rows, drawn = _best_pairs(totals / lengths[:, None] ** length_power, width)
        ids = torch.cat([ids[rows], drawn[:, None]], dim=1)
        scores, lengths, ended = totals[rows, drawn], lengths[rows], ended[rows]
        reading.keep_rows(rows)
        if stop is not None:
            ended = ended | (drawn == stop)
        if ended.all():
            break
    return ids, scores


def _ended_stay(steps: Tensor, ended: Tensor, stop: int | None) -> Tensor:
    """Let texts that have ended be followed by `stop` alone, for nothing: (W, V) -> (W, V)."""
    if stop is None:
        return steps
    stay = torch.full_like(steps, float("-inf"))
    stay[:, stop] = 0
    return torch.where(ended[:, None], stay, steps)


def _best_pairs(ranks: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return rows and tokens of the best of all continuations, best first: (W, V) -> (W',) each."""
    best = ranks.flatten().sort(descending=True, stable=True).indices
    best = best[: min(width, int(ranks.isfinite().sum()))]
    return best // ranks.shape[1], best % ranks.shape[1]
