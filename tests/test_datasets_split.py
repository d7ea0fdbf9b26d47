"""The split: a partition, the same every time, with nothing shared and nothing unseen."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.load import by_position, split_topics
from corpora.split import Unit, grouped, shared, split
from labkit.datasets import read_registry


def plain(name: str, size: int = 10, alphabet: str = "ab") -> Unit:
    return Unit((name,), size, 1, frozenset(alphabet))


@st.composite
def corpora(draw: st.DrawFn) -> list[Unit]:
    names = draw(st.lists(st.text("abcdefgh", min_size=1), unique=True, min_size=20, max_size=40))
    return [
        Unit(
            (name,),
            draw(st.integers(1, 50)),
            draw(st.integers(0, 1)),
            draw(st.frozensets(st.sampled_from("uvwxyz"), max_size=6)),
        )
        for name in names
    ]


def attempt(units: Sequence[Unit], seed: int) -> dict[str, tuple[str, ...]] | None:
    try:
        return split(units, seed, least=2)
    except ValueError:
        return None


@given(corpora(), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_a_partition_whatever_the_order(
    units: list[Unit], seed: int, shuffler: random.Random
) -> None:
    parts = attempt(units, seed)
    other = list(units)
    shuffler.shuffle(other)
    assert attempt(other, seed) == parts
    if parts is not None:
        names = [name for part in parts.values() for name in part]
        assert sorted(names) == sorted(unit.names[0] for unit in units)


@given(corpora(), st.integers(0, 2**32))
def test_each_part_is_large_enough_and_train_has_seen_every_character(
    units: list[Unit], seed: int
) -> None:
    parts = attempt(units, seed)
    if parts is None:
        return
    by_name = {unit.names[0]: unit for unit in units}
    total = sum(unit.size for unit in units)
    for part in ("val", "test"):
        assert sum(by_name[name].size for name in parts[part]) >= 0.1 * total
        assert sum(by_name[name].counted for name in parts[part]) >= 2
    seen = frozenset().union(*(by_name[name].alphabet for name in parts["train"]))
    assert seen == frozenset().union(*(unit.alphabet for unit in units))


def test_a_split_worked_by_hand() -> None:
    # the shuffle is the order of the sha256 sums of "7:a" … "7:j"; two tens of a hundred each

    order = sorted("abcdefghij", key=lambda n: hashlib.sha256(f"7:{n}".encode()).hexdigest())
    parts = split([plain(name) for name in "abcdefghij"], seed=7, least=2)
    assert parts["test"] == tuple(sorted(order[:2]))
    assert parts["val"] == tuple(sorted(order[2:4]))
    assert parts["train"] == tuple(sorted(order[4:]))


def test_another_seed_gives_another_split() -> None:
    units = [plain(f"play {i}") for i in range(40)]
    assert len({split(units, seed)["test"] for seed in range(10)}) > 5


def test_the_only_document_with_a_character_is_always_in_train() -> None:
    units = [plain(f"play {i}") for i in range(20)] + [plain("odd", alphabet="abø")]
    assert all("odd" in split(units, seed)["train"] for seed in range(40))


def test_works_that_share_text_stay_together() -> None:
    pair = Unit(("p", "q"), 20, 2, frozenset("ab"))
    units = [plain(f"play {i}") for i in range(20)] + [pair]
    homes = [
        {part for part, names in split(units, seed).items() for n in names if n in "pq"}
        for seed in range(40)
    ]
    assert all(len(home) == 1 for home in homes)
    assert len({tuple(home) for home in homes}) == 3


def test_too_few_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 4 documents"):
        split([plain(name) for name in "abcde"], seed=0)


def test_shared_runs_worked_by_hand() -> None:
    texts = {
        "a": "One two three four.",  # runs of three: 123 234
        "b": "zero ONE, two three",  # 012 123
        "c": "two three four five six seven",  # 234 345 456 567
        "d": "nothing of it",
    }
    assert shared(texts, run=3) == {("a", "b"): 0.5, ("a", "c"): 0.5}


def test_groups_are_joined_through_common_members() -> None:
    assert grouped("abcdef", [("a", "b"), ("c", "d"), ("b", "c")]) == [
        ("a", "b", "c", "d"),
        ("e",),
        ("f",),
    ]


def test_topics_inside_another_are_left_out_and_near_ones_kept_together() -> None:
    def words(start: int, n: int) -> str:
        return " ".join(f"w{i}" for i in range(start, start + n))

    topics = {f"t{i}": words(1000 * i, 100) for i in range(30)}
    topics["inner"] = words(3010, 50)  # lies within t3
    topics["near"] = words(4080, 60)  # shares twenty words with t4
    for seed in range(20):
        parts = split_topics(replace(read_registry()["python_docs"], split_seed=seed), topics)
        home = {d.name: p for p in ("train", "val", "test") for d in getattr(parts, p)}
        assert "inner" not in home
        assert home["near"] == home["t4"]
        assert len(home) == 31


def test_by_position() -> None:
    parts = by_position("x", "".join(chr(65 + i) for i in range(40)))
    assert [len(d.text) for d in parts.documents] == [36, 2, 2]
    assert parts.n_chars == 40
    assert parts.val[0].text == "ef"
