"""The chat box in a blank Chromium: keys are enough, what is said is text, and stop stops."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from labkit.viz import ChatViewer, chat_box
from tests.browser.test_viz_writing import (
    CHROMIUM,
    LEAKING,
    NAMELESS,
    UNGUARDED,
    Kernel,
    kernel,
    page,
    show,
)
from viewers.chat import Messages

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
__all__ = ["kernel", "page"]  # fixtures of the other viewers of writing


def repeats(messages: Messages, temperature: float) -> Iterator[str]:
    yield f"<b>{messages[-1]['content']}"
    yield f"<b>{messages[-1]['content']}</b> at {temperature}"


def without_end(messages: Messages, temperature: float) -> Iterator[str]:
    return ("word " * n for n in itertools.count(1))


def kept(page: Page, n: int) -> Messages:
    """Wait until so many messages were said, and return them."""
    page.wait_for_function("n => window.state.messages.length === n", arg=n)
    found: Messages = page.evaluate("() => window.state.messages")
    return found


def test_a_conversation_by_keys_alone(page: Page, kernel: Kernel) -> None:
    show(page, kernel, chat_box(repeats, temperature=0.5))
    page.evaluate(LEAKING)
    entry = page.get_by_label("your message")
    entry.focus()
    page.keyboard.type("Hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("<i>you</i>")
    page.keyboard.press("Enter")
    answer = "<b>Hello\n<i>you</i></b> at 0.5"
    assert [message["content"] for message in kept(page, 2)] == ["Hello\n<i>you</i>", answer]
    assert page.locator(".said span").all_inner_texts() == ["Hello\n<i>you</i>", answer]
    assert page.locator(".said i").count() == 0
    page.wait_for_function("() => document.activeElement.tagName === 'TEXTAREA'")
    assert entry.input_value() == ""
    assert "Enter" not in page.evaluate("() => window.leaked")
    page.keyboard.type("More")
    page.keyboard.press("Enter")
    assert len(kept(page, 4)) == 4


def test_stop_stops_and_keeps_what_was_written(page: Page, kernel: Kernel) -> None:
    for stop in ("button", "Escape"):
        show(page, kernel, chat_box(without_end))
        page.get_by_label("your message").fill("Talk!")
        page.get_by_role("button", name="send").click()
        page.wait_for_function(
            "() => document.querySelector('.assistant span')?.innerText.length > 40"
        )
        if stop == "button":
            page.get_by_role("button", name="stop").click()
        else:
            page.get_by_label("your message").press("Escape")
        assert kept(page, 2)[1]["content"].startswith("word word")
        assert page.locator(".told").inner_text() == "stopped"
        asked = page.evaluate("() => window.asked.length")
        page.wait_for_timeout(200)
        assert page.evaluate("() => window.asked.length") == asked


def test_settings_travel_and_a_conversation_is_exported_and_forgotten(
    page: Page, kernel: Kernel
) -> None:
    shown = chat_box(repeats, system="Be kind.", messages=[{"role": "user", "content": "Hi"}])
    show(page, kernel, shown)
    page.get_by_label("system prompt").fill("Be brief.")
    page.get_by_label("temperature").fill("1.2")
    page.get_by_label("remember").uncheck()
    page.get_by_label("your message").fill("Go on")
    page.get_by_role("button", name="send").click()
    assert kept(page, 3)[2]["content"].endswith("at 1.2")
    assert shown.settings == {"temperature": 1.2, "system": "Be brief.", "remembers": False}
    with page.expect_download() as download:
        page.get_by_role("button", name="export").click()
    written = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert written == [{"role": "system", "content": "Be brief."}, *shown.messages]
    page.get_by_role("button", name="forget all").click()
    assert kept(page, 0) == []
    assert page.locator(".said").count() == 0


def test_every_control_has_a_name_and_views_end(page: Page, kernel: Kernel) -> None:
    shown: ChatViewer = chat_box(repeats)
    show(page, kernel, shown)
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(UNGUARDED) == []
    assert page.get_by_role("log").count() == page.locator(".told[role=status]").count() == 1
    page.evaluate("() => window.end()")
    assert page.evaluate("() => window.heard.length") == 0
