"""Schedules, accumulation, averages, precision and compilation, each against a value by hand."""

import itertools
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from labkit.training import TrainConfig, train
from labkit.training.batches import draw_batch
from labkit.training.loop import update
from labkit.training.optimiser import learning_rate
from labkit.training.precision import faster_precision
from labkit.training.state import State, can_compile
from tests.long_run import EVERYTHING, PLAIN, new_model, text

TEN = TrainConfig(
    max_steps=10, batch_size=1, context_length=1, learning_rate=1.0, final_learning_rate=0.1
)


def rates(**changes: Any) -> list[float]:
    config = replace(TEN, **changes)
    return [learning_rate(step, config) for step in range(12)]


def test_a_line_falls_by_equal_steps_and_stays_at_its_end() -> None:
    assert rates(schedule="linear") == pytest.approx([1 - 0.09 * n for n in range(11)] + [0.1])


def test_an_exponential_falls_by_an_equal_factor() -> None:
    found = rates(schedule="exponential", warmup_steps=2)
    assert found[:3] == pytest.approx([0.5, 1.0, 1.0])
    factors = [b / a for a, b in itertools.pairwise(found[2:11])]
    assert factors == pytest.approx([0.1 ** (1 / 8)] * 8)
    assert found[10:] == pytest.approx([0.1, 0.1])


def test_warm_up_stable_decay_is_flat_until_the_cool_down() -> None:
    found = rates(schedule="wsd", warmup_steps=2, cooldown_steps=3)
    assert found == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1, 0.7, 0.4, 0.1, 0.1])


@given(
    st.sampled_from(["cosine", "linear", "exponential"]),
    st.integers(1, 40),
    st.floats(1e-6, 1),
    st.floats(0.01, 1),
)
def test_every_schedule_begins_at_the_top_and_ends_at_the_bottom(
    schedule: Any, steps: int, highest: float, share: float
) -> None:
    lowest = highest * share
    config = replace(
        TEN,
        max_steps=steps,
        schedule=schedule,
        learning_rate=highest,
        final_learning_rate=lowest,
    )
    assert learning_rate(0, config) == pytest.approx(highest)
    assert learning_rate(steps, config) == pytest.approx(lowest)


def updated(config: TrainConfig, dropout: float = 0.0) -> tuple[list[Tensor], State]:
    state = State(new_model(dropout), config)
    update(state, draw_batch(text(), 8, 16, state.order))
    return [p.detach() for p in state.model.parameters()], state


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_a_batch_in_parts_makes_the_update_of_the_whole(parts: int) -> None:
    whole, state = updated(PLAIN)
    cut, other = updated(replace(PLAIN, accumulate=parts))
    assert other.numbers["losses"] == pytest.approx(state.numbers["losses"], abs=1e-6)
    assert other.numbers["gradient_norm"] == pytest.approx(state.numbers["gradient_norm"], 1e-5)
    gradients = [p.grad for p in state.model.parameters()]
    for mine, theirs in zip(other.model.parameters(), gradients, strict=True):
        torch.testing.assert_close(mine.grad, theirs, rtol=0, atol=1e-6)
    # AdamW's first step has the size of the rate whatever the gradient, so only its sign shows.
    agree = [(a - b).abs() < 1e-4 for a, b in zip(whole, cut, strict=True)]
    assert torch.cat([part.flatten() for part in agree]).float().mean() > 0.999


def test_parts_and_processes_have_dropout_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [updated(PLAIN, dropout=0.3)[1].numbers["losses"]]
    losses.append(updated(replace(PLAIN, accumulate=2), dropout=0.3)[1].numbers["losses"])
    monkeypatch.setattr("labkit.training.loop.my_rank", lambda: 1)
    losses.append(updated(PLAIN, dropout=0.3)[1].numbers["losses"])
    assert len({tuple(found) for found in losses}) == 3


class Scale(nn.Module):
    """A table of logits that the average can be followed in by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(40, 40))
        self.seen: list[Tensor] = []

    def forward(self, ids: Tensor) -> Tensor:
        if self.training and not torch.compiler.is_compiling():
            self.seen.append(self.logits.detach().clone())
        return self.logits[ids]


def test_the_average_of_the_weights_by_hand() -> None:
    model, config = Scale(), replace(PLAIN, max_steps=6, ema_decay=0.8, evaluate_every=3)
    records = train(model, text(), text(), config)
    for _ in records:
        raw = model.logits.detach().clone()  # at a record the model has the weights it learns with
    steps = [*model.seen[1:], raw]
    average = torch.zeros(40, 40)
    for weights in steps:
        average = 0.8 * average + 0.2 * weights
    torch.testing.assert_close(model.logits.detach(), average)
    assert not torch.allclose(average, raw)


def test_what_is_evaluated_and_kept_as_best_is_the_average() -> None:
    model = new_model()
    config = replace(EVERYTHING, max_steps=42, accumulate=1, patience=50)
    *_, last = train(model, text(), text(), config)
    (only,) = train(model, text(), text(), replace(config, max_steps=11, max_cpu_seconds=0))
    assert only.step == 0
    assert only.val_loss == pytest.approx(last.val_loss, abs=1e-6)


def test_half_precision_learns_and_weights_stay_whole() -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        model = new_model()
        config = replace(PLAIN, precision=precision, evaluate_every=50)
        losses[precision] = [record.val_loss for record in train(model, text(), text(), config)]
        assert all(weights.dtype == torch.float32 for weights in model.parameters())
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.05)
    assert losses["bf16"] != losses["fp32"]


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"), [(1.0, 0.8, "bf16"), (1.0, 0.95, "fp32"), (1.0, 3.0, "fp32")]
)
def test_the_clearly_faster_precision_is_chosen(
    fp32: float, bf16: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("labkit.training.precision.time.perf_counter", lambda: now[0])

    class Timed(nn.Module):
        """A model that takes as long as the test says."""

        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.zeros(40, 40))

        def forward(self, ids: Tensor) -> Tensor:
            now[0] += bf16 if torch.is_autocast_enabled("cpu") else fp32
            return self.logits[ids] + torch.rand(1)

    model, state = Timed(), torch.random.get_rng_state()
    ids = text()[:32].view(2, 16)
    assert faster_precision(model, ids, ids) == chosen
    assert model.logits.grad is None
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_precision_that_is_found_is_kept() -> None:
    config = replace(PLAIN, max_steps=4, evaluate_every=4, precision="auto")
    found, *single = (
        [record.val_loss for record in train(new_model(), text(), text(), chosen)]
        for chosen in (config, replace(config, precision="fp32"), replace(config, precision="bf16"))
    )
    assert found in single


def failing(*_: Any, **__: Any) -> Callable[..., Any]:
    raise RuntimeError("no C++ compiler was found\nand more")


def test_where_nothing_can_be_compiled_a_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", failing)
    config = replace(PLAIN, max_steps=2, compile=True)
    with pytest.warns(UserWarning, match="going on without compiling the model: no C.. compiler"):
        records = list(train(new_model(), text(), text(), config))
    assert records[-1].step == 2


def test_a_compiled_model_learns_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not can_compile():
            pytest.skip("torch cannot compile on this machine")
    losses = []
    for compiled in (False, True):
        config = replace(PLAIN, max_steps=5, compile=compiled)
        losses.append([record.val_loss for record in train(Scale(), text(), text(), config)])
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
