"""Every pytest run that reaches `notebooks/` executes the chapters and compares what they stored.

It stands at the root, so that `pytest notebooks/12_ngrams.ipynb` finds it as well as `pytest`. The
options are set here and not in a command line, so that nobody can forget them. Where there is a
browser, a run of all tests executes each chapter once, in JupyterLab, and compares it there.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

from labkit.chromium import find_chromium

ROOT = Path(__file__).parent
LIVE = "tests/browser/test_chapters_live.py"
SECONDS_PER_CELL, SECONDS_TO_START = 600, 300


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Switch strict nbval on, for this process, its workers and the kernels they start."""
    os.environ.update(LABKIT_STATIC="1", TQDM_DISABLE="1", JUPYTER_PREFER_ENV_PATH="1")
    option = config.option
    option.nbval = True
    option.nbval_lax = False
    option.nbval_current_env = True
    option.nbval_cell_timeout = SECONDS_PER_CELL
    option.nbval_kernel_startup_timeout = SECONDS_TO_START
    option.nbval_sanitize_with = str(ROOT / "tests" / "nbval_sanitize.cfg")
    if getattr(option, "dist", "no") in ("load", "worksteal"):
        option.dist = "loadfile"  # the cells of a chapter share a kernel, so they share a worker


class ByFile(LoadFileScheduling):
    """The tests of a file share a worker; chapters in JupyterLab are long and share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(LIVE) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Give each worker the next file, or the next chapter."""
    return ByFile(config, log)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave aside what JupyterLab keeps beside notebooks, and what is executed there anyway."""
    everything = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    chapter = collection_path.suffix == ".ipynb" and collection_path.parent == ROOT / "notebooks"
    live = everything and chapter and find_chromium() is not None
    return True if live or ".ipynb_checkpoints" in collection_path.parts else None
