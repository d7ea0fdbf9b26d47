"""Translations and dialogues: nothing leaks, cards count right, and what is broken is refused.

The files come through the package index once and from the cache afterwards; without either, the
tests that need them are skipped by name.
"""

import functools
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.datasets import DatasetError
from labkit.datasets.archive import read_folder
from labkit.datasets.turns import (
    CHINESE,
    letters,
    read_catalogues,
    read_conversations,
    without_twins,
)
from tests import test_datasets_load
from tests.test_datasets_load import PARTS, card, rows

ALL = [("interface_en_zh", None), ("dialogues", "english"), ("dialogues", "chinese")]
every_collection = pytest.mark.parametrize(("name", "edition"), ALL)
loaded = functools.cache(test_datasets_load.loaded)


@every_collection
def test_no_first_and_no_last_turn_is_in_two_parts(name: str, edition: str | None) -> None:
    dataset = loaded(name, edition)
    for end in (0, -1):
        said = [{letters(d.turns[end]) for d in getattr(dataset, part)} for part in PARTS]
        assert sum(map(len, said)) == len(set.union(*said))
    whole = Counter(tuple(map(letters, d.turns)) for d in dataset.documents)
    assert whole.most_common(1)[0][1] == 1
    assert all(d.text == "\n".join(d.turns) and len(d.turns) > 1 for d in dataset.documents)


@every_collection
def test_the_cards_count_right(name: str, edition: str | None) -> None:
    section = next(
        s for s in card(name).split("\n### ") if edition is None or s.startswith(f"`{edition}`")
    )
    assert [row for row in rows(loaded(name, edition)) if row not in section] == []


def test_of_the_interface_both_languages_are_there() -> None:
    documents = loaded("interface_en_zh").documents
    assert all(len(d.turns) == 2 and CHINESE.search(d.turns[1]) for d in documents)
    assert ("New Notebook", "新建笔记本") in [d.turns for d in documents]
    holes, twice = card("interface_en_zh"), Counter(letters(d.turns[0]) for d in documents)
    assert f"- {sum('%1' in d.text for d in documents)} texts have holes" in holes
    assert f"- {sum(n > 1 for n in twice.values())} English texts have two translations" in holes


def test_a_no_stays_a_word() -> None:
    turns = {turn for d in loaded("dialogues").documents for turn in d.turns}
    assert "No." in turns
    assert not {"True", "False", "None"} & turns


# --- reading -----------------------------------------------------------------------------------


def test_a_catalogue_worked_by_hand() -> None:
    catalogue = {
        "": {"language": "zh-CN"},
        "menu\x04 Run ": [" 运行 "],
        "%1 file": ["%1 个文件"],
        "CMake": ["CMake"],
    }
    files = {"b": b'{"Save": ["\\u4fdd\\u5b58"]}', "a": json.dumps(catalogue).encode()}
    assert list(read_catalogues(files)) == [
        ("Run", "运行"),
        ("%1 file", "%1 个文件"),
        ("Save", "保存"),
    ]


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (read_catalogues, b"<html>moved</html>"),
        (read_catalogues, b"[1]"),
        (read_catalogues, b'{"Run": []}'),
        (read_catalogues, b'{"Run": [3]}'),
        (read_catalogues, b"\xff"),
        (read_conversations, b"a: [1"),
        (read_conversations, b"talks: []"),
        (read_conversations, b"- 1"),
        (read_conversations, b"conversations: [[{a: b}, c]]"),
    ],
)
def test_a_file_of_another_form_is_named(
    read: Callable[[Mapping[str, bytes]], Any], content: bytes
) -> None:
    with pytest.raises(DatasetError, match=r"^broken: expected .* not the published one"):
        list(read({"broken": content}))


def test_a_file_makes_texts_and_calls_nothing() -> None:
    call = b"conversations:\n- - !!python/object/apply:os.getcwd []\n- [yes, 3, null]\n"
    with pytest.raises(DatasetError, match="no attribute 'split'"):
        list(read_conversations({"a": call}))
    assert list(read_conversations({"a": b"conversations: [[yes, 3, null]]"})) == [
        ("yes", "3", "null")
    ]


@given(st.lists(st.tuples(*[st.text("abÄ保存 .!", max_size=3)] * 2)))
def test_groups_share_no_end_and_nothing_else_is_lost(texts: list[tuple[str, str]]) -> None:
    kept = list(without_twins(texts))
    plain = {tuple(map(letters, turns)) for turns in texts}
    assert len(kept) == len({turns for turns in plain if all(turns)})
    for end in (0, -1):
        groups: dict[str, set[str]] = {}
        for each in kept:
            groups.setdefault(letters(each.turns[end]), set()).add(each.group)
        assert all(len(of) == 1 for of in groups.values())


def test_a_zip_is_read_in_memory_as_a_tar_is() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("p/a.yml", "p/b.txt", "p/deep/c.yml", "p/../d.yml", "q/p/e.yml", "/p/f.yml"):
            file.writestr(name, name)
    assert read_folder(packed.getvalue(), "p/", ".yml") == {"a": b"p/a.yml"}
