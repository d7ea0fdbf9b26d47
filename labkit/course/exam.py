"""What a notebook asks, and what a submission answers: source text and nothing else.

A question is an answer cell with its test cell below, or a markdown cell for a written answer. From
a submission comes the source of its answers, wherever they stand and whatever its metadata says.
"""

import hashlib
import importlib
import importlib.util
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from labkit.checks import Exercise
from labkit.course import CourseError
from labkit.course.settings import Assignment, Course
from labkit.course.source import defined, plain, used, without_idle_imports

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHECKS = "check"
"""What chapters call their exercises; the sandbox has its own of this name."""
LARGEST_NOTEBOOK = 20_000_000
"""Bytes; a submission above this is refused unread."""
MOST_CELLS = 5
"""How many cells are tried for an answer."""


@dataclass(frozen=True)
class Cell:
    """A cell of the teacher's notebook."""

    kind: str
    source: str
    grade_id: str
    is_answer: bool
    is_test: bool
    points: float


@dataclass(frozen=True)
class Question:
    """Something to answer: with `exercise` by a function, without it in words."""

    id: str
    """The grade_id of the answer cell."""
    points: float
    cell: int
    """Index of the answer cell in the notebook."""
    exercise: Exercise | None = None


@dataclass(frozen=True)
class Exam:
    """A teacher's notebook and its questions in order."""

    name: str
    cells: tuple[Cell, ...]
    questions: tuple[Question, ...]
    digest: str
    """Of the notebook, its exercises and the secret seed."""

    def question(self, name: str) -> Question:
        """Return a question by its id; raise CourseError if there is none."""
        for question in self.questions:
            if question.id == name:
                return question
        known = ", ".join(question.id for question in self.questions)
        raise CourseError(f"{self.name} has no question {name!r}; it has: {known}")


def find_notebook(course: Course, assignment: Assignment) -> Path:
    """Return the teacher's notebook: the course folder's own, a problem set, or a chapter."""
    wanted = assignment.notebook or assignment.name
    own = course.folder / wanted
    places = [own] if wanted.endswith(".ipynb") else []
    places += [NOTEBOOKS / "assignments" / f"{wanted}.ipynb", *NOTEBOOKS.glob(f"{wanted}_*.ipynb")]
    for place in places:
        if place.is_file():
            return place
    raise CourseError(
        f"there is no notebook for {assignment.name}: expected {wanted!r} to be a chapter such as "
        f"31, a problem set such as ps1, or a file in {course.folder}"
    )


def find_checks(course: Course, assignment: Assignment, notebook: Path) -> ModuleType:
    """Import the exercises of a notebook: named in course.toml, beside it, or in labkit.checks."""
    own = course.folder / (assignment.checks or "")
    beside = notebook.with_suffix(".py")
    path = own if assignment.checks.endswith(".py") else beside
    if assignment.checks.endswith(".py") or (not assignment.checks and beside.is_file()):
        spec = importlib.util.spec_from_file_location(f"course_{path.stem}", path)
        if spec is None or spec.loader is None or not path.is_file():
            raise CourseError(f"there are no exercises in {path}, which course.toml names")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    stem = notebook.stem.split("_")[0]
    name = assignment.checks or f"labkit.checks.{f'ch{stem}' if stem.isdigit() else stem}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise CourseError(f"there are no exercises for {notebook.name}: {error}") from error


def read_exam(course: Course, assignment: Assignment, notebook: Path | None = None) -> Exam:
    """Read what an assignment asks, from `notebook` if it is given.

    Raises CourseError where a question has no exercise.
    """
    path = notebook or find_notebook(course, assignment)
    checks = find_checks(course, assignment, path)
    content = path.read_bytes()
    cells = tuple(map(_read_cell, json.loads(content)["cells"]))
    exercises = {item.name: item for item in vars(checks).values() if isinstance(item, Exercise)}
    questions = tuple(_questions(cells, exercises, path.name))
    if not questions:
        raise CourseError(f"{path.name} asks nothing: no cell has an nbgrader grade_id")
    made_of = [content, Path(str(checks.__file__)).read_bytes(), course.seed.encode()]
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in made_of))
    return Exam(assignment.name, cells, questions, digest.hexdigest())


def _read_cell(cell: Mapping[str, Any]) -> Cell:
    about = cell["metadata"].get("nbgrader", {})
    graded, answered = about.get("grade", False), about.get("solution", False)
    return Cell(
        kind=cell["cell_type"],
        source="".join(cell["source"]),
        grade_id=about.get("grade_id", ""),
        is_answer=answered,
        is_test=graded and not answered,
        points=float(about.get("points", 0)) if graded else 0,
    )


