"""A small chapter that keeps every rule, made in memory, and ways to spoil it."""

import base64
import copy
import json
from typing import Any

from tests.contract.normalise import normalise
from tests.contract.reading import Notebook, parse

Data = dict[str, Any]

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
SAYS = "Picture: two bars, the letter a at 0.25 and b at 0.75."
PROSE = (
    "We count letters here, as a child would with pebbles, and look at what comes out of it. "
    "The numbers below are small enough to check by hand, so check them before you go on. "
)
LIBRARY = {
    "labkit.ngram": '''
def count_ngrams(ids, order):
    """Count. Built in notebook 12."""
    table = {}
    for start in range(len(ids) - order + 1):
        key = tuple(ids[start : start + order])
        table[key] = table.get(key, 0) + 1
    return table
''',
    "labkit.gpt": 'class GPT:\n    """A model. Built in notebook 33."""\n',
    "labkit.metrics": "def bits_per_char(): ...\n",
}


def text(source: str, **metadata: Any) -> Data:
    """A markdown cell."""
    return {"cell_type": "markdown", "metadata": metadata, "source": source}


def code(source: str, *outputs: Data, tags: tuple[str, ...] = (), **metadata: Any) -> Data:
    """An executed code cell; its number is given by `chapter`."""
    return {
        "cell_type": "code",
        "metadata": metadata | ({"tags": list(tags)} if tags else {}),
        "source": source,
        "outputs": list(outputs),
        "execution_count": 0,
    }


def printed(said: str, name: str = "stdout") -> Data:
    """What print() stores."""
    return {"output_type": "stream", "name": name, "text": said}


def result(**data: str) -> Data:
    """What a last expression stores; `text_plain="3"` stands for text/plain."""
    bundle = {mime.replace("_", "/", 1): value for mime, value in data.items()}
    return {"output_type": "execute_result", "data": bundle, "metadata": {}, "execution_count": 0}


def picture(says: str = SAYS, png: str = PNG) -> Data:
    """What a picture stores."""
    bundle = {"image/png": png, "text/plain": says}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def error(name: str = "ValueError") -> Data:
    """What an exception stores."""
    return {"output_type": "error", "ename": name, "evalue": "no", "traceback": ["no"]}


def graded(grade_id: str, *, points: int = 0, solution: bool = False, locked: bool = False) -> Data:
    """nbgrader's metadata of an answer, a test (points, locked) or a written answer (both)."""
    return {
        "grade": points > 0,
        "grade_id": grade_id,
        "locked": locked,
        "points": points,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    }


def exercise(name: str) -> list[Data]:
    """Header, answer cell and test cell of an exercise about one function."""
    answer = (
        f"def my_{name}(n):\n    ### BEGIN SOLUTION\n    return n + 1\n    ### END SOLUTION\n\n"
        f"{name} = check.{name}(my_{name})"
    )
    hint = "<details><summary>Hint</summary>Add one, and nothing else, to n.</details>"
    return [
        text(f"### {name}\n●●○ · importance ●○○ · 5 minutes\n\n{PROSE}\n\n{hint}"),
        code(answer, printed("exact"), nbgrader=graded(f"{name}-answer", solution=True)),
        code(
            f"check.{name}.grade(my_{name})",
            printed("1 of 1"),
            nbgrader=graded(f"{name}-test", points=1, locked=True),
        ),
    ]


def good_cells() -> list[Data]:
    """The cells of a chapter that keeps every rule."""
    title = (
        "# 12 · Counting\nHow far does counting go? You will be able to count. You need "
        "arithmetic: about 30 minutes to read, about 20 seconds of processor time."
    )
    written = graded("why", points=2, solution=True)
    return [
        text(title),
        code(
            'from labkit.notebook import claim, setup\n\nchapter = setup("12", cpu_seconds=20)',
            tags=("setup",),
        ),
        text(
            "| term | name |\n|---|---|\n| a | `a` |\n| b | `b` |\n| c | `c` |",
            tags=["vocabulary"],
        ),
        text(f"## Letters\n{PROSE}"),
        code(
            "def count_slowly(text):\n    return sorted(text)",
            tags=("predict",),
        ),
        code('count_slowly("ab")', result(text_plain="['a', 'b']")),
        text(PROSE),
        code('draw("ab")', picture(), tags=("predict",)),
        text(PROSE),
        code('claim("one is one", 1 == 1)', printed("✓ one is one, ≈ 0.2514\n"), picture()),
        *exercise("next_one"),
        *exercise("last_one"),
        text(f"### Why\n●○○ · importance ●●○ · 4 minutes\n\n{PROSE}\n<details>Think.</details>"),
        text("Because.", nbgrader=written),
        text(f"## What we built\nCounting is `labkit.ngram` now. {PROSE}"),
        code("league()", result(text_plain="a table"), tags=("league",)),
        text(f"## Further reading\n- one\n- two\n- three\n\n{PROSE}"),
        code("chapter.finish()", printed("Chapter 12 ran within 3 × its 20 CPU-seconds.")),
    ]


def chapter(cells: list[Data], name: str = "12_counting", metadata: Data | None = None) -> Notebook:
    """A notebook of these cells, executed and in canonical form."""
    known = {"kernelspec": {"name": "python3"}, "labkit": {"chapter": name[:2], "minutes": 30}}
    data = {
        "cells": copy.deepcopy(cells),
        "metadata": known if metadata is None else metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return parse(name, normalise(json.dumps(data)))
