"""The training loop: draw a batch, measure the surprise, step against its gradient, again."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from labkit.functional import cross_entropy
from labkit.training.batches import Batch, Batches, Tokens
from labkit.training.config import TrainConfig
from labkit.training.distributed import anyone, mean_over_processes, my_part, my_rank
from labkit.training.interrupt import Interrupted, postponed
from labkit.training.optimiser import learning_rate, set_learning_rate
from labkit.training.precision import faster_precision
from labkit.training.record import Record, peak_memory
from labkit.training.run import Run
from labkit.training.state import State


def train(
    model: nn.Module,
    train_ids: Tokens,
    val_ids: Tokens,
    config: TrainConfig,
    *,
    run: Run | None = None,
) -> Iterator[Record]:
    """Train a model in place on one stream of ids, (N,), and yield a record per evaluation.

    The first record comes before any update, the last one at the end. At each record and afterwards
    the model is in evaluation mode. A run that is read to its end leaves the weights of its best
    evaluation with `patience`, else the average ones with `ema_decay`. Equal seeds give equal runs:
    batches are drawn from a generator of their own, dropout from a state that depends on seed, step
    and process alone.

    With `run`, training goes on from what that folder holds, each record is logged and saved there,
    and Ctrl-C or SIGTERM ends it after the step, saved, with `Interrupted`. FloatingPointError
    tells of a loss or gradient that is not finite, before it is used.
    """
    state, batches = State(model, config), Batches(train_ids, val_ids, config)
    if run is not None:
        run.resume(state, batches.texts)
    choose_precision(state, batches)
    while True:
        state.tick(counted=False)
        with postponed(run is not None) as asked:
            if is_over(state):
                break
            stopped = not train_to_evaluation(state, batches, asked)
            record = None if stopped else evaluate(state, batches)
            if run is not None:
                if record is not None:
                    run.log(record)
                saved = run.save(state)
                if stopped or anyone(asked(), state.device):
                    raise Interrupted(f"stopped, {saved}")
        assert record is not None
        yield record
    state.finish()


def is_over(state: State) -> bool:
    """Tell whether the last evaluation was the last of all."""
    n, patience = state.numbers, state.config.patience
    tired = patience > 0 and n["since_best"] >= patience
    return n["recorded_at"] == n["step"] and (tired or is_last(state))


def is_last(state: State) -> bool:
    """Tell whether no update is to follow."""
    used = state.numbers["cpu_seconds"] > state.config.max_cpu_seconds
    return state.step >= state.config.max_steps or anyone(used, state.device)


def train_to_evaluation(state: State, batches: Batches, asked: Callable[[], bool]) -> bool:
    """Make updates until an evaluation is due; return False if one was the last that was wanted."""
    while True:
        fresh = state.step != state.numbers["recorded_at"]
        if fresh and (state.step % state.config.evaluate_every == 0 or is_last(state)):
            return True
        update(state, batches.draw(state.order))
        state.tick()
        if anyone(asked(), state.device):
            return False


def update(state: State, batch: Batch) -> None:
    """Make one update in place: the gradient of the mean loss, shortened, then a step against it.

    Raises FloatingPointError before the step if the gradient is not finite.
    """
    config, numbers = state.config, state.numbers
    set_learning_rate(state.optimisers, state.step, config)
    state.model.train()
    state.model.zero_grad(set_to_none=True)
    parts = [my_part(ids.to(state.device)).chunk(config.accumulate) for ids in batch]
    total = 0.0
    for part, (inputs, targets) in enumerate(zip(*parts, strict=True)):
        with arithmetic(state, part):
            loss = cross_entropy(state.forward(inputs), targets) / config.accumulate
        loss.backward()
        total += float(loss.detach())
    norm = float(nn.utils.clip_grad_norm_(state.model.parameters(), config.clip))
    if not math.isfinite(total + norm):
        raise FloatingPointError(
            f"expected a finite loss, got {total} with a gradient of length {norm} at step "
            f"{state.step}, which was not made: lower the learning rate or look at the data"
        )
    for optimiser in state.optimisers:
        optimiser.step()
    state.move_average()
    numbers["step"] += 1
    numbers["gradient_norm"] = norm
    numbers["losses"].append(total)


@contextmanager
def arithmetic(state: State, part: int = 0) -> Iterator[None]:
    """Calculate in the run's precision, with dropout that seed, step, process and part decide."""
    n, config = state.numbers, state.config
    seed = 1_000_003 * config.seed + n["step"]
    seed += 97_612_893 * (my_rank() * config.accumulate + part)  # only 32 bits of a seed count
    devices = [state.device] if state.device.type == "cuda" else []
    half = n["precision"] == "bf16"
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        with torch.autocast(state.device.type, torch.bfloat16, enabled=half):
            yield


def choose_precision(state: State, batches: Batches) -> None:
    """Try both precisions on a held-out batch if the faster one is asked for; keep the choice."""
    if state.numbers["precision"] == "auto":
        inputs, targets = (my_part(ids.to(state.device)) for ids in next(batches.held_out()))
        chosen = faster_precision(state.model, inputs, targets)
        state.numbers["precision"] = "bf16" if anyone(chosen == "bf16", state.device) else "fp32"


def evaluate(state: State, batches: Batches) -> Record:
    """Measure the held-out loss and sum up what happened since the last evaluation."""
    n, config = state.numbers, state.config
    with state.averaged():
        val_loss = evaluation_loss(state, batches)
    losses, n["losses"] = n["losses"], []
    mean = sum(losses) / len(losses) if losses else float("nan")
    state.note_evaluation(val_loss)
    state.tick()
    train_loss, cpu_seconds = mean_over_processes([mean, n["cpu_seconds"]], state.device)
    return Record(
        step=state.step,
        max_steps=config.max_steps,
        tokens=state.step * config.batch_size * config.context_length,
        train_loss=train_loss,
        val_loss=val_loss,
        learning_rate=learning_rate(max(state.step - 1, 0), config),
        gradient_norm=n["gradient_norm"],
        cpu_seconds=cpu_seconds,
        seconds=n["seconds"],
        peak_memory=peak_memory(state.device),
    )


@torch.no_grad()
def evaluation_loss(state: State, batches: Batches) -> float:
    """Return the mean loss on held-out pieces, the same ones at every call, in nats per token."""
    state.model.eval()
    losses: list[Tensor] = []
    for batch in batches.held_out():
        inputs, targets = (my_part(ids.to(state.device)) for ids in batch)
        with arithmetic(state):
            losses.append(cross_entropy(state.forward(inputs), targets))
    return mean_over_processes([float(torch.stack(losses).mean())], state.device)[0]
