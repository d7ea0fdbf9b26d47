"""The training loop: its schedule, its batches, its records, and that equal seeds repeat a run."""

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from labkit.functional import cross_entropy
from labkit.generation import generate
from labkit.gpt import GPT, GPTConfig
from labkit.training import Record, TrainConfig, train
from labkit.training.batches import Batch, Batches, document_starts, draw_batch
from labkit.training.loop import evaluation_loss, update
from labkit.training.optimiser import learning_rate, make_optimisers
from labkit.training.state import State

V = 8
SHORT = TrainConfig(
    max_steps=6,
    batch_size=3,
    context_length=5,
    learning_rate=0.1,
    evaluate_every=2,
    evaluation_batches=2,
)
ROUND = torch.arange(V).repeat(20)
"""0, 1, …, 7, round and round."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_ids(length: int = 200, seed: int = 0) -> Tensor:
    return torch.randint(V, (length,), generator=seeded(seed))


def small_gpt(dropout: float = 0.0) -> GPT:
    config = GPTConfig(
        vocab_size=V, context_length=8, n_layers=1, n_heads=2, d_model=8, dropout=dropout
    )
    return GPT(config, generator=seeded())


class Table(nn.Module):
    """The smallest model that learns: a row of logits per token, all zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(V, V))
        self.modes: list[bool] = []

    def forward(self, ids: Tensor) -> Tensor:
        self.modes.append(self.training)
        return self.logits[ids]


def run(model: nn.Module, config: TrainConfig, ids: Tensor | None = None) -> list[Record]:
    ids = random_ids() if ids is None else ids
    return list(train(model, ids, ids, config))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def equal(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    return all(torch.equal(mine[name], theirs[name]) for name in mine.keys() | theirs.keys())


def comparable(records: list[Record]) -> str:
    """All that has to repeat; as text, so that nan equals nan."""
    used = {"cpu_seconds": 0, "seconds": 0, "peak_memory": 0}
    return repr([asdict(record) | used for record in records])


def updated(model: nn.Module, config: TrainConfig, batch: Batch, step: int = 0) -> State:
    """Make one update as if `step` of them had been made."""
    state = State(model, config)
    state.numbers["step"] = step
    update(state, batch)
    return state


def loss_on(model: nn.Module, ids: Tensor, config: TrainConfig) -> float:
    return evaluation_loss(State(model, config), Batches(ids, ids, config))


# Ten updates from 1 down to 0.2, the first two on the way up.
SCHEDULE = TrainConfig(
    max_steps=10,
    batch_size=1,
    context_length=1,
    warmup_steps=2,
    learning_rate=1.0,
    final_learning_rate=0.2,
)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.5),
        (1, 1.0),
        (2, 1.0),
        (4, 0.2 + 0.4 * (1 + math.sqrt(0.5))),  # a quarter of the way down: the cosine of 45°
        (6, 0.6),
        (8, 0.2 + 0.4 * (1 - math.sqrt(0.5))),
        (10, 0.2),
        (99, 0.2),
    ],
)
def test_the_learning_rate_by_hand(step: int, rate: float) -> None:
    assert learning_rate(step, SCHEDULE) == pytest.approx(rate)


