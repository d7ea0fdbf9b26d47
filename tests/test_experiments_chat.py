"""The stages of chapter 54 on a model of no size: each moves what it should move."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments import instructing, rewarding
from experiments.chat import nearest, own_runs, renamed
from experiments.instructing import instruct, prompt_ids, train_run, wishes
from experiments.rewarding import (
    Round,
    each,
    groups_of,
    own_pairs,
    prefer,
    reinforce,
)
from labkit.checkpoints import load_checkpoint
from labkit.datasets.shards import TOKENIZER as TOKENIZER_FILE
from labkit.gpt import GPT, GPTConfig
from labkit.preferences import LeashConfig
from labkit.shipped import load_shipped
from labkit.tokenizers import load_tokenizer
from labkit.training import TrainConfig
from labkit.training.recipe import SETTINGS
from labkit.training.run import Run
from tinyworld.tasks import Record

TOKENIZER = load_shipped("tinyworld-en").tokenizer
WISHES = wishes(3, 40)


def config(max_steps: int, batch_size: int) -> TrainConfig:
    return TrainConfig(
        max_steps=max_steps,
        batch_size=batch_size,
        context_length=instructing.CONTEXT,
        learning_rate=0.02,
        weight_decay=0.0,
    )


def small() -> GPT:
    sizes = GPTConfig(
        vocab_size=TOKENIZER.vocab_size,
        context_length=instructing.CONTEXT,
        n_layers=1,
        n_heads=1,
        d_model=16,
    )
    return GPT(sizes, generator=torch.Generator().manual_seed(0)).eval()


def test_wishes_of_a_group_are_equally_long_and_none_comes_twice() -> None:
    groups = groups_of(TOKENIZER, WISHES, 3)
    assert groups
    for group in groups:
        assert len({len(prompt_ids(TOKENIZER, record)) for record in group}) == 1
        assert len(group) == 3
    found = [record for group in groups for record in group]
    assert len(set(map(id, found))) == len(found)
    assert set(found) <= set(WISHES)


def test_runs_of_words_are_ones_own_where_nobody_else_has_them() -> None:
    assert own_runs(["a b c", "a b d", "x"], n=2) == [0.5, 0.5, 0.0]
    assert own_runs(["a b c"] * 3, n=2) == [0, 0, 0]


def test_instructions_are_learned() -> None:
    losses = list(instruct(small(), TOKENIZER, WISHES, config(12, 4)))
    assert losses[0] == pytest.approx(math.log(TOKENIZER.vocab_size), rel=0.05)
    assert losses[-1] < losses[0] - 1


def test_what_is_rewarded_becomes_likelier_and_a_leash_holds_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rewarding, "N_TOKENS", 6)
    groups = groups_of(TOKENIZER, WISHES, 2)

    def short(record: Record, text: str) -> float:
        return -float(len(text))

    def run(beta: float) -> list[Round]:
        model = small()
        reference = copy.deepcopy(model)
        return list(
            reinforce(
                model,
                reference,
                TOKENIZER,
                groups,
                rewards=each(short),
                leash=LeashConfig(beta=beta),
                config=config(24, 1),
                n_answers=16,
            )
        )

    free, held = run(0.0), run(3.0)
    assert free[0].kl == pytest.approx(0, abs=1e-5)
    assert free[-1].rewards.mean() > free[0].rewards.mean() + 5
    assert 0 <= held[-1].kl < free[-1].kl / 2


def test_a_model_comes_to_prefer_the_better_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewarding, "N_TOKENS", 6)
    monkeypatch.setattr(rewarding, "follows", lambda record, text: float("a" in text))
    model = small()
    pairs = own_pairs(model, TOKENIZER, groups_of(TOKENIZER, WISHES, 2)[:6], 4)
    assert len(pairs) > 3
    assert all("a" in better and "a" not in worse for _, better, worse in pairs)
    losses = list(prefer(model, TOKENIZER, pairs, config(12, 2)))
    assert losses[0] == pytest.approx(math.log(2), rel=1e-4)
    assert losses[-1] < losses[0] - 0.1


def test_a_known_story_is_told_with_other_names() -> None:
    known = [
        Record(task="", language="en", text="Anna finds a red ball.", answer="Anna has a ball."),
        Record(task="", language="en", text="Ben eats.", answer="Ben ate."),
    ]
    wish = "Tom finds a red kite."
    assert nearest(known, wish) == known[0]
    assert renamed(known[0], wish) == "Tom has a kite."
    assert renamed(known[1], "Ben eats.") == "Ben ate."


def test_a_run_of_wishes_is_laid_out_as_one_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instructing, "HELD_OUT", 4)
    entries = list(train_run(tmp_path, replace(config(2, 2), evaluate_every=1)))
    assert [entry.step for entry in entries] == [1, 2]
    assert entries[-1].cpu_seconds > 0
    best = Run(tmp_path).best()
    assert best.name == "step-00000002"
    trained = load_checkpoint(best).state_dict()
    before = load_shipped("tinyworld-en").model.state_dict()
    assert trained.keys() == before.keys()
    assert any(not torch.equal(trained[name], before[name]) for name in before)
    assert load_tokenizer(tmp_path / TOKENIZER_FILE).vocab_size == TOKENIZER.vocab_size
    assert (tmp_path / SETTINGS).read_text(encoding="utf-8").startswith("max_steps = 2\n")
