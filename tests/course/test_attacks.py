"""Hostile submissions earn what their answers are worth, and reach nothing else."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labkit.course import CourseError, sandbox
from labkit.course.exam import LARGEST_NOTEBOOK, answers, read_exam
from labkit.course.grade import RECORD, grade
from labkit.course.record import QuestionMark
from labkit.course.settings import Course
from tests.course import small
from tests.course.attacks import ATTACKS, HONEST, REFUSED, Attack
from tests.course.small import POINTS, SECRETS, needs_sandbox

LIBRARIES = Path(np.__file__).parents[1]
MARKER = "labkit-test-daemon-of-an-attack"


def name_of(attack: Attack) -> str:
    """A student's name for an attack."""
    return attack.name.replace(" ", "-").replace(",", "")


@dataclass(frozen=True)
class Aftermath:
    """What is left after a class of attackers was graded."""

    course: Course
    marks: dict[str, dict[str, QuestionMark]]
    error: str
    """What the grading complained of at its end."""
    before: dict[Path, bytes]
    """Every file outside, as it was."""
    after: dict[Path, bytes]
    visitors: int
    """Connections that came in from outside."""
    stages: Path


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def filled(content: Any, places: dict[str, str]) -> bytes:
    """Put the places of this machine into a submission."""
    if isinstance(content, bytes):
        return content
    text = json.dumps(content)
    for name, place in places.items():
        text = text.replace(f"<{name}>", place)
    return text.encode()


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Any], Path, str]]:
    """Sockets of the host, of every kind that an answer may try to reach."""
    path, name = tmp_path_factory.mktemp("s") / "s", f"labkit-{os.getpid()}"
    doors = [socket.socket(socket.AF_INET), *(socket.socket(socket.AF_UNIX) for _ in range(2))]
    places: list[Any] = [("127.0.0.1", 0), str(path), f"\0{name}"]
    for door, place in zip(doors, places, strict=True):
        door.bind(place)
        door.listen()
        door.setblocking(False)
    yield doors, path, name
    for door in doors:
        door.close()


def visitors(doors: list[Any]) -> int:
    """How many came to the sockets."""
    came = 0
    for door in doors:
        try:
            door.accept()
        except BlockingIOError:
            continue
        came += 1
    return came


@pytest.fixture(scope="module")
def aftermath(
    tmp_path_factory: pytest.TempPathFactory, listening: tuple[list[Any], Path, str]
) -> Aftermath:
    """The whole class, graded once."""
    folder = tmp_path_factory.mktemp("class")
    home, stages = folder / "home", folder / "stages"
    home.mkdir()
    stages.mkdir()
    (home / ".netrc").write_text(SECRETS["in the home folder"])
    course, assignment = small.make_course(folder / "course")
    doors, path, name = listening
    places = {"home": str(home), "course": str(course.folder), "pid": str(os.getpid())}
    places |= {"port": str(doors[0].getsockname()[1]), "socket": str(path), "abstract": name}
    places |= {"checks": small.__file__.replace("small.py", "small_checks.py"), "marker": MARKER}
    places |= {"libraries": str(LIBRARIES)}
    secret = f"def my_total(values): return 0  # {SECRETS['of another student']}"
    small.hand_in(course, "victim", small.students(total=secret))
    small.hand_in(course, "unreadable", REFUSED["UTF-16"])
    for attack in ATTACKS:
        small.hand_in(course, name_of(attack), filled(attack.submission, places))
    before = files(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("LABKIT_SECRET", SECRETS["in the environment"])
        patch.setattr("tempfile.tempdir", str(stages))
        patch.setattr(sandbox, "WALL_EXTRA", 4)
        with pytest.raises(CourseError) as error:
            small.mark_all(course, assignment, jobs=2)
    return Aftermath(
        course,
        small.marks(course),
        str(error.value),
        before,
        files(folder),
        visitors(doors),
        stages,
    )


def test_attacks_have_names_of_their_own() -> None:
    assert len({name_of(attack) for attack in ATTACKS}) == len(ATTACKS) > 40


@needs_sandbox
@pytest.mark.parametrize("attack", ATTACKS, ids=name_of)
def test_an_attack_earns_what_its_answers_are_worth(attack: Attack, aftermath: Aftermath) -> None:
    got = aftermath.marks[name_of(attack)]
    earned = {name: mark.points for name, mark in got.items()}
    log = got["total"].log
    assert earned == {"total": attack.total, "rows": attack.rows, "why": attack.why}, log
    assert attack.says in log
    assert [got[name].out_of for name in POINTS] == list(POINTS.values())


@needs_sandbox
@pytest.mark.parametrize("attack", ATTACKS, ids=name_of)
def test_no_secret_comes_back(attack: Attack, aftermath: Aftermath) -> None:
    for mark in aftermath.marks[name_of(attack)].values():
        told = json.dumps([mark.log, mark.detail])
        assert [where for where, secret in SECRETS.items() if secret in told] == []
        assert "the body" not in told


@needs_sandbox
def test_nothing_outside_has_changed(aftermath: Aftermath) -> None:
    changed = {
        path
        for path in {*aftermath.before, *aftermath.after}
        if aftermath.before.get(path) != aftermath.after.get(path)
    }
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in changed} <= {RECORD}


