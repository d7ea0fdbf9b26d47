"""Pairs of answers that are alike beyond what the task explains: a list to look at, no verdict.

An answer is its set of runs of six tokens, a name being the place where it first came up in a run.
Layout, comments, docstrings and round brackets do not count, nor what the teacher's notebook gives
or a third of the class has; with fewer than `fewest` runs left, an answer says nothing. Renamed
copies share nearly all runs, independent answers up to a third: from 0.6 on a pair is listed.
"""

import builtins
import itertools
import keyword
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from labkit.course.exam import Exam

RUN, LONGEST = 6, 50_000  # tokens in a run, characters that are read of an answer
SOLUTION = re.compile("### BEGIN SOLUTION.*?### END SOLUTION", re.DOTALL)
Sources = Mapping[str, Mapping[str, str]]  # by student and question
KNOWN, IGNORED = {*keyword.kwlist, *dir(builtins)}, {"", *"(),;"}


class Pair(NamedTuple):
    """Two answers to a question: `share` of the runs of the one with fewer, `shared` in number."""

    question: str
    students: tuple[str, str]
    share: float
    shared: int

    def __str__(self) -> str:
        """Say it on one line."""
        return (
            f"{self.question}: {' and '.join(self.students)} share {self.share:.0%} of the shorter "
            f"answer ({self.shared} runs of {RUN} tokens)"
        )


def similar_pairs(answers: Sources, exam: Exam, alike: float = 0.6, fewest: int = 40) -> list[Pair]:
    """Return the pairs of answers whose `share` is `alike` or more, those that share most first."""
    others = [cell for cell in exam.cells if cell.kind == "code" or not cell.is_answer]
    given = set().union(*(_runs(SOLUTION.sub("", c.source), c.kind == "code") for c in others))
    pairs = []
    for asked in exam.questions:
        of = {s: _runs(own.get(asked.id, ""), bool(asked.exercise)) for s, own in answers.items()}
        owners = Counter(itertools.chain.from_iterable(of.values()))
        most = max(3, sum(map(bool, of.values())) / 3)
        common = given | {run for run in owners if owners[run] > most}
        rare = {s: own for s, runs in sorted(of.items()) if len(own := runs - common) >= fewest}
        for (a, mine), (b, theirs) in itertools.combinations(rare.items(), 2):
            shared, least = len(mine & theirs), min(len(mine), len(theirs))
            if shared and shared >= alike * least:
                pairs.append(Pair(asked.id, (a, b), shared / least, shared))
    return sorted(pairs, key=lambda pair: (-pair.shared, pair))


def _runs(text: str, is_code: bool) -> set[tuple[str, ...]]:
    words = re.findall(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+", text[:LONGEST].lower())
    found = list(_tokens(text[:LONGEST])) if is_code else words
    cut = (found[i : i + RUN] for i in range(len(found) - RUN + 1))
    return {tuple(f"${run.index(t)}" if t[0] == "$" else t for t in run) for run in cut}


def _tokens(source: str) -> Iterator[str]:
    line, before = iter(source.splitlines(keepends=True)), ""
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(line.__next__):
            text, kind = token.string, tokenize.tok_name[token.type]
            is_docstring = "STRING" in kind and text == token.line.strip()
            if kind != "COMMENT" and not is_docstring and text.strip() not in IGNORED:
                own = kind == "NAME" and before != "." and text not in KNOWN
                yield f"${text}" if own else '""' if "STRING" in kind else text
                before = text
