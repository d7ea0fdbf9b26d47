"""`python -m experiments.instructing RUN`: teach `tinyworld-en` to tell what is wished for.

The wishes are TinyWorld's, told as a chat, and only the stories are learned. The folder is laid out
as one of `labkit train` is, so that `experiments.ship` ships it; it is not one to go on with.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labkit.checkpoints import description, write_checkpoint
from labkit.datasets.shards import TOKENIZER
from labkit.files import write_atomically
from labkit.finetune import improve, pad
from labkit.gpt import GPT
from labkit.shipped import load_shipped
from labkit.tasks import Pieces, chat, encode_pieces, encode_tasks, loss_on_answers
from labkit.tokenizers import Tokenizer
from labkit.training import TrainConfig
from labkit.training.recipe import SETTINGS
from labkit.training.record import Record as Entry
from labkit.training.record import peak_memory
from labkit.training.run import LOG
from tinyworld import TinyWorld, tasks
from tinyworld.tasks import Record

CONTEXT = 224
"""Tokens that the model reads at most."""
SFT = TrainConfig(
    max_steps=3600,
    batch_size=8,
    context_length=CONTEXT,
    learning_rate=3e-3,
    final_learning_rate=1e-4,
    schedule="linear",
    warmup_steps=20,
    muon_learning_rate=0.015,
    weight_decay=0.0,
    fused=True,
    evaluate_every=400,
)
HELD_OUT = 96
"""Wishes on which the loss is measured while training."""


@lru_cache
def world() -> TinyWorld:
    """Return the whole world, in English."""
    return TinyWorld.full("en")


def wishes(seed: int, n: int) -> list[Record]:
    """Draw wishes and stories that fulfil them."""
    return list(tasks.instructions(world(), np.random.default_rng(seed), n))


def told(record: Record, answer: str | None = None) -> Pieces:
    """Return a wish and its answer as a chat of two messages."""
    content = record.answer if answer is None else answer
    return chat(
        [{"role": "user", "content": record.text}, {"role": "assistant", "content": content}]
    )


def prompt_ids(tokenizer: Tokenizer, record: Record) -> list[int]:
    """Return the ids of a wish, up to where the model has to write."""
    return encode_pieces(tokenizer, [*told(record)[:1], ("", True)])[0]


def coded(tokenizer: Tokenizer, records: Sequence[Record]) -> tuple[list[list[int]], Tensor]:
    """Return the ids of wishes with their stories, and targets; what is too long is left out."""
    pieces = [told(record) for record in records]
    pieces = [one for one in pieces if len(encode_pieces(tokenizer, one)[0]) <= CONTEXT]
    return encode_tasks(tokenizer, pieces, CONTEXT)


def instruct(
    model: GPT, tokenizer: Tokenizer, records: Sequence[Record], config: TrainConfig
) -> Iterator[float]:
    """Fine-tune on wishes with the loss on stories only; yield the loss of each update."""
    ids, targets = coded(tokenizer, records)

    def loss_of(now: list[int]) -> Tensor:
        return loss_on_answers(model(pad([ids[i] for i in now])[0]), targets[now])

    return improve(model, len(ids), loss_of, config)


@torch.no_grad()
def held_out_loss(model: GPT, tokenizer: Tokenizer, records: Sequence[Record]) -> float:
    """Return the mean surprise at the stories, in nats per token."""
    ids, targets = coded(tokenizer, records)
    sums, n = 0.0, 0
    for i in range(0, len(ids), 16):
        n_here = int((targets[i : i + 16] >= 0).sum())
        loss = loss_on_answers(model(pad(ids[i : i + 16])[0]), targets[i : i + 16])
        sums, n = sums + float(loss) * n_here, n + n_here
    return sums / n


def train_run(folder: Path, config: TrainConfig = SFT) -> Iterator[Entry]:
    """Train, write the last model, its tokenizer, settings and log; yield each entry of the log."""
    shipped = load_shipped("tinyworld-en")
    model, tokenizer = shipped.model, shipped.tokenizer
    records, held_out = wishes(0, config.max_steps * config.batch_size), wishes(3, HELD_OUT)
    n_tokens = [len(ids) for ids in coded(tokenizer, records)[0]]
    entries, losses = list[Entry](), list[float]()
    started = time.process_time(), time.monotonic()
    for loss in instruct(model, tokenizer, records, config):
        losses.append(loss)
        if len(losses) % config.evaluate_every and len(losses) < config.max_steps:
            continue
        read = len(losses) * config.batch_size * float(np.mean(n_tokens))
        entries.append(
            Entry(
                step=len(losses),
                max_steps=config.max_steps,
                tokens=round(read),
                train_loss=float(np.mean(losses[-config.evaluate_every :])),
                val_loss=held_out_loss(model, tokenizer, held_out),
                learning_rate=float("nan"),
                gradient_norm=float("nan"),
                cpu_seconds=time.process_time() - started[0],
                seconds=time.monotonic() - started[1],
                peak_memory=peak_memory(torch.device("cpu")),
            )
        )
        yield entries[-1]
    numbers = {"step": len(losses), "recorded_at": len(losses), "val_loss": entries[-1].val_loss}
    about = {"config": asdict(config), "numbers": numbers}
    step = folder / f"step-{len(losses):08d}"
    write_checkpoint(step, description(model), model.state_dict(), (about, {}))
    tokenizer.save(folder / TOKENIZER)
    settings = {name: value for name, value in asdict(config).items() if value is not None}
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
    write_atomically(folder / SETTINGS, "".join(lines).replace("Infinity", "inf"))
    log = [json.dumps(asdict(entry)) + "\n" for entry in entries]
    write_atomically(folder / LOG, "".join(log))


def main(arguments: Sequence[str]) -> None:
    """Train the run that is named."""
    torch.set_num_threads(1)
    for entry in train_run(Path(arguments[0])):
        print(entry, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
