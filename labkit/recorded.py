"""Recorded experiments: results that take longer than a chapter may, with how they were made.

`make experiments` writes `experiments/NAME.csv`; chapters read it and say that it is recorded.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "experiments"


@dataclass(frozen=True)
class Recording:
    """The rows of an experiment and the circumstances in which they were measured."""

    head: Mapping[str, str]
    """Command, commit, date and machine."""
    rows: tuple[Mapping[str, str], ...]
    """One mapping from column to text per row."""


def read_recording(name: str, folder: Path = FOLDER) -> Recording:
    """Read `experiments/NAME.csv`; raise FileNotFoundError, saying how it is made, without one."""
    path = folder / f"{name}.csv"
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no recorded experiment {path.name} in {folder.name}: "
            "run `make experiments`, or fetch it with the repository"
        ) from None
    head = {}
    while text.startswith("# "):
        line, _, text = text.partition("\n")
        key, _, head_value = line[2:].partition(": ")
        head[key] = head_value
    return Recording(head, tuple(csv.DictReader(io.StringIO(text, newline=""))))
