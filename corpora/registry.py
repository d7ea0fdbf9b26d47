"""What can be loaded: `datasets/registry.toml`, read into frozen records.

It knows names, files and checksums; it fetches nothing and reads no text.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

REGISTRY = Path(__file__).resolve().parents[1] / "datasets" / "registry.toml"


class DatasetError(RuntimeError):
    """A dataset cannot be loaded; the message says what was expected, what came and what to do."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file that is downloaded: from a package index (`project`) or from an address (`url`).

    `size` counts bytes; `folder`, with its last slash, holds the texts inside an archive.
    """

    file: str
    size: int
    sha256: str
    project: str | None = None
    url: str | None = None
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One dataset of the registry.

    `source` is None when the running interpreter holds the text; `split_seed` is 0 when the split
    is by position. `editions` maps each version or kind of texts, the default first, to the end or
    the beginning of its files' names. `aliases` maps the file names (without that end) to the name
    of the work, where the two differ; the works of each group in `together` share text and so must
    share a split. A text that repeats so many letters of another is left out (`repeat`; 0: none).
    """

    name: str
    title: str
    language: str
    licence: str
    homepage: str
    source: Source | None = None
    split_seed: int = 0
    editions: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    together: tuple[tuple[str, ...], ...] = ()
    repeat: int = 0


def read_registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """Return every dataset of the registry by name; DatasetError when the file is not there.

    >>> read_registry()["shakespeare"].split_seed
    1623
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"The dataset registry is not at {path}; "
            "install labkit from its repository with `pip install -e .`"
        ) from error
    for table in raw.values():
        table["source"] = Source(**table["source"]) if "source" in table else None
        table["together"] = tuple(map(tuple, table.get("together", ())))
    return {name: Entry(name=name, **table) for name, table in raw.items()}
