"""A small problem set: what a teacher writes, in cells that the tests change and break."""

import json
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CHAPTERS = sorted([*NOTEBOOKS.glob("*.ipynb"), *NOTEBOOKS.glob("assignments/*.ipynb")])
SOLUTION = """\
total = sum(count for count in counts)
    shares = [count / total for count in counts]  # each divided by all
    surprises = [share * math.log2(1 / share) for share in shares if share]
    return sum(surprises)"""
ANSWER = f'''\
def my_entropy(counts):
    """Return the entropy of some counts, in bits."""
    ### BEGIN SOLUTION
    {SOLUTION}
    ### END SOLUTION


entropy = my_entropy
'''
HIDDEN = "assert abs(my_entropy([7, 7, 7, 0, 7]) - 2) < 1e-9"
QUOTING = 'assert my_entropy([len("ab"), len("cd")]) == 1'
TEST = f"""\
assert my_entropy([5, 5]) == 1
### BEGIN HIDDEN TESTS
{HIDDEN}
{QUOTING}
### END HIDDEN TESTS"""
ESSAY = "The entropy is largest where every outcome is as likely as any other one of them."
SCHEME = "One point for saying that a certain outcome surprises nobody at all."
TASK = f"Draw it.\n\n### BEGIN MARK SCHEME\n{SCHEME}\n### END MARK SCHEME"
PICTURE = {"image/png": "iVBORw0KGgo+AAAA/BBBB" * 20}


def about(grade_id: str, **flags: Any) -> dict[str, Any]:
    """The metadata of nbgrader for a cell."""
    plain = {"grade": False, "solution": False, "locked": False, "task": False}
    points = {"points": 2} if flags.get("grade") or flags.get("task") else {}
    known = {"schema_version": 3, "grade_id": grade_id, **plain, **points, **flags}
    return {"nbgrader": known}


def printed(text: str) -> list[Any]:
    """The outputs of a cell that prints."""
    return [new_output("stream", text=text)]


def code(source: str, outputs: Any = (), metadata: Any = None) -> Any:
    """A code cell that was run."""
    ran = {"execution_count": 1, "outputs": list(outputs), "metadata": metadata or {}}
    return new_code_cell(source, **ran)


def answer(grade_id: str, source: str) -> Any:
    """An answer cell with its solution."""
    return code(source, printed("exact in all cases."), about(grade_id, solution=True))


def locked_test(grade_id: str, source: str) -> Any:
    """A locked test cell."""
    return code(source, printed("2 of 2 points"), about(grade_id, grade=True, locked=True))


def teachers(*more: Any) -> list[Any]:
    """The cells of the problem set, and others after them."""
    essay = new_markdown_cell(ESSAY, metadata=about("why", solution=True, grade=True))
    essay.attachments = {"answer.png": dict(PICTURE)}
    picture = [new_output("display_data", {"image/png": "AAAA", "text/plain": "a picture"})]
    return [
        new_markdown_cell("# Entropy"),
        code("import math\n\nprint('ready')", printed("ready")),
        answer("entropy", ANSWER),
        locked_test("entropy-test", TEST),
        code("print(my_entropy([1, 1, 2]))", [*printed("1.5"), *picture]),
        essay,
        new_markdown_cell(TASK, metadata=about("draw", task=True, locked=True)),
        *more,
    ]


def notebook(*cells: Any, **metadata: Any) -> bytes:
    """A notebook of cells as JupyterLab would save it; each cell gets an id of its place."""
    for number, cell in enumerate(cells):
        cell.id = f"place-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about_all = {"kernelspec": kernel, **metadata}
    return bytes(writes(new_notebook(cells=list(cells), metadata=about_all)), "utf-8")


def cells_of(content: bytes) -> list[dict[str, Any]]:
    """The cells of a notebook, each with its source in one piece."""
    cells = json.loads(content)["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]
