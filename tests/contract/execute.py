"""Execute chapters and problem sets from a fresh kernel and store their outputs: `make notebooks`.

    python -m tests.contract.execute [NAMES…] [--check]

A name is the beginning of a file name, such as 12 or ps1. `--check` writes nothing and fails where
a notebook would change. One that raises is not written.
"""

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbclient
import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from experiments.recording import write_recording
from labkit.files import write_atomically
from labkit.recorded import read_recording
from tests.contract.normalise import normalise
from tests.contract.reading import NOTEBOOKS, ROOT, assignment_paths, parse, paths
from tests.contract.rules_anatomy import declared_seconds

TIMES = ROOT / "benchmarks" / "chapters.csv"
SECONDS_PER_CELL = 600


@dataclass(frozen=True)
class Times:
    """What one chapter cost."""

    chapter: str
    file: str
    cpu_seconds_declared: float
    cpu_seconds_measured: float
    wall_seconds: float


def static_environment(folder: Path) -> dict[str, str]:
    """This process's environment, made deterministic and free of the user's IPython settings."""
    chosen = {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "LABKIT_STATIC": "1",
        "LABKIT_TIMES": str(folder / "times.csv"),
        "TQDM_DISABLE": "1",
    }
    return dict(os.environ) | chosen


def execute(text: str) -> tuple[str, float | None]:
    """Run a notebook in a folder of its own; return its normalised text and CPU-seconds.

    The seconds are None where the chapter does not measure itself. Raises nbclient's
    CellExecutionError when a cell raises, CellTimeoutError and DeadKernelError.
    """
    notebook = nbformat.reads(normalise(text), as_version=4)
    with tempfile.TemporaryDirectory(prefix="chapter-") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        client = nbclient.NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=SECONDS_PER_CELL,
            record_timing=False,
            resources={"metadata": {"path": str(folder / "work")}},
        )
        client.execute(env=static_environment(folder))
        times = folder / "times.csv"
        lines = times.read_text(encoding="utf-8").split() if times.exists() else []
    measured = float(lines[-1].split(",")[1]) if lines else None
    return normalise(nbformat.writes(notebook)), measured


def run_chapter(path: Path, *, check: bool) -> tuple[str, Times | None, bool]:
    """Execute one chapter and write it if it changed: (what to say, times, whether it is well)."""
    before = path.read_text(encoding="utf-8")
    start = time.perf_counter()
    try:
        after, measured = execute(before)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return f"{path.stem}: not written, a cell failed\n{error}", None, False
    wall = time.perf_counter() - start
    changed = after != before
    if changed and not check:
        write_atomically(path, after)
    state = ("differs" if check else "written") if changed else "unchanged"
    said = f"{path.stem}: {state}, {wall:.1f} s"
    if measured is None:
        return said, None, not (changed and check)
    chapter = parse(path.stem, after)
    declared = declared_seconds(chapter) or 0.0
    row = Times(chapter.chapter, path.name, declared, measured, round(wall, 1))
    said += f", {measured:.1f} CPU-seconds of {declared:g} declared"
    return said, row, not (changed and check)


def record_times(rows: Sequence[Times], folder: Path = TIMES.parent) -> None:
    """Replace the rows of executed chapters in `chapters.csv`, keeping the others."""
    path = folder / TIMES.name
    kept = read_recording(path.stem, folder).rows if path.exists() else ()
    by_file = {row["file"]: dict(row) for row in kept}
    by_file |= {row.file: {key: str(value) for key, value in asdict(row).items()} for row in rows}
    write_recording(path.stem, head(), [row for _, row in sorted(by_file.items())], folder)


def head() -> dict[str, str]:
    """Where and when the times were measured."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "none"
    return {
        "command": "make notebooks",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "torch": torch,
        "cores": str(os.cpu_count()),
    }


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.execute")
    parser.add_argument("names", nargs="*", help="beginnings of file names; all if none")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    chosen = parser.parse_args(arguments)
    every = [*paths(), *assignment_paths()]
    wanted = [path for path in every if path.stem.startswith(tuple(chosen.names) or "")]
    if not wanted:
        print(f"no chapter or problem set in {NOTEBOOKS} begins with {' or '.join(chosen.names)}")
        return 1
    rows, well = [], True
    for path in wanted:
        said, row, good = run_chapter(path, check=chosen.check)
        print(said, flush=True)
        well = well and good
        rows += [row] if row else []
    if rows and not chosen.check:
        record_times(rows)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
