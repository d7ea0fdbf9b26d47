"""A whole training run as one flat list of settings: the text, the model, and how it is trained."""

import json
import math
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from labkit.datasets import load
from labkit.datasets.shards import TOKENIZER, open_shards
from labkit.files import write_atomically
from labkit.gpt import GPT, GPTConfig
from labkit.parts import PARTS, named_parts
from labkit.tokenizers import (
    BPETokenizer,
    CharTokenizer,
    Tokenizer,
    encode_documents,
    load_tokenizer,
)
from labkit.training.batches import Tokens
from labkit.training.config import TrainConfig
from labkit.training.distributed import my_rank
from labkit.training.loop import train
from labkit.training.record import Record
from labkit.training.run import LOG, Run

PRESETS = Path(__file__).with_name("presets")
SETTINGS = "run.toml"


@dataclass(frozen=True, kw_only=True)
class Recipe(TrainConfig):
    """Settings of a run; those of the training itself are `TrainConfig`'s."""

    data: str
    """A dataset of the registry, a text file, or a folder that `labkit data prepare` wrote."""
    vocab_size: int = 0
    """Tokens of a byte-pair encoding that is learned from the training text; 0 reads characters. A
    prepared folder has its own."""
    begin_with_documents: bool = False
    """Whether every sequence begins where a document does."""
    n_layers: int = 4
    """Number of blocks."""
    n_heads: int = 4
    """Number of attention heads per block, H."""
    d_model: int = 128
    """Width of the vector that stands for a token, D."""
    dropout: float = 0.0
    """Share of numbers that are set to zero while training, 0 to below 1."""
    ngram_order: int = GPTConfig.ngram_order
    """Length of the longest run of tokens that has a vector of its own; GPT-2 has 1, the token."""
    ngram_rows: int = GPTConfig.ngram_rows
    """Vectors for the runs of each length."""
    ngram_width: int = GPTConfig.ngram_width
    """Width of such a vector."""
    positions: Literal["learned", "sinusoids", "none"] = "learned"
    """What is added to a token's vector for its place."""
    turn: Literal["none", "rotary", "rotary_normalised"] = "none"
    """What tells queries and keys their places; "normalised" makes them of one length before."""
    entry: Literal["none", "rms"] = "none"
    """How the sum of a token's vectors is normalised before the first block."""
    norm: Literal["layer", "rms"] = "layer"
    """How what a part reads is normalised."""
    head: Literal["tied", "own"] = "tied"
    """Whether the table of the tokens' vectors also serves, read backwards, to score them, or a
    matrix of its own does."""
    mlp: Literal["gelu", "squared_relu"] = "gelu"
    """The non-linearity of the feed-forward layers."""
    start: Literal["gpt2", "silent"] = "gpt2"
    """The starting weights: GPT-2's, or with zeros where a part adds to the stream."""


