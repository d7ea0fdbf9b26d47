"""Losses from preferences and rewards: worked by hand, by properties, and by trl's trainer."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from labkit.ngram import add_k, count_ngrams
from labkit.preferences import (
    LeashConfig,
    Tried,
    advantages,
    distance,
    dpo_loss,
    look_back,
    policy_loss,
    reward_loss,
    written_log_probs,
    written_targets,
)
from labkit.tasks import IGNORED


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_log_probabilities_of_what_is_written_worked_by_hand() -> None:
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0], [9.0, 1.0]]])
    targets = torch.tensor([[1, 0, IGNORED, IGNORED]])
    found = written_log_probs(logits, targets)
    assert torch.allclose(found, torch.tensor([[math.log(3 / 4), math.log(1 / 2), 0.0]]))


def test_the_reward_loss_asks_for_a_margin() -> None:
    better, worse = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    by_hand = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(2))) / 2
    assert math.isclose(reward_loss(better, worse), by_hand, rel_tol=1e-6)
    assert reward_loss(better + 7, worse + 7) == reward_loss(better, worse)


def test_the_gradient_of_dpo_is_larger_where_the_order_is_wrong() -> None:
    better = torch.tensor([-3.0, -5.0], requires_grad=True)
    worse = torch.tensor([-5.0, -3.0], requires_grad=True)
    dpo_loss(better, worse, torch.zeros(2), torch.zeros(2), beta=0.5).backward()
    for i, margin in enumerate((1.0, -1.0)):
        push = 0.5 / (1 + math.exp(margin)) / 2  # beta · σ(-margin), and the mean of two
        assert better.grad is not None
        assert worse.grad is not None
        assert math.isclose(better.grad[i], -push, rel_tol=1e-6)
        assert math.isclose(worse.grad[i], push, rel_tol=1e-6)


@given(st.integers(0, 999), st.floats(0.1, 10), st.floats(-5, 5))
def test_advantages_know_no_unit_and_no_zero(seed: int, scale: float, shift: float) -> None:
    rewards = torch.randn(3, 6, generator=seeded(seed), dtype=torch.float64)
    found = advantages(rewards, eps=0)
    assert torch.allclose(found.mean(1), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(found.std(1), torch.ones(3, dtype=torch.float64))
    assert torch.allclose(advantages(scale * rewards + shift, eps=0), found)
    assert advantages(torch.full((1, 4), shift)).abs().max() < 1e-9


def test_the_distance_is_never_negative_and_on_average_the_divergence() -> None:
    p, q = torch.randn(2, 50, generator=seeded(), dtype=torch.float64).log_softmax(-1)
    assert distance(p, q).min() >= 0
    divergence = (p.exp() * (p - q)).sum()
    assert torch.allclose((p.exp() * distance(p, q)).sum(), divergence)
    assert distance(p, p).abs().max() == 0


def tried(log_probs: Tensor, advantage: list[float]) -> Tried:
    wanted = torch.tensor([[False, True, True], [True, False, False]])
    same = log_probs.detach().clone()
    return Tried(same, same, wanted, torch.tensor(advantage))


def test_at_first_the_gradient_is_that_of_reinforce() -> None:
    log_probs = (-torch.rand(2, 3, generator=seeded())).requires_grad_()
    policy_loss(log_probs, tried(log_probs, [2.0, -1.0]), LeashConfig(beta=0.5)).backward()
    # -advantage / tokens of the answer / answers, and the leash does not pull yet
    assert log_probs.grad is not None
    expected = [[0.0, -0.5, -0.5], [0.5, 0.0, 0.0]]
    assert torch.allclose(log_probs.grad, torch.tensor(expected))


@pytest.mark.parametrize(
    ("moved", "advantage", "pulls"),
    [(0.3, 1.0, False), (0.3, -1.0, True), (-0.3, -1.0, False), (-0.3, 1.0, True)],
)
def test_what_has_moved_far_enough_is_rewarded_no_more(
    moved: float, advantage: float, pulls: bool
) -> None:
    old = torch.full((1, 1), -2.0)
    log_probs = (old + moved).requires_grad_()
    case = Tried(old, old, torch.tensor([[True]]), torch.tensor([advantage]))
    policy_loss(log_probs, case, LeashConfig(clip=0.2, beta=0)).backward()
    assert log_probs.grad is not None
    assert bool(log_probs.grad.abs().sum() > 0) == pulls


def test_the_leash_pulls_back_to_the_reference() -> None:
    case = tried(torch.full((2, 3), -1.0), [0.0, 0.0])
    log_probs = torch.full((2, 3), -1.0, requires_grad=True)
    with torch.no_grad():
        log_probs[0, 1] += 0.5
        log_probs[0, 2] -= 0.5
    policy_loss(log_probs, case, LeashConfig(beta=1.0)).backward()
    assert log_probs.grad is not None
    gradient = log_probs.grad.tolist()
    assert gradient[0][1] > 0 > gradient[0][2]
    assert gradient[1] == [0, 0, 0]


def trainer_of(folder: Path) -> Any:
    """trl's trainer of a GPT-2 of two layers, another one as its reference, on two pairs."""
    import tokenizers as hf
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    from datasets import Dataset  # type: ignore[attr-defined]  # not our folder of cards

    words = {word: i for i, word in enumerate(["<pad>", "<end>", *"abcdefg"])}
    inner = hf.Tokenizer(hf.models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = hf.pre_tokenizers.Whitespace()
    marks = {"pad_token": "<pad>", "eos_token": "<end>"}
    sizes: dict[str, Any] = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0)
    sizes |= {"n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": len(words)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        models = [GPT2LMHeadModel(GPT2Config(**sizes)) for _ in range(2)]
    pairs = [("a b", "c d e", "f"), ("g", "a", "b b c")]
    return DPOTrainer(
        model=models[0],
        ref_model=models[1],
        args=DPOConfig(output_dir=str(folder), beta=0.3, use_cpu=True, bf16=False, report_to=[]),
        train_dataset=Dataset.from_list(
            [dict(zip(("prompt", "chosen", "rejected"), pair, strict=True)) for pair in pairs]
        ),
        processing_class=PreTrainedTokenizerFast(tokenizer_object=inner, **marks),
    )


def test_loss_and_gradient_of_dpo_are_those_of_trl(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    model, reference = trainer.model.eval(), trainer.ref_model.eval()
    theirs = trainer.compute_loss(model, batch)
    theirs.backward()
    gradient = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()

    ids, half = batch["input_ids"], len(batch["input_ids"]) // 2  # better answers, then worse ones
    targets = ids.where(batch["completion_mask"].bool(), IGNORED)[:, 1:]
    sums = [written_log_probs(m(ids).logits[:, :-1], targets).sum(1) for m in (model, reference)]
    (better, worse), (of_better, of_worse) = (each.split(half) for each in sums)
    ours = dpo_loss(better, worse, of_better, of_worse, beta=0.3)
    ours.backward()
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert not torch.allclose(ours, torch.tensor(math.log(2.0)), atol=1e-4)
    for parameter, expected in zip(model.parameters(), gradient, strict=True):
        assert torch.allclose(parameter.grad, expected, atol=1e-6)


def test_what_was_written_ends_with_the_first_stop_after_the_prompt() -> None:
    written = torch.tensor([[0, 0, 4, 5, 0, 0], [0, 0, 4, 5, 6, 7], [0, 0, 4, 0, 0, 0]])
    nothing = IGNORED
    assert written_targets(written, 3, stop=0).tolist() == [
        [nothing, nothing, 5, 0, nothing],
        [nothing, nothing, 5, 6, 7],
        [nothing, nothing, 0, nothing, nothing],
    ]


def test_looking_back_sees_two_models_and_one_group_for_each_prompt() -> None:
    models = [add_k(count_ngrams(np.array(ids), 2, 4), 2, k=1.0) for ids in ([1, 2], [2, 1])]
    written = torch.tensor([[0, 1, 2, 0], [0, 1, 0, 0], [0, 2, 1, 3], [0, 2, 0, 0]])
    targets = written_targets(written, 2, stop=0)
    seen = look_back(models[0], models[1], written, targets, torch.tensor([[1.0, 0.0], [2.0, 2.0]]))
    for found, model in ((seen.old, models[0]), (seen.reference, models[1])):
        by_hand = written_log_probs(model(written[:, :-1]), targets)
        assert torch.equal(found, by_hand)
    assert not torch.equal(seen.old, seen.reference)
    assert seen.wanted.sum(1).tolist() == [2, 1, 2, 1]
    root = math.sqrt(0.5)
    assert seen.advantage.tolist() == pytest.approx([root, -root, 0, 0], abs=1e-3)
