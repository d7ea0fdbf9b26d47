"""The reader's edition: chapters and problem sets with stubs for solutions, made into `work/`.

nbgrader takes out solutions and hidden tests; outputs and execution counts go too. A manifest
remembers every edition that was written, so a chapter that the reader changed or ran is recognised
and never overwritten: its new edition lands beside it.
"""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from labkit.files import write_atomically

FORMAT = 1
"""Goes up when this module writes other bytes for the same chapter."""
MANIFEST = Path(".labkit") / "manifest.json"
"""Where the manifest lies inside the reader's folder."""


class ReaderError(RuntimeError):
    """Why no reader's edition could be made, as one sentence."""


class Action(Enum):
    """What was done about a chapter, in words that follow its name."""

    ADDED = "was added"
    RENEWED = "was brought up to date"
    BESIDE = "holds your work and was left alone; the chapter's new edition lies beside it as"
    KEPT = "is unchanged"


@dataclass(frozen=True)
class Change:
    """What was done about the chapter `name`, whose newest edition lies at `path`."""

    name: str
    action: Action
    path: Path

    def __str__(self) -> str:
        """Say it in one sentence."""
        place = f" {self.path.name}" if self.action is Action.BESIDE else ""
        return f"{self.name} {self.action.value}{place}."


@dataclass(frozen=True)
class Memory:
    """What the manifest remembers of one chapter, as digests.

    `source` is the source that the reader's folder is up to date with, `written` the cells of every
    edition ever written.
    """

    source: str = ""
    written: tuple[str, ...] = ()


@dataclass(frozen=True)
class Copy:
    """A notebook in the reader's folder: the digest of its cells, None if it cannot be read.

    Where a cell holds an output, the reader ran it.
    """

    cells: str | None
    has_outputs: bool = False


def make_reader_edition(sources: Path, work: Path) -> list[Change]:
    """Bring the folder `work` up to date with the chapters in `sources`; return what was done.

    Problem sets in the folder `assignments` come along as chapters do. Raises ReaderError if there
    are no chapters, or one is not a valid notebook. Nothing that the reader changed is ever
    overwritten, and nothing is written where a chapter has not changed.
    """
    chapters = [*sorted(sources.glob("*.ipynb")), *sorted(sources.glob("assignments/*.ipynb"))]
    if not chapters:
        raise ReaderError(
            f"There are no chapters in {sources}: run this from a clone of the whole repository."
        )
    memories = read_manifest(work / MANIFEST)
    changes = []
    for path in chapters:
        name = path.relative_to(sources).as_posix()
        before = memories.get(name, Memory())
        memories[name], change = renew(path, work / name, before)
        changes.append(change)
        if memories[name] != before:
            write_manifest(work / MANIFEST, memories)
    return changes


def renew(path: Path, target: Path, memory: Memory) -> tuple[Memory, Change]:
    """Bring one chapter up to date; return what to remember of it and what was done."""
    content = path.read_bytes()
    source = hashlib.sha256(b"%d\n" % FORMAT + content).hexdigest()
    if source == memory.source and target.exists():
        return memory, Change(path.name, Action.KEPT, target)
    edition = build_edition(path.name, content)
    cells = examine(edition).cells
    assert cells is not None  # it was validated as a notebook
    written = tuple(dict.fromkeys([*memory.written, cells]))
    return Memory(source, written), deliver(edition, cells, target, written)


def deliver(edition: str, cells: str, target: Path, written: Collection[str]) -> Change:
    """Write an edition to its place, or beside it where the reader's own work lies there."""
    for place in places(target):
        copy = examine_file(place)
        # nothing there, or one of our editions, at most opened and saved
        if copy is None or (copy.cells in written and not copy.has_outputs):
            write_atomically(place, edition)
            done = Action.ADDED if copy is None else Action.RENEWED
            return Change(target.name, done if place == target else Action.BESIDE, place)
        if copy.cells == cells:  # the reader ran this very edition and misses nothing
            return Change(target.name, Action.KEPT, place)
    raise AssertionError("places() never ends")


def places(target: Path) -> Iterator[Path]:
    """Yield a chapter's own path, then NAME.update.ipynb, NAME.update-2.ipynb and so on."""
    yield target
    yield target.with_suffix(".update.ipynb")
    for number in itertools.count(2):
        yield target.with_suffix(f".update-{number}.ipynb")


def examine_file(path: Path) -> Copy | None:
    """Return what a file holds, or None if nothing is there."""
    try:
        return examine(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        return Copy(cells=None)


def examine(text: str) -> Copy:
    """Return what a notebook's text holds; a text that is no notebook is nobody's edition.

    Ids, metadata and execution counts do not matter: JupyterLab may change them at a mere save.
    """
    try:
        cells = json.loads(text)["cells"]
        parts = [
            [cell["cell_type"], "".join(cell["source"]), cell.get("attachments") or {}]
            for cell in cells
        ]
        has_outputs = any(cell.get("outputs") for cell in cells)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Copy(cells=None)
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii"))
    return Copy(digest.hexdigest(), has_outputs)


def build_edition(name: str, content: bytes) -> str:
    """Return a chapter without solutions, hidden tests, outputs and execution counts.

    The same chapter always gives the same text. Raises ReaderError if it is not a valid notebook
    or its solution and test markers do not pair.
    """
    import nbformat

    from classroom.release import without_solutions
    from labkit.course import CourseError

    try:
        notebook = without_solutions(name, content)
    except CourseError as error:
        raise ReaderError(f"{error}.") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def read_manifest(path: Path) -> dict[str, Memory]:
    """Return what is remembered of each chapter; a manifest lost or broken remembers nothing.

    Then every chapter that differs from its newest edition counts as the reader's own.
    """
    try:
        entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Memory(str(entry["source"]), tuple(map(str, entry["written"])))
            for name, entry in entries.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_manifest(path: Path, memories: dict[str, Memory]) -> None:
    """Write what is remembered of each chapter."""
    entries = {name: asdict(memory) for name, memory in sorted(memories.items())}
    write_atomically(path, json.dumps(entries, indent=1) + "\n")
