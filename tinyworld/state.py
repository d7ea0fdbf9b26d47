"""What is true after each sentence: who is where, who holds what, who feels and believes what.

`State.missing` names the first thing an event needs that does not hold; `State.happen` makes it
happen, in place. The needs and effects of every event stand in `world.toml`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tinyworld.lexicon import THINGS, Event, world

Missing = tuple[str, tuple[str, ...]]
"""What does not hold, and of whom: ("holds", ("mia", "kite"))."""


@dataclass
class State:
    """A moment of the world.

    `at` goes from a person or thing to where it is: a place, the person who holds it, or a
    container; `knows` from (person, thing) to where the person believes it is; `feels` from a
    person to the last feeling. `seen` are all that were mentioned, `problems` whom or what unsolved
    problems are about, and `facts` the rest, such as ("owns", "mia", "kite").
    """

    at: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    feels: dict[str, str] = field(default_factory=dict)
    knows: dict[tuple[str, str], str] = field(default_factory=dict)
    facts: set[tuple[str, ...]] = field(default_factory=set)
    problems: set[str] = field(default_factory=set)
    solved: int = 0
    ended: bool = False

    def copy(self) -> "State":
        """Return a state that can change without changing this one."""
        return copy.deepcopy(self)

    def place(self, name: str) -> str | None:
        """Return the place where somebody or something is, whoever holds it; None if unknown."""
        for _ in self.at:  # as many steps as there can be without a circle
            name = self.at.get(name, name)
        return name if world().kind_of.get(name) == "places" else None

    def missing(self, event: Event, arguments: Sequence[str]) -> Missing | None:
        """Return the first need of an event that does not hold, or None if it can happen."""
        if self.ended:
            return ("over", ())
        twice = next((name for i, name in enumerate(arguments) if name in arguments[:i]), None)
        if twice:
            return ("twice", (twice,))
        given = dict(zip(event.roles, arguments, strict=True))
        for predicate, *roles in event.needs:
            names = tuple(given.get(role, role) for role in roles)
            if predicate in ("is", "not"):
                if (names in self.facts) != (predicate == "is"):
                    return (f"{predicate}_{names[0]}", names[1:])
            elif not NEEDS[predicate](self, *names):
                return (predicate, names)
        return None

    def happen(self, event: Event, arguments: Sequence[str]) -> None:
        """Make an event happen, whether or not it can."""
        given, before = dict(zip(event.roles, arguments, strict=True)), dict(self.at)
        for effect, *roles in event.makes:
            EFFECTS[effect](self, *(given.get(role, role) for role in roles))
        self.seen.update(arguments)
        moved = [name for name in arguments if self.at.get(name) != before.get(name)]
        for thing in () if event.unseen else moved:  # who is there knows where it is now
            where = self.place(thing)
            if world().kind_of[thing] in THINGS and where is not None:
                for person in world().things["people"]:
                    if person in self.at and self.place(person) == where:
                        self.knows[person, thing] = self.at[thing]

    def put(self, name: str, where: str) -> None:
        """Put somebody or something somewhere."""
        self.at[name] = where
        if world().kind_of[where] == "places":
            self.facts.add(("been", name, where))

    def join(self, name: str, other: str) -> None:
        """Put somebody or something where somebody else is."""
        where = self.place(other)
        if where is not None:
            self.put(name, where)

    def solve(self, name: str) -> None:
        """Solve the problem about somebody or something, if there is one."""
        self.solved += name in self.problems
        self.problems.discard(name)


def _same_place(state: State, a: str, b: str) -> bool:
    return state.place(a) is not None and state.place(a) == state.place(b)


def _near(state: State, person: str, thing: str) -> bool:
    """Tell whether a thing is where a person is and nobody holds it."""
    free = world().kind_of.get(state.at.get(thing, "")) != "people"
    return free and _same_place(state, person, thing)


NEEDS: dict[str, Callable[..., bool]] = {
    "new": lambda s, a: a not in s.seen,
    "placed": lambda s, a: s.place(a) is not None,
    "placeless": lambda s, a: s.place(a) is None,
    "away": lambda s, a, place: s.place(a) not in (None, place),
    "together": _same_place,
    "holds": lambda s, a, x: s.at.get(x) == a,
    "lacks": lambda s, a, x: s.at.get(x) != a,
    "near": _near,
    "around": _same_place,
    "apart": lambda s, a, x: not _same_place(s, a, x),
    "in": lambda s, x, k: s.at.get(x) == k,
    "out": lambda s, x, k: s.at.get(x) != k,
    "thinks": lambda s, a, x, where: s.knows.get((a, x)) == where,
    "feels": lambda s, a, how: s.feels.get(a) == how,
    "nowhere": lambda s, x: s.place(x) is None,
}
"""What an event may need, besides facts."""

EFFECTS: dict[str, Callable[..., object]] = {
    "put": State.put,
    "join": State.join,
    "drop": lambda s, x: s.join(x, x),
    "gone": lambda s, x: s.at.pop(x, None),
    "feel": lambda s, a, how: s.feels.update({a: how}),
    "fact": lambda s, *fact: s.facts.add(fact),
    "unfact": lambda s, *fact: s.facts.discard(fact),
    "open": lambda s, a: s.problems.add(a),
    "solve": State.solve,
    "learn": lambda s, a, x, where: s.knows.update({(a, x): where}),
    "forget": lambda s, a, x: s.knows.pop((a, x), None),
    "end": lambda s: setattr(s, "ended", True),
}
"""What an event may change."""
