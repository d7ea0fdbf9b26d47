"""Answers that students might hand in, as texts and as functions.

`tests/course/right/` holds right ones and `tests/course/lazy/` those that let labkit do the work,
a file for each notebook: chNN.py, psN.py. A function `my_name__style` is an answer to the exercise
`my_name`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labkit.checks import Exercise
from tests.contract.test_checks import EXERCISES, MODULES

FOLDER = Path(__file__).parent
Answer = Callable[..., Any]


@dataclass(frozen=True)
class Given:
    """An answer that somebody might hand in."""

    chapter: str
    """Such as "12", or "ps1" for a problem set."""
    name: str
    """Of the function in its file, such as "my_pair_counts__loops"."""
    text: str
    """The whole file."""

    @property
    def asked(self) -> str:
        """The name of the exercise's function, such as "my_pair_counts"."""
        return self.name.split("__")[0]

    @property
    def exercise(self) -> Exercise:
        """The exercise that it answers; KeyError if there is none."""
        return exercises(self.chapter)[self.asked]

    @property
    def function(self) -> Answer:
        """The function itself, from its text alone."""
        answer: Answer = run(self.text)[self.name]
        return answer

    @property
    def source(self) -> str:
        """What would stand in the answer cell."""
        return f"{self.text}\n\n{self.asked} = {self.name}\n"


@cache
def run(text: str) -> dict[str, Any]:
    """Run a program and return the names that it leaves behind."""
    names: dict[str, Any] = {"__name__": "answers"}
    exec(compile(text, "answers", "exec"), names)
    return names


def exercises(chapter: str) -> dict[str, Exercise]:
    """Return the exercises of a chapter by the names of their functions."""
    return {
        exercise.name: exercise
        for key, exercise in EXERCISES.items()
        if key.startswith(f"{chapter}-")
    }


def read_answers(folder: str) -> list[Given]:
    """Read the answers in "right" or "lazy"."""
    return list(_read(FOLDER / folder))


def _read(folder: Path) -> Iterator[Given]:
    for path in sorted(folder.glob("[!_]*.py")):
        text = path.read_text(encoding="utf-8")
        for name in run(text):
            if name.startswith("my_"):
                yield Given(path.stem.removeprefix("ch"), name, text)


def stolen() -> list[Given]:
    """Return, for every exercise, an answer that asks its check for the reference."""
    return [
        Given(
            chapter,
            f"{exercise.name}__lazy",
            f"from labkit.checks import {MODULES[chapter].__name__.split('.')[-1]} as check\n\n\n"
            f"def {exercise.name}__lazy(*arguments):\n"
            f"    return check.{name}.reference(*arguments)\n",
        )
        for key, exercise in EXERCISES.items()
        for chapter, name in [key.split("-", 1)]
    ]
