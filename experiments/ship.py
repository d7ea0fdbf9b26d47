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

from experiments.chat import N_WISHES, asked, measured, seen_in_training, summed_up
from experiments.counting import split_texts
from experiments.meaning import excess, judged, write
from experiments.rewarding import write as tell
from experiments.run import head
from labkit.checkpoints import CONFIG, load_checkpoint, save_checkpoint
from labkit.datasets import load
from labkit.datasets.shards import TOKENIZER
from labkit.files import write_atomically
from labkit.metrics import evaluate
from labkit.recorded import read_recording
from labkit.shipped import CARD, FOLDER, Shipped
from labkit.tokenizers import load_tokenizer
from labkit.training.recipe import SETTINGS
from labkit.training.run import LOG, Run
from tinyworld import TinyWorld

TEST_STORIES, WRITTEN, SHOWN = 500, 300, 3
TEMPERATURES = (1.0, 0.7)
BEGINNING = 20_000
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

{begin}

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
    """Measures it, and yields a sentence for each thing it can do."""
    begin: str = "From nothing, at temperature 1, the first three:"
    """What the texts that the card shows begin with."""
    samples: Callable[[Shipped], Sequence[str]] = lambda shipped: written(shipped, SHOWN, 1.0)
    """Lets it write these texts."""


