"""The viewers of writing in a blank Chromium: their numbers are Python's, and keys are enough."""

import ast
import base64
import inspect
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anywidget import AnyWidget
from playwright.sync_api import Page
from scipy import stats
from torch import Tensor

from labkit import generation
from labkit.chromium import find_chromium
from labkit.viz import compare, sampling
from tests.browser.alone import opened
from tests.test_viz_writing import HOSTILE, LETTERS, Odd, bigram, comparison, gpt
from viewers import viewer
from viewers.viewer import Viewer

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

FILTERS = (Path(viewer.__file__).parent / "filters.js").read_text(encoding="utf-8")
RECKON = """({script, cases}) => {
  const reckon = new Function(`${script}; return underSettings`)();
  return cases.map(({logits, ids, settings}) => {
    const packed = Uint8Array.from(atob(logits), c => c.charCodeAt(0));
    const found = reckon(new Float32Array(packed.buffer), ids, settings);
    const [own, before, now] = ["own", "before", "now"].map(name => [...found[name]]);
    const kept = [...found.order.subarray(0, found.n)].sort((a, b) => a - b);
    return {own, before, now, kept, mass: found.mass};
  });
}"""
DRAW_MANY = """({script, logits, settings, seed, n}) => {
  const make = `${script}; return [underSettings, chance, draw]`;
  const [reckon, chance, draw] = new Function(make)();
  const seen = reckon(Float32Array.from(logits), [], settings);
  const random = chance(seed);
  return Array.from({length: n}, () => draw(seen, random()));
}"""
SHOW = """({script, state}) => {
  document.body.replaceChildren();
  const heard = [];
  const fire = (name, ...rest) =>
    heard.filter(([event]) => event === name).forEach(([, then]) => then(...rest));
  const bytes = text => new DataView(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
  const parsed = value => typeof value?.bytes === "string" ? bytes(value.bytes) : value;
  const take = changes => Object.entries(changes).forEach(([name, value]) => {
    if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
    state[name] = parsed(value);
    fire(`change:${name}`);
  });
  for (const [name, value] of Object.entries(state)) state[name] = parsed(value);
  window.take = take;
  window.asked = [];
  const model = {
    get: name => state[name],
    set: (name, value) => take({[name]: value}),
    save_changes: () => {},
    on: (event, then) => heard.push([event, then]),
    off: (event, then) => heard.splice(heard.findIndex(pair => pair[1] === then), 1),
    send: asked => {
      window.asked.push(asked);
      window.askPython(asked).then(({messages, changes}) => {
        take(changes);
        for (const {message, buffers} of messages) fire("msg:custom", message, buffers.map(bytes));
      });
    },
  };
  window.state = state;
  window.heard = heard;
  const widget = new Function(script.replace("export default", "return"))();
  const el = document.createElement("div");
  window.end = widget.render({model, el}); // as in JupyterLab: before it is part of the page
  document.body.append(el);
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, select, [role=option]")]
  .filter(node => !node.ariaLabel && !node.textContent.trim() && !node.labels?.length)
  .map(node => node.outerHTML)"""
RUNS = """lines => lines.map(
  line => [...line.querySelectorAll(":scope > button")].map(token => token.innerText))"""
LEAKING = """() => {
  window.leaked = [];
  document.addEventListener("keydown", event => window.leaked.push(event.key));
}"""
UNGUARDED = """() => [...document.querySelectorAll("button, input, [tabindex]")]
  .filter(node => !node.closest("[data-lm-suppress-shortcuts]")).map(node => node.outerHTML)"""


class Kernel:
    """A viewer's Python side, as a page with a fake model reaches it."""

    def __init__(self) -> None:
        self.viewer: Viewer | None = None

    def ask(self, asked: Any) -> dict[str, Any]:
        """What the viewer answers, and which of its values have changed by it."""
        assert self.viewer is not None
        told: list[Any] = []
        before = state_of(self.viewer)

        def send(content: Any, buffers: Any = ()) -> None:
            packed = [base64.b64encode(part).decode() for part in buffers or ()]
            told.append({"message": content, "buffers": packed})

        self.viewer.send = send
        self.viewer._answer(self.viewer, asked, [])
        after = state_of(self.viewer)
        return {"messages": told, "changes": {k: v for k, v in after.items() if v != before[k]}}


def state_of(shown: Viewer) -> dict[str, Any]:
    names = set(shown.trait_names(sync=True)) - set(AnyWidget.class_trait_names())
    return {n: viewer._storable(getattr(shown, n)) for n in sorted(names) if n[0] != "_"}


@pytest.fixture(scope="module")
def kernel(browser: Page) -> Kernel:
    made = Kernel()
    browser.expose_function("askPython", made.ask)
    return made


