"""Grading: each answer in a fresh sandbox, judged outside it, and kept as soon as it is known.

A question is marked once for a submission and a version of the exam, so a grading that was killed
goes on where it was. The marks of a submission are made in the order of its questions, because an
answer may use earlier ones.
"""

import hashlib
import importlib.metadata
import json
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from labkit.checks import Exercise, Mark
from labkit.course import CourseError
from labkit.course.exam import Exam, Question, answers, program, read_exam
from labkit.course.record import QuestionMark, Record, Submission
from labkit.course.sandbox import MISSING, Limits, Outcome, is_available, run
from labkit.course.settings import Assignment, Course
from labkit.course.source import LARGEST_ANSWER
from labkit.course.stage import make_stage
from labkit.course.values import MOST_PARTS, encode, parse, unpack

RECORD = "grades.sqlite"
NOT_WRITTEN = ("", "YOUR ANSWER HERE")
"""What nbgrader puts in place of a written answer, or nothing."""
STOPPED = "\nStopped: "
"""What the log says before the reason."""


@dataclass(frozen=True)
class Bench:
    """A question, ready to be marked: its hidden cases and its stage."""

    question: Question
    exercise: Exercise
    seed: int
    stage: Path
    limits: Limits | None
    """None leaves the sandbox out."""

    @cached_property
    def cases(self) -> list[tuple[Any, ...]]:
        """The hidden cases."""
        return list(self.exercise.cases(np.random.default_rng(self.seed)))

    @cached_property
    def sent(self) -> list[str]:
        """What goes into the sandbox of each case."""
        return [encode(self.exercise.arguments(case)) for case in self.cases]

    def check(self) -> None:
        """Raise CourseError unless the reference itself earns all points on the hidden cases.

        Its values go the way of a student's, so that none is lost on it.
        """
        got = [
            unpack(parse(encode(self.exercise.reference(*self.exercise.arguments(case)))))
            for case in self.cases
        ]
        marks = [
            self.exercise.mark(case, value) for case, value in zip(self.cases, got, strict=True)
        ]
        if self.exercise.earned(marks) != self.exercise.points:
            raise CourseError(
                f"the reference of {self.exercise.name} fails its own hidden cases, so nobody was "
                "graded: mend the exercise, or choose another seed before grading begins"
            )

    def mark(self, cells: list[str]) -> QuestionMark:
        """Run an answer on the hidden cases and judge what comes back."""
        request = {"cells": cells, "name": self.exercise.name, "cases": self.sent}
        outcome = run(json.dumps(request).encode(), self.stage, self.limits)
        results = read_results(outcome, len(self.cases))
        marks = [
            mark_for(self.exercise, case, result)
            for case, result in zip(self.cases, results, strict=True)
        ]
        log = outcome.log.decode("utf-8", "replace")
        stopped = outcome.stopped or ("" if all(results) else "it ended before it had answered")
        if stopped:
            log += f"{STOPPED}{stopped}.\n"
        return QuestionMark(
            question=self.question.id,
            points=self.exercise.earned(marks),
            out_of=self.exercise.points,
            exam="",
            detail=[
                self.detail(case, result, mark, stopped)
                for case, result, mark in zip(self.cases, results, marks, strict=True)
            ],
            log=log,
            seconds=round(outcome.seconds, 3),
            peak_mb=round(outcome.peak_mb, 1),
        )

    def detail(
        self, case: tuple[Any, ...], result: Mapping[str, Any], mark: Mark, stopped: str
    ) -> dict[str, Any]:
        """Say in words what was tried, what came and what was expected: no value of a case."""
        given = ", ".join(map(in_words, self.exercise.arguments(case)))
        if "value" in result:
            came = in_words(result["value"])
        else:
            came = result.get("error") or (f"nothing: {stopped}" if stopped else "nothing")
        if self.exercise.judge and "value" in result and mark.share < 1:
            came += f": {mark.text}"
        elif "value" in result and mark.share < 1 and came == self.expected(case):
            came += ", with other values"
        expected = self.exercise.expected or self.expected(case)
        tried = f"{self.exercise.name}({given})"
        came = came[:500].encode("utf-8", "replace").decode("utf-8")
        return {"share": mark.share, "tried": tried, "came": came, "expected": expected}

    def expected(self, case: tuple[Any, ...]) -> str:
        """Describe the reference's value."""
        if self.exercise.judge:
            return self.exercise.expected
        return in_words(self.exercise.reference(*self.exercise.arguments(case)))