@given(st.integers(1, 50), st.integers(0, 49), st.floats(1e-6, 1), st.floats(0, 1))
def test_the_learning_rate_rises_then_falls_within_its_bounds(
    steps: int, warmup: int, highest: float, share: float
) -> None:
    config = replace(
        SCHEDULE,
        max_steps=steps,
        warmup_steps=min(warmup, steps - 1),
        learning_rate=highest,
        final_learning_rate=highest * share,
    )
    rates = [learning_rate(step, config) for step in range(steps)]
    top = max(config.warmup_steps - 1, 0)
    hair = 1e-12 * highest
    assert rates[top] == pytest.approx(highest)
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a >= b - hair for a, b in pairwise(rates[top:]))
    assert all(0 < rate <= highest + hair for rate in rates)
    assert all(rate >= highest * share - hair for rate in rates[top:])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_steps": 0}, r"max_steps of at least 1, got 0"),
        ({"batch_size": -1}, r"batch_size of at least 1, got -1"),
        ({"context_length": 0}, r"context_length of at least 1, got 0"),
        ({"evaluate_every": 0}, r"evaluate_every of at least 1, got 0"),
        ({"evaluation_batches": 0}, r"evaluation_batches of at least 1, got 0"),
        ({"warmup_steps": -1}, r"warmup_steps of at least 0, got -1"),
        ({"patience": -1}, r"patience of at least 0, got -1"),
        ({"learning_rate": 0.0, "final_learning_rate": 0.0}, r"learning_rate above 0, got 0.0"),
        ({"muon_learning_rate": -0.1}, r"muon_learning_rate of at least 0, got -0.1"),
        ({"warmup_steps": 6}, r"fewer warm-up steps than steps, got 6 of 6"),
        ({"final_learning_rate": 0.2}, r"got 0\.2 and 0\.1"),
        ({"clip": 0.0}, r"clip above 0, got 0\.0"),
        ({"accumulate": 2}, r"batch_size that 2 parts share equally, got 3"),
        ({"ema_decay": 1.0}, r"ema_decay below 1, got 1\.0"),
        ({"ema_decay": -0.1}, r"ema_decay of at least 0, got -0\.1"),
        ({"schedule": "wsd"}, r'cooldown_steps above 0 with the schedule "wsd".*got 0'),
        ({"cooldown_steps": 2}, r'and 0 with others, got 2 with "cosine"'),
        (
            {"schedule": "wsd", "cooldown_steps": 5, "warmup_steps": 2},
            "got 2 of 6 and 5 to cool down",
        ),
        (
            {"schedule": "exponential", "final_learning_rate": 0.0},
            "final_learning_rate above 0, got 0",
        ),
    ],
)
def test_a_contradiction_is_refused_with_what_came(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SHORT, **wrong)


def test_each_weight_is_in_one_group_and_only_matrices_decay() -> None:
    model = small_gpt()
    config = replace(SHORT, weight_decay=0.3, beta_1=0.8, beta_2=0.95)
    (optimiser,) = make_optimisers(model, config)
    groups = {group["weight_decay"]: group["params"] for group in optimiser.param_groups}
    held = [id(weights) for group in groups.values() for weights in group]
    assert sorted(held) == sorted(id(weights) for weights in model.parameters())
    assert len(set(held)) == len(held)
    decayed = {id(weights) for weights in groups[0.3]}
    for name, weights in model.named_parameters():
        spared = name.endswith("bias") or "norm" in name
        assert (id(weights) in decayed) is not spared, name
    assert all(group["betas"] == (0.8, 0.95) for group in optimiser.param_groups)


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest() -> None:
    model = small_gpt()
    adamw, muon = make_optimisers(model, replace(SHORT, muon_learning_rate=0.5))
    assert isinstance(muon, torch.optim.Muon)
    held = {id(p) for group in muon.param_groups for p in group["params"]}
    others = [id(p) for group in adamw.param_groups for p in group["params"]]
    assert sorted([*held, *others]) == sorted(id(p) for p in model.parameters())
    for name, weights in model.named_parameters():
        assert (id(weights) in held) is (name.startswith("blocks") and weights.ndim == 2), name


def test_muon_moves_every_direction_of_a_matrix_alike_along_the_same_schedule() -> None:
    config = replace(SHORT, warmup_steps=4, muon_learning_rate=0.5, weight_decay=0.0)
    model = small_gpt()
    before = weights_of(model)
    updated(model, config, draw_batch(random_ids(), 3, 5, seeded()))
    moved = {name: weights - before[name] for name, weights in model.state_dict().items()}
    size = torch.linalg.svdvals(moved["blocks.0.attention.out.weight"]) / (0.5 / 4)
    assert size[2] > 0.5  # the smallest directions have no gradient to follow
    assert size[0] < 1.3
    assert moved["tokens.weight"].abs().max() == pytest.approx(0.1 / 4, rel=1e-3)  # AdamW's


def test_muon_refuses_a_model_without_blocks() -> None:
    with pytest.raises(ValueError, match=r"with `blocks`.*got Table: set muon_learning_rate"):
        make_optimisers(Table(), replace(SHORT, muon_learning_rate=0.5))


def test_targets_are_the_inputs_one_place_further() -> None:
    ids = torch.arange(100, 150)
    inputs, targets = draw_batch(ids, 7, 9, seeded())
    assert inputs.shape == targets.shape == (7, 9)
    assert torch.equal(targets, inputs + 1)
    assert torch.equal(inputs - inputs[:, :1], torch.arange(9).expand(7, 9))


def test_pieces_start_at_every_place_where_they_fit_and_nowhere_else() -> None:
    inputs, targets = draw_batch(torch.arange(10), 2000, 4, seeded())
    starts, counts = inputs[:, 0].unique(return_counts=True)
    assert starts.tolist() == [0, 1, 2, 3, 4, 5]
    assert int(targets.max()) == 9
    assert (counts > 2000 / 6 / 1.5).all()


