"""A small course, made by hand, and marks for it."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from labkit.checks import Exercise
from labkit.course.exam import Cell, Exam, Question
from labkit.course.record import QuestionMark, Record
from labkit.course.settings import Assignment, Course, LatePolicy, Student

DEADLINE = datetime(2027, 3, 1, 12, tzinfo=UTC)
SECRET = "HIDDEN-TEST"
"""Stands in the teacher's tests and solutions, and nowhere else."""

STUDENTS = (
    Student("ada", "Ada Lovelace", "ada@example.org"),
    Student("bo", "博文", "bo@example.org"),
    Student("cy", "=cmd|' /C calc'!A0", "cy@example.org"),
)


def make_course(
    folder: Path = Path(), late: LatePolicy | None = None, n_assignments: int = 1
) -> Course:
    """A course with three students, and assignments p1, p2, … that end a week apart."""
    names = [f"p{i + 1}" for i in range(n_assignments)]
    assignments = {
        name: Assignment(name=name, title=f"Set {name}", deadline=DEADLINE + timedelta(weeks=i))
        for i, name in enumerate(names)
    }
    return Course(
        folder=folder,
        title="Language models",
        term="2027",
        seed="0123456789abcdef",
        late=late or LatePolicy(free_days=2, penalty=0.1, last_day=5),
        assignments=assignments,
        roster={student.id: student for student in STUDENTS},
    )


def make_exam() -> Exam:
    """Two functions for 4 and 2 points, and an essay for 3."""
    exercise = Exercise(
        name="my_f", points=4, reference=abs, cases=lambda rng: iter([(1,)]), wrong=(len,)
    )
    solved = "def my_f(x):\n    ### BEGIN SOLUTION\n    return '{0}'\n    ### END SOLUTION\n"
    cells = (
        Cell("code", solved.format(SECRET), "first", True, False, 0),
        Cell("code", f"assert '{SECRET}'", "first-test", False, True, 4),
        Cell("code", solved.format(SECRET), "second", True, False, 0),
        Cell("markdown", f"A model answer: {SECRET}", "essay", True, False, 3),
    )
    asked = (
        Question("first", 4, 0, exercise),
        Question("second", 2, 2, exercise),
        Question("essay", 3, 3),
    )
    return Exam("p1", cells, asked, "digest")


def hand_in(
    record: Record, student: str, late: timedelta = timedelta(0), assignment: str = "p1"
) -> int:
    """Keep a submission that came so long after the deadline of p1, and return its id."""
    name = hashlib.sha256(f"{student} {late} {assignment}".encode()).hexdigest()
    return record.add_submission(
        assignment,
        student,
        sha256=name,
        received=(DEADLINE + late).isoformat(),
        path=f"submissions/{assignment}/{student}/{name}.ipynb",
        origin="a.zip",
    )


def mark(record: Record, submission: int, earned: Mapping[str, float | None]) -> None:
    """Keep points by question."""
    out_of = {question.id: question.points for question in make_exam().questions}
    for question, points in earned.items():
        record.add_mark(
            submission,
            QuestionMark(question=question, points=points, out_of=out_of[question], exam="digest"),
        )
