"""Real text with a fixed split: `load("shakespeare")` and what else the registry names.

`corpora` finds, verifies, cleans and splits it; `labkit.datasets.prepare` makes shards of tokens of
it. A tool, free in every chapter.
"""

from corpora import Dataset, DatasetError, Document, cache_folder, letters, load, read_registry

__all__ = [
    "Dataset",
    "DatasetError",
    "Document",
    "cache_folder",
    "letters",
    "load",
    "read_registry",
]
