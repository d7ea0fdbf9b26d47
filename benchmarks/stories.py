"""How many stories of TinyWorld are drawn, judged and scored in a second of processor time."""

import math
import statistics
from collections.abc import Iterator
from functools import partial

from benchmarks.measure import Measurement, timed
from tinyworld import TinyWorld

STORIES, ROUNDS = 1000, 5


def stories_per_second() -> Iterator[Measurement]:
    """Draw stories, judge them and score them, in turn, in both languages."""
    for code, language in (("en", "English"), ("zh", "Chinese")):
        world = TinyWorld.full(code)
        texts = [story.text for story in world.stories(STORIES, seed=0)]
        work = {
            "drawn": partial(_draw, world),
            "judged": partial(_judge, world, texts),
            "scored": partial(_score, world, texts),
        }
        speeds: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(ROUNDS + 1):
            for name, job in work.items():
                done, seconds = timed(job)
                speeds[name].append(done / seconds)
        for name, measured in speeds.items():
            kept = measured[1:]  # the first round fills caches
            setting = (
                f"{language}; median of {ROUNDS} rounds of {STORIES} stories, "
                f"{min(kept):.0f} to {max(kept):.0f}"
            )
            value = round(statistics.median(kept))
            yield Measurement(f"stories {name}", value, "per CPU-second", setting)


def _draw(world: TinyWorld) -> float:
    return float(sum(1 for _ in world.stories(STORIES, seed=1)))


def _judge(world: TinyWorld, texts: list[str]) -> float:
    return float(sum(world.judge(text).consistent for text in texts))


def _score(world: TinyWorld, texts: list[str]) -> float:
    return float(sum(world.log2_prob(text) > -math.inf for text in texts))
