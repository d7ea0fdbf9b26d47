"""Runs that are killed, interrupted or short of room, and go on as if nothing had been."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from labkit.checkpoints import load_checkpoint
from labkit.training import Interrupted, Run, TrainConfig, loop, train
from tests.long_run import EVERYTHING, PLAIN, new_model, text

COMMAND = [sys.executable, "-m", "tests.long_run", "--everything"]
SHORT = replace(EVERYTHING, max_steps=20)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Calculate here as the processes do that are started: with one thread, so that bits agree."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def start(folder: Path, *more: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*COMMAND, "--folder", str(folder), *more]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def until_it_trains(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The records without what two runs never share: time and memory."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    unshared = {"cpu_seconds", "seconds", "peak_memory"}
    return [{k: v for k, v in json.loads(line).items() if k not in unshared} for line in lines]


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(Run(folder).checkpoints()[-1]).state_dict()


def assert_equal_runs(mine: Path, theirs: Path) -> None:
    assert log_of(mine) == log_of(theirs)
    one, other = last_weights(mine), last_weights(theirs)
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())
    # The files are named after their content: optimisers, averages and random state agree too.
    names = [{p.name for p in Run(f).checkpoints()[-1].glob("*-*")} for f in (mine, theirs)]
    assert names[0] == names[1]


def finished(folder: Path, config: TrainConfig = SHORT) -> Path:
    list(train(new_model(0.1), text(), text(), config, run=Run(folder)))
    return folder


def test_a_run_that_is_killed_ten_times_is_bit_for_bit_one_that_never_was(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = start(whole)
    assert undisturbed.wait() == 0
    moments, kills = random.Random(0), 0
    while kills < 10:
        process = start(killed)
        until_it_trains(process)
        time.sleep(moments.uniform(0, 0.25))
        assert process.poll() is None, "it was done too early to be killed ten times"
        process.kill()
        process.wait()
        kills += 1
    last = start(killed)
    assert last.wait() == 0
    assert_equal_runs(killed, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_and_goes_on(number: int, tmp_path: Path) -> None:
    asked, whole = tmp_path / "asked", finished(tmp_path / "whole")
    steps = '{"max_steps": 20, "evaluate_every": 7}'
    process = start(asked, "--set", steps)
    until_it_trains(process)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    stopped = int(Run(asked).checkpoints()[-1].name.removeprefix("step-"))
    assert re.search(rf"saved at step {stopped} in {asked}; run me again|stopped; run me", said)
    assert stopped < 20
    finished(asked)
    assert_equal_runs(asked, whole)


def test_an_interrupt_within_a_notebook_cell_is_caught_after_the_step(tmp_path: Path) -> None:
    """A handler for Ctrl-C is in place while updates are made and at no other time."""
    normal = signal.getsignal(signal.SIGINT)
    model = new_model(0.1)
    steps: list[int] = []

    def interrupt_once(*_: Any) -> None:
        steps.append(len(steps))
        if len(steps) == 10:
            signal.raise_signal(signal.SIGINT)

    model.register_forward_hook(interrupt_once)
    records = train(model, text(), text(), SHORT, run=Run(tmp_path))
    next(records)
    assert signal.getsignal(signal.SIGINT) is normal
    with pytest.raises(Interrupted, match=rf"stopped, saved at step \d+ in {tmp_path}; run the"):
        list(records)
    assert signal.getsignal(signal.SIGINT) is normal
    assert isinstance(Interrupted(), KeyboardInterrupt)


def test_a_second_interrupt_acts_at_once(tmp_path: Path) -> None:
    model = new_model(0.1)

    def interrupt_twice(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    records = train(model, text(), text(), SHORT, run=Run(tmp_path))
    next(records)
    model.register_forward_hook(interrupt_twice)
    with pytest.raises(KeyboardInterrupt) as caught:
        next(records)
    assert not isinstance(caught.value, Interrupted)


def test_without_a_folder_ctrl_c_is_pythons_own() -> None:
    model = new_model()
    records = train(model, text(), text(), PLAIN)
    next(records)
    model.register_forward_hook(lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt) as caught:
        next(records)
    assert not isinstance(caught.value, Interrupted)


def test_a_run_that_was_left_in_the_middle_goes_on(tmp_path: Path) -> None:
    whole, left = finished(tmp_path / "whole"), tmp_path / "left"
    for record in train(new_model(0.1), text(), text(), SHORT, run=Run(left)):
        if record.step == 14:
            break
    with (left / "log.jsonl").open("a") as log:
        log.write('{"step": 20, "val_lo')  # killed while it wrote
    finished(left)
    assert_equal_runs(left, whole)


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    folder, model = finished(tmp_path), new_model(0.1)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert list(train(model, text(), text(), SHORT, run=Run(folder))) == []
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    trained = new_model(0.1)
    list(train(trained, text(), text(), SHORT))
    pairs = zip(model.parameters(), trained.parameters(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_the_last_checkpoints_and_the_best_are_kept(tmp_path: Path) -> None:
    config = replace(SHORT, max_steps=120, learning_rate=0.3, ema_decay=0, muon_learning_rate=0)
    run = Run(tmp_path, keep=2)
    list(train(new_model(), text()[:300], text()[2000:], config, run=run))
    losses = {record["step"]: record["val_loss"] for record in log_of(tmp_path)}
    best = min(losses, key=lambda step: losses[step])
    assert best < sorted(losses)[-2], "or this test shows nothing"
    kept = [int(path.name.removeprefix("step-")) for path in run.checkpoints()]
    assert kept == sorted({best, *sorted(losses)[-2:]})
    assert run.best().name == f"step-{best:08d}"


LIMITED = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from labkit.training import Run, train
from tests.long_run import EVERYTHING, new_model, text

records = train(new_model(), text(), text(), EVERYTHING, run=Run(Path(sys.argv[1])))
print(next(records).step)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    next(records)
except OSError as error:
    print(error)
"""


