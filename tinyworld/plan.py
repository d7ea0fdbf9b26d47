"""Which events a story may go on with, and how likely each is, given the events so far.

A plot is a list of beats. All plots and their variants are followed at once: what the events so far
leave open is a `Plan`, a small set of places in plots with their probabilities. So a plot is only
settled by the event in which it differs from the others, and an event sequence has one derivation.
"""

from collections import defaultdict
from functools import lru_cache
from typing import NamedTuple

Call = tuple[str, ...]
"""An event and the roles it is called with, such as ("go", "A", "Q")."""


class Place(NamedTuple):
    """A place in a variant of a plot, and how probable it is that the story is there."""

    plot: str
    variant: int
    beat: int
    prob: float


Plan = tuple[Place, ...]


class Beat(NamedTuple):
    """What may happen at one place of a plot: with probability `share` one of equal `calls`."""

    calls: tuple[Call, ...]
    share: float


def parse_beat(text: str) -> Beat:
    """Read one beat.

    >>> parse_beat("thank A B | happy A ? 0.7")
    Beat(calls=(('thank', 'A', 'B'), ('happy', 'A')), share=0.7)
    """
    alternatives, _, share = text.partition("?")
    calls = tuple(tuple(call.split()) for call in alternatives.split("|"))
    return Beat(calls, float(share) if share else 1.0)


class Planner:
    """The plots of a world, followed together."""

    def __init__(self, plots: dict[str, list[list[str]]]) -> None:
        """Take the plots, equally likely, each a list of equally likely variants.

        Raises ValueError for a variant that need not end, its last beat being optional.
        """
        self.beats = {
            (plot, i): [parse_beat(beat) for beat in variant]
            for plot, variants in plots.items()
            for i, variant in enumerate(variants)
        }
        for name, beats in self.beats.items():
            if beats[-1].share != 1:
                raise ValueError(f"expected a last beat that always happens, got {name}")
        self.start: Plan = tuple(
            Place(plot, i, 0, 1 / len(plots) / len(plots[plot])) for plot, i in self.beats
        )
        self.next = lru_cache(maxsize=None)(self._next)

    def _next(self, plan: Plan) -> tuple[tuple[float, Call, Plan], ...]:
        """Return (probability, event, plan after it) for each event that may come next.

        Empty when the story is over.
        """
        found: dict[Call, dict[tuple[str, int, int], float]]
        found = defaultdict(lambda: defaultdict(float))
        for plot, variant, beat, reached in plan:
            prob, ahead = reached, self.beats[plot, variant][beat:]
            for after, (calls, share) in enumerate(ahead, start=beat + 1):
                for call in calls:
                    found[call][plot, variant, after] += prob * share / len(calls)
                prob *= 1 - share
                if not prob:
                    break
        options = []
        for call, places in found.items():
            mass = sum(places.values())
            plan = tuple(Place(*place, prob / mass) for place, prob in places.items())
            options.append((mass, call, plan))
        return tuple(options)