@pytest.fixture
def page(quiet: Page) -> Page:
    """The blank page."""
    quiet.set_default_timeout(5_000)
    quiet.goto("about:blank")
    return quiet


def show(page: Page, kernel: Kernel, shown: Viewer) -> None:
    kernel.viewer = shown
    page.evaluate(SHOW, {"script": str(shown._esm), "state": state_of(shown)})


def settle(page: Page, n_ids: int) -> list[int]:
    """Wait until the chosen text has so many tokens, and return it."""
    page.wait_for_function("n => window.state.ids.length === n", arg=n_ids)
    found: list[int] = page.evaluate("() => window.state.ids")
    return found


def focused(page: Page) -> str:
    name: str = page.evaluate(
        "() => document.activeElement.ariaLabel ?? document.activeElement.textContent"
    )
    return name


def by_python(logits: Tensor, ids: list[int], settings: dict[str, Any]) -> dict[str, Tensor]:
    """What labkit.generation's own filters make of logits (V,)."""
    rows, temperature = logits[None], settings["temperature"]
    if settings["repetition_penalty"] != 1:
        seen = torch.tensor([ids])
        rows = generation.penalise_repetition(rows, seen, settings["repetition_penalty"])
    before = rows if temperature == 0 else generation.apply_temperature(rows, temperature)
    filters = (settings[name] for name in ("top_k", "top_p", "min_p"))
    left = generation._filtered(rows, temperature, *filters)
    return {
        "own": logits.double().softmax(0),
        "before": before[0].double().softmax(0),
        "now": left[0].double().softmax(0),
        "kept": (left[0] > -torch.inf).nonzero()[:, 0],
    }


def all_settings() -> list[dict[str, Any]]:
    names = ("repetition_penalty", "temperature", "top_k", "top_p", "min_p")
    values = [(1, 1.3), (0, 0.3, 1, 1.7), (None, 1, 7, 100), (None, 0.5, 0.95), (None, 0.05, 1)]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]


def some_logits(kind: str) -> Tensor:
    rng = torch.Generator().manual_seed(7)
    logits = 4 * torch.randn(60, generator=rng)
    if kind == "tied":
        return logits.round()
    if kind == "alike":
        return torch.zeros(60)
    if kind == "alike, exactly":
        return torch.zeros(8)  # four of these are exactly half
    if kind == "impossible":
        return torch.where(logits < 0, -torch.inf, logits)
    return logits if kind == "any" else logits.log_softmax(0)


@pytest.mark.parametrize(
    "kind", ["any", "log-probabilities", "tied", "alike", "alike, exactly", "impossible"]
)
def test_filters_keep_what_labkit_keeps(page: Page, kind: str) -> None:
    logits, ids = some_logits(kind), [3, 5, 5, 7]
    packed = base64.b64encode(logits.numpy().tobytes()).decode()
    tried = all_settings()
    cases = [{"logits": packed, "ids": ids, "settings": settings} for settings in tried]
    found = page.evaluate(RECKON, {"script": FILTERS, "cases": cases})
    for settings, mine in zip(tried, found, strict=True):
        theirs = by_python(logits, ids, settings)
        assert mine["kept"] == theirs["kept"].tolist(), settings
        for name in ("own", "before", "now"):
            assert mine[name] == pytest.approx(theirs[name].numpy(), abs=1e-6), settings
        assert mine["mass"] == pytest.approx(float(theirs["before"][theirs["kept"]].sum()))


def test_settings_bear_the_names_that_generate_takes(page: Page) -> None:
    off = page.evaluate("script => new Function(`${script}; return OFF`)()", FILTERS)
    parameters = inspect.signature(generation.generate).parameters
    assert off == {name: parameters[name].default for name in off}


@pytest.mark.parametrize("seed", [0, 1, 2**31])
def test_draws_follow_the_probabilities(page: Page, seed: int) -> None:
    settings = all_settings()[0] | {"temperature": 1.0, "top_k": 5}
    logits = [0.0, 2.0, 1.0, -1.0, 0.5, -9.0, 1.5]
    asked = {"script": FILTERS, "logits": logits, "settings": settings, "seed": seed, "n": 20_000}
    drawn = page.evaluate(DRAW_MANY, asked)
    theirs = by_python(torch.tensor(logits), [0], settings)
    counts, kept = np.bincount(drawn, minlength=7), theirs["kept"].numpy()
    assert counts.sum() == counts[kept].sum() == 20_000
    expected = 20_000 * theirs["now"].numpy()[kept]
    assert stats.chisquare(counts[kept], expected).pvalue > 1e-3
    assert page.evaluate(DRAW_MANY, asked) == drawn


