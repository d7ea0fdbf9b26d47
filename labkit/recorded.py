"""Recorded experiments: results that take longer than a chapter may, with how they were made.

`make experiments` writes `experiments/NAME.csv`; chapters read it and say that it is recorded.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.files import write_atomically

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
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no recorded experiment {path.name} in {folder.name}: "
            "run `make experiments`, or fetch it with the repository"
        ) from None
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return Recording(head, tuple(rows))


def write_recording(
    name: str, head: Mapping[str, str], rows: Sequence[Mapping[str, object]], folder: Path = FOLDER
) -> None:
    """Write `experiments/NAME.csv` atomically; every row must have the columns of the first."""
    text = io.StringIO()
    for key, value in head.items():
        text.write(f"# {key}: {value}\n")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / f"{name}.csv", text.getvalue())
