"""What a student has: points, decisions, late days, free days of the whole term."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classroom.results import Result, in_short, results, spend
from labkit.course import CourseError
from labkit.course.record import Decision, Record
from labkit.course.settings import Course, LatePolicy
from tests.course.term import hand_in, make_course, make_exam, mark

POLICIES = st.builds(
    LatePolicy,
    free_days=st.integers(0, 6),
    penalty=st.floats(0, 1),
    last_day=st.integers(0, 10),
    grace_minutes=st.just(0),
)
TERMS = st.lists(st.integers(0, 12), max_size=6)


@pytest.fixture
def record() -> Iterator[Record]:
    with Record(Path(":memory:")) as opened:
        yield opened


def of(course: Course, record: Record, student: str, assignment: str = "p1") -> Result:
    found = results(course, course.assignment(assignment), make_exam(), record)
    return {result.student.id: result for result in found}[student]


def test_nobody_of_the_roster_is_left_out(record: Record) -> None:
    hand_in(record, "bo")
    hand_in(record, "gone")
    found = results(make_course(), make_course().assignment("p1"), make_exam(), record)
    assert [(r.student.id, r.status, r.on_roster) for r in found] == [
        ("ada", "missing", True),
        ("bo", "waiting", True),
        ("cy", "missing", True),
        ("gone", "waiting", False),
    ]
    assert [(r.points, r.out_of) for r in found] == [(0, 9)] * 4


def test_a_decision_stands_above_the_mark_and_ends_the_waiting(record: Record) -> None:
    mark(record, hand_in(record, "ada"), {"first": 0, "second": 2, "essay": None})
    waiting = of(make_course(), record, "ada")
    assert (waiting.status, waiting.points) == ("waiting", 2)
    record.decide("p1", Decision("ada", "essay", 1, "T", "thin"))
    record.decide("p1", Decision("ada", "first", 3, "T", "right but for a sign"))
    record.decide("p1", Decision("ada", "essay", 2.5, "T", "read again"))
    graded = of(make_course(), record, "ada")
    assert (graded.status, graded.points) == ("graded", 7.5)
    assert [score.points for score in graded.scores] == [3, 2, 2.5]
    assert graded.scores[0].mark, "what was marked stays to be seen"
    assert graded.scores[0].mark.points == 0


def test_a_decision_for_someone_who_handed_nothing_in_counts(record: Record) -> None:
    record.decide("p1", Decision("cy", "first", 4, "T", "shown at the blackboard"))
    assert (of(make_course(), record, "cy").status, of(make_course(), record, "cy").points) == (
        "missing",
        4,
    )


def test_the_penalty_is_taken_from_the_sum(record: Record) -> None:
    submission = hand_in(record, "ada", timedelta(days=3, hours=1))
    mark(record, submission, {"first": 4, "second": 2, "essay": 3})
    result = of(make_course(), record, "ada")
    assert (result.days_late, result.free_days_spent) == (4, 2)
    assert result.share == pytest.approx(0.8)
    assert (result.earned, result.points) == (9, 7.2)


def test_free_days_are_spent_in_the_order_of_the_deadlines(record: Record) -> None:
    course = make_course(n_assignments=3)
    hand_in(record, "ada", timedelta(weeks=2, days=1), "p3")
    hand_in(record, "ada", timedelta(weeks=1, days=1), "p2")
    assert of(course, record, "ada", "p3").free_days_spent == 1
    hand_in(record, "ada", timedelta(days=1), "p1")
    spent = [of(course, record, "ada", name).free_days_spent for name in ("p1", "p2", "p3")]
    assert spent == [1, 1, 0]
    assert of(course, record, "ada", "p3").share == pytest.approx(0.9)
    assert of(course, record, "bo", "p2").free_days_spent == 0


def test_the_last_submission_counts_with_its_own_lateness(record: Record) -> None:
    mark(record, hand_in(record, "ada"), {"first": 4, "second": 2, "essay": 3})
    mark(record, hand_in(record, "ada", timedelta(days=6)), {"first": 4, "second": 2, "essay": 3})
    assert (of(make_course(), record, "ada").share, of(make_course(), record, "ada").points) == (
        0,
        0,
    )


@given(POLICIES, TERMS)
def test_never_more_free_days_than_there_are_nor_than_are_needed(
    policy: LatePolicy, term: list[int]
) -> None:
    spent = spend(policy, term)
    assert sum(spent) <= policy.free_days
    assert all(0 <= free <= days for free, days in zip(spent, term, strict=True))


@given(POLICIES, TERMS, st.data())
def test_later_is_never_better(policy: LatePolicy, term: list[int], data: st.DataObject) -> None:
    if not term:
        return
    place = data.draw(st.integers(0, len(term) - 1))
    later = [days + (i == place) for i, days in enumerate(term)]
    shares, then = (
        [policy.share(days, free) for days, free in zip(each, spend(policy, each), strict=True)]
        for each in (term, later)
    )
    assert then[place] <= shares[place]
    assert then[:place] == shares[:place], "what was due before is not touched"


@given(POLICIES, TERMS)
def test_a_free_day_is_kept_back_only_where_nothing_is_earned(
    policy: LatePolicy, term: list[int]
) -> None:
    spent = spend(policy, term)
    for i, (days, free) in enumerate(zip(term, spent, strict=True)):
        left = policy.free_days - sum(spent[:i])
        assert free == (0 if policy.share(days, left) == 0 else min(days, left))


def test_a_student_with_another_deadline_is_late_after_that_one(record: Record) -> None:
    course = make_course(late=LatePolicy(penalty=0.5))
    later = course.assignment("p1").deadline + timedelta(days=3)
    assignment = course.assignment("p1").model_copy(update={"extensions": {"ada": later}})
    course = course.model_copy(update={"assignments": {"p1": assignment}})
    for student in ("ada", "bo"):
        hand_in(record, student, timedelta(days=1))
    assert [of(course, record, student).days_late for student in ("ada", "bo")] == [0, 1]


def test_an_extension_of_somebody_unknown_is_refused(record: Record) -> None:
    course = make_course()
    later = course.assignment("p1").deadline + timedelta(days=3)
    assignment = course.assignment("p1").model_copy(update={"extensions": {"adda": later}})
    with pytest.raises(CourseError, match="extends p1 for adda, who is not on the roster"):
        results(course, assignment, make_exam(), record)


def test_a_decision_before_anything_came_stands(record: Record) -> None:
    record.decide("p1", Decision("ada", "first", 3, "T", "ill"))
    mark(record, hand_in(record, "ada"), {"first": 0, "second": 2, "essay": 1})
    assert [score.points for score in of(make_course(), record, "ada").scores] == [3, 2, 1]


def test_a_class_in_short_names_who_is_not_done(record: Record) -> None:
    mark(record, hand_in(record, "ada"), {"first": 4, "second": 2, "essay": 3})
    hand_in(record, "bo", timedelta(days=1))
    found = results(make_course(), make_course().assignment("p1"), make_exam(), record)
    assert in_short(found) == (
        "3 students: 1 graded, 1 not done yet (bo), 1 without a notebook (cy); 1 late"
    )
