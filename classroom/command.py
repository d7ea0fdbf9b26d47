"""The commands of `labkit course`: each is a function whose arguments are its options.

They yield sentences for whoever called; `workbench.command` prints them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from tqdm import tqdm
from tyro.conf import Positional, arg
from tyro.extras import SubcommandApp

from labkit.course.exam import Exam, read_exam
from labkit.course.record import Record
from labkit.course.settings import Assignment, Course, init_course, read_course

Folder = Annotated[Path, arg(help="the course folder (this one)")]
HERE = Path()
app = SubcommandApp()


def run(arguments: Sequence[str]) -> Iterator[str]:
    """Run one command and yield what it says; raise CourseError where it cannot."""
    said: Iterator[str] = app.cli(prog="labkit course", args=arguments)
    yield from said


def _open(folder: Path, name: str) -> tuple[Course, Assignment, Exam]:
    course = read_course(folder)
    assignment = course.assignment(name)
    return course, assignment, read_exam(course, assignment)


def _in_short(course: Course, name: str) -> str:
    """Say how far the class is with an assignment."""
    from classroom.results import in_short, results
    from labkit.course.grade import RECORD

    assignment = course.assignment(name)
    with Record(course.folder / RECORD) as record:
        return in_short(results(course, assignment, read_exam(course, assignment), record))


@app.command
def init(folder: Positional[Path], title: str = "Language models", term: str = "") -> Iterator[str]:
    """Make a course folder: course.toml and roster.csv, to be filled in."""
    init_course(folder, title, term)
    yield f"{folder}: fill in roster.csv and the deadlines in course.toml; keep its seed secret"


@app.command
def release(name: Positional[str], course: Folder = HERE) -> Iterator[str]:
    """Write the students' version of an assignment."""
    from classroom.release import release as written

    opened = read_course(course)
    path = written(opened, opened.assignment(name))
    yield f"{path}: solutions, hidden tests and their outputs are out; give this file to students"


@app.command
def collect(
    name: Positional[str],
    source: Positional[Path],
    received: datetime | None = None,
    course: Folder = HERE,
) -> Iterator[str]:
    """Take in what was handed in: a folder, a zip of Moodle or Canvas, or git clones.

    What Moodle exports does not say when it came: collect at the deadline and once more later, or
    say when with --received.
    """
    from classroom.collect import collect as arrivals
    from labkit.course.grade import RECORD

    opened = read_course(course)
    with Record(opened.folder / RECORD) as record:
        came = arrivals(opened, opened.assignment(name), source, record, received=received)
    for arrival in came:
        if not arrival.accepted:
            whose = f" (of {arrival.student})" if arrival.student else ""
            yield f"refused: {arrival.origin}{whose}: {arrival.reason}"
    taken = [arrival for arrival in came if arrival.accepted]
    new = sum(arrival.is_new for arrival in taken)
    yield f"{len(taken)} submissions, {new} of them new; {len(came) - len(taken)} refused"
    yield _in_short(opened, name)


@app.command
def grade(
    name: Positional[str],
    *,
    jobs: int = 2,
    question: tuple[str, ...] = (),
    again: bool = False,
    trust_submissions: bool = False,
    course: Folder = HERE,
) -> Iterator[str]:
    """Mark what has not been marked; some questions only, or again, if told so."""
    from labkit.course.grade import grade as marks

    opened = read_course(course)
    total, marked = marks(
        opened,
        opened.assignment(name),
        jobs=jobs,
        only=question,
        again=again,
        trusted=trust_submissions,
    )
    stopped = []
    for done in tqdm(marked, total=total, unit="question"):
        if "\nStopped: " in done.mark.log:
            stopped.append(f"{done.student}, {done.question}: {done.mark.log.strip()[-100:]}")
    yield from stopped
    yield f"{total} questions marked; `labkit course essays {name}` has what waits for a reader"
    yield _in_short(opened, name)


