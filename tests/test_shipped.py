"""The models that ship are whole, small, and do what their cards say."""

import hashlib
import math
import re
from pathlib import Path

import pytest
import torch

from experiments import ship
from experiments.chat import asked
from experiments.meaning import excess
from experiments.rewarding import follows, write
from labkit.datasets import DatasetError
from labkit.metrics import evaluate
from labkit.recorded import read_recording
from labkit.shipped import CARD, FOLDER, load_shipped
from tinyworld import TinyWorld
from workbench.command import main

NAMES = sorted(path.parent.name for path in FOLDER.glob(f"*/{CARD}"))
STORYTELLERS = [name for name in NAMES if name.startswith("tinyworld")]
LARGEST = 8_000_000
"""Bytes of one model, files and all."""


def test_there_are_models_and_each_is_known() -> None:
    assert STORYTELLERS
    assert set(NAMES) <= ship.KINDS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_those_of_the_card(name: str) -> None:
    card = (FOLDER / name / CARD).read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- `(.+)`: sha256 (\w{64})$", card, re.MULTILINE))
    found = {path.name: path for path in (FOLDER / name).iterdir() if path.name != CARD}
    assert listed.keys() == found.keys()
    for file, digest in listed.items():
        assert hashlib.sha256(found[file].read_bytes()).hexdigest() == digest, file
    assert sum(path.stat().st_size for path in found.values()) < LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_a_reader_asks(name: str) -> None:
    card = load_shipped(name).card
    assert ship.KINDS[name].commands in card
    for heading in ("How it was trained", "What it can do", "What it writes", "Limits", "Files"):
        assert f"\n## {heading}\n" in card
    assert "CPU-hours" in card
    assert not re.search(r"/tmp|/home|dirty", card)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_ready_to_use(name: str) -> None:
    shipped = load_shipped(name)
    assert not shipped.model.training
    assert {weight.dtype for weight in shipped.model.parameters()} == {torch.float32}


@pytest.mark.parametrize("name", STORYTELLERS)
def test_it_writes_by_itself_and_ends(name: str) -> None:
    shipped = load_shipped(name)
    for text in ship.written(shipped, 5, 0.7):
        assert len(text) > 40
        assert text.strip()[-1] in '.!?”。！？」"'


@pytest.mark.parametrize("name", STORYTELLERS)
def test_a_storyteller_is_as_near_the_truth_as_its_card_says(name: str) -> None:
    shipped = load_shipped(name)
    said = re.search(r"Excess: \*\*([\d.]+) ± ([\d.]+)\*\*", shipped.card)
    assert said
    card, half = float(said[1]), float(said[2])
    world = TinyWorld.full(name.removeprefix("tinyworld-"))
    found = excess(shipped.model, shipped.tokenizer, list(world.stories(60, seed=0, split="test")))
    luck = 1.5 * half * math.sqrt(ship.TEST_STORIES / 60)  # three standard errors of so few stories
    assert found["excess"] == pytest.approx(card, abs=luck)


def test_the_plays_are_read_as_the_card_says_and_better_than_by_any_ngram() -> None:
    shipped = load_shipped("shakespeare")
    said = re.findall(r"\*\*(\d\.\d+)", shipped.card)
    whole, begun = map(float, said[:2])
    hours = re.search(r"([\d.]+) CPU-hours", shipped.card)
    assert hours
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert f"{hours[1]} CPU-hours and needs {said[0]} bits per character" in readme
    try:
        score = evaluate(shipped.model, shipped.tokenizer, [ship.beginning()])
    except DatasetError as error:
        pytest.skip(f"shakespeare: {error}")
    assert score.bits_per_char == pytest.approx(begun, abs=2e-4)
    rows = read_recording("speed_laptop").rows
    assert whole < min(float(row["bits_per_char"]) for row in rows)


def test_the_model_that_chats_follows_as_many_wishes_as_its_card_says() -> None:
    shipped = load_shipped("chat-en")
    said = re.search(r"at temperature 1, \*\*([\d.]+)%\*\*", shipped.card)
    assert said
    share, group = float(said[1]) / 100, asked()[1]
    texts = write(shipped.model, shipped.tokenizer, group, 1, torch.Generator().manual_seed(5))[2]
    found = [follows(record, text) for record, text in zip(group, texts, strict=True)]
    luck = 3 * math.sqrt(share * (1 - share) * (1 / len(group) + 1 / ship.N_WISHES))
    assert sum(found) / len(found) == pytest.approx(share, abs=luck)


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of .*tinyworld-en.*got 'tinyworld-fr'"):
        load_shipped("tinyworld-fr")
    with pytest.raises(ValueError, match="one of no models, got 'a'"):
        load_shipped("a", tmp_path)


def test_the_command_writes_as_the_seed_says(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", STORYTELLERS[0], "--prompt", "On a", "--tokens", "20"]
    written = []
    for seed in ("1", "1", "2"):
        assert main([*command, "--seed", seed]) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] != written[2]
    assert all(text.startswith("On a") for text in written)
    assert main(["generate", "no-such-model"]) == 1
    assert "got 'no-such-model'" in capsys.readouterr().err
