"""A student sees how the answers do as they will be taken, and hands in one small file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from classroom.release import student_version
from classroom.student import check, find_paper, find_work, read_paper, submit
from labkit.course import CourseError, exam
from tests.course.samples import (
    NOTEBOOKS,
    answer,
    code,
    locked_test,
    notebook,
    teachers,
)

CHECKS = """
from labkit.checks import Exercise

def lengths(random):
    yield [[1] * int(random.integers(1, 9))]
    yield [[]]

def sums(random):
    yield [int(random.integers(1, 9))]

half = Exercise(name="my_half", points=2, reference=lambda rows: len(rows) / 2, cases=lengths,
                wrong=())
twice = Exercise(name="my_twice", points=1, reference=lambda x: 2 * x, cases=sums, wrong=())
"""
HALF = """\
def my_half(rows):
    ### BEGIN SOLUTION
    return size(rows) / 2
    ### END SOLUTION"""
TWICE = """\
def my_twice(x):
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION"""
PAPER = notebook(
    code("import math"),
    code("def size(rows):\n    return len(rows)"),
    answer("half", HALF),
    locked_test("half-test", "check.half.grade(my_half)"),
    answer("twice", TWICE),
    locked_test("twice-test", "check.twice.grade(my_twice)"),
    teachers()[5],
)


