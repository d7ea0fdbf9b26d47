"""What a notebook asks, which cell of a submission answers it, and what runs with the answer."""

import ast
import json
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.course import CourseError
from labkit.course.exam import MOST_CELLS, Exam, answers, program, read_exam
from labkit.course.source import (
    LARGEST_ANSWER,
    MOST_COMMANDS,
    defined,
    plain,
    used,
    without_idle_imports,
)
from tests.course.attacks import SOURCES
from tests.course.small import (
    ANSWERS,
    ROWS,
    SETUP,
    TOTAL,
    WRONG_TOTAL,
    answer,
    cell,
    changed,
    make_course,
    notebook,
    packed,
    students,
    teachers,
)


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    return read_exam(*make_course(tmp_path_factory.mktemp("course")))


def given_by(exam: Exam, *cells: dict[str, Any]) -> dict[str, str]:
    return answers(exam, packed(notebook(*cells)))


def test_an_exam_is_its_answer_cells_in_order(exam: Exam) -> None:
    assert [(q.id, q.points, q.cell) for q in exam.questions] == [
        ("total", 2, 2),
        ("rows", 3, 4),
        ("why", 4, 6),
    ]
    assert [q.exercise and q.exercise.name for q in exam.questions] == ["my_total", "my_rows", None]
    assert exam.question("rows") is exam.questions[1]
    with pytest.raises(CourseError, match="no question 'row'; it has: total, rows, why"):
        exam.question("row")


