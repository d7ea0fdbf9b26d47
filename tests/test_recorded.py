"""A recorded experiment can be read again as it was written, or is refused."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.recording import write_recording
from labkit.recorded import FOLDER, read_recording

HEAD = {"command": "make experiments", "machine": "2 cores: a, b", "date": "2026-01-01"}
ROWS = [{"order": 1, "bits": 4.86}, {"order": 2, "bits": 3.61}]
# No lone carriage return: Python's csv module writes it without quotes.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=8)
columns = st.lists(
    st.text("abcdefghij_ μ,\"'", min_size=1, max_size=5), min_size=1, max_size=3, unique=True
)
tables = columns.flatmap(
    lambda names: st.lists(
        st.fixed_dictionaries(dict.fromkeys(names, texts)), min_size=1, max_size=4
    )
)
heads = st.dictionaries(
    st.text("abcdef #", min_size=1, max_size=4),
    st.text("abc: #=,\"'é", max_size=10),
    max_size=3,
)


@given(heads, tables)
def test_any_head_and_any_texts_come_back(
    head: Mapping[str, str], rows: list[Mapping[str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_recording("trial", head, rows, Path(folder))
        recording = read_recording("trial", Path(folder))
    assert recording.head == head
    assert list(recording.rows) == rows


def test_a_recording_is_a_csv_file_under_a_readable_head(tmp_path: Path) -> None:
    write_recording("trial", HEAD, ROWS, tmp_path)
    assert (tmp_path / "trial.csv").read_bytes().decode() == (
        "# command: make experiments\n"
        "# machine: 2 cores: a, b\n"
        "# date: 2026-01-01\n"
        "order,bits\n"
        "1,4.86\n"
        "2,3.61\n"
    )


def test_a_missing_recording_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv.*make experiments"):
        read_recording("nothing", tmp_path)


@pytest.mark.parametrize(
    "rows",
    [[], [{"a": 1}, {"a": 1, "b": 2}], [{"a": 1, "b": 2}, {"a": 1}], [{"a": 1}, {"b": 1}]],
)
def test_rows_that_do_not_make_a_table_are_refused_and_nothing_is_written(
    tmp_path: Path, rows: list[Mapping[str, object]]
) -> None:
    with pytest.raises(ValueError, match="same columns"):
        write_recording("trial", HEAD, rows, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("head", [{"a": "b\n1,2"}, {"a\n": "b"}, {"a: b": "c"}])
def test_a_head_that_could_not_be_read_again_is_refused(
    tmp_path: Path, head: Mapping[str, str]
) -> None:
    with pytest.raises(ValueError, match="single lines"):
        write_recording("trial", head, ROWS, tmp_path)


def test_every_recording_of_the_repository_can_be_read_and_says_how_it_was_made() -> None:
    paths = sorted(FOLDER.glob("*.csv"))
    assert len(paths) > 1
    for path in paths:
        recording = read_recording(path.stem, path.parent)
        assert recording.rows, path.name
        assert {"command", "commit", "date", "machine"} <= recording.head.keys(), path.name