@needs_sandbox
def test_nobody_came_out_over_a_socket(aftermath: Aftermath) -> None:
    assert aftermath.visitors == 0


@needs_sandbox
def test_no_process_and_no_stage_is_left(aftermath: Aftermath) -> None:
    assert small.survivors(str(aftermath.stages)) == []
    assert small.survivors(MARKER) == []
    assert list(aftermath.stages.iterdir()) == []


@needs_sandbox
def test_what_is_kept_of_an_attack_is_small(aftermath: Aftermath) -> None:
    for found in aftermath.marks.values():
        for mark in found.values():
            assert len(mark.log) <= sandbox.KEPT_LOG + 100
            assert len(json.dumps(mark.detail)) < 20_000


@needs_sandbox
def test_what_is_kept_can_be_written_to_a_file(aftermath: Aftermath) -> None:
    for found in aftermath.marks.values():
        for mark in found.values():
            told = [mark.source, mark.log, *(text for one in mark.detail for text in one.values())]
            assert "".join(map(str, told)).encode("utf-8").decode("utf-8") == "".join(
                map(str, told)
            )


@needs_sandbox
def test_a_submission_that_cannot_be_read_is_named_and_holds_up_nobody(
    aftermath: Aftermath,
) -> None:
    assert "submissions/small/unreadable/" in aftermath.error
    assert "is not UTF-8 text" in aftermath.error
    assert aftermath.marks["unreadable"] == {}


@needs_sandbox
def test_the_marks_of_honest_students_say_so(aftermath: Aftermath) -> None:
    for attack in HONEST:
        for mark in aftermath.marks[name_of(attack)].values():
            assert mark.log == ""
            assert all(case["share"] == 1 for case in mark.detail)


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_notebook_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    exam = read_exam(*small.make_course(tmp_path))
    with pytest.raises(CourseError) as error:
        answers(exam, REFUSED[what])
    assert "\n" not in str(error.value)


def test_a_large_notebook_is_read_up_to_the_bound(tmp_path: Path) -> None:
    exam = read_exam(*small.make_course(tmp_path))
    content = small.packed(small.students())
    padded = content + b" " * (LARGEST_NOTEBOOK - len(content))
    assert answers(exam, padded) == answers(exam, content)
    with pytest.raises(CourseError, match="more than 20"):
        answers(exam, padded + b" ")


@needs_sandbox
def test_grading_again_after_attacks_finds_nothing_left(aftermath: Aftermath) -> None:
    number, _ = grade(aftermath.course, aftermath.course.assignment("small"))
    assert number == 3  # the questions of the submission that cannot be read