def test_neighbouring_seeds_draw_apart(page: Page) -> None:
    make = "script => new Function(`${script}; return chance`)()"
    first = page.evaluate(
        f"script => Array.from({{length: 5000}}, (_, seed) => ({make})(script)(seed)())", FILTERS
    )
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05


def test_by_itself_the_settings_work_and_stepping_says_what_it_needs(
    browser: Page, tmp_path: Path
) -> None:
    shown = sampling(bigram(), LETTERS, "ab")
    with opened(browser, shown, tmp_path) as page:
        told = page.locator("[role=status]").first
        assert told.inner_text().startswith("kept: 3 of 3 tokens, 100.0 % before the cuts")
        page.get_by_label("top-k").focus()
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        # 3/8 and 3/8 of the model; two alike are one bit.
        assert told.inner_text() == (
            "kept: 2 of 3 tokens, 75.0 % before the cuts; "
            "entropy: 1.56 bits of the model → 1.00 now"
        )
        cut = page.locator("tr", has_text="top-k")
        assert "cut: top-k" in (cut.get_by_role("button").get_attribute("aria-label") or "")
        line = page.locator("code").inner_text().replace("; ", "\n")
        values = {node.targets[0].id: node.value for node in ast.parse(line).body}  # type: ignore[attr-defined]
        assert ast.literal_eval(values["my_text"]) == "ab"
        settings = {
            word.arg: ast.literal_eval(word.value) for word in values["my_settings"].keywords
        }
        assert settings == all_settings()[0] | {"temperature": 1, "top_k": 2}
        page.locator("tbody button").first.click()
        assert "open the notebook" in page.locator("[role=status]").nth(1).inner_text()
        page.get_by_role("button", name="all off").click()
        assert told.inner_text().startswith("kept: 3 of 3")
        assert page.get_by_label("top-k").get_attribute("aria-valuetext") == "off"


def test_a_hundred_draws_stand_beside_the_probabilities(page: Page, kernel: Kernel) -> None:
    show(page, kernel, sampling(bigram(), LETTERS, "ab", seed=5))
    counts = [int(text) for text in page.locator("td:last-child").all_inner_texts()]
    assert sum(counts) == 100
    page.get_by_role("button", name="draw 100 again").click()
    again = [int(text) for text in page.locator("td:last-child").all_inner_texts()]
    assert sum(again) == 100
    assert again != counts


