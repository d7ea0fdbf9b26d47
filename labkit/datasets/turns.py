"""Texts of several turns: translations of an interface, and short dialogues, without repeats."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import yaml

from labkit.datasets.registry import DatasetError
from labkit.datasets.split import grouped

CHINESE = re.compile(r"[\u4e00-\u9fff]")
CONTEXT = "\x04"
"""Stands in a catalogue between where a text is used and the text."""


class Turns(NamedTuple):
    """What was said in turn, or one text in two languages; those of one group share words."""

    name: str
    turns: tuple[str, ...]
    group: str


def read_catalogues(files: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Yield the English and the Chinese of translation catalogues, in the order of their names.

    What was left in English is passed over. DatasetError for a file of another form.

    >>> list(read_catalogues({"a": '{"": {}, "Run": ["运行"], "CMake": ["CMake"]}'.encode()}))
    [('Run', '运行')]
    """
    for name, content in sorted(files.items()):
        try:
            entries = json.loads(content)
            told = [
                (key.split(CONTEXT)[-1].strip(), str.strip(said[0]))
                for key, said in entries.items()
                if key
            ]
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            raise DatasetError(
                f"{name}: expected a table of texts and lists of translations, got {error!r}; the "
                "file is not the published one"
            ) from error
        for english, chinese in told:
            if CHINESE.search(chinese) and english:
                yield english, chinese


def read_conversations(files: Mapping[str, bytes]) -> Iterator[tuple[str, ...]]:
    """Yield the conversations of YAML files, in the order of their names; every turn is a text.

    Those with fewer than two turns are passed over. DatasetError for a file of another form.

    >>> list(read_conversations({"a": b"conversations:\\n- - Are you sure?\\n  - No\\n"}))
    [('Are you sure?', 'No')]
    """
    for name, content in sorted(files.items()):
        try:
            # The base loader makes nothing but texts, lists and tables: No is a word, not False.
            told = yaml.load(content, Loader=yaml.BaseLoader)["conversations"]
            turns = [tuple(" ".join(turn.split()) for turn in said) for said in told]
        except (yaml.YAMLError, AttributeError, LookupError, TypeError) as error:
            raise DatasetError(
                f"{name}: expected lists of turns under `conversations`, got {error!r}; the file "
                "is not the published one"
            ) from error
        yield from (said for said in turns if len(said) > 1 and all(said))


def letters(text: str) -> str:
    """Return the letters and digits of a text, small: what makes two texts the same."""
    return re.sub(r"[\W_]+", "", text.lower())


def without_twins(texts: Iterable[tuple[str, ...]]) -> Iterator[Turns]:
    """Yield each text once, in groups of which no two share a first or a last turn.

    Of those that agree in the letters of all turns the first is yielded.

    >>> texts = [("Save", "保存"), ("save!", "保存"), ("Keep", "保存"), ("Run", "运行")]
    >>> [(each.name, each.group) for each in without_twins(texts)]
    [('1', '1'), ('3', '1'), ('4', '4')]
    """
    known: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}
    for number, turns in enumerate(texts, start=1):
        plain = tuple(map(letters, turns))
        if all(plain):
            known.setdefault(plain, (str(number), turns))
    first_of: dict[tuple[int, str], str] = {}
    pairs = [
        (name, first_of.setdefault((end, plain[end]), name))
        for plain, (name, _) in known.items()
        for end in (0, -1)
    ]
    groups = grouped((name for name, _ in known.values()), pairs)
    home = {name: min(group, key=int) for group in groups for name in group}
    yield from (Turns(name, turns, home[name]) for name, turns in known.values())
