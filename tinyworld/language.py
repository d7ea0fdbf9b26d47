"""The words for people, places and things in one language, and when a pronoun is clear enough."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from tinyworld.lexicon import KINDS, LANGUAGES, Piece, compile_phrasing, read_table, world

PRONOUN_SHARE = 0.7
FULL_SHARE = 0.3
FORCED = {"she", "him", "his", "self"}
"""Pronouns for somebody named earlier in the same sentence."""
Choices = list[tuple[float, str]]
"""Ways to say one thing, with their probabilities."""


class Language:
    """How TinyWorld speaks in one language."""

    def __init__(self, code: str) -> None:
        """Read the tables of a language; raise ValueError for one there is none of."""
        if code not in LANGUAGES:
            raise ValueError(f"expected one of the languages {sorted(LANGUAGES)}, got {code!r}")
        self.table: dict[str, Any] = read_table(LANGUAGES[code])
        places = {name: noun for name, (noun, _) in self.table["places"].items()}
        self.nouns: dict[str, str] = self.table["nouns"] | self.table["people"] | places
        self.joint: str = self.table["joint"]
        self.measured = bool(self.table["measures"])

    @cache  # noqa: B019 (there are two languages, each kept for good)
    def phrasings(
        self, event: str, roles: tuple[str, ...], present: bool
    ) -> tuple[tuple[Piece, ...], ...]:
        """Return the ways to say an event, cut into pieces, for the roles it is called with."""
        called = dict(zip(world().events[event].roles, roles, strict=True))
        return tuple(
            compile_phrasing(
                re.sub(r"(?<=\{)\w", lambda role: called.get(role[0], role[0]), text),
                present=present,
                measured=self.measured,
            )
            for text in self.table["say"][event]
        )

    def connectives(self, n: int) -> Choices:
        """Return what may begin a sentence: nothing, or one of the first n connectives."""
        words = self.table["connectives"][:n]
        share = self.table["connective_share"] if words else 0.0
        return [(1 - share, ""), *((share / len(words), word) for word in words)]

    def noun(self, name: str) -> str:
        """Return the word for a person, place, thing or time of day."""
        return self.nouns.get(name, name)

    def adjective(self, name: str) -> str:
        """Return the word for an adjective, ready to stand before a noun."""
        return str(self.table["adjectives"].get(name, name) + self.table["between"])

    def measure(self, name: str) -> str:
        """Return one thing's number and measure word, as in 一只."""
        return "一" + str(self.table["measures"].get(name, "个"))

    def pronoun(self, name: str, form: str) -> str:
        """Return a pronoun, for a person in one of its forms; the empty form is the subject."""
        gender = _gender(name)
        return str(self.table["pronouns"][gender][form or "plain"] if gender else self.table["it"])

    def person(self, name: str, form: str, clear: bool) -> Choices:
        """Return the ways to mention somebody; a pronoun only where it is `clear` who is meant."""
        if form in FORCED:
            return [(1.0, self.pronoun(name, form))]
        full = self.noun(name) + (self.table["possessive"] if form in ("poss", "s") else "")
        if not clear or form in ("name", "s"):
            return [(1.0, full)]
        return [(PRONOUN_SHARE, self.pronoun(name, form)), (1 - PRONOUN_SHARE, full)]

    def thing(self, name: str, adjective: str, form: str, clear: bool) -> Choices:
        """Return the ways to mention a thing that is known already."""
        it, noun = self.table["it"], self.noun(name)
        if form == "it":
            return [(1.0, it)]
        the = "" if form == "bare" else self.table["definite"]
        share = 1 - PRONOUN_SHARE if clear and not form else 1.0
        full = the + self.adjective(adjective) + noun
        choices = [(share * (1 - FULL_SHARE), the + noun), (share * FULL_SHARE, full)]
        return choices if share == 1.0 else [(PRONOUN_SHARE, it), *choices]

    def place(self, name: str, form: str) -> str:
        """Return a place, or the words for being there."""
        if form == "at":
            return str(self.table["places"][name][1])
        return str(self.table["definite"]) + self.noun(name)

    def known(self, role: str, form: str, name: str, adjective: str, clear: bool) -> Choices:
        """Return the ways to mention what fills a role and was mentioned before."""
        if role[-1] in "*#":
            return [(1.0, self.first(role, form, name))]
        kind = KINDS[role[0]]
        if kind == "people":
            return self.person(name, form, clear)
        if kind == "places":
            return [(1.0, self.place(name, form))]
        if kind == "days":
            noun = self.noun(name)
            return [(1 - FULL_SHARE, noun), (FULL_SHARE, self.adjective(adjective) + noun)]
        return self.thing(name, adjective, form, clear)

    def first(self, role: str, form: str, name: str) -> str:
        """Return the words that mention what fills a role for the first time."""
        kind, word = KINDS[role[0]], self.adjective(name)
        if role.endswith("*"):
            article = "" if form != "a" else "an " if word[0] in "aeiou" else "a "
            return article + word
        if kind == "people":
            return self.person(name, form, clear=False)[0][1]
        return self.place(name, form) if kind == "places" else self.noun(name)


def clear(name: str, mentioned: Sequence[str]) -> bool:
    """Tell whether a pronoun can only mean `name` after the given people and things.

    >>> clear("mia", ["mia", "ben"]), clear("mia", ["mia", "anna"])
    (True, False)
    """
    return {other for other in mentioned if _gender(other) == _gender(name)} == {name}


def _gender(name: str) -> str:
    """Return the gender of a person, nothing for a thing; one pronoun means all of the same."""
    if world().kind_of.get(name) != "people":
        return ""
    return "girls" if name in world().girls else "boys"


def capitalise(text: str) -> str:
    """Write the first letter as a capital."""
    return text[:1].upper() + text[1:]
