"""Whose is it? Find students by what a file or a folder is called, and never guess.

A name means a student if it is the id, the email address or what stands before its @, or the full
name in any order, whatever the case, accents, spaces and punctuation. Beside it may stand the name
of the assignment and the number of a copy. A long id with a digit may stand among any words, while
a short one could be somebody's given name, or just a number.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import permutations
from pathlib import PurePosixPath

from labkit.course.settings import Student

# The numbers are the platform's own, and what follows them was chosen by the student.
MOODLE = re.compile(r"(?P<key>(?P<who>.+?)_\d+)_assignsubmission_[a-z]+(_(?P<file>.*))?", re.S)
CANVAS = re.compile(
    r"(?P<key>(?P<who>(LATE_)?anon_[^_]+|.+?(?=(_LATE)?_\d+_\d+_))(_LATE)?(_\d+)?)_\d+_(?P<file>.+)",
    re.S,
)
WORD = re.compile(r"[\u3400-\u9fff]+|[^\W_\u3400-\u9fff]+")
"""Chinese names and numbers are often written without a space in between."""
COPY = re.compile(r"(.+?)([ _]?\(\d{1,2}\)|-\d{1,2})", re.S)
"""What a browser or a file manager appends where a name is taken."""
LONG_ID, MOST_ORDERED = 6, 5
"""Letters of a long id; words of a name that may stand in any order."""
Words = tuple[str, ...]


def name_words(text: str) -> Words:
    """Return the words of a name, without case and accents.

    >>> name_words("Lovelace, Zoë_2"), name_words("2024010101王小明")
    (('lovelace', 'zoe', '2'), ('2024010101', '王小明'))
    """
    letters = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return tuple(WORD.findall(plain.casefold()))


def without(spoken: Words, phrases: Collection[Words]) -> Words:
    """Leave out the first occurrence of each of some phrases, longer ones first."""
    for phrase in sorted(filter(None, phrases), key=len, reverse=True):
        for at in range(len(spoken) - len(phrase) + 1):
            if spoken[at : at + len(phrase)] == phrase:
                spoken = spoken[:at] + spoken[at + len(phrase) :]
                break
    return spoken


def platform(parts: tuple[str, ...]) -> re.Match[str] | None:
    """Take apart the name that Moodle or Canvas gave to a file or to the folder it is in."""
    in_canvas = CANVAS.fullmatch(parts[0]) if len(parts) == 1 else None
    return MOODLE.fullmatch(parts[0]) or in_canvas


def _orders(name: Words) -> set[str]:
    orders = permutations(name) if len(name) <= MOST_ORDERED else [name]
    return {"".join(order) for order in orders}


class Names:
    """What the students of a roster may be called, beside what an assignment may be called."""

    def __init__(self, roster: Iterable[Student], titles: Collection[Words] = ()) -> None:
        """Learn the names of a roster."""
        self.meant: dict[Words | str, set[str]] = defaultdict(set)
        self.long: set[Words] = set()
        self.titles = titles
        for student in roster:
            for text in (student.id, student.email, student.email.split("@")[0]):
                self.meant[name_words(text)].add(student.id)
            for name in _orders(name_words(student.name)):
                self.meant[name].add(student.id)
            if len(student.id) >= LONG_ID and re.search(r"\d", student.id):
                self.long.add(name_words(student.id))

    def of(self, parts: tuple[str, ...]) -> set[str]:
        """Return whose a file may be, by what stands first: the rest was chosen by a student."""
        if given := platform(parts):
            return self.who(given["who"], ())
        return self.who(parts[0] if len(parts) > 1 else PurePosixPath(parts[0]).stem)

    def who(self, label: str, titles: Collection[Words] | None = None) -> set[str]:
        """Return the ids of all whom a name may mean.

        >>> names = Names([Student("ada", "Ada Lovelace"), Student("b", "Ada", "lovelace@x.org")])
        >>> sorted(names.who("Lovelace, Ada")), sorted(names.who("ADA-2")), names.who("Ada King")
        (['ada'], ['ada', 'b'], set())
        """
        spare = self.titles if titles is None else titles
        copied = COPY.fullmatch(label)
        rest = without(name_words(copied[1] if copied else label), spare)
        if not rest:  # the number of a copy is nobody's id
            return set()
        if found := self._all(rest, name_words(label), without(name_words(label), spare)):
            return found
        text = f" {' '.join(rest)} "
        ids = [phrase for phrase in self.long if f" {' '.join(phrase)} " in text]
        return self._all(*ids, without(rest, ids))

    def _all(self, *readings: Words) -> set[str]:
        """Return whom any of some readings means: by id or email word for word, by name joined."""
        spoken = [reading for reading in readings if reading]  # nothing is nobody's email or name
        keys = set[Words | str](spoken).union(*map(_orders, spoken))
        return set[str]().union(*(self.meant.get(key, set()) for key in keys))
