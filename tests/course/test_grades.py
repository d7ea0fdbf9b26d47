"""Tables of grades and the page about a class."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classroom.grades import table, write_grades
from labkit.chromium import find_chromium
from labkit.course.record import Decision, QuestionMark, Record
from labkit.course.settings import Course, Student
from tests.browser.lab import chromium_page
from tests.course.term import hand_in, make_course, make_exam, mark
from tests.course.test_feedback import HOSTILE, STEERING, Seen

COLUMNS = ["id", "name", "first", "second", "essay", "late days", "total", "out of", "status"]


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with Record(tmp_path / "grades.sqlite") as opened:
        yield opened


def written(course: Course, record: Record) -> dict[str, bytes]:
    """The files by the end of their names."""
    files = write_grades(course, course.assignment("p1"), make_exam(), record)
    assert all(path.parent == course.folder / "grades" for path in files)
    return {path.name.removeprefix("p1"): path.read_bytes() for path in files}


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def hand_out(record: Record) -> None:
    """Ada has all points, bo is late and half graded, cy is missing, gone is on no roster."""
    mark(record, hand_in(record, "ada"), {"first": 4, "second": 1.5, "essay": None})
    record.decide("p1", Decision("ada", "essay", 3, "T", "good"))
    mark(record, hand_in(record, "bo", timedelta(days=3)), {"first": 2, "essay": 3})
    mark(record, hand_in(record, "gone"), {"first": 1, "second": 1, "essay": 1})


def test_the_plain_table_has_everybody(tmp_path: Path, record: Record) -> None:
    hand_out(record)
    found = rows(written(make_course(tmp_path), record)["-plain.csv"])
    assert found == [
        COLUMNS,
        ["ada", "Ada Lovelace", "4", "1.5", "3", "0", "8.5", "9", "graded"],
        ["bo", "博文", "2", "", "3", "3", "", "9", "waiting"],
        ["cy", "'=cmd|' /C calc'!A0", "", "", "", "0", "0", "9", "missing"],
        ["gone", "", "1", "1", "1", "0", "3", "9", "graded, not on the roster"],
    ]


def test_moodle_gets_its_columns_and_nobody_it_does_not_know(
    tmp_path: Path, record: Record
) -> None:
    hand_out(record)
    assert rows(written(make_course(tmp_path), record)["-moodle.csv"]) == [
        ["ID number", "Email address", "Set p1"],
        ["ada", "ada@example.org", "8.5"],
        ["bo", "bo@example.org", "-"],
        ["cy", "cy@example.org", "0"],
    ]


def test_canvas_gets_its_columns_and_the_points_possible(tmp_path: Path, record: Record) -> None:
    hand_out(record)
    content = written(make_course(tmp_path), record)["-canvas.csv"]
    assert rows(content) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Set p1"],
        ["Points Possible", "", "", "", "", "9"],
        ["Ada Lovelace", "", "ada", "ada@example.org", "", "8.5"],
        ["博文", "", "bo", "bo@example.org", "", ""],
        ["'=cmd|' /C calc'!A0", "", "cy", "cy@example.org", "", "0"],
    ]
    assert content.startswith(b"\xef\xbb\xbfStudent,"), "a quote after the mark breaks its parser"


def test_only_tables_that_need_it_have_a_byte_order_mark(tmp_path: Path, record: Record) -> None:
    files = written(make_course(tmp_path), record)
    assert files["-plain.csv"].startswith(b"\xef\xbb\xbf")
    assert files["-moodle.csv"].startswith(b"ID number")


@given(st.text(alphabet="=+-@＝＋－＠\t\r\n \"',;a1(", max_size=8))
def test_no_cell_is_a_formula(text: str) -> None:
    ((cell, number),) = rows(table([[text, -1.5]]))
    assert len(cell) < 2 or cell[0] not in "=+-@＝＋－＠\t\r\n"
    assert cell.removeprefix("'") == " ".join(text.split()).removeprefix("'")
    assert number == "-1.5", "a number stays one"


def test_the_page_counts_the_class(tmp_path: Path, record: Record) -> None:
    hand_out(record)
    course = make_course(tmp_path)
    page = written(course, record)[".html"].decode("utf-8")
    seen = Seen(page)
    said = re.findall(r'<td class="number">([^<]*)</td>', page.split("</table>")[0])
    assert said == ["4", "3", "1", "1", "1", "5.75", "4.38", "5.75", "7.12", "9"]
    assert "of the 2 who handed in and have all their points" in seen.text
    assert "script" not in seen.tags


def make_class(folder: Path, record: Record, n: int = 13) -> Course:
    """A class in which `first` and `essay` go together and `second` goes nearly the other way."""
    for i in range(n):
        submission = hand_in(record, f"s{i:02}")
        good = i % 3
        mark(record, submission, {"second": (2, 0, 0.5)[good], "essay": (0, 1.5, 3)[good]})
        came = ("the transpose", "0.33333333333333331" if i % 2 else "0.3333333333333333")[good % 2]
        detail = [{"share": 1, "tried": "f(0)", "came": "0", "expected": "0"}]
        detail += [{"share": 0, "tried": "f(1)", "came": came, "expected": "one"}] * (good < 2)
        earned = QuestionMark(
            question="first", points=(0, 2, 4)[good], out_of=4, exam="digest", detail=detail
        )
        record.add_mark(submission, earned)
    roster = {f"s{i:02}": Student(f"s{i:02}") for i in range(n)}
    return make_course(folder).model_copy(update={"roster": roster})


def test_the_page_tells_how_hard_and_how_telling_a_question_is(
    tmp_path: Path, record: Record
) -> None:
    course = make_class(tmp_path, record)
    page = written(course, record)[".html"].decode("utf-8")
    table_of = re.findall(r"<tr><td>(\w+)</td>(.*?)</tr>", page, re.DOTALL)
    found = {name: re.findall(r">([^<\s]+)</td>", cells) for name, cells in table_of}
    order = [i % 3 for i in range(13)]
    of = {
        "first": np.array([0, 2, 4]),
        "second": np.array([2, 0, 0.5]),
        "essay": np.array([0, 1.5, 3]),
    }
    of = {name: points[order] for name, points in of.items()}
    for name, out_of in (("first", 4), ("second", 2), ("essay", 3)):
        rest = sum(of.values()) - of[name]
        r = np.corrcoef(of[name], rest)[0, 1]
        mean = of[name].mean() / out_of
        assert found[name][0] == f"{out_of}"
        assert found[name][-2:] == [f"{mean:.0%}", f"{r:.2f}"]
    assert found["first"][1:5] == ["5", "0", "4", "4"]
    assert found["second"][1:5] == ["4", "4", "0", "5"]


def test_the_page_gathers_what_was_wrong_in_the_same_way(tmp_path: Path, record: Record) -> None:
    course = make_class(tmp_path, record)
    for i, log in enumerate(["Traceback\nTimeout: 10 s", "Timeout: 10 s", ""]):
        blank = QuestionMark(question="second", points=0, out_of=2, exam="later", log=log)
        record.add_mark(hand_in(record, f"s{i:02}"), blank)
    page = written(course, record)[".html"].decode("utf-8")
    ways = page.split("Which wrong answer how often")[1]
    found = re.findall(
        r'number">(\d+)</td><td><pre>(.*?)</pre></td><td><pre>(.*?)</pre></td><td><pre>(.*?)</pre>',
        ways,
    )
    assert found[:2] == [
        ("5", "the transpose", "one", "f(1)"),
        ("4", "0.33333333333333331", "one", "f(1)"),
    ]
    assert ("2", "Timeout: 10 s", "", "") in found
    assert "essay" not in ways


def test_hostile_text_is_text(tmp_path: Path, record: Record) -> None:
    case = {"share": 0, "tried": HOSTILE, "came": HOSTILE + STEERING, "expected": "one"}
    earned = QuestionMark(question="first", points=0, out_of=4, exam="digest", detail=[case])
    record.add_mark(hand_in(record, "ada"), earned)
    page = written(make_course(tmp_path), record)[".html"].decode("utf-8")
    assert not {"script", "img", "a", "b"} & set(Seen(page).tags)
    assert Seen(page).text.count(HOSTILE) == 2
    assert not re.search("[\x00-\x08\x0b-\x1f\x1b\u202a-\u202e\u2066-\u2069]", page)


def test_an_empty_course_and_points_beyond_all_are_no_error(tmp_path: Path, record: Record) -> None:
    nobody = make_course(tmp_path).model_copy(update={"roster": {}})
    assert rows(written(nobody, record)["-plain.csv"]) == [COLUMNS]
    mark(record, hand_in(record, "ada"), {"first": 4, "second": 2, "essay": 3})
    record.decide("p1", Decision("ada", "essay", 300, "T", "beyond"))
    record.decide("p1", Decision("ada", "first", -400, "T", "copied"))
    assert "-98" in written(make_course(tmp_path), record)["-plain.csv"].decode("utf-8-sig")


@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
def test_chromium_draws_the_pictures_inside_their_frames(tmp_path: Path, record: Record) -> None:
    course = make_class(tmp_path, record)
    outside = """() => [...document.querySelectorAll('svg')].flatMap(svg => {
      const frame = svg.getBoundingClientRect();
      return [...svg.querySelectorAll('text, rect, line')].filter(node => {
        const box = node.getBoundingClientRect();
        return box.left < frame.left || box.right > frame.right
          || box.top < frame.top || box.bottom > frame.bottom;
      }).map(node => node.outerHTML);
    })"""
    with chromium_page(str(find_chromium())) as page:
        written(course, record)
        page.goto((tmp_path / "grades/p1.html").as_uri())
        assert page.evaluate(outside) == []
        assert page.locator("svg rect.bar").count() == 19
        assert page.locator("svg").count() == 2
        bars = page.locator("rect.bar").evaluate_all(
            "bars => bars.map(bar => bar.height.baseVal.value)"
        )
        assert sum(height > 0 for height in bars) == 3
        for student in course.roster:
            for question, points in (("first", 4), ("second", 2), ("essay", 3)):
                record.decide("p1", Decision(student, question, points, "T", "all right"))
        written(course, record)
        page.reload()
        assert page.evaluate(outside) == [], "everybody at the right edge"
