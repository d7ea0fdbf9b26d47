"""Recorded experiments are what today's code measures, and the README's tables are theirs."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from experiments import counting, readme, run
from labkit.datasets import DatasetError
from labkit.metrics import Score, read_league
from labkit.recorded import FOLDER, read_recording

TIMES = {"cpu_seconds", "ms_low", "ms", "ms_high"}
TRAINED = {"nats", "updates", "updates_to_lower"}
"""What a training of hundreds of updates comes to: last bits grow on the way."""
SAMPLED = {
    "spelled",
    "grammatical",
    "consistent",
    "consistent_cool",
    "resolved",
    "novel",
}
"""Shares of texts that a model wrote: one last bit can change a whole text."""
ROOT = Path(__file__).resolve().parents[1]


def same_but_for_time(recorded: Mapping[str, str], measured: Mapping[str, object]) -> bool:
    """Whether two rows agree in their words, and in their numbers to 0.002 or one part in 500.

    Shares of sampled texts may differ by 0.1, and results of a training by one part in 20.
    """
    for name, old in recorded.items():
        new = str(measured[name])
        if name in TIMES or old == new:
            continue
        slack = (0.05 if name in TRAINED else 0.002) * max(1.0, abs(float(old)))
        slack = 0.1 if name in SAMPLED else slack
        if not abs(float(old) - float(new)) <= slack:
            return False
    return True


def test_a_league_row_holds_the_score_and_its_costs() -> None:
    score = Score(
        bits_per_char=70 / 30, low=1.23456, high=3.4, bits=(10, 60), chars=(10, 20), n_tokens=30
    )
    row = counting.league_row("name", "12", score, parameters=7, train_tokens=30, cpu_seconds=1.26)
    assert (row.model, row.chapter, row.bits_per_char) == ("name", "12", 2.3333)
    assert (row.low, row.high) == (1.2346, 3.4)
    assert (row.parameters, row.train_tokens, row.cpu_seconds, row.note) == (7, 30, 1.3, "")


@pytest.mark.parametrize("name", sorted(run.EXPERIMENTS))
def test_the_quick_row_is_measured_again(name: str) -> None:
    recorded = [row for row in read_recording(name).rows if row["quick"] == "yes"]
    assert len(recorded) == 1
    try:
        measured = list(run.EXPERIMENTS[name](quick=True))
    except DatasetError as error:
        pytest.skip(f"{name}: {error}")
    assert len(measured) == 1
    assert same_but_for_time(recorded[0], measured[0])


def test_every_recording_has_its_experiment_and_says_how_it_was_made() -> None:
    recorded = {path.stem for path in FOLDER.glob("*.csv")}
    assert recorded == set(run.EXPERIMENTS)
    for name in recorded:
        head = read_recording(name).head
        assert head["command"] == f"python -m experiments.run {name}"
        assert head.keys() >= {"commit", "date", "machine", "versions"}


def test_a_changed_number_is_noticed() -> None:
    row = {"model": "a", "bits_per_char": "2.0821", "cpu_seconds": "1.0"}
    assert same_but_for_time(row, row | {"cpu_seconds": 9.0, "bits_per_char": 2.0822})
    assert not same_but_for_time(row, row | {"bits_per_char": 2.1})
    row = {"kind": "a", "grammatical": "0.9", "wasted_again": "95.458"}
    assert same_but_for_time(row, row | {"grammatical": 0.85, "wasted_again": 95.6})
    assert not same_but_for_time(row, row | {"grammatical": 0.7})
    assert not same_but_for_time(row, row | {"wasted_again": 97.0})
    row = {"nats": "2.00", "cpu_seconds": "20"}
    assert same_but_for_time(row, {"nats": 2.09, "cpu_seconds": 90})
    assert not same_but_for_time(row, {"nats": 2.11, "cpu_seconds": 20})
    assert not same_but_for_time(row, {"nats": float("nan"), "cpu_seconds": 20})


def test_the_league_falls_with_every_longer_memory() -> None:
    bits = {row.model: row.bits_per_char for row in read_league() if row.chapter == "12"}
    assert list(bits.values()) == sorted(bits.values(), reverse=True)


def test_every_model_of_the_league_was_measured_against_the_truth_too() -> None:
    excess = {row.model: row.excess for row in read_league()}
    assert all(bits > 0 for bits in excess.values())  # false for nan
    counted = [row for row in read_recording("league_tinyworld").rows if "gram" in row["model"]]
    assert all(float(row["excess_half"]) < 0.05 * float(row["excess"]) for row in counted)
    assert {row["model"] for row in counted} < excess.keys()


def test_a_chapter_sees_no_row_of_a_later_one() -> None:
    chapters = [row.chapter for row in read_league()]
    assert max(chapters) > "12"
    assert [row.chapter for row in read_league(until="12")] == [c for c in chapters if c <= "12"]
    assert read_league(until="11") == []


def test_the_readme_shows_what_was_recorded() -> None:
    old = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.readme_text(old) == old, "run `make readme`"


def test_a_stale_readme_is_noticed() -> None:
    old = (ROOT / "README.md").read_text(encoding="utf-8")
    stale = re.sub(r"2\.082", "1.082", old)
    assert stale != old
    assert readme.readme_text(stale) == old


def test_a_readme_without_its_block_is_refused() -> None:
    with pytest.raises(ValueError, match="no block chapters"):
        readme.readme_text("# nothing")


def test_the_order_is_chosen_on_the_validation_text() -> None:
    train = ["abab" * 30, "abba" * 30]
    assert counting.best_order(train, ["abababab"]) > 1


def test_of_each_task_the_best_of_both_kinds_is_listed(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    rows = [
        "task,data,system,metric,value,low,high,cpu_seconds,pretraining_seconds",
        "t,d,counting,accuracy,0.5,0.4,0.6,1,0",
        "t,d,rules,accuracy,0.7,0.6,0.8,1,0",
        "t,d,LoRA,accuracy,0.6,0.5,0.7,20,30",
        "t,d,head only,accuracy,0.55,0.5,0.6,5,30",
        "t,d,rules,recall@1,0.9,0.8,1,1,0",
        "s,d,copy,BLEU,12.34,10,14,0,",
        's,d,"told again, truly",BLEU,50,40,60,0,',
        "s,d,this course's model,BLEU,23.45,20,26,9,",
        "u,d,copy,BLEU,12.34,10,14,0,",
    ]
    text = "# command: x\n" + "\n".join(rows) + "\n"
    (tmp_path / "experiments" / "tasks_x.csv").write_text(text, encoding="utf-8")
    assert readme.tasks_table(tmp_path).splitlines()[2:] == [
        "| t | d | accuracy | rules: **70.0 %** (60.0 to 80.0) | LoRA: **60.0 %** (50.0 to 70.0) "
        "| 50 |",
        "| s | d | BLEU | copy: **12.3** (10.0 to 14.0) | this course's model: **23.4** "
        "(20.0 to 26.0) | 9 |",
    ]
