"""What the tests in a browser share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from labkit.chromium import find_chromium
from tests.browser.lab import chromium_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    """One blank page for the tests of a file; there is a Chromium, or they were skipped."""
    chromium = find_chromium()
    assert chromium is not None
    with chromium_page(chromium) as page:
        yield page


@pytest.fixture
def quiet(browser: Page) -> Iterator[Page]:
    """The page of a test in which no error may be reported."""
    errors: list[str] = []

    def note(error: object) -> None:
        errors.append(str(error))

    browser.on("pageerror", note)
    yield browser
    browser.remove_listener("pageerror", note)
    assert errors == []
