"""Every pytest run that reaches `notebooks/` executes the chapters and compares what they stored.

It stands at the root, so that `pytest notebooks/12_ngrams.ipynb` finds it as well as `pytest`. The
options are set here and not in a command line, so that nobody can forget them.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
SECONDS_PER_CELL = 600


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch strict nbval on, for this process, its workers and the kernels they start."""
    os.environ.update(LABKIT_STATIC="1", TQDM_DISABLE="1", JUPYTER_PREFER_ENV_PATH="1")
    option = config.option
    option.nbval = True
    option.nbval_lax = False
    option.nbval_current_env = True
    option.nbval_cell_timeout = SECONDS_PER_CELL
    option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    if getattr(option, "dist", "no") in ("load", "worksteal"):
        option.dist = "loadfile"  # the cells of a chapter share a kernel, so they share a worker


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave aside what JupyterLab keeps beside notebooks."""
    return True if ".ipynb_checkpoints" in collection_path.parts else None
