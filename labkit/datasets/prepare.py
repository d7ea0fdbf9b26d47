"""A large text is turned into files of token ids, once, by several processes that may be killed.

A prepared folder holds `about.json`, `tokenizer.json`, and for each stretch of the source, counted
from 0, the ids of its documents in `train-00000.npy` and `val-00000.npy`. Which of the two a
document goes to depends on its text alone, so no document is in both.
"""

import hashlib
import importlib
import io
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from labkit.datasets.shards import ABOUT, TOKENIZER, shard
from labkit.files import write_atomically
from labkit.tokenizers import BPETokenizer, CharTokenizer, encode_documents, load_tokenizer

HELD_OUT = 0.005
"""Share of documents that go to the held-out files."""
SAMPLE = 20_000
"""Documents, the first ones, that a byte-pair encoding is learned from."""


class Source(ABC):
    """Documents in stretches that can be read independently."""

    stretch: int
    """Length of a stretch, in what `size` counts."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How much there is, in bytes or rows."""

    @property
    def n_stretches(self) -> int:
        """Number of stretches."""
        return max(1, -(-self.size // self.stretch))

    @abstractmethod
    def documents(self, stretch: int) -> Iterator[str]:
        """Yield the documents of one stretch, counted from 0."""


@dataclass(frozen=True)
class LinesSource(Source):
    """A file with one document on each line: text, or JSON with a field `text` in a `.jsonl`.

    A document belongs to the stretch in which its line begins.
    """

    path: Path
    stretch: int = 2**23

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def documents(self, stretch: int) -> Iterator[str]:
        """Yield the documents of one stretch.

        Raises ValueError for a line that is not UTF-8 or, in a `.jsonl`, lacks its text.
        """
        begin, end = stretch * self.stretch, (stretch + 1) * self.stretch
        with self.path.open("rb") as file:
            file.seek(max(0, begin - 1))
            if begin:
                file.readline()  # the rest of a line that began before
            while file.tell() < end and (line := file.readline()):
                if text := self._text(line):
                    yield text

    def _text(self, line: bytes) -> str:
        try:
            text = line.decode("utf-8").rstrip("\r\n")
            return str(json.loads(text)["text"]) if self.path.suffix == ".jsonl" else text
        except (KeyError, TypeError, ValueError) as error:
            wanted = 'JSON with a field "text"' if self.path.suffix == ".jsonl" else "UTF-8"
            raise ValueError(
                f"expected {wanted} on each line of {self.path}, got {line[:60]!r}: mend or drop it"
            ) from error


@dataclass(frozen=True)
class HubSource(Source):
    """A dataset of the Hugging Face Hub, or a local folder that its library reads, by name."""

    name: str
    stretch: int = 10_000

    @property
    def size(self) -> int:
        """Rows of its `train` split."""
        return len(self._rows())

    def documents(self, stretch: int) -> Iterator[str]:
        """Yield the column `text` of one stretch."""
        rows = self._rows()
        end = min((stretch + 1) * self.stretch, len(rows))
        yield from (text for text in rows[stretch * self.stretch : end]["text"] if text)

    def _rows(self) -> Any:
        library = importlib.import_module("datasets")  # without it, our folder of that name
        if not hasattr(library, "load_dataset"):
            raise ValueError(
                f"expected the library `datasets` to read {self.name}, got none: "
                "pip install datasets"
            )
        return library.load_dataset(self.name, split="train")


def open_source(name: str) -> Source:
    """Return a file of lines by its path, or what stands behind `hf:NAME`.

    Raises FileNotFoundError for a file that is not there.
    """
    if name.startswith("hf:"):
        return HubSource(name.removeprefix("hf:"))
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of lines or hf:NAME, got {name!r}")
    return LinesSource(path)


def prepare(name: str, folder: Path, *, vocab_size: int, workers: int = 2) -> Iterator[int]:
    """Turn a source into a prepared folder, and yield how many stretches are still to do.

    A `vocab_size` of 0 makes every character a token, as it does in a recipe.
    What an earlier, interrupted call has done is not done again; equal sources give equal files,
    whatever the number of workers. Raises what the source raises, and ValueError if the folder was
    begun with another source, one of another size, or another vocabulary.
    """
    source = open_source(name)
    n_stretches = source.n_stretches
    about = {
        "source": name,
        "size": source.size,
        "n_stretches": n_stretches,
        "vocab_size": vocab_size,
    }
    _begin(folder, about, source)
    left = [k for k in range(n_stretches) if not shard(folder, "train", k).exists()]
    yield len(left)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(write_stretch, source, folder, k) for k in left]
        for n, task in enumerate(as_completed(tasks), start=1):
            task.result()
            yield len(left) - n
    for unfinished in folder.glob(".*.npy.*"):  # left by a process that was killed
        unfinished.unlink()


def _begin(folder: Path, about: dict[str, Any], source: Source) -> None:
    """Learn the tokens and write down what the folder is made from, or check that it is that."""
    try:
        then = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        texts = (text for k in range(source.n_stretches) for text in source.documents(k))
        some = itertools.islice(texts, SAMPLE)
        size = about["vocab_size"]
        tokenizer = BPETokenizer.train(some, size) if size else CharTokenizer.train(texts)
        tokenizer.save(folder / TOKENIZER)
        write_atomically(folder / ABOUT, json.dumps(about, indent=1) + "\n")
        return
    if then != about:
        raise ValueError(f"expected to go on with {then} in {folder}, got {about}: use another one")


def write_stretch(source: Source, folder: Path, stretch: int) -> None:
    """Write the two files of one stretch, the one that says it is done last."""
    tokenizer = load_tokenizer(folder / TOKENIZER)
    parts: dict[str, list[str]] = {"val": [], "train": []}
    for text in source.documents(stretch):
        parts["val" if _share(text) < HELD_OUT else "train"].append(text)
    dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
    for part, texts in parts.items():
        file = io.BytesIO()
        np.save(file, encode_documents(tokenizer, texts)[1:].astype(dtype), allow_pickle=False)
        write_atomically(shard(folder, part, stretch), file.getvalue())


def _share(text: str) -> float:
    """Return a number from 0 to 1 that depends on a text as if it were drawn at random."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big") / 2**64
