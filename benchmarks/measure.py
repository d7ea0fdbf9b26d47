"""What a measurement is, and how processor time is taken."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")
LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Measurement:
    """One row of the table: a number that was measured several times."""

    name: str
    """What was measured."""
    values: tuple[float, ...]
    """The number, once for each round."""
    unit: str
    """Its unit; "×" for a ratio within one round."""
    setting: str
    """On what, and how."""

    def row(self) -> str:
        """Return the row: name, lowest, median and highest value, unit, setting."""
        middle = statistics.median(self.values)
        low, median, high = (
            f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            for value in (min(self.values), middle, max(self.values))
        )
        cells = (self.name, low, f"**{median}**", high, self.unit, self.setting)
        return f"| {' | '.join(cells)} |"


def table(measurements: Sequence[Measurement]) -> str:
    """Return all rows below their heading, as Markdown.

    Raises ValueError for a number that was measured fewer than five times.
    """
    few = [m.name for m in measurements if len(m.values) < LEAST_ROUNDS]
    if few:
        raise ValueError(f"expected at least {LEAST_ROUNDS} rounds, got fewer of {few[0]}")
    heading = "| what | lowest | median | highest | unit | setting |\n|---|--:|--:|--:|---|---|\n"
    return heading + "".join(m.row() + "\n" for m in measurements)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return a result and the CPU-seconds that it took."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def alternately(
    work: Mapping[str, Callable[[], Result]], rounds: int
) -> tuple[dict[str, list[Result]], dict[str, list[float]]]:
    """Let several workers take turns; return what each returned and its CPU-seconds, per round.

    Who goes first changes from round to round, so that nobody always finds a warmer processor.
    """
    results: dict[str, list[Result]] = {name: [] for name in work}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds):
        for name in sorted(work, reverse=bool(turn % 2)):
            result, taken = timed(work[name])
            results[name].append(result)
            seconds[name].append(taken)
    return results, seconds


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, ...]:
    """Return how many times as long they took, round by round."""
    return tuple(a / b for a, b in zip(theirs, ours, strict=True))
