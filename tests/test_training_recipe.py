"""Presets, settings on the command line, and the command that trains."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from labkit.checkpoints import load_checkpoint
from labkit.datasets.prepare import prepare
from labkit.datasets.shards import TokenShards
from labkit.metrics import evaluate
from labkit.tokenizers import CharTokenizer, load_tokenizer
from labkit.training import Run
from labkit.training.recipe import (
    PRESETS,
    new_model,
    prepare_recipe,
    read_recipe,
    run_recipe,
    write_recipe,
)
from workbench.command import main

SMALL = [
    *("--n-layers", "1", "--n-heads", "2", "--d-model", "16", "--vocab-size", "0"),
    *("--context-length", "16", "--batch-size", "4", "--warmup-steps", "2"),
    *("--max-steps", "20", "--evaluate-every", "10", "--evaluation-batches", "2"),
]


@pytest.fixture
def text_file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat and the hat is flat. " * 60)
    return str(path)


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_every_preset_is_a_recipe_whose_model_can_be_made(preset: str) -> None:
    recipe = read_recipe(preset)
    text = "".join(map(chr, range(32, 32 + max(1, min(recipe.vocab_size, 1000)))))
    with torch.device("meta"):
        model = new_model(recipe, CharTokenizer(text))
    assert (model.context_length, model.config.n_layers) == (
        recipe.context_length,
        recipe.n_layers,
    )
    assert recipe.warmup_steps < recipe.max_steps
    assert recipe.max_steps % recipe.evaluate_every == 0


def test_gpt2_124m_has_gpt2s_number_of_weights() -> None:
    recipe = read_recipe("gpt2-124m")
    tokenizer = CharTokenizer([chr(i) for i in range(2**16, 2**16 + recipe.vocab_size - 1)])
    with torch.device("meta"):
        assert new_model(recipe, tokenizer).n_parameters == 124_439_808


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    recipe = replace(read_recipe("laptop"), data='with "quotes" and 猫', max_cpu_seconds=12.5)
    write_recipe(recipe, tmp_path)
    assert read_recipe(str(tmp_path)) == recipe
    assert read_recipe(str(tmp_path / "run.toml")) == recipe
    assert replace(recipe, max_cpu_seconds=math.inf) != recipe
    write_recipe(replace(recipe, max_cpu_seconds=math.inf), tmp_path)
    assert read_recipe(str(tmp_path)).max_cpu_seconds == math.inf


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("depth = 3", "depth"),
        ("max_steps = ", "run.toml"),
        ("data = 'x'\nmax_steps = 0\nbatch_size = 1\ncontext_length = 1", "got 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_recipe(str(tmp_path))


def test_what_is_no_recipe_is_refused_with_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "nothing", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "expected a preset (gpt2-124m, gpu, laptop" in said
    assert main(["train", "laptop"]) == 1
    assert "expected --out FOLDER" in capsys.readouterr().err
    assert main(["train", "laptop", "--out", str(tmp_path), "--data", "nothing"]) == 1
    assert "No dataset is called 'nothing'" in capsys.readouterr().err


AS_GPT_2 = [
    "--positions=learned",
    "--turn=none",
    "--norm=layer",
    "--mlp=gelu",
    "--start=gpt2",
    "--ngram-order=1",
    "--entry=none",
    "--head=tied",
    "--learning-rate=0.004",
    "--final-learning-rate=0.0004",
]
"""The settings of GPT-2's parts, which transformers knows."""


def test_the_command_trains_says_so_and_goes_on(
    text_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    command = ["train", "laptop", "--out", str(folder), "--data", text_file, *SMALL]
    assert main([*command, *AS_GPT_2]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said[:3]] == [f"step {n} of 20" for n in (0, 10, 20)]
    assert re.fullmatch(
        r"val [\d.]+ nats per token, ([\d.]+) bits per character, \d+ CPU-seconds; "
        rf"the best checkpoint is {folder}/step-000000\d0",
        said[3],
    )
    # Bits per character by the book's own evaluator: the same text, but all of it.
    model, tokenizer = (
        load_checkpoint(Run(folder).best()),
        load_tokenizer(folder / "tokenizer.json"),
    )
    held_out = Path(text_file).read_text()[int(0.9 * 44 * 60) :]
    bits = float(said[3].split(" nats per token, ")[1].split()[0])
    assert evaluate(model, tokenizer, [held_out]).bits_per_char == pytest.approx(bits, abs=0.4)
    assert main(["train", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == said[3:]
    assert main(["export", str(folder), "--out", str(tmp_path / "out")]) == 0
    assert f"the model of {Run(folder).best()}, its tokenizer and a card" in capsys.readouterr().out
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("the cat", return_tensors="pt").input_ids
    torch.testing.assert_close(theirs(ids).logits, model(ids), rtol=0, atol=1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{model.n_parameters:,} parameters" in card
    assert (folder / "run.toml").read_text() in card
    assert main(["export", str(tmp_path), "--out", str(tmp_path / "none")]) == 1
    assert "got no checkpoint there" in capsys.readouterr().err
    assert main(["train", str(folder), "--learning-rate", "0.5"]) == 1
    assert "go on with learning_rate 0.004, as in" in capsys.readouterr().err
    assert read_recipe(str(folder)).learning_rate == 0.004


def test_a_prepared_folder_is_trained_on_with_its_own_tokens(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("".join(f"the cat {i} sat on mat {i}\n" for i in range(4000)))
    list(prepare(str(lines), tmp_path / "tokens", vocab_size=300, workers=1))
    recipe = replace(
        read_recipe("laptop"),
        data=str(tmp_path / "tokens"),
        begin_with_documents=True,
        n_layers=1,
        n_heads=2,
        d_model=16,
        context_length=8,
        warmup_steps=2,
        batch_size=4,
        max_steps=4,
        evaluate_every=2,
        evaluation_batches=2,
    )
    text = prepare_recipe(recipe)
    assert text.tokenizer.vocab_size == 300
    assert isinstance(text.val_ids, TokenShards)
    held_out = text.tokenizer.decode(text.val_ids.take(np.arange(len(text.val_ids))))
    n_chars = len(held_out) + held_out.count("the cat")
    assert text.tokens_per_char == pytest.approx(len(text.val_ids) / n_chars)
    said = list(run_recipe(recipe, tmp_path / "run"))
    assert said[-1].startswith("val ")
    assert Run(tmp_path / "run").checkpoints()


def test_ctrl_c_in_a_terminal_saves_and_says_how_to_go_on(text_file: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "labkit", "train", "laptop", "--out", str(folder)]
    command += ["--data", text_file, *SMALL, "--max-steps", "100000"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    while not (folder / "log.jsonl").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"`labkit train {folder}` goes on" in said.splitlines()[-1]
    stopped = int(Run(folder).checkpoints()[-1].name.removeprefix("step-"))
    assert stopped > 0


def test_tensorboard_gets_the_curves(text_file: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    folder = tmp_path / "run"
    command = ["train", "laptop", "--out", str(folder), "--data", text_file, *SMALL]
    assert main([*command, "--tensorboard"]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("val_loss")] == [0, 10, 20]