def test_an_exam_changes_with_its_notebook_and_with_its_seed(exam: Exam, tmp_path: Path) -> None:
    assert read_exam(*make_course(tmp_path)).digest == exam.digest
    other = changed(teachers(), 0, source="Another text.")
    assert read_exam(*make_course(tmp_path, other)).digest != exam.digest
    make_course(tmp_path)
    settings = tmp_path / "course.toml"
    settings.write_text(settings.read_text().replace("a-secret", "b-secret"))
    course = make_course.__globals__["read_course"](tmp_path)
    assert read_exam(course, course.assignment("small")).digest != exam.digest


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (notebook(cell("code", SETUP)), "asks nothing"),
        (notebook(answer("total", "x = 1")), "defines 0 functions"),
        (notebook(answer("both", TOTAL + ROWS)), "defines 2 functions"),
    ],
)
def test_a_notebook_that_asks_nothing_to_be_marked_is_refused(
    made: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(CourseError, match=told):
        read_exam(*make_course(tmp_path, made))


def test_a_missing_notebook_and_missing_exercises_are_named(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path, checks="tests.course.nowhere")
    with pytest.raises(CourseError, match=r"no exercises for small\.ipynb"):
        read_exam(course, assignment)
    (tmp_path / "small.ipynb").unlink()
    with pytest.raises(CourseError, match="there is no notebook for small"):
        read_exam(course, assignment)


def test_an_honest_submission_is_taken_as_it_is(exam: Exam) -> None:
    assert answers(exam, packed(students())) == ANSWERS
    assert answers(exam, packed(teachers()))["rows"] == ROWS


def test_of_several_cells_of_a_name_the_last_that_defines_counts(exam: Exam) -> None:
    first, last = "my_total = 1", "my_total = 2"
    cells = [answer("total", text) for text in (first, last, "print('a note')")]
    assert given_by(exam, *cells)["total"] == last
    assert given_by(exam, *cells[::-1])["total"] == first


def test_of_several_cells_that_define_nothing_the_last_counts(exam: Exam) -> None:
    cells = [answer("total", text) for text in ("def my_total(:", "my_totall = 2")]
    assert given_by(exam, *cells)["total"] == "my_totall = 2"


def test_a_cell_without_its_name_is_found_by_what_it_defines(exam: Exam) -> None:
    for text in (TOTAL, "%%time\n" + TOTAL, "  my_total = sum", "class my_total: pass"):
        cells = [cell("code", "x = my_total"), cell("raw", text), cell("code", "my_total([])")]
        assert given_by(exam, *cells)["total"] == (text if text != "  my_total = sum" else "")


def test_a_cell_of_the_name_goes_before_others_that_define(exam: Exam) -> None:
    mine, other = answer("total", "my_total = 1"), cell("code", "my_total = 2")
    assert given_by(exam, mine, other)["total"] == given_by(exam, other, mine)["total"]


def test_the_tests_of_the_teacher_are_no_answers(exam: Exam) -> None:
    test = exam.cells[3].source
    assert given_by(exam, answer("total", test))["total"] == ""
    assert given_by(exam, cell("code", TOTAL), answer("total", test + "\n"))["total"] == TOTAL


def test_what_is_not_answered_is_empty(exam: Exam) -> None:
    assert given_by(exam) == {"total": "", "rows": "", "why": ""}
    assert given_by(exam, answer("why", " \n", kind="markdown"))["why"] == ""


def test_written_answers_are_found_by_name_alone(exam: Exam) -> None:
    assert given_by(exam, cell("markdown", "Because."))["why"] == ""
    assert given_by(exam, answer("why", "Because.", kind="raw"))["why"] == "Because."


def test_the_search_among_hostile_cells_is_bounded(exam: Exam) -> None:
    seldom = [answer("total", TOTAL), *(answer("total", "x = 1") for _ in range(MOST_CELLS))]
    assert given_by(exam, *seldom)["total"] == "x = 1"
    assert given_by(exam, *seldom[:-1])["total"] == TOTAL


def test_a_definition_is_found_before_any_number_of_calls(exam: Exam) -> None:
    calls = [cell("code", f"my_total([{n}])\nprint(my_total)") for n in range(3 * MOST_CELLS)]
    assert given_by(exam, cell("code", TOTAL), *calls)["total"] == TOTAL


def test_so_many_commands_are_taken_out_of_a_cell() -> None:
    assert plain("%time\n" * MOST_COMMANDS) == "pass\n" * MOST_COMMANDS
    assert "%time" in plain("%time\n" * (MOST_COMMANDS + 1))


def test_halves_of_letters_are_replaced(exam: Exam) -> None:
    assert given_by(exam, answer("why", "a\ud800b", kind="markdown"))["why"] == "a?b"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a = b = 1\nc, (d, *e) = f", ["a", "b", "c", "d", "e"]),
        ("a: int = 1\nb += 1\nif (c := 1): d = 2", ["a", "b", "c", "d"]),
        ("def f(a): b = 1\nclass C:\n    d = 1\nasync def g(): pass", ["f", "C", "g"]),
        ("import a, b.c, d as e\nfrom f import g, h as i", ["a", "b", "e", "g", "i"]),
        ("for a in b:\n    with c as d: e = 1\ntry: f = 1\nexcept E: g = 2", list("adefg")),
        ("x = [y for y in z]\nlambda w: w", ["x"]),
        ("a.b = 1\nc[0] = 2", []),
        ("no python", []),
        ("x = 1\0", []),
        ("x = 1" + " " * LARGEST_ANSWER, []),
    ],
)
def test_what_a_cell_defines(source: str, names: list[str]) -> None:
    assert defined(source) == names


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("x = y + x", {"y"}),
        ("def f(a, b=c):\n    d = a\n    return d + e + f(1)", {"c", "e"}),
        ("class C(B):\n    x = y\n    def m(self): return z + x", {"B", "y", "z", "x"}),
        ("[q for q in r if s(q)]", {"r", "s"}),
        ("def f():\n    global g\n    g = 1", {"g"}),
        ("import a\na.b(c)", {"c"}),
        ("no python", set()),
        ("x" + "+1" * LARGEST_ANSWER, set()),
    ],
)
def test_what_a_cell_needs(source: str, names: set[str]) -> None:
    assert used(source) == names


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("x = 1", "x = 1"),
        ("%%time\n%%capture out\nx = 1", "x = 1"),
        ("  %%time\nx = 1", "x = 1"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if x:\n    !ls -l 'it\n    y = 1", "if x:\n    pass\n    y = 1"),
        ("files = !ls\nx = %pwd\nmax?\n?max\nmax??", "pass\npass\npass\npass\npass"),
        ("x = '''\n%s\n!\n'''\n%time f(", "x = '''\n%s\n!\n'''\npass"),
        ("print('%d'\n      % 3)\n%time f()", "print('%d'\n      % 3)\npass"),
        ("x = 1\r\n%time x\r\ny = 2", "x = 1\npass\ny = 2"),
        ("no python", "no python"),
        ("%time x\nno python", "%time x\nno python"),
    ],
)
def test_a_cell_without_the_commands_of_ipython(source: str, python: str) -> None:
    assert plain(source) == python


@pytest.mark.parametrize("attack", SOURCES, ids=lambda attack: str(attack.name))
def test_hostile_sources_only_ever_give_names(attack: Any, exam: Exam) -> None:
    given = answers(exam, packed(attack.submission))
    for source in given.values():
        assert isinstance(plain(source), str)
        assert all(map(str.isidentifier, [*defined(source), *used(source)]))
    assert program(exam, exam.question("rows"), given, [])


