"""One evaluator for every model, and the rows of the table that compares them.

The protocol: each document is scored alone, after one end-of-text token; every character is scored
once, and the end of the document counts as one more. A model with a context length L sees windows
of L tokens that advance by a stated stride, so every scored token has at least L - stride tokens to
its left where the document has them. Built in notebook 12.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import get_type_hints

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from labkit.model import LanguageModel
from labkit.recorded import read_recording
from labkit.tokenizers import Tokenizer

CHUNK = 4096
WINDOWS_AT_ONCE = 16
LEAGUE = ("league", "speed_laptop")
"""The recordings whose rows with a chapter are the league table."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a model predicts some documents."""

    bits_per_char: float
    """Mean surprise, in bits per character."""
    low: float
    """Lower end of the 95 % confidence interval over documents; nan for a single one."""
    high: float
    """Upper end of the interval."""
    bits: tuple[float, ...]
    """Total surprise of each document, in bits."""
    chars: tuple[int, ...]
    """Length of each document in characters, its end counted as one."""
    n_tokens: int
    """Number of tokens scored, ends included."""

    @property
    def perplexity(self) -> float:
        """Perplexity per token: the number of equally likely tokens that surprise as much."""
        return 2.0 ** (sum(self.bits) / self.n_tokens)


def evaluate(
    model: LanguageModel, tokenizer: Tokenizer, texts: Iterable[str], *, stride: int | None = None
) -> Score:
    """Score every character of some documents once. Stride: half the context, unless given.

    Raises ValueError if there are no documents, or for a stride outside 1 … context length.
    """
    bits, chars, n_tokens = [], [], 0
    for text in texts:
        ids = torch.tensor([[tokenizer.end, *tokenizer.encode(text), tokenizer.end]])
        nats = -token_log_probs(model, ids, stride=stride)
        bits.append(float(nats.double().sum()) / math.log(2))
        chars.append(len(text) + 1)
        n_tokens += len(nats)
    if not bits:
        raise ValueError("expected at least one document to evaluate on, got none")
    mean, half = ratio_interval(bits, chars)
    return Score(
        bits_per_char=mean,
        low=mean - half,
        high=mean + half,
        bits=tuple(bits),
        chars=tuple(chars),
        n_tokens=n_tokens,
    )


@torch.no_grad()
def token_log_probs(model: LanguageModel, ids: Tensor, *, stride: int | None = None) -> Tensor:
    """Return log P(token | tokens before it) for all but the first token: (1, T) -> (T - 1,).

    In nats. Raises ValueError for a stride outside 1 … context length.
    """
    inputs, targets = ids[:, :-1], ids[0, 1:]
    if model.context_length is None:
        cache = model.new_cache()
        chunks = zip(inputs.split(CHUNK, dim=1), targets.split(CHUNK), strict=True)
        return torch.cat([_chosen(model(x, cache)[0], y) for x, y in chunks])
    scores = torch.empty(len(targets))
    for windows in _windows(len(targets), model.context_length, stride):
        rows = torch.stack([inputs[0, begin:end] for begin, _, end in windows])
        for row, (begin, first, end) in zip(model(rows), windows, strict=True):
            scores[first:end] = _chosen(row[first - begin :], targets[first:end])
    return scores


def _chosen(logits: Tensor, targets: Tensor) -> Tensor:
    """Pick the log probability of each target: (T, V), (T,) -> (T,)."""
    return logits.float().log_softmax(dim=-1).gather(-1, targets[:, None])[:, 0]


def _windows(length: int, context: int, stride: int | None) -> Iterator[list[tuple[int, int, int]]]:
    """Yield batches of (begin, first scored, end) of equal widths that cover 0 … length once."""
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise ValueError(f"expected a stride from 1 to {context}, the context, got {stride}")
    firsts = range(0, length, stride)
    ends = [min(first + stride, length) for first in firsts]
    windows = [(max(0, e - context), first, e) for first, e in zip(firsts, ends, strict=True)]
    for _, equal in groupby(windows, key=lambda window: window[2] - window[0]):
        while batch := list(islice(equal, WINDOWS_AT_ONCE)):
            yield batch


def ratio_interval(totals: Sequence[float], sizes: Sequence[float]) -> tuple[float, float]:
    """Return a ratio of sums and half its 95 % interval, the documents being the sample.

    The usual linearised variance of a ratio estimator with Student's t; nan for one document.
    Source: Cochran 1977, section 6.4.
    """
    a, b = np.asarray(totals, dtype=float), np.asarray(sizes, dtype=float)
    ratio = float(a.sum() / b.sum())
    n = len(a)
    if n < 2:
        return ratio, math.nan
    spread = math.sqrt(n / (n - 1) * float(((a - ratio * b) ** 2).sum())) / float(b.sum())
    return ratio, float(stats.t.ppf(0.975, n - 1)) * spread


@dataclass(frozen=True, kw_only=True)
class LeagueRow:
    """One model in the league table; all rows were scored on the same held-out plays.

    `chapter`, such as "12", builds it. `low` and `high` are the ends of the 95 % interval over
    documents of its bits per character on the test split; `excess` are those above the truth, by
    the same recipe on TinyWorld, nan if unknown. `parameters` counts stored counts or learned
    weights, `train_tokens` the tokens seen in training, repeats counted; `cpu_seconds` is processor
    time to train, in seconds, on the machine named in the recording. `note` is for a fair reader.
    """

    model: str
    chapter: str
    bits_per_char: float
    low: float
    high: float
    parameters: int
    train_tokens: int
    cpu_seconds: float
    note: str = ""
    excess: float = math.nan


def read_league(until: str | None = None) -> list[LeagueRow]:
    """Read the recorded league table, in the order in which the chapters add to it.

    With `until`, a chapter such as "12", only the rows of chapters up to that one.
    """
    kinds = get_type_hints(LeagueRow)
    excess = {row["model"]: row["excess"] for row in read_recording("league_tinyworld").rows}
    rows = [
        LeagueRow(**{name: kind(row[name]) for name, kind in kinds.items() if name in row})
        for name in LEAGUE
        for recorded in read_recording(name).rows
        for row in [{"excess": excess.get(recorded["model"], "nan"), **recorded}]
        if row["chapter"]
    ]
    return [row for row in rows if until is None or row.chapter <= until]
