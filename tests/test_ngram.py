"""N-grams against hand-worked values, a slow second program, and NLTK where NLTK is right."""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.lm import KneserNeyInterpolated
from nltk.util import everygrams

from labkit.ngram import (
    NGram,
    add_k,
    count_ngrams,
    kneser_ney,
    kneser_ney_discounts,
    maximum_likelihood,
)

VOCAB_SIZE = 4
UNIFORM = [Fraction(1, VOCAB_SIZE)] * VOCAB_SIZE
Gram = tuple[int, ...]
Kind = Literal["one", "three"]
corpora = st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=6, max_size=40)
queries = st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=12)
orders = st.integers(1, 5)
discount_rows = st.tuples(st.floats(0, 1), st.floats(0, 2), st.floats(0, 3))


# --- a second implementation: slow, exact, dictionaries of tuples -----------------------------


def grams(ids: list[int], n: int) -> Counter[Gram]:
    return Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))


def continuation(ids: list[int], gram: Gram) -> int:
    """Count, by brute force, the different tokens that stand right before an n-gram."""
    return len({longer[0] for longer in grams(ids, len(gram) + 1) if longer[1:] == gram})


def slow_discounts(values: list[int], kind: Kind) -> list[Fraction]:
    n = Counter(values)
    if not (n[1] and n[2]):
        return [Fraction(1, 2)] * 3
    y = Fraction(n[1], n[1] + 2 * n[2])
    if kind == "one" or not (n[3] and n[4]):
        return [y] * 3
    amounts = [r - (r + 1) * y * Fraction(n[r + 1], n[r]) for r in (1, 2, 3)]
    inside = all(0 <= amount <= r for r, amount in enumerate(amounts, start=1))
    return amounts if inside else [y] * 3


def slow_add_k(ids: list[int], context: Gram, k: Fraction) -> list[Fraction]:
    counts = grams(ids, len(context) + 1)
    row = [counts[(*context, token)] + k for token in range(VOCAB_SIZE)]
    if sum(row) == 0:
        return UNIFORM
    return [value / sum(row) for value in row]


def slow_kneser_ney(
    ids: list[int], order: int, discounts: Kind | list[list[Fraction]]
) -> Callable[[Gram], list[Fraction]]:
    values, amounts = {}, {}
    for n in range(1, order + 1):
        here = grams(ids, n)
        values[n] = dict(here) if n == order else {gram: continuation(ids, gram) for gram in here}
        if isinstance(discounts, str):
            amounts[n] = slow_discounts(list(values[n].values()), discounts)
        else:
            amounts[n] = discounts[n - 1]

    def probabilities(context: Gram) -> list[Fraction]:
        shorter = probabilities(context[1:]) if context else UNIFORM
        n = len(context) + 1
        row = [values[n].get((*context, token), 0) for token in range(VOCAB_SIZE)]
        if sum(row) == 0:
            return shorter
        taken = [amounts[n][min(value, 3) - 1] if value else Fraction(0) for value in row]
        rest = sum(taken) / Fraction(sum(row))
        triples = zip(row, taken, shorter, strict=True)
        return [(value - less) / sum(row) + rest * p for value, less, p in triples]

    return probabilities


def check_against(
    model: NGram, query: list[int], slow: Callable[[Gram], list[Fraction]], order: int
) -> None:
    """Compare all positions of a query; the first ones have contexts shorter than the order."""
    got = model.probabilities(np.array([query]))[0]
    for position in range(len(query)):
        context = tuple(query[max(0, position + 2 - order) : position + 1])
        expected = [float(p) for p in slow(context)]
        np.testing.assert_allclose(got[position], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.sum(axis=-1), 1, rtol=0, atol=1e-9)
    assert (got >= 0).all()


# --- counting ---------------------------------------------------------------------------------


