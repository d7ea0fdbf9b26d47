"""Students get no answer, see what to expect, and nbgrader accepts what they get."""

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_output
from nbgrader.preprocessors import CheckCellMetadata
from nbgrader.utils import compute_checksum

from classroom.release import leaks, release, student_version
from labkit.course import CourseError
from labkit.course.settings import Assignment, Course
from tests.course.samples import (
    ANSWER,
    CHAPTERS,
    ESSAY,
    HIDDEN,
    PICTURE,
    QUOTING,
    SCHEME,
    SOLUTION,
    about,
    answer,
    cells_of,
    code,
    locked_test,
    notebook,
    printed,
    teachers,
)

NAME = "ps9.ipynb"
TEACHERS = notebook(*teachers())
STUB = '''\
def my_entropy(counts):
    """Return the entropy of some counts, in bits."""
    # YOUR CODE HERE
    raise NotImplementedError()


entropy = my_entropy
'''
every_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def released(*more: Any) -> list[dict[str, Any]]:
    return cells_of(student_version(NAME, notebook(*teachers(*more))))


def test_solutions_become_stubs_and_secrets_vanish() -> None:
    content = student_version(NAME, TEACHERS)
    title, ready, task, test, call, essay, draw = cells_of(content)
    assert (title["source"], ready["source"]) == ("# Entropy", "import math\n\nprint('ready')")
    assert task["source"] == STUB
    assert test["source"] == "assert my_entropy([5, 5]) == 1"
    assert call["source"] == "print(my_entropy([1, 1, 2]))"
    assert essay["source"] == "YOUR ANSWER HERE"
    assert "attachments" not in essay
    assert draw["source"] == "Draw it.\n"
    for secret in ("log2", "7, 7", "likely", "nobody", "BBBB", "BEGIN", "END "):
        assert secret not in content.decode()


def test_outputs_stay_except_where_they_tell() -> None:
    _, ready, task, test, call, _, _ = released()
    assert (ready["outputs"][0]["text"], ready["execution_count"]) == (["ready"], 1)
    assert [output["output_type"] for output in call["outputs"]] == ["stream", "display_data"]
    for cell in (task, test):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


def shown(source: str) -> Any:
    """What `show` and `inspect.getsource` leave in a notebook."""
    return [new_output("display_data", {"text/markdown": f"```python\n{source}\n```"})]


def solved(head: str, line: str) -> Any:
    """An answer cell of a line above the solution and one line in it."""
    return answer("more", f"{head}### BEGIN SOLUTION\n{line}\n### END SOLUTION\nanswer = my_best")


BEST = solved("def my_best():\n    ", "    return 7")
ORDER = solved("from math import log\n", "my_best = 5")
DOUBLE = solved("def my_best(x):\n    ", "    return 2 * x")

SHORT = "def my_best(x):\n    return 2 * x\nanswer = my_best"


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([code("show(my_entropy)", shown(ANSWER))], [True]),
        ([code("my_entropy??", printed(SOLUTION))], [True]),
        ([code("print('a few words')", printed("The entropy is largest"))], [False]),
        ([BEST, code("print(my_best())", printed("7"))], [True, True]),
        ([BEST, code("twice = 2 * answer()"), code("twice", printed("14"))], [True, True, True]),
        ([ORDER, code("print(my_best)", printed("5"))], [True, True]),
        ([ORDER, code("print(log(1))", printed("0"))], [True, False]),
        ([DOUBLE, code("show(my_best)", shown(SHORT))], [True, True]),
        ([DOUBLE, code("print(my_best(4))", printed("8"))], [True, False]),
    ],
)
def test_outputs_that_show_an_answer_go(cells: list[Any], told: list[bool]) -> None:
    after = released(*cells)[-len(cells) :]
    assert [cell["execution_count"] is None for cell in after] == told
    assert not any(cell["outputs"] for cell, gone in zip(after, told, strict=True) if gone)
    assert all(cell["outputs"] for cell, gone in zip(after, told, strict=True) if not gone)


