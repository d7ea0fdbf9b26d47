"""A course with one small exam: two functions to write and one thing to explain."""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labkit.course import sandbox
from labkit.course.grade import RECORD, Done, grade
from labkit.course.record import QuestionMark, Record
from labkit.course.settings import Assignment, Course, read_course

needs_sandbox = pytest.mark.skipif(
    not sandbox.is_available(), reason="there is no bubblewrap here that may make its namespaces"
)

SEED = "a-secret-seed-of-the-course"
SECRETS = {
    "in a comment of the set-up": "secret-of-the-setup",
    "in a comment of a solution": "secret-of-the-solution",
    "in a hidden test": "secret-of-the-hidden-test",
    "in the scheme for a written answer": "secret-of-the-scheme",
    "in the teacher's notebook": "secret-of-the-notebook",
    "in the exercises": "secret-of-the-exercises",
    "in course.toml": SEED,
    "of another student": "secret-of-another-student",
    "in the home folder": "secret-of-the-home",
    "in the environment": "secret-of-the-environment",
    "in /etc/passwd": "root:x:0",
}
"""Texts that an answer must not find, by where they stand."""

SETUP = """\
import numpy as np  # secret-of-the-setup

SCALE = 2.0
"""
TOTAL = """\
def my_total(values):
    return float(sum(value * value for value in values))

total = check.total(my_total)
"""
ROWS = """\
def my_rows(counts):
    return SCALE * counts / total(counts.ravel())

rows = check.rows(my_rows)
"""
WHY = "Because the sum of squares is never negative."
ANSWERS = {"total": TOTAL, "rows": ROWS, "why": WHY}
POINTS = {"total": 2, "rows": 3}
WRONG_TOTAL = "def my_total(values):\n    return -1.0\n\ntotal = check.total(my_total)\n"
WRONG_ROWS = "def my_rows(counts):\n    return counts\n\nrows = check.rows(my_rows)\n"


def cell(kind: str, source: str, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A cell of a notebook, with what nbgrader knows of it."""
    metadata = {"nbgrader": dict(about)} if about else {}
    made: dict[str, Any] = {"cell_type": kind, "metadata": metadata, "source": source}
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def answer(name: str, source: str, *, kind: str = "code", points: int = 0) -> dict[str, Any]:
    """An answer cell."""
    about = {"grade_id": name, "solution": True, "grade": points > 0, "points": points}
    return cell(kind, source, about)


def check_of(name: str, hidden: str = "") -> dict[str, Any]:
    """A locked test cell."""
    source = f"check.{name}.grade(my_{name})"
    if hidden:
        source += f"\n### BEGIN HIDDEN TESTS\n{hidden}\n### END HIDDEN TESTS"
    return cell("code", source, {"grade_id": f"{name}-test", "grade": True, "points": 1})


def notebook(*cells: dict[str, Any]) -> dict[str, Any]:
    """A notebook of some cells."""
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def teachers() -> dict[str, Any]:
    """The teacher's notebook, with all that a student must not see."""
    solved = TOTAL.replace("    return", "    # secret-of-the-solution\n    return")
    scheme = f"{WHY}\n### BEGIN MARK SCHEME\nsecret-of-the-scheme\n### END MARK SCHEME"
    return notebook(
        cell("markdown", "A small exam. secret-of-the-notebook"),
        cell("code", SETUP),
        answer("total", solved),
        check_of("total", "assert my_total([3]) == 9  # secret-of-the-hidden-test"),
        answer("rows", ROWS),
        check_of("rows"),
        answer("why", scheme, kind="markdown", points=4),
    )


def students(**sources: str) -> dict[str, Any]:
    """An honest student's notebook, but for some answers."""
    given = {**ANSWERS, **sources}
    return notebook(
        cell("markdown", "A small exam."),
        cell("code", SETUP),
        answer("total", given["total"]),
        check_of("total"),
        answer("rows", given["rows"]),
        check_of("rows"),
        answer("why", given["why"], kind="markdown", points=4),
    )


def packed(content: Any) -> bytes:
    """A notebook as the bytes of a file; bytes stay what they are."""
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def make_course(
    folder: Path,
    exam: dict[str, Any] | None = None,
    *,
    seconds: float = 1,
    memory_mb: int = 200,
    checks: str = "tests.course.small_checks",
) -> tuple[Course, Assignment]:
    """Write a course folder with the small exam, or another."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.ipynb").write_text(json.dumps(exam or teachers()), encoding="utf-8")
    (folder / "roster.csv").write_text("id,name,email\n", encoding="utf-8")
    (folder / "course.toml").write_text(
        f'seed = "{SEED}"\n[assignments.small]\nnotebook = "small.ipynb"\n'
        f'checks = "{checks}"\ndeadline = 2030-01-01T00:00:00Z\n'
        f"seconds = {seconds}\nmemory_mb = {memory_mb}\n",
        encoding="utf-8",
    )
    course = read_course(folder)
    return course, course.assignment("small")


def hand_in(course: Course, student: str, content: Any) -> Path:
    """Put a submission where collecting puts it, and into the record; return its file."""
    data = packed(content)
    digest = hashlib.sha256(data).hexdigest()
    place = f"submissions/small/{student}/{digest}.ipynb"
    path = course.folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    came: dict[str, Any] = {
        "sha256": digest,
        "received": "2029-12-01T00:00:00+00:00",
        "path": place,
    }
    with Record(course.folder / RECORD) as record:
        record.add_submission("small", student, origin="a test", **came)
    return path


def mark_all(course: Course, assignment: Assignment, **options: Any) -> list[Done]:
    """Grade, and return all marks at once."""
    number, marked = grade(course, assignment, **options)
    done = list(marked)
    assert len(done) == number
    return done


def marks(course: Course) -> dict[str, dict[str, QuestionMark]]:
    """What the record holds, by student and question."""
    with Record(course.folder / RECORD) as record:
        return {
            submission.student: record.marks(submission.id)
            for submission in record.submissions("small")
        }


def points(course: Course) -> dict[str, dict[str, float | None]]:
    """The points in the record, by student and question."""
    return {
        student: {name: mark.points for name, mark in found.items()}
        for student, found in marks(course).items()
    }


def changed(content: dict[str, Any], index: int, **entries: Any) -> dict[str, Any]:
    """A notebook with other entries in one cell; None takes one out."""
    new = copy.deepcopy(content)
    new["cells"][index].update(entries)
    kept = {name: value for name, value in new["cells"][index].items() if value is not None}
    new["cells"][index] = kept
    return new


def survivors(mark: str) -> list[int]:
    """The processes, but this one, that were begun with a text or see it among their mounts."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "mountinfo").read_bytes()
        except OSError:
            continue
        if mark.encode() in told:
            found.append(int(folder.name))
    return found
