"""Written answers: a sheet to grade them by hand, and decisions above what was marked.

The sheet is a CSV file with one row for each answer that waits; whoever reads it fills in points
and a comment and gives it back. Names are left out, so that nobody is read with another eye.
"""

import csv
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path

from labkit.course import CourseError
from labkit.course.exam import Exam
from labkit.course.record import Decision, Record
from labkit.course.settings import Course
from labkit.files import write_atomically

COLUMNS = ("student", "question", "out_of", "points", "comment", "answer")
MOST_SHOWN = 30_000
"""Characters of an answer that the sheet holds; spreadsheets hold 32,767 in a cell."""


def write_essays(course: Course, exam: Exam, record: Record) -> tuple[Path, int]:
    """Write the sheet of answers that wait for a reader; return it and how many they are."""
    decided = record.decisions(exam.name)
    path = course.folder / "essays" / f"{exam.name}.csv"
    filled = {_key(row): row for row in _rows(path)} if path.exists() else {}
    text = io.StringIO()
    sheet = csv.writer(text)
    sheet.writerow(COLUMNS)
    waiting = 0
    for question in exam.questions:
        for submission in record.submissions(exam.name):
            mark = record.marks(submission.id).get(question.id)
            known = mark is None or mark.points is not None
            if known or (submission.student, question.id) in decided:
                continue
            answer = _shown(mark.source if mark else "")
            safe = f"'{answer}" if answer.startswith(("=", "+", "-", "@")) else answer
            row = {"student": submission.student, "question": question.id, "answer": safe}
            before = filled.get(_key(row), {})  # what its reader has not given back yet
            given = (before.get("points", ""), before.get("comment", ""))
            sheet.writerow([row["student"], question.id, question.points, *given, safe])
            waiting += 1
    write_atomically(path, "\ufeff" + text.getvalue())  # by which spreadsheets know UTF-8
    return path, waiting


def _shown(answer: str) -> str:
    """Cut an answer that no spreadsheet could hold, and say so."""
    if len(answer) <= MOST_SHOWN:
        return answer
    return f"{answer[:MOST_SHOWN]}… ({len(answer):,} characters; the rest is in the submission)"


def _rows(sheet: Path) -> list[dict[str, str]]:
    """Read a sheet; raise CourseError where it is none."""
    try:
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            rows = [*csv.DictReader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise CourseError(
            f"{sheet} cannot be read as a sheet of essays ({error}): save it as CSV in UTF-8, or "
            "rename it and let `labkit course essays` write another"
        ) from error
    if rows and not {*COLUMNS} <= rows[0].keys():
        raise CourseError(
            f"{sheet}: expected the columns {', '.join(COLUMNS)} with commas between, got "
            f"{', '.join(map(str, rows[0]))[:99]!r}: some spreadsheets write semicolons"
        )
    return rows


def _key(row: Mapping[str, str]) -> tuple[str, str, str]:
    """Tell an answer from others, whatever a spreadsheet does to its spaces and signs."""
    return row["student"], row["question"], re.sub(r"\W+", "", row["answer"] or "")


def rubric(exam: Exam, question: str) -> str:
    """Return the mark scheme of a question, from the teacher's notebook."""
    source = exam.cells[exam.question(question).cell].source
    _, _, after = source.partition("### BEGIN MARK SCHEME")
    return after.partition("### END MARK SCHEME")[0].strip()


def read_essays(course: Course, exam: Exam, record: Record, sheet: Path, who: str) -> int:
    """Keep the points of a sheet that has been filled in; return how many.

    Rows without points are passed over. Raises CourseError, and keeps nothing, where a row cannot
    be right, or where the answer is not the one that counts any more.
    """
    if not who.strip():
        raise CourseError('expected the name of the person who read them: --who "A NAME"')
    rows = [row for row in _rows(sheet) if (row["points"] or "").strip()]
    decisions = []
    for row in rows:
        now = _shown(record.answer(exam.name, row["student"], row["question"]))
        if _key(row) != _key({**row, "answer": now}):
            raise CourseError(
                f"{row['student']} has handed in another answer to {row['question']} since this "
                "sheet was written: write it again, which keeps the points of the others"
            )
        about = (course, exam, row["student"], row["question"], row["points"])
        decisions.append(decision(*about, who=who, why=row["comment"] or "read"))
    record.decide(exam.name, *decisions)
    return len(decisions)


def decision(
    course: Course, exam: Exam, student: str, question: str, points: str, *, who: str, why: str
) -> Decision:
    """Return a teacher's decision; raise CourseError for points or people that there are not."""
    most = exam.question(question).points
    try:
        given = float(points)
    except ValueError:
        given = math.nan
    if not 0 <= given <= most:
        raise CourseError(f"{question} of {student}: expected 0 to {most:g} points, got {points!r}")
    if student not in course.roster:
        raise CourseError(f"there is no student {student!r} on the roster")
    if not who.strip() or not why.strip():
        raise CourseError("a decision needs who made it and why: --who NAME --why REASON")
    return Decision(student, question, given, who, why)