def _questions(
    cells: tuple[Cell, ...], exercises: Mapping[str, Exercise], where: str
) -> Iterator[Question]:
    for index, cell in enumerate(cells):
        if cell.is_answer and cell.kind == "markdown":
            yield Question(cell.grade_id, cell.points, index)
        elif cell.is_answer:
            # The test below names the function too, should a student's cell not be Python.
            below = cells[index + 1].source if index + 1 < len(cells) else ""
            names = defined(plain(cell.source)) or used(below)
            mine = [exercises[name] for name in names if name in exercises]
            if len(mine) != 1:
                raise CourseError(
                    f"{where}: the answer {cell.grade_id!r} defines {len(mine)} functions that "
                    "the exercises know; expected one"
                )
            yield Question(cell.grade_id, mine[0].points, index, mine[0])


def answers(exam: Exam, content: bytes) -> dict[str, str]:
    """Return the source of every answer in a submission, "" where there is none.

    Raises CourseError for bytes that are no notebook.
    """
    tests = {cell.source.strip() for cell in exam.cells if cell.is_test}
    found = [cell for cell in read_cells(content) if cell[1].strip() not in tests]
    return {question.id: _answer(question, found) for question in exam.questions}


def read_cells(content: bytes) -> list[tuple[str, str]]:
    """Return the grade_id and the source of every cell of a submission that has any text.

    Raises CourseError for bytes that are no notebook.
    """
    if len(content) > LARGEST_NOTEBOOK:
        raise CourseError(
            f"has {len(content) / 1e6:.0f} MB, more than {LARGEST_NOTEBOOK / 1e6:.0f}: clear the "
            "outputs and hand it in again"
        )
    try:
        cells = json.loads(content.decode("utf-8-sig"))["cells"]
        if not isinstance(cells, list):
            raise TypeError
        return [text for cell in cells if (text := _text(cell))]
    except UnicodeDecodeError:
        raise CourseError("is not UTF-8 text, which every notebook is") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CourseError(f"is not a notebook: {type(error).__name__}") from None


def _text(cell: Any) -> tuple[str, str] | None:
    """Return the grade_id and the source of a cell that has any text; halves of letters are "?"."""
    if not isinstance(cell, dict):
        return None
    source = cell.get("source", "")
    text = "".join(map(str, source)) if isinstance(source, list) else str(source)
    about = cell.get("metadata")
    about = about.get("nbgrader") if isinstance(about, dict) else None
    grade_id = about.get("grade_id", "") if isinstance(about, dict) else ""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return (str(grade_id), text) if text.strip() else None


def _answer(question: Question, cells: list[tuple[str, str]]) -> str:
    """Return the cell of a question; of several the last, as the kernel would have it."""
    named = [source for grade_id, source in cells if grade_id == question.id]
    if question.exercise is None:
        return named[-1] if named else ""
    name = question.exercise.name
    likely = re.compile(rf"\b(?:def|class)\s+{name}\b|^[ \t]*{name}\s*[=:]", re.MULTILINE)
    sources = named or [source for _, source in cells if likely.search(source)]
    for source in sources[: -MOST_CELLS - 1 : -1]:
        if name in defined(plain(source)):
            return source
    return named[-1] if named else ""


def program(
    exam: Exam,
    question: Question,
    given: Mapping[str, str],
    wrong: Collection[str],
    stopped: Collection[str] = (),
) -> list[str]:
    """Return the cells that an answer needs, in order, the answer itself last.

    These are the teacher's cells that bind a name which it reads, and those that they need in turn.
    For an earlier answer the student's own stands in, unless it was `wrong` and binds nothing that
    the teacher's does not: one mistake costs one question. What was `stopped` does not run again.
    """
    answer = plain(given[question.id])
    chosen, needed = [answer], used(answer) - {CHECKS}
    by_cell = {item.cell: item for item in exam.questions if item.exercise}
    for index in range(question.cell - 1, -1, -1):
        cell = exam.cells[index]
        if cell.kind != "code" or cell.is_test:
            continue
        sources = [without_idle_imports(plain(cell.source), needed)]
        if index in by_cell:
            earlier = by_cell[index].id
            own = "" if earlier in stopped else plain(given[earlier])
            mine, ours = (needed & {*defined(source)} for source in (own, *sources))
            sources = sources if ours - (set() if earlier in wrong else mine) else []
            sources = [own, *sources] if mine - (ours if earlier in wrong else set()) else sources
        if any(needed & {*defined(source)} for source in sources):
            chosen = [*sources, *chosen]
            needed |= set().union(*map(used, sources)) - {CHECKS}
    return chosen
