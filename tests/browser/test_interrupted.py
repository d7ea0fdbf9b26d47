"""A training cell that is interrupted in a real JupyterLab, run again, and goes on."""

import time
from pathlib import Path

import nbformat
import pytest

from labkit.chromium import find_chromium
from tests.browser.lab import CELLS, KERNEL_IS_READY, chromium_page, jupyterlab, wait_for

CHROMIUM = find_chromium()

SETUP = """from labkit.notebook import setup

setup("41", cpu_seconds=60)
from pathlib import Path
import torch
from labkit import viz
from labkit.gpt import GPT, GPTConfig
from labkit.training import Run, TrainConfig, train

ids = torch.arange(4000) % 7
config = GPTConfig(vocab_size=7, context_length=64, n_layers=4, n_heads=2, d_model=64, dropout=0.1)
plan = TrainConfig(max_steps=300, batch_size=8, context_length=64, evaluate_every=20)

def new_model():
    return GPT(config, generator=torch.Generator().manual_seed(0))

whole = new_model()
list(train(whole, ids, ids, plan))
print("ready")"""
TRAINING = """model = new_model()
records = viz.watch(train(model, ids, ids, plan, run=Run(Path("run"))), title="Interrupted")"""
COMPARED = """pairs = zip(whole.parameters(), model.parameters(), strict=True)
print(records[0].step > 0, records[-1].step, all(torch.equal(a, b) for a, b in pairs))"""
RUN = """async (place) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = place;
  await window.jupyterapp.commands.execute('notebook:run-cell');
}"""
START = f"place => {{ window.cell = ({RUN})(place); }}"
INTERRUPT = """async () => {
  await window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt();
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_training_cell_is_interrupted_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    work, home = tmp_path / "work", tmp_path / "home"
    for folder in (work, home):
        folder.mkdir()
    cells = [nbformat.v4.new_code_cell(code) for code in (SETUP, TRAINING, COMPARED)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, work / "training.ipynb")
    assert CHROMIUM is not None
    with chromium_page(CHROMIUM) as page, jupyterlab(work, home) as address:
        page.goto(address.format("training.ipynb"))
        page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        wait_for(page, KERNEL_IS_READY)
        page.evaluate(RUN, 0)
        page.evaluate(START, 1)
        deadline = time.monotonic() + 60
        while not list(work.glob("run/step-*20")) and time.monotonic() < deadline:
            time.sleep(0.05)
        page.evaluate(INTERRUPT)
        page.evaluate("() => window.cell")
        (error,) = (o for o in page.evaluate(CELLS)[1]["outputs"] if o["output_type"] == "error")
        for place in (1, 2):
            page.evaluate(RUN, place)
        outputs = page.evaluate(CELLS)[2]["outputs"]
    # Plain when it comes while the curve is drawn: then the last checkpoint is a moment old.
    assert error["ename"] in ("Interrupted", "KeyboardInterrupt")
    if error["ename"] == "Interrupted":
        assert "saved at step" in error["evalue"]
        assert "run the same cell again to go on" in error["evalue"]
    assert "".join(output["text"] for output in outputs) == "True 300 True\n"
