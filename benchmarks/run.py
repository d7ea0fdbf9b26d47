"""`python -m benchmarks.run`: measure speed, and write the table `benchmarks/results.md`.

Every number is measured at least five times; every ratio is one of two workers that take turns in
one process and did the same, which is checked. Nothing else should run on the machine meanwhile.
Memory is read through the module `resource`, which Windows lacks.
"""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.counting import counting
from benchmarks.measure import Measurement, table
from benchmarks.steps import steps_against_transformers
from benchmarks.stories import stories_per_second
from benchmarks.tokens import tokens_against_hugging_face
from benchmarks.viewers import OTHERS, viewers_in_chromium
from benchmarks.writing import writing_against_transformers
from experiments.run import head
from labkit.datasets import load
from labkit.files import write_atomically
from labkit.tokenizers import CharTokenizer, encode_documents

RESULTS = Path(__file__).with_name("results.md")
COMPARED = ("transformers", "tokenizers", "nltk", *OTHERS)
TITLE = """# Measured speed

`make bench` writes this table. A × is how many times as fast labkit is as the other, in one round;
both do the same work in turns, in one process, on one thread. Viewers are drawn in one Chromium
without a network, beside those others that are installed (`pip install -e ".[compare]"`).

"""


def measured() -> Iterator[Measurement]:
    """Measure everything, one after the other."""
    torch.set_num_threads(1)
    texts = [document.text for document in load("shakespeare").documents]
    tokenizer = CharTokenizer.train(texts)
    ids = encode_documents(tokenizer, texts)
    # First, because it measures a rise of the process's peak of memory, which never falls.
    yield from counting(ids, tokenizer.vocab_size)
    yield from writing_against_transformers()
    yield from steps_against_transformers()
    yield from tokens_against_hugging_face(texts)
    yield from stories_per_second()
    yield from viewers_in_chromium()


def processor() -> str:
    """Return the processor's name, or its family where the system tells no more."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def version_of(name: str) -> str:
    """Return a package's version, or say that there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Measure, print and write."""
    rows = []
    for measurement in measured():
        print(measurement.row(), flush=True)
        rows.append(measurement)
    compared = ", ".join(f"{name} {version_of(name)}" for name in COMPARED)
    circumstances = {"command": "make bench", **head(), "processor": processor()}
    circumstances["compared with"] = compared
    listed = "".join(f"- {name}: {value}\n" for name, value in circumstances.items())
    write_atomically(RESULTS, f"{TITLE}{listed}\n{table(rows)}")


if __name__ == "__main__":
    main()
