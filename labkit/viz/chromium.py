"""Draw plotly figures and viewers as PNG in one headless Chromium that stays open.

It lives in a child process that reads one picture a line and answers one PNG a line, because
playwright's plain interface refuses to run inside a kernel's event loop. The child ends, and
Chromium with it, as soon as its input closes: when the kernel exits, however it exits. No network.
"""

import atexit
import base64
import contextlib
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--no-first-run",
]
DRAW = """async (figure) => {
  const {width, height} = figure.layout;
  await Plotly.newPlot("picture", figure.data, figure.layout, {...figure.config, staticPlot: true});
  await document.fonts.ready;
  const place = document.getElementById("picture");
  place.style.width = width + "px";
  place.style.height = height + "px";
}"""


def find_chromium() -> str | None:
    """Return the path of a Chromium: `$BROWSER_PATH`, else the first of the usual names."""
    chosen = os.environ.get("BROWSER_PATH")
    return next(filter(None, (shutil.which(name) for name in (chosen, *NAMES) if name)), None)


def render_png(figure: dict[str, Any]) -> bytes | None:
    """Return a plotly figure (`data`, `layout` with width and height, `config`) as PNG bytes.

    Or a page, `html`, that marks its body as `data-drawn`; both are drawn in the node `picture`.
    None where there is no Chromium or no playwright. Raises RuntimeError if Chromium fails.
    """
    path = find_chromium()
    if path is None or importlib.util.find_spec("playwright") is None:
        return None
    return _page(path).render(figure)


@functools.cache
def _page(path: str) -> "Page":
    page = Page(path)
    atexit.register(page.close)
    return page


class Page:
    """The parent's end: starts the child when first needed and asks it for one PNG at a time."""

    def __init__(self, chromium: str) -> None:
        """Remember which Chromium to use; nothing is started yet."""
        self.chromium = chromium
        self.child: subprocess.Popen[str] | None = None
        self.lock = threading.Lock()

    def render(self, figure: dict[str, Any]) -> bytes:
        """Return the figure as PNG bytes; raise RuntimeError if Chromium fails."""
        with self.lock:
            try:
                answer = self._ask(json.dumps(figure))
            except BaseException:  # an interrupted answer would be taken for the next picture's
                self.close()
                raise
        if "png" not in answer:
            self.close()
            raise RuntimeError(
                f"Chromium at {self.chromium} could not draw a picture: {answer['error']}; "
                "install another one or name it in BROWSER_PATH"
            )
        return base64.b64decode(answer["png"])

    def _ask(self, line: str) -> dict[str, str]:
        if self.child is None or self.child.poll() is not None:
            self.child = self._start()
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
            answer = self.child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        parsed: dict[str, str] = json.loads(answer or '{"error": "it ended without an answer"}')
        return parsed

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", __file__, self.chromium],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # interrupting a cell must not kill the page
        )

    def close(self) -> None:
        """End the child and its Chromium, if they run."""
        child, self.child = self.child, None
        if child is None:
            return
        with child:  # closes the pipes, which ends the child's loop
            assert child.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # the child may have ended by itself
                child.stdin.close()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


def serve(chromium: str, requests: TextIO, answers: TextIO) -> None:
    """Answer each line of JSON (a figure) with a line of JSON (its PNG, or an error)."""
    import plotly
    from playwright.sync_api import Error, sync_playwright

    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    with sync_playwright() as playwright:
        page = None
        for line in requests:
            try:
                if page is None:
                    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
                    page = browser.new_page(device_scale_factor=1.5)
                    page.set_content(
                        '<!doctype html><body style="margin:0"><div id="picture"></div>'
                    )
                    page.add_script_tag(path=script)
                shown, request = page, json.loads(line)
                if "html" in request:
                    shown = browser.new_page(device_scale_factor=1.5)
                    shown.set_content(request["html"])
                    shown.wait_for_selector("body[data-drawn]")
                else:
                    page.evaluate(DRAW, request)
                png = shown.locator("#picture").screenshot(omit_background=True)
                if shown is not page:
                    shown.close()
                answer = {"png": base64.b64encode(png).decode("ascii")}
            except Error as error:
                answer = {"error": str(error).splitlines()[0]}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    serve(sys.argv[1], sys.stdin, sys.stdout)
