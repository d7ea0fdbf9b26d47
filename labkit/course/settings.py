"""A course folder: `course.toml` with assignments and deadlines, `roster.csv` with students.

The seed in `course.toml` is a secret: hidden tests are made from it, so the file is readable by its
owner alone and belongs into no public repository.
"""

import csv
import math
import os
import re
import secrets
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from labkit.course import CourseError
from labkit.files import write_atomically

NAME = re.compile(r"[\w][\w.@+-]{0,63}", re.ASCII)
"""What an assignment or a student may be called: it becomes the name of a folder."""
TEMPLATE = """\
title = "{title}"
term = "{term}"
# A secret: the hidden tests are made from it. Keep this file out of public repositories, and do not
# change the seed once grading has begun.
seed = "{seed}"

[late]
free_days = 3        # days a student may be late in the whole term at no cost
penalty = 0.1        # share of the points that each further day costs
last_day = 7         # later than so many days, nothing is earned
grace_minutes = 10   # a clock may be wrong

[assignments.ps1]
title = "Tokens and n-grams"
notebook = "ps1"     # a problem set, a chapter such as "12", or a notebook in this folder
deadline = {deadline}
seconds = 10         # processor time of each question

[assignments.ps2]
title = "Attention and GPT"
deadline = {later}
seconds = 45         # its last question trains a model
"""


class LatePolicy(BaseModel, frozen=True, extra="forbid"):
    """What it costs to be late."""

    free_days: int = 0
    """Days that a student may be late in the whole term at no cost."""
    penalty: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the points that each further day costs."""
    last_day: int = 7
    """Later than so many days, nothing is earned."""
    grace_minutes: float = 0
    """Minutes after the deadline that do not count."""

    def days_late(self, received: datetime, deadline: datetime) -> int:
        """Return the days begun since the deadline, 0 where it was met."""
        late = received - deadline - timedelta(minutes=self.grace_minutes)
        return max(0, math.ceil(late / timedelta(days=1)))

    def share(self, days: int, free: int = 0) -> float:
        """Return the share of the points that is left after some days, `free` of them forgiven."""
        if days > self.last_day:
            return 0.0
        return max(0.0, 1 - self.penalty * max(0, days - free))


class Assignment(BaseModel, frozen=True, extra="forbid"):
    """Something to hand in."""

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    """What the teacher types, such as "ps1"."""
    deadline: AwareDatetime
    """Until when, with a time zone."""
    title: str = ""
    """What the students read."""
    notebook: str = ""
    """A chapter, a problem set of the course, or a path in the course folder; `name` if empty."""
    checks: str = ""
    """The module or the .py file that holds the exercises; beside the notebook if empty."""
    seconds: float = 10
    """Processor time that a question may take."""
    memory_mb: int = 1024
    """Memory that a question may hold."""
    extensions: dict[str, AwareDatetime] = {}
    """By student, another deadline."""

    def deadline_of(self, student: str) -> datetime:
        """Return the deadline that a student has."""
        return self.extensions.get(student, self.deadline)


@dataclass(frozen=True)
class Student:
    """Someone on the roster."""

    id: str
    name: str = ""
    email: str = ""


class Course(BaseModel, frozen=True, extra="forbid"):
    """A course folder, read."""

    folder: Path
    title: str = ""
    term: str = ""
    seed: str = Field(min_length=16)
    """A secret, from which the hidden tests are made."""
    late: LatePolicy = LatePolicy()
    assignments: dict[str, Assignment] = {}
    roster: dict[str, Student] = {}

    def assignment(self, name: str) -> Assignment:
        """Return an assignment by name; raise CourseError if there is none."""
        if name not in self.assignments:
            known = ", ".join(self.assignments) or "none yet"
            raise CourseError(f"there is no assignment {name!r} in course.toml; it has: {known}")
        return self.assignments[name]


def init_course(folder: Path, title: str = "Language models", term: str = "") -> None:
    """Write a course folder to begin with; refuse one that exists.

    Raises CourseError if the folder already holds a course.
    """
    if (folder / "course.toml").exists():
        raise CourseError(f"{folder} already holds a course; edit its course.toml, or name another")
    today = datetime.now().astimezone().replace(hour=23, minute=59, second=0, microsecond=0)
    texts = {"title": _toml(title), "term": _toml(term or str(today.year))}
    first, second = ((today + timedelta(days=n)).isoformat() for n in (14, 56))
    settings = TEMPLATE.format(**texts, seed=secrets.token_hex(16), deadline=first, later=second)
    if not (roster := folder / "roster.csv").exists():
        write_atomically(roster, "id,name,email\n")
    write_atomically(folder / "course.toml", settings)
    os.chmod(folder / "course.toml", 0o600)


def _toml(text: str) -> str:
    """Escape a text for a quoted string of TOML."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def read_course(folder: Path) -> Course:
    """Read `course.toml` and `roster.csv`; raise CourseError that names what is wrong there."""
    path = folder / "course.toml"
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CourseError(
            f"{folder} holds no course.toml: go into a course folder, or make one with "
            "`labkit course init FOLDER`"
        ) from None
    except (ValueError, OSError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from error
    wanted = settings.get("assignments")
    if isinstance(wanted, dict):
        settings["assignments"] = {
            name: {"name": name, **entries} if isinstance(entries, dict) else entries
            for name, entries in wanted.items()
        }
    roster = read_roster(folder / "roster.csv")
    try:
        return Course.model_validate({**settings, "folder": folder, "roster": roster})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CourseError(f"{path}: {where}: {first['msg']}, got {first['input']!r}") from None


def read_roster(path: Path) -> dict[str, Student]:
    """Read the students of a course from a CSV file with the columns id, name and email."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise CourseError(f"{path} cannot be read as UTF-8 CSV: {error}") from error
    roster: dict[str, Student] = {}
    for number, row in enumerate(rows, start=2):
        values = [(row.get(name) or "").strip() for name in ("id", "name", "email")]
        if not NAME.fullmatch(values[0]):
            raise CourseError(
                f"{path}, line {number}: expected an id of letters, digits and . @ + -, got "
                f"{values[0]!r}"
            )
        if values[0].casefold() in map(str.casefold, roster):
            raise CourseError(f"{path}, line {number}: the id {values[0]!r} stands twice")
        roster[values[0]] = Student(*values)
    return roster
