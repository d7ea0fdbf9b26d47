"""What every student has, in points and days late: computed from the record, stored nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.course import CourseError
from labkit.course.exam import Exam
from labkit.course.record import Decision, QuestionMark, Record, Submission
from labkit.course.settings import Assignment, Course, LatePolicy, Student


@dataclass(frozen=True)
class Score:
    """What a question earned."""

    question: str
    out_of: float
    mark: QuestionMark | None = None
    decision: Decision | None = None

    @property
    def points(self) -> float | None:
        """A teacher's decision before the mark; None while not graded or an essay waits."""
        above = self.decision or self.mark
        return above.points if above else None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a student has for an assignment."""

    student: Student
    on_roster: bool
    submission: Submission | None
    """The last; None where nothing was handed in."""
    scores: tuple[Score, ...]
    """Of every question, in the order of the notebook."""
    days_late: int = 0
    free_days_spent: int = 0
    share: float = 1.0
    """Of the points, what is left after the penalty."""

    @property
    def status(self) -> str:
        """`missing`; `waiting`, while a question has no points; or `graded`."""
        if self.submission is None:
            return "missing"
        return "waiting" if any(score.points is None for score in self.scores) else "graded"

    @property
    def out_of(self) -> float:
        """The most that can be earned."""
        return sum(score.out_of for score in self.scores)

    @property
    def earned(self) -> float:
        """What the questions that have points earned, before the penalty."""
        return sum(score.points or 0 for score in self.scores)

    @property
    def points(self) -> float:
        """What is left of `earned` after the penalty, to a hundredth."""
        return round(self.earned * self.share, 2)


def spend(policy: LatePolicy, days_late: Sequence[int]) -> list[int]:
    """Return how many free days each assignment of a term gets, in the order of the deadlines.

    None go where they do not help, because nothing is earned all the same.

    >>> spend(LatePolicy(free_days=3, last_day=7), [0, 2, 9, 4])
    [0, 2, 0, 1]
    """
    left, spent = policy.free_days, []
    for days in days_late:
        spent.append(min(days, left) if policy.share(days, left) > 0 else 0)
        left -= spent[-1]
    return spent


def results(course: Course, assignment: Assignment, exam: Exam, record: Record) -> list[Result]:
    """Return what each student has, by id: everybody on the roster or with a submission.

    Raises CourseError for an extension of somebody who is not on the roster.
    """
    if strangers := assignment.extensions.keys() - course.roster.keys():
        raise CourseError(
            f"course.toml extends {assignment.name} for {', '.join(sorted(strangers))}, who is not "
            "on the roster: write the id as it stands there"
        )
    term = sorted(course.assignments.values(), key=lambda item: (item.deadline, item.name))
    late = {
        (one.student, item.name): course.late.days_late(one.received, item.deadline_of(one.student))
        for item in term
        for one in record.submissions(item.name)
    }
    came = {one.student: one for one in record.submissions(assignment.name)}
    decided = record.decisions(assignment.name)
    found = []
    for name in sorted(course.roster.keys() | came.keys()):
        free = spend(course.late, [late.get((name, item.name), 0) for item in term])
        marks = record.marks(came[name].id) if name in came else {}
        found.append(
            Result(
                student=course.roster.get(name, Student(name)),
                on_roster=name in course.roster,
                submission=came.get(name),
                scores=tuple(
                    Score(item.id, item.points, marks.get(item.id), decided.get((name, item.id)))
                    for item in exam.questions
                ),
                days_late=(days := late.get((name, assignment.name), 0)),
                free_days_spent=(forgiven := free[term.index(assignment)]),
                share=course.late.share(days, forgiven),
            )
        )
    return found


def in_short(found: Sequence[Result]) -> str:
    """Say in a sentence how far a class is, and who is not."""
    told = {"graded": "graded", "waiting": "not done yet", "missing": "without a notebook"}
    parts = []
    for status, words in told.items():
        ids = [result.student.id for result in found if result.status == status]
        named = f" ({', '.join(ids[:9])}{', …' * (len(ids) > 9)})" * (status != "graded")
        parts += [f"{len(ids)} {words}{named}"] * bool(ids)
    late = sum(result.days_late > 0 for result in found)
    return f"{len(found)} students: {', '.join(parts)}; {late} late"
