"""Whether a text means anything: is it grammatical, does it contradict itself, is it resolved?

The judge reads a text sentence by sentence, turns each into an event, and keeps the world's state.
It knows nothing of plots: any order of events that the world allows is consistent.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache

from tinyworld.grammar import Grammar, Reading
from tinyworld.language import Language
from tinyworld.lexicon import world
from tinyworld.state import Missing, State


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a text."""

    sentence: int
    """Which sentence, counted from 1."""
    position: int
    """Where it begins, in characters."""
    kind: str
    """What is wrong, as named in the table `why`; "spelling" where it is no sentence."""
    reason: str
    """The same in words, in the language of the text."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge found."""

    sentences: int
    """Number of sentences."""
    grammatical: float
    """Share of them that are sentences of this world; 0.0 for a text without any."""
    fault: Fault | None
    """The first fault, of whatever kind; None if there is none."""
    complete: bool
    """Whether a problem arose, none is left, and the story has its last sentence."""
    novel: bool | None
    """Whether the text is not one of the training texts; None if none were given."""
    events: tuple[tuple[str, ...], ...] = field(repr=False)
    """Each grammatical sentence as its event and who or what takes part."""

    @property
    def consistent(self) -> bool:
        """Whether every sentence is grammatical and nothing contradicts what came before."""
        return self.sentences > 0 and self.fault is None


@lru_cache
def grammar(code: str) -> Grammar:
    """Return the grammar of a language, made once."""
    return Grammar(Language(code))


def judge(text: str | bytes, code: str, training: Collection[str] | None = None) -> Verdict:
    """Judge any text whatever; bytes are read as UTF-8, what cannot be read as �."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    rules, state, fault = grammar(code), State(), None
    adjectives: dict[str, str] = {}
    before: list[str] = []
    events, number = [], 0
    for number, (position, sentence) in enumerate(rules.sentences(text), start=1):
        missing, reading = min(
            ((_missing(r, state, adjectives), r) for r in rules.readings(sentence, before)),
            key=lambda found: found[0] is not None,
            default=(("spelling", ()), None),
        )
        if missing and not fault:
            words = _reason(rules.language, state, missing, number, sentence)
            fault = Fault(number, position, missing[0], words)
        before = reading.mentioned if reading else []
        if reading:
            event = world().events[reading.event]
            names = tuple(reading.names[role] for role in event.roles)
            state.happen(event, names)
            adjectives = reading.adjectives | adjectives
            events.append((reading.event, *names))
    return Verdict(
        sentences=number,
        grammatical=len(events) / number if number else 0.0,
        fault=fault,
        complete=state.ended and state.solved > 0 and not state.problems,
        novel=None if training is None else text not in training,
        events=tuple(events),
    )


def _missing(reading: Reading, state: State, adjectives: dict[str, str]) -> Missing | None:
    """Return the first thing about a sentence that does not fit, or None."""
    event = world().events[reading.event]
    missing = reading.fault or state.missing(event, [reading.names[role] for role in event.roles])
    if missing:
        return missing
    for thing, adjective in reading.adjectives.items():
        if adjectives.get(thing, adjective) != adjective:
            return ("adjective", (thing, adjectives[thing], adjective))
    return None


def _reason(language: Language, state: State, missing: Missing, number: int, sentence: str) -> str:
    """Say in words what does not hold in a sentence, and how things are instead."""
    (kind, names), told = missing, language.table["why"]
    words = [_word(language, name) for name in names]
    places = {f"place{i}": _where(language, state, name) for i, name in enumerate(names)}
    text, why = sentence.rstrip(language.table["full_stops"])[:200], told[kind]
    return str(told["sentence"].format(number=number, text=text, why=why.format(*words, **places)))


def _word(language: Language, name: str) -> str:
    """Return the word for a person, a thing, an adjective or a feeling; other text as it is."""
    kind = world().kind_of.get(name)
    if kind is None:
        feelings = language.table["feelings"]
        return str(feelings.get(name) or language.adjective(name).strip())
    return language.noun(name) if kind == "people" else language.place(name, "")


def _where(language: Language, state: State, name: str) -> str:
    where, table = state.at.get(name), language.table["why"]
    if where is None:
        return str(table["unknown"])
    kind = world().kind_of[where]
    if kind == "places":
        return language.place(where, "at")
    held = table["held_by"] if kind == "people" else table["inside"]
    return str(held.format(_word(language, where)))