def in_words(value: Any) -> str:
    """Say what kind of value it is and how large, without its content.

    >>> in_words([1, 2]), in_words("abc"), in_words(np.ones((2, 3))), in_words(0.5), in_words(None)
    ('a list of 2', 'a text of 3 characters', 'an array of shape (2, 3)', 'a number', 'None')
    """
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, list | tuple | dict | set | bytes):
        names = {"list": "a list", "tuple": "a tuple", "dict": "a table", "set": "a set"}
        return f"{names.get(type(value).__name__, 'bytes')} of {len(value)}"
    if getattr(value, "ndim", 0):
        kind = "a tensor" if hasattr(value, "detach") else "an array"
        return f"{kind} of shape {tuple(value.shape)}"
    if value is None or isinstance(value, bool):
        return "None" if value is None else "True or False"
    return "a number" if np.ndim(value) == 0 and not callable(value) else type(value).__name__


def read_results(outcome: Outcome, n_cases: int) -> list[dict[str, Any]]:
    """Return of each case {"value": …} or {"error": …}, or {} where nothing came.

    The first word on a case counts; whatever else stands in the lines is passed over, and what
    comes after many more lines than there are cases is not read.
    """
    told, most = bytes(outcome.lines), 2 * n_cases + 100
    if sum(map(told.count, (b",", b"[", b"{"))) > MOST_PARTS:
        return [{"error": f"more than {MOST_PARTS:,} numbers and lists in all"}] * n_cases
    found: dict[int, dict[str, Any]] = {}
    for line in told.split(b"\n", most)[:most]:
        try:
            said = parse(line)
            number = said["case"]
            if type(number) is int and number not in found and 0 <= number < n_cases:
                found[number] = _result(said)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return [found.get(number, {}) for number in range(n_cases)]


def _result(said: Mapping[str, Any]) -> dict[str, Any]:
    if "value" not in said:
        return {"error": str(said["error"])}
    try:
        return {"value": unpack(said["value"])}
    except ValueError:
        return {"error": "something else than numbers, text, lists and arrays"}


def mark_for(exercise: Exercise, case: tuple[Any, ...], result: Mapping[str, Any]) -> Mark:
    """Return what one case earns; a value that cannot even be compared earns nothing."""
    if "value" not in result:
        return Mark(0, str(result.get("error", "")))
    try:
        with np.errstate(all="ignore"):
            mark = exercise.mark(case, result["value"])
    except Exception as error:  # the value comes from a student; the reference was checked before
        return Mark(0, f"it could not be compared: {type(error).__name__}")
    return mark if 0 <= mark.share <= 1 else Mark(0, "it could not be compared")


@dataclass(frozen=True)
class Done:
    """A question that has been marked."""

    student: str
    question: str
    mark: QuestionMark


def grade(
    course: Course,
    assignment: Assignment,
    *,
    jobs: int = 1,
    only: Collection[str] = (),
    again: bool = False,
    trusted: bool = False,
) -> tuple[int, Iterator[Done]]:
    """Mark what is not marked yet: return how many questions that are, and each mark as it comes.

    `only` some questions; `again` marks them anew. `trusted` leaves the sandbox out. Raises
    CourseError where there is no sandbox, or where the exam itself is at fault.
    """
    if not trusted and not is_available():
        raise CourseError(MISSING)
    exam = read_exam(course, assignment)
    wanted = [exam.question(name) for name in only] or list(exam.questions)
    with Record(course.folder / RECORD) as record:
        waiting = {
            submission: left
            for submission in record.submissions(assignment.name)
            if (left := _left(record, submission, exam, [] if again else wanted, wanted))
        }
    limits = Limits(seconds=assignment.seconds, memory_mb=assignment.memory_mb)
    marked = _mark_all(course, exam, waiting, None if trusted else limits, jobs)
    return sum(map(len, waiting.values())), marked


