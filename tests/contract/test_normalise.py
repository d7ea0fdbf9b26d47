"""One way to write a notebook: what is dropped, what is kept, and that twice is once."""

import copy
import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.normalise import normalise

Data = dict[str, Any]


def notebook(*cells: Data, **metadata: Any) -> str:
    data = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(data)


def code(*outputs: Data, source: Any = "1", count: int | None = 1, **rest: Any) -> Data:
    cell = {"cell_type": "code", "source": source, "execution_count": count, "metadata": {}}
    return cell | {"outputs": list(outputs)} | rest


def stream(text: Any, name: str = "stdout") -> Data:
    return {"output_type": "stream", "name": name, "text": text}


def only_cell(text: str) -> Data:
    cell: Data = json.loads(normalise(text))["cells"][0]
    return cell


def test_what_a_run_leaves_behind_is_dropped() -> None:
    ran = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
    cell = code(id="a", metadata={"execution": ran, "collapsed": True, "scrolled": False})
    language = {"name": "python", "version": "3.11.9", "nbconvert_exporter": "python"}
    kernelspec = {"name": "python3", "display_name": "my machine", "language": "python"}
    text = notebook(cell, widgets={"x": 1}, language_info=language, kernelspec=kernelspec)
    data = json.loads(normalise(text))
    assert data["cells"][0]["metadata"] == {}
    assert data["metadata"]["kernelspec"]["display_name"] == "Python 3 (ipykernel)"
    assert "version" not in data["metadata"]["language_info"]
    assert "widgets" not in data["metadata"]


def test_what_the_chapter_means_is_kept() -> None:
    grader = {"grade_id": "a", "schema_version": 3}
    meant = {"tags": ["predict"], "nbgrader": grader, "labkit": {"why": "sampled"}}
    text = notebook(code(id="a", metadata=meant), labkit={"chapter": "12", "minutes": 3})
    data = json.loads(normalise(text))
    assert data["cells"][0]["metadata"] == meant
    assert data["metadata"]["labkit"] == {"chapter": "12", "minutes": 3}


def test_counts_run_through_executed_cells_only() -> None:
    result = {"output_type": "execute_result", "data": {"text/plain": "1"}, "metadata": {}}
    cells = [
        code(result | {"execution_count": 41}, count=41),
        {"cell_type": "markdown", "metadata": {}, "source": "x"},
        code(count=None),
        code(stream("x"), count=7),
    ]
    data = json.loads(normalise(notebook(*cells)))["cells"]
    assert [cell.get("execution_count") for cell in data] == [1, None, None, 2]
    assert data[0]["outputs"][0]["execution_count"] == 1


def test_neighbouring_pieces_of_a_stream_become_one() -> None:
    picture = {"output_type": "display_data", "data": {"text/plain": "x"}, "metadata": {}}
    pieces = [stream("a"), stream(["b\n", "c"]), stream("e", "stderr"), picture, stream("d")]
    cell = only_cell(notebook(code(*pieces)))
    found = [(out.get("name"), "".join(out.get("text", ""))) for out in cell["outputs"]]
    assert found == [("stdout", "ab\nc"), ("stderr", "e"), (None, ""), ("stdout", "d")]


def test_a_traceback_loses_its_paths() -> None:
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["/x/y"]}
    assert only_cell(notebook(code(error)))["outputs"][0]["traceback"] == ["ValueError: no"]


def test_ids_are_kept_where_valid_and_otherwise_made_the_same_each_time() -> None:
    cells = [code(id="good"), code(id="good"), code(id="not valid"), code()]
    first = [cell["id"] for cell in json.loads(normalise(notebook(*cells)))["cells"]]
    again = [cell["id"] for cell in json.loads(normalise(notebook(*cells)))["cells"]]
    assert first == again
    assert first[0] == "good"
    assert len(set(first)) == 4


@pytest.mark.parametrize("text", ["[]", '{"nbformat": 3, "worksheets": []}', '{"nbformat": 4}'])
def test_what_is_not_a_notebook_of_format_4_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="format 4"):
        normalise(text)


LINES = st.text(st.sampled_from("ab\n中é≈\r\t "), max_size=12)
SPLIT = LINES.map(lambda text: text.splitlines(keepends=True))
OUTPUTS = st.one_of(
    st.builds(stream, LINES | SPLIT, st.sampled_from(["stdout", "stderr"])),
    st.builds(
        lambda text: {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}},
        LINES | SPLIT,
    ),
)
CELLS = st.one_of(
    st.builds(
        lambda outputs, source, count, name: code(
            *outputs, source=source, count=count, **({"id": name} if name else {})
        ),
        st.lists(OUTPUTS, max_size=4),
        LINES | SPLIT,
        st.none() | st.integers(1, 99),
        st.sampled_from(["", "a", "b", "c d"]),
    ),
    st.builds(lambda text: {"cell_type": "markdown", "metadata": {}, "source": text}, LINES),
)


@given(st.lists(CELLS, max_size=6))
def test_twice_is_once_and_valid_and_nothing_written_is_lost(cells: list[Data]) -> None:
    before = copy.deepcopy(cells)
    once = normalise(notebook(*cells))
    assert normalise(once) == once
    assert once.endswith("}\n")
    nbformat.validate(nbformat.reads(once, as_version=4))
    data = json.loads(once)
    for old, new in zip(before, data["cells"], strict=True):
        assert "".join(old["source"]) == "".join(new["source"])
        for name in ("stdout", "stderr"):
            assert said(old, name) == said(new, name)


def said(cell: Data, name: str) -> str:
    outputs = [out for out in cell.get("outputs", []) if out.get("name") == name]
    return "".join("".join(out["text"]) for out in outputs)
