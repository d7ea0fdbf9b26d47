"""`python -m experiments.ship RUN`: put the best model of a run into `checkpoints/`, with its card.

The folder is named after the run's. What the card says is measured on what ships: weights rounded
to 16 bits, read back from the folder.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from experiments.counting import split_texts
from experiments.meaning import excess
from experiments.run import head
from labkit.checkpoints import CONFIG, load_checkpoint, save_checkpoint
from labkit.datasets import load
from labkit.datasets.shards import TOKENIZER
from labkit.files import write_atomically
from labkit.generation import generate
from labkit.metrics import evaluate
from labkit.shipped import CARD, FOLDER, Shipped, load_shipped
from labkit.tokenizers import load_tokenizer
from labkit.training.recipe import SETTINGS
from labkit.training.run import LOG, Run
from tinyworld import TinyWorld

TEST_STORIES, WRITTEN, SHOWN = 500, 300, 3
TEMPERATURES = (1.0, 0.7)
TEXT = """# {name}: {what}

```python
from labkit.shipped import load_shipped

shipped = load_shipped("{name}")  # .model, .tokenizer
```

A GPT of {n_parameters:,} parameters, in 16-bit numbers ({megabytes:.1f} MB).

## How it was trained

```
{commands}
```

`run.toml`, the settings:

```toml
{settings}```

It was trained for {cpu_hours:.2f} CPU-hours ({cpu_seconds:,.0f} CPU-seconds) and read {tokens:,}
tokens, repeats counted, in {step:,} steps. At the end the loss on held-out text was {val_loss:.4f}
nats per token, on the text of the last steps {train_loss:.4f}. Machine: {machine}; {versions};
{date}.

## What it can do

{measured}
## What it writes

From nothing, at temperature 1, the first three:

{samples}
## Limits

{limits}

## Files

{files}"""


@dataclass(frozen=True)
class Kind:
    """What is particular to one shipped model."""

    what: str
    """Half a sentence for its title."""
    commands: str
    """How to train it again."""
    limits: str
    """What it cannot do."""
    measure: Callable[[Shipped], Iterator[str]]
    """Yields sentences on what it can do."""
    length: int
    """Tokens that a sample has at most."""


def stories(language: str) -> Kind:
    """Describe a model of TinyWorld."""
    name = f"tinyworld-{language}"
    spoken = {"en": "English", "zh": "Chinese"}[language]
    commands = [
        f"labkit data tinyworld --language {language} --stories 200000 --out data/{name}.txt",
        f"labkit data prepare data/{name}.txt --vocab-size 1024 --out data/{name}",
        f"labkit train {name} --out runs/{name}",
        f"python -m experiments.ship runs/{name}",
    ]
    return Kind(
        what=f"a storyteller of TinyWorld, in {spoken}",
        commands="\n".join(commands),
        limits="It knows TinyWorld's people, places and things, and nothing else: a word that no\n"
        "story has, it has never seen. It continues stories and does not answer questions.",
        measure=lambda shipped: told(shipped, language),
        length=220,
    )


def told(shipped: Shipped, language: str) -> Iterator[str]:
    """Measure a storyteller: bits above the truth, and what the judge says of its stories."""
    world = TinyWorld.full(language)
    test = list(world.stories(TEST_STORIES, seed=0, split="test"))
    found = excess(shipped.model, shipped.tokenizer, test)
    yield (
        f"On {TEST_STORIES} test stories it needs {found['bits_per_char']} bits per character; "
        f"the world itself needs {found['true_bits']}. "
        f"Excess: **{found['excess']} ± {found['excess_half']}**."
    )
    for temperature in TEMPERATURES:
        verdicts = [world.judge(text) for text in write(shipped, WRITTEN, 220, temperature)]
        grammatical, consistent = (
            sum(getattr(verdict, name) for verdict in verdicts) / WRITTEN
            for name in ("grammatical", "consistent")
        )
        yield (
            f"Of {WRITTEN} stories written at temperature {temperature:g}, "
            f"**{consistent:.0%} are consistent** in the eyes of the judge; "
            f"{grammatical:.1%} of all sentences are grammatical."
        )


def plays(shipped: Shipped) -> Iterator[str]:
    """Measure a model of Shakespeare as the league table does."""
    _, _, test = split_texts(load("shakespeare"))
    score = evaluate(shipped.model, shipped.tokenizer, test)
    yield (
        f"On the test works of the league table it needs **{score.bits_per_char:.3f} bits per "
        f"character**; 95 % interval over works {score.low:.3f} to {score.high:.3f}."
    )


KINDS = {
    "tinyworld-en": stories("en"),
    "tinyworld-zh": stories("zh"),
    "shakespeare": Kind(
        what="plays and poems after Shakespeare",
        commands="labkit train shakespeare --out runs/shakespeare\n"
        "python -m experiments.ship runs/shakespeare",
        limits="It has read one author. It keeps to his words and his way of setting out a play,\n"
        "and neither plot nor argument holds for more than a few lines.",
        measure=plays,
        length=120,
    ),
}


def write(shipped: Shipped, n: int, length: int, temperature: float) -> list[str]:
    """Let a model write n texts from nothing."""
    end = shipped.tokenizer.end
    ids = generate(
        shipped.model,
        torch.full((n, 1), end),
        length,
        generator=torch.Generator().manual_seed(0),
        temperature=temperature,
        stop=end,
    )
    return [shipped.tokenizer.decode(row.tolist()) for row in ids]


def ship(run: Path, folder: Path = FOLDER) -> Path:
    """Write a model, its tokenizer and its card; return their folder."""
    name, best = run.name, Run(run).best()
    out = folder / name
    save_checkpoint(load_checkpoint(best), out, dtype=torch.bfloat16)
    load_tokenizer(run / TOKENIZER).save(out / TOKENIZER)
    write_atomically(out / CARD, "")
    write_atomically(out / CARD, card(name, load_shipped(name, folder), run, best))
    return out


def card(name: str, shipped: Shipped, run: Path, best: Path) -> str:
    """Measure a model and say what there is to know of it."""
    kind, folder = KINDS[name], FOLDER / name
    log = [json.loads(line) for line in (run / LOG).read_text("utf-8").splitlines()]
    record: dict[str, Any] = next(r for r in log if r["step"] == int(best.name[5:]))
    texts = write(shipped, SHOWN, kind.length, 1.0)
    files = sorted(path for path in folder.iterdir() if path.name != CARD)
    return TEXT.format(
        name=name,
        what=kind.what,
        n_parameters=shipped.model.n_parameters,
        megabytes=sum(path.stat().st_size for path in files) / 1e6,
        commands=kind.commands,
        settings=(run / SETTINGS).read_text(encoding="utf-8"),
        cpu_hours=record["cpu_seconds"] / 3600,
        measured="".join(f"- {sentence}\n" for sentence in kind.measure(shipped)),
        samples="".join(f"> {_quoted(text)}\n\n" for text in texts),
        limits=kind.limits,
        files="".join(f"- `{path.name}`: sha256 {_sha256(path)}\n" for path in files),
        **record | head(""),
    )


def _quoted(text: str) -> str:
    return text.strip().replace("\n", "\n> ")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Ship the run that is named."""
    torch.set_num_threads(1)
    folder = ship(Path(arguments[0]))
    print(f"{folder / CONFIG}: {(folder / CARD).read_text(encoding='utf-8')}")


if __name__ == "__main__":
    main(sys.argv[1:])
