"""From GPT-2's recipe to today's, one change at a time: updates to one loss, and what one costs."""

import itertools
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from experiments.counting import Row
from labkit.training import train
from labkit.training.batches import Batches
from labkit.training.loop import update
from labkit.training.recipe import Prepared, Recipe, new_model, prepare_recipe
from labkit.training.state import State

TARGET = 1.90
"""Nats per held-out character at which a training ends: what `GPT_2` reaches late."""
SEEDS = (0, 1, 2)
ROUNDS, UPDATES = 7, 10
"""How often each rung is timed, in turn with the others, and for how many updates."""
GPT_2 = Recipe(
    data="shakespeare",
    max_steps=5000,
    batch_size=12,
    context_length=64,
    learning_rate=1e-3,
    final_learning_rate=1e-3,
    schedule="linear",
    warmup_steps=50,
    ema_decay=0.98,
    evaluate_every=50,
    evaluation_batches=55,
)
"""Four blocks of width 128. The rate stays where it is, so that no run knows how long it will be;
what is evaluated is an average over the last weights."""


@dataclass(frozen=True)
class Rung:
    """One change, made on top of all before it."""

    name: str
    """What is new."""
    kind: str
    """Whether the change is of the architecture, of the optimiser or of engineering."""
    change: Mapping[str, Any]
    """The settings that it changes."""


RUNGS = (
    Rung("GPT-2's recipe", "architecture", {}),
    Rung("four times the rate", "optimiser", {"learning_rate": 4e-3, "final_learning_rate": 4e-3}),
    Rung("rotary positions", "architecture", {"positions": "none", "turn": "rotary"}),
    Rung("root mean square", "architecture", {"norm": "rms"}),
    Rung("squared ReLU", "architecture", {"mlp": "squared_relu"}),
    Rung("queries and keys of one length", "architecture", {"turn": "rotary_normalised"}),
    Rung("a silent start", "optimiser", {"start": "silent"}),
    Rung("a normalised entry", "architecture", {"entry": "rms"}),
    Rung("a head of its own", "architecture", {"head": "own"}),
    Rung("Muon", "optimiser", {"muon_learning_rate": 0.02}),
    Rung("no weight decay", "optimiser", {"weight_decay": 0.0}),
    Rung("vectors for runs of characters", "architecture", {"ngram_order": 5}),
    Rung("two blocks of four", "architecture", {"n_layers": 2}),
    Rung("one block", "architecture", {"n_layers": 1}),
    Rung("AdamW in one pass", "engineering", {"fused": True}),
)
QUICK = RUNGS[-1].name
"""The rung whose rows a test repeats: the last one, which takes the fewest seconds."""
UNDO: Mapping[str, Mapping[str, Any]] = {
    "nothing": {},
    "rotary positions": {"positions": "learned", "turn": "none"},
    "root mean square": {"norm": "layer"},
    "squared ReLU": {"mlp": "gelu"},
    "queries and keys of one length": {"turn": "rotary"},
    "a silent start": {"start": "gpt2"},
    "a normalised entry": {"entry": "none"},
    "a head of its own": {"head": "tied"},
    "Muon": {"muon_learning_rate": 0.0},
    "vectors for runs of characters": {"ngram_order": 1},
}
"""What a part of the last rung is replaced by, to see whether it is missed there."""
LOWER, MOST = 1.65, 1500
"""A second, lower target for those runs, and after how many updates they give up."""


def recipes() -> dict[str, Recipe]:
    """Return the recipe of each rung: all changes up to it."""
    changes = itertools.accumulate((dict(rung.change) for rung in RUNGS), lambda a, b: a | b)
    return {rung.name: replace(GPT_2, **c) for rung, c in zip(RUNGS, changes, strict=True)}


def changed(rung: Rung) -> str:
    """Return what a rung changes as JSON; of the first, every setting that has no default."""
    if rung is not RUNGS[0]:
        return json.dumps(rung.change)
    usual = asdict(Recipe(data="", max_steps=1, batch_size=1, context_length=1))
    return json.dumps({k: v for k, v in asdict(GPT_2).items() if v != usual[k]})


def curve(recipe: Recipe, text: Prepared, target: float) -> list[tuple[int, float]]:
    """Train until a held-out loss is reached, or to the end; return updates and losses."""
    found = []
    for record in train(new_model(recipe, text.tokenizer), text.train_ids, text.val_ids, recipe):
        found.append((record.step, record.val_loss))
        if record.val_loss <= target:
            break
    return found


def updates_until(target: float, found: Sequence[tuple[int, float]]) -> float:
    """Return where a line between evaluations first comes down to a loss; inf if it does not."""
    for (before, worse), (after, better) in itertools.pairwise(found):
        if worse > target >= better:
            return round(before + (after - before) * (worse - target) / (worse - better), 1)
    return math.inf


def ladder_rows(quick: bool = False) -> Iterator[Row]:
    """Train each rung to the same loss, from three random starts."""
    text = prepare_recipe(GPT_2)
    for rung in RUNGS:
        for seed in SEEDS:
            is_quick = rung.name == QUICK and seed == 0
            if quick and not is_quick:
                continue
            found = curve(replace(recipes()[rung.name], seed=seed), text, TARGET)
            row: Row = {"rung": rung.name, "kind": rung.kind, "change": changed(rung)}
            row |= {"seed": seed, "updates": updates_until(TARGET, found)}
            yield row | {"quick": "yes" if is_quick else ""}


def top_rows(quick: bool = False) -> Iterator[Row]:
    """Take one part away from the last rung; train to the same loss and on to a lower one."""
    text = prepare_recipe(GPT_2)
    top = replace(recipes()[QUICK], max_steps=MOST)
    for name, change in UNDO.items():
        for seed in SEEDS:
            is_quick = not change and seed == 0
            if quick and not is_quick:
                continue
            found = curve(replace(top, seed=seed, **change), text, LOWER)
            row: Row = {"without": name, "change": json.dumps(change), "seed": seed}
            row |= {"updates": updates_until(TARGET, found)}
            row |= {"updates_to_lower": updates_until(LOWER, found)}
            yield row | {"quick": "yes" if is_quick else ""}


def times_rows(quick: bool = False) -> Iterator[Row]:
    """Time one update of each rung, and of the last one without a part, in turn, several rounds."""
    text = prepare_recipe(GPT_2)
    top = recipes()[QUICK]
    chosen = recipes() | {f"without {n}": replace(top, **c) for n, c in UNDO.items() if c}
    chosen = {QUICK: top} if quick else chosen
    runs = {}
    for name, recipe in chosen.items():
        state = State(new_model(recipe, text.tokenizer), recipe)
        runs[name] = state, Batches(text.train_ids, text.val_ids, recipe)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _, (name, (state, batches)) in itertools.product(range(ROUNDS), runs.items()):
        started = time.process_time()
        for _ in range(UPDATES):
            update(state, batches.draw(state.order))
        seconds[name].append((time.process_time() - started) / UPDATES)
    for name, found in seconds.items():
        low, middle, high = (round(1000 * f(found), 1) for f in (min, median, max))
        row: Row = {"rung": name, "ms_low": low, "ms": middle, "ms_high": high}
        yield row | {"quick": "yes" if name == QUICK else ""}