def work(content: bytes, sources: Mapping[str, str], *more: str) -> bytes:
    """What a student makes of a notebook: sources by grade_id, and cells of their own in front."""
    book = json.loads(content)
    for cell in book["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = sources.get(name, cell["source"])
    book["cells"][:0] = [dict(code(source), id=f"own-{n}") for n, source in enumerate(more)]
    return json.dumps(book).encode()


class Desk:
    """A student's folder with a problem set, and the teacher's beside the course's other ones."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "work" / "assignments" / "ps9.ipynb"
        self.path.parent.mkdir(parents=True)
        self.teachers = folder / "notebooks" / "assignments"
        self.teachers.mkdir(parents=True)
        (self.teachers / "ps9.ipynb").write_bytes(PAPER)
        (self.teachers / "ps9.py").write_text(CHECKS, encoding="utf-8")
        self.released = student_version("ps9.ipynb", PAPER)
        self.path.write_bytes(self.released)

    def write(self, *more: str, **sources: str) -> None:
        self.path.write_bytes(work(self.released, sources, *more))

    def check(self, seconds: float = 60) -> dict[str, tuple[str, str]]:
        return {
            found.question: (found.state, found.text) for found in check(self.path, "", seconds)
        }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(exam, "NOTEBOOKS", tmp_path / "notebooks")
    return Desk(tmp_path)


RIGHT = {
    "half": "def my_half(rows):\n    return size(rows) * 0.5",
    "twice": "def my_twice(x):\n    return x * 2",
    "why": "Because every outcome then surprises alike.",
}


def test_each_answer_is_told_how_it_does(desk: Desk) -> None:
    desk.write(half=RIGHT["half"], twice="def my_twice(x):\n    return x", why=RIGHT["why"])
    found = desk.check()
    assert found["half"] == ("right", "exact in all 2 cases.")
    state, text = found["twice"]
    assert state == "not yet"
    assert text.startswith("not yet. In my_twice(")
    assert found["why"] == ("written", "6 words, for your teacher to read")
    assert list(found) == ["half", "twice", "why"]


def test_what_was_released_is_not_written_yet(desk: Desk) -> None:
    assert set(desk.check().values()) == {("stub", "not written yet")}
    # With the stub's lines gone there is still nothing in it.
    desk.write(why="  \n", half="def my_half(rows):\n    # YOUR CODE HERE\n")
    assert desk.check()["half"][0] == "stub"
    assert desk.check()["why"][0] == "missing"


def test_a_missing_cell_is_named(desk: Desk) -> None:
    book = json.loads(desk.released)
    del book["cells"][4]
    desk.path.write_text(json.dumps(book))
    assert desk.check()["twice"] == ("missing", "its cell is missing or empty")


def test_a_helper_in_another_cell_is_named(desk: Desk) -> None:
    desk.write(
        "def helper(x):\n    return x + x",
        half=RIGHT["half"],
        twice="def my_twice(x):\n    return helper(x)",
    )
    assert desk.check()["twice"] == (
        "not yet",
        "your function uses a helper `helper` that is defined outside the answer cell: move it in, "
        "only answer cells are graded",
    )
    desk.write(half=RIGHT["half"], twice="def my_twice(x):\n    return nowhere(x)")
    assert "name 'nowhere' is not defined" in desk.check()["twice"][1]


def test_one_mistake_costs_one_question(desk: Desk) -> None:
    leaning = "def my_twice(x):\n    return int(4 * my_half([0] * x))"
    desk.write(half="def my_half(rows):\n    return 7", twice=leaning)
    assert {name: state for name, (state, _) in desk.check().items()} == {
        "half": "not yet",
        "twice": "right",
        "why": "stub",
    }


def test_a_helper_of_the_teacher_s_is_the_teacher_s(desk: Desk) -> None:
    desk.write("def size(rows):\n    return 1000", half=RIGHT["half"])
    assert desk.check()["half"][0] == "right"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def my_twice(x:\n    return x", "SyntaxError: "),
        ("1 / 0\ndef my_twice(x): return 2 * x", "ZeroDivisionError: division by zero"),
        ("def mine(x):\n    return 2 * x", "the answer cell does not define the function"),
        ("def my_twice(x):\n    return undefined", "NameError"),
        ("import os\nos._exit(3)", "Python ended"),
        ("def my_twice(x):\n    print('x' * 10**6)\n    return 3", "yours ≠ ours"),
    ],
)
def test_whatever_an_answer_does_is_told(source: str, told: str, desk: Desk) -> None:
    desk.write(half=RIGHT["half"], twice=source)
    state, text = desk.check()["twice"]
    assert state == "not yet"
    assert told in text
    assert desk.check()["half"][0] == "right"


def test_a_loop_that_never_ends_is_stopped(desk: Desk) -> None:
    desk.write(twice="while True:\n    pass")
    assert desk.check(seconds=5)["twice"] == (
        "not yet",
        "took more than 5 seconds: does a loop never end?",
    )


def test_commands_of_ipython_do_no_harm(desk: Desk) -> None:
    desk.write(twice="%timeit 1\ndef my_twice(x):\n    return 2 * x\n!true")
    assert desk.check()["twice"][0] == "right"


def test_without_the_teacher_s_notebook_the_student_s_says_what_is_asked(desk: Desk) -> None:
    (desk.teachers / "ps9.ipynb").unlink()
    (desk.teachers / "ps9.py").rename(desk.path.with_suffix(".py"))
    assert find_paper(desk.path) == desk.path
    assert desk.check()["twice"] == ("not yet", "not written yet.")
    desk.write(**(RIGHT | {"half": "def my_half(rows:"}))
    found = desk.check()
    assert {name: state for name, (state, _) in found.items()} == {
        "half": "not yet",
        "twice": "right",
        "why": "written",
    }


def test_a_chapter_of_the_course_is_checked_by_its_own_exercises(tmp_path: Path) -> None:
    (chapter,) = NOTEBOOKS.glob("00_*.ipynb")
    path = tmp_path / chapter.name
    path.write_bytes(chapter.read_bytes())
    (found,) = check(path)
    assert (found.question, found.state) == ("mean-bits", "right")
    assert str(found) == "mean-bits: within 1e-05 of ours in all 6 cases."


@pytest.mark.parametrize("place", ["ps9.ipynb", "work/ps9.ipynb", "work/assignments/ps9.ipynb"])
def test_the_notebook_is_found_by_its_name(place: str, tmp_path: Path) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("{}")
    assert find_work("ps9", tmp_path) == tmp_path / place
    assert find_work(place, tmp_path) == tmp_path / place
    with pytest.raises(CourseError, match="there is no notebook ps8 in"):
        find_work("ps8", tmp_path)


def test_a_chapter_is_found_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "12_ngrams.ipynb").write_text("{}")
    assert find_work("12", tmp_path).name == "12_ngrams.ipynb"


def test_the_file_to_hand_in_is_small_and_complete(desk: Desk) -> None:
    desk.write("print('x')", **RIGHT)
    book: dict[str, Any] = json.loads(desk.path.read_text())
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            stream = {"output_type": "stream", "name": "stdout", "text": "x" * 10_000_000}
            cell.update(outputs=[stream], execution_count=3)
    desk.path.write_text(json.dumps(book))
    before = desk.path.read_bytes()
    said = submit(desk.path, "ann")
    path = desk.path.with_name("ps9-ann.ipynb")
    content = path.read_bytes()
    assert str(path) in said
    assert "with 3 of 3 questions answered" in said
    assert hashlib.sha256(content).hexdigest() in said
    assert len(content) < 10_000
    assert desk.path.read_bytes() == before
    assert exam.answers(read_paper(desk.teachers / "ps9.ipynb"), content) == RIGHT
    assert sorted(item.name for item in desk.path.parent.iterdir()) == [
        "ps9-ann.ipynb",
        "ps9.ipynb",
    ]


def test_stubs_are_not_counted_as_answered(desk: Desk) -> None:
    assert "with 0 of 3 questions answered" in submit(desk.path, "ann")
    desk.write(half=RIGHT["half"])
    assert "with 1 of 3 questions answered" in submit(desk.path, "ann")


def test_where_the_exercises_are_kept_back_the_file_is_made_all_the_same(desk: Desk) -> None:
    (desk.teachers / "ps9.ipynb").unlink()
    assert "answered" not in submit(desk.path, "ann")
    assert desk.path.with_name("ps9-ann.ipynb").exists()


def test_the_file_goes_where_it_is_asked_to(desk: Desk, tmp_path: Path) -> None:
    submit(desk.path, "ann", tmp_path / "out")
    submit(desk.path, "ann", tmp_path / "mine.ipynb")
    assert (tmp_path / "out" / "ps9-ann.ipynb").read_bytes() == (
        tmp_path / "mine.ipynb"
    ).read_bytes()
    with pytest.raises(CourseError, match="is the notebook itself"):
        submit(desk.path, "ann", desk.path)
    with pytest.raises(CourseError, match=r"expected an id .* got '\.\./ann'"):
        submit(desk.path, "../ann")


@pytest.mark.parametrize(
    "content",
    [b"", b"%PDF-1.4", b"[]", b'{"cells": 3}', b'{"cells": [1], "metadata": {}}', b"\xff"],
)
def test_what_is_no_notebook_is_refused(content: bytes, desk: Desk) -> None:
    desk.path.write_bytes(content)
    for call in (lambda: submit(desk.path, "ann"), lambda: check(desk.path)):
        with pytest.raises(CourseError, match=r"ps9\.ipynb is not a notebook"):
            call()
    assert [item.name for item in desk.path.parent.iterdir()] == ["ps9.ipynb"]


def test_a_notebook_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"nowhere\.ipynb"):
        submit(tmp_path / "nowhere.ipynb", "ann")


# Which cells an answer brings with it: `exam.program`, on which the time of each question depends.


def program(answer_source: str, *cells: str) -> list[str]:
    made = tuple(
        exam.Cell("code", source, "", is_answer=False, is_test=False, points=0) for source in cells
    )
    paper = exam.Exam("x", made, (exam.Question("q", 1, len(made)),), "")
    return [
        cell.strip() for cell in exam.program(paper, paper.questions[0], {"q": answer_source}, ())
    ]


def test_a_local_name_brings_no_cell() -> None:
    answer_source = "def my_f(text):\n    counts = [c for c in text]\n    return counts"
    assert program(answer_source, "text = load()", "counts = 1", "c = 2") == [answer_source]


def test_names_from_outside_bring_their_cells_in_order() -> None:
    answer_source = "def my_f(x):\n    return scale(x)"
    cells = ("import math\nk = train()", "def scale(x):\n    return math.exp(k * x)", "j = 1")
    assert program(answer_source, *cells) == [*cells[:2], answer_source]


def test_a_cell_that_is_needed_for_an_import_is_not_run() -> None:
    answer_source = "def my_f(x):\n    return math.log(x)"
    cell = "import math\nfrom labkit import viz\n\ntrain(model)"
    assert program(answer_source, cell) == ["import math", answer_source]
