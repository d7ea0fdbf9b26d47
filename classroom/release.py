"""What students get: a teacher's notebook without its answers, and a search for what still tells.

nbgrader takes out solutions, hidden tests and mark schemes. Stored outputs stay, so that students
see what to expect, except where they would give an answer away.
"""

import html
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.course import CourseError
from labkit.course.exam import find_notebook
from labkit.course.settings import Assignment, Course
from labkit.course.source import defined, plain, used
from labkit.files import write_atomically

SHINGLE = 12  # so many tokens in a row of a solution, and of nothing students see, are a copy
TELLING = 6  # a line of so many words is a copy by itself; `return x` could be anybody's
TOKEN = re.compile(r"[㐀-鿿]|[^\W㐀-鿿]{1,30}|[^\w\s]")
COMMENT = re.compile("#.*")
MARKER = re.compile("(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
# Colours of a terminal, tags of HTML, and the line numbers of a traceback.
DRESS = re.compile(r"\x1b\[[\d;]*m|</?[a-zA-Z!][^<>]*>|(?m:^\s*-*>?\s*\d+\s)")

Tokens = tuple[str, ...]
Secrets = dict[Tokens, dict[Tokens, str]]  # by the first three: runs of tokens, and whose they are


def without_solutions(name: str, content: bytes, *further: str) -> Any:
    """Return a notebook with stubs for solutions, after some `further` preprocessors of nbgrader.

    Equal bytes give equal notebooks. Raises CourseError for what is no notebook or is ill marked.
    """
    import nbformat
    from nbgrader import preprocessors
    from nbgrader.nbgraderformat.common import SchemaMismatchError

    log = logging.getLogger(__name__)
    log.handlers = [logging.NullHandler()]  # what nbgrader would print, the error says
    try:
        raw = json.loads(content)
        ids = [cell.get("id") for cell in raw["cells"]]
        if raw.get("nbformat_minor", 0) >= 5 and (None in ids or len(set(ids)) < len(ids)):
            for number, cell in enumerate(raw["cells"]):
                cell["id"] = f"cell-{number}"  # nbformat would draw one at random
        nbformat.validate(raw)
        notebook = nbformat.reads(json.dumps(raw), as_version=4)
        for kind in ("ClearSolutions", "ClearHiddenTests", "ClearMarkScheme", *further):
            notebook, _ = getattr(preprocessors, kind)(log=log).preprocess(notebook, {})
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{name} is not a notebook") from error
    except (ValueError, RuntimeError, nbformat.ValidationError, SchemaMismatchError) as error:
        reason = str(error.__context__ or error).strip().splitlines()[0].rstrip(".;")
        raise CourseError(f"{name} has solutions that cannot be taken out: {reason}") from error
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.pop("attachments", None)  # the pictures of a written answer
    return notebook


def student_version(name: str, content: bytes) -> bytes:
    """Return what students get of a teacher's executed notebook, with cells locked and checksums.

    Outputs go from answers and tests, from cells that show the value of an answer that takes no
    argument, and from wherever a piece of a solution is found in them.
    """
    import nbformat

    locked = ("LockCells", "CheckCellMetadata", "ComputeChecksums")
    notebook = without_solutions(name, content, *locked)
    cells = json.loads(content)["cells"]
    secrets, values = find_secrets(cells), set(_showing_values(cells))
    for number, cell in enumerate(notebook.cells):
        tells = "nbgrader" in cell.metadata or number in values
        if cell.cell_type == "code" and (tells or find(cell.outputs, secrets)):
            cell.update(outputs=[], execution_count=None)
    return (nbformat.writes(notebook).rstrip("\n") + "\n").encode()


def _showing_values(cells: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """Yield the cells that read a constant of an answer, or what was made from one.

    A function of some arguments may be called: a result for one input does not give it away.
    """
    names: set[str] = set()
    for number, cell in enumerate(cells):
        source = plain("".join(cell["source"])) if cell["cell_type"] == "code" else ""
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            hidden = [text for secret, text in cut(source, True) if secret and text[:1].strip()]
            names |= {*defined("".join(hidden)), *re.findall(r"(?m)^def (\w+)\(\)", source)}
        if names & {*used(source), *defined(source)}:
            names |= set(defined(source))
            yield number
        names -= set(re.findall(r"(?m)^(?:import|from) .*?(\w+)$", source))


def cut(source: str, is_answer: bool) -> list[tuple[bool, str]]:
    """Cut a teacher's cell into parts: whether students may not see it, and its text."""
    if is_answer and "BEGIN SOLUTION" not in source:
        return [(True, source)]
    parts = [(False, "")]
    for line in source.split("\n"):
        if marker := MARKER.search(line):
            parts.append((marker[1] == "BEGIN", ""))
        else:
            parts[-1] = parts[-1][0], f"{parts[-1][1]}{line}\n"
    return parts


def find_secrets(cells: Sequence[Mapping[str, Any]]) -> Secrets:
    """Return the telling lines and shingles of solutions, hidden tests and mark schemes.

    What also stands where students see it is none; a solution as a whole always is.
    """
    shown, wholes, secrets = list[str](), dict[Tokens, str](), Secrets()
    for number, cell in enumerate(cells):
        about = cell["metadata"].get("nbgrader", {})
        parts = cut("".join(cell["source"]), about.get("solution", False))
        if about.get("solution") and "attachments" in cell:
            parts += [(True, json.dumps(cell["attachments"]))]
        origin = about.get("grade_id") or f"cell {number}"
        texts = ["", *(text for _, text in parts), ""]
        for (secret, text), before, after in zip(parts, texts, texts[2:], strict=False):
            if not secret:
                shown.append(text)
                continue
            for piece in _pieces(before, text, after):
                secrets.setdefault(piece[:3], {})[piece] = origin
            whole = tuple(TOKEN.findall(COMMENT.sub("", text)))
            wholes |= {whole: origin} if len(whole) >= 2 * SHINGLE else {}
    for piece in find("\0".join(shown), secrets):
        del secrets[piece[:3]][piece]
    for piece, origin in wholes.items():
        secrets.setdefault(piece[:3], {})[piece] = origin
    return secrets


def _pieces(before: str, text: str, after: str) -> Iterator[Tokens]:
    """Yield the telling lines of a secret, and its shingles with what stands around it."""
    for line in re.split(r"[\n#]+", text):
        tokens = tuple(TOKEN.findall(line))
        if sum(token[0].isalnum() for token in tokens) >= TELLING:
            yield tokens
    inside = TOKEN.findall(COMMENT.sub("", text))
    reach = SHINGLE - min(SHINGLE // 2, len(inside))
    row = (*TOKEN.findall(before)[-reach:], *inside, *TOKEN.findall(after)[:reach])
    yield from (row[at : at + SHINGLE] for at in range(len(row) - SHINGLE + 1) if inside)


def find(value: Any, secrets: Secrets) -> dict[Tokens, str]:
    """Return the secrets in the texts of a JSON value, each with where it is from."""
    words = list(_words(value))
    return {
        piece: origin
        for at in range(len(words))
        for piece, origin in secrets.get(tuple(words[at : at + 3]), {}).items()
        if tuple(words[at : at + len(piece)]) == piece
    }


def _words(value: Any) -> Iterator[str]:
    """Yield the tokens of every text in a JSON value, as it is and without its dress."""
    if isinstance(value, Mapping):
        yield from (word for pair in value.items() for item in pair for word in _words(item))
    elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
        yield from (word for item in value for word in _words(item))
    else:
        text = "".join(value) if isinstance(value, list) else str(value)
        spoken = re.sub(r"\\[nrt]", "\n", text).replace('\\"', '"')
        inner = html.unescape(spoken)  # such as the page within a frame's attribute
        bare = (html.unescape(DRESS.sub("", form)) for form in (spoken, inner))
        for form in dict.fromkeys((text, inner, *bare)):
            yield from (*TOKEN.findall(form), "\0", *TOKEN.findall(COMMENT.sub("", form)), "\0")


def leaks(teacher: bytes, released: bytes) -> list[str]:
    """Tell where a released notebook holds a piece of a solution or of a hidden test.

    Looks through all its texts, outputs and metadata included. Trivial lines, and what students may
    see in the teacher's notebook anyway, do not count.
    """
    secrets, notebook = find_secrets(json.loads(teacher)["cells"]), json.loads(released)
    places = {f"the notebook's {key}": notebook[key] for key in notebook if key != "cells"}
    for number, cell in enumerate(notebook["cells"]):
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        where = f"cell {number} ({grade_id})" if grade_id else f"cell {number}"
        places |= {f"the {key} of {where}": value for key, value in cell.items()}
    return [
        f"{place}: a piece of {origin}, {' '.join(piece)!r}"
        for place, value in places.items()
        for origin, piece in {o: p for p, o in find(value, secrets).items()}.items()
    ]


def release(course: Course, assignment: Assignment) -> Path:
    """Write what students get into the course folder; return the file.

    Raises CourseError, and writes nothing, if a piece of a solution would be in it.
    """
    notebook = find_notebook(course, assignment)
    content = notebook.read_bytes()
    released = student_version(notebook.name, content)
    if found := leaks(content, released):
        raise CourseError(f"{notebook.name} is not released, it still tells. {'; '.join(found)}")
    path = course.folder / "release" / assignment.name / f"{assignment.name}.ipynb"
    write_atomically(path, released)
    return path
