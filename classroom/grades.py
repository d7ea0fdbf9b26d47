"""Grades of an assignment: tables for people, Moodle and Canvas, and a page about the class.

In Moodle's import, map "ID number" to "ID number" or "Email address" to "Email address", and the
last column to the grade item or to a new one; "-" is no grade. Canvas finds students by "SIS User
ID", else by "SIS Login ID", and an assignment by its title, and makes one that it does not know.
Who is not on the roster stands in the plain table alone.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classroom.pages import TOLD, page, points
from classroom.results import Result, Score, results
from labkit.course.exam import Exam, Question
from labkit.course.record import Record
from labkit.course.settings import Assignment, Course
from labkit.files import write_atomically

STEPS = [step * 10.0**power for power in range(-1, 6) for step in (1, 2, 5)]
Row = Sequence[str | float | None]
Way = tuple[int, str, str, str]
"""How many students were wrong in a way; what was tried, came and was expected."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How the class did on a question."""

    question: Question
    levels: list[int]
    """Students with no points, less than half, half or more, and all."""
    mean: float | None
    """Share of the points."""
    discrimination: float | None
    """Correlation with the points of the other questions."""
    ways: list[Way]
    """How answers were wrong, the commonest first."""


def write_grades(course: Course, assignment: Assignment, exam: Exam, record: Record) -> list[Path]:
    """Write the tables and the page; return the files."""
    found = results(course, assignment, exam, record)
    title = assignment.title or assignment.name
    texts = {
        "-plain.csv": table(_plain(exam, found)),
        "-moodle.csv": table(_moodle(title, found)),
        "-canvas.csv": table(_canvas(title, found)),
        ".html": _page(f"{title} · {course.title}", exam, found).encode("utf-8"),
    }
    folder = course.folder / "grades"
    for end, content in texts.items():
        write_atomically(folder / f"{assignment.name}{end}", content)
    return [folder / f"{assignment.name}{end}" for end in texts]


def table(rows: Iterable[Row]) -> bytes:
    """Return CSV that a spreadsheet reads as text and numbers, and never as a formula.

    Where a text is not ASCII, a byte order mark tells Excel that it is UTF-8.
    """
    file = io.StringIO(newline="")
    csv.writer(file).writerows([_cell(value) for value in row] for row in rows)
    text = file.getvalue()
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def _cell(value: str | float | None) -> str:
    if not isinstance(value, str):
        return "" if value is None else points(value)
    text = " ".join(value.split())
    return f"'{text}" if text[1:] and text[0] in "=+-@＝＋－＠" else text


def _plain(exam: Exam, found: list[Result]) -> Iterable[Row]:
    names = [question.id for question in exam.questions]
    yield ["id", "name", *names, "late days", "total", "out of", "status"]
    for one in found:
        total = None if one.status == "waiting" else one.points
        status = one.status + ("" if one.on_roster else ", not on the roster")
        earned = [score.points for score in one.scores]
        yield [one.student.id, one.student.name, *earned, one.days_late, total, one.out_of, status]


def _moodle(title: str, found: list[Result]) -> Iterable[Row]:
    yield ["ID number", "Email address", title]
    for one in found:
        if one.on_roster:
            total = "-" if one.status == "waiting" else one.points
            yield [one.student.id, one.student.email, total]


def _canvas(title: str, found: list[Result]) -> Iterable[Row]:
    yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title]
    yield ["Points Possible", "", "", "", "", found[0].out_of if found else None]
    for one in found:
        if one.on_roster:
            total = None if one.status == "waiting" else one.points
            # The column ID is Canvas' own number: an id of ours there could be another student's.
            yield [one.student.name, "", one.student.id, one.student.email, "", total]


def _page(title: str, exam: Exam, found: list[Result]) -> str:
    came = [one for one in found if one.submission]
    totals = [one.points for one in came if one.status == "graded"]
    middle = [np.mean(totals), *np.quantile(totals, [0.25, 0.5, 0.75])] if totals else []
    out_of = sum(question.points for question in exam.questions)
    return page(
        "grades.html",
        title=title,
        found=found,
        came=came,
        totals=totals,
        out_of=out_of,
        middle=middle,
        bars=_bars(totals, out_of),
        asked=[_asked(question, place, came) for place, question in enumerate(exam.questions)],
    )


def _bars(totals: list[float], out_of: float) -> tuple[list[int], float, float]:
    """Return students by bar, the points from bar to bar, the students from line to line."""
    most = max([out_of, *totals])
    step = next(step for step in STEPS if most / step < 24)
    places = [int(max(total, 0) / step + 1e-9) for total in totals]
    counts = np.bincount(places, minlength=int(most / step + 1e-9) + 1).tolist()
    return counts, step, next(tick for tick in STEPS if tick >= 1 and max(counts) / tick < 6)


def _asked(question: Question, place: int, came: list[Result]) -> Asked:
    scores = [one.scores[place] for one in came]
    shares = [s.points / s.out_of for s in scores if s.points is not None and s.out_of]
    levels = [(share > 0) + (share >= 0.5) + (share >= 1) for share in shares]
    graded = [one for one in came if one.status == "graded"]
    mine = [one.scores[place].points or 0 for one in graded]
    rest = [one.earned - own for one, own in zip(graded, mine, strict=True)]
    varies = len(graded) > 2 and np.std(mine) > 1e-9 and np.std(rest) > 1e-9
    return Asked(
        question=question,
        levels=np.bincount(levels, minlength=4).tolist() if levels else [0] * 4,
        mean=sum(shares) / len(shares) if shares else None,
        discrimination=float(np.corrcoef(mine, rest)[0, 1]) if varies else None,
        ways=_ways(scores) if question.exercise else [],
    )


def _ways(scores: Iterable[Score]) -> list[Way]:
    """Gather marks by what came in the first case that was not right."""
    groups = defaultdict[str, list[tuple[str, str, str]]](list)
    for mark in (score.mark for score in scores):
        if mark is None or mark.points is None or mark.points >= mark.out_of:
            continue
        last = (mark.log.strip() or "nothing").rpartition("\n")[2]
        wrong = [case for case in mark.detail if case.get("share", 0) < 1] or [{"came": last}]
        tried, came, expected = (str(wrong[0].get(name, "")) for name in TOLD)
        groups[_alike(came)].append((tried, came, expected))
    return sorted(((len(same), *same[0]) for same in groups.values()), key=lambda way: -way[0])


def _alike(came: str) -> str:
    """Leave out of a text what differs between equal mistakes: addresses, and the last digits."""
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", " ".join(came[:2000].split()))
    return re.sub(r"\d+\.\d+(e[-+]?\d+)?", lambda found: f"{float(found[0]):.4g}", text)
