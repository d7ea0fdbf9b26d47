"""What becomes of a model that is rewarded for the wrong thing, and what helps.

The reward is the number of words: detailed stories are liked. All else is as in the training by the
judge's reward in `experiments.chat`. The judge looks on.
"""

from collections.abc import Iterator

from experiments.chat import (
    LEASH,
    PROMPTS,
    RL,
    cpu_of,
    measured,
    rewarded,
    rounds_rows,
    simple_rows,
    summed_up,
    told_rows,
)
from experiments.counting import Row
from experiments.rewarding import Reward, each, follows
from labkit.shipped import load_shipped
from tinyworld.tasks import Record

SHORT_LEASH = 100.0
"""What a nat costs at each token; rewards are in standard deviations of their group."""


def hundreds_of_words(record: Record, text: str) -> float:
    """Reward a story by its length, whatever it tells."""
    return len(text.split()) / 100


def words_if_fulfilled(record: Record, text: str) -> float:
    """Reward the length of a story that fulfils its wish."""
    return hundreds_of_words(record, text) * follows(record, text)


RUNS: dict[str, tuple[Reward, float]] = {
    "words": (hundreds_of_words, LEASH),
    "words, short leash": (hundreds_of_words, SHORT_LEASH),
    "words if fulfilled": (words_if_fulfilled, LEASH),
}


def table_rows(quick: bool = False) -> Iterator[Row]:
    """Reward words and tell what comes of it; quick is one row of the true answers."""
    for system, told, seconds in simple_rows(quick=True):
        rows = told_rows(system, told, seconds)
        yield from (row for row in rows if row["quick"] or not quick)
    if quick:
        return
    sft = load_shipped("chat-en")
    tokenizer, references = sft.tokenizer, {"SFT": sft.model}
    before = measured(sft.model, references, tokenizer)
    yield from told_rows("SFT", summed_up(before), cpu_of(sft.card))
    for system, (reward, beta) in RUNS.items():
        stage = rewarded(sft.model, tokenizer, each(reward), beta=beta, config=RL, n_wishes=PROMPTS)
        found = measured(stage.model, references, tokenizer)
        yield from told_rows(system, summed_up(found, before["followed"]), stage.seconds)
        yield from rounds_rows(system, stage)
