"""Filters of logits, drawing, and the loop that writes, with models of ten lines."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from labkit.generation import (
    Reading,
    apply_temperature,
    beam_search,
    generate,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    sample,
)
from labkit.gpt import GPT, GPTConfig
from labkit.model import check_ids
from labkit.ngram import count_ngrams, kneser_ney

MINUS_INF = float("-inf")
rows = st.lists(
    st.lists(st.floats(-20, 20, width=32) | st.just(MINUS_INF), min_size=6, max_size=6).filter(
        lambda row: max(row) > MINUS_INF
    ),
    min_size=1,
    max_size=3,
).map(torch.tensor)


def random_numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Fixed:
    """Gives the same logits after every token, and refuses what its context cannot hold."""

    properties = frozenset[str]()

    def __init__(self, logits: list[float], context_length: int | None = None) -> None:
        self.logits = torch.tensor(logits)
        self.vocab_size, self.context_length = len(logits), context_length

    def new_cache(self) -> Any:
        return []

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        check_ids(ids, self.vocab_size, self.context_length)
        return self.logits.expand(*ids.shape, -1)


class CountsOn(Fixed):
    """After token i comes token i + 1, round and round; notes the length of every call."""

    def __init__(self, vocab_size: int, context_length: int | None = None) -> None:
        super().__init__([0.0] * vocab_size, context_length)
        self.lengths: list[int] = []

    def __call__(self, ids: Tensor, cache: Any = None) -> Tensor:
        super().__call__(ids)
        self.lengths.append(ids.shape[1])
        following = (ids + 1) % self.vocab_size
        return torch.nn.functional.one_hot(following, self.vocab_size).float().log()


# --- filters ----------------------------------------------------------------------------------


@given(rows, st.integers(1, 8))
def test_top_k_keeps_the_k_most_likely(logits: Tensor, k: int) -> None:
    kept = keep_top_k(logits, k)
    for before, after in zip(logits.tolist(), kept.tolist(), strict=True):
        ranked = sorted(range(6), key=lambda token: (-before[token], token))
        chosen = set(ranked[:k])
        expected = [value if i in chosen else MINUS_INF for i, value in enumerate(before)]
        assert after == expected


@given(rows, st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_that_reach_p(logits: Tensor, p: float) -> None:
    kept = keep_top_p(logits, p)
    for before, after in zip(logits, kept, strict=True):
        probs = before.double().softmax(dim=0)
        chosen = after > MINUS_INF
        assert torch.equal(after[chosen], before[chosen])
        inside, outside = probs[chosen], probs[~chosen & (before > MINUS_INF)]
        assert inside.sum() >= p - 1e-12
        assert inside.sum() - inside.min() < p + 1e-12, "one token fewer would have been enough"
        assert outside.numel() == 0 or outside.max() <= inside.min()


def test_top_p_by_hand() -> None:
    # Probabilities ½, ¼, ⅛, ⅛: 0.5 needs one token, 0.6 two, 0.8 three, the lower id of the tie.
    logits = torch.tensor([[1 / 8, 1 / 4, 1 / 2, 1 / 8]]).log()
    kept = {p: (keep_top_p(logits, p)[0] > MINUS_INF).tolist() for p in (0.5, 0.6, 0.8, 1.0)}
    assert kept == {
        0.5: [False, False, True, False],
        0.6: [False, True, True, False],
        0.8: [True, True, True, False],
        1.0: [True, True, True, True],
    }


def test_min_p_by_hand() -> None:
    # Probabilities ½, ¼, ⅛, ⅛: half as likely as the first is the second, a quarter all.
    logits = torch.tensor([[1 / 8, 1 / 4, 1 / 2, 1 / 8]]).log()
    kept = {share: (keep_min_p(logits, share)[0] > MINUS_INF).sum() for share in (1, 0.4, 0.2)}
    assert kept == {1: 1, 0.4: 2, 0.2: 4}


@given(rows, st.floats(0.01, 1))
def test_min_p_keeps_what_is_likely_beside_the_likeliest(logits: Tensor, share: float) -> None:
    kept = keep_min_p(logits, share)
    probs = logits.double().softmax(dim=1)
    border = share * probs.max(dim=1, keepdim=True).values
    chosen = kept > MINUS_INF
    assert torch.equal(kept[chosen], logits[chosen])
    assert (probs >= border * 0.999)[chosen].all()
    assert (probs < border * 1.001)[~chosen].all()


def test_of_a_thousand_equally_likely_tokens_the_lowest_ids_are_kept() -> None:
    equal = torch.zeros(1, 1024)
    assert (keep_top_k(equal, 3) > MINUS_INF).nonzero()[:, 1].tolist() == [0, 1, 2]
    # Each has exactly 1/1024, so that two reach exactly 2/1024.
    assert (keep_top_p(equal, 2 / 1024) > MINUS_INF).nonzero()[:, 1].tolist() == [0, 1]


@given(rows, st.floats(0.05, 20))
def test_temperature_keeps_the_order(logits: Tensor, temperature: float) -> None:
    changed = apply_temperature(logits, temperature).gather(1, logits.argsort(dim=1))
    assert (changed[:, :-1] <= changed[:, 1:]).all()
    assert torch.equal(apply_temperature(logits, 1.0), logits)


@given(rows)
def test_temperature_zero_is_argmax_and_the_first_of_equals(logits: Tensor) -> None:
    greedy = apply_temperature(logits, 0)
    assert (greedy > MINUS_INF).sum(dim=1).tolist() == [1] * len(logits)
    first = [row.index(max(row)) for row in logits.tolist()]
    assert sample(greedy, random_numbers()).tolist() == first


def test_temperature_sharpens_below_one_and_flattens_above() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    cold, same, hot = (apply_temperature(logits, t).softmax(dim=1)[0] for t in (0.5, 1.0, 2.0))
    assert cold[0] > same[0] > hot[0]
    assert cold[2] < same[2] < hot[2]


@given(rows, st.lists(st.integers(0, 5), min_size=1, max_size=8), st.floats(1, 10))
def test_a_penalty_lowers_what_occurred_and_nothing_else(
    logits: Tensor, said: list[int], penalty: float
) -> None:
    ids = torch.tensor([said]).expand(len(logits), -1)
    lowered = penalise_repetition(logits, ids, penalty)
    others = [token for token in range(6) if token not in said]
    assert torch.equal(lowered[:, others], logits[:, others])
    assert (lowered <= logits).all()
    assert torch.equal(penalise_repetition(logits, ids, 1.0), logits)


def test_a_penalty_by_hand() -> None:
    logits = torch.tensor([[3.0, -3.0, 3.0], [3.0, -3.0, 3.0]])
    ids = torch.tensor([[0, 1], [2, 2]])
    expected = torch.tensor([[1.5, -6.0, 3.0], [3.0, -3.0, 1.5]])
    assert torch.equal(penalise_repetition(logits, ids, 2.0), expected)


@given(rows)
def test_filters_leave_their_input_as_it_was(logits: Tensor) -> None:
    before = logits.clone()
    apply_temperature(logits, 0)
    apply_temperature(logits, 0.5)
    keep_top_k(logits, 2)
    keep_top_p(logits, 0.5)
    penalise_repetition(logits, torch.zeros(len(logits), 1, dtype=torch.long), 2.0)
    sample(logits, random_numbers())
    assert torch.equal(logits, before)


def test_settings_that_mean_nothing_are_refused_with_their_value() -> None:
    logits = torch.zeros(1, 3)
    with pytest.raises(ValueError, match=r"temperature.*-0\.1"):
        apply_temperature(logits, -0.1)
    with pytest.raises(ValueError, match=r"top-k.*0"):
        keep_top_k(logits, 0)
    for p in (0.0, 1.1):
        with pytest.raises(ValueError, match=f"top-p.*{p}"):
            keep_top_p(logits, p)
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match=f"min-p.*{share}"):
            keep_min_p(logits, share)
    with pytest.raises(ValueError, match=r"penalty.*0\.9"):
        penalise_repetition(logits, torch.tensor([[0]]), 0.9)


# --- drawing ----------------------------------------------------------------------------------


def test_draws_match_the_probabilities() -> None:
    probs = [0.4, 0.3, 0.2, 0.1]
    n = 20_000
    drawn = sample(torch.tensor(probs).log().expand(n, -1), random_numbers(1))
    observed = torch.bincount(drawn, minlength=4)
    assert stats.chisquare(observed.tolist(), [n * p for p in probs]).pvalue > 0.01


def test_what_a_filter_ruled_out_is_never_drawn() -> None:
    logits = keep_top_k(torch.zeros(5_000, 6), 2)
    assert sample(logits, random_numbers()).unique().tolist() == [0, 1]


# --- writing ----------------------------------------------------------------------------------


def written(model: Fixed, **settings: Any) -> set[int]:
    """Return which tokens are written in two steps by 200 rows."""
    start = torch.zeros(200, 1, dtype=torch.long)
    ids = generate(model, start, 2, generator=random_numbers(), **settings)
    assert ids.shape == (200, 3)
    return set(ids[:, 1:].flatten().tolist())


def test_writing_applies_the_settings_it_was_given() -> None:
    model = Fixed([0.0, 3.0, 2.0, 1.0])
    assert written(model) == {0, 1, 2, 3}
    assert written(model, top_k=2) == {1, 2}
    assert written(model, top_p=0.5) == {1}
    assert written(model, min_p=0.3) == {1, 2}
    assert written(model, temperature=0) == {1}
    assert written(model, temperature=0, repetition_penalty=2.0) == {1, 2}
    # Temperature comes before top-p: at 3 no token alone has half of the probability.
    assert written(model, top_p=0.5, temperature=3.0) == {1, 2}


def test_a_penalty_remembers_all_that_was_written() -> None:
    # At a penalty of 4: token 1 falls from 3 to 3/4, then 2 from 2 to 1/2, then 3 from 1 to 1/4.
    ids = generate(
        Fixed([0.0, 3.0, 2.0, 1.0]),
        torch.tensor([[0]]),
        4,
        generator=random_numbers(),
        temperature=0,
        repetition_penalty=4.0,
    )
    assert ids[0].tolist() == [0, 1, 2, 3, 1]


def test_writing_continues_and_does_not_change_what_it_was_given() -> None:
    start = torch.tensor([[3, 0], [1, 1]])
    ids = generate(CountsOn(5), start, 4, generator=random_numbers())
    assert ids.tolist() == [[3, 0, 1, 2, 3, 4], [1, 1, 2, 3, 4, 0]]
    assert start.tolist() == [[3, 0], [1, 1]]
    assert generate(CountsOn(5), start, 0, generator=random_numbers()).tolist() == start.tolist()


def test_equal_generators_write_equal_texts_and_others_write_others() -> None:
    model, start = Fixed([0.0] * 6), torch.zeros(3, 1, dtype=torch.long)
    one, two, other = (
        generate(model, start, 20, generator=random_numbers(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1]), "the rows of a batch draw on their own"


def test_torch_s_own_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    generate(Fixed([0.0] * 6), torch.tensor([[0]]), 5, generator=random_numbers())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_row_that_ended_is_filled_up_while_others_go_on() -> None:
    start = torch.tensor([[2], [0]])
    ids = generate(CountsOn(5), start, 10, generator=random_numbers(), stop=4)
    assert ids.tolist() == [[2, 3, 4, 4, 4], [0, 1, 2, 3, 4]]


def test_a_prompt_that_begins_with_the_stop_token_goes_on() -> None:
    start = torch.tensor([[4, 0], [0, 4]])
    ids = generate(CountsOn(5), start, 10, generator=random_numbers(), stop=4)
    assert ids.tolist() == [[4, 0, 1, 2, 3, 4, 4], [0, 4, 0, 1, 2, 3, 4]]


def test_without_a_stop_token_nothing_ends_early() -> None:
    assert generate(CountsOn(3), torch.tensor([[0]]), 10, generator=random_numbers()).shape[1] == 11


@pytest.mark.parametrize("n_start", [1, 3, 4, 9])
def test_a_model_never_sees_more_than_its_context(n_start: int) -> None:
    model = CountsOn(7, context_length=4)
    start = torch.arange(n_start)[None] % 7
    ids = generate(model, start, 10, generator=random_numbers())
    assert ids[0].tolist() == [i % 7 for i in range(n_start + 10)]
    assert max(model.lengths) <= 4
    # What fits of the start, then one token at a time; when four are read, the newer two anew.
    first = min(n_start, 4)
    lengths = [first, *[1] * (4 - first), *[2, 1, 1] * 4]
    assert model.lengths == lengths[:10]


def test_with_a_cache_each_token_is_read_once() -> None:
    model = CountsOn(7)
    generate(model, torch.tensor([[0, 1, 2]]), 5, generator=random_numbers())
    assert model.lengths == [3, 1, 1, 1, 1]


@pytest.mark.parametrize("order", [1, 2, 4])
def test_writing_with_a_cache_equals_writing_without(order: int) -> None:
    text = torch.randint(6, (300,), generator=random_numbers()).numpy()
    model = kneser_ney(count_ngrams(text, order, 6), order)
    start = torch.tensor([[1, 2], [3, 0], [5, 5]])
    ids, generator = start, random_numbers(7)
    for _ in range(30):
        drawn = sample(model(ids)[:, -1], generator)
        ids = torch.cat([ids, drawn[:, None]], dim=1)
    assert torch.equal(generate(model, start, 30, generator=random_numbers(7)), ids)


# --- searching --------------------------------------------------------------------------------


def small_gpt(seed: int = 0, context_length: int = 16, vocab_size: int = 4) -> GPT:
    """Make a small GPT whose scores differ clearly."""
    config = GPTConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        n_layers=2,
        n_heads=2,
        d_model=8,
        ngram_order=2,
        ngram_rows=11,
        ngram_width=4,
    )
    model = GPT(config, generator=random_numbers(seed)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.ndim == 2 else 1)
    return model


def by_exhaustion(model: GPT, prompt: list[int], n: int, stop: int | None) -> dict[Any, float]:
    """Return every text that n steps can give, filled up with `stop`, and its log-probability."""
    found = {}
    for tokens in itertools.product(range(model.vocab_size), repeat=n):
        length = tokens.index(stop) + 1 if stop in tokens else n
        if any(token != stop for token in tokens[length:]):
            continue
        ids = torch.tensor([[*prompt, *tokens]])
        steps = model(ids)[0].detach().double().log_softmax(dim=1)
        places = range(len(prompt), len(prompt) + length)
        found[tokens] = sum(float(steps[i - 1, ids[0, i]]) for i in places)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stop", [None, 2])
def test_a_beam_that_keeps_all_finds_what_exhaustive_search_finds(
    seed: int, stop: int | None
) -> None:
    model, prompt, n = small_gpt(seed), [1, 3], 4
    ids, scores = beam_search(model, torch.tensor([prompt]), n, width=4**n, stop=stop)
    expected = by_exhaustion(model, prompt, n, stop)
    assert len(ids) == len(expected) == (4**n if stop is None else 121)  # 1 + 3 + 9 + 27 + 81
    got = {tuple(row[2:]): score for row, score in zip(ids.tolist(), scores.tolist(), strict=True)}
    assert got.keys() == expected.keys()
    assert max(abs(got[tokens] - expected[tokens]) for tokens in got) < 1e-4
    assert tuple(ids[0, 2:].tolist()) == next(iter(expected))
    assert (scores.diff() <= 0).all()


def test_a_narrow_beam_can_miss_the_best_and_finds_it_when_wider() -> None:
    misses = 0
    for seed in range(20):
        model = small_gpt(seed)
        best = max(by_exhaustion(model, [0], 4, None).values())
        found = [
            float(beam_search(model, torch.tensor([[0]]), 4, width=width)[1][0])
            for width in (1, 64)
        ]
        assert found[1] == pytest.approx(best, abs=1e-4)
        misses += found[0] < best - 1e-3
    assert misses > 0


@pytest.mark.parametrize("context_length", [4, 16])
def test_a_beam_of_one_is_greedy_also_beyond_the_context(context_length: int) -> None:
    for seed in range(5):
        model, start = small_gpt(seed, context_length), torch.tensor([[1]])
        ids, _ = beam_search(model, start, 12, width=1, stop=2)
        settings: dict[str, Any] = {"temperature": 0, "stop": 2}
        assert torch.equal(ids, generate(model, start, 12, generator=random_numbers(), **settings))


def test_a_beam_with_a_cache_equals_one_that_reads_all_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, start = small_gpt(vocab_size=7), torch.tensor([[1, 2]])
    ids, scores = beam_search(model, start, 9, width=5, stop=0)

    def forget(self: Reading, rows: Tensor) -> None:
        self.cache, self.end = self.model.new_cache(), self.begin

    monkeypatch.setattr(Reading, "keep_rows", forget)
    again, scores_again = beam_search(model, start, 9, width=5, stop=0)
    assert torch.equal(ids, again)
    assert torch.allclose(scores, scores_again, atol=1e-4)


def test_a_model_whose_cache_has_no_rows_is_read_again() -> None:
    text = torch.randint(5, (400,), generator=random_numbers()).numpy()
    model = kneser_ney(count_ngrams(text, 3, 5), 3)
    ids, scores = beam_search(model, torch.tensor([[1, 2]]), 4, width=5**4)
    assert len({tuple(row) for row in ids.tolist()}) == 5**4
    assert float(scores.exp().sum()) == pytest.approx(1, abs=1e-4)


def test_ended_texts_wait_and_long_ones_may_be_favoured() -> None:
    # Ending costs ln 4; going on costs ln 2 each time. After three steps, ending at once is best
    # in sum, ¼ against ⅛; per token the longest is best, (⅛)^(1/3) = ½ against ¼.
    model, start = Fixed([float(torch.tensor(p).log()) for p in (1 / 4, 1 / 2, 1 / 4)]), [[2]]
    short, scores = beam_search(model, torch.tensor(start), 3, width=20, stop=0)
    assert short[0].tolist() == [2, 0, 0, 0]
    assert scores.exp().tolist()[0] == pytest.approx(1 / 4)
    long, _ = beam_search(model, torch.tensor(start), 3, width=20, stop=0, length_power=1.0)
    assert long[0].tolist() == [2, 1, 1, 1]


def test_a_search_that_means_nothing_is_refused() -> None:
    model = Fixed([0.0, 1.0])
    for start, width in (([[0], [1]], 2), ([[0]], 0)):
        with pytest.raises(ValueError, match=rf"{len(start)} texts and a width of {width}"):
            beam_search(model, torch.tensor(start), 3, width=width)