def test_pieces_can_start_at_documents_alone() -> None:
    ids = torch.tensor([9, 1, 2, 9, 3, 9, 4, 5, 9])
    starts = document_starts(ids, 3, 9)
    assert starts.tolist() == [0, 3, 5]  # after the last one, too little is left
    inputs, targets = draw_batch(ids, 600, 3, seeded(), starts)
    assert {tuple(row) for row in inputs.tolist()} == {(9, 1, 2), (9, 3, 9), (9, 4, 5)}
    assert {tuple(row) for row in targets.tolist()} == {(1, 2, 9), (3, 9, 4), (4, 5, 9)}
    with pytest.raises(ValueError, match="expected token 7 with 3 more after it"):
        document_starts(ids, 3, 7)


def test_training_begins_where_the_configuration_says() -> None:
    """A text whose first half says nothing true about what follows the end token."""
    ids = torch.tensor(([0, 1, 2, 3] * 3 + [4]) * 30)
    model = GPT(
        GPTConfig(vocab_size=5, context_length=4, n_layers=1, n_heads=1, d_model=8),
        generator=seeded(),
    )
    seen = []
    hook = model.register_forward_pre_hook(lambda _, args: seen.append(args[0][:, 0]))
    config = TrainConfig(max_steps=3, batch_size=4, context_length=4, begin_at=4)
    list(train(model, ids, ids, config))
    hook.remove()
    assert seen
    assert all((first == 4).all() for first in seen)


@pytest.mark.parametrize("length", [0, 1, 4])
def test_a_text_too_short_for_one_piece_is_refused_with_both_numbers(length: int) -> None:
    with pytest.raises(ValueError, match=rf"more than 4 tokens.*got {length}"):
        draw_batch(torch.arange(length), 2, 4, seeded())
    assert draw_batch(torch.arange(5), 2, 4, seeded())[1].tolist() == [[1, 2, 3, 4]] * 2


@pytest.mark.parametrize("short", [0, 1])
def test_a_short_text_is_refused_whichever_it_is(short: int) -> None:
    lengths = [200, 200]
    lengths[short] = 5
    train_ids, val_ids = map(random_ids, lengths)
    with pytest.raises(ValueError, match=r"more than 5 tokens.*got 5"):
        list(train(Table(), train_ids, val_ids, SHORT))


def test_the_loss_falls_to_almost_nothing_on_a_text_that_repeats() -> None:
    model = small_gpt()
    config = replace(SHORT, max_steps=160, batch_size=8, learning_rate=0.02, evaluate_every=40)
    records = run(model, config, ROUND)
    losses = [record.val_loss for record in records]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(math.log(V), abs=0.1)
    assert losses[-1] < 0.1
    written = generate(model, torch.tensor([[2]]), 10, generator=seeded(), temperature=0)
    assert written[0].tolist() == [2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4]


def test_records_come_before_the_first_update_and_at_the_end() -> None:
    records = run(Table(), replace(SHORT, max_steps=7, evaluate_every=3))
    assert [record.step for record in records] == [0, 3, 6, 7]
    assert [record.tokens for record in records] == [0, 45, 90, 105]
    rates = [learning_rate(step, replace(SHORT, max_steps=7)) for step in (0, 2, 5, 6)]
    assert [record.learning_rate for record in records] == rates
    first = records[0]
    assert first.val_loss == pytest.approx(math.log(V))
    assert math.isnan(first.train_loss)
    assert math.isnan(first.gradient_norm)
    assert all(math.isfinite(r.train_loss) and r.gradient_norm > 0 for r in records[1:])


def test_the_training_loss_is_the_mean_since_the_last_record() -> None:
    each = run(Table(), replace(SHORT, evaluate_every=1))
    every_third = run(Table(), replace(SHORT, evaluate_every=3))
    single = [record.train_loss for record in each[1:]]
    assert single[0] == pytest.approx(math.log(V))
    assert every_third[1].train_loss == pytest.approx(sum(single[:3]) / 3)
    assert every_third[2].train_loss == pytest.approx(sum(single[3:]) / 3)