def locked_tests_are_locked_and_checksums_are_nbgraders() -> None:
    content = student_version(NAME, TEACHERS)
    cells = nbformat.reads(content.decode(), as_version=4).cells
    graded = {
        cell.metadata.nbgrader.grade_id: cell for cell in cells if "nbgrader" in cell.metadata
    }
    assert list(graded) == ["entropy", "entropy-test", "why", "draw"]
    for cell in graded.values():
        assert cell.metadata.nbgrader.checksum == compute_checksum(cell)
        assert cell.metadata.deletable is False
    editable = [cell.metadata.get("editable", True) for cell in graded.values()]
    assert editable == [True, False, True, False]


def test_the_same_notebook_always_gives_the_same_bytes() -> None:
    without_ids = json.loads(TEACHERS)
    del without_ids["cells"][0]["id"]
    without_ids["cells"][1]["id"] = without_ids["cells"][2]["id"]
    script = (
        "import sys; from classroom.release import student_version as make;"
        "sys.stdout.buffer.write(make('x', sys.stdin.buffer.read()))"
    )
    for content in (TEACHERS, json.dumps(without_ids).encode()):
        first = student_version(NAME, content)
        assert len({cell["id"] for cell in json.loads(first)["cells"]}) == 7
        environment = {**os.environ, "PYTHONHASHSEED": "7"}
        command = [sys.executable, "-W", "error", "-c", script]
        other = subprocess.run(
            command, input=content, capture_output=True, env=environment, check=True
        )
        assert other.stdout == first


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is not a notebook"),
        (b"[]", "is not a notebook"),
        (b'{"cells": [3]}', "is not a notebook"),
        (b"\xff", "is not a notebook"),
        (notebook(answer("a", "### BEGIN SOLUTION\n1")), "end solution"),
        (notebook(code("### BEGIN SOLUTION\n1\n### END SOLUTION")), "non-solution"),
        (
            notebook(locked_test("a", "### BEGIN HIDDEN TESTS\n1")),
            "END HIDDEN TESTS|end hidden tests",
        ),
        (notebook(answer("a", "1"), answer("a", "2")), "Duplicate grade id: a"),
        (notebook(code("1", (), about("a", solution=True, schema_version=2))), "schema version"),
    ],
)
def test_a_faulty_notebook_is_named_in_one_sentence(content: bytes, reason: str) -> None:
    with pytest.raises(CourseError, match=f"^{NAME} .*{reason}") as caught:
        student_version(NAME, content)
    assert "\n" not in str(caught.value)


# Leaks, planted in the released notebook: each must be found, wherever it is and however it looks.

SHORT_LINE, _, LINE, _ = map(str.strip, SOLUTION.splitlines())
UNCOMMENTED = SOLUTION.replace("# each divided by all", "")
HIGHLIGHTED = "".join(
    f'<span class="{"k" if word.isalpha() else "o"}">{html.escape(word)}</span> '
    for word in SOLUTION.split(" ")
)
TRACEBACK = [
    "\x1b[0;31mZeroDivisionError\x1b[0m  Traceback (most recent call last)",
    "Cell \x1b[0;32mIn[3], line 4\x1b[0m, in \x1b[0;36mmy_entropy\x1b[0;34m(counts)\x1b[0m",
    "\x1b[1;32m      2\x1b[0m shares \x1b[38;5;241m=\x1b[39m [count \x1b[38;5;241m/\x1b[39m "
    "total \x1b[38;5;28;01mfor\x1b[39;00m count in counts]\n"
    "\x1b[0;32m----> 3\x1b[0;31m     surprises = [share",
]
ERROR = {"output_type": "error", "ename": "E", "evalue": "", "traceback": TRACEBACK}
Plant = Callable[[dict[str, Any]], Any]


def in_cell(number: int, **parts: Any) -> Plant:
    return lambda book: book["cells"][number].update(parts)


def in_output(**data: Any) -> Plant:
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    return lambda book: book["cells"][1]["outputs"].append(output)


