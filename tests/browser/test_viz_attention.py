"""The attention viewer in a blank Chromium, and its selection in a real JupyterLab."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from playwright.sync_api import Page

from labkit.chromium import find_chromium
from labkit.viz import Attentions, AttentionViewer, attention
from tests.browser.alone import opened
from tests.browser.lab import KERNEL_IS_READY, jupyterlab, wait_for
from tests.test_viz_attention import HOSTILE, random_weights
from viewers.viewer import script

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
INNER = "\nexport { Heads, pool, rowSum, seen, takenTogether };"
LOAD = """async ({script, state}) => {
  document.body.replaceChildren(document.createElement("main"));
  const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
  window.inner = await import(address);
  for (const name of ["weights", "thumbs"])
    state[name] = new DataView(Uint8Array.from(atob(state[name]), c => c.charCodeAt(0)).buffer);
  window.sent = [];
  window.heard = [];
  window.model = {
    get: name => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => window.heard.filter(([e]) => e !== "msg:custom").forEach(([, f]) => f()),
    on: (event, then) => window.heard.push([event, then]),
    off: () => {},
    send: message => window.sent.push(message),
  };
}"""
CONTRAST = """(el) => {
  const part = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(part);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const pair = [light(getComputedStyle(el).color), light(page)];
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""


def loaded(page: Page, viewer: AttentionViewer) -> Page:
    """Put the viewer's script beside a model that notes what is sent."""
    state: dict[str, Any] = {
        name: getattr(viewer, name) for name in ("title", "meta", "layer", "head", "queries")
    }
    for name in ("weights", "thumbs"):
        state[name] = base64.b64encode(getattr(viewer, name)).decode()
    page.goto("about:blank")
    page.evaluate(LOAD, {"script": script("weights.js", "attention.js") + INNER, "state": state})
    return page


def told(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def weight_told(page: Page) -> float:
    found = re.search(r": (-?\d\.\d{4})", told(page))
    assert found, told(page)
    return float(found[1])


@pytest.mark.parametrize("causal", [True, False])
def test_the_script_calculates_what_numpy_does(browser: Page, causal: bool) -> None:
    weights = random_weights(2, 3, 40, 40, causal=causal)
    page = loaded(browser, attention(weights, ["x"] * 40))
    found = page.evaluate("""() => {
      const heads = new inner.Heads(model, () => {});
      const one = heads.get(1, 2);
      return {one: [...one], mean: [...heads.get(1, -1)], thumb: [...heads.thumb(1, 2)],
        sum: inner.rowSum(one, 40, 7), together: [...inner.takenTogether(one, 40, [3, 9, 30])]};
    }""")
    exact = np.rint(weights * 65535) / 65535
    assert np.array(found["one"]).reshape(40, 40) == pytest.approx(exact[1, 2], abs=1e-6)
    mean = np.array(found["mean"]).reshape(40, 40)
    assert mean == pytest.approx(exact[1].mean(axis=0), abs=1e-6)
    assert found["sum"] == pytest.approx(exact[1, 2, 7].sum(), abs=1e-6)
    assert found["together"] == pytest.approx(exact[1, 2][[3, 9, 30]].sum(axis=0), abs=1e-6)
    starts = -(-np.arange(32) * 40 // 32)
    pooled = np.maximum.reduceat(np.maximum.reduceat(exact[1, 2], starts, 0), starts, 1)
    assert np.array(found["thumb"]).reshape(32, 32) == pytest.approx(pooled, abs=1e-6)


def test_small_pictures_of_python_and_of_the_script_are_one(browser: Page) -> None:
    weights = random_weights(12, 12, 100, 100)
    whole = loaded(browser, attention(weights[:1, :1], ["x"] * 100))
    mine = whole.evaluate("() => [...new inner.Heads(model, () => {}).thumb(0, 0)]")
    page = loaded(browser, attention(weights, ["x"] * 100))
    theirs = page.evaluate("() => [...new inner.Heads(model, () => {}).thumb(0, 0)]")
    assert theirs == pytest.approx(mine, abs=0.5 / 127 + 1e-5)


@pytest.mark.parametrize(("scale", "expected"), [("linear", -0.25), ("root", -0.5), ("row", -0.5)])
def test_scales(browser: Page, scale: str, expected: float) -> None:
    page = loaded(browser, attention(random_weights(1, 1, 2, 2), "ab"))
    assert page.evaluate("scale => inner.seen(-0.25, 0.5, scale)", scale) == expected


def test_every_weight_can_be_reached_by_keys_alone(browser: Page, tmp_path: Path) -> None:
    weights = random_weights(2, 3, 4, 4, causal=True)
    with opened(browser, attention(weights, list("abcd")), tmp_path) as page:
        page.keyboard.press("Tab")
        for _ in range(30):
            if page.evaluate(
                "document.activeElement.getAttribute('aria-label')?.includes('4 × 4')"
            ):
                break
            page.keyboard.press("Tab")
        assert "head 0 of layer 0, 4 × 4" in str(
            page.evaluate("document.activeElement.getAttribute('aria-label')")
        )
        assert weight_told(page) == pytest.approx(weights[0, 0, 3, 3], abs=6e-5)
        page.keyboard.press("]")
        page.keyboard.press(".")
        page.keyboard.press(".")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowUp")
        assert told(page).startswith("layer 1, head 2: c (2) → c (2): ")
        assert weight_told(page) == pytest.approx(weights[1, 2, 2, 2], abs=6e-5)
        assert "the row adds to 1.00" in told(page)
        page.keyboard.press("ArrowRight")
        assert "c (2) → d (3): masked" in told(page)
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        line = page.locator("code")
        assert line.inner_text() == "my_head = (1, 2); my_tokens = [2, 3]"
        both = weights[1, 2, 2, 3] + weights[1, 2, 3, 3]
        assert f"the 2 kept queries take {both:.4f}" in told(page)
        page.keyboard.press("Escape")
        assert line.inner_text() == "my_head = (1, 2)"
        for key, end in [("[", "(0, 2)"), ("[", "(1, 2)"), (".", "(1, 0)"), (",", "(1, 2)")]:
            page.keyboard.press(key)
            assert line.inner_text().endswith(end)


def test_mouse_and_controls(browser: Page, tmp_path: Path) -> None:
    weights = random_weights(2, 3, 4, 4)
    with opened(browser, attention(weights, list("abcd")), tmp_path) as page:
        heads = page.get_by_role("img", name="2 layers of 3 heads")
        heads.click(position={"x": 26 + 72 * 2 + 20, "y": 18 + 72 + 20})
        assert page.locator("code").inner_text() == "my_head = (1, 2)"
        page.get_by_label("mean over heads").check()
        mean = weights[1].mean(axis=0)[3, 3]
        assert weight_told(page) == pytest.approx(mean, abs=6e-5)
        assert page.locator("code").inner_text() == 'my_head = (1, "mean")'
        page.get_by_label("mean over heads").uncheck()
        page.get_by_label("order of heads").select_option("entropy")
        heads.click(position={"x": 36, "y": 30})
        entropy = -(weights * np.log2(weights)).sum(-1).mean(-1)
        layer, head = np.unravel_index(entropy.argmax(), entropy.shape)
        assert page.locator("code").inner_text() == f"my_head = ({layer}, {head})"
        page.get_by_role("button", name="lines").click()
        assert page.locator("svg line").count() == sum(weights[layer, head, 3] >= 0.002)
        page.get_by_label("hide first token").check()
        assert page.locator("svg line").count() == sum(weights[layer, head, 3, 1:] >= 0.002)


def test_everything_has_a_name(browser: Page, tmp_path: Path) -> None:
    with opened(browser, attention(random_weights(2, 2, 3, 3), "abc"), tmp_path) as page:
        nameless = page.evaluate("""() => [...document.querySelectorAll(
            "button, select, input, canvas, [tabindex]")]
          .filter(el => !el.getAttribute("aria-label") && !el.textContent.trim()
            && !(el.labels?.[0]?.textContent.trim()))
          .filter(el => el.offsetParent).map(el => el.outerHTML)""")
        assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(browser: Page, tmp_path: Path, scheme: Any) -> None:
    browser.emulate_media(color_scheme=scheme)
    with opened(browser, attention(random_weights(2, 2, 3, 3), "abc"), tmp_path) as page:
        for chosen in ("h4", ".told", "button", "select", "code", "small"):
            assert page.locator(chosen).first.evaluate(CONTRAST) >= 4.5, chosen
    browser.emulate_media(color_scheme="light")


def test_tokens_are_text_whatever_they_hold(browser: Page, tmp_path: Path) -> None:
    viewer = attention(random_weights(1, 2, 9, 9), HOSTILE, title="<img src=x>")
    with opened(browser, viewer, tmp_path) as page:
        assert page.locator("h4").inner_text() == "<img src=x>"
        assert page.locator(".lk b, .lk img:not([role])").count() == 0
        page.get_by_role("button", name="lines").click()
        shown = page.locator("svg text").all_text_contents()
        assert {"<b>", "</script>", "שלום", "∅", "⏎"} <= set(shown)


@pytest.mark.parametrize("T", [1, 2048])
def test_one_token_and_two_thousand(browser: Page, tmp_path: Path, T: int) -> None:
    viewer = attention(random_weights(1, 1, T, T, causal=True), ["a"] * T)
    with opened(browser, viewer, tmp_path) as page:
        assert f"a ({T - 1}) → a ({T - 1})" in told(page)
        assert "the row adds to 1.00" in told(page)
        page.get_by_role("button", name="lines").click()
        assert page.locator("svg text").count() == 2 * min(T, 100)


def test_what_cannot_be_right_is_told_at_once(browser: Page, tmp_path: Path) -> None:
    weights = random_weights(1, 2, 3, 3)
    weights[0, 1, 2, 0] = np.nan
    with opened(browser, attention(weights, "abc"), tmp_path) as page:
        alert = page.get_by_role("alert").inner_text()
        page.get_by_role("img", name="2 heads").focus()
        page.keyboard.press(".")
        expected = np.nan_to_num(weights)[0, 1, 2].sum()
        assert f"the row adds to {expected:.4f}" in told(page)
    assert alert.startswith("No attention: layer 0, head 1, query c (2) holds a number")


def test_a_difference_is_told_with_its_sign(browser: Page, tmp_path: Path) -> None:
    mine, theirs = (
        Attentions(random_weights(1, 1, 3, 3, seed=seed), tuple("abc"), tuple("abc"))
        for seed in (1, 2)
    )
    change = mine.minus(theirs)
    with opened(browser, attention(change), tmp_path) as page:
        assert weight_told(page) == pytest.approx(change.weights[0, 0, 2, 2], abs=6e-5)
        assert "adds to" not in told(page)
        assert "red: less" in page.get_by_label("scale of colours").inner_text()


def test_a_head_is_fetched_when_it_is_looked_at(browser: Page) -> None:
    weights = random_weights(12, 12, 100, 100)
    viewer = attention(weights, ["x"] * 100)
    page = loaded(browser, viewer)
    page.evaluate("() => inner.default.render({model, el: document.querySelector('main')})")
    assert page.evaluate("sent") == []
    page.evaluate("() => { model.set('head', 4); model.save_changes(); }")
    assert page.evaluate("sent.at(-1)") == {"ask": [0, 4]}
    assert told(page) == "fetching the head …"
    answer = viewer.answer({"ask": [0, 4]})
    assert answer is not None
    page.evaluate(
        """([message, data]) => {
          const bytes = new DataView(Uint8Array.from(atob(data), c => c.charCodeAt(0)).buffer);
          heard.filter(([e]) => e === "msg:custom").forEach(([, f]) => f(message, [bytes]));
        }""",
        [answer[0], base64.b64encode(answer[1][0]).decode()],
    )
    assert weight_told(page) == pytest.approx(weights[0, 4, 99, 99], abs=6e-5)


@pytest.mark.parametrize("kind", ["PNG", "SVG"])
def test_pictures_to_keep(browser: Page, tmp_path: Path, kind: str) -> None:
    with opened(browser, attention(random_weights(1, 2, 5, 5), "ab<d&"), tmp_path) as page:
        with page.expect_download() as download:
            page.get_by_role("button", name=kind).click()
        data = Path(download.value.path()).read_bytes()
    if kind == "PNG":
        assert data.startswith(b"\x89PNG")
    else:
        assert data.startswith(b"<svg")
        assert data.count(b"<rect") == 25
        assert b"&lt;" in data


def test_a_page_to_keep_is_asked_of_python(browser: Page) -> None:
    page = loaded(browser, attention(random_weights(1, 2, 3, 3), "abc"))
    page.evaluate("() => inner.default.render({model, el: document.querySelector('main')})")
    page.get_by_role("button", name="HTML").click()
    assert page.evaluate("sent") == [{"ask": "html"}]
    with page.expect_download() as download:
        page.evaluate(
            """() => heard.filter(([e]) => e === "msg:custom")
              .forEach(([, f]) => f({file: "kept.html", html: "<p>kept</p>"}, []))"""
        )
    assert download.value.suggested_filename == "kept.html"
    assert Path(download.value.path()).read_text() == "<p>kept</p>"


MAKE = """import numpy as np
from labkit.viz import attention
weights = np.random.default_rng(0).dirichlet(np.ones(4), size=(2, 3, 4)).astype("float32")
seen = attention(weights, list("abcd"))
seen"""


RUN = "async () => { await window.jupyterapp.commands.execute('notebook:run-cell'); }"


def ran(page: Page, cell: int) -> str:
    """Run one cell of the open notebook; the text of its value."""
    content = "window.jupyterapp.shell.currentWidget.content"
    page.evaluate(f"() => {{ {content}.activeCellIndex = {cell}; }}")
    wait_for(page, RUN)
    outputs = page.evaluate(f"() => {content}.widgets[{cell}].model.outputs.toJSON()")
    return str(outputs[0]["data"]["text/plain"])


def test_what_is_chosen_reaches_python_and_keys_stay_inside(browser: Page, tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    cells = [
        nbformat.v4.new_code_cell(code) for code in (MAKE, "[seen.layer, seen.head, seen.queries]")
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, work / "attention.ipynb")
    errors: list[str] = []
    with jupyterlab(work, home) as address:
        page = browser
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address.format("attention.ipynb"))
        page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        wait_for(page, KERNEL_IS_READY)
        wait_for(page, RUN)
        matrix = page.get_by_role("img", name="head 0 of layer 0")
        matrix.wait_for()
        matrix.focus()
        for key in ["]", ".", ".", "b", "a", "ArrowDown", "ArrowUp", "Enter", "d", "d"]:
            page.keyboard.press(key)
        page.get_by_text("my_head = (1, 2); my_tokens = [2]").wait_for()
        count = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
        assert page.evaluate(count) == 2
        assert page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex") == 0
        # JupyterLab keeps a change back while the kernel is busy with the one before it, so the
        # cell may overtake the last key: it is run until what it says stays the same.
        said = ["", ran(page, 1)]
        while said[-1] != said[-2]:
            said.append(ran(page, 1))
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    assert json.loads(said[-1]) == [1, 2, [2]]
    assert errors == []
