"""What training tells at each evaluation."""

import sys
from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True)
class Record:
    """What happened up to an evaluation."""

    step: int
    """Updates made so far."""
    max_steps: int
    """Updates that the run is to make at most."""
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
    """Processor time of training and evaluation so far, in seconds, the mean over all processes;
    the reader's is left out."""
    seconds: float
    """The same by the clock."""
    peak_memory: int
    """Most bytes that the process has held so far; on a GPU, most bytes there."""

    @property
    def tokens_per_second(self) -> float:
        """Tokens read per second by the clock, evaluations included; 0 before any."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds that the updates still to come will take at the pace so far; nan before any."""
        done = self.step / self.max_steps
        return self.seconds * (1 - done) / done if done else float("nan")

    def __str__(self) -> str:
        """Say it in one line, for a terminal."""
        said = f"step {self.step:,} of {self.max_steps:,}: "
        if self.step:
            said += f"training loss {self.train_loss:.3f}, "
        said += f"held-out loss {self.val_loss:.3f} nats per token"
        if self.step:
            said += f", {self.tokens_per_second:,.0f} tokens/s, {self.seconds_left:.0f} s left"
        return said


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: on a GPU there, else by this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
