"""Exercises that check themselves, and are checked by the answers that must fail.

An answer cell ends with `counts = check.counts(my_counts)`: the check says how the learner's
function does and returns the one to go on with, the learner's if it passes and the reference if
not. The locked cell below calls `check.counts.grade(my_counts)`, which looks only at the learner's
function, tries it on cases of another seed, and returns the points.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.notebook import Difference, compare

Cases = Callable[[np.random.Generator], Iterator[tuple[Any, ...]]]

VISIBLE_SEED = 0
GRADING_SEED = 1


@dataclass(frozen=True)
class Report:
    """What a check found."""

    passed: bool
    """Whether every case agreed with the reference."""
    text: str
    """One sentence for the learner."""


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A function to write, with a reference, a generator of cases, and answers that must fail."""

    name: str
    """What the learner's function is called, such as "my_counts"."""
    points: int
    """What a right answer earns; there are no half points."""
    reference: Callable[..., Any]
    """A right answer, with which the chapter goes on when the learner's is not."""
    cases: Cases
    """From a random generator to tuples of arguments."""
    wrong: tuple[Callable[..., Any], ...]
    """Answers with a typical mistake each; a test sees that every one fails."""
    tolerance: float = 0.0
    """Largest absolute difference from the reference that still counts as right."""

    def __call__(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """Print how an answer does on the visible cases; return the function to go on with."""
        report = self.report(answer, VISIBLE_SEED)
        print(report.text if report.passed else f"{report.text} The chapter goes on with ours.")
        return answer if report.passed else self.reference

    def passes(self, answer: Callable[..., Any], seed: int) -> bool:
        """Tell whether an answer agrees with the reference on all cases of a seed."""
        return self.report(answer, seed).passed

    def grade(self, answer: Callable[..., Any], seed: int = GRADING_SEED) -> int:
        """Return the points an answer earns on the cases of a seed, and print them."""
        report = self.report(answer, seed)
        points = self.points if report.passed else 0
        print(f"{self.name}: {points} of {self.points} points")
        return points

    def report(self, answer: Callable[..., Any], seed: int) -> Report:
        """Compare an answer with the reference, case by case, up to the first that differs."""
        worst, n_cases = 0.0, 0
        for arguments in self.cases(np.random.default_rng(seed)):
            difference = self._try(answer, arguments)
            if isinstance(difference, str):
                return Report(False, f"{self.name}: {difference}")
            if not difference.within(self.tolerance):
                called = f"{self.name}({', '.join(map(_brief, arguments))})"
                return Report(
                    False, f"{self.name}: not yet. In {called}, yours ≠ ours: {difference.where}."
                )
            worst, n_cases = max(worst, difference.largest), n_cases + 1
        level = "exact" if self.tolerance == 0 else f"within {self.tolerance:g} of ours"
        return Report(n_cases > 0, f"{self.name}: {level} in all {n_cases} cases.")

    def _try(self, answer: Callable[..., Any], arguments: tuple[Any, ...]) -> Difference | str:
        """Return the difference on one case, or a sentence where there is none to compute."""
        expected = self.reference(*copy.deepcopy(arguments))
        try:
            got = answer(*copy.deepcopy(arguments))
        except NotImplementedError:
            return "not written yet."
        except Exception as error:  # whatever a learner's code raises is reported, never passed on
            return f"{type(error).__name__}: {error}, in a call with {_brief(arguments)}."
        if got is None and expected is not None:
            return "returned None: is there a `return`?"
        return compare(got, expected)


def _brief(value: Any) -> str:
    """Show an argument on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 70 else f"{text[:67]}…"
