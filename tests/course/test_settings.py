"""A course folder is read as it was written, and what is wrong in it is named."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from labkit.course import CourseError
from labkit.course.settings import LatePolicy, init_course, read_course


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_course(tmp_path / "course", 'Models "at large" \\ 2', "2027")
    return tmp_path / "course"


def swap(folder: Path, old: str, new: str, file: str = "course.toml") -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_new_folder_is_a_course_with_a_secret_of_its_own(folder: Path, tmp_path: Path) -> None:
    course = read_course(folder)
    assert (course.title, course.term) == ('Models "at large" \\ 2', "2027")
    assert course.assignment("ps1").deadline > datetime.now(UTC)
    assert os.stat(folder / "course.toml").st_mode & 0o077 == 0
    init_course(tmp_path / "another")
    assert read_course(tmp_path / "another").seed != course.seed


def test_a_course_is_never_written_over(folder: Path) -> None:
    before = (folder / "course.toml").read_bytes()
    with pytest.raises(CourseError, match="already holds a course"):
        init_course(folder)
    assert (folder / "course.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("penalty = 0.1", 'penalty = "much"', "late.penalty"),
        ("penalty =", "penalti =", "late.penalti"),
        ('seed = "', 'seed = "short" # "', "seed"),
        ("deadline =", "# deadline =", "assignments.ps1.deadline"),
        ("[assignments.ps1]", "[assignments.'../up']", r"assignments\.\.\./up\.name"),
        ("+00:00", "", "timezone"),
        ("[late]", "[late", "cannot be read"),
        ("[late]", "colour = 3\n[late]", "colour"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, old: str, new: str, told: str) -> None:
    utc = datetime(2027, 3, 1, tzinfo=UTC).isoformat()
    lines = (folder / "course.toml").read_text(encoding="utf-8").splitlines()
    fixed = [f"deadline = {utc}" if line.startswith("deadline") else line for line in lines]
    (folder / "course.toml").write_text("\n".join(fixed), encoding="utf-8")
    swap(folder, old, new)
    with pytest.raises(CourseError, match=told) as raised:
        read_course(folder)
    assert "course.toml" in str(raised.value)


def test_a_folder_without_a_course_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="labkit course init"):
        read_course(tmp_path)


def test_an_unknown_assignment_is_told_the_known_ones(folder: Path) -> None:
    with pytest.raises(CourseError, match=r"'poems'.*ps1"):
        read_course(folder).assignment("poems")


def test_a_roster_is_read_with_names_of_any_script(folder: Path) -> None:
    swap(folder, "id,name,email\n", "id,name,email\nada, Ada ,a@b.c\nzw,张伟,\n", "roster.csv")
    roster = read_course(folder).roster
    assert [(s.id, s.name, s.email) for s in roster.values()] == [
        ("ada", "Ada", "a@b.c"),
        ("zw", "张伟", ""),
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("ada,A,\nADA,B,\n", "line 3: the id 'ADA' stands twice"),
        ("../ada,A,\n", "line 2: expected an id"),
        (",A,\n", "line 2: expected an id"),
    ],
)
def test_a_roster_that_cannot_be_right_is_refused(folder: Path, rows: str, told: str) -> None:
    swap(folder, "id,name,email\n", f"id,name,email\n{rows}", "roster.csv")
    with pytest.raises(CourseError, match=told):
        read_course(folder)


def test_a_roster_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "roster.csv").write_bytes("id,name,email\nada,Søren,\n".encode("latin-1"))
    with pytest.raises(CourseError, match="UTF-8"):
        read_course(folder)


def test_late_days_begin_after_the_grace_and_cost_after_the_free_ones() -> None:
    policy = LatePolicy(free_days=2, penalty=0.25, last_day=4, grace_minutes=10)
    due = datetime(2027, 3, 1, tzinfo=UTC)
    hours = (-1, 0, 1 / 6, 0.2, 24, 25, 24 * 4 + 1)
    late = [policy.days_late(due + timedelta(hours=h), due) for h in hours]
    assert late == [0, 0, 0, 1, 1, 2, 5]
    assert [policy.share(days) for days in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]
    assert [policy.share(days, free=2) for days in range(6)] == [1, 1, 1, 0.75, 0.5, 0]
