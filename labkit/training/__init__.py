"""Training a language model: configuration, optimiser, schedule, and a loop that yields records.

Nothing here draws or prints: `train` yields what happened, and the caller shows it.
"""

from labkit.training.config import TrainConfig
from labkit.training.loop import Record, train

__all__ = ["Record", "TrainConfig", "train"]
