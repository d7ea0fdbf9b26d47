"""The command `labkit`: `lab`, `doctor`, `reader`, `data NAME` and `data tinyworld`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.reader import Action, ReaderError, make_reader_edition

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the repository, which holds `notebooks/` and gets `work/`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, or 1 after one sentence on stderr."""
    chosen, extra = parse(arguments)
    try:
        if chosen.command == "lab":
            return lab(ROOT, extra)
        if chosen.command == "reader":
            return reader(ROOT)
        if chosen.command == "data" and chosen.name == "tinyworld":
            return write_tinyworld(chosen)
        if chosen.command == "data":
            return describe_data(chosen.name, chosen.edition)
        from workbench.doctor import report

        return report(ROOT)
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (Python closes it)
        return 1


def parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Return the chosen command and, for `lab` alone, the options that are JupyterLab's."""
    parser = argparse.ArgumentParser(prog="labkit", description="The course's command.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "lab", help="open JupyterLab on your copy of the chapters; further options are JupyterLab's"
    )
    commands.add_parser("doctor", help="say what is wrong with this machine, and what to do")
    commands.add_parser("reader", help="bring your copy of the chapters, in work/, up to date")
    data = commands.add_parser(
        "data", help="load a dataset and say what it holds, or write stories of TinyWorld"
    )
    data.add_argument("name", metavar="NAME", help='such as "shakespeare", or "tinyworld"')
    data.add_argument("--edition", help="which edition, where there are several")
    tiny = data.add_argument_group("tinyworld", "stories, one on each line of a file")
    tiny.add_argument("--stories", type=int, default=10_000, help="how many (10,000)")
    tiny.add_argument("--language", choices=("en", "zh"), default="en")
    tiny.add_argument("--seed", type=int, default=0, help="equal seeds give equal files")
    tiny.add_argument("--split", choices=("train", "val", "test"), default="train")
    tiny.add_argument("--out", type=Path, help="the file (tinyworld-LANGUAGE-SPLIT.txt)")
    chosen, extra = parser.parse_known_args(arguments)
    if extra and chosen.command != "lab":
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    return chosen, extra


def fail(error: Exception) -> int:
    """Print an error as one sentence on stderr; return the exit code 1."""
    print(f"labkit: {error}", file=sys.stderr)
    return 1


def reader(root: Path) -> int:
    """Bring the reader's edition up to date and say what changed."""
    try:
        changes = make_reader_edition(root / "notebooks", root / "work")
    except (ReaderError, OSError) as error:
        return fail(error)
    for change in changes:
        if change.action is not Action.KEPT:
            print(change)
    return 0


def lab(root: Path, extra: Sequence[str]) -> int:
    """Bring the reader's edition up to date, then open JupyterLab on it."""
    from workbench.lab import start_lab

    if reader(root):
        return 1
    try:
        return start_lab(root / "work", extra)
    except OSError as error:
        return fail(error)


def describe_data(name: str, edition: str | None) -> int:
    """Load a dataset and print its documents and their sizes, split by split."""
    from labkit.datasets import DatasetError, load

    try:
        dataset = load(name, edition=edition)
    except DatasetError as error:
        return fail(error)
    for split in ("train", "val", "test"):
        documents = getattr(dataset, split)
        total = sum(len(document.text) for document in documents)
        print(f"{split}: {len(documents)} documents, {total:,} characters")
        for document in documents:
            print(f"  {document.name}  {len(document.text):,}")
    return 0


def write_tinyworld(chosen: argparse.Namespace) -> int:
    """Write stories of TinyWorld to a file and say how large it is."""
    from labkit.tinyworld import TinyWorld
    from labkit.tinyworld.tinyworld import write_corpus

    path = chosen.out or Path(f"tinyworld-{chosen.language}-{chosen.split}.txt")
    world = TinyWorld.full(chosen.language)
    try:
        size = write_corpus(path, world, chosen.stories, seed=chosen.seed, split=chosen.split)
    except (OSError, ValueError) as error:
        return fail(error)
    print(f"{path}: {chosen.stories:,} stories, {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
