"""Corpora are repeatable to the byte, whole or absent, and the compositional split composes."""

from pathlib import Path

import pytest

from tinyworld import Story, TinyWorld
from tinyworld.tinyworld import is_new_combination, write_corpus
from workbench.command import main

KINDS = ("ABC", "XY", "PQRS")


def test_the_command_writes_the_same_stories_every_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stories.txt"
    order = ["data", "tinyworld", "--stories", "20", "--language", "zh", "--out", str(path)]
    assert main([*order, "--seed", "3"]) == 0
    first = path.read_bytes()
    assert f"20 stories, {len(first):,} bytes" in capsys.readouterr().out
    assert main([*order, "--seed", "3"]) == 0
    assert path.read_bytes() == first
    assert main([*order, "--seed", "4"]) == 0
    assert path.read_bytes() != first
    lines = first.decode().splitlines()
    assert lines == [story.text for story in TinyWorld.full("zh").stories(20, seed=3)]


def test_a_failure_keeps_the_old_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "stories.txt"
    path.write_text("mine", encoding="utf-8")
    assert main(["data", "tinyworld", "--stories", "0", "--out", str(path)]) == 1
    assert "expected at least 1 story, got 0" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "mine"
    with pytest.raises(ValueError, match="one of the splits"):
        write_corpus(path, TinyWorld.full(), 5, seed=0, split="dev")
    assert [file.name for file in tmp_path.iterdir()] == ["stories.txt"]


def test_held_out_pairs_never_stand_in_training_and_always_in_the_test() -> None:
    stories = list(TinyWorld.full().stories(4000, seed=0))
    new = [story for story in stories if is_new_combination(story)]
    old = [story for story in stories if not is_new_combination(story)]
    assert 0.2 < len(new) / len(stories) < 0.6

    def pairs(story: Story) -> set[tuple[str, str]]:
        """Every (person, toy) and (plot, place) of a story."""
        filled = {kind: [n for r, n in story.roles.items() if r in kind] for kind in KINDS}
        people, toys, places = filled.values()
        return {(a, b) for a in people for b in toys} | {(story.plot, place) for place in places}

    trained = set().union(*map(pairs, old))
    for story in new:
        assert pairs(story) - trained, story.text  # at least one pair that training never shows
    share = len(set().union(*map(pairs, new)) - trained) / len(trained)
    assert 0.04 < share < 0.2
