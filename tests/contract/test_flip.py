"""The suite itself, tested: one flipped output and it fails, nothing flipped and it passes.

The project's own `conftest.py`, settings and sanitising file judge notebooks in a folder of their
own, in one run on two workers, as `make test` would.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.contract import samples as s
from tests.contract.execute import execute
from tests.contract.reading import ROOT, Output, bundle, paths, read
from tests.contract.rules_outputs import counts_run_from_one

Data = dict[str, Any]

SHOW = "from IPython.display import display\n\ndisplay({}, raw=True)"
SOURCES = {
    "static": "import os\n\nprint(os.environ['LABKIT_STATIC'], os.environ['TQDM_DISABLE'])",
    "stdout": "print('seven plays')",
    "result": "[1, 2, 3]",
    "approximate": "print('≈ 1.25 bits and ≈ -3e-07')",
    "html": SHOW.format({"text/html": "<i>seven</i>", "text/plain": "seven"}),
    "markdown": SHOW.format({"text/markdown": "*seven*", "text/plain": "seven"}),
    "picture": SHOW.format({"image/png": s.PNG, "text/plain": s.SAYS}),
    "silent": "x = 1",
}
ERROR = "int('seven')"
FLIPS: dict[str, tuple[str, str]] = {
    "stdout": ("seven plays", "eight plays"),
    "result": ("[1, 2, 3]", "[1, 2, 4]"),
    "html": ("<i>seven</i>", "<i>eight</i>"),
    "markdown": ("*seven*", "*eight*"),
    "picture": ("at 0.25", "at 0.26"),
    "error": ("base 10: 'seven'", "base 10: 'eight'"),
    "approximate_text": ("1.25 bits and", "1.25 bits or"),
}
HARMLESS = {"approximate_number": ("≈ 1.25", "≈ 9.99"), "approximate_small": ("≈ -3e", "≈ 4e")}


def flip(text: str, old: str, new: str) -> str:
    """Change stored outputs only."""
    data = json.loads(text)
    found = 0
    for cell in data["cells"]:
        stored = json.dumps(cell.get("outputs", []), ensure_ascii=False)
        found += stored.count(old)
        if "outputs" in cell:
            cell["outputs"] = json.loads(stored.replace(old, new))
    assert found >= 1, f"{old} is in no output"
    return json.dumps(data)


def edit(text: str, source: str, change: Callable[[Data], object]) -> str:
    data = json.loads(text)
    change(next(cell for cell in data["cells"] if "".join(cell["source"]) == source))
    return json.dumps(data)


def real_beginning() -> tuple[str, str]:
    """The first chapter up to its first printed and compared output: (text, that output)."""
    path = paths()[0]
    notebook = read(path)
    for cell in notebook.code:
        compared = "nbval-ignore-output" not in cell.tags
        for output in cell.outputs if compared else ():
            if _prints_a_word(output):
                data = json.loads(notebook.text)
                data["cells"] = data["cells"][: cell.index + 1]
                return json.dumps(data), bundle(output)["text/plain"].split()[0]
    raise AssertionError(f"{path.stem} prints nothing that is compared")


def _prints_a_word(output: Output) -> bool:
    words = bundle(output).get("text/plain", "").split()
    return output["output_type"] == "stream" and bool(words) and words[0].isalnum()


def made() -> dict[str, str]:
    """The notebooks to judge, by name."""
    cells = [s.code(source) for source in SOURCES.values()]
    good, _ = execute(s.chapter([*cells, s.code(ERROR, tags=("raises-exception",))]).text)
    texts = {"clean": good}
    texts |= {name: flip(good, *change) for name, change in (FLIPS | HARMLESS).items()}
    stdout, silent = SOURCES["stdout"], SOURCES["silent"]
    texts["removed"] = edit(good, stdout, lambda cell: cell.update(outputs=[]))
    texts["added"] = edit(good, silent, lambda cell: cell.update(outputs=[s.printed("more")]))
    texts["no_error"] = edit(good, ERROR, lambda cell: cell.update(outputs=[]))
    texts["unrun"] = edit(good, stdout, lambda cell: cell.update(outputs=[], execution_count=None))
    real, word = real_beginning()
    texts |= {"real": real, "real_flipped": flip(real, word, f"{word}X")}
    return texts


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebooks and pytest's report about them, out.xml."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "notebooks").mkdir()
    (folder / "tests").mkdir()
    for name in ("conftest.py", "pyproject.toml", "tests/nbval_sanitize.cfg"):
        shutil.copy(ROOT / name, folder / name)
    for name, text in made().items():
        (folder / "notebooks" / f"{name}.ipynb").write_text(text, encoding="utf-8")
    free = {key: value for key, value in os.environ.items() if not _belongs_to_this_run(key)}
    command = ["-m", "pytest", "notebooks", "-q", "-n", "2", "-p", "no:cacheprovider"]
    for _ in range(2):
        run = subprocess.run(
            [sys.executable, *command, "--junitxml=out.xml"],
            cwd=folder,
            env=free,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert (folder / "out.xml").exists(), run.stdout + run.stderr
        if not _a_kernel_did_not_start(folder):
            return folder
    raise AssertionError(run.stdout)


def _a_kernel_did_not_start(folder: Path) -> bool:
    """An error is neither a pass nor a failure: nothing was compared, and it says nothing here."""
    return any("error" in found for found in outcomes(folder / "out.xml").values())


@pytest.fixture(scope="module")
def judged(course: Path) -> dict[str, set[str]]:
    """From each notebook's name to the outcomes of its cells."""
    return outcomes(course / "out.xml")


def _belongs_to_this_run(name: str) -> bool:
    return name.startswith(("LABKIT_STATIC", "TQDM_", "PYTEST_"))


def outcomes(report: Path) -> dict[str, set[str]]:
    """Read pytest's XML report: notebook name to {"passed", "failure", …}."""
    found: dict[str, set[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = str(case.get("classname")).removesuffix(".ipynb").split(".")[-1]
        found.setdefault(name, set()).update({child.tag for child in case} or {"passed"})
    return found


@pytest.mark.parametrize("name", ["clean", "real", *HARMLESS])
def test_what_was_not_flipped_passes(judged: dict[str, set[str]], name: str) -> None:
    assert judged[name] == {"passed"}


@pytest.mark.parametrize("name", [*FLIPS, "removed", "added", "no_error", "real_flipped"])
def test_one_flipped_output_fails(judged: dict[str, set[str]], name: str) -> None:
    assert "failure" in judged[name]


def test_nbval_passes_a_cell_that_never_ran_and_the_gate_does_not(
    judged: dict[str, set[str]], course: Path
) -> None:
    assert judged["unrun"] == {"passed"}, "nbval sees it now: this rule could go"
    assert counts_run_from_one(read(course / "notebooks" / "unrun.ipynb"))
