"""What a training run is asked to do."""

from dataclasses import dataclass
from typing import Literal

LEAST = {
    "max_steps": 1,
    "batch_size": 1,
    "accumulate": 1,
    "context_length": 1,
    "evaluate_every": 1,
    "evaluation_batches": 1,
    "warmup_steps": 0,
    "cooldown_steps": 0,
    "patience": 0,
    "muon_learning_rate": 0,
    "ema_decay": 0,
}
"""The smallest number that each of these fields may be."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run besides the model and the text."""

    max_steps: int
    """Number of updates at most."""
    batch_size: int
    """Sequences per update, B, over all processes together."""
    context_length: int
    """Length of each sequence, T, in tokens."""
    begin_at: int | None = None
    """Token at which every sequence begins, such as the end-of-text one; None begins anywhere."""
    accumulate: int = 1
    """Parts into which a batch is cut, one after the other, where all at once needs too much
    memory; the update is that of the whole batch."""
    learning_rate: float = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    final_learning_rate: float = 1e-4
    """Learning rate towards which the schedule falls: that of an update after the last one."""
    warmup_steps: int = 0
    """Updates over which the learning rate rises from near zero."""
    schedule: Literal["cosine", "linear", "exponential", "wsd"] = "cosine"
    """How it falls afterwards: half a cosine, a line, by an equal factor at each update, or not at
    all until the cool-down ("warm-up, stable, decay")."""
    cooldown_steps: int = 0
    """Updates at the end over which the learning rate of "wsd" falls, along a line."""
    beta_1: float = 0.9
    """Share of the old that AdamW's running mean of gradients keeps at each update."""
    beta_2: float = 0.99
    """The same for its running mean of squared gradients."""
    fused: bool = False
    """Whether AdamW moves all weights in one pass: faster where there are millions, and rounded
    otherwise in the last bit. On a GPU it always does."""
    muon_learning_rate: float = 0.0
    """Highest learning rate of Muon, which then trains the matrices of the model's blocks; its
    schedule has the shape of the other. 0 leaves all to AdamW."""
    weight_decay: float = 0.1
    """Pull of matrices towards zero; biases and normalisations are left alone."""
    clip: float = 1.0
    """Largest length of the gradient; a longer one is shortened to it."""
    ema_decay: float = 0.0
    """Share of the old that a running average of the weights (EMA) keeps at each update. It is what
    is evaluated, saved and left in the model; 0 keeps no average."""
    evaluate_every: int = 100
    """Updates between evaluations on held-out text."""
    evaluation_batches: int = 10
    """Batches of held-out text in each evaluation, the same ones each time."""
    patience: int = 0
    """Evaluations without a new best before training stops; 0 never stops early."""
    max_cpu_seconds: float = float("inf")
    """Processor time after which training ends; the schedule is not shortened to fit."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Numbers that matrices are multiplied in: 32 bits, 16 where that is safe, or whichever is
    faster when both are tried at the start."""
    compile: bool = False
    """Whether torch compiles the model, which takes a while and needs a C++ compiler."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """What several processes share: gradients alone, or weights and optimiser state as well."""
    seed: int = 0
    """Seed of the order of the data and of dropout."""

    def __post_init__(self) -> None:
        """Raise ValueError where the numbers contradict each other."""
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"expected {name} of at least {least}, got {getattr(self, name)}")
        if self.clip <= 0:
            raise ValueError(
                f"expected clip above 0, got {self.clip}: for no clipping write float('inf')"
            )
        if self.learning_rate <= 0:
            raise ValueError(f"expected learning_rate above 0, got {self.learning_rate}")
        if self.ema_decay >= 1:
            raise ValueError(f"expected ema_decay below 1, got {self.ema_decay}")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"expected a batch_size that {self.accumulate} parts share equally, "
                f"got {self.batch_size}"
            )
        self._check_schedule()

    def _check_schedule(self) -> None:
        ends, steps = self.warmup_steps + self.cooldown_steps, self.max_steps
        if ends >= steps + (self.cooldown_steps > 0):
            raise ValueError(
                f"expected fewer warm-up steps than steps, got {self.warmup_steps} of {steps}"
                + (f" and {self.cooldown_steps} to cool down" if self.cooldown_steps else "")
            )
        if (self.schedule == "wsd") != (self.cooldown_steps > 0):
            raise ValueError(
                'expected cooldown_steps above 0 with the schedule "wsd" and 0 with others, '
                f'got {self.cooldown_steps} with "{self.schedule}"'
            )
        if not 0 <= self.final_learning_rate <= self.learning_rate:
            raise ValueError(
                "expected a final learning rate from 0 to the highest, "
                f"got {self.final_learning_rate} and {self.learning_rate}"
            )
        if self.schedule == "exponential" and self.final_learning_rate == 0:
            raise ValueError(
                "expected final_learning_rate above 0, got 0: no factor leads to nothing"
            )
