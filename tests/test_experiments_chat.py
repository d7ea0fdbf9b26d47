"""The stages of chapter 54 on a model of no size: each moves what it should move."""

import copy
import itertools
import math

import pytest
import torch

from experiments import chat
from experiments.chat import follows, groups_of, in_steps, own_pairs, own_runs, prefer, wishes
from labkit.gpt import GPT, GPTConfig
from labkit.preferences import LeashConfig
from labkit.shipped import load_shipped
from labkit.training import TrainConfig
from tinyworld.tasks import Record

TOKENIZER = load_shipped("tinyworld-en").tokenizer
WISHES = wishes(3, 40)


def config(max_steps: int, batch_size: int) -> TrainConfig:
    return TrainConfig(
        max_steps=max_steps,
        batch_size=batch_size,
        context_length=chat.CONTEXT,
        learning_rate=0.02,
        weight_decay=0.0,
    )


def small() -> GPT:
    sizes = GPTConfig(
        vocab_size=TOKENIZER.vocab_size,
        context_length=chat.CONTEXT,
        n_layers=1,
        n_heads=1,
        d_model=16,
    )
    return GPT(sizes, generator=torch.Generator().manual_seed(0)).eval()


def test_wishes_of_a_group_are_equally_long_and_none_comes_twice() -> None:
    groups = groups_of(TOKENIZER, WISHES, 3)
    assert groups
    for group in groups:
        assert len({len(chat.prompt_ids(TOKENIZER, record)) for record in group}) == 1
        assert len(group) == 3
    found = [record for group in groups for record in group]
    assert len(set(map(id, found))) == len(found)
    assert set(found) <= set(WISHES)


def test_a_reward_in_steps_is_highest_for_what_fulfils_the_wish() -> None:
    for wish, other in itertools.pairwise(WISHES[:8]):
        assert in_steps(wish, wish.answer) == follows(wish, wish.answer) == 1
        assert 0.25 <= in_steps(wish, other.answer) < 1
        assert in_steps(wish, "Nothing.") == 0


def test_runs_of_words_are_ones_own_where_nobody_else_has_them() -> None:
    assert own_runs(["a b c", "a b d", "x"], n=2) == [0.5, 0.5, 0.0]
    assert own_runs(["a b c"] * 3, n=2) == [0, 0, 0]


def test_instructions_are_learned() -> None:
    losses = list(chat.instruct(small(), TOKENIZER, WISHES, config(12, 4)))
    assert losses[0] == pytest.approx(math.log(TOKENIZER.vocab_size), rel=0.05)
    assert losses[-1] < losses[0] - 1


def test_what_is_rewarded_becomes_likelier_and_a_leash_holds_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chat, "N_TOKENS", 6)
    groups = groups_of(TOKENIZER, WISHES, 2)

    def short(record: Record, text: str) -> float:
        return -float(len(text))

    def run(beta: float) -> list[chat.Round]:
        model = small()
        reference = copy.deepcopy(model)
        return list(
            chat.reinforce(
                model,
                reference,
                TOKENIZER,
                groups,
                reward=short,
                leash=LeashConfig(beta=beta),
                config=config(24, 1),
                n_answers=16,
            )
        )

    free, held = run(0.0), run(3.0)
    assert free[0].kl == pytest.approx(0, abs=1e-5)
    assert free[-1].rewards.mean() > free[0].rewards.mean() + 5
    assert 0 <= held[-1].kl < free[-1].kl / 2


def test_answers_of_a_round_may_serve_several_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "N_TOKENS", 4)
    model = small()
    rounds = chat.reinforce(
        model,
        copy.deepcopy(model),
        TOKENIZER,
        groups_of(TOKENIZER, WISHES, 2),
        reward=lambda record, text: float("a" in text),
        leash=LeashConfig(),
        config=config(6, 1),
        n_answers=4,
        reuse=2,
    )
    assert [len(one.texts) for one in rounds] == [8, 8, 8]


def test_a_model_comes_to_prefer_the_better_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "N_TOKENS", 6)
    model = small()
    pairs = own_pairs(model, TOKENIZER, groups_of(TOKENIZER, WISHES, 2)[:3], 2)
    assert [(record, record.answer) for record, _, _ in pairs] == [p[:2] for p in pairs]
    losses = list(prefer(model, TOKENIZER, pairs, config(8, 2)))
    assert losses[0] == pytest.approx(math.log(2), rel=1e-4)
    assert losses[-1] < 0.1
