"""The training loop: draw a batch, measure the surprise, step against its gradient, again."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.functional import cross_entropy
from labkit.training.batches import document_starts, draw_batch
from labkit.training.config import TrainConfig
from labkit.training.optimiser import Optimisers, learning_rate, make_optimisers

VALIDATION_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """What happened up to an evaluation."""

    step: int
    """Updates made so far."""
    tokens: int
    """Tokens read so far, repeats counted."""
    train_loss: float
    """Mean loss over the updates since the last record, in nats per token; nan before any."""
    val_loss: float
    """Mean loss on held-out pieces, in nats per token."""
    learning_rate: float
    """Learning rate of the last update; of the first one before any."""
    gradient_norm: float
    """Length of the last gradient before clipping; nan before any."""
    cpu_seconds: float
    """Processor time of training and evaluation so far, in seconds; the reader's is left out."""


def train(
    model: nn.Module, train_ids: Tensor, val_ids: Tensor, config: TrainConfig
) -> Iterator[Record]:
    """Train a model in place on one stream of ids, (N,), and yield a record per evaluation.

    The first record comes before any update, the last one at the end. At each record and afterwards
    the model is in evaluation mode. With `patience`, a run that is read to its end leaves the
    weights of its best evaluation. Equal seeds give equal runs: batches are drawn from a generator
    of their own, dropout from a state that depends on seed and step alone.
    """
    order = torch.Generator().manual_seed(config.seed)
    starts = _starts(train_ids, config)
    optimisers = make_optimisers(model, config)
    started, norm = time.process_time(), float("nan")
    losses: list[float] = []
    best = _Best(model, config.patience)
    for step in range(config.max_steps + 1):
        used = time.process_time() - started
        last = step == config.max_steps or used > config.max_cpu_seconds
        if last or step % config.evaluate_every == 0:
            record = Record(
                step=step,
                tokens=step * config.batch_size * config.context_length,
                train_loss=sum(losses) / len(losses) if losses else float("nan"),
                val_loss=evaluation_loss(model, val_ids, config),
                learning_rate=learning_rate(max(step - 1, 0), config),
                gradient_norm=norm,
                cpu_seconds=time.process_time() - started,
            )
            losses, paused = [], time.process_time()
            yield record
            started += time.process_time() - paused
            if best.is_over(record.val_loss) or last:
                break
        batch = draw_batch(train_ids, config.batch_size, config.context_length, order, starts)
        loss, norm = update(model, optimisers, batch, step, config)
        losses.append(loss)
    best.restore()


def update(
    model: nn.Module,
    optimisers: Optimisers,
    batch: tuple[Tensor, Tensor],
    step: int,
    config: TrainConfig,
) -> tuple[float, float]:
    """Make one update in place; return the loss before it and the length of its gradient."""
    for group in (group for optimiser in optimisers for group in optimiser.param_groups):
        group["lr"] = learning_rate(step, config) * (group["peak"] / config.learning_rate)
    inputs, targets = batch
    model.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1_000_003 * config.seed + step)
        loss = cross_entropy(model(inputs), targets)
    model.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
    for optimiser in optimisers:
        optimiser.step()
    return float(loss.detach()), float(norm)


@torch.no_grad()
def evaluation_loss(model: nn.Module, ids: Tensor, config: TrainConfig) -> float:
    """Return the mean loss on held-out pieces, the same at every call, in nats per token."""
    places, starts = torch.Generator().manual_seed(VALIDATION_SEED), _starts(ids, config)
    model.eval()
    losses = [
        cross_entropy(model(inputs), targets)
        for inputs, targets in (
            draw_batch(ids, config.batch_size, config.context_length, places, starts)
            for _ in range(config.evaluation_batches)
        )
    ]
    return float(torch.stack(losses).mean())


def _starts(ids: Tensor, config: TrainConfig) -> Tensor | None:
    """Return where sequences may begin; None for anywhere."""
    if config.begin_at is None:
        return None
    return document_starts(ids, config.context_length, config.begin_at)


class _Best:
    """The best weights so far, and how long ago they were."""

    def __init__(self, model: nn.Module, patience: int) -> None:
        self.model, self.patience = model, patience
        self.loss, self.since = float("inf"), 0
        self.weights: dict[str, Tensor] | None = None

    def is_over(self, loss: float) -> bool:
        """Note an evaluation; tell whether patience has run out."""
        if self.patience == 0:
            return False
        self.since = 0 if loss < self.loss else self.since + 1
        if self.since == 0:
            self.loss, self.weights = loss, copy.deepcopy(self.model.state_dict())
        return self.since >= self.patience

    def restore(self) -> None:
        """Give the model its best weights back, if they were kept."""
        if self.weights is not None:
            self.model.load_state_dict(self.weights)
