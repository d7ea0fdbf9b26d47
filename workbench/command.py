"""The command `labkit`: for the reader, for training, and for coursework."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from workbench.reader import Action, ReaderError, make_reader_edition

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the repository, which holds `notebooks/` and gets `work/`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, or 1 after one sentence on stderr."""
    chosen, extra = parse(arguments)
    commands: dict[str, Callable[[], int]] = {
        "lab": lambda: lab(ROOT, extra),
        "doctor": lambda: doctor(ROOT),
        "reader": lambda: reader(ROOT),
        "data": lambda: data(chosen),
        "train": lambda: train(chosen.recipe, chosen.out, chosen.tensorboard, extra),
        "generate": lambda: generate(chosen),
        "export": lambda: export(chosen.run, chosen.out),
        "course": lambda: course(extra),
    }
    try:
        return commands[chosen.command]()
    except BrokenPipeError:  # whoever read the output, such as `head`, has enough
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (Python closes it)
        return 1


def parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Return the chosen command and the options that are JupyterLab's or a recipe's settings."""
    parser = argparse.ArgumentParser(prog="labkit", description="The course's command.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "lab", help="open JupyterLab on your copy of the chapters; further options are JupyterLab's"
    )
    commands.add_parser("doctor", help="say what is wrong with this machine, and what to do")
    commands.add_parser("reader", help="bring your copy of the chapters, in work/, up to date")
    training = commands.add_parser(
        "train", add_help=False, help="train a GPT: a preset, a .toml file, or a run to go on with"
    )
    training.add_argument("recipe")
    training.add_argument("--out", type=Path)
    training.add_argument("--tensorboard", action="store_true")
    add_options_of_generate(
        commands.add_parser("generate", help="let a model write: one that ships, or a run's")
    )
    exporting = commands.add_parser("export", help="write a run's best model for transformers")
    exporting.add_argument("run", type=Path)
    exporting.add_argument("--out", type=Path, required=True)
    commands.add_parser(
        "course", add_help=False, help="release, collect and grade coursework, or hand it in"
    )
    add_options_of_data(
        commands.add_parser("data", help="describe, write or prepare texts to learn from")
    )
    chosen, extra = parser.parse_known_args(arguments)
    if extra and chosen.command not in ("lab", "train", "course"):
        parser.error(f"unrecognized arguments: {' '.join(extra)}")
    return chosen, extra


def add_options_of_data(data: argparse.ArgumentParser) -> None:
    """Add what `labkit data` may be told."""
    data.add_argument(
        "name", metavar="NAME", help='such as "shakespeare"; "tinyworld" or "prepare" write one'
    )
    data.add_argument("source", nargs="?", help="for prepare: a file of lines, or hf:NAME")
    data.add_argument("--vocab-size", type=int, default=8192, help="tokens; 0: characters")
    data.add_argument("--workers", type=int, default=2, help="for prepare: processes (2)")
    data.add_argument("--edition", help="which edition, where there are several")
    tiny = data.add_argument_group("tinyworld", "stories, one on each line of a file")
    tiny.add_argument("--stories", type=int, default=10_000, help="how many (10,000)")
    tiny.add_argument("--language", choices=("en", "zh"), default="en")
    tiny.add_argument("--seed", type=int, default=0, help="equal seeds give equal files")
    tiny.add_argument("--split", choices=("train", "val", "test"), default="train")
    tiny.add_argument("--out", type=Path, help="the file (tinyworld-LANGUAGE-SPLIT.txt)")


def add_options_of_generate(writing: argparse.ArgumentParser) -> None:
    """Add what `labkit generate` may be told."""
    writing.add_argument("model", help='such as "tinyworld-en", or the folder of a run')
    writing.add_argument("--prompt", default="", help="how the text begins (from nothing)")
    writing.add_argument("--tokens", type=int, default=200, help="at most so many (200)")
    writing.add_argument("--temperature", type=float, default=0.8, help="0 is greedy (0.8)")
    writing.add_argument("--seed", type=int, default=0, help="equal seeds give equal texts (0)")


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


def doctor(root: Path) -> int:
    """Say what is wrong with this machine."""
    from workbench.doctor import report

    return report(root)


def data(chosen: argparse.Namespace) -> int:
    """Write stories of TinyWorld, prepare a text, or describe a dataset."""
    if chosen.name == "tinyworld":
        return write_tinyworld(chosen)
    if chosen.name == "prepare":
        return prepare(chosen)
    return describe_data(chosen.name, chosen.edition)


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
    from tinyworld import TinyWorld
    from tinyworld.tinyworld import write_corpus

    path = chosen.out or Path(f"tinyworld-{chosen.language}-{chosen.split}.txt")
    world = TinyWorld.full(chosen.language)
    try:
        size = write_corpus(path, world, chosen.stories, seed=chosen.seed, split=chosen.split)
    except (OSError, ValueError) as error:
        return fail(error)
    print(f"{path}: {chosen.stories:,} stories, {size:,} bytes")
    return 0


def prepare(chosen: argparse.Namespace) -> int:
    """Turn a large text into a folder of token ids."""
    from tqdm import tqdm

    from labkit.datasets.prepare import prepare as stretches_left

    if chosen.source is None or chosen.out is None:
        return fail(ValueError("expected labkit data prepare SOURCE --out FOLDER"))
    sizes = {"vocab_size": chosen.vocab_size, "workers": chosen.workers}
    try:
        left = stretches_left(chosen.source, chosen.out, **sizes)
        for _ in tqdm(left, total=next(left), unit="stretch"):
            pass
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on")
        return 130
    except (OSError, ValueError) as error:
        return fail(error)
    print(f"{chosen.out}: all stretches of {chosen.source} are prepared")
    return 0


def train(name: str, out: Path | None, tensorboard: bool, settings: Sequence[str]) -> int:
    """Train a model as a recipe and further settings say; on Ctrl-C, say how to go on."""
    import signal

    import tyro

    from labkit.datasets import DatasetError
    from labkit.training.distributed import joined, my_rank
    from labkit.training.recipe import Recipe, how_to_go_on, read_recipe, run_recipe

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = out or Path(name)
    try:
        recipe = tyro.cli(
            Recipe, prog=f"labkit train {name}", default=read_recipe(name), args=settings
        )
        if not out and not folder.is_dir():
            raise ValueError("expected --out FOLDER, where the run is kept")
        with joined():
            for said in run_recipe(recipe, folder, tensorboard=tensorboard):
                if my_rank() == 0:
                    print(said, flush=True)
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt or f'stopped; {how_to_go_on(folder)}'}")
        return 130
    except (DatasetError, FloatingPointError, OSError, ValueError) as error:
        return fail(error)
    return 0


def generate(chosen: argparse.Namespace) -> int:
    """Let a model write, and print the text."""
    import torch

    from labkit.generation import generate as continued
    from labkit.shipped import load_model

    try:
        found = load_model(chosen.model)
        end = found.tokenizer.end
        ids = torch.tensor([[end, *found.tokenizer.encode(chosen.prompt)]])
        chance = torch.Generator().manual_seed(chosen.seed)
        settings = {"generator": chance, "temperature": chosen.temperature, "stop": end}
        written = continued(found.model, ids, chosen.tokens, **settings)
    except (OSError, ValueError) as error:
        return fail(error)
    print(found.tokenizer.decode(written[0, 1:].tolist()))
    return 0


def export(run: Path, out: Path) -> int:
    """Write the best model of a run as transformers reads it."""
    from labkit.export import export_run

    try:
        best = export_run(run, out)
    except (OSError, ValueError) as error:
        return fail(error)
    print(f"{out}: the model of {best}, its tokenizer and a card, for transformers")
    return 0


def course(arguments: Sequence[str]) -> int:
    """Run one of the commands of coursework and print what it says."""
    from classroom.command import run
    from labkit.course import CourseError

    try:
        for said in run(arguments):
            print(said)
    except KeyboardInterrupt:
        print("\nstopped; what was marked is kept, and the same command goes on")
        return 130
    except (CourseError, OSError) as error:
        return fail(error)
    return 0