@given(corpora, orders)
def test_counts_equal_brute_force(ids: list[int], order: int) -> None:
    counts = count_ngrams(ids, order, VOCAB_SIZE)
    known: list[Gram] = [()]
    for n, level in enumerate(counts.levels, start=1):
        shorter = known
        known = [(*shorter[key // VOCAB_SIZE], int(key % VOCAB_SIZE)) for key in level.keys]
        assert dict(zip(known, level.counts.tolist(), strict=True)) == grams(ids, n)
        assert [shorter[suffix] for suffix in level.suffixes] == [gram[1:] for gram in known]
        assert counts.n_distinct(n) == len(grams(ids, n))


@given(corpora, st.integers(1, 4))
def test_continuation_counts_equal_brute_force(ids: list[int], order: int) -> None:
    counts = count_ngrams(ids, order + 1, VOCAB_SIZE)
    in_order = sorted(grams(ids, order))
    expected = [continuation(ids, gram) for gram in in_order]
    assert counts.continuations(order).tolist() == expected


def test_the_last_n_gram_of_a_sequence_counts() -> None:
    model = maximum_likelihood(count_ngrams([0, 0, 0, 1, 2], 3, 3), 3)
    assert model.probabilities(np.array([[0, 1]]))[0, 1].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("ids", "order", "message"),
    [
        ([0, 1], 3, "order ≤ 2, the number of ids, got 3"),
        ([0, 1], 0, "got 0"),
        ([0, 3], 1, "0 to 2, got 0 to 3"),
        ([-1, 2], 1, "0 to 2, got -1 to 2"),
    ],
)
def test_what_cannot_be_counted_is_refused(ids: list[int], order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_ngrams(ids, order, vocab_size=3)


# --- maximum likelihood and add-k -------------------------------------------------------------


@given(corpora, queries, orders, st.fractions(0, 3, max_denominator=50))
def test_add_k_equals_the_slow_one(
    ids: list[int], query: list[int], order: int, k: Fraction
) -> None:
    counts = count_ngrams(ids, order, VOCAB_SIZE)
    check_against(
        add_k(counts, order, float(k)), query, lambda context: slow_add_k(ids, context, k), order
    )


@given(corpora, queries, orders)
def test_maximum_likelihood_is_uniform_and_flagged_exactly_where_nothing_was_seen(
    ids: list[int], query: list[int], order: int
) -> None:
    model = maximum_likelihood(count_ngrams(ids, order, VOCAB_SIZE), order)
    check_against(model, query, lambda context: slow_add_k(ids, context, Fraction(0)), order)
    for position, seen in enumerate(model.seen(np.array([query]))[0]):
        context = tuple(query[max(0, position + 2 - order) : position + 1])
        followed = any(gram[:-1] == context for gram in grams(ids, len(context) + 1))
        assert seen == followed
        if not seen:
            uniform = model.probabilities(np.array([query]))[0, position]
            assert uniform.tolist() == [1 / VOCAB_SIZE] * VOCAB_SIZE


def test_a_negative_k_and_an_order_not_counted_are_refused() -> None:
    counts = count_ngrams([0, 1, 0], 2, 2)
    with pytest.raises(ValueError, match=r"k ≥ 0, got -0\.5"):
        add_k(counts, 2, -0.5)
    with pytest.raises(ValueError, match="1 to 2, the longest counted, got 3"):
        kneser_ney(counts, 3)


# --- Kneser-Ney -------------------------------------------------------------------------------


def test_kneser_ney_by_hand() -> None:
    # Write a, b for 0, 1. The corpus is a b a b b; its pairs are ab, ba, ab, bb.
    #
    # Order 2 counts: ab 2, ba 1, bb 1. n₁ = 2, n₂ = 1, so D = 2 / (2 + 2·1) = 1/2.
    #   after a (total 2): a: 0            b: (2 - 1/2)/2 = 3/4   left over: (1/2)/2 = 1/4
    #   after b (total 2): a: 1/2/2 = 1/4  b: 1/4                 left over: (1/2 + 1/2)/2 = 1/2
    # Order 1 counts what stands before: a follows {b}: 1; b follows {a, b}: 2; total 3.
    #   n₁ = 1, n₂ = 1, so D = 1 / (1 + 2·1) = 1/3; left over (1/3 + 1/3)/3 = 2/9, shared by two:
    #   P(a) = (1 - 1/3)/3 + 1/9 = 1/3     P(b) = (2 - 1/3)/3 + 1/9 = 2/3
    # Together: P(a|a) = 1/4 · 1/3 = 1/12          P(b|a) = 3/4 + 1/4 · 2/3 = 11/12
    #           P(a|b) = 1/4 + 1/2 · 1/3 = 5/12    P(b|b) = 1/4 + 1/2 · 2/3 = 7/12
    model = kneser_ney(count_ngrams([0, 1, 0, 1, 1], 2, 2), 2, "one")
    got = model.probabilities(np.array([[0, 1]]))[0]
    np.testing.assert_allclose(got, [[1 / 12, 11 / 12], [5 / 12, 7 / 12]], rtol=0, atol=1e-15)


@given(corpora, queries, orders, st.sampled_from(["one", "three"]))
def test_kneser_ney_equals_the_slow_one(
    ids: list[int], query: list[int], order: int, kind: Kind
) -> None:
    model = kneser_ney(count_ngrams(ids, order, VOCAB_SIZE), order, kind)
    check_against(model, query, slow_kneser_ney(ids, order, kind), order)


@given(corpora, queries, st.lists(discount_rows, min_size=1, max_size=5))
def test_kneser_ney_with_given_discounts_equals_the_slow_one(
    ids: list[int], query: list[int], rows: list[tuple[float, float, float]]
) -> None:
    order = len(rows)
    model = kneser_ney(count_ngrams(ids, order, VOCAB_SIZE), order, np.array(rows))
    exact = [[Fraction(amount) for amount in row] for row in rows]
    check_against(model, query, slow_kneser_ney(ids, order, exact), order)


def test_a_lower_order_of_the_same_counts_equals_counting_that_order_alone() -> None:
    ids = np.random.default_rng(0).integers(VOCAB_SIZE, size=60)
    query = np.random.default_rng(1).integers(VOCAB_SIZE, size=(2, 9))
    deep = count_ngrams(ids, 5, VOCAB_SIZE)
    for order in range(1, 5):
        alone = kneser_ney(count_ngrams(ids, order, VOCAB_SIZE), order).probabilities(query)
        np.testing.assert_array_equal(kneser_ney(deep, order).probabilities(query), alone)


@pytest.mark.parametrize(
    "discounts",
    [np.full(3, 0.5), np.full((3, 3), 0.5), np.full((2, 3), 1.5), np.full((2, 3), -0.1)],
)
def test_discounts_of_a_wrong_shape_or_beyond_the_counts_are_refused(discounts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected discounts"):
        kneser_ney(count_ngrams([0, 1, 0, 1, 1], 2, 2), 2, discounts)


@pytest.mark.parametrize(
    ("counts_of_counts", "kind", "expected"),
    [
        # Y = 4 / (4 + 2·2) = 1/2: D₁ = 1 - 2·½·2/4, D₂ = 2 - 3·½·1/2, D₃ = 3 - 4·½·1/1.
        ((4, 2, 1, 1), "three", [0.5, 1.25, 1.0]),
        ((4, 2, 1, 1), "one", [0.5, 0.5, 0.5]),
        # Y = 6 / (6 + 2·3) = 1/2: D₁ = 1 - 2·½·3/6, D₂ = 2 - 3·½·2/3, D₃ = 3 - 4·½·1/2.
        ((6, 3, 2, 1), "three", [0.5, 1.0, 2.0]),
        # n₃ or n₄ is zero: "three" falls back to "one", Y = 4 / (4 + 2·2).
        ((4, 2, 0, 1), "three", [0.5, 0.5, 0.5]),
        ((4, 2, 1, 0), "three", [0.5, 0.5, 0.5]),
        # D₂ = 2 - 3 · 1/3 · 3/1 = -1 is negative: "one", Y = 1 / (1 + 2·1).
        ((1, 1, 3, 1), "three", [1 / 3, 1 / 3, 1 / 3]),
        # D₃ = 3 - 4 · 1/2 · 2/1 = -1 is negative: "one".
        ((4, 2, 1, 2), "three", [0.5, 0.5, 0.5]),
        # D₂ = 2 - 3 · 1/5 · 20/6 is exactly 0 and allowed; D₃ = 3 - 4 · 1/5 · 1/20.
        ((3, 6, 20, 1), "three", [0.2, 0.0, 2.96]),
        # n₁ or n₂ is zero: ½ for both.
        ((0, 2, 1, 1), "three", [0.5, 0.5, 0.5]),
        ((4, 0, 1, 1), "three", [0.5, 0.5, 0.5]),
        ((0, 2, 1, 1), "one", [0.5, 0.5, 0.5]),
        ((4, 0, 1, 1), "one", [0.5, 0.5, 0.5]),
    ],
)
def test_discounts_by_hand(
    counts_of_counts: tuple[int, ...], kind: Kind, expected: list[float]
) -> None:
    values = np.repeat([1, 2, 3, 4], counts_of_counts)
    np.testing.assert_allclose(kneser_ney_discounts(values, kind), expected, rtol=0, atol=1e-15)


@given(st.lists(st.integers(0, 7), max_size=60), st.sampled_from(["one", "three"]))
def test_discounts_equal_the_slow_ones_and_never_exceed_the_count(
    values: list[int], kind: Kind
) -> None:
    got = kneser_ney_discounts(np.array(values, dtype=int), kind)
    expected = [float(amount) for amount in slow_discounts(values, kind)]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    assert (got >= 0).all()
    assert (got <= [1, 2, 3]).all()


# --- NLTK -------------------------------------------------------------------------------------

DISCOUNT = 0.3


def nltk_and_ours(ids: list[int], order: int) -> tuple[KneserNeyInterpolated, NGram]:
    """Fit both with one discount; NLTK takes none at order 1, where it does not interpolate."""
    words = [str(token) for token in ids]
    theirs = KneserNeyInterpolated(order, discount=DISCOUNT)
    theirs.fit([everygrams(words, max_len=order)], vocabulary_text=words)
    discounts = np.full((order, 3), DISCOUNT)
    discounts[0] = 0
    return theirs, kneser_ney(count_ngrams(ids, order, VOCAB_SIZE), order, discounts)


def nltk_row(model: KneserNeyInterpolated, context: Gram) -> list[float]:
    words = tuple(str(token) for token in context)
    return [model.unmasked_score(str(token), words) for token in range(VOCAB_SIZE)]


@settings(max_examples=30)
@given(corpora, st.integers(2, 4))
def test_kneser_ney_equals_nltk_on_a_text_that_ends_as_it_began(ids: list[int], order: int) -> None:
    # NLTK is right where every n-gram shorter than the order has something before it. The first
    # n-grams of a text may have nothing; repeating them at the end gives them the last token.
    theirs, ours = nltk_and_ours(ids + ids[: order - 1], order)
    for context in product(range(VOCAB_SIZE), repeat=order - 1):
        expected = nltk_row(theirs, context)
        got = ours.probabilities(np.array([context]))[0, -1]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


def test_nltk_is_wrong_at_the_start_of_a_text_and_we_are_not() -> None:
    # NLTK's share for the shorter context counts all tokens that follow a context, even one whose
    # n-gram has nothing before it and so loses no discount. In 0 1 2 1 3 0 2 the pair 01 stands
    # only at the start, so the order-2 row after 0 holds 02 alone: (1 - 0.3)/1, and 0.3 is left.
    # NLTK leaves 2 · 0.3 for it, and the row sums to 0.7 + 0.6 = 1.3.
    theirs, ours = nltk_and_ours([0, 1, 2, 1, 3, 0, 2], 3)
    assert sum(nltk_row(theirs, (0,))) == pytest.approx(1.3)
    assert sum(nltk_row(theirs, (3, 0))) == pytest.approx(0.7 + 0.3 * 1.3)
    row = ours.probabilities(np.array([[3, 0]]))[0, -1]
    assert row.sum() == pytest.approx(1, abs=1e-12)


def test_nltk_fails_where_the_only_continuation_stands_at_the_start_and_we_back_off() -> None:
    # The context 0 occurs once, at the start: its order-2 total is 0 and NLTK divides by it.
    theirs, ours = nltk_and_ours([0, 1, 2, 1, 3], 3)
    with pytest.raises(ZeroDivisionError):
        nltk_row(theirs, (0,))
    # We use the order-1 row: 1 follows {0, 2}, 2 and 3 follow {1}, so (0, 2, 1, 1)/4.
    assert ours.probabilities(np.array([[0]]))[0, -1].tolist() == [0, 0.5, 0.25, 0.25]


def test_logits_are_the_logarithms_of_the_probabilities() -> None:
    model = maximum_likelihood(count_ngrams([0, 1, 0, 1, 1], 2, 3), 2)
    ids = np.array([[0, 1, 2]])
    expected = torch.from_numpy(np.log([[[1e-99, 1, 1e-99], [0.5, 0.5, 1e-99], [1 / 3] * 3]]))
    got = model(torch.from_numpy(ids)).double()
    torch.testing.assert_close(got.exp(), expected.exp(), rtol=0, atol=1e-7)
    assert got[0, 0, 0] == -torch.inf


def test_parameters_are_the_distinct_n_grams_that_a_model_needs() -> None:
    # In 0 1 0 1 1 there are 2 different tokens, 3 pairs (01, 10, 11) and 3 triples (010, 101, 011).
    counts = count_ngrams([0, 1, 0, 1, 1], 3, 2)
    assert maximum_likelihood(counts, 3).n_parameters == 3
    assert kneser_ney(counts, 3).n_parameters == 2 + 3 + 3
    assert kneser_ney(counts, 2).n_parameters == 2 + 3
