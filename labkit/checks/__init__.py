"""Exercises that check themselves, and are checked by the answers that must fail.

An answer cell ends with `counts = check.counts(my_counts)`: the check says how the learner's
function does and returns the one to go on with, the learner's if it passes and the reference if
not. The locked cell below calls `check.counts.grade(my_counts)`, which looks only at the learner's
function, tries it on cases of another seed, and returns the points.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.notebook import compare

Cases = Callable[[np.random.Generator], Iterator[tuple[Any, ...]]]

Judge = Callable[[tuple[Any, ...], Any], "Mark"]

VISIBLE_SEED = 0
GRADING_SEED = 1
NOT_BOOLEAN = (
    "the right places, but as numbers: expected true and false, with which ~ and [] do what is "
    "meant. Is the `dtype` bool?"
)


@dataclass(frozen=True)
class Mark:
    """What one case earned."""

    share: float
    """From 0, wrong, to 1, right."""
    text: str = ""
    """What is wrong, with both values; empty where nothing is."""


@dataclass(frozen=True)
class Report:
    """What a check found."""

    passed: bool
    """Whether every case agreed with the reference."""
    text: str
    """One sentence for the learner."""
    points: float = 0
    """What the answer earns."""


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A function to write, with a reference, a generator of cases, and answers that must fail."""

    name: str
    """What the learner's function is called, such as "my_counts"."""
    points: int
    """What a right answer earns."""
    reference: Callable[..., Any]
    """A right answer, with which the chapter goes on when the learner's is not."""
    cases: Cases
    """From a random generator to tuples of arguments."""
    wrong: tuple[Callable[..., Any], ...]
    """Answers with a typical mistake each, that earn nothing; a test sees that every one fails."""
    partly: tuple[tuple[Callable[..., Any], float], ...] = ()
    """Answers that are right in part, with the points that each earns."""
    tolerance: float = 0.0
    """Largest absolute difference from the reference that still counts as right."""
    partial: bool = False
    """Whether every case earns its share, in half points, instead of all or nothing."""
    judge: Judge | None = None
    """For questions with many right answers: from a case and what came to a mark. The last element
    of each case is then the judge's, and no argument of the function."""
    expected: str = ""
    """In words, what a right answer gives back; feedback quotes it."""
    withheld: tuple[str, ...] = ()
    """labkit's own answers to the question, such as "labkit.functional.attend": not to be had
    while a teacher grades."""

    def __call__(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Print how an answer does on the visible cases; return the function to go on with."""
        report = self.report(answer, VISIBLE_SEED)
        print(report.text if report.passed else f"{report.text} The chapter goes on with ours.")
        return answer if report.passed else self.reference

    def passes(self, answer: Callable[..., Any], seed: int) -> bool:
        """Tell whether an answer agrees with the reference on all cases of a seed."""
        return self.report(answer, seed).passed

    def grade(self, answer: Callable[..., Any], seed: int = GRADING_SEED) -> float:
        """Return the points an answer earns on the cases of a seed, and print them."""
        points = self.report(answer, seed).points
        print(f"{self.name}: {points:g} of {self.points} points")
        return points

    def arguments(self, case: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what the function gets of a case, in copies of its own."""
        return copy.deepcopy(case[:-1] if self.judge else case)

    def mark(self, case: tuple[Any, ...], got: Any) -> Mark:
        """Judge what came back for a case."""
        if self.judge:
            return self.judge(case, got)
        expected = self.reference(*self.arguments(case))
        if got is None and expected is not None:
            return Mark(0, "returned None: is there a `return`?")
        if isinstance(got, tuple) and isinstance(expected, list):
            got = list(got)  # of texts, compare would tell them apart
        difference = compare(got, expected)
        if difference.within(self.tolerance):
            numbers = _is_mask(expected) and not _is_mask(got)
            return Mark(0, NOT_BOOLEAN) if numbers else Mark(1)
        called = f"{self.name}({', '.join(map(_brief, self.arguments(case)))})"
        return Mark(0, f"not yet. In {called}, yours ≠ ours: {difference.where}.")

    def earned(self, marks: Sequence[Mark]) -> float:
        """Return the points that the marks of all cases earn together."""
        share = sum(mark.share for mark in marks) / max(len(marks), 1)
        if not self.partial:
            return self.points if share == 1 else 0
        return math.floor(2 * self.points * share + 1e-9) / 2

    def report(self, answer: Callable[..., Any], seed: int) -> Report:
        """Try an answer on the cases of a seed and tell of the first that is not right."""
        marks = []
        for case in self.cases(np.random.default_rng(seed)):
            marks.append(self._try(answer, case))
            if marks[-1].share < 1 and not self.partial:
                break
        wrong = [mark.text for mark in marks if mark.share < 1]
        if wrong or not marks:
            text = wrong[0] if wrong else "nothing was tried."
            return Report(False, f"{self.name}: {text}", self.earned(marks))
        exact = self.tolerance == 0 and not self.judge
        level = "exact" if exact else f"within {self.tolerance:g} of ours"
        text = "right" if self.judge else level
        return Report(True, f"{self.name}: {text} in all {len(marks)} cases.", self.points)

    def _try(self, answer: Callable[..., Any], case: tuple[Any, ...]) -> Mark:
        """Return what an answer earns on one case."""
        arguments = self.arguments(case)
        try:
            got = answer(*arguments)
        except NotImplementedError:
            return Mark(0, "not written yet.")
        except Exception as error:  # whatever a learner's code raises is reported, never passed on
            given = _brief(self.arguments(case))
            return Mark(0, f"{type(error).__name__}: {error}, in a call with {given}.")
        return self.mark(case, got)


def _is_mask(value: Any) -> bool:
    """Tell whether something is an array or a tensor of truth values, or lists that make one."""
    array = value if hasattr(value, "dtype") else np.asarray(value)
    return array.ndim > 0 and "bool" in str(array.dtype)


def _brief(value: Any) -> str:
    """Show an argument on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 70 else f"{text[:67]}…"