PIECES = (
    *("(", ")", "[", "]", "{", "}", "'", '"', "'''", "\\", "\n", "\r", "\t", "    ", " ", "#", ":"),
    *(
        "%",
        "!",
        "?",
        "=",
        ":=",
        ".",
        ",",
        "*",
        "@",
        "-",
        "1",
        "0x",
        "1e9",
        "\0",
        "\f",
        "\ud800",
        "猫",
    ),
    *(
        "def ",
        "class ",
        "lambda ",
        "if ",
        "else ",
        "for ",
        "in ",
        "import ",
        "from ",
        "async ",
        "f'",
    ),
    *(
        "match ",
        "case ",
        "try:",
        "except",
        "with ",
        "as ",
        "global ",
        "nonlocal ",
        "del ",
        "await ",
    ),
    *("my_total", "x", "return ", "yield ", "not ", "pass", "print ", "%%time\n", "\\N{", "b'"),
)


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_no_text_breaks_what_looks_at_it(seed: int, length: int) -> None:
    text = "".join(random.Random(seed).choices(PIECES, k=length))
    for name in [*defined(text), *used(text), *defined(plain(text))]:
        assert isinstance(name, str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["cells", "source", "metadata", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "source": JSON | st.lists(st.sampled_from(["my_total = 1\n", "x", "%x\n"])),
        "cell_type": JSON,
        "metadata": JSON | st.fixed_dictionaries({"nbgrader": JSON}),
    },
)


@given(JSON | st.fixed_dictionaries({"cells": JSON | st.lists(CELLS | JSON, max_size=5)}))
def test_whatever_json_comes_is_answers_or_refused(exam: Exam, content: Any) -> None:
    try:
        given = answers(exam, json.dumps(content).encode())
    except CourseError:
        return
    assert set(given) == {"total", "rows", "why"}
    assert "".join(given.values()).encode("utf-8").decode("utf-8") == "".join(given.values())


def parts(exam: Exam, name: str, given: dict[str, str], **options: Collection[str]) -> list[str]:
    """The program of an answer, without its last part, which is the answer."""
    found = program(exam, exam.question(name), given, options.pop("wrong", ()), **options)
    assert found[-1] == plain(given[name])
    return found[:-1]


def lines(source: str) -> str:
    return ast.unparse(ast.parse(source))


def test_an_answer_runs_with_the_cells_that_it_needs(exam: Exam) -> None:
    given = dict(ANSWERS)
    assert parts(exam, "total", given) == []
    assert parts(exam, "rows", given) == [lines("SCALE = 2.0"), TOTAL]
    given["rows"] = "def my_rows(counts): return np.ones(2)"
    assert parts(exam, "rows", given) == ["import numpy as np"]
    given["total"] = "def my_total(values): return np.sum(values)"
    assert parts(exam, "total", given) == ["import numpy as np"]


def test_an_earlier_answer_that_is_wrong_is_replaced_by_the_teachers(exam: Exam) -> None:
    given = {**ANSWERS, "total": WRONG_TOTAL}
    assert parts(exam, "rows", given) == [lines("SCALE = 2.0"), WRONG_TOTAL]
    ours = lines(exam.cells[2].source)
    assert "secret" not in ours
    assert parts(exam, "rows", given, wrong=["total"]) == [lines("SCALE = 2.0"), ours]


def test_what_only_an_earlier_answer_defines_is_kept(exam: Exam) -> None:
    helped = {"total": WRONG_TOTAL + "helper = 3", "rows": ROWS + "helper", "why": ""}
    ours = lines(exam.cells[2].source)
    assert parts(exam, "rows", helped, wrong=["total"])[1:] == [helped["total"], ours]
    stopped = parts(exam, "rows", helped, wrong=["total"], stopped=["total"])
    assert stopped[1:] == [ours]


def test_an_earlier_answer_without_its_last_line_gets_the_teachers(exam: Exam) -> None:
    given = {**ANSWERS, "total": "my_total = sum"}
    assert parts(exam, "rows", given) == [lines("SCALE = 2.0"), lines(exam.cells[2].source)]
    given["rows"] += "my_total"
    ours = lines(exam.cells[2].source)
    assert parts(exam, "rows", given) == [lines("SCALE = 2.0"), "my_total = sum", ours]


def test_commands_of_ipython_do_not_run(exam: Exam) -> None:
    given = {**ANSWERS, "rows": "%%time\n" + ROWS + "!ls"}
    assert program(exam, exam.question("rows"), given, [])[-1] == ROWS + "pass"


def test_imports_that_nothing_needs_are_left_out() -> None:
    source = "import a, b as c\nfrom d import e\nx = a.y\n"
    assert without_idle_imports(source, {"x"}) == "import a\nx = a.y"
    assert without_idle_imports(source, {"c", "e"}) == "import b as c\nfrom d import e"
    assert without_idle_imports(source, {"nothing"}) == ""
    assert without_idle_imports("no python", {"x"}) == "no python"
