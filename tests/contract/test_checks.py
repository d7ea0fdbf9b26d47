"""Checks, checked: each passes its reference, fails its wrong answers, belongs to a notebook."""

import importlib
import itertools
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pytest

from labkit.checks import GRADING_SEED, VISIBLE_SEED, Exercise
from tests.contract.library import read_library
from tests.contract.reading import (
    assignment_paths,
    definitions,
    names_used,
    paths,
    read,
    tree,
)
from tests.contract.rules_exercises import checked

SEEDS, OPEN_SEEDS = range(5), range(2)
"""For questions with a value to hit; for open ones, whose cases are as long as a small training."""
FEWEST_WRONG = 3
MODULES: dict[str, ModuleType] = {
    name.removeprefix("labkit.checks.").removeprefix("ch"): importlib.import_module(name)
    for name in read_library()
    if name.startswith(("labkit.checks.ch", "labkit.checks.ps"))
}
EXERCISES: dict[str, Exercise] = {
    f"{number}-{name}": value
    for number, module in MODULES.items()
    for name, value in vars(module).items()
    if isinstance(value, Exercise)
}
every_exercise = pytest.mark.parametrize("name", EXERCISES)


def code_shape(code: CodeType) -> tuple[Any, ...]:
    """What a function computes, without its name and place."""
    constants = [code_shape(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return (code.co_code, tuple(constants), code.co_names, code.co_freevars)


def not_written(*arguments: Any) -> Any:
    raise NotImplementedError


def nothing(*arguments: Any) -> None:
    return None


def earned(exercise: Exercise, answer: Callable[..., Any]) -> set[float]:
    """The points that an answer earns, on whatever seed."""
    is_open = exercise.judge is not None and exercise.partial
    return {exercise.grade(answer, seed) for seed in (OPEN_SEEDS if is_open else SEEDS)}


def test_there_are_exercises() -> None:
    assert EXERCISES, "labkit/checks holds no exercise, so nothing was checked"


@every_exercise
def test_the_reference_earns_all_points(name: str) -> None:
    exercise = EXERCISES[name]
    assert exercise.points > 0
    assert earned(exercise, exercise.reference) == {exercise.points}


@every_exercise
def test_every_wrong_answer_earns_nothing_on_every_seed(name: str) -> None:
    exercise = EXERCISES[name]
    assert len(exercise.wrong) >= FEWEST_WRONG
    for answer in exercise.wrong:
        assert earned(exercise, answer) == {0}


PARTLY = [(name, place) for name, e in EXERCISES.items() for place in range(len(e.partly))]


@pytest.mark.parametrize(("name", "place"), PARTLY)
def test_an_answer_right_in_part_earns_its_points_on_every_seed(name: str, place: int) -> None:
    exercise = EXERCISES[name]
    answer, points = exercise.partly[place]
    assert exercise.partial
    assert 0 < points < exercise.points
    assert earned(exercise, answer) == {points}


@every_exercise
@pytest.mark.parametrize("answer", [not_written, nothing])
def test_an_empty_answer_fails_and_earns_nothing(
    name: str, answer: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    exercise = EXERCISES[name]
    assert earned(exercise, answer) == {0}
    assert not exercise.passes(answer, VISIBLE_SEED)
    assert exercise(answer) is exercise.reference
    assert exercise(exercise.reference) is exercise.reference
    assert exercise.name in capsys.readouterr().out


@every_exercise
def test_wrong_answers_are_different_programs(name: str) -> None:
    exercise = EXERCISES[name]
    partly = [answer for answer, _ in exercise.partly]
    answers = (exercise.reference, *exercise.wrong, *partly)
    shapes = [code_shape(answer.__code__) for answer in answers]
    assert all(a != b for a, b in itertools.combinations(shapes, 2))


@every_exercise
def test_cases_come_from_the_seed_alone_and_hidden_ones_are_others(name: str) -> None:
    def cases(seed: int) -> list[str]:
        made = EXERCISES[name].cases(np.random.default_rng(seed))
        return [repr(case) for case in made]

    assert len(cases(VISIBLE_SEED)) >= 2
    assert cases(VISIBLE_SEED) == cases(VISIBLE_SEED)
    assert cases(VISIBLE_SEED) != cases(GRADING_SEED)


@every_exercise
def test_a_check_leaves_nothing_to_an_answer_that_changes_its_arguments(name: str) -> None:
    exercise = EXERCISES[name]

    def empties(*arguments: Any) -> Any:
        result = exercise.reference(*arguments)
        for argument in arguments:
            if isinstance(argument, list):
                argument.clear()
        return result

    assert exercise.passes(empties, VISIBLE_SEED)


@pytest.mark.parametrize("path", [*paths(), *assignment_paths()], ids=lambda path: path.stem)
def test_a_notebook_asks_exactly_its_exercises(path: Any) -> None:
    """Names, functions and points agree between the notebook and labkit.checks."""
    notebook = read(path)
    asked: dict[str, tuple[str, float]] = {}
    for answer, test in itertools.pairwise(notebook.cells):
        if answer.is_answer:
            (call,) = checked(answer)
            mine = {node.name for node in definitions(answer.source)} & names_used(call.args)
            name = getattr(call.func, "attr", "")
            asked[name] = (mine.pop(), test.nbgrader["points"])
            graded = {node for node in names_used([tree(test.source)]) if node.startswith("my_")}
            assert graded == {asked[name][0]}
            assert f"check.{name}.grade(" in test.source
    offered = {
        key.split("-", 1)[1]: (exercise.name, exercise.points)
        for key, exercise in EXERCISES.items()
        if key.startswith(f"{notebook.chapter}-")
    }
    assert asked == offered