def stories(language: str) -> Kind:
    """Describe a model of TinyWorld."""
    name = f"tinyworld-{language}"
    spoken, size = {"en": ("English", 1024), "zh": ("Chinese", 0)}[language]
    commands = [
        f"labkit data tinyworld --language {language} --stories 200000 --out data/{name}.txt",
        f"labkit data prepare data/{name}.txt --vocab-size {size} --out data/{name}",
        f"labkit train {name} --out runs/{name}",
        f"python -m experiments.ship runs/{name}",
    ]
    return Kind(
        what=f"a storyteller of TinyWorld, in {spoken}",
        commands="\n".join(commands),
        limits="It knows TinyWorld's people, places and things, and nothing else: a word that no\n"
        "story has, it has never seen. It continues stories and does not answer questions.",
        measure=lambda shipped: told(shipped, language),
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
        shares = judged(written(shipped, WRITTEN, temperature), frozenset(), language)
        yield (
            f"Of {WRITTEN} stories written at temperature {temperature:g}, "
            f"**{shares['consistent']:.0%} are consistent** in the eyes of the judge; "
            f"{shares['grammatical']:.1%} of all sentences are grammatical."
        )


def written(shipped: Shipped, n: int, temperature: float) -> list[str]:
    """Let a model write n texts from nothing, the same ones each time."""
    return write(shipped.model, shipped.tokenizer, n, seed=0, temperature=temperature)


def beginning() -> str:
    """Return the beginning of a held-out work, short enough to be read again by a test."""
    return split_texts(load("shakespeare"))[2][0][:BEGINNING]


def read(shipped: Shipped) -> Iterator[str]:
    """Measure a model on the works that nobody trained on, beside all n-grams."""
    _, _, test = split_texts(load("shakespeare"))
    score = evaluate(shipped.model, shipped.tokenizer, test)
    yield (
        f"On {len(test)} held-out works it needs **{score.bits_per_char:.3f} bits per character** "
        f"(95 % interval {score.low:.2f} to {score.high:.2f}: the works differ)."
    )
    begun = evaluate(shipped.model, shipped.tokenizer, [beginning()]).bits_per_char
    yield f"On the first {BEGINNING:,} characters of the first of them alone: **{begun:.4f}**."
    rows = read_recording("speed_laptop").rows
    counted = [row for row in rows if row["model"].startswith("Kneser-Ney")]
    best = min(counted, key=lambda row: float(row["bits_per_char"]))
    yield (
        f"The best of {len(counted)} n-gram models, counted on the same works "
        f"({best['model']}, order {best['order']}), needs {float(best['bits_per_char']):.3f}."
    )


def wished(shipped: Shipped) -> Iterator[str]:
    """Measure a model that follows wishes."""
    for temperature in TEMPERATURES:
        found = summed_up(measured(shipped.model, {}, shipped.tokenizer, temperature))
        shares = {name: found[name][0] for name in ("followed", "consistent")}
        low, high = found["followed"][1:]
        yield (
            f"Of {N_WISHES} wishes drawn anew ({seen_in_training()} came in its training too) it "
            f"fulfils, at temperature {temperature:g}, **{shares['followed']:.1%}** ({low:.1%} to "
            f"{high:.1%}); {shares['consistent']:.1%} of its stories are complete and without a "
            "fault."
        )


def answers(shipped: Shipped) -> list[str]:
    """Return the first wishes that are measured, each with the story that is told."""
    group = asked()[0][:SHOWN]
    texts = tell(shipped.model, shipped.tokenizer, group, 1, torch.Generator().manual_seed(0))[2]
    return [f"**{record.text}** {text}" for record, text in zip(group, texts, strict=True)]


CHAT = Kind(
    what="the storyteller of TinyWorld, taught to tell what is wished for",
    commands="python -m experiments.instructing runs/chat-en\n"
    "python -m experiments.ship runs/chat-en",
    limits="It began as `tinyworld-en` and knows what that knows. It was taught one wish and one\n"
    "story at a time, in the template of `labkit.tasks.chat`: it remembers no earlier turn, obeys\n"
    "no system prompt, and answers everything with a story.",
    measure=wished,
    begin="Three of these wishes, and its stories at temperature 1:",
    samples=answers,
)
PLAYS = Kind(
    what="Shakespeare's plays and poems, in English",
    commands="labkit train shakespeare --out runs/shakespeare\n"
    "python -m experiments.ship runs/shakespeare",
    limits="It knows the words and the metre of Shakespeare, and the look of a play: names,\n"
    "colons, short lines. It does not keep a plot: what is said seldom answers what was said.",
    measure=read,
)
KINDS = {f"tinyworld-{language}": stories(language) for language in ("en", "zh")} | {
    "chat-en": CHAT,
    "shakespeare": PLAYS,
}


def ship(run: Path, folder: Path = FOLDER) -> Path:
    """Write a model, its tokenizer and its card; return their folder."""
    best, out = Run(run).best(), folder / run.name
    save_checkpoint(load_checkpoint(best), out, dtype=torch.bfloat16)
    load_tokenizer(run / TOKENIZER).save(out / TOKENIZER)
    write_atomically(out / CARD, card(run, best, out))
    return out


def card(run: Path, best: Path, folder: Path) -> str:
    """Measure the model that was put into a folder, and say what there is to know of it."""
    kind = KINDS[run.name]
    shipped = Shipped(load_checkpoint(folder), load_tokenizer(folder / TOKENIZER), card="")
    log = [json.loads(line) for line in (run / LOG).read_text("utf-8").splitlines()]
    step = int(best.name.removeprefix("step-"))
    record: dict[str, Any] = next(row for row in log if row["step"] == step)
    files = sorted(path for path in folder.iterdir() if path.name != CARD)
    return TEXT.format(
        name=run.name,
        what=kind.what,
        n_parameters=shipped.model.n_parameters,
        megabytes=sum(path.stat().st_size for path in files) / 1e6,
        commands=kind.commands,
        settings=(run / SETTINGS).read_text(encoding="utf-8"),
        cpu_hours=record["cpu_seconds"] / 3600,
        measured="".join(f"- {sentence}\n" for sentence in kind.measure(shipped)),
        begin=kind.begin,
        samples="".join(f"> {_quoted(text)}\n\n" for text in kind.samples(shipped)),
        limits=kind.limits,
        files="".join(f"- `{path.name}`: sha256 {_sha256(path)}\n" for path in files),
        **record | head(),
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
