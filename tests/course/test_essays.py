"""The sheet of written answers: what any student wrote can be written, read and decided."""

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from classroom.essays import MOST_SHOWN, read_essays, write_essays
from labkit.course import CourseError
from labkit.course.record import QuestionMark, Record
from labkit.course.settings import Course
from tests.course.term import hand_in, make_course, make_exam

ODD = ["x" * 300_000, "=cmd|' /C calc'!A0", 'a "quote",\n\nand lines', "\0\x1b<script>", "写得好"]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_course(tmp_path)


def sheet_of(course: Course, answer: str) -> Path:
    with Record(course.folder / "grades.sqlite") as record:
        waits = QuestionMark(question="essay", points=None, out_of=3, exam="digest", source=answer)
        record.add_mark(hand_in(record, "ada"), waits)
        path, waiting = write_essays(course, make_exam(), record)
    assert waiting == 1
    return path


def filled(path: Path, points: str) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "points": points} for row in rows)


@pytest.mark.parametrize("answer", ODD)
def test_whatever_was_written_can_be_read_and_decided(course: Course, answer: str) -> None:
    path = sheet_of(course, answer)
    filled(path, "2.5")
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    shown = row["answer"].lstrip("'")
    assert shown.startswith(answer[:MOST_SHOWN].lstrip("'"))
    assert len(shown) < 32_767
    assert not row["answer"].startswith("=")
    with Record(course.folder / "grades.sqlite") as record:
        assert read_essays(course, make_exam(), record, path, "Li") == 1
        assert record.decisions("p1")["ada", "essay"].points == 2.5


def test_a_sheet_that_cannot_be_read_decides_nothing(course: Course) -> None:
    path = sheet_of(course, "short")
    text = path.read_text(encoding="utf-8-sig").replace("short", "x" * 200_000)
    path.write_text(text.replace("essay,3,,", "essay,3,2,"), encoding="utf-8")
    with Record(course.folder / "grades.sqlite") as record:
        with pytest.raises(CourseError, match="cannot be read as a sheet of essays"):
            read_essays(course, make_exam(), record, path, "Li")
        assert record.decisions("p1") == {}


def test_a_sheet_that_is_half_filled_is_written_again_with_what_is_in_it(course: Course) -> None:
    path = sheet_of(course, "short")
    text = path.read_text(encoding="utf-8-sig").replace("essay,3,,", "essay,3,2.5,good")
    path.write_text(text.replace("short", " short ,".strip(",")), encoding="utf-8")
    with Record(course.folder / "grades.sqlite") as record:
        write_essays(course, make_exam(), record)
    (row,) = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    assert (row["points"], row["comment"], row["answer"]) == ("2.5", "good", "short")


def test_points_are_for_the_answer_that_was_read(course: Course) -> None:
    path = sheet_of(course, "the first")
    filled(path, "2.5")
    with Record(course.folder / "grades.sqlite") as record:
        read_essays(course, make_exam(), record, path, "Li")
        again = hand_in(record, "ada", timedelta(hours=1))
        waits = QuestionMark(question="essay", points=None, out_of=3, exam="digest", source="new")
        record.add_mark(again, waits)
        assert record.decisions("p1") == {}
        with pytest.raises(CourseError, match="ada has handed in another answer to essay"):
            read_essays(course, make_exam(), record, path, "Li")
        assert write_essays(course, make_exam(), record)[1] == 1
        (row,) = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        assert (row["points"], row["answer"]) == ("", "new")


def test_a_sheet_with_semicolons_is_named(course: Course) -> None:
    path = sheet_of(course, "short")
    path.write_text(path.read_text(encoding="utf-8-sig").replace(",", ";"), encoding="utf-8")
    with Record(course.folder / "grades.sqlite") as record:
        for use in (
            lambda: read_essays(course, make_exam(), record, path, "Li"),
            lambda: write_essays(course, make_exam(), record),
        ):
            with pytest.raises(CourseError, match="some spreadsheets write semicolons"):
                use()
