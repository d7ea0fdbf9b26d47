"""How many stories of TinyWorld are drawn, judged and scored in a second of processor time."""

import math
from collections.abc import Iterator
from functools import partial

from benchmarks.measure import Measurement, alternately
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
        alternately(work, 1)  # fills caches
        done, seconds = alternately(work, ROUNDS)
        for name in work:
            speeds = tuple(n / taken for n, taken in zip(done[name], seconds[name], strict=True))
            setting = f"TinyWorld, {language}, {STORIES:,} stories"
            yield Measurement(f"stories {name}", speeds, "per CPU-second", setting)


def _draw(world: TinyWorld) -> float:
    return float(sum(1 for _ in world.stories(STORIES, seed=1)))


def _judge(world: TinyWorld, texts: list[str]) -> float:
    return float(sum(world.judge(text).consistent for text in texts))


def _score(world: TinyWorld, texts: list[str]) -> float:
    return float(sum(world.log2_prob(text) > -math.inf for text in texts))
