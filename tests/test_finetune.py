"""Heads and low-rank changes: what they leave alone, what they add up to, and peft's opinion."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from labkit.checkpoints import to_hugging_face
from labkit.finetune import (
    Classifier,
    LoRA,
    LoRAConfig,
    Pointer,
    best_spans,
    fine_tune,
    improve,
    label_log_probs,
    last_token,
    mean_token,
    merge,
    pad,
    read_all,
    vectors_of,
    with_lora,
)
from labkit.functional import cross_entropy
from labkit.gpt import GPT, GPTConfig
from labkit.training import TrainConfig

CONFIG = GPTConfig(vocab_size=17, context_length=12, n_layers=2, n_heads=2, d_model=8)
TUNING = TrainConfig(max_steps=30, batch_size=4, context_length=12, learning_rate=0.02)
IDS = torch.randint(17, (3, 9), generator=torch.Generator().manual_seed(1))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_gpt() -> GPT:
    return GPT(CONFIG, generator=rng()).eval()


def n_trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def learned(model: nn.Module) -> nn.Module:
    """Give every change a way up that is not zero, as training would."""
    for part in model.modules():
        if isinstance(part, LoRA):
            part.up.data = torch.randn(part.up.shape, generator=rng(2))
    return model


# ── LoRA ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_layer_by_hand() -> None:
    base = nn.Linear(2, 2)
    base.weight.data, base.bias.data = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([0.5, 0])
    layer = LoRA(base, LoRAConfig(rank=1, alpha=3.0), rng())
    layer.down.data, layer.up.data = torch.tensor([[1.0, 2]]), torch.tensor([[1.0], [-1]])
    # down: 1·1 + 2·1 = 3; up and scaled: 3·3·(1, -1) = (9, -9); the layer itself: (1.5, 1)
    assert layer(torch.tensor([1.0, 1])).tolist() == [10.5, -8]
    merged = merge(nn.Sequential(layer))[0]  # type: ignore[index]
    assert merged.weight.tolist() == [[4, 6], [-3, -5]]  # 3 times (1, -1) by (1, 2), and W


def test_at_first_nothing_is_changed() -> None:
    model = new_gpt()
    assert torch.equal(with_lora(model, LoRAConfig(), generator=rng())(IDS), model(IDS))


@given(st.integers(1, 5), st.floats(0.5, 20), st.integers(0, 1000))
def test_merging_is_adding(rank: int, alpha: float, seed: int) -> None:
    config = LoRAConfig(rank=rank, alpha=alpha, layers=("",))
    model = learned(with_lora(nn.Sequential(nn.Linear(4, 6)), config, generator=rng(seed)))
    x = torch.randn(5, 4, generator=rng(seed + 1))
    plain = merge(model)
    assert isinstance(plain[0], nn.Linear)  # type: ignore[index]
    torch.testing.assert_close(plain(x), model(x), atol=1e-4, rtol=1e-4)


def test_a_merged_gpt_is_plain_again_and_says_the_same() -> None:
    model = learned(with_lora(new_gpt(), LoRAConfig(rank=2), generator=rng()))
    before = model(IDS)
    plain = merge(model)
    assert {name for name, _ in plain.named_parameters()} == dict(
        new_gpt().named_parameters()
    ).keys()
    assert n_trainable(plain) == new_gpt().n_parameters
    torch.testing.assert_close(plain(IDS), before, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(before, new_gpt()(IDS), atol=1e-2)
    assert torch.equal(model(IDS), before)  # what was given still has its changes apart


def test_only_the_changes_get_gradients_and_the_model_given_is_left_alone() -> None:
    model = new_gpt()
    old = copy.deepcopy(model.state_dict())
    changed = learned(with_lora(model, LoRAConfig(rank=2, layers=("qkv",)), generator=rng()))
    changed(IDS).sum().backward()
    moved = {name for name, p in changed.named_parameters() if p.grad is not None}
    assert moved == {f"blocks.{i}.attention.qkv.{way}" for i in (0, 1) for way in ("down", "up")}
    assert n_trainable(changed) == 2 * 2 * (8 + 3 * 8)
    assert n_trainable(model) == model.n_parameters
    assert all(torch.equal(old[name], value) for name, value in model.state_dict().items())


def test_at_the_first_step_only_the_way_up_moves() -> None:
    layer = LoRA(nn.Linear(3, 5), LoRAConfig(rank=2), rng())
    layer(torch.ones(1, 3)).square().sum().backward()
    down, up = (0 if p.grad is None else p.grad.abs().sum() for p in (layer.down, layer.up))
    assert layer.down.grad is not None
    assert down == 0
    assert up > 0


def test_what_fits_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"names that end in query.*attention\.qkv"):
        with_lora(new_gpt(), LoRAConfig(layers=("query",)), generator=rng())
    with pytest.raises(ValueError, match="rank of at least 1"):
        LoRAConfig(rank=0)


def test_peft_says_the_same_of_a_gpt_2_and_of_its_gradients() -> None:
    ours = learned(with_lora(new_gpt(), LoRAConfig(rank=3, alpha=5.0), generator=rng()))
    asked = LoraConfig(
        r=3, lora_alpha=5, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True
    )
    theirs = get_peft_model(to_hugging_face(new_gpt()), asked).eval()
    names = {"attention.qkv": "attn.c_attn", "attention.out": "attn.c_proj"}
    names |= {"mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
    pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
    for i in range(CONFIG.n_layers):
        for mine, other in names.items():
            part = ours.get_submodule(f"blocks.{i}.{mine}")
            twin = f"base_model.model.transformer.h.{i}.{other}"
            assert isinstance(part, LoRA)
            pairs += [(part.down, theirs.get_parameter(f"{twin}.lora_A.default.weight"))]
            pairs += [(part.up, theirs.get_parameter(f"{twin}.lora_B.default.weight"))]
    for weight, twin_weight in pairs:
        twin_weight.data.copy_(weight.data)
    targets = IDS[:, 1:]
    for logits in (ours(IDS), theirs(input_ids=IDS).logits):
        cross_entropy(logits[:, :-1], targets).backward()
    torch.testing.assert_close(theirs(input_ids=IDS).logits, ours(IDS), atol=1e-5, rtol=0)
    for weight, twin_weight in pairs:
        assert weight.grad is not None
        assert weight.grad.any()
        torch.testing.assert_close(twin_weight.grad, weight.grad, atol=1e-5, rtol=0)
    n_theirs = sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert n_trainable(ours) == n_theirs
    merged = theirs.merge_and_unload()(input_ids=IDS).logits
    torch.testing.assert_close(merged, merge(ours)(IDS), atol=1e-5, rtol=0)


# ── Pooling, padding, heads ──────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 1000))
def test_pooling_ignores_padding_whatever_it_holds(lengths: list[int], seed: int) -> None:
    x, n = torch.randn(len(lengths), 6, 3, generator=rng(seed)), torch.tensor(lengths)
    other = x.clone()
    for row, length in zip(other, lengths, strict=True):
        row[length:] = 1e6
    for pool in (last_token, mean_token):
        assert torch.equal(pool(x, n), pool(other, n))
    for i, length in enumerate(lengths):
        assert torch.equal(last_token(x, n)[i], x[i, length - 1])
        torch.testing.assert_close(mean_token(x, n)[i], x[i, :length].mean(0))


def test_a_classifier_says_the_same_alone_and_in_company_whatever_pads() -> None:
    model = Classifier(vectors_of(new_gpt()), 8, 3).eval()
    model.head.weight.data = torch.randn(3, 8, generator=rng())
    texts = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10]]
    alone = torch.cat([model(*pad([text])) for text in texts])
    for fill in (0, 16):
        torch.testing.assert_close(model(*pad(texts, fill)), alone)
    torch.testing.assert_close(read_all(model, texts), alone)


def test_texts_are_padded_and_their_lengths_known() -> None:
    ids, lengths = pad([[1, 2], [3]], fill=9)
    assert ids.tolist() == [[1, 2], [3, 9]]
    assert lengths.tolist() == [2, 1]
    with pytest.raises(ValueError, match="at least one token"):
        pad([[1], []])


def test_reading_in_any_order_gives_rows_in_the_order_asked() -> None:
    texts = [[i] * (1 + i * 7 % 11) for i in range(150)]
    sums = read_all(lambda ids, lengths: torch.stack([ids[:, 0], lengths], 1), texts)
    assert sums.tolist() == [[text[0], len(text)] for text in texts]


def test_a_new_head_finds_all_classes_equal_and_draws_nothing() -> None:
    state = torch.random.get_rng_state()
    model = Classifier(vectors_of(new_gpt()), 8, 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not model(*pad([[1, 2], [3]])).any()


def test_a_head_for_every_token_is_a_pool_away() -> None:
    model = Classifier(vectors_of(new_gpt()), 8, 5, pool=lambda x, lengths: x)
    assert model(*pad([[1, 2], [3, 4]])).shape == (2, 2, 5)


def test_vectors_scored_by_the_table_are_the_models_scores() -> None:
    model = new_gpt()
    torch.testing.assert_close(vectors_of(model)(IDS) @ model.tokens.weight.T, model(IDS))


# ── Training ─────────────────────────────────────────────────────────────────────────────────────

TEXTS = [[i % 2 + 3, *([7] * (i % 4)), 5] for i in range(24)]
"""The class is whether the first token is 3 or 4."""
TARGETS = torch.arange(24) % 2


@pytest.mark.parametrize("lora", [False, True])
def test_both_ways_of_training_learn_a_rule_and_start_at_chance(lora: bool) -> None:
    body: nn.Module = vectors_of(new_gpt())
    body = with_lora(body, LoRAConfig(rank=2), generator=rng()) if lora else body
    model = Classifier(body, 8, 2)
    losses = list(fine_tune(model, TEXTS, TARGETS, TUNING))
    assert len(losses) == TUNING.max_steps
    assert not model.training
    assert losses[0] == pytest.approx(math.log(2))
    assert torch.equal(read_all(model, TEXTS).argmax(1), TARGETS)


def test_what_is_frozen_stays_and_equal_seeds_give_equal_runs() -> None:
    start = with_lora(vectors_of(new_gpt()), LoRAConfig(rank=2), generator=rng())
    models = [Classifier(copy.deepcopy(start), 8, 2) for _ in range(2)]
    losses = [list(fine_tune(model, TEXTS, TARGETS, TUNING)) for model in models]
    assert losses[0] == losses[1]
    for (name, old), (_, new) in zip(
        start.named_parameters(), models[0].body.named_parameters(), strict=True
    ):
        assert torch.equal(old, new) != name.endswith(("down", "up")), name


def test_every_text_comes_once_before_any_comes_again() -> None:
    seen: list[float] = []

    def note(scores: Tensor, targets: Tensor) -> Tensor:
        seen.extend(targets.tolist())
        return cross_entropy(scores, targets % 2)

    config = TrainConfig(max_steps=6, batch_size=4, context_length=12)
    list(
        fine_tune(
            Classifier(vectors_of(new_gpt()), 8, 2), TEXTS, torch.arange(24), config, loss=note
        )
    )
    assert sorted(seen) == list(range(24))


def test_a_model_may_be_improved_by_any_loss_of_some_examples() -> None:
    model, wanted = torch.nn.Linear(1, 4, bias=False), torch.tensor([3.0, -1.0, 0.5, 2.0])
    config = TrainConfig(max_steps=300, batch_size=2, context_length=1, learning_rate=0.1)
    one = torch.ones(1)

    def loss_of(now: list[int]) -> Tensor:
        assert model.training
        assert len(set(now)) == 2
        return (model(one) - wanted)[now].square().mean()

    losses = list(improve(model, 4, loss_of, config))
    assert losses[-1] < 0.05 < losses[0]
    assert not model.training


def test_the_seed_decides_on_dropout_and_the_global_generator_is_left_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(6, 1))
    config = TrainConfig(max_steps=5, batch_size=2, context_length=1, seed=3)

    def losses(config: TrainConfig) -> list[float]:
        learner = copy.deepcopy(model)
        return list(
            improve(learner, 4, lambda now: learner(torch.ones(2, 6)).square().sum(), config)
        )

    first, state = losses(config), torch.random.get_rng_state()
    torch.rand(1)
    assert losses(config) == first
    assert losses(replace(config, seed=4)) != first
    torch.random.set_rng_state(state)
    losses(config)
    assert torch.equal(torch.random.get_rng_state(), state)


# ── Labels as words ──────────────────────────────────────────────────────────────────────────────


def test_the_likelihood_of_a_label_is_a_difference_of_two_texts() -> None:
    model, texts, labels = new_gpt(), [[1, 2, 3], [4, 5]], [[6], [7, 8, 9]]
    found = label_log_probs(model, texts, labels)

    def whole(ids: list[int]) -> float:
        """Multiply what the model says of each token after the first."""
        probs = model(torch.tensor([ids]))[0].softmax(-1).detach()
        return math.log(math.prod(float(probs[t, token]) for t, token in enumerate(ids[1:])))

    wanted = [[whole([*text, *label]) - whole(text) for label in labels] for text in texts]
    torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-4, rtol=0)


# ── Pointing ─────────────────────────────────────────────────────────────────────────────────────


def test_a_pointer_is_undecided_at_first_and_blind_to_padding() -> None:
    pointer = Pointer(vectors_of(new_gpt()), 8, 12)
    ids, lengths = pad([[3, 1, 4], [1, 5, 9, 2, 6]])
    first = pointer(ids, lengths)
    assert first.shape == (2, 2, 12)
    assert torch.equal(first[0, 0].exp() > 0, torch.arange(12) < 3)
    assert torch.equal(first[1, 1, :5], torch.zeros(5))
    pointer.look.data = torch.randn(2, 8, 8, generator=rng(3))
    alone = pointer(*pad([[3, 1, 4]]))
    assert torch.allclose(pointer(ids, lengths)[0], alone[0], atol=1e-5)


def test_a_pointer_learns_where_a_token_stands() -> None:
    ids = [[*torch.randperm(10, generator=rng(i)).tolist()[:8], 16] for i in range(40)]
    ids = [text if 7 in text else [*text[:3], 7, *text[4:]] for text in ids]
    places = torch.tensor([[text.index(7)] * 2 for text in ids])
    pointer = Pointer(vectors_of(new_gpt()), 8, 12)
    tuning = TrainConfig(max_steps=150, batch_size=10, context_length=12, learning_rate=0.02)
    for _ in fine_tune(pointer, ids, places, tuning):
        pass
    found = best_spans(read_all(pointer, ids), 3)
    assert (found == places).float().mean() > 0.9


@given(st.integers(1, 7), st.integers(1, 8), st.integers(0, 99))
def test_the_best_span_is_the_best_of_all_that_are_allowed(n: int, longest: int, seed: int) -> None:
    scores = torch.randn(3, 2, n, generator=rng(seed))
    for (start, end), found in zip(
        scores.tolist(), best_spans(scores, longest).tolist(), strict=True
    ):
        spans = [(i, j) for i in range(n) for j in range(i, min(n, i + longest))]
        assert tuple(found) == max(spans, key=lambda span: start[span[0]] + end[span[1]])
