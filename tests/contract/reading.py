"""Notebooks as plain values, and small questions that several rules ask of them."""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"

Output = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One cell, with texts in one piece."""

    index: int
    """Place among all cells, from 0."""
    kind: str
    """"code" or "markdown"."""
    source: str
    count: int | None
    """The stored execution count; None where the cell was not executed."""
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    outputs: tuple[Output, ...]

    @property
    def where(self) -> str:
        """How a violation names the cell."""
        first = next((line for line in self.source.splitlines() if line.strip()), "empty")
        return f"cell {self.index} ({first.strip()[:40]})"

    @property
    def code_lines(self) -> list[str]:
        """Lines that are neither blank nor only a comment."""
        lines = self.source.splitlines()
        return [line for line in lines if line.strip() and not line.strip().startswith("#")]

    @property
    def nbgrader(self) -> Mapping[str, Any]:
        """What nbgrader knows of the cell; empty for a cell outside exercises."""
        return self.metadata.get("nbgrader") or {}

    @property
    def is_answer(self) -> bool:
        """Whether a learner writes code here."""
        return self.kind == "code" and bool(self.nbgrader.get("solution"))

    @property
    def is_written_answer(self) -> bool:
        """Whether a learner writes text here."""
        return self.kind == "markdown" and bool(self.nbgrader.get("solution"))

    @property
    def is_test(self) -> bool:
        """Whether code here decides about an answer."""
        grade, solution = self.nbgrader.get("grade"), self.nbgrader.get("solution")
        return self.kind == "code" and bool(grade) and not solution


@dataclass(frozen=True)
class Notebook:
    """One chapter as it lies on disk."""

    name: str
    """File name without its ending."""
    text: str
    """The whole file."""
    metadata: Mapping[str, Any]
    cells: tuple[Cell, ...]

    @property
    def code(self) -> tuple[Cell, ...]:
        """The code cells."""
        return tuple(cell for cell in self.cells if cell.kind == "code")

    @property
    def markdown(self) -> tuple[Cell, ...]:
        """The text cells."""
        return tuple(cell for cell in self.cells if cell.kind == "markdown")

    @property
    def chapter(self) -> str:
        """Part digit and chapter digit, from the file's name."""
        return self.name.split("_")[0]

    def tagged(self, tag: str) -> tuple[Cell, ...]:
        """Cells that carry a tag."""
        return tuple(cell for cell in self.cells if tag in cell.tags)


def paths() -> list[Path]:
    """Every chapter's file, in the order of the book."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def assignment_paths() -> list[Path]:
    """Every problem set's file, with solutions."""
    return sorted((NOTEBOOKS / "assignments").glob("*.ipynb"))


def read(path: Path) -> Notebook:
    """Read a chapter or a problem set from disk."""
    return parse(path.stem, path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Notebook:
    """Read a chapter from the text of its file; raise ValueError if it is not a notebook."""
    try:
        data = json.loads(text)
        cells = tuple(_cell(index, cell) for index, cell in enumerate(data["cells"]))
        return Notebook(name, text, data["metadata"], cells)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{name} is not a notebook of format 4: missing {error}") from error


def _cell(index: int, data: Mapping[str, Any]) -> Cell:
    return Cell(
        index=index,
        kind=data["cell_type"],
        source=joined(data["source"]),
        count=data.get("execution_count"),
        tags=tuple(data["metadata"].get("tags", ())),
        metadata=data["metadata"],
        outputs=tuple(data.get("outputs", ())),
    )


def joined(text: Any) -> str:
    """Put together what nbformat may store as a list of lines."""
    return "".join(text) if isinstance(text, list) else str(text)


def bundle(output: Output) -> dict[str, str]:
    """The texts of one output by mime type; a stream counts as text/plain."""
    if output["output_type"] == "stream":
        return {"text/plain": joined(output["text"])}
    if output["output_type"] == "error":
        return {"text/plain": f"{output['ename']}: {output['evalue']}"}
    data = output.get("data", {})
    return {
        mime: joined(value) if isinstance(value, str | list) else json.dumps(value)
        for mime, value in data.items()
    }


def texts(cell: Cell) -> Iterator[tuple[str, str]]:
    """Every (mime type, text) that a cell stores, pictures left out."""
    for output in cell.outputs:
        for mime, text in bundle(output).items():
            if not mime.startswith("image/") or mime == "image/svg+xml":
                yield mime, text


def code_runs(notebook: Notebook) -> list[tuple[Cell | None, list[Cell]]]:
    """Runs of code cells without text between them, each with the text cell before it."""
    runs: list[tuple[Cell | None, list[Cell]]] = []
    before: Cell | None = None
    for cell in notebook.cells:
        if cell.kind != "code":
            before = cell
        elif runs and runs[-1][1][-1].index == cell.index - 1:
            runs[-1][1].append(cell)
        else:
            runs.append((before, [cell]))
    return runs


SOLUTION = re.compile(
    r"^([ \t]*)### BEGIN SOLUTION.*?### END SOLUTION[^\n]*$", re.MULTILINE | re.DOTALL
)


def without_solutions(source: str) -> str:
    """Replace what stands between solution markers, as nbgrader's stub does, by `...`."""
    return SOLUTION.sub(r"\1...", source)


def tree(source: str) -> ast.Module:
    """Parse a cell; an empty tree for what is not plain Python, which has its own rule."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.parse("")


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(source: str) -> list[Definition]:
    """The functions and classes that a cell defines at its top level."""
    return [node for node in tree(source).body if isinstance(node, Definition)]


def names_used(nodes: Sequence[ast.AST]) -> set[str]:
    """All names that are read anywhere in some code."""
    return {
        child.id
        for node in nodes
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)
    }
