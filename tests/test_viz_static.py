"""Pictures as PNG: the same bytes each time, text alone without Chromium, no process left over."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import pytest

from labkit.chromium import Browser, find_chromium, render_png
from labkit.viz import Picture, curves, league_table
from labkit.viz.picture import PLOTLY_MIME

CHROMIUM = find_chromium()
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: no PNG can be drawn")
needs_proc = pytest.mark.skipif(not Path("/proc").is_dir(), reason="other processes are not seen")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HTML = '<body data-drawn="1"><div id="picture">drawn</div>'
DRAWN = """from labkit.viz import curves
curves({"a": ([1], [1])}, title="t", x="x", y="y")"""
INTERRUPTED = """import os, signal, time
try:
    os.killpg(0, signal.SIGINT)
    time.sleep(10)
except KeyboardInterrupt:
    print("interrupted")"""


@pytest.fixture(autouse=True)
def static(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_STATIC", "1")


@pytest.fixture
def picture() -> Picture:
    return curves({"中文": ([1, 2, 3], [3, 1, 2])}, title="你好", x="x", y="y")


@needs_chromium
def test_static_bundle_is_a_small_png_and_the_same_text(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = picture.bundle()
    png = base64.b64decode(bundle["image/png"])
    assert png.startswith(SIGNATURE)
    assert 2_000 < len(png) < 60_000
    assert set(bundle) == {"image/png", "text/plain"}
    monkeypatch.delenv("LABKIT_STATIC")
    assert picture.bundle()["text/plain"] == bundle["text/plain"]


@needs_chromium
def test_png_bytes_are_equal_between_two_browsers(picture: Picture) -> None:
    assert CHROMIUM
    specification = json.loads(picture.figure.to_json()) | {"config": {}}
    drawn = []
    for _ in range(2):
        browser = Browser(CHROMIUM)
        drawn += [browser.render(specification), browser.render(specification)]
        browser.close()
    assert len(set(drawn)) == 1


@needs_chromium
def test_different_data_give_different_png(picture: Picture) -> None:
    other = curves({"中文": ([1, 2, 3], [3, 2, 2])}, title="你好", x="x", y="y")
    assert picture.bundle()["image/png"] != other.bundle()["image/png"]


def test_without_chromium_only_the_text_is_left(
    picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    assert picture.bundle() == {"text/plain": f"Picture: {picture.says}"}


def test_a_chromium_that_fails_is_named(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(broken))
    specification = json.loads(picture.figure.to_json()) | {"config": {}}
    with pytest.raises(RuntimeError, match=rf"{broken} could not draw a picture: .*BROWSER_PATH"):
        render_png(specification)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for Chromium's socket, as pytest's own may not be."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@needs_chromium
@needs_proc
def test_after_its_browser_died_a_picture_fails_and_the_next_is_drawn(
    picture: Picture, monkeypatch: pytest.MonkeyPatch, short_folder: Path
) -> None:
    assert CHROMIUM
    mark = f"viz-test-{os.getpid()}-dies"
    monkeypatch.setenv("MARK", mark)
    monkeypatch.setenv("TMPDIR", str(short_folder))  # what dies leaves its files there
    specification = json.loads(picture.figure.to_json()) | {"config": {}}
    browser = Browser(CHROMIUM)
    drawn = browser.render(specification)
    for process in _marked(mark):
        os.kill(int(process), signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"could not draw a picture: .*closed"):
        browser.render(specification)
    assert browser.render(specification) == drawn
    assert browser.render({"html": HTML}).startswith(SIGNATURE)
    assert _marked(mark)
    browser.close()
    assert not _marked(mark)


@needs_chromium
def test_a_kernel_draws_again_after_it_was_interrupted() -> None:
    """Where an event loop runs, and where an interrupt reaches every process of the kernel."""
    cells = [nbformat.v4.new_code_cell(code) for code in (DRAWN, INTERRUPTED, DRAWN)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    first, interrupted, second = (cell.outputs for cell in notebook.cells)
    assert first[0].data["image/png"] == second[0].data["image/png"]
    assert interrupted[0].text == "interrupted\n"


PROGRAM = """
import os, time
from labkit.viz import curves
curves({"a": ([1], [1])}, title="t", x="x", y="y").bundle()
print("drawn", flush=True)
time.sleep(60 if os.environ["WAIT"] else 0)
"""


@needs_chromium
@needs_proc
@pytest.mark.parametrize("killed", [False, True], ids=["ends", "is killed"])
def test_no_process_outlives_its_kernel(killed: bool) -> None:
    mark = f"viz-test-{os.getpid()}-{killed}"
    environment = os.environ | {"LABKIT_STATIC": "1", "WAIT": "1" if killed else "", "MARK": mark}
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=root, stdout=subprocess.PIPE
    ) as kernel:
        assert kernel.stdout is not None
        assert kernel.stdout.readline() == b"drawn\n"
        if killed:
            assert _marked(mark), "the page should still be open here"
            kernel.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _marked(mark)


def _marked(mark: str) -> list[str]:
    """Return the processes whose environment carries the mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:  # it ended, or is another user's
            continue
    return found


@needs_chromium
def test_a_cell_displays_the_bundle_with_its_size(picture: Picture) -> None:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output() as captured:
        picture._ipython_display_()
        league_table([])._ipython_display_()
    first, second = captured.outputs
    assert set(first.data) == {"image/png", "text/plain"}
    assert first.metadata == {"image/png": {"width": 820, "height": 380}}
    assert set(second.data) == {"text/html", "text/markdown", "text/plain"}
    assert PLOTLY_MIME not in first.data
    InteractiveShell.clear_instance()
