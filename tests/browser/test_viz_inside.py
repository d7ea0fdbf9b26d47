"""The logit lens in a blank Chromium: what it tells is what the model says, keys are enough."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page

from labkit.chromium import find_chromium
from labkit.gpt import GPT, GPTConfig
from labkit.tokenizers import ByteTokenizer, CharTokenizer, Tokenizer
from labkit.viz import LogitLens, logit_lens
from tests.browser.alone import opened
from tests.browser.lab import (
    KERNEL_IS_READY,
    RUN_ALL,
    STOP_KERNEL,
    jupyterlab,
    wait_for,
)
from viewers.viewer import script

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

HOSTILE = "<b></script>אב👩‍👩‍👧 ok"
L, SCALE = 3, 0.3
NOTEBOOK = """async ({script, state, cells, answers}) => {
  const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
  const widget = (await import(address)).default;
  const bytes = text => new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
  const heard = [];
  const held = {...state, cells: bytes(cells)};
  window.sent = [];
  const tell = (event, ...more) =>
    heard.filter(([name]) => name === event).forEach(([, then]) => then(...more));
  window.held = held;
  window.answer = (message, text) => tell("msg:custom", message, text ? [bytes(text)] : []);
  window.change = (name, value) => { held[name] = value; tell(`change:${name}`); };
  const model = {
    get: name => held[name],
    set: (name, value) => { if (held[name] !== value) window.change(name, value); },
    save_changes: () => {},
    send: message => window.sent.push(message),
    on: (event, then) => heard.push([event, then]),
    off: (event, then) => heard.splice(heard.findIndex(h => h[0] === event && h[1] === then), 1),
  };
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  window.end = widget.render({model, el});
  window.listening = () => heard.length;
}"""
CONTRAST = """() => {
  const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  return [...document.querySelectorAll(".lens :is(th, td)")].map(cell => {
    const style = getComputedStyle(cell);
    const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
}"""


def lens_of(tokenizer: Tokenizer, text: str, **more: Any) -> LogitLens:
    """The lens on a model whose blocks say something, as after training."""
    sizes = {"context_length": 64, "n_layers": L, "n_heads": 2, "d_model": 16}
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **sizes)
    model = GPT(config, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(SCALE * torch.randn(weights.shape, generator=generator))
    return logit_lens(model, text, tokenizer, title="What <b>each</b> says", **more)


@pytest.fixture(scope="module")
def lens() -> LogitLens:
    return lens_of(CharTokenizer.train([HOSTILE]), HOSTILE, top=4)


@pytest.fixture
def page(browser: Page, lens: LogitLens, tmp_path: Path) -> Iterator[Page]:
    with opened(browser, lens, tmp_path) as alone:
        yield alone


def told(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def cell(page: Page, layer: int, position: int) -> Locator:
    return page.locator(f".lens tbody tr:nth-child({layer + 1}) td:nth-child({position + 2})")


def numbers(lens: LogitLens, layer: int, position: int) -> dict[str, Any]:
    """What the model says at a cell, computed apart from what is sent."""
    p = lens.scores[layer, position].double().exp().numpy()
    order = np.argsort(-p)
    found = {"best": order, "p": p, "entropy": float(-(p * np.log2(p)).sum())}
    if position + 1 < len(lens.meta["ids"]):
        after = lens.meta["ids"][position + 1]
        found |= {"after": p[after], "rank": int(np.argwhere(order == after)[0, 0]) + 1}
    return found


def test_every_cell_tells_what_the_model_says(page: Page, lens: LogitLens) -> None:
    T = len(lens.meta["ids"])
    names = lens.meta["names"]
    for layer in range(L + 1):
        for position in range(0, T, 3):
            true = numbers(lens, layer, position)
            cell(page, layer, position).click()
            best = int(true["best"][0])
            words = told(page)
            read = names[str(lens.meta["ids"][position])]
            assert (
                f"position {position}, read “{read}”: most probable “{names[str(best)]}” " in words
            )
            shown = re.search(r"” ([\d.e-]+); entropy ([\d.]+) bits", words)
            assert shown is not None
            assert float(shown[1]) == pytest.approx(true["p"][best], abs=6e-5)
            assert float(shown[2]) == pytest.approx(true["entropy"], abs=0.006)
            if position + 1 < T:
                last = re.search(r"” ([\d.e-]+), rank ([\d,]+)$", words)
                assert last is not None
                assert float(last[1]) == pytest.approx(true["after"], abs=6e-5)
                assert int(last[2].replace(",", "")) == true["rank"]
            rows = page.locator(".top tr").all_inner_texts()
            for k, row in enumerate(rows):
                place, name, p = row.split("\t")
                token = int(true["best"][k])
                assert (int(place), name) == (k + 1, names[str(token)])
                assert float(p) == pytest.approx(true["p"][token], abs=6e-5)


def test_the_grid_names_rows_and_columns(page: Page, lens: LogitLens) -> None:
    names = [lens.meta["names"][str(i)] for i in lens.meta["ids"]]
    assert page.locator(".lens thead th").all_inner_texts() == ["read", *names]
    assert page.locator(".lens tfoot th").all_inner_texts() == ["followed", *names[1:], "…"]
    assert page.locator(".lens tbody th").all_inner_texts() == [
        "embedding",
        "1 block",
        "2 blocks",
        "3 blocks",
    ]
    hits = page.locator(".lens .hit").count()
    best = lens.scores.argmax(dim=-1)[:, :-1]
    assert hits == int((best == torch.tensor(lens.meta["ids"][1:])).sum())


def test_keys_alone_reach_everything(page: Page, lens: LogitLens) -> None:
    T = len(lens.meta["ids"])
    page.keyboard.press("Tab")
    grid = page.get_by_role("grid", name="most probable next token by layer and position")
    assert grid.evaluate("grid => grid === document.activeElement")
    for key, layer, position in [
        ("Home", L, 0),
        ("ArrowDown", L, 0),
        ("ArrowLeft", L, 0),
        ("ArrowUp", L - 1, 0),
        ("ArrowRight", L - 1, 1),
        ("End", L - 1, T - 1),
        ("ArrowRight", L - 1, T - 1),
        ("ArrowUp", L - 2, T - 1),
        ("ArrowUp", 0, T - 1),
        ("ArrowUp", 0, T - 1),
        ("ArrowLeft", 0, T - 2),
    ]:
        page.keyboard.press(key)
        chosen = page.locator('[aria-selected="true"]')
        assert chosen.count() == 1
        assert chosen.evaluate("box => box.id") == grid.get_attribute("aria-activedescendant")
        assert chosen.evaluate("box => box.cellIndex - 1") == position
        assert f"position {position}," in told(page)
        assert page.locator("code").inner_text() == f"my_layer, my_position = {layer}, {position}"
    box, frame = chosen.bounding_box(), page.locator(".lens").bounding_box()
    assert box is not None
    assert frame is not None
    assert frame["x"] <= box["x"] <= box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    for _ in range(3):
        page.keyboard.press("Tab")
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.localName"))
    assert reached == ["select", "input", "button", "button"]


def test_each_control_has_a_name(page: Page) -> None:
    assert page.get_by_role("region", name="What <b>each</b> says").count() == 1
    assert page.get_by_role("combobox", name="draw").count() == 1
    assert page.get_by_role("searchbox", name="track").count() == 1
    assert page.get_by_role("button", name="what followed").count() == 1
    assert page.get_by_role("table", name="most probable here: choose to track").count() == 1
    assert page.get_by_role("img", name=re.compile("after position .* at first")).count() == 1
    suppressed = page.evaluate(
        "[...document.querySelectorAll('button, select, input, [tabindex]')].every("
        "node => node.dataset.lmSuppressShortcuts === 'true')"
    )
    assert suppressed


def path_on_the_chart(page: Page) -> list[float]:
    """Values of the dots, read off the axis from its first and last tick."""
    found = page.evaluate("""() => {
      const chart = document.querySelector("svg[role=img]");
      const lines = [...chart.querySelectorAll("line")].map(l => Number(l.getAttribute("y1")));
      const labels = [...chart.querySelectorAll("text[text-anchor=end]")].map(t => t.textContent);
      const dots = [...chart.querySelectorAll("circle")].map(c => Number(c.getAttribute("cy")));
      return {lines, labels, dots};
    }""")
    ticks = [float(label.replace(",", "")) for label in found["labels"]]
    (a, *_, b), (low, *_, high) = found["lines"], ticks
    return [low + (y - a) / (b - a) * (high - low) for y in found["dots"]]


def test_the_path_of_what_followed(page: Page, lens: LogitLens) -> None:
    position = 4
    cell(page, L, position).click()
    after = lens.meta["ids"][position + 1]
    true = lens.scores[:, position, after].numpy()
    assert path_on_the_chart(page) == pytest.approx(true, abs=1e-3)
    page.get_by_label("draw").select_option("rank")
    ranks = [numbers(lens, layer, position)["rank"] for layer in range(L + 1)]
    height = [1 + 9 * np.log10(rank) for rank in ranks]  # as far down as the chart has it
    most = int(np.ceil(np.log10(max(ranks)) - 1e-9)) or 1
    assert path_on_the_chart(page) == pytest.approx(
        [1 + (h - 1) / 9 / most * (10**most - 1) for h in height], abs=1e-3
    )


def test_a_page_by_itself_says_what_it_lacks(page: Page, lens: LogitLens) -> None:
    followed = lens.meta["ids"][lens.position + 1]
    other = next(
        row
        for row in page.locator(".top button").all()
        if row.inner_text() != lens.meta["names"][str(followed)]
    )
    other.click()
    needs = "a token other than what followed needs the notebook"
    assert page.get_by_role("img", name=re.compile(needs)).count() == 1
    page.get_by_role("searchbox").fill("zebra")
    page.get_by_role("searchbox").press("Enter")
    assert told(page) == needs
    page.get_by_role("grid").press("Escape")
    assert page.get_by_role("img", name=re.compile("at first")).count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_token_can_be_read(
    browser: Page, lens: LogitLens, tmp_path: Path, scheme: Any
) -> None:
    browser.emulate_media(color_scheme=scheme)
    with opened(browser, lens, tmp_path) as page:
        assert min(page.evaluate(CONTRAST)) >= 4.5
        assert page.evaluate("document.querySelector('.lk').offsetHeight") < 600
    browser.emulate_media(color_scheme="light")


def test_a_change_of_theme_is_followed(page: Page) -> None:
    before = page.locator(".lens td").first.evaluate("box => box.style.background")
    page.emulate_media(color_scheme="dark")
    other = "before => document.querySelector('.lens td').style.background !== before"
    page.wait_for_function(other, arg=before, timeout=10_000)
    assert min(page.evaluate(CONTRAST)) >= 4.5
    page.emulate_media(color_scheme="light")


def test_bytes_that_are_no_character(browser: Page, tmp_path: Path) -> None:
    lens = lens_of(ByteTokenizer(), HOSTILE)
    with opened(browser, lens, tmp_path) as page:
        heads = page.locator(".lens thead th").all_inner_texts()[1:]
        assert heads == [lens.meta["names"][str(i)] for i in lens.meta["ids"]]
        assert page.locator(".lk b").count() == 0
        assert "⟨D7⟩" in heads


@pytest.fixture
def notebook(browser: Page, lens: LogitLens) -> Page:
    """The script with a fake model that can be spoken to, as in a notebook."""
    browser.goto("about:blank")
    names = ("title", "meta", "layer", "position", "tracked")
    state = {name: getattr(lens, name) for name in names}
    given = {"script": script("logit_lens.js"), "state": state, "cells": coded(lens.cells)}
    browser.evaluate(NOTEBOOK, given)
    return browser


def coded(values: bytes) -> str:
    return base64.b64encode(values).decode("ascii")


def test_python_is_asked_once_for_another_token(notebook: Page, lens: LogitLens) -> None:
    token = next(i for i in range(lens.scores.shape[2]) if i not in lens.meta["ids"][1:])
    notebook.evaluate("token => window.change('tracked', token)", token)
    notebook.get_by_role("grid").press("ArrowUp")
    notebook.get_by_role("grid").press("ArrowUp")
    assert notebook.evaluate("window.sent") == [{"token": token}]
    message, buffers = lens.answer({"token": token}) or ({}, [])
    notebook.evaluate("([m, b]) => window.answer(m, b)", [message, coded(buffers[0])])
    true = lens.scores[:, lens.position, token].numpy()
    assert path_on_the_chart(notebook) == pytest.approx(true, abs=1e-3)
    assert f"; tracked: “{message['name']}” " in told(notebook)
    notebook.get_by_role("grid").press("Escape")
    assert notebook.evaluate("window.held.tracked") == -1
    assert notebook.evaluate("window.sent.length") == 1


def test_a_token_is_found_by_what_it_says(notebook: Page, lens: LogitLens) -> None:
    search = notebook.get_by_role("searchbox")
    for text in (" ", "zebra"):
        search.fill(text)
        search.press("Enter")
        message, buffers = lens.answer(notebook.evaluate("window.sent.at(-1)")) or ({}, [])
        given = [message, *(coded(buffer) for buffer in buffers)]
        notebook.evaluate("([m, b]) => window.answer(m, b)", given)
    space = next(int(i) for i, name in lens.meta["names"].items() if name == "␣")
    assert notebook.evaluate("window.held.tracked") == space
    assert notebook.evaluate("window.sent") == [{"text": " "}, {"text": "zebra"}]
    assert told(notebook) == "No token is “zebra”; a space before it counts."


def test_a_view_that_is_gone_listens_no_more(notebook: Page) -> None:
    assert notebook.evaluate("window.listening()") == 4
    notebook.evaluate("window.end()")
    assert notebook.evaluate("window.listening()") == 0


def test_the_state_is_small(lens: LogitLens) -> None:
    T = len(lens.meta["ids"])
    assert len(lens.cells) == (L + 1) * T * (2 * 4 + 3) * 4
    assert len(json.dumps(lens.meta)) < 1000


CELL = """import torch
from labkit import viz
from labkit.gpt import GPT, GPTConfig
from labkit.tokenizers import CharTokenizer

config = GPTConfig(vocab_size=8, context_length=32, n_layers=2, n_heads=1, d_model=8)
model = GPT(config, generator=torch.Generator().manual_seed(0))
lens = viz.logit_lens(model, "a cab, a bad cab", CharTokenizer.train([" ,abcdz"]))
lens"""
ASK = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const reply = await kernel.requestExecute({code: "", user_expressions: {it: code}}).done;
  return reply.content.user_expressions.it.data["text/plain"];
}"""


def test_in_a_notebook_python_answers_and_hears(browser: Page, tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, work / "lens.ipynb")
    with jupyterlab(work, home) as address:
        browser.goto(address.format("lens.ipynb"))
        browser.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        wait_for(browser, KERNEL_IS_READY)
        wait_for(browser, RUN_ALL)
        search = browser.get_by_role("searchbox", name="track")
        search.fill("z")
        search.press("Enter")
        browser.get_by_role("img", name=re.compile("“z” after position .* at first")).wait_for()
        grid = browser.get_by_role("grid", name=re.compile("most probable"))
        for key in ("Home", "ArrowRight", "ArrowUp", "b", "a"):  # the last two make cells
            grid.press(key)
        chosen = "lens.layer, lens.position, lens.label(lens.tracked)"
        assert browser.evaluate(ASK, chosen) == "(1, 1, 'z')"
        cells = "window.jupyterapp.shell.currentWidget.content.widgets.length"
        assert browser.evaluate(cells) == 1
        browser.evaluate(STOP_KERNEL)
