"""The tables of TinyWorld: who and what there is, what can happen, and the words for it.

They are read from `world.toml`, `english.toml` and `chinese.toml` beside this file.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent
LANGUAGES = {"en": "english", "zh": "chinese"}
KINDS = dict.fromkeys("ABC", "people") | dict.fromkeys("PQRS", "places")
KINDS |= dict.fromkeys("XY", "toys") | dict.fromkeys("KL", "containers")
KINDS |= {"F": "foods", "D": "days"}
"""From the first letter of a role to what fills it."""
THINGS = ("toys", "containers", "foods")
SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
TENSES = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")


class Slot(NamedTuple):
    """A gap in a sentence."""

    role: str
    """Which role fills it; "X*" is the adjective of X, "X#" its measure word."""
    form: str
    """How it is said, such as "obj"; empty for the plainest way."""


Piece = str | Slot


@dataclass(frozen=True)
class Event:
    """A kind of event: who takes part, what must hold before, and what holds afterwards."""

    name: str
    roles: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    makes: tuple[tuple[str, ...], ...]
    unseen: bool


@dataclass(frozen=True)
class World:
    """What there is and what can happen, whatever the language.

    `things` and `adjectives` go from a kind to names, `kind_of` back. People who are not `girls`
    are boys. A plot has variants, each a list of beats.
    """

    things: dict[str, tuple[str, ...]]
    adjectives: dict[str, tuple[str, ...]]
    kind_of: dict[str, str]
    girls: frozenset[str]
    events: dict[str, Event]
    plots: dict[str, list[list[str]]]


@lru_cache
def read_table(name: str) -> dict[str, Any]:
    """Read one of the tables beside this file."""
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


@lru_cache
def world() -> World:
    """Return the world."""
    table = read_table("world")
    things = {kind: tuple(names.split()) for kind, names in table["things"].items()}
    pairs = zip(things["girls"], things["boys"], strict=True)  # a few people are of both kinds
    people = tuple(name for pair in pairs for name in pair)
    things = {"people": people} | {k: v for k, v in things.items() if k not in ("girls", "boys")}
    events = {
        name: Event(
            name,
            tuple(event["roles"].split()),
            tuple(tuple(need.split()) for need in event["needs"]),
            tuple(tuple(effect.split()) for effect in event["makes"]),
            event.get("unseen", False),
        )
        for name, event in table["events"].items()
    }
    return World(
        things,
        {kind: tuple(words.split()) for kind, words in table["adjectives"].items()},
        {name: kind for kind, names in things.items() for name in names},
        frozenset(table["things"]["girls"].split()),
        events,
        table["plots"],
    )


def compile_phrasing(text: str, *, present: bool, measured: bool) -> tuple[Piece, ...]:
    """Cut a phrasing into literal text and slots; a first mention becomes several slots.

    >>> compile_phrasing("{A} [had|has] {X.new}.", present=False, measured=False)
    (Slot(role='A', form=''), ' had ', Slot(role='X*', form='a'), Slot(role='X', form='noun'), '.')
    """
    literal, *rest = SLOT.split(TENSES.sub(r"\2" if present else r"\1", text))
    pieces: list[Piece] = [literal]
    for role, form, after in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        pieces += [*_expand(role, form or "", measured), after]
    return tuple(piece for piece in pieces if piece)


def _expand(role: str, form: str, measured: bool) -> list[Slot]:
    if form not in ("new", "own", "a"):
        return [Slot(role, form)]
    slots = [Slot(f"{role}*", "a" if form == "a" or (form == "new" and role != "D") else "")]
    if measured and form == "new" and role != "D":
        slots = [Slot(f"{role}#", ""), Slot(f"{role}*", "")]
    return [*slots, Slot(role, "noun")]
