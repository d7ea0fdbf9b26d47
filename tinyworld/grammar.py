"""From a sentence back to its event: the grammar of TinyWorld read in the other direction.

A sentence is looked up by its skeleton, which is what is left without the words that can fill a
slot. The few phrasings with that skeleton are then matched in full, and each mention is resolved:
a pronoun means the only one it can mean.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from tinyworld.language import Language, capitalise, clear
from tinyworld.lexicon import KINDS, THINGS, Piece, Slot, world

LONGEST_SENTENCE = 400
THEN = Slot("then", "")
PRONOUN_FORMS: dict[str, tuple[str, ...]] = dict.fromkeys(THINGS, ("", "it"))
PRONOUN_FORMS["people"] = ("", "obj", "poss", "she", "him", "his", "self")
"""For each kind the forms in which a pronoun can stand."""


@dataclass
class Reading:
    """A sentence as one event, whose roles are filled by `names`.

    `adjectives` goes from a thing to the one it is given here; `mentioned` are the people and
    things in order; `fault` is the first mention that cannot be right, and why.
    """

    event: str
    names: dict[str, str] = field(default_factory=dict)
    adjectives: dict[str, str] = field(default_factory=dict)
    mentioned: list[str] = field(default_factory=list)
    fault: tuple[str, tuple[str, ...]] | None = None


class Grammar:
    """All sentences of one language."""

    def __init__(self, language: Language) -> None:
        """Index all phrasings by their skeletons."""
        self.language = language
        table = language.table
        opening, closing = map(re.escape, table["quotes"])
        stops = re.escape(table["full_stops"])
        self._sentence = re.compile(
            rf"(?:{opening}[^{closing}]*{closing}|[^{opening}{stops}])*[{stops}]|[^{stops}]+[{stops}]?",
            re.DOTALL,
        )
        self._connective = re.compile(_any_of(map(capitalise, table["connectives"])))
        phrasings = [
            (name, pieces)
            for name, event in world().events.items()
            for pieces in language.phrasings(name, event.roles, False)
        ]
        slots = {piece for _, pieces in phrasings for piece in pieces if isinstance(piece, Slot)}
        texts = {table["possessive"]}.union(*(self._mentions(*slot) for slot in slots - {THEN}))
        if language.joint:
            words = _any_of({word for text in texts for word in text.lower().split()})
            self._fillers = re.compile(rf"(?<!\w)(?:{words})(?!\w)")
        else:
            self._fillers = re.compile(_any_of(texts))
        self._by_skeleton: dict[str, list[tuple[str, tuple[Piece, ...]]]] = defaultdict(list)
        for name, pieces in phrasings:
            literal = " ".join(piece if isinstance(piece, str) else " " for piece in pieces)
            self._by_skeleton[self.skeleton(literal)].append((name, pieces))

    def sentences(self, text: str) -> Iterator[tuple[int, str]]:
        """Cut a text into sentences, each with its place; direct speech is not cut."""
        for match in self._sentence.finditer(text):
            sentence = match[0].strip()
            if sentence:
                yield match.start() + match[0].index(sentence), sentence

    def skeleton(self, sentence: str) -> str:
        """Return what is left of a sentence without the words that can fill a slot.

        >>> Grammar(Language("en")).skeleton("Mia gave the red kite to him.")
        'gaveto.'
        """
        return re.sub(r"\s+", "", self._fillers.sub(" ", sentence.lower()))

    def readings(self, sentence: str, before: Sequence[str]) -> list[Reading]:
        """Return each event that a sentence can mean after the people and things `before`."""
        if len(sentence) > LONGEST_SENTENCE:
            return []
        found = self._match(sentence, before, connected=False)
        connective = self._connective.match(sentence)
        if connective:
            found += self._match(sentence[connective.end() :], before, connected=True)
        return found

    def _match(self, sentence: str, before: Sequence[str], *, connected: bool) -> list[Reading]:
        found = []
        for event, pieces in self._by_skeleton.get(self.skeleton(sentence), ()):
            pattern, slots = self._compile(pieces)
            match = pattern.fullmatch(sentence)
            if match and (not connected or pieces[0] == THEN):
                fresh = bool(slots) and not connected and match.start(1) == 0
                texts = zip(slots, match.groups(), strict=True)
                reading = self._resolve(event, texts, before, fresh)
                found += [reading] if reading else []
        return found

    @cache  # noqa: B019 (there are two grammars, each kept for good)
    def _compile(self, pieces: tuple[Piece, ...]) -> tuple[re.Pattern[str], list[Slot]]:
        """Return the pattern of a phrasing and the slots that its groups fill."""
        pattern, slots = "", []
        for piece in pieces:
            if isinstance(piece, str):
                pattern += re.escape(piece)
            elif piece != THEN:
                texts = set(self._mentions(piece.role, piece.form))
                texts |= {capitalise(text) for text in texts}
                pattern += f"({_any_of(texts)})"
                slots.append(piece)
        return re.compile(pattern), slots

    @cache  # noqa: B019 (there are two grammars, each kept for good)
    def _mentions(self, role: str, form: str) -> dict[str, tuple[str, str]]:
        """Return every text that can fill a slot, with the name and the adjective it gives.

        A pronoun gives no name: the empty string.
        """
        language, kind = self.language, KINDS[role[0]]
        adjectives = world().adjectives.get(kind, ())
        if role.endswith("*"):
            return {language.first(role, form, word): ("", word) for word in adjectives}
        names = world().things[kind]
        if role.endswith("#"):
            return {language.measure(name): ("", "") for name in names}
        if form == "noun":
            return {language.noun(name): (name, "") for name in names}
        texts = {}
        for name in names:
            for adjective in adjectives or ("",):
                choices = language.known(role, form, name, adjective, clear=False)
                texts[choices[-1][1]] = (name, adjective)
                texts[choices[0][1]] = (name, "")
        if form in PRONOUN_FORMS.get(kind, ()):
            texts |= {language.pronoun(name, form): ("", "") for name in names}
        return texts

    def _resolve(
        self, event: str, texts: Iterable[tuple[Slot, str]], before: Sequence[str], fresh: bool
    ) -> Reading | None:
        """Find out who and what is meant; None if the words do not agree with each other."""
        reading = Reading(event)
        adjective = measure = ""
        for (role, form), text in texts:
            mentions = self._mentions(role, form)
            if fresh:
                mentions = {capitalise(known): mention for known, mention in mentions.items()}
            if text not in mentions:
                return None
            fresh, (name, given) = False, mentions[text]
            if role.endswith("*"):
                adjective = given
            elif role.endswith("#"):
                measure = text
            elif measure and measure != self.language.measure(name):
                return None
            else:
                self._mention(reading, role, name, text, before)
                if given or adjective:
                    reading.adjectives[reading.names[role]] = given or adjective
                adjective = measure = ""
        return reading

    def _mention(
        self, reading: Reading, role: str, name: str, text: str, before: Sequence[str]
    ) -> None:
        """Note a mention in place; a fault where it cannot be right, or means more than one."""
        kind, known, agrees = KINDS[role[0]], reading.names.get(role), True
        if not name:  # a pronoun
            mentioned = [*before, *reading.mentioned]
            fits = {name for name in mentioned if text.lower() in self._pronoun_texts(name)}
            meant = [name for name in fits if clear(name, mentioned)]
            name = known or (meant[0] if len(meant) == 1 else "")
            agrees = text.lower() in self._pronoun_texts(name)
        if not name:
            reading.fault = reading.fault or ("unclear", (text,))
            name = world().things[kind][0]
        elif known not in (None, name) or not agrees:
            reading.fault = reading.fault or ("pronoun", (known or name, text))
        reading.names.setdefault(role, name)
        if kind not in ("places", "days"):
            reading.mentioned.append(name)

    @cache  # noqa: B019 (there are two grammars, each kept for good)
    def _pronoun_texts(self, name: str) -> frozenset[str]:
        return frozenset(self.language.pronoun(name, form) for form in PRONOUN_FORMS["people"])


def _any_of(texts: Iterable[str]) -> str:
    """Return a pattern that matches the longest of some texts."""
    return "|".join(map(re.escape, sorted(texts, key=lambda text: (-len(text), text))))