PLANTS: dict[str, tuple[Plant, str]] = {
    "source": (in_cell(1, source=SOLUTION), "source of cell 1"),
    "a stub that is none": (in_cell(2, source=ANSWER), r"source of cell 2 \(entropy\)"),
    "one line": (in_cell(1, source=["x = 1\n", LINE]), "source"),
    "one short line": (in_cell(1, source=f"x = 1\n{SHORT_LINE}"), "source"),
    "spaces": (in_cell(1, source=LINE.replace(" ", "").replace("in", " in ")
                       .replace("for", " for ").replace("if", " if ")), "source"),
    "other line breaks": (in_cell(1, source=LINE.replace("(", "(\n").replace(" ", "\n")), "source"),
    "a comment": (in_cell(1, source=f"x = 1  # so: {LINE}"), "source"),
    "no comments": (in_cell(1, source=UNCOMMENTED), "source"),
    "text": (in_cell(0, source=f"# Entropy\n<!-- {SOLUTION} -->"), "source of cell 0"),
    "printed": (in_cell(1, outputs=[{"output_type": "stream", "name": "stdout",
                                     "text": [f"{SOLUTION}\n"]}]), "outputs of cell 1"),
    "repr": (in_output(**{"text/plain": [repr(SOLUTION)]}), "outputs"),
    "markdown": (in_output(**{"text/markdown": f"```\n{ANSWER}\n```"}), "outputs"),
    "highlighted": (in_output(**{"text/html": HIGHLIGHTED}), "outputs"),
    "frame in HTML": (in_output(**{"text/html": f'<iframe srcdoc="{html.escape(HIGHLIGHTED)}">'}),
                      "outputs"),
    "alt": (in_output(**{"text/html": f'<img alt="{html.escape(SOLUTION)}">'}), "outputs"),
    "plotly": (in_output(**{"application/json": {"layout": {"title": {"text": LINE}}}}), "outputs"),
    "JSON in text": (in_output(**{"text/html": f"<script>{json.dumps([SOLUTION])}</script>"}),
                     "outputs"),
    "quotes in text": (in_output(**{"text/html": f"<script>{json.dumps([QUOTING])}</script>"}),
                       "outputs"),
    "traceback": (in_cell(1, outputs=[ERROR]), "outputs"),
    "cell's metadata": (in_cell(4, metadata={"labkit": {"why": SOLUTION}}), "metadata of cell 4"),
    "a key": (in_cell(4, metadata={LINE: 1}), "metadata of cell 4"),
    "attachment": (in_cell(5, attachments={"answer.png": PICTURE}), r"attachments of cell 5 \(why"),
    "notebook's metadata": (lambda book: book["metadata"].update(note={"x": [SOLUTION, 1]}),
                            "notebook's metadata"),
    "widget state": (lambda book: book["metadata"].update(
        widgets={"state": {"a": {"value": json.dumps(SOLUTION)}}}), "notebook's metadata"),
    "essay": (in_output(**{"text/plain": f"He says: {ESSAY[:75]}"}), "outputs"),
    "hidden test": (in_cell(3, source=HIDDEN), "source of cell 3"),
    "hidden test elsewhere": (in_cell(6, metadata={"tests": [HIDDEN]}), "metadata of cell 6"),
    "mark scheme": (in_cell(6, source=f"Draw it. {SCHEME}"), r"source of cell 6 \(draw"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_leak_is_found_where_it_is(name: str) -> None:
    plant, where = PLANTS[name]
    book = json.loads(student_version(NAME, TEACHERS))
    assert leaks(TEACHERS, json.dumps(book).encode()) == []
    plant(book)
    found = leaks(TEACHERS, json.dumps(book).encode())
    assert len(found) == 1
    assert re.search(where, found[0]), found


def test_every_secret_is_found_in_the_teachers_own_notebook() -> None:
    found = " ".join(leaks(TEACHERS, TEACHERS))
    for name in ("piece of entropy,", "piece of entropy-test,", "piece of why,", "piece of draw,"):
        assert name in found


@pytest.mark.parametrize(
    "harmless",
    [
        "return sum(surprises)",
        "return x",
        "for count in counts:",
        "my_entropy([5, 5]) == 1",
        "def my_entropy(counts):\n    return 0",
        "assert abs(x) < 1e-9",
        "The entropy is largest here.",
        "counts = [1, 2, 3]  # each divided by all",
    ],
)
def test_what_anybody_could_write_is_no_leak(harmless: str) -> None:
    book = json.loads(student_version(NAME, TEACHERS))
    in_cell(1, source=harmless)(book)
    in_output(**{"text/plain": harmless})(book)
    assert leaks(TEACHERS, json.dumps(book).encode()) == []


def test_a_line_that_the_teacher_shows_elsewhere_is_no_leak() -> None:
    lesson = notebook(*teachers(new_markdown_cell(f"Remember:\n\n    {LINE}")))
    assert leaks(lesson, student_version(NAME, lesson)) == []
    book = json.loads(student_version(NAME, lesson))
    in_output(**{"text/plain": LINE})(book)
    assert leaks(lesson, json.dumps(book).encode()) == []


def course(folder: Path, *more: Any) -> tuple[Course, Assignment]:
    (folder / NAME).write_bytes(notebook(*teachers(*more)))
    assignment = Assignment(name="first", notebook=NAME, deadline=datetime(2027, 1, 1, tzinfo=UTC))
    return Course(folder=folder, title="", seed="0" * 16), assignment


def test_a_release_lies_in_the_course_folder(tmp_path: Path) -> None:
    path = release(*course(tmp_path))
    assert path == tmp_path / "release" / "first" / "first.ipynb"
    assert path.read_bytes() == student_version(NAME, TEACHERS)
    assert [item.name for item in path.parent.iterdir()] == ["first.ipynb"]
    assert (tmp_path / NAME).read_bytes() == TEACHERS


@pytest.mark.parametrize("body", [SOLUTION, UNCOMMENTED, SOLUTION.replace("# each", "# Each")])
def test_a_solution_that_the_teacher_forgot_elsewhere_stops_the_release(
    body: str, tmp_path: Path
) -> None:
    forgotten = code(f"def tried(counts):\n    {body}")
    with pytest.raises(CourseError, match=r"ps9.ipynb .* the source of cell 7: a piece of entropy"):
        release(*course(tmp_path, forgotten))
    assert not (tmp_path / "release").exists()


# Every chapter and problem set.


@every_chapter
def test_a_chapter_is_released_without_leaks_and_with_its_outputs(path: Path) -> None:
    content = path.read_bytes()
    student = student_version(path.name, content)
    assert leaks(content, student) == []
    before, after = cells_of(content), cells_of(student)
    answers = [cell for cell in before if cell["metadata"].get("nbgrader", {}).get("solution")]
    told = " ".join(leaks(content, content))
    assert answers
    for cell in answers:
        assert f"a piece of {cell['metadata']['nbgrader']['grade_id']}," in told
    cleared = [
        number
        for number, (old, new) in enumerate(zip(before, after, strict=True))
        if old.get("outputs") != new.get("outputs") and "nbgrader" not in old["metadata"]
    ]
    assert cleared == [], "cells of the lesson that lost their outputs"
    for old, new in zip(before, after, strict=True):
        if "nbgrader" not in old["metadata"]:
            assert (old["source"], old["metadata"]) == (new["source"], new["metadata"])
        elif "outputs" in new:
            assert (new["outputs"], new["execution_count"]) == ([], None)


@every_chapter
def test_nbgrader_finds_the_metadata_of_a_chapter_in_order(path: Path) -> None:
    student = student_version(path.name, path.read_bytes()).decode()
    book, _ = CheckCellMetadata().preprocess(nbformat.reads(student, as_version=4), {})
    for cell in book.cells:
        if "nbgrader" in cell.metadata:
            assert cell.metadata.nbgrader.schema_version == 3
            assert cell.metadata.nbgrader.checksum == compute_checksum(cell)
            assert cell.metadata.nbgrader.cell_type == cell.cell_type
