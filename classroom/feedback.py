"""What each student gets back: `feedback.html` to read, and the same as `feedback.ipynb`.

Whatever came from a submission is shown as text: escaped in the page, which may run no script, and
in the notebook inside fences of markdown cells, which nothing executes. Of the teacher's notebook
only the names and points of its questions are shown, so no hidden test and no solution.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from classroom.pages import TOLD, page, points, shown, verdict
from classroom.results import Result, Score, results
from labkit.course.exam import Exam
from labkit.course.record import Record
from labkit.course.settings import Assignment, Course
from labkit.files import write_atomically

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


@dataclass(frozen=True)
class Part:
    """What is said about a question."""

    name: str
    earned: str
    kind: str
    """`right`, `part` or `wrong`; nothing while it waits."""
    said: list[tuple[str, str]]
    """Headings and texts: a teacher's decision, the answer, what it printed or raised."""
    cases: list[tuple[float, list[tuple[str, str]]]]
    """The share that a case earned; what was tried, what came and what was expected."""


def write_feedback(
    course: Course, assignment: Assignment, exam: Exam, record: Record
) -> list[Path]:
    """Write feedback for every student with a submission; return the files."""
    written = []
    for result in results(course, assignment, exam, record):
        if result.submission is None:
            continue
        received = result.submission.received.astimezone(assignment.deadline.tzinfo)
        head = [
            f"{result.student.name} ({result.student.id})",
            f"{points(result.points)} of {points(result.out_of)} points"
            + (" so far" if result.status == "waiting" else ""),
            _late(result),
            f"Received {received:%Y-%m-%d %H:%M %Z}; SHA-256 {result.submission.sha256[:16]}…",
        ]
        title = shown(f"{assignment.title or assignment.name} · {course.title}")
        parts = [_part(score) for score in result.scores]
        folder = course.folder / "feedback" / assignment.name / result.student.id
        written += [folder / "feedback.html", folder / "feedback.ipynb"]
        write_atomically(written[-2], page("feedback.html", title=title, head=head, parts=parts))
        write_atomically(written[-1], _notebook(title, head, parts))
    return written


def _late(result: Result) -> str:
    if not result.days_late:
        return "In time."
    days = f"{result.days_late} day{'s' if result.days_late > 1 else ''} late"
    free = f", {result.free_days_spent} of the free days used" if result.free_days_spent else ""
    return f"{days}{free}: {result.share:.0%} of {points(result.earned)} points count."


def _part(score: Score) -> Part:
    mark, decision, got = score.mark, score.decision, score.points
    said = []
    if decision:
        text = f"{decision.who} decided: {points(decision.points)} of {points(score.out_of)} points"
        marked = mark and mark.points is not None and f", instead of {points(mark.points)}"
        said += [(text + (marked or ""), decision.why)]
    if mark:
        said += [("Your answer", mark.source or "(nothing was found)")]
        said += [("What it printed or raised", mark.log)] if mark.log else []
    cases = [
        (float(case.get("share", 0)), [(n, str(case[n])) for n in TOLD if case.get(n)])
        for case in (mark.detail if mark else [])
    ]
    earned = "waits for its reader" if mark else "not graded yet"
    if got is not None:
        earned = f"{points(got)} of {points(score.out_of)} points"
    kind = "" if got is None else "right" if got >= score.out_of else "part" if got else "wrong"
    return Part(score.question, earned, kind, said, sorted(cases, key=lambda case: case[0]))


def _notebook(title: str, head: list[str], parts: list[Part]) -> str:
    texts = ["\n\n".join([f"# {_words(title)}", *map(_words, head)])]
    for part in parts:
        lines = [f"## {_words(part.name)}: {part.earned}"]
        for heading, text in part.said:
            lines += [f"**{_words(heading)}**", _fenced(shown(text))]
        for share, told in part.cases:
            lines += [f"**A case: {verdict(share)}**"]
            lines += [_fenced("\n".join(_hung(name, shown(text)) for name, text in told))]
        texts.append("\n\n".join(lines))
    cells = [
        {"cell_type": "markdown", "id": f"part-{i}", "metadata": {}, "source": text}
        for i, text in enumerate(texts)
    ]
    notebook = {"cells": cells, "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _words(text: str) -> str:
    """Escape a text for a line of Markdown."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(shown(text).split()))


def _hung(name: str, text: str) -> str:
    """Put a name before a text, whose further lines stand below its first."""
    return f"{name:<9} " + text.replace("\n", "\n" + " " * 10)


def _fenced(text: str) -> str:
    """Put a text between fences that are longer than any in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 0)
    return f"{fence}\n{text}\n{fence}"
