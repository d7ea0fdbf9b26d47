"""`python -m benchmarks.coursework`: a class of 300 hands in problem set 1, and is graded.

Honest, wrong, late, missing and hostile submissions go through the commands a teacher types; the
grading is killed half-way and goes on. Every mark and every late day is compared with what it must
be. Writes the table `benchmarks/coursework.md`.
"""

import csv
import datetime
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile import hostile, no_notebooks
from benchmarks.run import processor
from classroom.results import results
from labkit.course.exam import Exam, Question, find_notebook, read_exam
from labkit.course.grade import RECORD
from labkit.course.record import Record
from labkit.course.settings import Assignment, Course, read_course
from labkit.files import write_atomically
from tests.course.sources import whole_source

RESULTS = Path(__file__).with_name("coursework.md")
STUDENTS, JOBS = 300, 2
NAMES = (
    "Ada Lovelace",
    "Zhang Wei",
    "李娜",
    "Søren Berg",
    "Ana María Ruiz",
    "王小明",
    "Noor Haddad",
)
DEADLINE = datetime.datetime(2026, 3, 1, 23, 59, tzinfo=datetime.UTC)
"""In the past: a file from the future would count as one of today."""
ESSAY = "It depends on how the text is cut, and chapter 11 measured it."


@dataclass(frozen=True)
class Expected:
    """One student: what is handed in, and what it must earn."""

    id: str
    kind: str
    notebook: bytes | None
    points: Mapping[str, float]
    """Of each question of code; nothing where there is nothing to mark."""
    days_late: int = 0
    attack: str = ""


def with_answers(teacher: bytes, sources: Mapping[str, str]) -> bytes:
    """Return the teacher's notebook with other sources in its answer cells, and no outputs."""
    notebook = json.loads(teacher)
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in sources:
            cell["source"] = sources[grade_id]
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return json.dumps(notebook, ensure_ascii=False).encode()


def answers_of(question: Question) -> list[tuple[str, float]]:
    """Return the wrong and the half right answers of a question with what each earns."""
    exercise = question.exercise
    assert exercise
    listed = [(answer, 0.0) for answer in exercise.wrong] + list(exercise.partly)
    return [(whole_source(answer, exercise.name), points) for answer, points in listed]


def make_class(exam: Exam, teacher: bytes) -> list[Expected]:
    """Return a class: all attacks, and among 300 many ways to be right, wrong, late or missing."""
    asked = [question for question in exam.questions if question.exercise]
    full = {question.id: float(question.points) for question in asked}
    essays = {question.id: ESSAY for question in exam.questions if not question.exercise}
    students = [
        Expected(f"s{number:03}", "hostile", file, {**full, **earned}, attack=attack.name)
        for number, (attack, file, earned) in enumerate(hostile(teacher, full))
    ]
    students += [
        Expected(f"s{number:03}", "no notebook", file, {}, attack=name)
        for number, (name, file) in enumerate(no_notebooks(), start=len(students))
    ]
    chance = np.random.default_rng(0)
    mistakes = [(question.id, *answer) for question in asked for answer in answers_of(question)]
    for number in range(len(students), STUDENTS):
        chosen = chance.choice(len(mistakes), size=int(chance.integers(1, 4)), replace=False)
        wrong = {mistakes[i][0]: mistakes[i][1:] for i in chosen if number % 3 == 0}
        kind = "wrong in some questions" if wrong else "right"
        days = int(chance.integers(1, 9)) if number % 11 == 0 else 0
        if number % 29 == 0:
            students.append(Expected(f"s{number:03}", "missing", None, {}))
            continue
        sources = {**essays, **{question: source for question, (source, _) in wrong.items()}}
        points = {**full, **{question: earned for question, (_, earned) in wrong.items()}}
        file = with_answers(teacher, sources)
        students.append(Expected(f"s{number:03}", kind, file, points, days))
    return students


