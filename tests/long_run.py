"""A training run in a process of its own, for tests that kill it: `python -m tests.long_run`."""

import argparse
import json
import signal
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from labkit.gpt import GPT, GPTConfig
from labkit.training import Interrupted, Run, TrainConfig, train
from labkit.training.distributed import joined, leave, my_rank

EVERYTHING = TrainConfig(
    max_steps=300,
    batch_size=8,
    context_length=16,
    accumulate=2,
    learning_rate=0.01,
    muon_learning_rate=0.02,
    ema_decay=0.9,
    warmup_steps=10,
    evaluate_every=7,
    evaluation_batches=2,
    patience=100,
)
"""A run with every kind of state that has to be kept."""
PLAIN = TrainConfig(
    max_steps=50, batch_size=8, context_length=16, evaluate_every=1, learning_rate=0.003
)
"""A run whose sums several processes can form in the same way."""


def new_model(dropout: float = 0.0) -> GPT:
    """Make a GPT that learns in seconds."""
    config = GPTConfig(
        vocab_size=40, context_length=16, n_layers=2, n_heads=2, d_model=32, dropout=dropout
    )
    return GPT(config, generator=torch.Generator().manual_seed(0))


def text() -> Tensor:
    """Return ids that can be predicted in part: each stands near the one before it."""
    steps = torch.randint(-2, 3, (4000,), generator=torch.Generator().manual_seed(1))
    return steps.cumsum(0) % 40


def main() -> None:
    """Train as the command line says; write the log to `--losses` if that is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--losses", type=Path)
    parser.add_argument("--set", type=json.loads, default={})
    parser.add_argument("--everything", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config = replace(EVERYTHING if chosen.everything else PLAIN, **chosen.set)
    model = new_model(0.1 if chosen.everything else 0.0)
    losses = []
    with joined():
        run = None if chosen.folder is None else Run(chosen.folder, go_on="run me again")
        try:
            for record in train(model, text(), text(), config, run=run):
                print(record.step, flush=True)
                losses.append([record.train_loss, record.val_loss, record.gradient_norm])
        except KeyboardInterrupt as error:  # a plain one came between two stretches of training
            print(error if isinstance(error, Interrupted) else "stopped; run me again")
        if chosen.losses and my_rank() == 0:
            chosen.losses.write_text(json.dumps(losses))


if __name__ == "__main__":
    main()
    leave(0)
