"""What a training run is asked to do."""

from dataclasses import dataclass

LEAST = {
    "max_steps": 1,
    "batch_size": 1,
    "context_length": 1,
    "evaluate_every": 1,
    "evaluation_batches": 1,
    "warmup_steps": 0,
    "patience": 0,
}
"""The smallest number that each of these fields may be."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run besides the model and the text."""

    steps: int
    """Number of updates at most."""
    batch_size: int
    """Sequences per update, B."""
    context_length: int
    """Length of each sequence, T, in tokens."""
    begin_at: int | None = None
    """Token at which every sequence begins, such as the end-of-text one; None begins anywhere."""
    learning_rate: float = 1e-3
    """Highest learning rate, reached at the end of the warm-up."""
    final_learning_rate: float = 1e-4
    """Learning rate towards which a half cosine falls: that of an update after the last one."""
    warmup_steps: int = 0
    """Updates over which the learning rate rises from near zero."""
    beta_1: float = 0.9
    """Share of the old that AdamW's running mean of gradients keeps at each update."""
    beta_2: float = 0.99
    """The same for its running mean of squared gradients."""
    muon_learning_rate: float = 0.0
    """Highest learning rate of Muon, which then trains the matrices of the model's blocks; its
    schedule has the shape of the other. 0 leaves all to AdamW."""
    weight_decay: float = 0.1
    """Pull of matrices towards zero; biases and normalisations are left alone."""
    clip: float = 1.0
    """Largest length of the gradient; a longer one is shortened to it."""
    evaluate_every: int = 100
    """Updates between evaluations on held-out text."""
    evaluation_batches: int = 10
    """Batches of held-out text in each evaluation, the same ones each time."""
    patience: int = 0
    """Evaluations without a new best before training stops; 0 never stops early."""
    max_cpu_seconds: float = float("inf")
    """Processor time after which training ends; the schedule is not shortened to fit."""
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
        if self.muon_learning_rate < 0:
            raise ValueError(f"expected muon_learning_rate ≥ 0, got {self.muon_learning_rate}")
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"expected fewer warm-up steps than steps, got {self.warmup_steps} of {self.steps}"
            )
        if not 0 <= self.final_learning_rate <= self.learning_rate:
            raise ValueError(
                "expected a final learning rate from 0 to the highest, "
                f"got {self.final_learning_rate} and {self.learning_rate}"
            )
