"""A training step of labkit's GPT beside one of transformers' GPT-2, of one size, on one batch.

Both start from the same weights and are trained by the same loss, clipping and AdamW of PyTorch, so
only the two models differ. They take turns within one process, on one thread.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.measure import Measurement, alternately, ratios
from labkit.checkpoints import to_hugging_face
from labkit.gpt import GPT, GPTConfig
from labkit.training import TrainConfig
from labkit.training.batches import draw_batch
from labkit.training.loop import update
from labkit.training.state import State

SIZES = ((4, 128, 4, 12, 64), (6, 192, 6, 8, 128))
"""Layers, width, heads, batch, context."""
VOCAB_SIZE = 80
WARM_UP, ROUNDS, STEPS_PER_ROUND = 3, 15, 4
TOLERANCE = 1e-3
"""Largest relative difference of the two losses after all steps."""


class LogitsOnly(nn.Module):
    """transformers' GPT-2 behind the interface of the book: (B, T) -> (B, T, V)."""

    def __init__(self, model: GPT) -> None:
        """Take over the weights; keep no keys and values, for which training has no use."""
        super().__init__()
        self.model = to_hugging_face(model)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits: (B, T) -> (B, T, V)."""
        logits: Tensor = self.model(ids, use_cache=False).logits
        return logits


class Trainee:
    """A model in training, which makes the same updates whenever it is asked."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        """Begin before the first step."""
        self.config, self.state = config, State(model, config)

    def train(self, ids: Tensor, n_steps: int) -> float:
        """Make some updates and return the loss before the last one, in nats."""
        for _ in range(n_steps):
            sizes = (self.config.batch_size, self.config.context_length)
            update(self.state, draw_batch(ids, *sizes, self.state.order))
        return float(self.state.numbers["losses"][-1])


def steps_against_transformers() -> Iterator[Measurement]:
    """Measure both sizes.

    Raises RuntimeError if the two losses part, for then they did not do the same.
    """
    ids = torch.randint(VOCAB_SIZE, (100_000,), generator=torch.Generator().manual_seed(0))
    for layers, width, heads, batch_size, context in SIZES:
        config = GPTConfig(
            vocab_size=VOCAB_SIZE,
            context_length=context,
            n_layers=layers,
            n_heads=heads,
            d_model=width,
        )
        steps = WARM_UP + ROUNDS * STEPS_PER_ROUND
        recipe = TrainConfig(max_steps=steps, batch_size=batch_size, context_length=context)
        model = GPT(config, generator=torch.Generator().manual_seed(0))
        trainees = {"ours": Trainee(model, recipe), "theirs": Trainee(LogitsOnly(model), recipe)}
        setting = f"{layers} layers of width {width}, batch {batch_size} × {context}, one thread"
        yield from take_turns(trainees, ids, setting)


def take_turns(trainees: dict[str, Trainee], ids: Tensor, setting: str) -> Iterator[Measurement]:
    """Train both, round by round."""
    for trainee in trainees.values():
        trainee.train(ids, WARM_UP)
    work = {name: partial(t.train, ids, STEPS_PER_ROUND) for name, t in trainees.items()}
    losses, seconds = alternately(work, ROUNDS)
    for ours, theirs in zip(losses["ours"], losses["theirs"], strict=True):
        if abs(ours - theirs) > TOLERANCE * theirs:
            raise RuntimeError(f"expected equal losses, got {ours} and {theirs}")
    milliseconds = tuple(1000 * taken / STEPS_PER_ROUND for taken in seconds["ours"])
    yield Measurement("training step", milliseconds, "CPU-milliseconds", setting)
    times = ratios(seconds["theirs"], seconds["ours"])
    yield Measurement("speed beside transformers' GPT-2, training", times, "×", setting)
