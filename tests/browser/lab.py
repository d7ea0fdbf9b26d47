"""A JupyterLab as readers get it, and one page of a real Chromium that runs notebooks in it."""

import contextlib
import os
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

from workbench.lab import lab_command, lab_environment, write_defaults

SECONDS_TO_START = 60
SECONDS_PER_CHAPTER = 600
CHROMIUM_FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",
]
TESTING = ("LABKIT_STATIC", "LABKIT_TIMES", "TQDM_DISABLE", "OMP_", "GOMP_", "MKL_", "OPENBLAS_")
"""Beginnings of variables that a test run sets and a reader's machine does not have."""

KERNEL_IS_READY = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.revealed;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
}"""
RUN_ALL = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }"
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code')
  .map(cell => ({count: cell.model.executionCount, outputs: cell.model.outputs.toJSON()}))"""
DRAWN = """async () => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const missing = [];
  for (const [place, cell] of notebook.widgets.entries()) {
    const outputs = cell.model.type === 'code' ? cell.model.outputs.toJSON() : [];
    const kinds = outputs.flatMap(output => Object.keys(output.data ?? {}));
    if (!kinds.some(kind => kind.includes('plotly'))) continue;
    await notebook.scrollToItem(place);
    let waited = 0;
    while (!cell.node.querySelector('.js-plotly-plot .main-svg') && waited++ < 100)
      await new Promise(resolve => setTimeout(resolve, 100));
    if (waited > 100) missing.push(place);
  }
  return missing;
}"""
STOP_KERNEL = (
    "async () => { await window.jupyterapp.shell.currentWidget.sessionContext.shutdown(); }"
)


@dataclass
class Visit:
    """What happened while a notebook was open."""

    cells: list[Mapping[str, Any]] = field(default_factory=list)
    """Execution count and outputs of each code cell after Run All."""
    pictures_not_drawn: list[int] = field(default_factory=list)
    """Places of cells whose plotly figure did not appear."""
    left_the_machine: list[str] = field(default_factory=list)
    """Addresses that the page asked for and the server is not behind."""
    console_errors: list[str] = field(default_factory=list)
    """What the page reported as an error."""

    def errors(self) -> list[str]:
        """The errors that cells raised."""
        outputs = [output for cell in self.cells for output in cell["outputs"]]
        raised = [output for output in outputs if output["output_type"] == "error"]
        return [f"{output['ename']}: {output['evalue']}" for output in raised]


@contextlib.contextmanager
def jupyterlab(work: Path, home: Path) -> Iterator[str]:
    """Serve a folder as `labkit lab` does; yield the address with `{}` for a file, token included.

    Raises RuntimeError with the server's log if it does not answer.
    """
    write_defaults(work)
    port, token = free_port(), secrets.token_hex(16)
    extra = [
        "--no-browser",
        "--LabApp.expose_app_in_browser=True",
        f"--LabApp.user_settings_dir={home / 'settings'}",
        f"--LabApp.workspaces_dir={home / 'workspaces'}",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
    ]
    command = lab_command(work, extra, is_root=os.name == "posix" and os.geteuid() == 0)
    log = home / "server.log"
    with log.open("w") as file:
        server = subprocess.Popen(
            command, cwd=work, env=readers_environment(work, home), stdout=file, stderr=file
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_it_answers(server, f"{address}/api?token={token}", log)
            yield f"{address}/lab/tree/{{}}?token={token}&reset"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def readers_environment(work: Path, home: Path) -> dict[str, str]:
    """This process's variables without those of a test run, and with Jupyter folders of its own.

    One thread, since the other core belongs to other tests, and two in each other's way are slower.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(TESTING)}
    own = {
        f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")
    }
    own |= {"IPYTHONDIR": str(home / "ipython"), "OMP_NUM_THREADS": "1"}
    return lab_environment(work, kept | own)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the server answers; raise RuntimeError when it ended or took too long."""
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def chromium_page(executable: str) -> Iterator[Page]:
    """Open one page of a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(SECONDS_PER_CHAPTER * 1000)
        try:
            yield page
        finally:
            browser.close()


def run_all(page: Page, address: str, name: str) -> Visit:
    """Open a notebook, run all its cells in its fresh kernel, and stop the kernel."""
    visit = Visit()
    server = address.split("/lab/", maxsplit=1)[0]
    ours = (server, server.replace("http:", "ws:"), "data:", "blob:", "about:")

    def requested(request: Request) -> None:
        if not request.url.startswith(ours):
            visit.left_the_machine.append(request.url[:200])

    def reported(message: ConsoleMessage) -> None:
        if message.type == "error":
            visit.console_errors.append(f"{message.text[:300]} ({message.location.get('url')})")

    def raised(error: Exception) -> None:
        visit.console_errors.append(str(error)[:300])

    handlers: dict[str, Any] = {"request": requested, "console": reported, "pageerror": raised}
    for event, handler in handlers.items():
        page.on(event, handler)  # type: ignore[call-overload]
    try:
        page.goto(address.format(name))
        page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.sessionContext")
        wait_for(page, KERNEL_IS_READY)
        wait_for(page, RUN_ALL)
        visit.cells = page.evaluate(CELLS)
        visit.pictures_not_drawn = page.evaluate(DRAWN)
        page.evaluate(STOP_KERNEL)
    finally:
        for event, handler in handlers.items():
            page.remove_listener(event, handler)
    return visit


def wait_for(page: Page, action: str) -> None:
    """Start something asynchronous in the page and wait, not longer than the page's time-out."""
    page.evaluate(
        "() => { window.isFinished = false;"
        f" ({action})().finally(() => {{ window.isFinished = true; }}); }}"
    )
    # Its own way, to ask at every frame, takes half of a core from the kernel that we wait for.
    page.wait_for_function("() => window.isFinished", polling=200)