def read_recipe(name: str) -> Recipe:
    """Return a preset by its name, or the settings in a TOML file or in the folder of a run.

    Raises ValueError, naming what is there, for an unknown name and for a file that does not fit.
    """
    path = Path(name)
    path = path / SETTINGS if path.is_dir() else path
    if not path.suffix:
        path = PRESETS / f"{name}.toml"
    if not path.is_file():
        presets = ", ".join(sorted(preset.stem for preset in PRESETS.glob("*.toml")))
        raise ValueError(f"expected a preset ({presets}), a .toml file or a run, got {name!r}")
    try:
        return Recipe(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected the settings of a run in {path}: {error}") from error


def write_recipe(recipe: Recipe, folder: Path) -> None:
    """Write settings where `read_recipe` finds them."""
    lines = []
    for name, value in asdict(recipe).items():
        if value is not None:
            shown = "inf" if value == math.inf else json.dumps(value, ensure_ascii=False)
            lines.append(f"{name} = {shown}\n")
    write_atomically(folder / SETTINGS, "".join(lines))


@dataclass(frozen=True)
class Prepared:
    """What a recipe needs besides its settings."""

    tokenizer: Tokenizer
    train_ids: Tokens
    val_ids: Tokens
    tokens_per_char: float
    """Tokens that a character of the held-out text takes, the end of a document being one."""


def prepare_recipe(recipe: Recipe) -> Prepared:
    """Read the text of a recipe, learn its tokens and turn it into ids.

    Raises what `labkit.datasets.load` raises, and ValueError if there is no such text.
    """
    path = Path(recipe.data)
    if path.is_dir():
        tokenizer = load_tokenizer(path / TOKENIZER)
        train_shards, val_shards = open_shards(path)
        sample = val_shards.take(np.arange(min(len(val_shards), 10**6)))
        n_chars = len(tokenizer.decode(sample)) + int((sample == tokenizer.end).sum())
        if not n_chars:
            raise ValueError(f"expected held-out text in {path}, got none: prepare more documents")
        return Prepared(tokenizer, train_shards, val_shards, len(sample) / n_chars)
    train_texts, val_texts = _texts(recipe.data)
    tokenizer = (
        BPETokenizer.train(train_texts, recipe.vocab_size)
        if recipe.vocab_size
        else CharTokenizer.train(train_texts + val_texts)
    )
    train_ids, val_ids = (
        torch.from_numpy(encode_documents(tokenizer, texts)) for texts in (train_texts, val_texts)
    )
    n_chars = sum(len(text) + 1 for text in val_texts)
    return Prepared(tokenizer, train_ids, val_ids, len(val_ids) / n_chars)


def _texts(data: str) -> tuple[list[str], list[str]]:
    """Return the documents of a registered dataset, or nine tenths of a file and its last tenth."""
    path = Path(data)
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        cut = int(0.9 * len(text))
        return [text[:cut]], [text[cut:]]
    dataset = load(data)
    train_texts, val_texts = ([d.text for d in part] for part in (dataset.train, dataset.val))
    return train_texts, val_texts


def run_recipe(recipe: Recipe, folder: Path, *, tensorboard: bool = False) -> Iterator[str]:
    """Train as a recipe says, on a GPU if there is one; say each evaluation and the result.

    All is kept in `folder`, where a run that was interrupted goes on; with `tensorboard` its curves
    as well, for which that package must be installed.
    """
    text = prepare_recipe(recipe)
    if my_rank() == 0 and not (folder / SETTINGS).exists():
        write_recipe(recipe, folder)
        text.tokenizer.save(folder / TOKENIZER)
    model = new_model(recipe, text.tokenizer)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    run = Run(folder, go_on=how_to_go_on(folder))
    if recipe.begin_with_documents:
        recipe = replace(recipe, begin_at=text.tokenizer.end)
    records = train(model, text.train_ids, text.val_ids, recipe, run=run)
    for record in with_curves(records, folder) if tensorboard and my_rank() == 0 else records:
        yield str(record)
    last = json.loads((folder / LOG).read_text(encoding="utf-8").splitlines()[-1])
    bits = last["val_loss"] / math.log(2) * text.tokens_per_char
    yield (
        f"val {last['val_loss']:.3f} nats per token, {bits:.3f} bits per character, "
        f"{last['cpu_seconds']:.0f} CPU-seconds; the best checkpoint is {run.best()}"
    )


def how_to_go_on(folder: Path) -> str:
    """Return the command that goes on with a run, in half a sentence."""
    return f"`labkit train {shlex.quote(str(folder))}` goes on"


def new_model(recipe: Recipe, tokenizer: Tokenizer) -> GPT:
    """Return the untrained model of a recipe."""
    asked = asdict(recipe) | {"vocab_size": tokenizer.vocab_size}
    config = GPTConfig(**{f.name: asked[f.name] for f in fields(GPTConfig) if f.name in asked})
    parts = named_parts({kind: asked[kind] for kind in PARTS if kind in asked})
    return GPT(config, generator=torch.Generator().manual_seed(recipe.seed), **parts)


def with_curves(records: Iterator[Record], folder: Path) -> Iterator[Record]:
    """Yield the records, and add each to the curves in `folder/tensorboard`."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder / "tensorboard") as writer:
        for record in records:
            for name, value in asdict(record).items():
                writer.add_scalar(name, value, record.step)
            writer.flush()
            yield record
