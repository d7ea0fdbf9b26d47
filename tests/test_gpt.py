"""GPT-2's architecture: sizes, starting weights, exchangeable parts, and the memory of a sequence.

That its arithmetic is GPT-2's is tested against transformers in `tests/test_checkpoints.py`; the
properties of every language model in `tests/test_models.py`.
"""

import math
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labkit.cache import Cache, LayerCache
from labkit.functional import attend, attend_fused, causal_mask, cross_entropy
from labkit.generation import generate
from labkit.gpt import GPT, GPTConfig, NgramVectors, initialise
from labkit.metrics import evaluate
from labkit.model import LanguageModel
from labkit.tokenizers import CharTokenizer

SMALL = GPTConfig(vocab_size=13, context_length=10, n_layers=2, n_heads=2, d_model=8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gpt(config: GPTConfig = SMALL, seed: int = 0, std: float = 0.3, **parts: Any) -> GPT:
    """A model in evaluation mode, all its weights moved, so that each of them matters."""
    model, noise = GPT(config, generator=seeded(seed), **parts), seeded(seed + 1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(std * torch.randn(weights.shape, generator=noise))
    return model.eval()


def some_ids(n_rows: int = 2, length: int = 10, seed: int = 0) -> Tensor:
    return torch.randint(SMALL.vocab_size, (n_rows, length), generator=seeded(seed))


@pytest.mark.parametrize(
    ("wrong", "numbers"),
    [
        ({"n_heads": 3}, (8, 3)),
        ({"vocab_size": 0}, (1, 0)),
        ({"context_length": -2}, (1, -2)),
        ({"n_layers": 0}, (1, 0)),
        ({"n_heads": 0}, (1, 0)),
        ({"d_model": 0}, (1, 0)),
        ({"d_ff": -1}, (1, -1)),
        ({"dropout": 1.0}, (0, 1.0)),
        ({"dropout": -0.1}, (0, -0.1)),
    ],
)
def test_a_contradiction_is_refused_with_both_numbers(
    wrong: dict[str, Any], numbers: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match=r"expected .* got") as caught:
        replace(SMALL, **wrong)
    named = {float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", str(caught.value))}
    assert named.issuperset(numbers)
    assert next(iter(wrong)) in str(caught.value)


def test_the_hidden_width_is_four_times_the_models_unless_given() -> None:
    assert SMALL.d_ff == 32
    assert replace(SMALL, d_ff=5).d_ff == 5
    assert SMALL.d_head == 4
    assert GPTConfig(**asdict(SMALL)) == SMALL


def count_by_hand(vocab_size: int, context: int, layers: int, width: int, hidden: int) -> int:
    attention = (width * 3 * width + 3 * width) + (width * width + width)
    feed_forward = (width * hidden + hidden) + (hidden * width + width)
    norms = 2 * 2 * width
    return (vocab_size + context) * width + layers * (attention + feed_forward + norms) + 2 * width


@pytest.mark.parametrize(
    ("sizes", "heads", "total"),
    [
        # 20 + 32; (48 + 12) + (16 + 4) + (64 + 16) + (64 + 4) + 16 = 244; 8.
        ((5, 8, 1, 4, 16), 2, 304),
        ((5, 8, 1, 4, 3), 4, 304 - 13 * (4 + 1 + 4)),
        ((50257, 1024, 12, 768, 3072), 12, 124_439_808),
        ((50257, 1024, 24, 1024, 4096), 16, 354_823_168),
        ((50257, 1024, 48, 1600, 6400), 25, 1_557_611_200),
    ],
)
def test_the_parameters_are_those_counted_by_hand(
    sizes: tuple[int, int, int, int, int], heads: int, total: int
) -> None:
    vocab_size, context, layers, width, hidden = sizes
    config = GPTConfig(
        vocab_size=vocab_size,
        context_length=context,
        n_layers=layers,
        n_heads=heads,
        d_model=width,
        d_ff=hidden,
    )
    with torch.device("meta"):
        model = GPT(config, generator=torch.Generator())
    assert count_by_hand(*sizes) == total
    assert model.n_parameters == total
    assert (model.vocab_size, model.context_length) == (vocab_size, context)


def test_every_starting_weight_is_gpt_2s() -> None:
    config = GPTConfig(vocab_size=300, context_length=64, n_layers=8, n_heads=4, d_model=64)
    expected = {
        r"tokens\.weight|positions\.weight": 0.02,
        r"blocks\.\d\.(attention\.qkv|mlp\.up)\.weight": 0.02,
        r"blocks\.\d\.(attention\.out|mlp\.down)\.weight": 0.005,  # 0.02 / √(2 · 8)
    }
    seen = set()
    for name, weights in GPT(config, generator=seeded()).state_dict().items():
        fits = [std for pattern, std in expected.items() if re.fullmatch(pattern, name)]
        if fits:
            assert float(weights.std()) == pytest.approx(fits[0], rel=0.06), name
            assert abs(float(weights.mean())) < 5 * fits[0] / math.sqrt(weights.numel()), name
            seen.add(name)
        else:
            constant = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            assert (weights == constant).all(), name
    assert len(seen) == 2 + 8 * 4


def test_a_new_model_is_as_surprised_as_one_that_guesses() -> None:
    config = GPTConfig(vocab_size=500, context_length=64, n_layers=2, n_heads=2, d_model=32)
    model = GPT(config, generator=seeded()).eval()
    ids = torch.randint(500, (8, 65), generator=seeded(1))
    loss = cross_entropy(model(ids[:, :-1]), ids[:, 1:])
    assert float(loss.detach()) == pytest.approx(math.log(500), abs=0.05)


def test_equal_seeds_give_equal_weights_and_the_global_generator_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    first, second, other = (GPT(SMALL, generator=seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, second.state_dict()[name]), name
    assert not torch.equal(first.tokens.weight, other.tokens.weight)
    initialise(other, seeded(1))
    assert torch.equal(first.tokens.weight, other.tokens.weight)


def test_the_head_is_the_embedding_read_backwards() -> None:
    model, ids = gpt(), some_ids()
    assert sum(p.numel() == model.tokens.weight.numel() for p in model.parameters()) == 1
    grown = gpt()
    with torch.no_grad():
        grown.tokens.weight[7] *= 2
    without = some_ids().where(some_ids() != 7, 3)
    before, after = model(without), grown(without)
    torch.testing.assert_close(after[..., 7], 2 * before[..., 7])
    assert torch.equal(after[..., :7], before[..., :7])
    assert model(ids).shape == (2, 10, 13)


def test_positions_matter() -> None:
    logits = gpt()(torch.full((1, 6), 4))
    assert not torch.allclose(logits[0, 0], logits[0, 5], atol=1e-3)


def test_dropout_works_while_training_only() -> None:
    model, ids = gpt(replace(SMALL, dropout=0.5)), some_ids()
    undropped = gpt()(ids)
    assert torch.equal(model(ids), undropped)
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = model(ids), model(ids)
        torch.manual_seed(0)
        again = model(ids)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, undropped)


def test_dropout_stands_where_gpt_2_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the embeddings, on the weights and the result of attention, and after each MLP."""
    shapes: list[tuple[int, ...]] = []

    def note(self: nn.Dropout, x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return x

    model = gpt(replace(SMALL, dropout=0.5)).train()
    monkeypatch.setattr(nn.Dropout, "forward", note)
    model(some_ids())
    stream, weights = (2, 10, 8), (2, 2, 10, 10)
    assert shapes == [stream, *[weights, stream, stream] * 2]


class CountingAttend:
    """Attends as labkit does and notes the shapes of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.masks: list[Tensor | None] = []
        self.dropped: list[bool] = []

    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, drop: Any = None
    ) -> Tensor:
        self.asked.append((*q.shape, k.shape[2]))
        self.masks.append(mask)
        self.dropped.append(drop is not None)
        return attend(q, k, v, mask, drop)


def test_the_given_attention_and_mask_are_used_in_each_layer() -> None:
    counting, sizes = CountingAttend(), []

    def mask(n_queries: int, n_keys: int) -> Tensor:
        sizes.append((n_queries, n_keys))
        return causal_mask(n_queries, n_keys)

    model, ids = gpt(attend=counting, mask=mask), some_ids()
    torch.testing.assert_close(model(ids), gpt()(ids), rtol=0, atol=1e-5)
    assert counting.asked == [(2, 2, 10, 4, 10)] * 2  # B, H, T, K, then S
    assert sizes == [(10, 10)] * 2
    assert all(given is not None for given in counting.masks)
    assert counting.dropped == [False] * 2


def test_the_weights_are_dropped_only_while_training_with_dropout() -> None:
    counting = CountingAttend()
    model = gpt(replace(SMALL, dropout=0.1), attend=counting)
    model(some_ids())
    model.train()(some_ids())
    gpt(SMALL, attend=counting).train()(some_ids())
    assert counting.dropped == [False, False, True, True, False, False]


def test_an_attention_without_mixing_leaves_each_token_to_itself() -> None:
    model = gpt(attend=lambda q, k, v, mask=None: v)
    ids = some_ids(1)
    changed = ids.clone()
    changed[0, 4] = (ids[0, 4] + 1) % SMALL.vocab_size
    same = (model(ids) == model(changed)).all(dim=-1)[0]
    assert same.tolist() == [place != 4 for place in range(10)]


@pytest.mark.parametrize("attention", [attend, attend_fused])
def test_without_a_mask_the_past_depends_on_the_future(attention: Any) -> None:
    ids = some_ids(1)
    changed = ids.clone()
    changed[0, -1] = (ids[0, -1] + 1) % SMALL.vocab_size
    blind, seeing = gpt(attend=attention), gpt(attend=attention, mask=lambda T, S: None)
    assert torch.equal(blind(ids)[:, :-1], blind(changed)[:, :-1])
    assert ((seeing(ids) - seeing(changed)).abs().amax(dim=-1) > 1e-4).all()


def test_only_the_new_tokens_are_computed_with_a_cache() -> None:
    counting = CountingAttend()
    model, ids = gpt(attend=counting), some_ids()
    cache = model.new_cache()
    pieces = [model(piece, cache) for piece in ids.split([6, 1, 3], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model(ids), rtol=0, atol=1e-5)
    queries_and_keys = [(asked[2], asked[4]) for asked in counting.asked[::2]]
    assert queries_and_keys == [(6, 6), (1, 7), (3, 10), (10, 10)]


def test_a_cache_grows_along_time_and_keeps_its_place_in_memory() -> None:
    cache = LayerCache(5)
    one, two = torch.ones(1, 2, 1, 4), torch.zeros(1, 2, 3, 4)
    cache.extend(one, one)
    where = cache.k.data_ptr()
    k, v = cache.extend(two, one.expand(1, 2, 3, 4))
    assert torch.equal(k, torch.cat([one, two], dim=2))
    assert torch.equal(v, torch.ones(1, 2, 4, 4))
    assert cache.k.data_ptr() == where
    assert cache.length == 4


def test_a_cache_remembers_ids_in_order() -> None:
    cache = Cache(n_layers=1, capacity=5)
    assert cache.remember(torch.tensor([[1, 2]])).tolist() == [[1, 2]]
    cache.layers[0].extend(torch.ones(1, 1, 2, 1), torch.ones(1, 1, 2, 1))
    assert cache.remember(torch.tensor([[3]])).tolist() == [[1, 2, 3]]


def test_what_does_not_fit_beside_the_cache_is_refused_and_the_cache_unchanged() -> None:
    model, ids = gpt(), some_ids()
    cache = model.new_cache()
    model(ids[:, :7], cache)
    with pytest.raises(ValueError, match=r"at most 10 tokens.*got 7 in the cache and 4 more"):
        model(ids[:, :4], cache)
    with pytest.raises(ValueError, match=r"at most 10 tokens.*got 11: pass the last 10"):
        model(some_ids(length=11))
    rest = model(ids[:, 7:], cache)
    torch.testing.assert_close(rest, model(ids)[:, 7:], rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"at most 10 tokens.*got 10 in the cache and 1 more"):
        model(ids[:, :1], cache)


def test_writing_goes_on_beyond_the_context_with_the_newer_half() -> None:
    model, start = gpt(), some_ids(length=3)
    written = generate(model, start, 20, generator=seeded(), temperature=0)
    assert written.shape == (2, 23)
    begin = 0
    for place in range(3, 23):
        if place - begin > 10:
            begin = place - 5
        window = written[:, begin:place]
        assert torch.equal(model(window)[:, -1].argmax(dim=-1), written[:, place])
    assert begin > 5  # it was full more than once
    drawn = [generate(model, start, 20, generator=seeded(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_writing_begins_with_as_much_as_fits() -> None:
    model, long = gpt(), some_ids(length=10).repeat(1, 2)
    one = generate(model, long, 1, generator=seeded(), temperature=0)
    assert torch.equal(one[:, -1], model(long[:, -10:])[:, -1].argmax(dim=-1))


def test_runs_of_tokens_have_the_vectors_of_their_numbers() -> None:
    config = replace(SMALL, ngram_order=3, ngram_rows=10_007)
    with torch.random.fork_rng(devices=[]):
        vectors = NgramVectors(config)
    ids = torch.tensor([[4, 7, 4, 7]])
    base = SMALL.vocab_size + 1
    for place in range(4):
        read = [0, 0, *(ids[0] + 1).tolist()][place : place + 3]  # with nothing before the first
        pair = (read[2] + read[1] * base) % 10_007
        triple = (read[2] + read[1] * base + read[0] * base**2) % 10_007
        second, third = (table.get_parameter("weight") for table in vectors.tables)
        expected = vectors.join(torch.cat([second[pair], third[triple]]))
        torch.testing.assert_close(vectors(ids)[0, place], expected)


def test_the_runs_that_end_at_a_token_are_all_that_their_vectors_depend_on() -> None:
    model = gpt(replace(SMALL, ngram_order=4, ngram_rows=97), attend=lambda q, k, v, mask=None: v)
    ids = some_ids(1)
    changed = ids.clone()
    changed[0, 2] = (ids[0, 2] + 1) % SMALL.vocab_size
    same = (model(ids) == model(changed)).all(dim=-1)[0]
    assert same.tolist() == [place not in range(2, 6) for place in range(10)]


def test_it_is_a_language_model_and_the_evaluator_accepts_it() -> None:
    texts = ["abcab", "cabbage and a bag" * 3]
    tokenizer = CharTokenizer.train(texts)
    model: LanguageModel = gpt(replace(SMALL, vocab_size=tokenizer.vocab_size))
    score = evaluate(model, tokenizer, texts)
    ids = torch.tensor([[tokenizer.end, *tokenizer.encode(texts[0]), tokenizer.end]])
    surprises = -model(ids[:, :-1]).log_softmax(dim=-1)[0].gather(1, ids[0, 1:, None])
    assert score.bits[0] == pytest.approx(float(surprises.detach().sum()) / math.log(2), rel=1e-5)
    assert score.chars == (6, 52)
    assert score.n_tokens == 58
    fresh = GPT(replace(SMALL, vocab_size=tokenizer.vocab_size), generator=seeded())
    uniform = evaluate(fresh.eval(), tokenizer, texts).bits_per_char
    assert uniform == pytest.approx(math.log2(tokenizer.vocab_size), abs=0.05)
