"""A viewer by itself in a blank Chromium: the page that `to_html` writes, and what it reports."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

from viewers.viewer import Viewer


@contextlib.contextmanager
def opened(page: Page, viewer: Viewer, folder: Path) -> Iterator[Page]:
    """Open a viewer's own page with the network cut; no error and no request may come of it."""
    errors: list[str] = []
    requests: list[str] = []

    def note(error: object) -> None:
        errors.append(str(error))

    def ask(request: object) -> None:
        requests.append(str(getattr(request, "url", request)))

    path = viewer.to_html(folder / "viewer.html")
    page.context.set_offline(True)
    page.on("pageerror", note)
    page.on("request", ask)
    try:
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-drawn]")
        yield page
    finally:
        page.remove_listener("pageerror", note)
        page.remove_listener("request", ask)
        page.context.set_offline(False)
    assert errors == []
    assert requests == [path.as_uri()]
