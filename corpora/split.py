"""Splitting documents into train, val and test, and finding documents that share text.

The split is by document and needs no random number generator: documents are ordered by the sha256
of "seed:name", which is a shuffle that no library version and no order on disk can change.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Unit:
    """Documents that stay in one split because they share text (mostly there is only one).

    `names` are sorted; `size` is their length in characters, `alphabet` the distinct ones;
    `counted` of them count towards the least number of documents.
    """

    names: tuple[str, ...]
    size: int
    counted: int
    alphabet: frozenset[str]


def split(units: Sequence[Unit], seed: int, least: int = 4) -> dict[str, tuple[str, ...]]:
    """Return the document names of `train`, `val` and `test`, each sorted.

    Units are shuffled by `seed`; test, then val, takes units from the front until it holds a tenth
    of the characters and `least` counted documents. A unit is passed over when the documents left
    would lack one of its characters, so train always holds the whole alphabet. ValueError when the
    units run out.
    """
    waiting = sorted(units, key=lambda unit: _shuffled(seed, unit.names[0]))
    goal = 0.1 * sum(unit.size for unit in units)
    held_out: dict[str, tuple[str, ...]] = {}
    for part in ("test", "val"):
        taken: list[Unit] = []
        for unit in tuple(waiting):
            if sum(u.size for u in taken) >= goal and sum(u.counted for u in taken) >= least:
                break
            rest = [other for other in waiting if other is not unit]
            if unit.alphabet <= frozenset().union(*(other.alphabet for other in rest)):
                taken.append(unit)
                waiting = rest
        else:
            raise ValueError(
                f"{part}: expected {least} documents to hold out of {len(units)} units"
            )
        held_out[part] = _names(taken)
    return {"train": _names(waiting), "val": held_out["val"], "test": held_out["test"]}


def part_of(group: str, seed: int) -> str:
    """Return the split of one of many short texts: a fifth is test, a tenth val, by its sha256."""
    share = int(_shuffled(seed, group)[:8], base=16) / 16**8
    return "test" if share < 0.2 else "val" if share < 0.3 else "train"


def _shuffled(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _names(units: Iterable[Unit]) -> tuple[str, ...]:
    return tuple(sorted(name for unit in units for name in unit.names))


def shared(texts: Mapping[str, str], run: int = 10) -> dict[tuple[str, str], float]:
    """Return, for each pair of texts, the part of the shorter one's word runs found in the other.

    Case and punctuation are ignored; pairs that share nothing are left out.

    >>> shared({"a": "to be or not to be", "b": "To be, or not?"}, run=2)
    {('a', 'b'): 1.0}
    """
    runs = {name: _runs(text, run) for name, text in sorted(texts.items())}
    return {
        (first, second): len(common) / min(len(runs[first]), len(runs[second]))
        for first, second in combinations(runs, 2)
        if (common := runs[first] & runs[second])
    }


def _runs(text: str, run: int) -> set[tuple[str, ...]]:
    words = re.findall(r"[\w']+", text.lower())
    return {tuple(words[i : i + run]) for i in range(len(words) - run + 1)}


def grouped(names: Iterable[str], pairs: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the names in groups that join all `pairs`, each group sorted.

    >>> grouped("abcd", [("a", "c"), ("c", "d")])
    [('a', 'c', 'd'), ('b',)]
    """
    group = {name: {name} for name in names}
    for first, *others in pairs:
        for other in others:
            joined = group[first] | group[other]
            group.update(dict.fromkeys(joined, joined))
    return sorted({tuple(sorted(members)) for members in group.values()})