@app.command
def essays(
    name: Positional[str], filled: Path | None = None, who: str = "", course: Folder = HERE
) -> Iterator[str]:
    """Write the sheet of written answers that wait, or take in the sheet once it is filled."""
    from classroom.essays import read_essays, rubric, write_essays
    from labkit.course.grade import RECORD

    opened, _, exam = _open(course, name)
    with Record(opened.folder / RECORD) as record:
        if filled:
            yield f"{read_essays(opened, exam, record, filled, who)} answers have their points"
            return
        path, waiting = write_essays(opened, exam, record)
    for question in exam.questions:
        if scheme := rubric(exam, question.id):
            yield f"{question.id}, {question.points:g} points:\n{scheme}\n"
    yield f"{path}: {waiting} answers wait; fill in points and comments, then --filled {path}"


@app.command
def decide(
    name: Positional[str],
    student: Positional[str],
    question: Positional[str],
    points: Positional[str],
    *,
    who: str,
    why: str,
    course: Folder = HERE,
) -> Iterator[str]:
    """Give a student other points for a question than were marked; who and why are kept."""
    from classroom.essays import decision
    from labkit.course.grade import RECORD

    opened, _, exam = _open(course, name)
    with Record(opened.folder / RECORD) as record:
        record.decide(name, decision(opened, exam, student, question, points, who=who, why=why))
    yield f"{student} has {points} points for {question}, says {who}: {why}"


@app.command
def feedback(name: Positional[str], course: Folder = HERE) -> Iterator[str]:
    """Write what each student gets to read, as HTML and as a notebook."""
    from classroom.feedback import write_feedback
    from labkit.course.grade import RECORD

    opened, assignment, exam = _open(course, name)
    with Record(opened.folder / RECORD) as record:
        paths = write_feedback(opened, assignment, exam, record)
    yield f"{opened.folder / 'feedback' / name}: {len(paths)} files"
    yield _in_short(opened, name)


@app.command
def grades(name: Positional[str], course: Folder = HERE) -> Iterator[str]:
    """Write the grades for Moodle, Canvas and spreadsheets, and the class at a glance."""
    from classroom.grades import write_grades
    from labkit.course.grade import RECORD

    opened, assignment, exam = _open(course, name)
    with Record(opened.folder / RECORD) as record:
        for path in write_grades(opened, assignment, exam, record):
            yield str(path)
    yield _in_short(opened, name)


@app.command
def similar(name: Positional[str], course: Folder = HERE) -> Iterator[str]:
    """List pairs of answers that are much alike: to be looked at, not a verdict.

    The teacher's own notebook is one of those compared.
    """
    from classroom.similar import similar_pairs
    from labkit.course.grade import RECORD

    opened, _, exam = _open(course, name)
    with Record(opened.folder / RECORD) as record:
        sources = {
            submission.student: {
                question: mark.source for question, mark in record.marks(submission.id).items()
            }
            for submission in record.submissions(name)
        }
    ours = {question.id: exam.cells[question.cell].source for question in exam.questions}
    pairs = similar_pairs({**sources, "the published solution": ours}, exam)
    yield from map(str, pairs)
    graded = sum(map(bool, sources.values()))
    yield f"{len(pairs)} pairs, of {graded} hand-ins that are graded; short answers say nothing"


@app.command
def check(name: Positional[str]) -> Iterator[str]:
    """For students: try your answers as the grader takes them, on the visible cases.

    NAME is a problem set or a chapter, such as ps1 or 31, or a notebook.
    """
    from classroom.student import check as found
    from classroom.student import find_work

    notebook = find_work(name, HERE)
    yield f"{notebook}:"
    yield from map(str, found(notebook))


@app.command
def submit(name: Positional[str], student: str, out: Path | None = None) -> Iterator[str]:
    """For students: write the one file to hand in; STUDENT is your id on the roster."""
    from classroom.student import find_work
    from classroom.student import submit as handed_in

    yield handed_in(find_work(name, HERE), student, out)
