"""Write what an experiment measured, as `labkit.recorded.read_recording` reads it."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from labkit.files import write_atomically
from labkit.recorded import FOLDER


def write_recording(
    name: str, head: Mapping[str, str], rows: Sequence[Mapping[str, object]], folder: Path = FOLDER
) -> None:
    """Write `experiments/NAME.csv` atomically.

    Raises ValueError without rows, for a row without the columns of the first, and for a head of
    several lines, none of which could be read again.
    """
    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"expected one or more rows of {name}, all with the same columns")
    if any("\n" in key + value or ": " in key for key, value in head.items()):
        raise ValueError(f"expected a head of single lines 'key: value', got {dict(head)}")
    text = io.StringIO(newline="")
    for key, value in head.items():
        text.write(f"# {key}: {value}\n")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / f"{name}.csv", text.getvalue())
