"""The attention viewer in Chromium, beside others where they are installed: 12 layers of 12 heads.

All draw the same weights in the same Chromium, one page each time, without a network. What loads
its libraries from the network cannot be drawn so, and only its bytes are told.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from playwright.sync_api import Browser, sync_playwright

from benchmarks.measure import LEAST_ROUNDS, Measurement
from labkit.chromium import find_chromium
from labkit.viz import attention

LAYERS, HEADS = 12, 12
LENGTHS = (64, 128, 512)
OTHERS_LENGTH = 64
"""How long a text the others are given; they hold every number as text."""
PAINTED = """() => new Promise(done => requestAnimationFrame(() =>
  setTimeout(() => done(performance.now()))))"""
STEPS = """() => {
  const matrix = [...document.querySelectorAll("canvas")].at(-1);
  const keys = ["ArrowUp", "ArrowLeft", ".", "]"];
  return Array.from({length: 20}, (_, i) => {
    const started = performance.now();
    matrix.dispatchEvent(new KeyboardEvent("keydown", {key: keys[i % 4], bubbles: true}));
    return performance.now() - started;
  });
}"""
NODES = "() => document.querySelectorAll('*').length"


def weights_of(T: int) -> torch.Tensor:
    """Return causal weights of chance, (L, H, T, T)."""
    scores = torch.randn(LAYERS, HEADS, T, T, generator=torch.Generator().manual_seed(0))
    return scores.masked_fill(torch.ones(T, T).triu(1) > 0, -torch.inf).softmax(-1)


def viewers_in_chromium() -> Iterator[Measurement]:
    """Measure ours at three lengths, and at one length those of the others that are installed.

    Raises RuntimeError without a Chromium.
    """
    path = find_chromium()
    if path is None:
        raise RuntimeError("expected a Chromium to measure viewers in, found none: install one")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=path)
        file = Path(folder) / "page.html"
        for T in LENGTHS:
            words = [f"w{i}" for i in range(T)]
            file.write_text(attention(weights_of(T), words).html(), encoding="utf-8")
            yield from measured_page(browser, file, f"labkit, {T} tokens", "canvas")
        for name, (make, selector) in OTHERS.items():
            if importlib.util.find_spec(name) is not None:
                file.write_text(make(weights_of(OTHERS_LENGTH)), encoding="utf-8")
                yield from measured_page(browser, file, f"{name}, {OTHERS_LENGTH} tokens", selector)


def measured_page(browser: Browser, file: Path, name: str, selector: str) -> Iterator[Measurement]:
    """Open a page again and again; measure size, first paint, memory and nodes."""
    yield Measurement("viewer: size", (file.stat().st_size / 1e6,) * LEAST_ROUNDS, "MB", name)
    if not selector:
        return
    rounds = [opened(browser, file, selector) for _ in range(LEAST_ROUNDS)]
    paints, memory, nodes, steps = zip(*rounds, strict=True)
    yield Measurement("viewer: first paint", paints, "s", name)
    yield Measurement("viewer: memory of the page", memory, "MB", name)
    yield Measurement("viewer: nodes", nodes, "nodes", name)
    if all(steps):
        yield Measurement("viewer: slowest of 20 steps", steps, "ms", name)


def opened(browser: Browser, file: Path, selector: str) -> tuple[float, float, int, float]:
    """Open a page and return seconds, megabytes, nodes, and the slowest step of ours in ms."""
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.context.set_offline(True)
    page.goto(file.as_uri())
    page.wait_for_selector(selector, timeout=120_000)
    seconds = float(page.evaluate(PAINTED)) / 1000
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    heap = next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize") / 1e6
    nodes = int(page.evaluate(NODES))
    steps = page.evaluate(STEPS) if selector == "canvas" else [0.0]
    page.close()
    return seconds, float(heap), nodes, max(map(float, steps))


def _shown(show: Callable[[], Any]) -> str:
    """Return the HTML that a call displays in a notebook."""
    InteractiveShell.instance()
    with capture_output() as caught:
        show()
    return "".join(output.data.get("text/html", "") for output in caught.outputs)


def _inspectus(weights: torch.Tensor) -> str:
    import inspectus

    words = [f"w{i}" for i in range(weights.shape[-1])]
    return _shown(lambda: inspectus.attention(weights.numpy(), words, words))


def _circuitsvis(weights: torch.Tensor) -> str:
    from circuitsvis.attention import attention_heads

    words = [f"w{i}" for i in range(weights.shape[-1])]
    return str(attention_heads(tokens=words, attention=weights.flatten(0, 1)).local_src)


def _bertviz(weights: torch.Tensor) -> str:
    from bertviz import model_view

    words = [f"w{i}" for i in range(weights.shape[-1])]
    page = model_view([layer[None] for layer in weights], words, html_action="return")
    return str(page.data)


OTHERS: dict[str, tuple[Callable[[torch.Tensor], str], str]] = {
    "inspectus": (_inspectus, "svg rect, canvas"),
    "circuitsvis": (_circuitsvis, "[id^=circuits-vis] canvas"),
    "bertviz": (_bertviz, ""),
}
"""From a package to what makes its page, and what is there when it has drawn."""
