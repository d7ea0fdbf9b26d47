"""Several processes that train one model together, as `torchrun` starts them.

With one process everything here does nothing. On GPUs it is untested: nobody has run it there yet.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from labkit.training.config import TrainConfig


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun started, if it did, and part from them at the end.

    They talk through NCCL where each has a GPU, else through gloo. After an error nobody waits for
    the others, which may be waiting themselves: torchrun ends them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield
    dist.barrier()  # nobody parts while another still waits for an answer
    dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End this process with an exit code, at once if it is one of several.

    After FSDP2 over gloo, torch 2.13 aborts about one ending interpreter in forty, when everything
    is done and written; torchrun would report a failure that was none.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def n_processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def my_rank() -> int:
    """Return this process's number; process 0 is the one that writes files and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


def spread(model: nn.Module, config: TrainConfig) -> nn.Module:
    """Return what to call instead of the model so that gradients are means over all processes.

    With "fsdp" the model itself is changed: each process then keeps a part of every weight.
    """
    if n_processes() == 1:
        return model
    if config.parallel == "ddp":
        return DistributedDataParallel(model)
    blocks = getattr(model, "blocks", None)
    for block in blocks if isinstance(blocks, nn.ModuleList) else ():
        fully_shard(block, reshard_after_forward=True)
    fully_shard(model, reshard_after_forward=True)
    return model


def my_part(batch: Tensor) -> Tensor:
    """Return this process's rows of a batch: (B, …) -> (B / processes, …)."""
    return batch.chunk(n_processes())[my_rank()]


def mean_over_processes(values: list[float], device: torch.device) -> list[float]:
    """Return the mean of each number over all processes, the same in each."""
    if n_processes() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return [float(value) for value in total / n_processes()]


def anyone(wants: bool, device: torch.device) -> bool:
    """Tell whether any process wants something, so that all do it at the same step."""
    return mean_over_processes([float(wants)], device)[0] > 0
