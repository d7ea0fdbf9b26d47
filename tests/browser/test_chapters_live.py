"""Floor three: the reader's edition of every chapter in real JupyterLab, in a real Chromium.

Stubs stand where solutions were, so this also shows that an unsolved chapter runs to its end.
"""

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from labkit.chromium import find_chromium
from tests.browser.lab import chromium_page, jupyterlab, run_all
from tests.contract.reading import NOTEBOOKS, paths
from workbench.reader import make_reader_edition

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

BROKEN = """display({"application/vnd.plotly.v1+json": {"data": "no traces"}}, raw=True)
display({"text/html": "<script>throw Error('in the page')</script>"}, raw=True)
display({"text/html": "<img src='http://127.0.0.2:9/elsewhere.png'>"}, raw=True)
1 / 0"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    work, home = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("home")
    make_reader_edition(NOTEBOOKS, work)
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BROKEN)])
    broken.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(broken, work / "broken.ipynb")
    with jupyterlab(work, home) as served:
        yield served


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert CHROMIUM is not None
    with chromium_page(CHROMIUM) as opened:
        yield opened


@pytest.mark.parametrize("path", paths(), ids=lambda path: path.stem)
def test_unsolved_chapter_runs_to_its_end(path: Path, address: str, page: Page) -> None:
    visit = run_all(page, address, path.name)
    assert visit.errors() == []
    assert [cell["count"] for cell in visit.cells] == list(range(1, len(visit.cells) + 1))
    assert visit.cells
    assert visit.pictures_not_drawn == []
    assert visit.left_the_machine == []
    assert visit.console_errors == []


def test_a_broken_notebook_would_be_seen(address: str, page: Page) -> None:
    visit = run_all(page, address, "broken.ipynb")
    assert visit.errors() == ["ZeroDivisionError: division by zero"]
    assert any("in the page" in error for error in visit.console_errors)
    assert set(visit.left_the_machine) == {"http://127.0.0.2:9/elsewhere.png"}
    assert visit.pictures_not_drawn == [0]
