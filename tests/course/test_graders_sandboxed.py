"""The graders, graded where they work: every known answer of every exercise, in the sandbox.

Of each exercise all answers run in one sandbox, each among names of its own: the reference, the
notebook's own, right ones in other styles, wrong ones, and those that let labkit do the work.
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labkit.checks import Exercise, Mark
from labkit.course.exam import Exam, Question, answers, find_notebook, program, read_exam
from labkit.course.grade import Bench, mark_for, read_results
from labkit.course.sandbox import Limits, is_available, run
from labkit.course.settings import Assignment, Course
from labkit.course.stage import make_stage
from tests.contract.test_checks import EXERCISES
from tests.course.answers import read_answers, stolen
from tests.course.sources import whole_source

pytestmark = pytest.mark.skipif(not is_available(), reason="no bubblewrap that works here")
RIGHT, LAZY, STOLEN = read_answers("right"), read_answers("lazy"), stolen()
LIMITS = Limits(seconds=120, memory_mb=2048)
ALL = '''
import copy

def all_answers(*arguments):
    """What each answer gives, or why it does not."""
    given = []
    for answer in answers:
        try:
            given.append(("value", answer(*copy.deepcopy(arguments))))
        except Exception as error:
            given.append(("error", str(error)))
    return given
'''


@cache
def notebook_exam(chapter: str) -> tuple[Exam, dict[str, str]]:
    """What a notebook asks, and what it answers itself."""
    course = Course(folder=Path(), seed="0" * 16)
    assignment = Assignment(name=chapter, deadline=datetime.now(UTC))
    exam = read_exam(course, assignment)
    return exam, answers(exam, find_notebook(course, assignment).read_bytes())


def notebooks_own(chapter: str, exercise: Exercise) -> str:
    """The notebook's own answer, with the cells that it needs."""
    exam, ours = notebook_exam(chapter)
    (question,) = (q for q in exam.questions if q.exercise and q.exercise.name == exercise.name)
    return "\n".join(program(exam, question, ours, wrong=()))


def known_answers(key: str, exercise: Exercise) -> list[tuple[str, str, float]]:
    """Of each answer that is known its name, its source and the points that it must earn."""
    chapter = key.split("-", maxsplit=1)[0]
    listed = [("reference", exercise.reference, float(exercise.points))]
    listed += [(f"wrong {n}", answer, 0.0) for n, answer in enumerate(exercise.wrong)]
    listed += [
        (f"partly {n}", answer, points) for n, (answer, points) in enumerate(exercise.partly)
    ]
    found = [(name, whole_source(answer, exercise.name), points) for name, answer, points in listed]
    own = ("the notebook's own", notebooks_own(chapter, exercise), float(exercise.points))
    styles = ((RIGHT, float(exercise.points)), (LAZY, 0.0), (STOLEN, 0.0))
    return [own, *found] + [
        (given.name, given.source, points)
        for group, points in styles
        for given in group
        if (given.chapter, given.asked) == (chapter, exercise.name)
    ]


@pytest.mark.parametrize("key", EXERCISES)
def test_every_known_answer_earns_what_it_must(key: str, tmp_path: Path) -> None:
    exercise = EXERCISES[key]
    make_stage(tmp_path / "stage", exercise.withheld)
    bench = Bench(Question(key, exercise.points, 0), exercise, 7, tmp_path / "stage", LIMITS)
    known = known_answers(key, exercise)
    cells = ["answers = []"]
    for _, source, _ in known:
        cells.append(
            f"names = {{'check': check}}\nexec({source!r}, names)\n"
            f"answers.append(names[{exercise.name!r}])"
        )
    request = {"cells": [*cells, ALL], "name": "all_answers", "cases": bench.sent}
    outcome = run(json.dumps(request).encode(), bench.stage, LIMITS)
    came = read_results(outcome, len(bench.cases))
    assert outcome.stopped == ""
    assert [len(one.get("value", [])) for one in came] == [len(known)] * len(came), (
        outcome.log.decode()
    )
    wrongly = {}
    for number, (name, _, points) in enumerate(known):
        marks = [
            _mark(exercise, case, one["value"][number])
            for case, one in zip(bench.cases, came, strict=True)
        ]
        if exercise.earned(marks) != points:
            wrongly[name] = (exercise.earned(marks), points, [mark.text for mark in marks])
    assert wrongly == {}


def _mark(exercise: Exercise, case: tuple[Any, ...], given: tuple[str, Any]) -> Mark:
    kind, value = given
    return mark_for(exercise, case, {kind: value})
