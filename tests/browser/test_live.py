"""The live loss curve: its script alone in a blank Chromium, then whole in a real JupyterLab."""

import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from playwright.sync_api import Page

from labkit.chromium import find_chromium
from labkit.viz import live
from tests.browser.lab import jupyterlab, run_all

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

SCRIPT = Path(live.__file__).with_name("live.js").read_text(encoding="utf-8")
TITLE = "Less <b>surprise</b>"
MAKE = """async ({script, look}) => {
  document.body.replaceChildren();
  const address = URL.createObjectURL(new Blob([script], {type: "text/javascript"}));
  const widget = (await import(address)).default();
  const heard = [];
  const model = {get: name => ({look})[name], on: (event, handler) => heard.push([event, handler])};
  widget.initialize({model});
  window.say = (rows, more = {}) => heard.filter(([event]) => event === "msg:custom")
    .forEach(([, handler]) => handler({rows, ...more}));
  window.show = () => {
    const el = document.createElement("div");
    document.body.append(el);
    return widget.render({model, el});
  };
}"""
DRAWN = """() => {
  const numbers = (chosen, ...names) => [...document.querySelectorAll(chosen)].map(
    node => names.map(name => Number(node.getAttribute(name))));
  const ticks = chosen => [...document.querySelectorAll(chosen)].map(
    node => Number(node.textContent.replaceAll(",", "")));
  return {
    circles: numbers("circle", "cx", "cy"),
    squares: numbers("rect", "x", "y", "width", "height"),
    curves: document.querySelectorAll("path.curve").length,
    x: {texts: ticks(".x-tick"), places: numbers(".x-tick", "x")},
    y: {texts: ticks(".y-tick"), places: numbers(".y-tick", "y")},
    text: document.body.textContent,
    markup: document.body.innerHTML,
    label: document.querySelector("svg").getAttribute("aria-label"),
  };
}"""


@pytest.fixture
def page(quiet: Page) -> Page:
    """A blank page that holds the script with a fake model."""
    quiet.evaluate(MAKE, {"script": SCRIPT, "look": live._look(TITLE, "updates", "bits")})
    return quiet


def say(page: Page, *rows: Any) -> None:
    page.evaluate("rows => window.say(rows)", list(rows))


def drawn(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(DRAWN)
    assert not re.search("NaN|Infinity|undefined", found["markup"])
    return found


def read_off(axis: dict[str, Any], places: Any) -> Any:
    """Read values off an axis as a reader does, from its ticks: a line through two of them."""
    ticks = np.array(axis["places"])[:, 0]
    slope, start = np.polyfit(ticks, axis["texts"], 1)
    assert np.allclose(slope * ticks + start, axis["texts"])
    return slope * np.asarray(places) + start


def losses_on_the_picture(found: dict[str, Any]) -> list[Any]:
    """(x, value) of each circle, and of each square's centre."""
    label_below_line = 5  # a y tick's text stands so many pixels below its line
    circles = np.array(found["circles"]).reshape(-1, 2)
    squares = np.array(found["squares"]).reshape(-1, 4)
    places = [circles, squares[:, :2] + squares[:, 2:] / 2]
    return [
        np.stack([read_off(found["x"], x), read_off(found["y"], y + label_below_line)], axis=1)
        for x, y in (place.T for place in places)
    ]


def test_values_can_be_read_off_the_axes(page: Page) -> None:
    rows: list[list[Any]] = [[0, None, 6.3], [50, 4.1, 3.9], [100, 3.55, 3.62], [150, 3.31, 3.4]]
    page.evaluate("() => { window.show(); }")
    say(page, *rows[:1])
    say(page, *rows[1:])
    found = drawn(page)
    training, held_out = losses_on_the_picture(found)
    assert training == pytest.approx(np.array([(x, a) for x, a, _ in rows[1:]]), abs=0.1)
    assert held_out[:, 1] == pytest.approx([b for _, _, b in rows], abs=0.01)
    assert found["curves"] == 2


def test_rows_that_came_before_the_view_are_drawn(page: Page) -> None:
    say(page, [0, 5, 5], [1, 4, 4])
    page.evaluate("() => { window.show(); }")
    assert len(drawn(page)["circles"]) == 2


def test_axes_follow_the_data(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    say(page, [0, 2.0, 2.0], [10, 1.9, 1.9])
    before = drawn(page)
    say(page, [5000, 300.0, 0.1])
    after = drawn(page)
    assert max(before["x"]["texts"]) == 10
    assert max(after["x"]["texts"]) >= 5000
    assert max(after["y"]["texts"]) >= 300
    for across, up in after["circles"]:
        assert 72 <= across <= 820 - 24
        assert 48 <= up <= 380 - 56


def test_it_says_what_it_is_and_what_came_last(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    assert page.get_by_role("img", name="waiting for the first evaluation").count() == 1
    say(page, [0, None, 6.3], [1200, 3.0004, 3.25])
    name = f"{TITLE} (bits against updates): training 3, held out 3.25 at 1,200 updates"
    assert page.get_by_role("img", name=name, exact=True).count() == 1
    text = drawn(page)["text"]
    assert TITLE in text  # as it is written: a title is not markup
    assert "held out 3.25" in text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[0, None, None]],
        [[0, None, 3.0]],
        [[0, 3.0, 3.0], [1, 3.0, 3.0]],
        [[0, 3.0, 3.0], [1, None, None], [2, 2.0, None]],
        [[5, 0.0, 0.0]],
        [[0, 1e9, -1e-9], [1e7, 1e-9, 5.0]],
    ],
)
def test_odd_rows_draw_what_they_hold(page: Page, rows: list[Any]) -> None:
    page.evaluate("() => { window.show(); }")
    say(page, *rows)
    found = drawn(page)
    assert len(found["circles"]) == sum(row[1] is not None for row in rows)
    assert len(found["squares"]) == sum(row[2] is not None for row in rows)