def test_keys_alone_step_forward_back_and_into_another_branch(page: Page, kernel: Kernel) -> None:
    show(page, kernel, sampling(bigram(), LETTERS, "ab"))
    page.evaluate(LEAKING)
    page.locator("tbody button").first.focus()
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("<end>: model 37.5 %")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert settle(page, 4) == [2, 0, 1, 0]
    assert focused(page).startswith("b: model ")  # of what follows a, b is most likely
    page.keyboard.press("Enter")
    assert settle(page, 5) == [2, 0, 1, 0, 1]
    page.locator(".tree [aria-current]").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert settle(page, 3) == [2, 0, 1]
    assert focused(page) == "prompt"
    page.locator("tbody button[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert settle(page, 4) == [2, 0, 1, 1]
    page.locator(".tree [aria-current]").focus()
    page.keyboard.press("ArrowUp")
    assert settle(page, 4) == [2, 0, 1, 0]
    asked = page.evaluate("() => window.asked.map(({ask}) => ask)")
    assert asked == [[2, 0, 1, 0], [2, 0, 1, 0, 1], [2, 0, 1, 1]]  # going back asks nobody
    runs = page.locator(".tree li").evaluate_all(RUNS)
    assert runs == [["prompt"], ["a", "b"], ["b"]]
    assert set(page.evaluate("() => window.leaked")) <= {"Enter"}
    assert page.evaluate(UNGUARDED) == []


def test_each_step_shows_the_distribution_of_its_own_text(page: Page, kernel: Kernel) -> None:
    model = gpt(LETTERS.vocab_size)
    show(page, kernel, sampling(model, LETTERS, "ab"))
    for n in range(4, 9):
        page.get_by_role("button", name="draw one, go on").click()
        ids = settle(page, n)
        probs = model(torch.tensor([ids]))[0, -1].detach().double().softmax(0)
        rows = page.locator("tbody tr").all_inner_texts()
        for row in rows:
            label, _, own, now, *_ = row.split("\t")
            expected = 100 * float(probs[["a", "b", "<end>"].index(label.strip())])
            assert float(own.removesuffix(" %")) == pytest.approx(expected, abs=0.051)
            assert own == now
        assert page.locator(".text").inner_text() == LETTERS.decode(ids)


def test_a_text_chosen_in_python_is_shown(page: Page, kernel: Kernel) -> None:
    show(page, kernel, sampling(bigram(), LETTERS, "a"))
    page.evaluate("() => window.take({ids: [2, 0, 1, 1, 0]})")
    page.wait_for_function("() => document.querySelector('.text').textContent === 'abba'")
    assert page.locator(".tree [aria-current]").inner_text() == "bba"
    page.get_by_role("button", name="go back").click()
    assert settle(page, 2) == [2, 0]


def test_tokens_are_never_markup(page: Page, kernel: Kernel) -> None:
    model = gpt(Odd.vocab_size)
    show(page, kernel, sampling(model, Odd(), "<b>bold|</script>|"))
    texts = page.locator("tbody button").all_inner_texts()
    assert set(texts) >= {"<b>bold", "</script>", HOSTILE[2], "�", "⏎", "<end>"}
    for n in range(4, 4 + len(HOSTILE)):
        page.locator("tbody button").nth(n % len(texts)).click()
        settle(page, n)
    shown = compare({"<b>": (model, Odd())}, "<b>bold", 40, temperature=2.0)
    while "<b>bold" not in shown.texts[0]["tokens"]:
        shown.answer({"ask": "again"})
    show(page, kernel, shown)
    assert "<b>bold" in page.locator(".written").inner_text()
    assert page.locator("td b, li b, span b, script").count() == 0
    assert page.locator("b").all_inner_texts()[:2] == ["prompt: ", "<b>"]


@pytest.mark.parametrize("make", [lambda: sampling(bigram(), LETTERS, "ab"), comparison])
def test_every_control_has_a_name_and_views_end(page: Page, kernel: Kernel, make: Any) -> None:
    show(page, kernel, make())
    assert page.evaluate(NAMELESS) == []
    assert page.locator("[role=status]").count() >= 1
    assert page.locator("section[aria-label]").count() == 1
    page.evaluate("() => window.end()")
    assert page.evaluate("() => window.heard.length") == 0


def test_the_file_of_itself_is_asked_of_python(page: Page, kernel: Kernel) -> None:
    shown = sampling(bigram(), LETTERS, "ab")
    show(page, kernel, shown)
    with page.expect_download() as download:
        page.get_by_role("button", name="HTML").click()
    assert Path(download.value.path()).read_text(encoding="utf-8") == shown.html()


def test_written_tokens_tell_their_probability_by_keys(browser: Page, tmp_path: Path) -> None:
    shown = comparison()
    with opened(browser, shown, tmp_path) as page:
        assert page.get_by_role("button", name="write again").count() == 0
        text = shown.texts[0]
        tokens = page.get_by_role("listbox", name="bigram").get_by_role("option")
        assert tokens.count() == len(text["tokens"])
        tokens.first.focus()
        told = page.get_by_role("status")
        for i, (token, bits) in enumerate(zip(text["tokens"], text["surprise"], strict=True)):
            says = told.inner_text()
            assert says.startswith(f"bigram, token {i + 1}, {token}: ")
            percent, surprise = says.split(": ")[1].split(", ")
            assert float(percent.removesuffix(" %")) == pytest.approx(100 * 2**-bits, abs=0.051)
            assert surprise == f"{bits:.2f} bits"
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Home")
        assert told.inner_text().startswith("bigram, token 1, ")
        mean = f"{text['bits']:.2f} bits per character over {text['chars']} characters"
        assert page.get_by_text(mean).count() >= 1


def test_the_less_likely_the_taller_the_bar(page: Page, kernel: Kernel) -> None:
    shown = comparison()
    show(page, kernel, shown)
    tall = "spans => spans.map(s => parseFloat(getComputedStyle(s).backgroundSize.split(' ')[1]))"
    heights = page.locator("[aria-label=bigram] .token").evaluate_all(tall)
    assert (
        np.argsort(heights, kind="stable").tolist()
        == np.argsort(shown.texts[0]["surprise"], kind="stable").tolist()
    )


def test_writing_again_shows_the_next_seed(page: Page, kernel: Kernel) -> None:
    show(page, kernel, comparison(seed=3))
    before = page.locator(".written").all_inner_texts()
    page.get_by_role("button", name="write again").click()
    page.get_by_text("written with seed 4").wait_for()
    after = page.locator(".written").all_inner_texts()
    assert after != before
    expected = ["".join(text["tokens"]) for text in comparison(seed=4).texts]
    assert page.locator(".written").evaluate_all("l => l.map(n => n.textContent)") == expected
    assert json.dumps(page.evaluate("() => window.asked")) == '[{"ask": "again"}]'
