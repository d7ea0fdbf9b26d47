"""Everything that changes while a model is trained, and how it is written down and read again."""

import math
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as gathered

from labkit.training.config import TrainConfig
from labkit.training.distributed import my_rank, n_processes, spread
from labkit.training.optimiser import make_optimisers

Numbers = dict[str, Any]
Tensors = dict[str, Tensor]
WHOLE = gathered.StateDictOptions(full_state_dict=True, cpu_offload=True)


class State:
    """A model in training: its optimisers, its averages, and how far it has come.

    Raises ValueError if the processes cannot share a batch equally.
    """

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        """Begin at step 0. With several processes the model is prepared for them."""
        parts = n_processes() * config.accumulate
        if config.batch_size % parts:
            raise ValueError(
                f"expected a batch_size that {n_processes()} processes and {config.accumulate} "
                f"parts share equally, got {config.batch_size}: use a multiple of {parts}"
            )
        self.model, self.config = model, config
        self.device = next(model.parameters()).device
        if config.compile and can_compile():
            model.compile()
        self.forward = spread(model, config)
        self.optimisers = make_optimisers(model, config)
        self.order = torch.Generator().manual_seed(config.seed)
        self.average = (
            [p.detach().clone() for p in model.parameters()] if config.ema_decay > 0 else []
        )
        self.best: Tensors = {}
        self.numbers: Numbers = {
            "step": 0,
            "recorded_at": -1,
            "losses": [],
            "gradient_norm": float("nan"),
            "val_loss": float("inf"),
            "best_loss": float("inf"),
            "since_best": 0,
            "cpu_seconds": 0.0,
            "seconds": 0.0,
            "precision": config.precision,
        }
        self.clocks = (0.0, 0.0)
        self.tick(counted=False)

    @property
    def step(self) -> int:
        """Updates made so far."""
        return int(self.numbers["step"])

    def tick(self, counted: bool = True) -> None:
        """Add the time since the last tick to the run's own; uncounted, it was the reader's."""
        now = (time.process_time(), time.monotonic())
        if counted:
            self.numbers["cpu_seconds"] += now[0] - self.clocks[0]
            self.numbers["seconds"] += now[1] - self.clocks[1]
        self.clocks = now

    def move_average(self) -> None:
        """Move the running average of the weights towards the weights, if one is kept."""
        for mean, weight in zip(self.average, self.model.parameters(), strict=bool(self.average)):
            mean.lerp_(weight.detach(), 1 - self.config.ema_decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the model have its average weights inside, if they are kept."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for mean, weight in zip(self.average, self.model.parameters(), strict=bool(self.average)):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)

    def weights(self) -> Tensors:
        """Return a copy of the weights, gathered from all processes; empty in all but the first."""
        whole: Any = gathered.get_model_state_dict(self.model, options=WHOLE)
        return {name: tensor.clone() for name, tensor in whole.items()}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Give the model weights that `weights` returned, from the first process to all."""
        gathered.set_model_state_dict(self.model, dict(weights), options=_whole_again())

    def note_evaluation(self, loss: float) -> None:
        """Note a held-out loss, and with patience the weights if it is the best so far."""
        n = self.numbers
        n["val_loss"], n["recorded_at"] = loss, n["step"]
        n["since_best"] += 1
        if loss < n["best_loss"]:
            n["best_loss"], n["since_best"] = loss, 0
            with self.averaged():
                self.best = self.weights() if self.config.patience else {}

    def finish(self) -> None:
        """Leave the weights to use in the model: the best ones with patience, else the average."""
        self._swap()
        if self.config.patience and self.numbers["best_loss"] < math.inf:
            self.set_weights(self.best)

    def tensors(self) -> Tensors:
        """Return all that is needed to go on besides the weights in use, in every process."""
        kept: Tensors = {"order": self.order.get_state()}
        kept |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        if self.average:
            kept |= {f"weights.{name}": tensor for name, tensor in self.weights().items()}
        for weight, moments in self._moments().get("state", {}).items():
            kept |= {f"optimiser.{weight}.{name}": t.clone() for name, t in moments.items()}
        return kept

    def _moments(self) -> dict[str, Any]:
        """Return the optimisers' state by the names of weights, gathered in the first process.

        Nothing before the first update: asking for what is not there yet would make one.
        """
        if self.step == 0:
            return {}
        return gathered.get_optimizer_state_dict(self.model, self.optimisers, options=WHOLE)

    def restore(self, weights: Tensors, numbers: Numbers, tensors: Tensors) -> None:
        """Go on where `weights`, `numbers` and `tensors` were taken down."""
        self.numbers |= numbers
        self.set_weights(weights)
        if self.average:
            self._swap()
            self.set_weights(_under("weights.", tensors))
        self.best = _under("best.", tensors) if my_rank() == 0 else {}
        self.order.set_state(tensors["order"])
        moments = self._moments()
        for name, tensor in _under("optimiser.", tensors).items() if moments else ():
            weight, kind = name.rsplit(".", 1)
            moments["state"][weight][kind] = tensor
        if self.step > 0:
            gathered.set_optimizer_state_dict(
                self.model, self.optimisers, moments, options=_whole_again()
            )


def _whole_again() -> gathered.StateDictOptions:
    """Return how what `WHOLE` gathered is given back."""
    return gathered.StateDictOptions(full_state_dict=True, broadcast_from_rank0=n_processes() > 1)


def _under(prefix: str, tensors: Tensors) -> Tensors:
    """Return the tensors whose names begin so, without that beginning."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def can_compile() -> bool:
    """Tell whether torch can compile on this machine; warn with the reason if not."""
    try:
        torch.compile(torch.square)(torch.ones(2))
    except Exception as error:  # a missing compiler shows as one of many kinds of error
        reason = str(error).strip().splitlines()[0]
        warnings.warn(f"going on without compiling the model: {reason}", stacklevel=2)
        return False
    return True
