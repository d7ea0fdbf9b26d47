"""What a teacher and a student type, from the first command to the last."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from classroom.command import run
from classroom.release import student_version
from labkit.course import CourseError
from labkit.course.exam import NOTEBOOKS
from labkit.course.settings import init_course
from tests.course.small import needs_sandbox
from workbench.command import main

(CHAPTER,) = NOTEBOOKS.glob("12_*.ipynb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init_course(tmp_path / "course")
    settings = (tmp_path / "course" / "course.toml").read_text(encoding="utf-8")
    chapter = settings.replace("ps1]", "ngrams]").replace('"ps1"', '"12"')
    (tmp_path / "course" / "course.toml").write_text(chapter, encoding="utf-8")
    roster = "id,name,email\nada,Ada Lovelace,\nbob,Bob Ross,\neve,Eve,\n"
    (tmp_path / "course" / "roster.csv").write_text(roster, encoding="utf-8")
    return tmp_path / "course"


def say(folder: Path, *typed: str) -> str:
    return "\n".join(run([*typed, "--course", str(folder)]))


def with_sources(sources: Mapping[str, str]) -> bytes:
    notebook = json.loads(CHAPTER.read_bytes())
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = sources.get(grade_id, cell["source"])
    return json.dumps(notebook).encode()


def totals(folder: Path) -> dict[str, tuple[str, str]]:
    with (folder / "grades" / "ngrams-plain.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["id"]: (row["total"], row["status"]) for row in csv.DictReader(file)}


@needs_sandbox
def test_an_assignment_from_release_to_grades(folder: Path, tmp_path: Path) -> None:
    assert "release/ngrams/ngrams.ipynb" in say(folder, "release", "ngrams")
    handed_in = tmp_path / "in"
    handed_in.mkdir()
    (handed_in / "ada.ipynb").write_bytes(CHAPTER.read_bytes())
    wrong = "def my_add_k(counts, k):\n    return counts + k\n"
    (handed_in / "bob.ipynb").write_bytes(with_sources({"add-k-answer": wrong}))
    (handed_in / "nobody.ipynb").write_bytes(CHAPTER.read_bytes())
    collected = say(folder, "collect", "ngrams", str(handed_in))
    assert "nobody.ipynb" in collected
    assert "2 submissions, 2 of them new; 1 refused" in collected
    assert "12 questions marked" in say(folder, "grade", "ngrams")
    assert "0 questions marked" in say(folder, "grade", "ngrams")
    assert "1 without a notebook (eve)" in say(folder, "collect", "ngrams", str(handed_in))
    assert "ada and the published solution share 100%" in say(folder, "similar", "ngrams")
    told = say(folder, "essays", "ngrams")
    assert "2 answers wait" in told
    sheet = folder / "essays" / "ngrams.csv"
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, points in zip(rows, ("5", "2.5"), strict=True):
        row["points"] = points
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    say(folder, "essays", "ngrams", "--filled", str(sheet), "--who", "Li")
    say(folder, "grades", "ngrams")
    assert totals(folder)["ada"] == ("20", "graded")
    assert totals(folder)["bob"] == ("14.5", "graded")
    assert totals(folder)["eve"][1] == "missing"
    say(folder, "decide", "ngrams", "bob", "add-k-answer", "1", "--who", "Li", "--why", "nearly")
    say(folder, "grades", "ngrams")
    assert totals(folder)["bob"] == ("15.5", "graded")
    assert "4 files" in say(folder, "feedback", "ngrams")
    assert "nearly" in (folder / "feedback/ngrams/bob/feedback.html").read_text(encoding="utf-8")
    assert "1 questions marked" not in say(folder, "grade", "ngrams")
    assert "2 questions marked" in say(
        folder, "grade", "ngrams", "--again", "--question", "add-k-answer"
    )


@pytest.mark.parametrize(
    ("points", "student", "why", "told"),
    [
        ("4", "ada", "x", "expected 0 to 3 points, got '4'"),
        ("nan", "ada", "x", "expected 0 to 3 points"),
        ("much", "ada", "x", "expected 0 to 3 points, got 'much'"),
        ("2", "zoe", "x", "no student 'zoe'"),
        ("2", "ada", " ", "who made it and why"),
    ],
)
def test_a_decision_that_cannot_be_is_refused(
    folder: Path, points: str, student: str, why: str, told: str
) -> None:
    typed = ("decide", "ngrams", student, "add-k-answer", points, "--who", "Li", "--why", why)
    with pytest.raises(CourseError, match=told):
        say(folder, *typed)


def test_a_student_checks_and_hands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("12_ngrams.ipynb").write_bytes(student_version(CHAPTER.name, CHAPTER.read_bytes()))
    assert main(["course", "check", "12"]) == 0
    assert "add-k-answer: not written yet" in capsys.readouterr().out
    assert main(["course", "submit", "12", "--student", "ada"]) == 0
    assert "Hand in 12_ngrams-ada.ipynb with 0 of 6 questions answered" in capsys.readouterr().out
    Path("12_ngrams.ipynb").rename("12_ngrams (1).ipynb")  # as a browser calls it the second time
    assert main(["course", "check", "12_ngrams (1).ipynb"]) == 0
    assert "add-k-answer: not written yet" in capsys.readouterr().out
    assert main(["course", "check", "99"]) == 1
    assert "there is no notebook 99" in capsys.readouterr().err
