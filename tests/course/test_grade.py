"""A class is graded once, whatever interrupts it, and each mark says what it is made of."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from labkit.course import CourseError
from labkit.course import grade as grading
from labkit.course.grade import RECORD, grade, in_words
from labkit.course.record import Record
from labkit.course.settings import Course, read_course
from tests.course.small import (
    SEED,
    SETUP,
    TOTAL,
    WHY,
    WRONG_ROWS,
    WRONG_TOTAL,
    answer,
    cell,
    changed,
    check_of,
    hand_in,
    make_course,
    mark_all,
    marks,
    needs_sandbox,
    notebook,
    points,
    students,
    survivors,
    teachers,
)

KILLS = 6
CLASS = {
    "ada": students(),
    "bob": students(total=WRONG_TOTAL),
    "eve": students(rows="def my_rows(counts): return counts"),
    "joe": students(why=""),
    "kim": students(total="raise SystemExit"),
    "lee": students(
        total="def my_total(values): return sum(v * v for v in values)\nimport os; os._exit(0)"
    ),
}
EARNED = {
    "ada": {"total": 2, "rows": 3, "why": None},
    "bob": {"total": 0, "rows": 3, "why": None},
    "eve": {"total": 2, "rows": 0, "why": None},
    "joe": {"total": 2, "rows": 3, "why": 0},
    "kim": {"total": 0, "rows": 3, "why": None},
    "lee": {"total": 0, "rows": 3, "why": None},
}
JUDGED = notebook(
    answer("sign", "def my_sign(n): return 1 if n > 0 else -1"),
    check_of("sign"),
    answer("guess", "def my_guess(n): return [0] * n"),
    check_of("guess"),
)


def rows(course: Course) -> list[tuple[Any, ...]]:
    """Every mark in the record, as it stands there."""
    with Record(course.folder / RECORD) as record:
        found = record.connection.execute("SELECT * FROM marks ORDER BY id").fetchall()
    return list(map(tuple, found))


def hand_in_all(course: Course, given: dict[str, Any]) -> None:
    for student, content in given.items():
        hand_in(course, student, content)


def judged(course: Course, *sources: tuple[str, str]) -> list[tuple[float | None, float | None]]:
    """What pairs of answers to the judged exam earn, graded together."""
    for number, (sign, guess) in enumerate(sources):
        content = notebook(answer("sign", sign), answer("guess", guess))
        hand_in(course, f"student{number}", content)
    mark_all(course, course.assignment("small"), jobs=2)
    return [(found["sign"], found["guess"]) for found in points(course).values()]


@needs_sandbox
def test_a_class_earns_what_it_should_and_is_marked_once(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, CLASS)
    number, marked = grade(course, assignment, jobs=2)
    assert number == 3 * len(CLASS)
    done = {(item.student, item.question): item.mark for item in marked}
    assert len(done) == number
    assert points(course) == EARNED
    for (student, question), mark in done.items():
        kept = marks(course)[student][question]
        assert (kept.points, kept.log, kept.detail) == (mark.points, mark.log, mark.detail)
        assert kept.out_of == {"total": 2, "rows": 3, "why": 4}[question]
        assert kept.versions.startswith("labkit ")
    assert marks(course)["ada"]["total"].source == TOTAL
    before = rows(course)
    assert mark_all(course, assignment) == []
    assert rows(course) == before


INTERRUPTED = """
import sys
from pathlib import Path
from labkit.course.grade import grade
from labkit.course.settings import read_course
course = read_course(Path(sys.argv[1]))
number, marked = grade(course, course.assignment("small"), jobs=2)
print("began", number, flush=True)
for done in marked: print(done.student, done.question, flush=True)
"""


@needs_sandbox
def test_a_grading_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path / "course")
    given = {f"{name}{n}": content for n in range(3) for name, content in CLASS.items()}
    hand_in_all(course, given)
    stages = tmp_path / "stages-of-what-is-killed"
    stages.mkdir()
    chance, before = random.Random(5), rows(course)
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, str(course.folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(stages)},
            text=True,
        )
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 3)):  # so many lines, and then at any moment
            process.stdout.readline()
        try:
            process.wait(chance.uniform(0, 0.2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        after = rows(course)
        assert after[: len(before)] == before
        before = after
    left = 3 * len(given) - len(before)
    assert 0 < left < 3 * len(given)
    number, marked = grade(course, assignment, jobs=2)
    assert number == left == len(list(marked))
    assert rows(course)[: len(before)] == before
    assert len(rows(course)) == len({row[1:3] for row in rows(course)}) == 3 * len(given)
    assert points(course) == {name: EARNED[name[:3]] for name in given}
    assert survivors(str(stages)) == []


@needs_sandbox
def test_one_question_is_marked_again_and_the_first_mark_stays_readable(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, {"ada": CLASS["ada"], "bob": CLASS["bob"]})
    mark_all(course, assignment)
    before = rows(course)
    done = mark_all(course, assignment, only=["total"], again=True)
    assert sorted((item.student, item.question) for item in done) == [
        ("ada", "total"),
        ("bob", "total"),
    ]
    assert rows(course)[: len(before)] == before
    assert len(rows(course)) == len(before) + 2
    assert points(course) == {name: EARNED[name] for name in ("ada", "bob")}
    with pytest.raises(CourseError, match="no question 'totals'"):
        grade(course, assignment, only=["totals"])


@needs_sandbox
def test_one_question_alone_is_marked_as_kindly_as_after_the_others(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, {"bob": CLASS["bob"]})
    (done,) = mark_all(course, assignment, only=["rows"])
    assert (done.question, done.mark.points) == ("rows", 3)
    assert {item.question for item in mark_all(course, assignment)} == {"total", "why"}


@needs_sandbox
def test_a_changed_exam_is_marked_anew(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, {"ada": CLASS["ada"]})
    mark_all(course, assignment)
    first = marks(course)["ada"]
    make_course(tmp_path, changed(teachers(), 0, source="Another text."))
    assert len(mark_all(course, assignment)) == 3
    second = marks(course)["ada"]
    assert all(second[name].exam != first[name].exam for name in first)
    assert len(rows(course)) == 6
    make_course(tmp_path)  # and back: what was marked before is not taken for the newest
    assert len(mark_all(course, assignment)) == 3


@needs_sandbox
def test_a_later_submission_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    hand_in(course, "ada", CLASS["bob"])
    mark_all(course, assignment)
    assert points(course) == {"ada": EARNED["bob"]}
    hand_in(course, "ada", CLASS["ada"])
    assert len(mark_all(course, assignment)) == 3
    assert points(course) == {"ada": EARNED["ada"]}
    assert len(rows(course)) == 6


@needs_sandbox
def test_an_original_that_was_changed_is_refused_and_the_others_are_marked(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    path = hand_in(course, "ada", CLASS["bob"])
    hand_in(course, "bob", CLASS["bob"])
    original = path.read_bytes()
    path.write_bytes(original.replace(b"-1.0", b"-2.0"))
    with pytest.raises(CourseError, match=r"submissions/small/ada/.* is not what was collected"):
        mark_all(course, assignment)
    assert points(course) == {"ada": {}, "bob": EARNED["bob"]}
    path.write_bytes(original)
    mark_all(course, assignment)
    assert points(course) == {"ada": EARNED["bob"], "bob": EARNED["bob"]}


def test_without_a_sandbox_nothing_is_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, {"ada": CLASS["ada"]})
    monkeypatch.setattr(grading, "is_available", lambda: False)
    with pytest.raises(CourseError, match=r"no sandbox here.*--trust-submissions"):
        grade(course, assignment)
    assert rows(course) == []


@needs_sandbox
def test_a_sandbox_that_does_not_begin_marks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, {"ada": CLASS["ada"]})
    monkeypatch.setattr(grading, "make_stage", lambda folder, withheld: folder.mkdir())
    with pytest.raises(CourseError, match="did not begin, so nothing was graded"):
        mark_all(course, assignment)
    assert rows(course) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows hands no descriptors on")
def test_trusted_submissions_need_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, assignment = make_course(tmp_path)
    hand_in_all(course, {name: CLASS[name] for name in ("ada", "bob", "eve", "joe", "kim")})
    monkeypatch.setattr(grading, "is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    mark_all(course, assignment, trusted=True, jobs=2)
    assert points(course) == {name: EARNED[name] for name in points(course)}


@needs_sandbox
def test_answers_that_are_right_in_part_earn_their_part(tmp_path: Path) -> None:
    course, _ = make_course(tmp_path, JUDGED)
    right = ("def my_sign(n): return 1 if n > 0 else -1", "def my_guess(n): return [0] * n")
    assert judged(
        course,
        right,
        ("def my_sign(n): return 1", "def my_guess(n): return [0] * (n + 1)"),
        ("def my_sign(n): return 1 / (n > 1) * 0 + 1", "def my_guess(n): return [0] * 3"),
        ("my_sign = abs", "def my_guess(n): return {0: n}"),
    ) == [(2, 4), (1, 2), (0.5, 1.5), (0.5, 0)]
    assert marks(course)["student1"]["guess"].detail[0] == {
        "share": 0.5,
        "tried": "my_guess(a number)",
        "came": "a list of 3: expected 2 numbers",
        "expected": "a list of n numbers",
    }


@needs_sandbox
def test_a_judge_that_believes_what_it_is_told_gives_nothing_away(tmp_path: Path) -> None:
    course, _ = make_course(tmp_path, JUDGED)
    believed = [f"def my_guess(n): return float('{n}')" for n in ("nan", "inf", "-inf", "9", "-1")]
    sign = "def my_sign(n): return float('nan')"
    assert judged(course, *((sign, guess) for guess in believed)) == [(0, 0)] * len(believed)
    assert judged(course, (sign, "def my_guess(n): return 0.5"))[0] == (0, 2)


def hidden_values(course: Course) -> set[str]:
    """The numbers of the hidden cases: an answer can print them, and only into its own log."""
    spy = "def my_total(values):\n    print(*values)\n    return -1.0"
    guess = "def my_rows(counts):\n    print(*counts.ravel().tolist())\n    return counts"
    hand_in(course, "spy", students(total=spy, rows=guess))
    mark_all(course, course.assignment("small"))
    found = marks(course)["spy"]
    values = set(f"{found['total'].log} {found['rows'].log}".split())
    assert len(values) > 50
    return values


@needs_sandbox
def test_the_details_hold_no_value_of_a_hidden_case(tmp_path: Path) -> None:
    course, _ = make_course(tmp_path)
    first = students(total="def my_total(v): return v[0]", rows=WRONG_ROWS)
    hand_in_all(course, {"max": first, "kim": CLASS["kim"], "ada": CLASS["ada"]})
    hidden = hidden_values(course)
    for student, found in marks(course).items():
        for mark in found.values():
            told = set(re.findall(r"[-\d.e]+", json.dumps(mark.detail)))
            assert not told & hidden, student
            assert student == "spy" or not set(mark.log.split()) & hidden


@needs_sandbox
def test_the_secret_seed_changes_the_cases(tmp_path: Path) -> None:
    first, _ = make_course(tmp_path / "first")
    same, _ = make_course(tmp_path / "same")
    make_course(tmp_path / "other")
    settings = tmp_path / "other" / "course.toml"
    settings.write_text(settings.read_text().replace(SEED, SEED[::-1]))
    other = read_course(tmp_path / "other")
    assert hidden_values(first) == hidden_values(same)
    assert not hidden_values(first) & hidden_values(other)


@needs_sandbox
def test_an_exercise_whose_own_reference_fails_grades_nobody(tmp_path: Path) -> None:
    exam = notebook(answer("counter", "def my_counter(n): return {n: 1}"), check_of("counter"))
    course, assignment = make_course(tmp_path, exam)
    hand_in(course, "ada", exam)
    with pytest.raises(CourseError, match="the reference of my_counter fails its own hidden cases"):
        mark_all(course, assignment)
    assert rows(course) == []


@needs_sandbox
def test_an_exam_whose_own_answers_fail_here_grades_nobody(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path, changed(teachers(), 4, source=WRONG_ROWS))
    hand_in(course, "bob", CLASS["bob"])
    told = "own answer to rows earns 0 of 3 here, so nobody was graded"
    with pytest.raises(CourseError, match=told):
        mark_all(course, assignment)
    make_course(tmp_path, changed(teachers(), 1, source=f"{SETUP}DATA = '{'1' * 25000}'"))
    with pytest.raises(CourseError, match=rf"(?s){told}.*name 'SCALE' is not defined"):
        mark_all(course, assignment)
    assert rows(course) == []
    magic = f"%matplotlib inline\n{SETUP}%load_ext autoreload\n"
    course, assignment = make_course(tmp_path, changed(teachers(), 1, source=magic))
    mark_all(course, assignment)
    assert points(course) == {"bob": EARNED["bob"]}


@needs_sandbox
def test_words_wait_for_their_reader_unless_there_are_none(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    words = {"said": WHY, "blank": " \n\t", "stub": "YOUR ANSWER HERE", "more": "YOUR ANSWER HERE."}
    hand_in_all(course, {name: students(why=text) for name, text in words.items()})
    mark_all(course, assignment, only=["why"])
    found = {name: questions["why"] for name, questions in points(course).items()}
    assert found == {"said": None, "blank": 0, "stub": 0, "more": None}


@needs_sandbox
def test_a_grading_that_nobody_reads_to_its_end_can_go_on(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    given = {f"ada{n}": CLASS["ada"] for n in range(4)}
    hand_in_all(course, given)
    _, marked = grade(course, assignment, jobs=2)
    next(marked)
    marked.close()  # type: ignore[attr-defined]
    mark_all(course, assignment, jobs=2)
    assert points(course) == dict.fromkeys(given, EARNED["ada"])


@needs_sandbox
def test_odd_letters_are_kept_as_they_came(tmp_path: Path) -> None:
    course, assignment = make_course(tmp_path)
    odd = 'def my_total(values):\n    print("猫\\0\\x1b[2J")  # 🎲 \x1b[31m\n    return 1 / 0'
    hand_in(course, "ada", students(total=odd))
    mark_all(course, assignment)
    mark = marks(course)["ada"]["total"]
    assert mark.source == odd
    assert "猫\0\x1b[2J" in mark.log
    assert mark.detail[0]["came"] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((1, 2), "a tuple of 2"),
        ({1: 2}, "a table of 1"),
        ({1, 2, 3}, "a set of 3"),
        (b"ab", "bytes of 2"),
        (True, "True or False"),
        (1.5, "a number"),
        (print, "builtin_function_or_method"),
    ],
)
def test_a_value_is_described_without_its_content(value: Any, words: str) -> None:
    assert in_words(value) == words


def test_no_stage_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    course, assignment = make_course(tmp_path / "course")
    (tmp_path / "stages").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "stages"))
    monkeypatch.setattr(grading, "is_available", lambda: True)
    bad = notebook(cell("code", "x = 1"), answer("counter", "def my_counter(n): return 1"))
    make_course(tmp_path / "course", bad)
    hand_in(course, "ada", bad)
    with pytest.raises(CourseError):
        mark_all(course, assignment)
    assert list((tmp_path / "stages").iterdir()) == []


def test_an_assignment_without_submissions_is_nothing_to_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    course, assignment = make_course(tmp_path)
    monkeypatch.setattr(grading, "is_available", lambda: True)
    number, marked = grade(course, assignment)
    assert (number, list(marked)) == (0, [])
