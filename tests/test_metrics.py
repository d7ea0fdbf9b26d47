"""Every character scored once, with the context it was promised, and intervals that hold."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from labkit import metrics
from labkit.metrics import (
    Score,
    evaluate,
    ratio_interval,
    read_league,
    token_log_probs,
)
from labkit.model import check_ids
from labkit.ngram import count_ngrams, kneser_ney, maximum_likelihood
from labkit.tokenizers import ByteTokenizer, CharTokenizer

TOKENIZER = CharTokenizer.train(["abcdefg"])
TEXTS = ["abcdefg", "", "gg", "abc" * 50]


class Uniform:
    """Knows nothing: every token is as likely as every other."""

    properties = frozenset[str]()

    def __init__(self, vocab_size: int, context_length: int | None = None) -> None:
        self.vocab_size, self.context_length = vocab_size, context_length

    def new_cache(self) -> Any:
        return []

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        check_ids(ids, self.vocab_size, self.context_length)
        return torch.zeros(*ids.shape, self.vocab_size)


class Reveals(Uniform):
    """For a text 0, 1, 2, …: the score of the right token tells what was visible before it.

    Its probability is 1 - s / 2 with s = (tokens visible) / (tokens in the longest window + 1),
    which is above ½; every wrong token gets less than ½.
    """

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        super().__call__(ids)
        width = self.context_length or self.vocab_size
        right = 1 - torch.arange(1, ids.shape[1] + 1, dtype=torch.float64) / (2 * (width + 1))
        wrong = (1 - right) / (self.vocab_size - 1)
        probs = wrong[:, None].expand(*ids.shape, self.vocab_size).clone()
        return probs.scatter_(2, ids[..., None] + 1, right.expand(ids.shape)[..., None]).log()

    def visible(self, log_probs: Tensor) -> list[float]:
        """Turn scores back into numbers of visible tokens."""
        width = self.context_length or self.vocab_size
        return ((1 - log_probs.double().exp()) * 2 * (width + 1)).tolist()


class Counting(Uniform):
    """Writes down the shape of every call."""

    def __init__(self, vocab_size: int, context_length: int | None = None) -> None:
        super().__init__(vocab_size, context_length)
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        self.shapes.append(tuple(ids.shape))
        return super().__call__(ids)


# --- the protocol -----------------------------------------------------------------------------


@pytest.mark.parametrize("context_length", [None, 4, 1000])
def test_a_model_that_knows_nothing_scores_log2_of_the_vocabulary(
    context_length: int | None,
) -> None:
    score = evaluate(Uniform(TOKENIZER.vocab_size, context_length), TOKENIZER, TEXTS)
    assert score.bits_per_char == pytest.approx(math.log2(8), rel=1e-6)
    assert score.perplexity == pytest.approx(8, rel=1e-6)
    assert score.chars == (8, 1, 3, 151)
    assert score.bits == pytest.approx([3 * n for n in score.chars], rel=1e-6)
    assert score.n_tokens == sum(score.chars)
    assert score.low == pytest.approx(score.high, abs=1e-5)


def test_bits_are_per_character_and_perplexity_per_token() -> None:
    # "猫" is one character and three bytes; with the end 2 characters and 4 tokens of 257.
    score = evaluate(Uniform(257), ByteTokenizer(), ["猫"])
    assert score.bits_per_char == pytest.approx(4 * math.log2(257) / 2, rel=1e-6)
    assert score.perplexity == pytest.approx(257, rel=1e-6)
    assert (score.chars, score.n_tokens) == ((2,), 4)


def test_a_document_is_scored_after_one_end_token_and_its_own_end_counts() -> None:
    # Counted on ␃ab␃ab␃ with ␃ the end: a always follows ␃, b follows a, ␃ follows b.
    end = TOKENIZER.end
    model = maximum_likelihood(count_ngrams([end, 0, 1, end, 0, 1, end], 2, 8), 2)
    assert evaluate(model, TOKENIZER, ["ab", "ab"]).bits == (0.0, 0.0)
    assert math.isinf(evaluate(model, TOKENIZER, ["ba"]).bits_per_char)


def test_documents_do_not_see_each_other() -> None:
    model = kneser_ney(count_ngrams(TOKENIZER.encode("abcdefg" * 9 + "gfedcba"), 4, 8), 4)
    together = evaluate(model, TOKENIZER, TEXTS).bits
    assert together == tuple(evaluate(model, TOKENIZER, [text]).bits[0] for text in TEXTS)


def test_no_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one document"):
        evaluate(Uniform(8), TOKENIZER, [])


# --- windows ----------------------------------------------------------------------------------


@st.composite
def windowings(draw: st.DrawFn) -> tuple[int, int, int]:
    context = draw(st.integers(1, 12))
    return draw(st.integers(1, 60)), context, draw(st.integers(1, context))


@given(windowings())
def test_every_token_is_scored_once_with_the_context_it_was_promised(
    setting: tuple[int, int, int],
) -> None:
    length, context, stride = setting
    model = Reveals(length + 2, context)
    log_probs = token_log_probs(model, torch.arange(length + 1)[None], stride=stride)
    assert log_probs.shape == (length,)
    for place, visible in enumerate(model.visible(log_probs)):
        # A wrong or missing score would be off the grid of whole numbers or above the context.
        assert visible == pytest.approx(round(visible), abs=1e-3)
        assert min(place + 1, context - stride + 1) <= round(visible) <= min(place + 1, context)


@given(st.integers(1, 60), st.integers(1, 12))
def test_a_stride_of_one_gives_every_token_the_longest_context_there_is(
    length: int, context: int
) -> None:
    model = Reveals(length + 2, context)
    log_probs = token_log_probs(model, torch.arange(length + 1)[None], stride=1)
    expected = [min(place + 1, context) for place in range(length)]
    assert model.visible(log_probs) == pytest.approx(expected, abs=1e-3)


def test_the_stride_is_half_the_context_unless_given() -> None:
    ids = torch.arange(41)[None]
    model = Reveals(42, 8)
    given_half = token_log_probs(model, ids, stride=4)
    assert torch.equal(token_log_probs(model, ids), given_half)
    assert not torch.equal(token_log_probs(model, ids, stride=8), given_half)
    only_one = Reveals(42, 1)
    assert token_log_probs(only_one, ids).shape == (40,)


@pytest.mark.parametrize("stride", [0, 9, -1])
def test_a_stride_outside_the_context_is_refused(stride: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 8, the context, got {stride}"):
        token_log_probs(Uniform(5, 8), torch.zeros(1, 30, dtype=torch.long), stride=stride)


@given(windowings(), st.integers(1, 20))
def test_how_windows_are_batched_makes_no_difference(
    setting: tuple[int, int, int], at_once: int
) -> None:
    length, context, stride = setting
    ids = torch.arange(length + 1)[None]
    expected = token_log_probs(Reveals(length + 2, context), ids, stride=stride)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "WINDOWS_AT_ONCE", at_once)
        got = token_log_probs(Reveals(length + 2, context), ids, stride=stride)
    assert torch.equal(got, expected)


def test_windows_are_scored_in_batches() -> None:
    model = Counting(5, 8)
    token_log_probs(model, torch.zeros(1, 1 + 8 * 40, dtype=torch.long), stride=8)
    assert model.shapes == [(16, 8), (16, 8), (8, 8)]


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_how_a_long_text_is_cut_makes_no_difference_without_a_context_length(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, size=(1, 200)))
    model = kneser_ney(count_ngrams(ids[0].numpy(), 4, 5), 4)
    whole = model(ids[:, :-1])[0].gather(1, ids[0, 1:, None])[:, 0]
    monkeypatch.setattr(metrics, "CHUNK", chunk)
    torch.testing.assert_close(token_log_probs(model, ids), whole, rtol=0, atol=1e-5)


def test_scoring_keeps_no_gradients() -> None:
    weight = torch.ones(1, requires_grad=True)

    class Learns(Uniform):
        def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
            return super().__call__(ids) * weight

    for context_length in (None, 4):
        log_probs = token_log_probs(Learns(5, context_length), torch.zeros(1, 9, dtype=torch.long))
        assert not log_probs.requires_grad


# --- intervals --------------------------------------------------------------------------------


def test_a_ratio_and_its_interval_by_hand() -> None:
    # Ratio (2 + 4 + 9)/(1 + 2 + 3) = 5/2. What is left: 2 - 5/2, 4 - 5, 9 - 15/2 = -½, -1, 3/2,
    # squares 1/4 + 1 + 9/4 = 7/2; times 3/2 is 21/4; its root over 6 is 0.381881. Student's t of
    # two degrees of freedom at 97.5 % is 4.302653 (tables), and the product 1.643102.
    ratio, half = ratio_interval([2, 4, 9], [1, 2, 3])
    assert ratio == 2.5
    assert half == pytest.approx(1.643102, abs=1e-6)


def test_one_document_has_a_ratio_and_no_interval() -> None:
    ratio, half = ratio_interval([6], [4])
    assert ratio == 1.5
    assert math.isnan(half)


def test_equal_rates_have_an_interval_of_nothing() -> None:
    assert ratio_interval([2, 4, 6], [1, 2, 3]) == (2.0, 0.0)


@pytest.mark.parametrize("n_documents", [4, 10, 40])
def test_the_interval_covers_the_truth_about_95_times_in_100(n_documents: int) -> None:
    random = np.random.default_rng(n_documents)
    rate, hits, trials = 2.0, 0, 1000
    for _ in range(trials):
        sizes = random.integers(50, 150, size=n_documents).astype(float)
        totals = sizes * random.normal(rate, 0.3, size=n_documents)
        ratio, half = ratio_interval(totals.tolist(), sizes.tolist())
        hits += abs(ratio - rate) <= half
    assert 0.91 <= hits / trials <= 0.98


def score(bits: list[float], chars: list[int]) -> Score:
    mean, half = ratio_interval(bits, chars)
    return Score(
        bits_per_char=mean,
        low=mean - half,
        high=mean + half,
        bits=tuple(bits),
        chars=tuple(chars),
        n_tokens=sum(chars),
    )


def test_perplexity_by_hand() -> None:
    # 12 bits over 4 tokens are 3 bits each: as surprising as 2³ equally likely tokens.
    assert score([4, 8], [1, 3]).perplexity == 8


def test_the_recorded_league_table_is_read_with_its_types() -> None:
    rows = read_league()
    assert rows[0].model == "uniform"
    for row in rows:
        assert type(row.parameters) is int
        assert row.low <= row.bits_per_char <= row.high, row.model
    assert min(row.bits_per_char for row in rows) > 1