def test_no_room_for_a_checkpoint_is_said_and_the_one_before_is_whole(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ).stdout.splitlines()
    assert said[0] == "0"
    assert said[1].startswith(f"could not save step 7 in {tmp_path}, File too large: make room")
    assert said[1].endswith("whole checkpoints: step-00000000")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "step-00000000"]
    assert train_on(tmp_path, max_steps=300)[0].step == 7


def train_on(folder: Path, **changes: Any) -> list[Any]:
    config = replace(SHORT, **changes)
    return list(train(new_model(), text(), text(), config, run=Run(folder)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.02}, r"go on with learning_rate 0\.01, as in .*, got 0\.02"),
        ({"max_steps": 21}, "go on with max_steps 20, as in .*, got 21"),
        ({"schedule": "linear"}, "go on with schedule cosine, as in .*, got linear"),
    ],
)
def test_another_configuration_is_refused_by_name(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    train_on(tmp_path)
    with pytest.raises(ValueError, match=message):
        train_on(tmp_path, **changes)
    assert train_on(tmp_path, max_cpu_seconds=1e9) == []


def test_another_text_and_another_model_are_refused(tmp_path: Path) -> None:
    train_on(tmp_path)
    changed = text()
    changed[2000] = 39 - changed[2000]
    with pytest.raises(ValueError, match=r"go on with train 4,000 tokens with sum .* got 4,000"):
        list(train(new_model(), changed, text(), SHORT, run=Run(tmp_path)))
    with pytest.raises(ValueError, match=r"go on with dropout 0\.0, as in .*, got 0\.1"):
        list(train(new_model(0.1), text(), text(), SHORT, run=Run(tmp_path)))


def test_a_damaged_checkpoint_is_refused_with_the_way_out(tmp_path: Path) -> None:
    train_on(tmp_path)
    before, last = Run(tmp_path).checkpoints()
    (weights,) = last.glob("training-*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=rf"damaged file; delete {last} to go on from {before.name}"
    ):
        train_on(tmp_path)
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    assert [record.step for record in train_on(tmp_path)] == [20]


def test_a_model_whose_parts_have_no_names_is_refused(tmp_path: Path) -> None:
    class Table(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = torch.nn.Parameter(torch.zeros(40, 40))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.logits[ids]

    config = replace(SHORT, muon_learning_rate=0)
    with pytest.raises(ValueError, match=r"expected a GPT.*got Table: train it without"):
        list(train(Table(), text(), text(), config, run=Run(tmp_path)))
    with pytest.raises(ValueError, match="keep at least 1 checkpoint, got 0"):
        Run(tmp_path, keep=0)
    with pytest.raises(FileNotFoundError, match="got no checkpoint there"):
        Run(tmp_path).best()


@pytest.mark.parametrize("moment", ["evaluate", "save"])
def test_an_interrupt_between_updates_is_not_lost(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    place, name = (run, "save") if moment == "save" else (loop, "evaluate")
    normal = getattr(place, name)

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return normal(*arguments)

    monkeypatch.setattr(place, name, interrupted)
    with pytest.raises(Interrupted, match="stopped, saved at step 0 in"):
        list(train(new_model(0.1), text(), text(), SHORT, run=run))
    assert [record["step"] for record in log_of(tmp_path)] == [0]
    monkeypatch.undo()
    assert [record.step for record in train_on(tmp_path / "other")] == [0, 7, 14, 20]
    assert [record["step"] for record in log_of(finished(tmp_path))] == [0, 7, 14, 20]