def write_zip(path: Path, students: Sequence[Expected]) -> None:
    """Write what Moodle exports when all submissions are downloaded."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, student in enumerate(students):
            if student.notebook is not None:
                came = DEADLINE + datetime.timedelta(days=student.days_late, hours=-2)
                name = f"{name_of(student.id)}_{7000 + number}_assignsubmission_file_/ps1.ipynb"
                archive.writestr(zipfile.ZipInfo(name, came.timetuple()[:6]), student.notebook)


def name_of(student: str) -> str:
    """Return a name that nobody else in the class has."""
    number = int(student[1:])
    return f"{NAMES[number % len(NAMES)]} {number:03}"


def make_course(folder: Path, students: Sequence[Expected]) -> None:
    """Make the course folder as a teacher would."""
    command(folder.parent, "init", str(folder), "--title", "A class of 300")
    settings = (folder / "course.toml").read_text(encoding="utf-8")
    lines = [
        f"deadline = {DEADLINE.isoformat()}" if line.startswith("deadline") else line
        for line in settings.splitlines()
    ]
    write_atomically(folder / "course.toml", "\n".join(lines) + "\n")
    roster = io.StringIO()
    writer = csv.writer(roster)
    writer.writerows([("id", "name", "email"), *((s.id, name_of(s.id), "") for s in students)])
    write_atomically(folder / "roster.csv", roster.getvalue())


def command(folder: Path, *arguments: str) -> str:
    """Run a command of `labkit course` in a folder and return what it says."""
    typed = [sys.executable, "-m", "labkit", "course", *arguments]
    done = subprocess.run(typed, cwd=folder, env=environment(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode()[-2000:]}")
    return done.stdout.decode()


def environment() -> dict[str, str]:
    """Let the commands find this labkit from any folder, without progress bars."""
    root = str(Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": root, "TQDM_DISABLE": "1"}


def grade_and_be_killed(folder: Path, after: int) -> int:
    """Begin to grade, kill it when so many marks are kept, and return how many are."""
    typed = [sys.executable, "-m", "labkit", "course", "grade", "ps1", "--jobs", str(JOBS)]
    going = subprocess.Popen(typed, cwd=folder, env=environment(), stdout=subprocess.DEVNULL)
    while going.poll() is None and count_marks(folder) < after:
        time.sleep(0.1)
    going.send_signal(signal.SIGKILL)
    going.wait()
    return count_marks(folder)


def count_marks(folder: Path) -> int:
    """Return how many marks the record holds, 0 before it exists."""
    with sqlite3.connect(folder / RECORD) as connection:
        return int(connection.execute("SELECT count(*) FROM marks").fetchone()[0])


def read_marks(folder: Path) -> list[dict[str, Any]]:
    """Return every mark with its student."""
    with sqlite3.connect(folder / RECORD) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT student, question, points, seconds, peak_mb FROM marks "
            "JOIN submissions ON submissions.id = submission"
        )
        return [dict(row) for row in rows]


def fill_essays(folder: Path) -> int:
    """Give every essay all points, in the sheet, as a reader would; return how many."""
    command(folder, "essays", "ps1")
    sheet = folder / "essays" / "ps1.csv"
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    filled = io.StringIO()
    writer = csv.DictWriter(filled, rows[0].keys())
    writer.writeheader()
    writer.writerows({**row, "points": row["out_of"], "comment": "clear"} for row in rows)
    write_atomically(sheet, filled.getvalue())
    command(folder, "essays", "ps1", "--filled", str(sheet), "--who", "A Reader")
    return len(rows)


def wrong_grades(students: Sequence[Expected], marks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name every question whose mark is not what it must be, missing and doubled ones too."""
    found: dict[tuple[str, str], list[float]] = {}
    for mark in marks:
        if mark["points"] is not None:  # what is written waits for its reader
            found.setdefault((mark["student"], mark["question"]), []).append(mark["points"])
    wanted = {
        (student.id, question): [points]
        for student in students
        for question, points in student.points.items()
    }
    told = {student.id: student.attack or student.kind for student in students}
    return [
        f"{student} ({told[student]}), {question}: {found.get((student, question))}, expected "
        f"{wanted.get((student, question))}"
        for student, question in sorted({*found, *wanted})
        if found.get((student, question)) != wanted.get((student, question))
    ]


