"""A folder that keeps a training run: what it was asked, what happened, and how to go on.

`step-00000500/` and its like are checkpoints, each a model that `labkit.checkpoints` loads; the
last few and the best are kept. `log.jsonl` has one record a line.
"""

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labkit.checkpoints import CONFIG, description, read_training, write_checkpoint
from labkit.files import write_atomically
from labkit.training.distributed import my_rank
from labkit.training.record import Record
from labkit.training.state import State

LOG = "log.jsonl"
MAY_DIFFER = {"max_cpu_seconds"}
"""Settings that a run may be resumed with another value of."""


class Run:
    """One run's folder; nothing is read or written before training begins."""

    def __init__(self, folder: Path, *, keep: int = 2, go_on: str = "") -> None:
        """Keep the last `keep` checkpoints and the best; `go_on` says how a reader resumes.

        Raises ValueError for fewer than one checkpoint.
        """
        if keep < 1:
            raise ValueError(f"expected to keep at least 1 checkpoint, got {keep}")
        self.folder, self.keep = folder, keep
        self.go_on = go_on or "run the same cell again to go on"
        self.texts: dict[str, str] = {}

    def checkpoints(self) -> list[Path]:
        """Return the whole checkpoints, the oldest first."""
        return sorted(path.parent for path in self.folder.glob(f"step-*/{CONFIG}"))

    def best(self) -> Path:
        """Return the checkpoint with the lowest held-out loss; FileNotFoundError without any."""
        kept = self.checkpoints()
        if not kept:
            raise FileNotFoundError(f"expected a run in {self.folder}, got no checkpoint there")
        return min(kept, key=_loss)

    def resume(self, state: State, texts: dict[str, str]) -> None:
        """Bring a state, in place, to where the last checkpoint left it, if there is one.

        Raises ValueError, naming what differs, if that was a run of another kind, and ValueError
        from `labkit.checkpoints.read_training` if it is damaged.
        """
        self.texts = texts
        kept = self.checkpoints()
        if not kept:
            return
        try:
            saved, weights, tensors = read_training(kept[-1])
        except ValueError as error:
            before = f" to go on from {kept[-2].name}" if len(kept) > 1 else " to begin again"
            raise ValueError(f"{error}; delete {kept[-1]}{before}") from error
        self._compare(saved, state)
        state.restore(weights, saved["training"]["numbers"], tensors)
        if my_rank() == 0:
            self._shorten_log(state.numbers["recorded_at"])

    def _compare(self, saved: dict[str, Any], state: State) -> None:
        """Raise ValueError if the folder holds a run of another model, text or configuration."""
        # In this order: where a recipe says 0 for "characters", the model knows how many there are.
        then, now = (
            about["config"] | about["model"] | about["parts"] | about["texts"]
            for about in (saved | saved["training"], self._description(state))
        )
        for name in sorted(then.keys() | now.keys()):
            if name not in MAY_DIFFER and then.get(name) != now.get(name):
                raise ValueError(
                    f"expected to go on with {name} {then.get(name)}, as in {self.folder}, got "
                    f"{now.get(name)}: use the same one or another folder"
                )

    def _description(self, state: State) -> dict[str, dict[str, Any]]:
        model: Any = state.model
        if not hasattr(model, "parts"):
            raise ValueError(
                f"expected a GPT, whose parts have names, got {type(model).__name__}: "
                "train it without a folder"
            )
        settings = json.loads(json.dumps(asdict(state.config)))
        return description(model) | {"config": settings, "texts": self.texts}

    def save(self, state: State) -> str:
        """Save all that is needed to go on; return how to do so. Older checkpoints are removed.

        Raises OSError, the older ones intact, if there is no room.
        """
        folder = self.folder / f"step-{state.step:08d}"
        with state.averaged():
            weights = state.weights()
        tensors = state.tensors()
        about = self._description(state) | {"numbers": state.numbers}
        model = {kind: about.pop(kind) for kind in ("model", "parts")}
        if my_rank() == 0:
            try:
                write_checkpoint(folder, model, weights, (about, tensors))
            except OSError as error:
                self._clear()
                older = ", ".join(path.name for path in self.checkpoints()) or "none"
                raise OSError(
                    f"could not save step {state.step} in {self.folder}, {error.strerror}: make "
                    f"room, then {self.go_on}; whole checkpoints: {older}"
                ) from error
            self._clear()
        return f"saved at step {state.step} in {self.folder}; {self.go_on}"

    def _clear(self) -> None:
        """Remove old checkpoints and parts of unfinished ones."""
        kept = self.checkpoints()
        wanted = {*kept[-self.keep :], *(kept and [self.best()])}
        for path in self.folder.glob("step-*"):
            if path not in wanted:
                (path / CONFIG).unlink(missing_ok=True)  # first: what is left is no checkpoint
                shutil.rmtree(path, ignore_errors=True)

    def log(self, record: Record) -> None:
        """Append a record to the log; numbers that are not finite become null."""
        if my_rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(asdict(record)), allow_nan=False) + "\n")

    def _shorten_log(self, step: int) -> None:
        """Drop records after a step: they will come again."""
        path = self.folder / LOG
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        write_atomically(path, "".join(f"{line}\n" for line in kept))


def _loss(folder: Path) -> float:
    """Return the held-out loss of a checkpoint; infinite if it was saved between evaluations."""
    numbers = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["training"]["numbers"]
    return float(numbers["val_loss"]) if numbers["recorded_at"] == numbers["step"] else math.inf


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
