"""Short texts that people judged: reading two published collections, and leaving out repeats."""

import html
import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from corpora.registry import DatasetError


class Judged(NamedTuple):
    """A text and what people said of it: above 0 is praise, below 0 complaint."""

    name: str
    text: str
    label: float


def read_ratings(table: bytes) -> Iterator[Judged]:
    r"""Yield the lines of a table in UTF-8: name, mean rating and text, with tabs between.

    Raises DatasetError for a line of another form.

    >>> list(read_ratings(b"7_1\t-1.5\tBad &amp; dull\r\n"))
    [Judged(name='7_1', text='Bad & dull', label=-1.5)]
    """
    for number, line in _lines(table):
        try:
            name, rating, text = line.split("\t")
            label = float(rating)
        except ValueError:
            label = math.nan
        if not abs(label) <= 4:
            raise DatasetError(
                f"line {number}: expected name, tab, rating from -4 to 4, tab, text, got "
                f"{line[:60]!r}; the file is not the published one"
            )
        yield Judged(name, html.unescape(html.unescape(text)).strip(), label)


def read_lines(file: str, content: bytes, label: float) -> Iterator[Judged]:
    """Yield the lines of a file in UTF-8, all with one label, under names such as `pos-12`."""
    yield from (Judged(f"{file}-{number}", line, label) for number, line in _lines(content))


def _lines(content: bytes) -> list[tuple[int, str]]:
    """Return the lines that are not blank, counted from 1."""
    lines = enumerate(content.decode("utf-8").split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def without_repeats(texts: Iterable[Judged], run: int) -> Iterator[Judged]:
    """Yield the texts that share no `run` letters in a row with a text that was yielded before.

    Only letters and digits count, small or capital. Of shorter texts, equal ones are repeats. Left
    out are also texts without a letter, and those that were praised once and blamed once.

    >>> calls = ["A dull film!", "a DULL film", "So-so.", "so so", "Fine.", "A dull filming of it"]
    >>> marks = [-1, -2, 1, -1, 2, -1]
    >>> texts = [Judged("", *pair) for pair in zip(calls, marks)]
    >>> [text.text for text in without_repeats(texts, run=9)]
    ['A dull film!', 'Fine.']
    """
    plain = [(re.sub(r"[\W_]+", "", text.text.lower()), text) for text in texts]
    praised, blamed = ({p for p, t in plain if sign * t.label > 0} for sign in (1, -1))
    seen, refused = set[str](), {"", *(praised & blamed)}
    for letters, text in plain:
        runs = {letters[i : i + run] for i in range(max(1, len(letters) - run + 1))}
        if letters not in refused and seen.isdisjoint(runs):
            seen |= runs
            yield text
