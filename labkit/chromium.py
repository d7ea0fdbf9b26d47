"""Draw plotly figures and viewers as PNG in one headless Chromium that stays open.

A thread of its own drives it: playwright's plain interface belongs to the thread that began it, and
refuses to run inside a kernel's event loop. The process that playwright starts ends as soon as its
input closes, and Chromium with it: when the kernel exits, however it exits. No network.
"""

import atexit
import functools
import importlib.util
import os
import shutil
from concurrent.futures import Future
from contextlib import ExitStack
from io import BytesIO
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
FLAGS = (
    "--disable-gpu --disable-quic --disable-sync --disable-background-networking "
    "--disable-component-update --force-color-profile=srgb --no-first-run"
)
EMPTY = '<!doctype html><body style="margin: 0"><div id="picture" style="width: max-content"></div>'
DRAW = """async ({data, layout, config}) => {
  await Plotly.newPlot("picture", data, layout, {...config, staticPlot: true});
  await document.fonts.ready;
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
    return _browser(path).render(figure)


class Browser:
    """A thread that opens Chromium when first asked for a picture, and draws one at a time."""

    def __init__(self, chromium: str) -> None:
        """Start the thread, which ends with Chromium when Python does, if not closed before."""
        self.chromium = chromium
        self.asked: SimpleQueue[tuple[dict[str, Any], Future[bytes]] | None] = SimpleQueue()
        self.thread = Thread(target=self._serve, daemon=True)  # others must end before `atexit`
        self.thread.start()
        atexit.register(self.close)

    def render(self, figure: dict[str, Any]) -> bytes:
        """Return the figure as PNG bytes; raise RuntimeError if Chromium fails."""
        answer = Future[bytes]()
        self.asked.put((figure, answer))
        try:
            return answer.result()
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise RuntimeError(
                f"Chromium at {self.chromium} could not draw a picture: {reason}; "
                "install another one or name it in BROWSER_PATH"
            ) from error

    def close(self) -> None:
        """End the thread and its Chromium, after the pictures already asked for."""
        self.asked.put(None)
        self.thread.join(timeout=10)

    def _serve(self) -> None:
        page = None
        with ExitStack() as opened:
            for figure, answer in iter(self.asked.get, None):
                try:
                    page = page or _open(self.chromium, opened)
                    answer.set_result(_draw(page, figure))
                except Exception as error:
                    page = None  # the next picture begins with a new Chromium
                    answer.set_exception(error)


_browser = functools.cache(Browser)


def _open(chromium: str, opened: ExitStack) -> "Page":
    """End what was opened; open a page with plotly in a Chromium that an interrupt leaves alone."""
    from playwright.sync_api import sync_playwright
    from plotly.offline import get_plotlyjs

    opened.close()
    browsers = opened.enter_context(sync_playwright()).chromium
    browser = browsers.launch(executable_path=chromium, args=FLAGS.split(), handle_sigint=False)
    page = browser.new_context(device_scale_factor=1.5).new_page()
    page.set_content(EMPTY)
    page.add_script_tag(content=get_plotlyjs())
    return page


def _draw(page: "Page", figure: dict[str, Any]) -> bytes:
    """Return a figure drawn on the page, or a page of its own, as PNG bytes."""
    if "html" not in figure:
        page.evaluate(DRAW, figure)
        return _photographed(page)
    with page.context.new_page() as shown:
        shown.set_content(figure["html"])
        shown.wait_for_selector("body[data-drawn]")
        return _photographed(shown)


def _photographed(page: "Page") -> bytes:
    """Return the node `picture` in 256 colours: a third of the bytes, so that many fit."""
    from PIL import Image

    whole, few = BytesIO(page.locator("#picture").screenshot(omit_background=True)), BytesIO()
    with Image.open(whole) as picture:
        picture.quantize(256, method=Image.Quantize.FASTOCTREE).save(few, "PNG", optimize=True)
    return few.getvalue()
