"""The models that ship with the course, so that a chapter begins with one that already writes."""

from dataclasses import dataclass
from pathlib import Path

from labkit.checkpoints import load_checkpoint
from labkit.datasets.shards import TOKENIZER
from labkit.gpt import GPT
from labkit.tokenizers import Tokenizer, load_tokenizer
from labkit.training.recipe import SETTINGS
from labkit.training.run import Run

FOLDER = Path(__file__).resolve().parents[1] / "checkpoints"
CARD = "README.md"


@dataclass(frozen=True)
class Shipped:
    """A trained model with what is needed to use it and to know what it is."""

    model: GPT
    """The model, in evaluation mode."""
    tokenizer: Tokenizer
    """What turns text into its ids."""
    card: str
    """How it was trained, what it can do and what not, in Markdown; of a run, its settings."""


def load_shipped(name: str, folder: Path = FOLDER) -> Shipped:
    """Load a model by its name, such as "tinyworld-en".

    Raises ValueError, naming those there are, for another name, and what
    `labkit.checkpoints.load_checkpoint` raises for a damaged one.
    """
    names = sorted(path.parent.name for path in folder.glob(f"*/{CARD}"))
    if name not in names:
        raise ValueError(f"expected one of {', '.join(names) or 'no models'}, got {name!r}")
    return Shipped(
        model=load_checkpoint(folder / name),
        tokenizer=load_tokenizer(folder / name / TOKENIZER),
        card=(folder / name / CARD).read_text(encoding="utf-8"),
    )


def load_model(name: str) -> Shipped:
    """Load a model that ships, by its name, or the best one of a run, by its folder.

    Raises what `load_shipped` raises if there is neither.
    """
    run = Path(name)
    if not (run / SETTINGS).exists():
        return load_shipped(name)
    return Shipped(
        model=load_checkpoint(Run(run).best()),
        tokenizer=load_tokenizer(run / TOKENIZER),
        card=(run / SETTINGS).read_text(encoding="utf-8"),
    )
