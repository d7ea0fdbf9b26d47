"""From a name to documents in three splits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from labkit.datasets.archive import read_folder
from labkit.datasets.clean import clean
from labkit.datasets.fetch import cache_folder, obtain
from labkit.datasets.registry import DatasetError, Entry, read_registry
from labkit.datasets.reviews import Judged, read_lines, read_ratings, without_repeats
from labkit.datasets.split import Unit, grouped, part_of, shared, split
from labkit.datasets.turns import read_catalogues, read_conversations, without_twins


@dataclass(frozen=True)
class Document:
    """One clean text, such as a play or a review; a play has the same name in every edition.

    `label` is what people said of a text: above 0 praise, below 0 complaint, None if not asked.
    `turns` are its parts where it has some: what was said in turn, or a text and its translation.
    """

    name: str
    text: str
    label: float | None = None
    turns: tuple[str, ...] = ()


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


def _file(entry: Entry) -> tuple[bytes, str]:
    """Return the verified file of a dataset, and the folder inside it where the texts are."""
    assert entry.source is not None
    return obtain(entry.name, entry.source, cache_folder()), entry.source.folder


def _tinyshakespeare(entry: Entry, edition: str) -> Dataset:
    return by_position(entry.name, _file(entry)[0].decode("utf-8"))


def _shakespeare(entry: Entry, edition: str) -> Dataset:
    file = _file(entry)
    editions = {
        name: {
            entry.aliases.get(stem, stem): clean(raw.decode("utf-8"), name)
            for stem, raw in read_folder(*file, suffix).items()
        }
        for name, suffix in entry.editions.items()
    }
    return _by_document(entry, editions, edition)


def _by_document(entry: Entry, editions: Mapping[str, Mapping[str, str]], edition: str) -> Dataset:
    """Return the works of one edition, in a split of them all that every edition shares.

    The seed and the works to keep together are the entry's. Sizes are those of the first edition,
    which holds every work; only works that all editions hold count towards the least number.
    """
    main, chosen = next(iter(editions.values())), editions[edition]
    units = [
        Unit(
            names=group,
            size=sum(len(main[work]) for work in group),
            counted=sum(all(work in texts for texts in editions.values()) for work in group),
            alphabet=frozenset(
                f"{title}:{character}"
                for title, texts in editions.items()
                for character in set().union(*(texts.get(work, "") for work in group))
            ),
        )
        for group in grouped(main, entry.together)
    ]
    parts = {
        part: tuple(Document(work, chosen[work]) for work in works if work in chosen)
        for part, works in split(units, entry.split_seed).items()
    }
    return Dataset(entry.name, **parts)


def _python_docs(entry: Entry, edition: str) -> Dataset:
    from pydoc_data.topics import topics

    return split_topics(entry, topics)


def split_topics(entry: Entry, topics: Mapping[str, str]) -> Dataset:
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
    return _by_document(replace(entry, together=tuple(near)), {"": texts}, "")


def _reviews_en(entry: Entry, edition: str) -> Dataset:
    inner = _pick(read_folder(*_file(entry), ".tar.gz"), "hutto_ICWSM_2014")
    tables = read_folder(inner, "hutto_ICWSM_2014/", "_GroundTruth.txt")
    return _judged(entry, read_ratings(_pick(tables, entry.editions[edition])))


def _reviews_zh(entry: Entry, edition: str) -> Dataset:
    files = read_folder(*_file(entry), ".txt")
    praise, complaint = (read_lines(f, _pick(files, f), k) for f, k in (("pos", 1), ("neg", -1)))
    return _judged(entry, (*praise, *complaint))


def _interface_en_zh(entry: Entry, edition: str) -> Dataset:
    return _in_turn(entry, read_catalogues(read_folder(*_file(entry), ".json")))


def _dialogues(entry: Entry, edition: str) -> Dataset:
    archive, folder = _file(entry)
    files = read_folder(archive, folder + entry.editions[edition], ".yml")
    return _in_turn(entry, read_conversations(files))


def _in_turn(entry: Entry, texts: Iterable[tuple[str, ...]]) -> Dataset:
    """Return texts of several turns; those that share a first or a last turn share a split."""
    parts: dict[str, list[Document]] = {"train": [], "val": [], "test": []}
    for text in without_twins(texts):
        document = Document(text.name, "\n".join(text.turns), turns=text.turns)
        parts[part_of(text.group, entry.split_seed)].append(document)
    return Dataset(entry.name, **{part: tuple(found) for part, found in parts.items()})


def _pick(files: Mapping[str, bytes], name: str) -> bytes:
    """Return the file of that name; DatasetError if the archive holds none."""
    if name not in files:
        raise DatasetError(f"expected {name} in the archive, got {[*files]}; mend the registry")
    return files[name]


def _judged(entry: Entry, texts: Iterable[Judged]) -> Dataset:
    """Return judged texts without repeats; `12_1` and `12_2`, parts of one text, share a split."""
    parts: dict[str, list[Document]] = {"train": [], "val": [], "test": []}
    for text in without_repeats(texts, entry.repeat):
        group = text.name.partition("_")[0]
        parts[part_of(group, entry.split_seed)].append(Document(*text))
    return Dataset(entry.name, **{part: tuple(found) for part, found in parts.items()})


BUILDERS: Mapping[str, Callable[[Entry, str], Dataset]] = {
    "shakespeare": _shakespeare,
    "tinyshakespeare": _tinyshakespeare,
    "python_docs": _python_docs,
    "reviews_en": _reviews_en,
    "reviews_zh": _reviews_zh,
    "interface_en_zh": _interface_en_zh,
    "dialogues": _dialogues,
}


def load(name: str, *, edition: str | None = None) -> Dataset:
    """Return a dataset of the registry, downloading and caching its file when needed.

    `edition` defaults to the registry's first. DatasetError says what is wrong with a name, or why
    the file cannot be had.

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
    return BUILDERS[name](entry, edition or next(iter(entry.editions), ""))
