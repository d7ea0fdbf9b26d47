"""For the student: try the answers as the grader takes them, and make the file to hand in.

Only answer cells count, and each runs with those cells of the teacher's notebook that it needs, in
a process of its own, on the visible cases.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classroom.release import cut
from labkit.checks import VISIBLE_SEED
from labkit.course import CourseError, exam
from labkit.course.inside import Anything
from labkit.course.settings import NAME, Assignment, Course
from labkit.course.source import defined, plain
from labkit.files import write_atomically

STUBS = re.compile(r"# YOUR CODE HERE|raise NotImplementedError\(\)|YOUR ANSWER HERE")
INSIDE = "import sys; from classroom import student; student.try_inside(*sys.argv[1:])"


@dataclass(frozen=True)
class Finding:
    """How the answer to one question does: "right", "not yet", "written", "stub" or "missing"."""

    question: str
    state: str
    text: str

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.question}: {self.text}"


def find_work(name: str, folder: Path) -> Path:
    """Return the student's notebook: a path, or a problem set or chapter such as ps1 or 31."""
    places = [folder / name] if name.endswith(".ipynb") else []
    for work in (folder / "work", folder / "work" / "assignments", folder):
        places += [work / f"{name}.ipynb", *sorted(work.glob(f"{name}_*.ipynb"))]
    for place in places:
        if place.is_file():
            return place
    raise CourseError(f"there is no notebook {name} in {folder}, its work/ or work/assignments/")


def find_paper(notebook: Path, name: str = "") -> Path:
    """Return the teacher's notebook that a student's is made from, or the student's if it is alone.

    `name` is the assignment's where the file is called otherwise.
    """
    stem = notebook.name.split(".")[0]
    known = re.match(r"ps\d+|\d\d", stem)  # as in "ps1 (1)", which a browser makes
    name = name or (known[0] if known else stem)
    try:
        return exam.find_notebook(*_alone(notebook, name))
    except CourseError:
        return notebook


def read_paper(path: Path) -> exam.Exam:
    """Read what a notebook asks."""
    return exam.read_exam(*_alone(path, path.stem), path)


def _alone(path: Path, name: str) -> tuple[Course, Assignment]:
    """What stands for a course where there is none."""
    course = Course.model_construct(folder=path.parent, seed="")
    return course, Assignment.model_construct(name=name)


def check(notebook: Path, name: str = "", seconds: float = 60) -> list[Finding]:
    """Try every answer of a student's notebook, each for so many seconds at most.

    Where the teacher's notebook is missing, helpers in other cells go unnoticed. Raises CourseError
    for what is no notebook.
    """
    content, path = _stripped(notebook), find_paper(notebook, name).resolve()
    paper = read_paper(path)
    given = exam.answers(paper, content)
    findings: list[Finding] = []
    for question in paper.questions:
        answer = given[question.id]
        state, text = "written", f"{len(answer.split())} words, for your teacher to read"
        if not _is_written(paper, question, answer):
            state = "stub" if answer else "missing"
            text = "not written yet" if answer else "its cell is missing or empty"
        elif question.exercise:
            wrong = {found.question for found in findings if found.state != "right"}
            program = exam.program(paper, question, given, wrong)
            state, text = _try(program, seconds, str(path), question.id)
            text = _explain(text.removeprefix(f"{question.exercise.name}: "), content)
        findings.append(Finding(question.id, state, text))
    return findings


def _stripped(notebook: Path) -> bytes:
    """Return a notebook without outputs."""
    try:
        found: dict[str, Any] = json.loads(notebook.read_bytes())
        for cell in found["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        found["metadata"].pop("widgets", None)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CourseError(f"{notebook} is not a notebook: {error!r}") from error
    return (json.dumps(found, indent=1) + "\n").encode()


def _is_written(paper: exam.Exam, question: exam.Question, answer: str) -> bool:
    """Whether there is more than what the student was given."""
    parts = cut(paper.cells[question.cell].source, True)
    shown = "".join(text for secret, text in parts if not secret)
    return STUBS.sub("", answer).split() not in ([], shown.split())


def _try(program: list[str], seconds: float, *about: str) -> tuple[str, str]:
    """Run an answer in a process of its own; return a finding's state and text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.json")
        path.write_text(json.dumps(program), encoding="utf-8")
        command = [sys.executable, "-c", INSIDE, str(path), *about]
        try:
            subprocess.run(command, cwd=folder, timeout=seconds, capture_output=True, check=False)
            state, text = json.loads(path.with_name("found.json").read_bytes())
        except subprocess.TimeoutExpired:
            return "not yet", f"took more than {seconds:g} seconds: does a loop never end?"
        except FileNotFoundError:
            return "not yet", "Python ended: is there an exit(), or did the memory run out?"
    return state, text


def try_inside(path: str, paper: str, question: str) -> None:
    """Run the cells in a file and write how the last does beside it: in the process of `check`."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
    shell.user_ns["check"] = Anything()
    program = json.loads(Path(path).read_bytes())
    last = [shell.run_cell(cell) for cell in program][-1]  # a cell that fails may be replaced
    # Only now the exercises, which may load torch: a chapter's setup() comes before that.
    exercise = read_paper(Path(paper)).question(question).exercise
    error = last.error_before_exec or last.error_in_exec
    if error:
        found = ("not yet", f"{type(error).__name__}: {getattr(error, 'msg', error)}")
    elif exercise is None or exercise.name not in shell.user_ns:
        found = ("not yet", "the answer cell does not define the function that is asked for")
    else:
        report = exercise.report(shell.user_ns[exercise.name], VISIBLE_SEED)
        found = ("right" if report.passed else "not yet", report.text)
    Path(path).with_name("found.json").write_text(json.dumps(found), encoding="utf-8")


def _explain(text: str, content: bytes) -> str:
    """Say more where a name is missing that stands in another cell."""
    missing = re.search(r"NameError: name '(\w+)' is not defined", text)
    cells = ["".join(cell["source"]) for cell in json.loads(content)["cells"]]
    if not missing or not any(missing[1] in defined(plain(cell)) for cell in cells):
        return text
    return (
        f"your function uses a helper `{missing[1]}` that is defined outside the answer cell: move "
        "it in, only answer cells are graded"
    )


def submit(notebook: Path, student: str, out: Path | None = None, name: str = "") -> str:
    """Write the one file to hand in, without outputs; return a sentence about it.

    It lies beside the notebook, or in the folder `out`, or at `out` if that ends in .ipynb.
    """
    if not NAME.fullmatch(student):
        raise CourseError(f"expected an id of letters, digits and . @ + -, got {student!r}")
    content, path = _stripped(notebook), out or notebook.parent
    if path.suffix != ".ipynb":
        path /= f"{notebook.name.split('.')[0]}-{student}.ipynb"
    if path.resolve() == notebook.resolve():
        raise CourseError(f"{path} is the notebook itself: name another file, yours stays as it is")
    try:
        paper = read_paper(find_paper(notebook, name))
    except CourseError:  # the teacher keeps the exercises: nothing to count by
        paper = exam.Exam(name, (), (), "")
    given = exam.answers(paper, content)
    n_written = sum(_is_written(paper, item, given[item.id]) for item in paper.questions)
    counted = f" with {n_written} of {len(given)} questions answered" if given else ""
    write_atomically(path, content)
    return f"Hand in {path}{counted}; its sha256 is {hashlib.sha256(content).hexdigest()}."