def _mark_all(
    course: Course,
    exam: Exam,
    waiting: Mapping[Submission, Sequence[Question]],
    limits: Limits | None,
    jobs: int,
) -> Iterator[Done]:
    """Mark the questions that are left of each submission, several submissions at a time."""
    asked = {question.id for left in waiting.values() for question in left}
    with tempfile.TemporaryDirectory(prefix="labkit-stage-") as folder:
        benches = _benches(course, exam, asked, Path(folder), limits)
        with ThreadPoolExecutor(max(1, jobs)) as pool:
            futures = [
                pool.submit(mark_submission, course, exam, benches, submission, left)
                for submission, left in waiting.items()
            ]
            failed = []
            try:
                for future in as_completed(futures):
                    if error := future.exception():
                        failed.append(error)
                    else:
                        yield from future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    if failed:  # one submission that cannot be marked holds up no other
        raise failed[0]


def _left(
    record: Record,
    submission: Submission,
    exam: Exam,
    skipping: Sequence[Question],
    wanted: Sequence[Question],
) -> list[Question]:
    """Return the wanted questions, without those of `skipping` that this exam has marked."""
    marks = record.marks(submission.id)
    done = {name for name, mark in marks.items() if mark.exam == exam.digest}
    return [q for q in wanted if q not in skipping or q.id not in done]


def _benches(
    course: Course, exam: Exam, asked: Collection[str], folder: Path, limits: Limits | None
) -> dict[str, Bench]:
    """Build the stage of each question that is asked; see that the teacher's answer is right."""
    theirs = {item.id: exam.cells[item.cell].source for item in exam.questions}
    benches = {}
    for question in exam.questions:
        if question.exercise and question.id in asked:
            stage = folder / question.id
            make_stage(stage, question.exercise.withheld)
            words = f"{course.seed}/{exam.name}/{question.id}"
            seed = int.from_bytes(hashlib.sha256(words.encode()).digest()[:8])
            bench = Bench(question, question.exercise, seed, stage, limits)
            bench.check()
            mark = bench.mark(program(exam, question, theirs, ()))
            if mark.points != mark.out_of:
                raise CourseError(
                    f"the teacher's own answer to {question.id} earns {mark.points:g} of "
                    f"{mark.out_of:g} here, so nobody was graded: {mark.log[-500:].strip()}"
                )
            benches[question.id] = bench
    return benches


def mark_submission(
    course: Course,
    exam: Exam,
    benches: Mapping[str, Bench],
    submission: Submission,
    left: Sequence[Question],
) -> list[Done]:
    """Mark the questions that are left of a submission, and keep each mark at once."""
    content = (course.folder / submission.path).read_bytes()
    if hashlib.sha256(content).hexdigest() != submission.sha256:
        raise CourseError(
            f"{submission.path} is not what was collected: its content has changed since; put the "
            "original back"
        )
    try:
        given = answers(exam, content)
    except CourseError as error:
        raise CourseError(f"{submission.path} {error}") from error
    versions = f"labkit {importlib.metadata.version('labkit')}, exam {exam.digest[:12]}"
    done = []
    with Record(course.folder / RECORD) as record:
        for question in left:
            marks = record.marks(submission.id)
            mark = mark_question(exam, question, benches, given, marks)
            mark = replace(mark, exam=exam.digest, source=given[question.id], versions=versions)
            record.add_mark(submission.id, mark, record.rounds(submission.id, question.id))
            done.append(Done(submission.student, question.id, mark))
    return done


def mark_question(
    exam: Exam,
    question: Question,
    benches: Mapping[str, Bench],
    given: Mapping[str, str],
    marks: Mapping[str, QuestionMark],
) -> QuestionMark:
    """Mark one question after others; a written answer waits for its reader unless there is none.

    In place of an earlier answer that is not known to be right stands the teacher's.
    """
    source = given[question.id]
    if question.exercise is None:
        points = 0.0 if source.strip() in NOT_WRITTEN else None
        return QuestionMark(question=question.id, points=points, out_of=question.points, exam="")
    why = "" if source.strip() else "There is no such cell in the notebook that was handed in."
    if len(source) > LARGEST_ANSWER:
        why = f"The cell has {len(source):,} characters, more than {LARGEST_ANSWER:,}."
    if why:
        nothing = QuestionMark(question=question.id, points=0.0, out_of=question.points, exam="")
        return replace(nothing, log=why)
    right = {name for name, mark in marks.items() if mark.points == mark.out_of}
    wrong = [other.id for other in exam.questions if other.id not in right]
    stopped = [name for name, mark in marks.items() if STOPPED in mark.log]
    return benches[question.id].mark(program(exam, question, given, wrong, stopped))
