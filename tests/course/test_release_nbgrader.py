"""nbgrader itself, run on what we release: it validates, generates and grades it as its own."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.validator import Validator

from classroom.release import student_version
from tests.course.samples import ANSWER, ESSAY, cells_of, notebook, teachers

RELEASED = student_version("ps9.ipynb", notebook(*teachers()))
VISIBLE_TEST = "assert my_entropy([5, 5]) == 1"


def with_sources(content: bytes, sources: Mapping[str, str]) -> bytes:
    """Put texts into the cells with these grade_ids, as a student does."""
    book = json.loads(content)
    for cell in book["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = sources.get(name, cell["source"])
    return json.dumps(book).encode()


SOLVED = with_sources(RELEASED, {"entropy": ANSWER, "why": ESSAY})


def validated(content: bytes, folder: Path) -> dict[str, list[dict[str, str]]]:
    path = folder / "ps9.ipynb"
    path.write_bytes(content)
    found: dict[str, list[dict[str, str]]] = Validator().validate(str(path))
    return found


def test_stubs_fail_nbgraders_validation_and_the_cells_are_named(tmp_path: Path) -> None:
    found = validated(RELEASED, tmp_path)
    assert list(found) == ["failed"]
    assert [cell["source"] for cell in found["failed"]] == [VISIBLE_TEST, "YOUR ANSWER HERE"]
    assert "NotImplementedError" in found["failed"][0]["raw_error"]


def test_solutions_pass_nbgraders_validation(tmp_path: Path) -> None:
    assert validated(SOLVED, tmp_path) == {}


def test_nbgrader_sees_a_test_that_was_changed(tmp_path: Path) -> None:
    changed = with_sources(SOLVED, {"entropy-test": "assert True"})
    assert validated(changed, tmp_path) == {"changed": [{"source": "assert True"}]}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NbGraderAPI:
    """A course of nbgrader with our teacher's notebook in it."""
    beside_python = str(Path(sys.executable).parent)  # where alembic is, which nbgrader calls
    monkeypatch.setenv("PATH", os.pathsep.join([beside_python, os.environ["PATH"]]))
    source = tmp_path / "source" / "ps9" / "ps9.ipynb"
    source.parent.mkdir(parents=True)
    source.write_bytes(notebook(*teachers()))
    return NbGraderAPI(CourseDirectory(root=str(tmp_path)))


def graded_parts(content: bytes) -> list[tuple[Any, ...]]:
    return [
        (cell["source"], cell["metadata"], cell["cell_type"])
        for cell in cells_of(content)
        if "nbgrader" in cell["metadata"]
    ]


def test_nbgrader_generates_the_same_and_grades_a_submission(
    desk: NbGraderAPI, tmp_path: Path
) -> None:
    result = desk.generate_assignment("ps9")
    assert result["success"], result
    theirs = (tmp_path / "release" / "ps9" / "ps9.ipynb").read_bytes()
    assert graded_parts(theirs) == graded_parts(RELEASED)
    for student, content in (("ann", SOLVED), ("bob", RELEASED)):
        submitted = tmp_path / "submitted" / student / "ps9" / "ps9.ipynb"
        submitted.parent.mkdir(parents=True)
        submitted.write_bytes(content)
        result = desk.autograde("ps9", student)
        assert result["success"], result
    with Gradebook(desk.coursedir.db_url) as book:
        grades = {
            student: {
                grade.name: grade.auto_score
                for grade in book.find_submission_notebook("ps9", "ps9", student).grades
            }
            for student in ("ann", "bob")
        }
    by_hand = {"draw": None}
    assert grades["ann"] == {"entropy-test": 2, "why": None, **by_hand}
    assert grades["bob"] == {"entropy-test": 0, "why": 0, **by_hand}
