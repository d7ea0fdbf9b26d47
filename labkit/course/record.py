"""The record of grades, one SQLite file: what was handed in, what each question earned, and why.

Every change is one transaction that is on the disk before the call returns, so a process that is
killed loses nothing that it reported; what must not exist twice has a key. Nothing is overwritten:
a later mark or decision stands above an earlier one.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS submissions (
  id INTEGER PRIMARY KEY, assignment TEXT NOT NULL, student TEXT NOT NULL, sha256 TEXT NOT NULL,
  received TEXT NOT NULL, path TEXT NOT NULL, origin TEXT NOT NULL,
  UNIQUE (assignment, student, sha256));
CREATE TABLE IF NOT EXISTS marks (
  id INTEGER PRIMARY KEY, submission INTEGER NOT NULL REFERENCES submissions,
  question TEXT NOT NULL, points REAL, out_of REAL NOT NULL, exam TEXT NOT NULL,
  round INTEGER NOT NULL, source TEXT NOT NULL, detail TEXT NOT NULL, log TEXT NOT NULL,
  seconds REAL NOT NULL, peak_mb REAL NOT NULL, versions TEXT NOT NULL, marked_at TEXT NOT NULL,
  UNIQUE (submission, question, exam, round));
CREATE TABLE IF NOT EXISTS decisions (
  id INTEGER PRIMARY KEY, assignment TEXT NOT NULL, student TEXT NOT NULL, question TEXT NOT NULL,
  points REAL NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL, decided_at TEXT NOT NULL,
  answer TEXT NOT NULL);
"""
KEY = "(assignment, student, sha256) = (?, ?, ?)"
ANSWER = """
SELECT source FROM marks JOIN submissions ON submissions.id = submission
WHERE assignment = ? AND student = ? AND question = ? ORDER BY received DESC, submission DESC,
marks.id DESC LIMIT 1
"""


def now() -> str:
    """The time in UTC, to the second, as it is kept."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A notebook that a student handed in."""

    id: int
    assignment: str
    student: str
    sha256: str
    """Of the bytes as they came."""
    received: datetime
    path: str
    """Where the bytes are kept, relative to the course folder."""
    origin: str
    """Where they came from, such as a member of an archive."""


@dataclass(frozen=True, kw_only=True)
class QuestionMark:
    """What a question of a submission earned."""

    question: str
    points: float | None
    """None while an essay waits for its reader."""
    out_of: float
    exam: str
    """Digest of the notebook, its exercises and the seed that it was marked by."""
    source: str = ""
    """The answer as it was taken from the submission."""
    detail: list[dict[str, Any]] = field(default_factory=list)
    """Of each case: "share", "tried", "came", "expected", in words for the student."""
    log: str = ""
    """What the answer printed or raised, and why it was stopped, shortened."""
    seconds: float = 0
    """Wall time in the sandbox."""
    peak_mb: float = 0
    versions: str = ""
    """Of the course and labkit."""
    marked_at: str = ""


@dataclass(frozen=True)
class Decision:
    """A teacher's points for a question, above whatever was marked."""

    student: str
    question: str
    points: float
    who: str
    why: str
    decided_at: str = ""


class Record:
    """The record in a course folder; several processes may write to it at once.

    >>> came = {"sha256": "00ff", "received": now(), "path": "a.ipynb", "origin": "a.zip"}
    >>> with Record(Path(":memory:")) as record:
    ...     first = record.add_submission("ps1", "ada", **came)
    ...     first == record.add_submission("ps1", "ada", **came)
    True
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or begin it."""
        self.connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {SCHEMA}")

    def __enter__(self) -> "Record":
        """Return the record, which is closed at the end of the block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make several changes whole or not at all."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def add_submission(
        self, assignment: str, student: str, *, sha256: str, anew: bool = False, **came: str
    ) -> int:
        """Keep that something came, as `Submission` says, once for the same bytes; return its id.

        The first time stays, unless it is put right, `anew`: then `origin` keeps the old one.
        """
        key, when = (assignment, student, sha256), came["received"]
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO submissions (assignment, student, sha256, received, path, "
                "origin) VALUES (?, ?, ?, ?, ?, ?)",
                (*key, when, came["path"], came["origin"]),
            )
            if anew:
                connection.execute(
                    "UPDATE submissions SET received = ?, origin = origin || ', first ' || received"
                    f" WHERE {KEY} AND received <> ?",
                    (when, *key, when),
                )
            (found,) = connection.execute(f"SELECT id FROM submissions WHERE {KEY}", key).fetchone()
        return int(found)

    def submissions(self, assignment: str) -> list[Submission]:
        """Return the last submission of each student, by student."""
        rows = self.connection.execute(
            "SELECT * FROM submissions WHERE assignment = ? ORDER BY received, id", (assignment,)
        )
        last = {row["student"]: row for row in rows}
        return [
            Submission(**{**row, "received": datetime.fromisoformat(row["received"])})
            for _, row in sorted(last.items())
        ]

    def add_mark(self, submission: int, mark: QuestionMark, round_: int = 0) -> None:
        """Keep what a question earned; a mark of the same exam and round is not doubled."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO marks (submission, question, points, out_of, exam, round, "
                "source, detail, log, seconds, peak_mb, versions, marked_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(submission, mark.question, mark.points, mark.out_of, mark.exam, round_),
                    *(mark.source, json.dumps(mark.detail), mark.log, mark.seconds, mark.peak_mb),
                    *(mark.versions, mark.marked_at or now()),
                ),
            )

    def marks(self, submission: int) -> dict[str, QuestionMark]:
        """Return the newest mark of each question of a submission."""
        rows = self.connection.execute(
            "SELECT * FROM marks WHERE submission = ? ORDER BY id", (submission,)
        )
        hidden = ("id", "submission", "round", "detail")
        return {
            row["question"]: QuestionMark(
                detail=json.loads(row["detail"]),
                **{key: row[key] for key in row.keys() if key not in hidden},  # noqa: SIM118
            )
            for row in rows
        }

    def rounds(self, submission: int, question: str) -> int:
        """Return how often a question was marked."""
        asked = "SELECT count(*) FROM marks WHERE submission = ? AND question = ?"
        return int(self.connection.execute(asked, (submission, question)).fetchone()[0])

    def answer(self, assignment: str, student: str, question: str) -> str:
        """Return the answer that counts, "" where none was marked."""
        row = self.connection.execute(ANSWER, (assignment, student, question)).fetchone()
        return str(row["source"]) if row else ""

    def decide(self, assignment: str, *decisions: Decision) -> None:
        """Keep a teacher's decisions on the answers that count now, all or none of them."""
        with self.transaction() as connection:
            for d in decisions:
                answer = self.answer(assignment, d.student, d.question)
                row = (assignment, d.student, d.question, d.points, d.who, d.why)
                connection.execute(
                    "INSERT INTO decisions (assignment, student, question, points, who, why, "
                    "decided_at, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, d.decided_at or now(), answer),
                )

    def decisions(self, assignment: str) -> dict[tuple[str, str], Decision]:
        """Return the last by student and question, if on the answer that counts, or on none."""
        rows = self.connection.execute(
            "SELECT student, question, points, who, why, decided_at, answer FROM decisions "
            "WHERE assignment = ? ORDER BY id",
            (assignment,),
        )
        last = {(row["student"], row["question"]): row for row in rows}
        return {
            key: Decision(*row[:-1])
            for key, row in last.items()
            if row["answer"] in ("", self.answer(assignment, *key))
        }