def test_a_gap_parts_the_line(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    say(page, [0, 3.0, None], [1, None, None], [2, 2.0, None], [3, 1.0, None])
    path = page.locator("path.curve").get_attribute("d") or ""
    assert re.sub("[^ML]", "", path) == "MML"


def test_a_view_that_is_gone_is_drawn_no_more(page: Page) -> None:
    page.evaluate("() => { window.end = window.show(); }")
    page.evaluate("() => window.end()")
    say(page, [0, 3.0, 3.0])
    assert drawn(page)["circles"] == []


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_by_itself(page: Page, motion: Any) -> None:
    page.emulate_media(reduced_motion=motion)
    page.evaluate("() => { window.show(); }")
    say(page, [0, 3.0, 3.0], [1, 2.0, 2.0])
    before = drawn(page)["markup"]
    assert page.evaluate("() => document.getAnimations().length") == 0
    page.wait_for_timeout(200)
    assert drawn(page)["markup"] == before


def test_text_takes_the_colour_of_the_theme(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    colours = []
    for colour in ("rgb(1, 2, 3)", "rgb(250, 251, 252)"):
        page.evaluate("c => document.body.style.setProperty('--jp-content-font-color1', c)", colour)
        colours.append(
            page.evaluate("() => getComputedStyle(document.querySelector('svg text')).fill")
        )
    assert colours == ["rgb(1, 2, 3)", "rgb(250, 251, 252)"]


def test_pace_and_progress_stand_below_the_curve(page: Page) -> None:
    page.evaluate("() => window.show()")
    status = "() => { const bar = document.querySelector('progress');"
    status += " return [bar.parentElement.hidden, bar.value, bar.parentElement.textContent]; }"
    assert page.evaluate(status) == [True, 0, ""]
    said = "step 5 of <b>20</b>: 900 tokens/s, 3 s left"
    page.evaluate("said => window.say([[5, 2, 3]], {says: said, done: 0.25})", said)
    assert page.evaluate(status) == [False, 0.25, said]


def strips(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("""() => {
      const svg = document.querySelectorAll("svg")[1];
      return {
        shown: getComputedStyle(svg).display,
        label: svg.getAttribute("aria-label"),
        texts: [...svg.querySelectorAll("text")].map(text => text.textContent),
        paths: [...svg.querySelectorAll("path.strip")].map(path => path.getAttribute("d")),
        size: svg.getAttribute("viewBox").split(" ").map(Number),
      };
    }""")
    return found


def test_strips_below_the_loss_share_its_axis(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    say(page, [0, None, 6.3, 1e-3, None, None])
    assert strips(page)["label"] == "learning rate 0.001"
    say(page, [50, 4.1, 3.9, 5e-4, 8.0, 12000], [100, 3.5, 3.6, 2.5e-4, 2.0, 15000])
    found = strips(page)
    assert found["label"] == "learning rate 0.00025, gradient norm 2, tokens/s so far 15,000"
    assert found["texts"] == [
        *("learning rate 0.00025", "highest 0.001"),
        *("gradient norm 2", "highest 8"),
        *("tokens/s so far 15,000", "highest 15,000"),
    ]
    points = [
        np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path), float) for path in found["paths"]
    ]
    losses = drawn(page)["squares"]
    assert points[0][:, 0] == pytest.approx([x + width / 2 for x, _, width, _ in losses], abs=0.1)
    each: list[list[float]] = [[1, 0.5, 0.25], [8, 2], [12, 15]]
    for i, values in enumerate(each):
        zero, top = (i + 1) * 40 - 4, i * 40 + 18
        shares = (zero - points[i][:, 1]) / (zero - top)
        assert shares == pytest.approx(np.array(values) / max(values), abs=0.01)
    assert found["size"] == [0, 0, 820, 120]
    assert len(drawn(page)["circles"]) == 2  # the loss alone has dots


def test_without_their_numbers_there_are_no_strips(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    say(page, [0, 3.0, 3.0], [1, 2.0, 2.0, None, None, None])
    assert strips(page) | {"size": None} == {
        "shown": "none",
        "label": "",
        "texts": [],
        "paths": [],
        "size": None,
    }


def test_what_the_model_writes_is_text(page: Page) -> None:
    page.evaluate("() => { window.show(); }")
    assert page.locator("figure").is_hidden()
    text = "<b>Once</b>\n  upon </script> אב 👩‍👩‍👧"
    said = {"sample": text, "sampled": "written at step 1,200"}
    page.evaluate("said => window.say([[0, 3, 3]], said)", said)
    say(page, [1, 2.0, 2.0])  # without a new text, the last one stays
    group = page.get_by_role("group", name="written at step 1,200")
    assert group.evaluate("group => group.textContent") == text
    assert page.locator("figcaption").inner_text() == "written at step 1,200"
    assert page.locator("b").count() == 0
    group.focus()
    assert page.evaluate("document.activeElement.dataset.lmSuppressShortcuts") == "true"
    page.evaluate("() => window.say([[2, 2, 2]], {sample: 'Then', sampled: 'written at step 2'})")
    assert page.locator("figure").inner_text().split("\n") == ["written at step 2", "Then"]


TRAINING = """import time
import torch
from labkit import viz
from labkit.gpt import GPT, GPTConfig
from labkit.training import TrainConfig, train

ids = torch.arange(400) % 7
config = GPTConfig(vocab_size=7, context_length=8, n_layers=1, n_heads=1, d_model=8)
model = GPT(config, generator=torch.Generator().manual_seed(0))
plan = TrainConfig(max_steps=20, batch_size=4, context_length=8, evaluate_every=2)


def slowed(records):
    for record in records:
        yield record
        time.sleep(0.25)


records = viz.watch(slowed(train(model, ids, ids, plan)), title="Twenty steps",
                    sample=lambda: "<b>zebra")"""
NOTE_THE_MOST = """setInterval(() => {
  const svg = document.querySelector('.jp-OutputArea svg[role=img]');
  const points = svg ? svg.querySelectorAll('rect').length : 0;
  if (points >= (window.mostPoints ?? 0)) window.mostPoints = points;
  if (points > 0) window.lastName = svg.getAttribute('aria-label');
  const bar = document.querySelector('.jp-OutputArea progress');
  if (bar?.value > 0) window.pace = bar.parentElement.textContent;
  window.figure = document.querySelector('.jp-OutputArea figure')?.innerText || window.figure;
}, 50)"""


def test_a_cell_that_trains_shows_its_curve(browser: Page, tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    cells = [nbformat.v4.new_code_cell(code) for code in (TRAINING, "len(records)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, work / "training.ipynb")
    browser.add_init_script(NOTE_THE_MOST)
    with jupyterlab(work, home) as address:
        visit = run_all(browser, address, "training.ipynb")
        most, name, pace, figure = browser.evaluate(
            "() => [window.mostPoints, window.lastName, window.pace, window.figure]"
        )
    assert visit.errors() == []
    assert visit.console_errors == []
    assert visit.left_the_machine == []
    assert visit.pictures_not_drawn == []
    assert visit.cells[1]["outputs"][0]["data"]["text/plain"] == "11"
    assert most == 11
    assert name.startswith("Twenty steps (loss, nats per token against updates): training ")
    assert re.fullmatch(r"step \d+ of 20: training loss .* [\d,]+ tokens/s, \d+ s left", pace)
    assert re.fullmatch(r"written at step \d+\s+<b>zebra", figure)
    assert "zebra" not in str(visit.cells)
    kinds = {kind for output in visit.cells[0]["outputs"] for kind in output["data"]}
    assert "application/vnd.plotly.v1+json" in kinds
    assert not any("widget" in kind for kind in kinds)  # which no later reader could open
