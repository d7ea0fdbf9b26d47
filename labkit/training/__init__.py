"""Training a language model: configuration, optimiser, schedule, and a loop that yields records.

Nothing here draws or prints: `train` yields what happened, and the caller shows it. With a `Run`
it also keeps a folder from which an interrupted run goes on as if nothing had been.
"""

from labkit.training.config import TrainConfig
from labkit.training.interrupt import Interrupted
from labkit.training.loop import train
from labkit.training.record import Record
from labkit.training.run import Run

__all__ = ["Interrupted", "Record", "Run", "TrainConfig", "train"]