def test_the_first_update_by_hand() -> None:
    """AdamW's first step moves a weight by the learning rate against its gradient's sign."""
    model, config = Table(), replace(SHORT, warmup_steps=4)  # a quarter of the rate, 0.025, first
    batch = (torch.tensor([[0, 1]]), torch.tensor([[1, 2]]))
    numbers = updated(model, config, batch).numbers
    assert numbers["losses"] == pytest.approx([math.log(V)])
    # Per row with a target: (1/8 - 1) / 2 once and (1/8) / 2 seven times.
    assert numbers["gradient_norm"] == pytest.approx(
        math.sqrt(2 * (7 / 16) ** 2 + 14 * (1 / 16) ** 2)
    )
    expected = torch.zeros(V, V)
    expected[:2] = -0.025
    expected[0, 1] = expected[1, 2] = 0.025
    torch.testing.assert_close(model.logits.detach(), expected, rtol=0, atol=1e-6)


def test_a_gradient_is_shortened_to_the_limit_and_a_short_one_left() -> None:
    batch = draw_batch(random_ids(), 3, 5, seeded())
    lengths = []
    for clip in (float("inf"), 1e-3):
        model, config = Table(), replace(SHORT, clip=clip)
        told = updated(model, config, batch).numbers["gradient_norm"]
        assert model.logits.grad is not None
        lengths.append((told, float(model.logits.grad.norm())))
    (whole, unclipped), (before, clipped) = lengths
    assert whole == before == pytest.approx(unclipped)
    assert clipped == pytest.approx(1e-3, rel=1e-3)
    assert whole > 0.1


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_equal_seeds_give_equal_runs_bit_for_bit(dropout: float) -> None:
    runs = []
    for seed in (1, 1, 2):
        model = small_gpt(dropout)
        runs.append((comparable(run(model, replace(SHORT, seed=seed))), weights_of(model)))
    (first, mine), (second, same), (third, other) = runs
    assert first == second
    assert equal(mine, same)
    assert first != third
    assert not equal(mine, other)


def test_dropout_differs_from_step_to_step_and_from_none() -> None:
    batch, config = draw_batch(random_ids(), 3, 5, seeded()), SHORT
    losses = []
    for step, dropout in ((0, 0.3), (0, 0.3), (1, 0.3), (0, 0.0)):
        model = small_gpt(dropout)
        losses += updated(model, config, batch, step).numbers["losses"]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_looking_more_often_changes_nothing() -> None:
    models = [small_gpt(0.3), small_gpt(0.3)]
    for model, every in zip(models, (1, 5), strict=True):
        run(model, replace(SHORT, evaluate_every=every))
    assert equal(*(weights_of(model) for model in models))


