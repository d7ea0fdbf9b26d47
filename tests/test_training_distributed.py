"""Two processes that train one model make the same updates as one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from labkit.checkpoints import load_checkpoint
from labkit.training import Run, train
from tests.long_run import EVERYTHING, PLAIN, new_model, text
from tests.test_training_run import assert_equal_runs

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def together(*options: str) -> None:
    """Run `tests.long_run` in two processes, which talk over loopback."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", "2", "-m", "tests.long_run", *options]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def alone() -> list[list[float]]:
    """Training loss, held-out loss and length of the gradient, fifty steps."""
    return [
        [record.train_loss, record.val_loss, record.gradient_norm]
        for record in train(new_model(), text(), text(), PLAIN)
    ]


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_processes_make_the_updates_of_one(
    parallel: str, accumulate: int, alone: list[list[float]], tmp_path: Path
) -> None:
    settings = json.dumps({"parallel": parallel, "accumulate": accumulate})
    together("--losses", str(tmp_path / "losses"), "--set", settings)
    losses = json.loads((tmp_path / "losses").read_text())
    assert len(losses) == len(alone) == 51
    assert alone[0][1] - alone[-1][1] > 0.5, "or nothing was learned that could differ"
    torch.testing.assert_close(
        torch.tensor(losses), torch.tensor(alone), rtol=0, atol=1e-5, equal_nan=True
    )


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_run_of_two_processes_goes_on_where_it_stopped(parallel: str, tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    settings: dict[str, Any] = {"parallel": parallel, "max_steps": 12, "evaluate_every": 4}
    for folder, limits in ((whole, [1e9]), (halves, [0.0, 0.0, 1e9])):
        for limit in limits:  # no time at all: one evaluation, then the end
            changed = json.dumps(settings | {"max_cpu_seconds": limit})
            together("--everything", "--folder", str(folder), "--set", changed)
    assert_equal_runs(whole, halves)
    saved = load_checkpoint(Run(whole).checkpoints()[-1])
    assert all(torch.isfinite(weights).all() for weights in saved.parameters())


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.training.state.n_processes", lambda: 3)
    with pytest.raises(ValueError, match="got 8: use a multiple of 6"):
        list(train(new_model(), text(), text(), EVERYTHING))
