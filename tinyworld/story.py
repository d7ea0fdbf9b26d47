"""How a story is told, piece by piece, as a `process.Process`.

Between sentences the next event and its phrasing are chosen; within one, each slot is filled.
Who or what fills a role is drawn when it is first mentioned, evenly from all of its kind that are
not yet in the story, so nothing is hidden that the text has not shown.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from tinyworld.language import Language, capitalise, clear
from tinyworld.lexicon import KINDS, Piece, Slot, world
from tinyworld.plan import Call, Plan, Planner
from tinyworld.process import Option

Bound = Mapping[str, str]
"""From roles to who and what fills them."""


class Node(NamedTuple):
    """How far a story has come.

    `calls` are the events so far, and `plan` what they leave open; `roles` says who and what is
    known to fill them. People and things were mentioned in the sentence `before` and `here`, in
    this one, of which `pieces` are left: none between sentences. `fresh`: nothing is written yet.
    """

    plan: Plan
    calls: tuple[Call, ...]
    roles: Bound
    before: tuple[str, ...]
    here: tuple[str, ...]
    pieces: tuple[Piece, ...]
    fresh: bool


class Sentence(NamedTuple):
    """The move that begins a sentence."""

    call: Call
    plan: Plan
    pieces: tuple[Piece, ...]


class Fill(NamedTuple):
    """The move that writes a piece; `value` fills `role` if it was open."""

    role: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How rich the world is: how many there are of everything, at most, and which plots.

    Containers and foods are as many as `toys`; `adjectives` count for each kind, `phrasings` for
    each event. `connectives` are words such as "then" before a sentence; 0 for plain sentences.
    """

    people: int = 24
    places: int = 16
    toys: int = 28
    adjectives: int = 8
    phrasings: int = 4
    connectives: int = 4
    plots: tuple[str, ...] = tuple(world().plots)


class Teller:
    """Tells stories in one language; satisfies `process.Process`."""

    def __init__(self, language: Language, limits: Limits, *, present: bool = False) -> None:
        """Prepare the plots and the pools that roles are filled from."""
        self.language, self.limits, self.present = language, limits, present
        self.planner = Planner({plot: world().plots[plot] for plot in limits.plots})
        sizes = {"people": limits.people, "places": limits.places}
        self.pools = {
            kind: names[: sizes.get(kind, limits.toys)] for kind, names in world().things.items()
        }
        self.adjectives = {k: names[: limits.adjectives] for k, names in world().adjectives.items()}
        self.start = Node(self.planner.start, (), {}, (), (), (), True)
        self._beginnings = lru_cache(maxsize=None)(self._sentences)

    def options(self, node: Node) -> Sequence[Option]:
        """Return every way to go on."""
        if not node.pieces:
            return self._beginnings(node.plan, self.language.joint if node.calls else "")
        piece = node.pieces[0]
        if isinstance(piece, str):
            return [Option(1.0, piece, Fill("", ""))]
        if piece.role == "then":
            choices = self.language.connectives(self.limits.connectives)
            options = [Option(prob, text, Fill("", "")) for prob, text in choices]
        elif piece.role in node.roles:
            (role, form), name = piece, node.roles[piece.role]
            adjective, known = node.roles.get(f"{role}*", ""), clear(name, node.before + node.here)
            choices = self.language.known(role, form, name, adjective, known)
            options = [Option(prob, text, Fill(role, name)) for prob, text in choices]
        else:
            options = self._introductions(node, piece)
        if node.fresh:
            options = [option._replace(text=capitalise(option.text)) for option in options]
        return options

    def _sentences(self, plan: Plan, joint: str) -> list[Option]:
        """Return the events that may come next, each in each of its phrasings."""
        options = []
        for prob, call, after in self.planner.next(plan):
            ways = self.language.phrasings(call[0], call[1:], self.present)
            ways = ways[: self.limits.phrasings]
            options += [Option(prob / len(ways), joint, Sentence(call, after, way)) for way in ways]
        return options or [Option(1.0, "", None)]

    def _introductions(self, node: Node, slot: Slot) -> list[Option]:
        """Return everything that may fill an open role, evenly; a measure word as its things."""
        (role, form), kind = slot, KINDS[slot.role[0]]
        if role.endswith("*"):
            names: Sequence[str] = self.adjectives[kind]
        else:
            used = set(node.roles.values())
            names = [name for name in self.pools[kind] if name not in used]
        if role.endswith("#"):
            counts = Counter(map(self.language.measure, names))
            return [Option(n / len(names), word, Fill(role, word)) for word, n in counts.items()]
        first, measure = self.language.first, node.roles.get(f"{role}#")
        if measure:
            names = [name for name in names if self.language.measure(name) == measure]
        return [Option(1 / len(names), first(role, form, n), Fill(role, n)) for n in names]

    def advance(self, node: Node, option: Option) -> Node:
        """Return how far the story has come after an option."""
        move: Any = option.move
        if isinstance(move, Sentence):
            calls = (*node.calls, move.call)
            return Node(move.plan, calls, node.roles, node.here, (), move.pieces, True)
        roles, here = node.roles, node.here
        if move.role:
            roles = roles if move.role in roles else {**roles, move.role: move.value}
            if KINDS[move.role[0]] not in ("places", "days") and move.role[-1] not in "*#":
                here = (*here, move.value)
        fresh = node.fresh and not option.text
        return Node(node.plan, node.calls, roles, node.before, here, node.pieces[1:], fresh)


class Retelling(Teller):
    """Tells given events again, in another language, say: only the phrasing is left to chance."""

    def __init__(self, teller: Teller, calls: tuple[Call, ...], roles: Bound) -> None:
        """Take over a teller's language, limits and tense."""
        super().__init__(teller.language, teller.limits, present=teller.present)
        self.calls, self.given = calls, roles

    def options(self, node: Node) -> Sequence[Option]:
        """Return the ways to go on that tell the given events."""
        options = [option for option in super().options(node) if self._agrees(node, option.move)]
        total = sum(option.prob for option in options)
        return [option._replace(prob=option.prob / total) for option in options]

    def _agrees(self, node: Node, move: Any) -> bool:
        if isinstance(move, Sentence):
            return bool(move.call == self.calls[len(node.calls)])
        if move is None or not move.role or move.role in node.roles:
            return True
        if move.role.endswith("#"):
            return bool(move.value == self.language.measure(self.given[move.role[0]]))
        return bool(move.value == self.given[move.role])
