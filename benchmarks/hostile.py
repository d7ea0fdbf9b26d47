"""The attacks of the tests, handed in as answers to problem set 1.

The tests attack a small exam of two functions and one written answer. Here each of these attacks
becomes a submission of the problem set: what stood in the answers of the small exam stands in those
to questions 1 and 2, and the rest of the notebook is answered honestly.
"""

import json
import os
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.course.attacks import ATTACKS, HONEST, REFUSED, Attack
from tests.course.small import POINTS, ROWS, TOTAL, WRONG_ROWS, WRONG_TOTAL

NAMES = {
    "total": "counts-answer",
    "total-test": "counts-test",
    "rows": "saved-bits-answer",
    "rows-test": "saved-bits-test",
    "why": "witnesses-in-words",
}
"""From each cell of the small exam to the cell of the problem set that it stands for."""
NOT_HERE = {
    "request of another": "its second answer calls the first one",
    "magic": "it calls the answer with a list of numbers",
}
"""Attacks that would be something else in the problem set, and why."""
WRONG = "def my_{0}(*values):\n    return -1.0\n\n\n{0}_of = check.{0}(my_{0})"


def hostile(
    teacher: bytes, points: Mapping[str, float]
) -> Iterator[tuple[Attack, bytes, dict[str, float]]]:
    """Yield each attack, the file handed in, and what the answers to the two questions must earn.

    `points` says what each answer of the problem set can earn.
    """
    cells = json.loads(teacher)["cells"]
    ours = {_name(cell): "".join(cell["source"]).strip() for cell in cells}
    replaced = [
        (TOTAL.strip(), ours[NAMES["total"]]),
        (WRONG_TOTAL.strip(), WRONG.format("counts")),
        (ROWS.strip(), ours[NAMES["rows"]]),
        (WRONG_ROWS.strip(), WRONG.format("saved_bits")),
        ("my_total(values)", "my_counts(*values)"),
        ("my_total", "my_counts"),
    ]
    for attack in ATTACKS:
        if attack not in HONEST and attack.name not in NOT_HERE:
            earned = {
                NAMES[name]: share / POINTS[name] * points[NAMES[name]]
                for name, share in (("total", attack.total), ("rows", attack.rows))
            }
            if attack.why is not None:  # nothing was written, so no reader is asked
                earned[NAMES["why"]] = attack.why
            yield attack, _handed_in(attack.submission, cells, replaced), earned


def no_notebooks() -> Iterator[tuple[str, bytes]]:
    """Yield the files that are no notebook, by name."""
    yield from REFUSED.items()


def _handed_in(submission: Any, cells: Sequence[Any], replaced: Sequence[tuple[str, str]]) -> bytes:
    """Put the cells of an attack where those of the same questions stood in the problem set."""
    mark = b""
    if isinstance(submission, bytes):
        mark, submission = submission[:3], json.loads(submission.decode("utf-8-sig"))
    inside = [_translated(cell, replaced) for cell in submission["cells"]]
    before = next(n for n, cell in enumerate(cells) if _name(cell) == NAMES["total"])
    first, last = (
        [c for c in part if _name(c) not in NAMES.values()]
        for part in (cells[:before], cells[before:])
    )
    text = json.dumps({**submission, "cells": [*first, *inside, *last]})
    for name, place in _places().items():
        text = text.replace(f"<{name}>", place)
    return mark + text.encode()


def _name(cell: Any) -> str:
    return str(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))


def _places() -> dict[str, str]:
    """Where the attacks look for something on this machine."""
    return {
        "home": str(Path.home()),
        "course": str(Path.cwd()),
        "checks": str(Path(__file__).parents[1] / "labkit" / "checks"),
        "libraries": sysconfig.get_paths()["purelib"],
        "pid": str(os.getpid()),
        "port": "9",
        "marker": "labkit-daemon-of-an-attack",
    }


def _translated(cell: Any, replaced: Sequence[tuple[str, str]]) -> Any:
    """Return a cell with the names of the problem set in its metadata and its source."""
    if not isinstance(cell, dict):
        return cell
    new = json.loads(json.dumps(cell))
    metadata = new.get("metadata")
    about = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if isinstance(about, dict) and isinstance(about.get("grade_id"), str):
        about["grade_id"] = NAMES.get(about["grade_id"], about["grade_id"])
    source = new.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        new["source"] = _replace("".join(source), replaced).splitlines(keepends=True)
    elif isinstance(source, str):
        new["source"] = _replace(source, replaced)
    return new


def _replace(text: str, replaced: Sequence[tuple[str, str]]) -> str:
    for old, new in replaced:
        text = text.replace(old, new)
    return text
