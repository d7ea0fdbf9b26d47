"""The reader's edition: nothing of the reader's is ever lost, nothing of the teacher's is shown."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from workbench.reader import (
    MANIFEST,
    Action,
    Change,
    Copy,
    ReaderError,
    build_edition,
    examine,
    make_reader_edition,
)

ANSWER = """def my_next(x):
    ### BEGIN SOLUTION
    return x + 1
    ### END SOLUTION
"""
STUB = """def my_next(x):
    # YOUR CODE HERE
    raise NotImplementedError()
"""
TEST = """assert my_next(1) == 2
### BEGIN HIDDEN TESTS
assert my_next(41) == 42
### END HIDDEN TESTS"""
NAME = "12_ngrams.ipynb"


def graded(identifier: str, **flags: bool) -> dict[str, Any]:
    settings = {"schema_version": 3, "grade_id": identifier, "task": False, "points": 1}
    return {"nbgrader": {**settings, "grade": False, "solution": False, "locked": False, **flags}}


def chapter(title: str = "# Counting", answer: str = ANSWER, test: str = TEST) -> str:
    """A chapter as `notebooks/` holds it: with a solution, hidden tests and outputs."""
    result = new_output("execute_result", {"text/plain": "2"}, execution_count=1)
    text = graded("essay", solution=True, grade=True)
    cells = [
        new_markdown_cell(title, id="title"),
        new_code_cell("1 + 1", id="sum", execution_count=1, outputs=[result]),
        new_code_cell(answer, id="answer", execution_count=2, metadata=graded("a", solution=True)),
        new_code_cell(test, id="test", execution_count=3, metadata=graded("t", grade=True)),
        new_markdown_cell("Because 统计.", id="essay", metadata=text),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return str(nbformat.writes(new_notebook(cells=cells, metadata={"kernelspec": kernel})))


class Desk:
    """A folder with sources and a reader's folder, and what a reader does there."""

    def __init__(self, root: Path) -> None:
        self.sources = root / "notebooks 笔记"
        self.sources.mkdir()
        self.work = root / "work"
        self.publish()

    def publish(self, **parts: str) -> None:
        (self.sources / NAME).write_text(chapter(**parts), encoding="utf-8")

    def update(self) -> Change:
        (change,) = make_reader_edition(self.sources, self.work)
        return change

    def text(self, name: str = NAME) -> str:
        return (self.work / name).read_text(encoding="utf-8")

    def edit(self, name: str = NAME, **fields: Any) -> str:
        """Change the code cell `1 + 1` as JupyterLab would, and return the file's new text."""
        notebook = json.loads(self.text(name))
        notebook["cells"][1].update(fields)
        text = json.dumps(notebook)
        (self.work / name).write_text(text, encoding="utf-8")
        return text

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in self.work.glob("*.ipynb"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


RAN: dict[str, Any] = {"outputs": [{"output_type": "stream", "name": "stdout", "text": ["mine"]}]}
CHANGED: dict[str, Any] = {"source": ["1 + 2"]}


def test_solutions_become_stubs_and_hidden_tests_vanish(desk: Desk) -> None:
    assert desk.update() == Change(NAME, Action.ADDED, desk.work / NAME)
    notebook = nbformat.reads(desk.text(), as_version=4)
    nbformat.validate(notebook)
    title, total, answer, test, essay = notebook.cells
    assert title.source == "# Counting"
    assert (total.source, total.outputs, total.execution_count) == ("1 + 1", [], None)
    assert answer.source == STUB
    assert test.source == "assert my_next(1) == 2"
    assert essay.source == "YOUR ANSWER HERE"
    assert answer.metadata.nbgrader.solution
    for secret in ("x + 1", "41", "HIDDEN", "SOLUTION", "统计"):
        assert secret not in desk.text()


def test_the_same_chapter_always_gives_the_same_bytes() -> None:
    content = chapter().encode()
    first = build_edition(NAME, content)
    assert build_edition(NAME, content) == first
    script = (
        "import sys; from workbench.reader import build_edition as build;"
        "sys.stdout.buffer.write(build('x', sys.stdin.buffer.read()).encode())"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script]
        other = subprocess.run(
            command, input=content, capture_output=True, env=environment, check=True
        )
        assert other.stdout == first.encode()


def test_the_sources_are_never_written(desk: Desk) -> None:
    before = (desk.sources / NAME).read_bytes()
    desk.update()
    assert (desk.sources / NAME).read_bytes() == before
    assert sorted(path.name for path in desk.sources.iterdir()) == [NAME]


def test_unchanged_sources_touch_nothing_and_load_no_nbgrader(desk: Desk) -> None:
    desk.update()
    before = {path: path.stat().st_mtime_ns for path in desk.work.rglob("*")}
    script = (
        "import sys; from pathlib import Path; from workbench.reader import make_reader_edition;"
        "print([c.action.name for c in make_reader_edition(*map(Path, sys.argv[1:]))],"
        "[m for m in ('nbgrader', 'nbformat', 'torch') if m in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(desk.sources), str(desk.work)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['KEPT'] []"
    assert {path: path.stat().st_mtime_ns for path in desk.work.rglob("*")} == before


def test_a_chapter_the_reader_left_alone_is_renewed(desk: Desk) -> None:
    desk.update()
    desk.publish(title="# Counting better")
    assert desk.update().action is Action.RENEWED
    assert "Counting better" in desk.text()
    assert desk.names == [NAME]


def test_a_chapter_that_was_only_opened_and_saved_is_renewed(desk: Desk) -> None:
    desk.update()
    desk.edit(execution_count=7, metadata={"collapsed": True}, id="another")
    desk.publish(title="# Counting better")
    assert desk.update().action is Action.RENEWED


@pytest.mark.parametrize(
    "work",
    [
        RAN,
        CHANGED,
        {"cell_type": "markdown"},
        {"attachments": {"my.png": {"image/png": "AAAA"}}},
    ],
)
def test_work_of_the_reader_is_never_overwritten(work: dict[str, Any], desk: Desk) -> None:
    desk.update()
    mine = desk.edit(**work)
    desk.publish(title="# Counting better")
    change = desk.update()
    assert change == Change(NAME, Action.BESIDE, desk.work / "12_ngrams.update.ipynb")
    assert str(change).startswith("12_ngrams.ipynb holds your work and was left alone")
    assert str(change).endswith(" as 12_ngrams.update.ipynb.")
    assert desk.text() == mine
    assert "Counting better" in desk.text("12_ngrams.update.ipynb")
    assert desk.update().action is Action.KEPT


def test_an_update_nobody_touched_is_replaced_by_the_next(desk: Desk) -> None:
    desk.update()
    mine = desk.edit(**RAN)
    for title in ("# Second", "# Third"):
        desk.publish(title=title)
        desk.update()
    assert desk.names == [NAME, "12_ngrams.update.ipynb"]
    assert "Third" in desk.text("12_ngrams.update.ipynb")
    assert desk.text() == mine


def test_an_update_with_the_readers_work_is_kept_too(desk: Desk) -> None:
    desk.update()
    texts = {NAME: desk.edit(**CHANGED)}
    for name, title in (("12_ngrams.update.ipynb", "# 2"), ("12_ngrams.update-2.ipynb", "# 3")):
        desk.publish(title=title)
        assert desk.update().path.name == name
        texts[name] = desk.edit(name, **RAN)
    desk.publish(title="# 4")
    assert desk.update().path.name == "12_ngrams.update-3.ipynb"
    assert {name: desk.text(name) for name in texts} == texts


@pytest.mark.parametrize(
    "parts",
    [
        {"answer": ANSWER.replace("x + 1", "1 + x")},
        {"test": TEST.replace("41", "40").replace("42", "41")},
    ],
)
def test_a_change_the_reader_cannot_see_is_no_update(parts: dict[str, str], desk: Desk) -> None:
    desk.update()
    mine = desk.edit(**RAN)
    desk.publish(**parts)
    assert desk.update().action is Action.KEPT
    assert desk.text() == mine
    assert desk.names == [NAME]


def test_an_update_moved_into_place_counts_as_unchanged(desk: Desk) -> None:
    desk.update()
    desk.edit(**RAN)
    desk.publish(title="# Second")
    (desk.work / desk.update().path.name).rename(desk.work / NAME)
    desk.publish(title="# Third")
    assert desk.update().action is Action.RENEWED


def test_a_deleted_chapter_comes_back(desk: Desk) -> None:
    desk.update()
    (desk.work / NAME).unlink()
    assert desk.update().action is Action.ADDED
    assert STUB in "".join(json.loads(desk.text())["cells"][2]["source"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}', "\udcff"])
def test_an_unreadable_file_counts_as_the_readers(text: str, desk: Desk) -> None:
    desk.update()
    (desk.work / NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    desk.publish(title="# Second")
    assert desk.update().action is Action.BESIDE
    assert (desk.work / NAME).read_bytes() == text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("text", [None, "", "[]", '{"12_ngrams.ipynb": 3}'])
def test_without_a_manifest_nothing_is_overwritten(text: str | None, desk: Desk) -> None:
    desk.update()
    manifest = desk.work / MANIFEST
    if text is None:
        manifest.unlink()
    else:
        manifest.write_text(text, encoding="utf-8")
    old = desk.text()
    desk.publish(title="# Second")
    assert desk.update().action is Action.BESIDE
    assert desk.text() == old


def test_without_a_manifest_the_newest_edition_is_recognised(desk: Desk) -> None:
    desk.update()
    (desk.work / MANIFEST).unlink()
    assert desk.update().action is Action.RENEWED
    desk.publish(title="# Second")
    assert desk.update().action is Action.RENEWED
    assert desk.names == [NAME]


def test_chapters_do_not_disturb_each_other(desk: Desk) -> None:
    (desk.sources / "00_start_here.ipynb").write_text(chapter("# Start"), encoding="utf-8")
    assert [c.action for c in make_reader_edition(desk.sources, desk.work)] == [Action.ADDED] * 2
    desk.edit(**RAN)
    desk.publish(title="# Second")
    changes = make_reader_edition(desk.sources, desk.work)
    assert [c.action for c in changes] == [Action.KEPT, Action.BESIDE]


def test_problem_sets_come_along_in_a_folder_of_their_own(desk: Desk) -> None:
    (desk.sources / "assignments").mkdir()
    for path in (desk.sources / "assignments" / "ps1.ipynb", desk.sources / "assignments" / NAME):
        path.write_text(chapter("# Problems"), encoding="utf-8")
    changes = make_reader_edition(desk.sources, desk.work)
    assert [change.action for change in changes] == [Action.ADDED] * 3
    assert [change.path.relative_to(desk.work).as_posix() for change in changes] == [
        *(NAME, f"assignments/{NAME}", "assignments/ps1.ipynb")
    ]
    # A chapter and a problem set of one name are two notebooks.
    desk.publish(title="# Second")
    mine = desk.edit(f"assignments/{NAME}", **RAN)
    changes = make_reader_edition(desk.sources, desk.work)
    assert [change.action for change in changes] == [Action.RENEWED, Action.KEPT, Action.KEPT]
    assert desk.text(f"assignments/{NAME}") == mine
    (desk.sources / "assignments" / NAME).write_text(chapter("# New"), encoding="utf-8")
    beside = make_reader_edition(desk.sources, desk.work)[1]
    assert beside.action is Action.BESIDE
    assert beside.path == desk.work / "assignments" / "12_ngrams.update.ipynb"


def test_no_chapters_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"no chapters in .*nowhere"):
        make_reader_edition(tmp_path / "nowhere", tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (chapter(answer="### BEGIN SOLUTION\n1"), "end solution"),
        (chapter(title="### BEGIN SOLUTION\n### END SOLUTION"), "non-solution cell"),
        (chapter(test="### BEGIN HIDDEN TESTS\n1"), "END HIDDEN TESTS"),
        ("{", "not a notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}', "not a notebook"),
        ('{"nbformat": 4, "nbformat_minor": 5, "cells": []}', "metadata"),
    ],
)
def test_a_faulty_chapter_is_named_in_one_sentence(
    content: str, reason: str, desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    (desk.sources / NAME).write_text(content, encoding="utf-8")
    with pytest.raises(ReaderError, match=NAME) as caught:
        desk.update()
    assert reason.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""
    assert not (desk.work / NAME).exists()


@given(st.recursive(st.none() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_any_json_can_be_examined(value: Any) -> None:
    assert isinstance(examine(json.dumps({"cells": value})), Copy)
    assert isinstance(examine(json.dumps(value)), Copy)


@given(st.lists(st.text()), st.lists(st.text()))
def test_the_digest_tells_cells_apart(mine: list[str], theirs: list[str]) -> None:
    def digest(sources: list[str]) -> str | None:
        cells = [{"cell_type": "raw", "source": source} for source in sources]
        return examine(json.dumps({"cells": cells})).cells

    assert (digest(mine) == digest(theirs)) == (mine == theirs)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[1] / "notebooks").rglob("*.ipynb")), ids=lambda p: p.name
)
def test_real_chapters_keep_their_secrets(path: Path) -> None:
    edition = build_edition(path.name, path.read_bytes())
    assert "BEGIN SOLUTION" not in edition
    assert "HIDDEN TESTS" not in edition
    cells = nbformat.reads(edition, as_version=4).cells
    assert not any(cell.get("outputs") for cell in cells)
    assert len(cells) == len(nbformat.reads(path.read_text("utf-8"), as_version=4).cells)
