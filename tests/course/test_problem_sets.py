"""What problem sets keep: answers need few cells and none with a secret; judges are strict."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.checks import Exercise, ps1, ps2
from labkit.course.exam import answers, find_notebook, program, read_exam
from labkit.course.settings import Assignment, Course

CASES: dict[str, tuple[Exercise, tuple[Any, ...]]] = {
    "ps1": (ps1.probabilities, (["ab"], "abc⊣", [""], ("en", np.array([0]), 1.0))),
    "ps2": (
        ps2.next_words,
        (np.array([[0, 1, 2, 3]]), [[1, 2]], 10.0, (np.array([0]), 4.0)),
    ),
}
"""Open questions, each with a case of one place where the first of four things came."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "got",
    [
        [[0, 1, 0, 0]],
        [[1, 1, 1, 1]],
        [[2, -1, 0, 0]],
        [[np.nan, 1, 0, 0]],
        [[np.inf, 1, 0, 0]],
        [[1, 0, 0]],
        [1, 0, 0, 0],
        [[10**400, 0, 0, 0]],
        [["a", "b", "c", "d"]],
        [[1, 0, 0, 0], [1]],
        "text",
        {"a": 1},
        None,
    ],
)
def test_what_are_no_good_probabilities_earns_nothing(name: str, got: Any) -> None:
    exercise, case = CASES[name]
    mark = exercise.mark(case, got)
    assert mark.share == 0
    assert mark.text
    assert exercise.mark(case, [[1, 0, 0, 0]]).share == 1


@pytest.mark.parametrize(
    ("name", "most_cells", "secret"),
    [("ps1", 5, "tinyworld"), ("ps2", 7, "check.next_words.cases")],
)
def test_an_answer_needs_few_other_cells_and_none_with_a_secret(
    tmp_path: Path, name: str, most_cells: int, secret: str
) -> None:
    """What is withheld, or makes the hidden cases, stands in no cell that an answer needs."""
    course = Course(folder=tmp_path, title="A course", seed="0" * 16)
    assignment = Assignment(name=name, deadline=datetime.now(UTC))
    exam = read_exam(course, assignment)
    ours = answers(exam, find_notebook(course, assignment).read_bytes())
    assert sum(question.points for question in exam.questions) == 48
    for question in exam.questions:
        if question.exercise:
            cells = program(exam, question, ours, wrong=())
            assert len(cells) <= most_cells
            assert not any(secret in cell.lower() for cell in cells)