def wrong_days(folder: Path, exam: Exam, students: Sequence[Expected]) -> list[str]:
    """Name every student who is not as many days late as must be."""
    course = read_course(folder)
    with Record(folder / RECORD) as record:
        found = results(course, course.assignment("ps1"), exam, record)
    days = {result.student.id: result.days_late for result in found}
    return [
        f"{student.id} ({student.kind}): {days[student.id]} days late, expected {student.days_late}"
        for student in students
        if days[student.id] != student.days_late
    ]


def bare_seconds(exam: Exam) -> float:
    """Return the wall time of our own answers, called on as many cases in this process."""
    seconds = 0.0
    for question in exam.questions:
        if exercise := question.exercise:
            for case in exercise.cases(np.random.default_rng(0)):
                arguments = exercise.arguments(case)
                began = time.perf_counter()
                exercise.reference(*arguments)
                seconds += time.perf_counter() - began
    return seconds


def main() -> None:
    """Let the class hand in, grade it, compare, and write the table."""
    with tempfile.TemporaryDirectory(prefix="class-") as scratch:
        rows, faults = measured(Path(scratch))
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    text = f"# A class of 300\n\n`python -m benchmarks.coursework`\n\n| | |\n|---|---|\n{table}"
    write_atomically(RESULTS, text + "".join(f"\n- {fault}" for fault in faults))
    if faults:
        raise SystemExit(f"{len(faults)} are not what they must be: {faults[:5]}")


def measured(scratch: Path) -> tuple[dict[str, str], list[str]]:
    """Do it in a folder; return the rows of the table, and what is not as it must be."""
    folder, course = scratch / "course", Course(folder=scratch, seed="0" * 16)
    assignment = Assignment(name="ps1", deadline=DEADLINE)
    exam = read_exam(course, assignment)
    students = make_class(exam, find_notebook(course, assignment).read_bytes())
    make_course(folder, students)
    write_zip(scratch / "ps1.zip", students)
    command(folder, "release", "ps1")
    collected = command(folder, "collect", "ps1", str(scratch / "ps1.zip")).splitlines()[-2]
    began = time.perf_counter()
    before = grade_and_be_killed(folder, after=STUDENTS * len(exam.questions) // 2)
    command(folder, "grade", "ps1", "--jobs", str(JOBS))
    seconds, marks = time.perf_counter() - began, read_marks(folder)
    essays = fill_essays(folder)
    command(folder, "feedback", "ps1")
    command(folder, "grades", "ps1")
    kinds = Counter(student.kind for student in students)
    handed_in = len({mark["student"] for mark in marks})
    wrong, days = wrong_grades(students, marks), wrong_days(folder, exam, students)
    return {
        "students": f"{len(students)}: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()),
        "of these late": str(sum(student.days_late > 0 for student in students)),
        "collected": collected,
        "marks when it was killed": f"{before} of {len(marks)}",
        "wrong, missing or doubled marks": str(len(wrong)),
        "wrong late days": str(len(days)),
        "wall time of grading, both parts": f"{seconds:.0f} s",
        "a submission, in one of two jobs": f"{JOBS * seconds / handed_in:.2f} s",
        "our answers, called in one process": f"{bare_seconds(exam):.2f} s",
        "peak memory of a sandbox": f"{max(mark['peak_mb'] for mark in marks):.0f} MB",
        "essays read": str(essays),
        "files of feedback": str(sum(1 for _ in (folder / "feedback").rglob("feedback.*"))),
        "processor": processor(),
    }, wrong + days


if __name__ == "__main__":
    main()
