"""`python -m experiments.run [NAME ...]`: run experiments and record their rows with a head."""

import argparse
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch

from experiments import (
    block,
    chat,
    classification,
    counting,
    gpt,
    hacking,
    ladder,
    learning,
    meaning,
    pretraining,
    questions,
    speed,
    translation,
)
from experiments.recording import write_recording
from labkit.datasets import DatasetError


def league_rows(quick: bool = False) -> Iterator[counting.Row]:
    """Collect the rows of all chapters."""
    yield from counting.league_rows(quick)
    if not quick:
        yield from gpt.league_rows()


EXPERIMENTS: dict[str, Callable[..., Iterator[counting.Row]]] = {
    "league": league_rows,
    "gpt_training": gpt.training_rows,
    "block": block.block_rows,
    "block_checks": block.check_rows,
    "chat_hacking": hacking.table_rows,
    "tasks_chat": chat.table_rows,
    "tasks_classification": classification.table_rows,
    "classification_curve": classification.curve_rows,
    "tinyshakespeare": counting.tinyshakespeare_rows,
    "league_tinyworld": meaning.league_rows,
    "meaning": learning.meaning_rows,
    "meaning_training": learning.training_rows,
    "meaning_long": learning.longest_rows,
    "meaning_places": learning.places_rows,
    "meaning_sweeps": learning.sweep_rows,
    "pretraining": pretraining.table_rows,
    "pretraining_rates": pretraining.rates_rows,
    "speed_ladder": ladder.ladder_rows,
    "speed_top": ladder.top_rows,
    "speed_times": ladder.times_rows,
    "speed_laptop": speed.laptop_rows,
    "speed_speedrun": speed.speedrun_rows,
    "answering": questions.answer_rows,
    "tasks_question_answering": questions.table_rows,
    "tasks_translation": translation.table_rows,
}


def head() -> dict[str, str]:
    """Say on which commit something is run, when, and on what."""
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    return {
        "commit": commit or "none yet",
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread",
        "versions": f"{versions}, torch {torch.__version__}",
    }


def main(arguments: list[str]) -> int:
    """Run the named experiments, or all; one that lacks its data is named and skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    names = parser.parse_args(arguments).names or list(EXPERIMENTS)
    torch.set_num_threads(1)
    missing, made = 0, head()  # read before the first recording changes the tree
    for name in names:
        try:
            rows = list(EXPERIMENTS[name]())
        except DatasetError as error:
            print(f"{name}: not run, the recorded rows stay as they are. {error}", file=sys.stderr)
            missing += 1
            continue
        write_recording(name, {"command": f"python -m experiments.run {name}"} | made, rows)
        print(f"{name}: {len(rows)} rows")
    return int(missing == len(names))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