def test_what_the_reader_draws_changes_nothing_nor_does_training_for_the_reader(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def states() -> tuple[Any, ...]:
        numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global one is meant
        return torch.random.get_rng_state().tolist(), random.getstate(), repr(numpy_state)

    quiet, disturbed = small_gpt(0.3), small_gpt(0.3)
    before = states()
    expected = run(quiet, SHORT)
    assert states() == before
    records = []
    with torch.random.fork_rng(devices=[]):
        for record in train(disturbed, random_ids(), random_ids(), SHORT):
            records.append(record)
            torch.rand(3)
    assert comparable(records) == comparable(expected)
    assert equal(weights_of(quiet), weights_of(disturbed))
    assert capfd.readouterr() == ("", "")


def test_the_held_out_pieces_are_the_same_each_time_and_weigh_the_same() -> None:
    model, ids = small_gpt(), random_ids()
    loss = loss_on(model, ids, SHORT)
    assert loss_on(model, ids, replace(SHORT, seed=9, max_steps=50)) == loss
    places = seeded(1)
    batches = [draw_batch(ids, 3, 5, places) for _ in range(2)]
    by_hand = [float(cross_entropy(model(x), y).detach()) for x, y in batches]
    assert loss == pytest.approx(sum(by_hand) / 2)


def noisy_texts() -> tuple[Tensor, Tensor]:
    """A short text and another one drawn alike: learning the one by heart hurts the other."""
    shares = torch.tensor([0.4, 0.3, 0.1, 0.05, 0.05, 0.05, 0.03, 0.02])
    train_ids, val_ids = (
        torch.multinomial(shares, length, replacement=True, generator=seeded(length))
        for length in (40, 400)
    )
    return train_ids, val_ids


OVERFITTING = TrainConfig(
    max_steps=400,
    batch_size=8,
    context_length=20,
    learning_rate=0.1,
    final_learning_rate=0.1,
    evaluate_every=5,
    evaluation_batches=10,
    weight_decay=0,
    patience=4,
)


def observed(model: nn.Module, records: Iterator[Record]) -> list[tuple[float, dict[str, Tensor]]]:
    return [(record.val_loss, weights_of(model)) for record in records]


def test_early_stopping_ends_when_nothing_improves_and_restores_the_best() -> None:
    model = Table()
    seen = observed(model, train(model, *noisy_texts(), OVERFITTING))
    losses = [loss for loss, _ in seen]
    best = losses.index(min(losses))
    assert best > 0
    assert len(seen) == best + 1 + OVERFITTING.patience
    assert (len(seen) - 1) * OVERFITTING.evaluate_every < OVERFITTING.max_steps
    assert equal(weights_of(model), seen[best][1])
    assert not equal(weights_of(model), seen[-1][1])
    assert loss_on(model, noisy_texts()[1], OVERFITTING) == min(losses)


def test_the_best_is_restored_when_the_steps_run_out_first() -> None:
    model = Table()
    seen = observed(model, train(model, *noisy_texts(), replace(OVERFITTING, patience=400)))
    losses = [loss for loss, _ in seen]
    assert len(seen) == 81
    assert losses.index(min(losses)) < 80
    assert equal(weights_of(model), min(seen, key=lambda pair: pair[0])[1])


def test_without_patience_the_last_weights_stay() -> None:
    model = Table()
    config = replace(OVERFITTING, patience=0, max_steps=100)
    seen = observed(model, train(model, *noisy_texts(), config))
    assert min(loss for loss, _ in seen) < seen[-1][0]
    assert equal(weights_of(model), seen[-1][1])


class Exploding(Table):
    """A table whose logits become infinite when it is trained for the third time."""

    def forward(self, ids: Tensor) -> Tensor:
        logits = super().forward(ids)
        return logits * float("inf") if self.training and sum(self.modes) == 3 else logits


def test_a_loss_that_is_no_number_ends_the_run_before_it_does_harm() -> None:
    model = Exploding()
    records = train(model, ROUND, ROUND, SHORT)
    first, second = ((next(records).step, weights_of(model)) for _ in range(2))
    assert (first[0], second[0]) == (0, 2)
    with pytest.raises(FloatingPointError, match=r"got nan .* at step 2, which was not made"):
        next(records)
    assert not equal(first[1], second[1])
    assert equal(weights_of(model), second[1])


class Clock:
    """Processor time that passes only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("labkit.training.state.time.process_time", lambda: self.now)


class Slow(Table):
    """A model that needs one second per call."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def forward(self, ids: Tensor) -> Tensor:
        self.clock.now += 1
        return super().forward(ids)


def test_processor_time_leaves_out_what_the_reader_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = Clock(monkeypatch), []
    for record in train(Slow(clock), random_ids(), random_ids(), SHORT):
        told.append(record.cpu_seconds)
        clock.now += 100
    assert told == [2, 6, 10, 14]  # two batches to evaluate, two to learn from


def test_training_ends_when_the_processor_time_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(SHORT, max_steps=100, evaluate_every=50, max_cpu_seconds=12)
    model = Slow(Clock(monkeypatch))
    records = list(train(model, random_ids(), random_ids(), config))
    assert [record.step for record in records] == [0, 11]
    assert records[-1].cpu_seconds == 15
    assert records[-1].learning_rate == learning_rate(10, config), "the schedule is not shortened"
    assert not model.training


def test_it_learns_in_training_mode_and_is_in_evaluation_mode_at_each_record() -> None:
    model = Table()
    modes = [model.training for _ in train(model, random_ids(), random_ids(), SHORT)]
    assert modes == [False] * 4
    assert not model.training
    looks = [False, False]
    assert model.modes == [*looks, True, True, *looks, True, True, *looks, True, True, *looks]


def test_a_run_that_is_left_early_leaves_a_usable_model() -> None:
    model = small_gpt(0.3)
    config = replace(SHORT, patience=9, evaluate_every=1)
    for record in train(model, random_ids(), random_ids(), config):
        if record.step == 3:
            stopped = weights_of(model)
            break
    assert equal(weights_of(model), stopped)
    assert not model.training
    assert all(weights.requires_grad for weights in model.parameters())
    ids = random_ids(6)[None]
    assert torch.equal(model(ids), model(ids))
    records = run(model, SHORT)
    assert records[-1].step == 6
    assert not equal(weights_of(model), stopped)


def test_nothing_happens_before_the_first_record_is_asked_for() -> None:
    model = Table()
    records = train(model, random_ids(), random_ids(), SHORT)
    assert model.modes == []
    next(records)
    assert torch.equal(model.logits, torch.zeros(V, V))


def test_a_context_longer_than_the_models_is_refused_by_the_model() -> None:
    with pytest.raises(ValueError, match=r"at most 8 tokens.*got 9"):
        run(small_gpt(), replace(SHORT, context_length=9))
