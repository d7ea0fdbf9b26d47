"""What can be loaded: `datasets/registry.toml`, read into frozen records.

It knows names, files and checksums; it fetches nothing and reads no text.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REGISTRY = Path(__file__).resolve().parents[2] / "datasets" / "registry.toml"


class DatasetError(RuntimeError):
    """A dataset cannot be loaded; the message says what was expected, what came and what to do."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file that is downloaded: from a package index (`project`) or from an address (`url`)."""

    file: str
    """name of the file"""
    size: int
    """bytes"""
    sha256: str
    """64 hexadecimal digits"""
    project: str | None = None
    """project of the package index that holds the file"""
    url: str | None = None
    """address of the file, where it is in no package index"""
    folder: str = ""
    """folder inside the archive that holds the texts, with its last slash"""

    def __post_init__(self) -> None:
        """Refuse a source with no origin or with two."""
        if (self.project is None) == (self.url is None):
            raise ValueError(
                f"{self.file}: expected a project or a url, got {self.project!r} and {self.url!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Edition:
    """One version of the texts inside an archive."""

    title: str
    """what a reader would call it"""
    suffix: str
    """how its file names end"""
    documents: int
    """number of documents it must hold"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One dataset of the registry."""

    name: str
    """the name given to `load`"""
    title: str
    """one line for a list"""
    language: str
    """language of the text, in English"""
    licence: str
    """licence of the text, or "unclear, not redistributed" """
    homepage: str
    """where the text comes from"""
    source: Source | None = None
    """the file; None when the running interpreter holds the text"""
    split_seed: int | None = None
    """default seed of the split; None when the split is by position"""
    default_edition: str | None = None
    """the edition that `load` takes when none is named"""
    editions: Mapping[str, Edition] = field(default_factory=dict)
    """editions by name; empty when there is only one"""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """file name (without suffix) to name of the work, where the two differ"""
    together: tuple[tuple[str, ...], ...] = ()
    """works that share text and so must share a split"""


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
    return {name: _entry(name, dict(table)) for name, table in raw.items()}


def _entry(name: str, table: dict[str, Any]) -> Entry:
    source = table.pop("source", None)
    editions = table.pop("editions", {})
    together = table.pop("together", [])
    return Entry(
        name=name,
        source=Source(**source) if source else None,
        editions={key: Edition(**value) for key, value in editions.items()},
        together=tuple(tuple(group) for group in together),
        **table,
    )
