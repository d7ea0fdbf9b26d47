"""Prepare a file in many small stretches, slowly enough to be killed in between."""

import sys
from pathlib import Path

from labkit.datasets import prepare


def main() -> None:
    """Prepare the first argument into the second."""
    prepare.open_source = _small
    list(prepare.prepare(sys.argv[1], Path(sys.argv[2]), vocab_size=300))


def _small(name: str) -> prepare.LinesSource:
    return prepare.LinesSource(Path(name), stretch=2**18)


if __name__ == "__main__":
    main()
