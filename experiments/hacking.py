"""What becomes of a model that is rewarded for the wrong thing, and of one on a short leash.

The reward is the number of words: detailed stories are liked. The judge looks on.
"""

from collections.abc import Iterator
from dataclasses import replace

from experiments.chat import (
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
from experiments.rewarding import each
from labkit.shipped import load_shipped
from tinyworld.tasks import Record

HACKING = replace(RL, max_steps=16, learning_rate=3e-2)
"""Large steps: what goes wrong should go wrong soon."""
SHORT_LEASH = 100.0
"""What a nat costs at each token; rewards are in standard deviations of their group."""
PROMPTS = 4


def hundreds_of_words(record: Record, text: str) -> float:
    """Reward a story by its length, whatever it tells."""
    return len(text.split()) / 100


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
    for system, beta in (("no leash", 0.0), ("short leash", SHORT_LEASH)):
        stage = rewarded(
            sft.model,
            tokenizer,
            each(hundreds_of_words),
            beta=beta,
            config=HACKING,
            n_wishes=PROMPTS,
        )
        found = measured(stage.model, references, tokenizer)
        yield from told_rows(system, summed_up(found, before["followed"]), stage.seconds)
        yield from rounds_rows(system, stage)
