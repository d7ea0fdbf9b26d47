"""Rules about exercises: an answer cell, its locked test, and a header that says what is asked."""

import ast
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.contract.reading import Cell, Notebook, definitions, names_used, tree

FEWEST, MOST = 3, 6
LEARNERS_PREFIX = "my_"

DIFFICULTY = re.compile(r"●+○*")
MARKER = re.compile(r"^[ \t]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)[ \t]*$", re.MULTILINE)


def exercises(notebook: Notebook) -> list[Cell]:
    """The answer cells, of code and of text."""
    return [cell for cell in notebook.cells if cell.is_answer or cell.is_written_answer]


def exercises_are_enough(notebook: Notebook) -> list[str]:
    """Three to six exercises."""
    found = len(exercises(notebook))
    return [] if FEWEST <= found <= MOST else [f"{found} exercises, expected {FEWEST} to {MOST}"]


def one_exercise_is_not_code(notebook: Notebook) -> list[str]:
    """At least one answer is written in words."""
    if any(cell.is_written_answer for cell in notebook.cells):
        return []
    return ["no written answer: a markdown cell with nbgrader solution and grade true"]


def grade_ids_are_unique(notebook: Notebook) -> list[str]:
    """Each graded cell has an id of its own; a double one stops nbgrader."""
    ids = Counter(str(cell.nbgrader.get("grade_id")) for cell in notebook.cells if cell.nbgrader)
    told = [f"grade_id {name} stands {n} times" for name, n in ids.items() if n > 1]
    return told + [
        f"{cell.where}: nbgrader needs grade_id and schema_version 3"
        for cell in notebook.cells
        if cell.nbgrader
        and (not cell.nbgrader.get("grade_id") or cell.nbgrader.get("schema_version") != 3)
    ]


def _has(cell: Cell, expected: Mapping[str, Any]) -> bool:
    return all(cell.nbgrader.get(name, False) == value for name, value in expected.items())


def answers_have_tests(notebook: Notebook) -> list[str]:
    """An answer cell is open and ungraded; directly below it stands its locked, graded test."""
    told = []
    for cell, after in zip(notebook.cells, (*notebook.cells[1:], None), strict=True):
        if cell.is_answer:
            if not _has(cell, {"solution": True, "grade": False, "locked": False, "task": False}):
                told.append(f"{cell.where}: an answer cell is solution and not grade or locked")
            if after is None or not after.is_test:
                told.append(f"{cell.where}: no test cell directly below the answer")
        if cell.is_test:
            if not (_has(cell, {"locked": True, "task": False}) and _points(cell) > 0):
                told.append(f"{cell.where}: a test cell is locked and has points")
            if cell.index == 0 or not notebook.cells[cell.index - 1].is_answer:
                told.append(f"{cell.where}: a test cell without an answer directly above it")
        if cell.is_written_answer and not _is_gradable_text(cell):
            told.append(f"{cell.where}: a written answer is solution, grade, open, with points")
    return told


def _points(cell: Cell) -> float:
    return float(cell.nbgrader.get("points") or 0)


def _is_gradable_text(cell: Cell) -> bool:
    wanted = {"solution": True, "grade": True, "locked": False, "task": False}
    return _has(cell, wanted) and _points(cell) > 0


def answers_are_marked(notebook: Notebook) -> list[str]:
    """An answer holds one marked solution; markers of any kind come in closed pairs."""
    told = []
    for cell in notebook.code:
        markers = MARKER.findall(cell.source)
        pairs = list(zip(markers[::2], markers[1::2], strict=False))
        closed = all(a == ("BEGIN", b[1]) and b[0] == "END" for a, b in pairs)
        if len(markers) % 2 or not closed:
            told.append(f"{cell.where}: a marker is not closed")
        solutions = markers.count(("BEGIN", "SOLUTION"))
        if solutions != int(cell.is_answer):
            told.append(f"{cell.where}: {solutions} marked solutions")
        if ("BEGIN", "HIDDEN TESTS") in markers and not cell.is_test:
            told.append(f"{cell.where}: hidden tests outside a test cell")
    return told


def answers_are_checked(notebook: Notebook) -> list[str]:
    """The answer defines my_…, passes it to a check, and goes on with what the check returns."""
    told = []
    for cell in notebook.code:
        if cell.is_answer:
            mine = {node.name for node in definitions(cell.source)}
            if not mine or not all(name.startswith(LEARNERS_PREFIX) for name in mine):
                told.append(f"{cell.where}: an answer defines functions named {LEARNERS_PREFIX}…")
            if not any(mine & names_used(call.args) for call in checked(cell)):
                told.append(
                    f"{cell.where}: needs a line `name = check.name({LEARNERS_PREFIX}name)`"
                )
    return told


def checked(cell: Cell) -> list[ast.Call]:
    """The calls `name = check.NAME(…)` at the top level of a cell."""
    return [
        node.value
        for node in tree(cell.source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and getattr(node.value.func.value, "id", "") == "check"
    ]


def graders_look_at_the_learner(notebook: Notebook) -> list[str]:
    """A test cell uses my_… and never what the check returned, so an empty answer earns nothing."""
    told = []
    for answer, test in zip(notebook.cells, notebook.cells[1:], strict=False):
        if answer.is_answer and test.is_test:
            used = names_used([tree(test.source)])
            mine = {node.name for node in definitions(answer.source)}
            others = assigned(answer) - mine
            if not used & mine:
                told.append(f"{test.where}: does not use what the learner defines")
            if used & others:
                told.append(
                    f"{test.where}: uses {sorted(used & others)}, which is not the learner's"
                )
    return told


def assigned(cell: Cell) -> set[str]:
    """Names that the top-level assignments of a cell bind."""
    return {
        target.id
        for node in tree(cell.source).body
        if isinstance(node, ast.Assign)
        for target in ast.walk(ast.Tuple(elts=node.targets, ctx=ast.Store()))
        if isinstance(target, ast.Name)
    }


def headers_say_what_is_asked(notebook: Notebook) -> list[str]:
    """Before each answer: difficulty ●●○, importance, minutes; around it a folded hint."""
    told = []
    for cell in exercises(notebook):
        header = _text_before(notebook, cell)
        for part, found in (
            ("difficulty such as ●●○", DIFFICULTY.search(header)),
            ("importance", "importance" in header.lower()),
            ("minutes", "minutes" in header.lower()),
            ("a folded hint (<details>)", "<details>" in header + _text_after(notebook, cell)),
        ):
            if not found:
                told.append(f"{cell.where}: its header lacks {part}")
    return told


def _text_before(notebook: Notebook, cell: Cell) -> str:
    """The text cells directly above a cell, up to the heading that begins them."""
    parts: list[str] = []
    for before in reversed(notebook.cells[: cell.index]):
        if before.kind != "markdown" or before.nbgrader:
            break
        parts.append(before.source)
        if before.source.startswith("#"):
            break
    return "\n".join(reversed(parts))


def _text_after(notebook: Notebook, cell: Cell) -> str:
    """The text cell that follows an answer, or its test, unless it begins something new."""
    rest = [c for c in notebook.cells[cell.index + 1 :] if not c.is_test][:1]
    return "".join(c.source for c in rest if c.kind == "markdown" and not c.source.startswith("#"))
