"""Floor three: every chapter in real JupyterLab, in a real Chromium, as a reader runs it.

It is the reader's edition, with stubs where solutions were: an unsolved chapter runs to its end.
And every output that does not depend on an answer is what the chapter stores, in nbval's judgement.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbval.plugin import IPyNbCell, IPyNbFile
from playwright.sync_api import Page

from labkit.chromium import find_chromium
from labkit.viz.picture import PLOTLY_MIME
from tests.browser.lab import chromium_page, jupyterlab, run_all
from tests.contract.reading import NOTEBOOKS, parse, paths
from workbench.reader import make_reader_edition

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

BROKEN = """display({"application/vnd.plotly.v1+json": {"data": "no traces"}}, raw=True)
display({"text/html": "<script>throw Error('in the page')</script>"}, raw=True)
display({"text/html": "<img src='http://127.0.0.2:9/elsewhere.png'>"}, raw=True)
1 / 0"""
PROGRESS = "%|"
"""In the bar of a download, which only the first run on a machine shows."""
PLAYS, ABOUT = "print('eight plays')", "print('≈ 9.99 bits')"
STORED = {PLAYS: "seven plays\n", ABOUT: "≈ 1.25 bits\n"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps what is its own, and where the broken notebook lies as it was."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    work = tmp_path_factory.mktemp("work")
    make_reader_edition(NOTEBOOKS, work)
    cells = [nbformat.v4.new_code_cell(source) for source in (*STORED, BROKEN)]
    for cell, text in zip(cells, STORED.values(), strict=False):
        cell.outputs = [nbformat.v4.new_output("stream", text=text)]
    broken = nbformat.v4.new_notebook(cells=cells)
    broken.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(broken, home / "broken.ipynb")
    nbformat.write(broken, work / "broken.ipynb")
    with jupyterlab(work, home) as served:
        yield served


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert CHROMIUM is not None
    with chromium_page(CHROMIUM) as opened:
        yield opened


def differences(
    path: Path, live: Sequence[Mapping[str, Any]], session: pytest.Session
) -> list[str]:
    """Say what each code cell showed that is not what the notebook stores; pictures by their text.

    Left aside are cells of exercises, those that nbval leaves aside, and those that say themselves
    that they show something else when stored.
    """
    file = IPyNbFile.from_parent(session, path=path)
    file.setup_sanitize_files()
    drawn = (*file.skip_compare, PLOTLY_MIME, "image/svg+xml")
    judges: list[IPyNbCell] = list(file.collect())
    cells = parse(path.stem, path.read_text(encoding="utf-8")).code
    told = []
    for cell, judge, shown in zip(cells, judges, live, strict=True):
        if cell.is_answer or cell.is_test or "nbval-ignore-output" in cell.tags:
            continue
        if "is_static()" in cell.source:
            continue
        outputs = [
            nbformat.from_dict(output)
            for output in shown["outputs"]
            if PROGRESS not in output.get("text", "")
        ]
        if not judge.compare_outputs(outputs, judge.cell.outputs, drawn):
            printed = [out.text for out in outputs if out.get("name") == "stderr"]
            told.append("\n".join([cell.where, *judge.comparison_traceback, *printed]))
    return told


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_unsolved_chapter_runs_to_its_end_and_shows_what_it_stores(
    path: Path, address: str, page: Page, request: pytest.FixtureRequest
) -> None:
    visit = run_all(page, address, path.name)
    assert visit.errors() == []
    assert [cell["count"] for cell in visit.cells] == list(range(1, len(visit.cells) + 1))
    assert visit.cells
    assert visit.pictures_not_drawn == []
    assert visit.left_the_machine == []
    assert visit.console_errors == []
    told = differences(path, visit.cells, request.session)
    assert not told, "\n\n".join(told)


def test_a_broken_notebook_would_be_seen(
    address: str, page: Page, home: Path, request: pytest.FixtureRequest
) -> None:
    visit = run_all(page, address, "broken.ipynb")
    assert visit.errors() == ["ZeroDivisionError: division by zero"]
    assert any("in the page" in error for error in visit.console_errors)
    assert set(visit.left_the_machine) == {"http://127.0.0.2:9/elsewhere.png"}
    assert visit.pictures_not_drawn == [2]
    told = differences(home / "broken.ipynb", visit.cells, request.session)
    assert [text.split(" (")[0] for text in told] == ["cell 0", "cell 2"]
    assert "eight plays" in told[0]
